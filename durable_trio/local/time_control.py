"""Moving the service's time while nothing can run.

A service is *idle* when it has no invocation in flight, no request in its inbox, and no timer that is due. The run is
*settled* when, on top of that, every task of it is blocked: whoever was about to ask something has asked it. Only then
is time moved, and only to the next timer; what that timer sets off runs to its end before the next move. So an
execution sees the same order of events as in real time, and a month is over as soon as there is nothing to do in it.

A client in another process cannot be seen before its request has arrived. Where there are such clients, the run must
have been quiet for a moment of real time (``LocalSettings.quiet_seconds``).

While an invocation is in flight, time flows as it does, since nobody can know what the function is waiting for: a
thread, a socket, another process.

``hold`` keeps the service from moving time by itself; ``advance`` moves it by hand, by the same rules.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import TYPE_CHECKING

from durable_trio.clock import VirtualClock
from durable_trio.exceptions import ValidationError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from durable_trio.clock import Clock
    from durable_trio.local.invoker import Invoker
    from durable_trio.local.owner import Owner


class TimeControl:
    """Says when a service is idle, and moves its clock if it may.

    *speed* is how fast time runs while the service is idle: 1 leaves it alone, infinity jumps. *quiet_seconds* is how
    long every task must have been blocked for that, in real time.
    """

    def __init__(
        self, clock: Clock, owner: Owner, invoker: Invoker, speed: float, quiet_seconds: float
    ) -> None:
        self._clock = clock
        self._owner = owner
        self._invoker = invoker
        self._speed = speed
        self._quiet_seconds = quiet_seconds

    def __repr__(self) -> str:
        return f"<TimeControl of {self._clock!r}, {'idle' if self.is_idle else 'busy'}>"

    @property
    def is_idle(self) -> bool:
        """Whether no invocation is in flight, no request is queued and no timer is due."""
        return self._invoker.running == 0 and self._owner.is_idle

    async def until_idle(self) -> None:
        """Return when the service is idle and every other task is blocked."""
        while True:
            while not self.is_idle:
                await self._owner.until_served()
            await _until_settled()
            if self.is_idle:
                return

    def hold(self) -> AbstractContextManager[None]:
        """Keep the service from moving time by itself; time that flows goes on flowing."""
        return self._clock.hold() if isinstance(self._clock, VirtualClock) else nullcontext()

    async def advance(self, seconds: float) -> None:
        """Move time forward, timer by timer. If cancelled, it stays where it has got to.

        Raises:
            ValidationError: *seconds* is negative or not finite, or the clock cannot be moved.
        """
        clock = self._clock
        if not isinstance(clock, VirtualClock):
            raise ValidationError(
                "advance needs a service with virtual_time=True, or with a VirtualClock as its clock, "
                f"not with {clock!r}"
            )
        if not 0 <= seconds < math.inf:
            raise ValidationError(f"seconds must be 0 or more, and finite, not {seconds!r}")
        target_at = clock.now() + round(seconds * 1000)
        with clock.hold():
            await self.until_idle()
            while (due_at := self._next_at(clock)) is not None and due_at <= target_at:
                clock.jump_to(due_at)
                await self.until_idle()
            clock.jump_to(target_at)

    async def run(self) -> None:
        """Move time by itself until cancelled, if that was asked for."""
        clock = self._clock
        if not isinstance(clock, VirtualClock) or self._speed == 1:
            return
        with clock.watching_sleepers(self._owner.announce):
            await self._move(clock)

    async def _move(self, clock: VirtualClock) -> None:
        while True:
            await clock.until_free()
            if not self.is_idle:
                clock.set_speed(1)
                await self._owner.until_served()
                continue
            await _until_settled(self._quiet_seconds)
            if not self.is_idle or clock.is_held:
                continue
            due_at = self._next_at(clock)
            if math.isinf(self._speed) and due_at is not None:
                clock.jump_to(due_at)
                continue
            if math.isfinite(self._speed):
                clock.set_speed(self._speed)
            await self._owner.until_served()

    def _next_at(self, clock: VirtualClock) -> int | None:
        """Return the next instant at which anything happens: a timer, or somebody's sleep ends."""
        instants = (self._owner.next_due_at(), clock.next_wake_at())
        return min((at for at in instants if at is not None), default=None)


async def _until_settled(quiet_seconds: float = 0.0) -> None:
    # Not at the top: it is Trio's package for tests, and little of what a service does needs it.
    from trio.testing import wait_all_tasks_blocked

    await wait_all_tasks_blocked(quiet_seconds)
