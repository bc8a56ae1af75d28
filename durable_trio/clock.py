"""One source of time for the runtime and for a service: Trio's clock, anchored to UTC once.

Timers compare service instants with "now", and sleep until an instant. Both must come from the same clock:
with Trio's ``MockClock`` a wait of a month is over as soon as nothing else can run, and a process whose
system time is set back does not wait an hour for a timer.

A ``VirtualClock`` is for a service that shares its Trio run with real work, where Trio's own time cannot be a fake:
it can be moved forward, by whoever knows that nothing can run. Everything that sleeps by a clock does so in a
``Clock.scope``, whose deadline is computed anew whenever the clock has been moved.
"""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

__all__ = ["Clock", "VirtualClock"]


class Clock:
    """UTC in whole milliseconds, moving with Trio's clock.

    Must be made inside a Trio run. *epoch_at* (epoch milliseconds) says what time it is now; the default is
    the system's time.
    """

    __slots__ = ("_holders", "_jumps_after", "_offset_seconds", "_trio_clock")

    def __init__(self, epoch_at: int | None = None) -> None:
        now_seconds = time.time() if epoch_at is None else epoch_at / 1000
        self._trio_clock = trio.lowlevel.current_clock()
        self._offset_seconds = now_seconds - self._trio_clock.current_time()
        self._holders = 0
        self._jumps_after = math.inf

    def now(self) -> int:
        """Return the current instant in epoch milliseconds. May be called in any thread."""
        return math.floor((self._trio_clock.current_time() + self._offset_seconds) * 1000)

    def trio_deadline(self, at: int) -> float:
        """Return the instant *at* as a Trio deadline: at that time, ``now() >= at`` holds.

        It is good until the clock is moved; to sleep by it, use ``scope``.
        """
        # One part in a million over: the conversion there and back must not end a hair too early.
        return at / 1000 - self._offset_seconds + 1e-6

    def scope(self, deadline: Callable[[], float]) -> AbstractContextManager[trio.CancelScope]:
        """Give a cancel scope for ``with`` that ends at ``deadline()``, a Trio time.

        If the clock is moved in the meantime, *deadline* is called again.
        """
        return trio.CancelScope(deadline=deadline())

    async def sleep_until(self, at: int) -> None:
        """Sleep until the instant *at*. Cancellation ends it, as it does every sleep."""
        with self.scope(lambda: self.trio_deadline(at)):
            await trio.sleep_forever()

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


class VirtualClock(Clock):
    """UTC that moves with Trio's clock, and may be moved forward or made to run faster.

    The clock never moves by itself other than with Trio's, nor does it ever go back. Who moves it has to know that
    nothing is running that would be surprised; ``held`` is how others say that something is.

    Must be made inside a Trio run. *epoch_at* (epoch milliseconds) says what time it is now; the default is
    the system's time.
    """

    __slots__ = (
        "_anchor",
        "_anchor_seconds",
        "_free",
        "_moving_scopes",
        "_own_holders",
        "_sleepers",
        "_speed",
        "_watchers",
    )

    def __init__(self, epoch_at: int | None = None) -> None:
        super().__init__(epoch_at)
        self._anchor = trio.current_time()
        self._anchor_seconds = self._anchor + self._offset_seconds
        self._speed = 1.0
        self._moving_scopes: dict[trio.CancelScope, Callable[[], float]] = {}
        self._sleepers: list[int] = []
        self._watchers: list[Callable[[], None]] = []
        self._own_holders = 0
        self._free = trio.Event()
        self._free.set()

    def __repr__(self) -> str:
        held = f", held by {self._own_holders}" if self._own_holders else ""
        return f"<VirtualClock at {self.now()}, speed {self._speed:g}{held}>"

    @property
    def speed(self) -> float:
        """How much faster than Trio's clock it runs; 1 at first."""
        return self._speed

    def now(self) -> int:
        """Return the current instant in epoch milliseconds."""
        return math.floor(self._now_seconds() * 1000)

    def _now_seconds(self) -> float:
        return self._anchor_seconds + (self._trio_clock.current_time() - self._anchor) * self._speed

    def trio_deadline(self, at: int) -> float:
        """Return the instant *at* as a Trio deadline, as long as the clock is not moved."""
        return self._anchor + (at / 1000 - self._anchor_seconds) / self._speed + 1e-6

    @contextmanager
    def scope(self, deadline: Callable[[], float]) -> Iterator[trio.CancelScope]:
        """Give a cancel scope that ends at ``deadline()``, asked again whenever the clock is moved."""
        with trio.CancelScope(deadline=deadline()) as scope:
            self._moving_scopes[scope] = deadline
            try:
                yield scope
            finally:
                del self._moving_scopes[scope]

    def jump_to(self, at: int) -> None:
        """Make it *at* (epoch milliseconds); what sleeps until then or earlier wakes. Nothing if that is past."""
        if at > self.now():
            # More than the hair in ``trio_deadline``: every deadline until then has passed, whatever the rounding.
            self._reanchor(at / 1000 + 1e-5 * max(1.0, self._speed))

    def set_speed(self, speed: float) -> None:
        """Run *speed* times as fast as Trio's clock from now on.

        Raises:
            ValueError: *speed* is not a positive, finite number.
        """
        if not 0 < speed < math.inf:
            raise ValueError(f"speed must be positive and finite, not {speed!r}")
        if speed != self._speed:
            now_seconds = self._now_seconds()
            self._speed = float(speed)
            self._reanchor(now_seconds)

    def _reanchor(self, now_seconds: float) -> None:
        self._anchor, self._anchor_seconds = trio.current_time(), now_seconds
        for scope, deadline in self._moving_scopes.items():
            scope.deadline = deadline()

    async def sleep_until(self, at: int) -> None:
        """Sleep until the instant *at*. Cancellation ends it, as it does every sleep."""
        self._sleepers.append(at)
        for tell in self._watchers:
            tell()
        try:
            await super().sleep_until(at)
        finally:
            self._sleepers.remove(at)

    @contextmanager
    def watching_sleepers(self, tell: Callable[[], None]) -> Iterator[None]:
        """Call *tell* in the block whenever somebody goes to ``sleep_until``."""
        self._watchers.append(tell)
        try:
            yield
        finally:
            self._watchers.remove(tell)

    def next_wake_at(self) -> int | None:
        """Return when the first of those who ``sleep_until`` wakes (epoch milliseconds), None if nobody sleeps.

        Who moves the clock must not pass it, as it must not pass a timer.
        """
        return min(self._sleepers, default=None)

    # --- who may move it -------------------------------------------------------------------------------

    @property
    def is_held(self) -> bool:
        """Whether somebody does not want it to be moved."""
        return self._own_holders > 0

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Ask whoever moves the clock to leave it alone in the block. A ``MockClock`` below it is not concerned."""
        self._own_holders += 1
        if self._own_holders == 1:
            self._free = trio.Event()
        try:
            yield
        finally:
            self._own_holders -= 1
            if self._own_holders == 0:
                self._free.set()

    async def until_free(self) -> None:
        """Return when nobody holds the clock."""
        await self._free.wait()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep virtual time still: this clock is not to be moved, and a ``MockClock`` below it does not jump."""
        with self.hold(), super().held():
            yield


@runtime_checkable
class _JumpingClock(Protocol):
    """``trio.testing.MockClock``, without importing ``trio.testing``."""

    autojump_threshold: float
