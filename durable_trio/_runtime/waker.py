"""Wakes parked operations in the same invocation, while something else keeps it alive.

A timer of the service's (a wait, a retry delay) ends at a known time. If the invocation is still running
then, the waker asks the service what has changed, once for all the timers that are due; the answer wakes
their actors, and bodies go on where they were. A callback or a chained invoke has no known time: completions
arrive with any checkpoint response, and if the invocation makes none, the waker asks at growing intervals.

The waker does not keep an invocation alive: when no actor can run, the supervisor suspends it. The exception
is asked for: with ``inline_wait``, a timer that is due within that time is waited for in place.

Due times sit in a heap with lazy deletion: an entry whose operation is no longer parked is dropped when it
comes up, so parking costs the same with ten branches and with ten thousand.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from durable_trio._runtime.stall_watch import StallWatch
    from durable_trio._runtime.supervisor import Supervisor
    from durable_trio._runtime.writer import CheckpointWriter
    from durable_trio.clock import Clock

FIRST_POLL_SECONDS: Final = 1.0
"""How long an operation without a known time is left alone at first; doubles with each poll in vain."""
MAX_POLL_SECONDS: Final = 30.0

# A timer that the service does not think is over yet (its clock is behind ours) is asked for again.
_LATE_POLL_SECONDS: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Waker:
    """Refreshes the state when a timer of a parked operation is due."""

    def __init__(
        self,
        supervisor: Supervisor,
        writer: CheckpointWriter,
        clock: Clock,
        stalls: StallWatch,
        inline_wait_seconds: float = 0.0,
        deadline: float | None = None,
    ) -> None:
        self._supervisor = supervisor
        self._writer = writer
        self._clock = clock
        self._stalls = stalls
        self._inline_wait_seconds = inline_wait_seconds
        self._deadline = math.inf if deadline is None else deadline  # Trio time
        self._timers: list[tuple[int, str, int]] = []  # when to ask, operation, how often asked in vain
        self._undated: set[str] = set()
        self._poll_seconds = FIRST_POLL_SECONDS
        self._poll_at = math.inf
        self._asleep_until = -math.inf
        self._earlier = trio.Event()

    def note_parked(self, operation_id: str, due_at: int | None) -> None:
        """Take note that an actor has parked."""
        if due_at is None:
            self._undated.add(operation_id)
            self._poll_seconds = FIRST_POLL_SECONDS
            self._poll_at = trio.current_time() + self._poll_seconds
        else:
            heapq.heappush(self._timers, (due_at, operation_id, 0))
        self._stalls.note_parked()
        if self._next_time() < self._asleep_until:
            self._earlier.set()

    def waits_inline(self) -> bool:
        """Tell whether a timer is due so soon that the invocation waits for it.

        It has to be due within the time that the handler's ``inline_wait`` allows, and before the invocation's
        own time is up.
        """
        if self._inline_wait_seconds <= 0:
            return False
        self._drop_stale_timers()
        if not self._timers:
            return False
        due = self._clock.trio_deadline(self._timers[0][0])
        return due <= trio.current_time() + self._inline_wait_seconds and due < self._deadline

    def _drop_stale_timers(self) -> None:
        while self._timers and not self._supervisor.is_parked(self._timers[0][1]):
            heapq.heappop(self._timers)

    async def run(self) -> None:
        """Refresh at due times, until cancelled."""
        while True:
            self._earlier = trio.Event()
            self._asleep_until = self._next_time()
            with self._clock.scope(self._next_time) as scope:
                await self._earlier.wait()
            if scope.cancelled_caught:
                self._stalls.look()
                await self._refresh()

    async def _refresh(self) -> None:
        due = self._take_due()
        is_poll = self._is_poll_due()
        if due or is_poll:
            await self._writer.refresh()
        for operation_id, _ in due:
            self._supervisor.came_due(operation_id)
        self._ask_again(due)
        if is_poll:
            self._poll_seconds = min(self._poll_seconds * 2, MAX_POLL_SECONDS)
        if is_poll or due:
            # Any answer tells about undated operations too.
            self._poll_at = trio.current_time() + self._poll_seconds

    def _take_due(self) -> list[tuple[str, int]]:
        now = self._clock.now()
        due = []
        while self._timers and self._timers[0][0] <= now:
            _, operation_id, asked = heapq.heappop(self._timers)
            if self._supervisor.is_parked(operation_id):
                due.append((operation_id, asked))
        return due

    def _is_poll_due(self) -> bool:
        if trio.current_time() < self._poll_at:
            return False
        self._undated = {
            operation_id for operation_id in self._undated if self._supervisor.is_parked(operation_id)
        }
        if not self._undated:
            self._poll_at = math.inf
        return bool(self._undated)

    def _ask_again(self, due: list[tuple[str, int]]) -> None:
        now = self._clock.now()
        for operation_id, asked in due:
            if self._supervisor.is_parked(operation_id):
                delay_seconds = _LATE_POLL_SECONDS[min(asked, len(_LATE_POLL_SECONDS) - 1)]
                heapq.heappush(self._timers, (now + int(delay_seconds * 1000), operation_id, asked + 1))

    def _next_time(self) -> float:
        timer = self._clock.trio_deadline(self._timers[0][0]) if self._timers else math.inf
        stall = math.inf if self._stalls.at is None else self._stalls.at
        return min(timer, self._poll_at, stall)
