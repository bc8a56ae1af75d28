"""One source of time for the runtime and for a service: Trio's clock, anchored to UTC once.

Timers compare service instants with "now", and sleep until an instant. Both must come from the same clock:
with Trio's ``MockClock`` a wait of a month is over as soon as nothing else can run, and a process whose
system time is set back does not wait an hour for a timer.
"""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import trio

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Clock"]


class Clock:
    """UTC in whole milliseconds, moving with Trio's clock.

    Must be made inside a Trio run. *epoch_at* (epoch milliseconds) says what time it is now; the default is
    the system's time.
    """

    __slots__ = ("_holders", "_jumps_after", "_offset_seconds")

    def __init__(self, epoch_at: int | None = None) -> None:
        now_seconds = time.time() if epoch_at is None else epoch_at / 1000
        self._offset_seconds = now_seconds - trio.current_time()
        self._holders = 0
        self._jumps_after = math.inf

    def now(self) -> int:
        """Return the current instant in epoch milliseconds."""
        return math.floor((trio.current_time() + self._offset_seconds) * 1000)

    def trio_deadline(self, at: int) -> float:
        """Return the instant *at* as a Trio deadline: at that time, ``now() >= at`` holds."""
        # One part in a million over: the conversion there and back must not end a hair too early.
        return at / 1000 - self._offset_seconds + 1e-6

    async def sleep_until(self, at: int) -> None:
        """Sleep until the instant *at*."""
        await trio.sleep_until(self.trio_deadline(at))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep virtual time still while work goes on where Trio cannot see it: in a worker thread.

        Trio's ``MockClock`` jumps when every task is blocked, and a task that waits for a thread is. With any
        other clock this does nothing.
        """
        clock = trio.lowlevel.current_clock()
        if not isinstance(clock, _JumpingClock):
            yield
            return
        if self._holders == 0:
            self._jumps_after, clock.autojump_threshold = clock.autojump_threshold, math.inf
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            if self._holders == 0:
                clock.autojump_threshold = self._jumps_after


@runtime_checkable
class _JumpingClock(Protocol):
    """``trio.testing.MockClock``, without importing ``trio.testing``."""

    autojump_threshold: float
