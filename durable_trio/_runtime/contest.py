"""Which of several operations decides: the first to end, by what is recorded rather than by Trio's order.

The operations of a combinator run at once, each in an actor. ``race`` is decided by the first that ends, ``any``
by the first that succeeds, ``all`` by the first that fails. In one invocation "first" looks easy: it is who gets
there first. But when an execution is resumed, several may have ended already, and then the order in which Trio
happens to run their tasks says nothing. So:

- *The recorded ends count*: what ended earlier at the service is first, and of equal ends the one that was given
  first. An operation that has no recorded end of its own yet (the end of a child context is only queued) counts by
  the latest end recorded inside it; one without any recorded end comes last.
- *Who is catching up may catch up.* A context that was parked on something that is over has to run code to get to
  its end. So when one operation has ended, the decision waits until no actor of the invocation is merely going
  through what is recorded: each of them is parked, in a step's body, or waiting for an answer of the service.
  Actors that are blocked on plain Trio things are not waited for: a few rounds of the scheduler in which nothing
  moved are enough.
- *Who is about to end counts as ended*: an operation that is recorded as ended, or a context that has sent its end,
  although its task has not come to it yet.

When it is decided, the others are cancelled and joined. What was decided is for the combinator to record.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import trio

from durable_trio._runtime.actor import run_counted
from durable_trio._runtime.cancelling import RuntimeReason
from durable_trio._runtime.failures import is_fatal
from durable_trio._runtime.supervisor import Join
from durable_trio.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from durable_trio._runtime.invocation import Invocation
    from durable_trio._runtime.operation import Operation

_QUIET_ROUNDS: Final = 5
"""Rounds of the scheduler without progress, after which nobody is taken to be catching up: starting a context
takes three."""


class Contest:
    """Runs operations until one decides.

    Attributes:
        winner: the position of the operation that decided; None if all have ended and none did.

    *decides* tells whether an operation that has ended decides. *title* is what is decided, for the reason of the
    cancellation.
    """

    __slots__ = (
        "_candidates",
        "_decides",
        "_ends",
        "_error",
        "_invocation",
        "_join",
        "_nursery",
        "_operations",
        "_title",
        "winner",
    )

    def __init__(
        self,
        invocation: Invocation,
        operations: Sequence[Operation[Any]],
        decides: Callable[[Operation[Any]], bool],
        title: str,
    ) -> None:
        self.winner: int | None = None
        self._invocation = invocation
        self._operations = operations
        self._decides = decides
        self._title = title
        self._error: Exception | None = None
        self._candidates: list[int] = []
        self._ends: dict[int, float] = {}
        self._join = Join(invocation.supervisor)
        self._nursery: trio.Nursery | None = None

    async def run(self, positions: Iterable[int]) -> None:
        """Run the operations at *positions*, until one decides or all have ended.

        Raises:
            Exception: an operation ended with an error that ends more than the operation; the execution fails with
                it, or it says that the program is put together wrongly.
        """
        self._note_earlier_end()
        started = () if self.winner is not None else tuple(positions)
        if not started:
            await trio.lowlevel.checkpoint()
            return
        for _ in started:
            self._join.child_started()
        with self._join:
            async with trio.open_nursery() as self._nursery:
                for index in started:
                    self._nursery.start_soon(run_counted, self._join, lambda index=index: self._actor(index))
        if self._error is not None:
            if is_fatal(self._error):
                self._invocation.fail(self._error)
            raise self._error

    def _note_earlier_end(self) -> None:
        """Decide at once by what the program had awaited before: that ended before anything that starts now."""
        for index, operation in enumerate(self._operations):
            if operation.has_ended and self._decides(operation):
                self.winner = index
                return

    async def _actor(self, index: int) -> None:
        operation = self._operations[index]
        await operation.run()
        if self._is_over:
            return
        error = operation.error
        if error is not None and (is_fatal(error) or isinstance(error, ConfigurationError)):
            self._error = error
            self._stop()
            return
        if self._decides(operation):
            self._candidates.append(index)
        if self._candidates:
            await self._caught_up()
            self._try_to_decide()

    @property
    def _is_over(self) -> bool:
        return self.winner is not None or self._error is not None

    async def _caught_up(self) -> None:
        """Return when nobody is going through what is recorded, or waits for a context's end to be stored."""
        await self._rest()
        while not self._is_over and (ending := self._with_ends_on_their_way()):
            for index in ending:
                self._rank(
                    index
                )  # as of now: the end that is being recorded is later than what it follows from
            await self._invocation.writer.flush()
            await self._rest()

    async def _rest(self) -> None:
        supervisor, writer = self._invocation.supervisor, self._invocation.writer
        quiet_rounds, progress = 0, supervisor.progress
        while (
            quiet_rounds < _QUIET_ROUNDS
            and supervisor.running - supervisor.bodies - writer.waiting_actors > 1
        ):
            await trio.lowlevel.checkpoint()
            quiet_rounds = 0 if supervisor.progress != progress else quiet_rounds + 1
            progress = supervisor.progress

    def _try_to_decide(self) -> None:
        """Decide, unless an operation that ended earlier is about to be through: then that will."""
        if self._is_over:
            return
        best = min(self._candidates, key=self._rank)
        if not any(self._rank(index) < self._rank(best) for index in self._ending()):
            self.winner = best
            self._stop()

    def _ending(self) -> list[int]:
        return [
            index
            for index, operation in enumerate(self._operations)
            if operation.is_running and operation.is_ending
        ]

    def _with_ends_on_their_way(self) -> list[int]:
        """Return the operations at or in which a context is through, but for the service's answer."""
        endings = self._invocation.supervisor.endings
        return [
            index
            for index, operation in enumerate(self._operations)
            if endings and operation.is_running and any(map(operation.has_inside, endings))
        ]

    def _rank(self, index: int) -> tuple[float, int]:
        # A context that was in time stays so while its own, later, end is being recorded.
        end = min(self._ends.get(index, math.inf), self._operations[index].ended_at())
        self._ends[index] = end
        return end, index

    def _stop(self) -> None:
        # The owner is counted before the losers unwind: their end must not look like quiescence.
        self._join.decide()
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel(RuntimeReason(f"{self._title} is decided"))
