"""Several operations of one context at once: what ``all``, ``all_settled``, ``race`` and ``any`` have in common.

The operations have their ids before the combinator takes its own, and the combinator takes one whether or not it
records anything, so ids after it do not depend on how it ended. A suspended operation is neither success nor
failure: when nothing else can run, the whole suspends.

*What was decided early is recorded before anybody sees it*, as a context that is started and closed in one
request. On replay the record is obeyed: only the operation that decided is asked for its outcome, which is
recorded under its own id, and the others do not run.

*What a loser is afterwards must not depend on timing either.* What is recorded as ended has its outcome, whoever
lost. What is still pending at the service (a wait, a callback's result, an invoke) may be awaited again. The rest
was cancelled. What has no record of its own, a virtual context or an ``all``, counts as cancelled even if it had
got through at the last moment, because no replay could tell. All of that holds for the operations inside of a
combinator that lost, too.

Times are told by what the program has awaited: ``ctx.now()`` hears of the winner, not of losers that were through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from durable_trio._protocol.operation import OperationAction
from durable_trio._runtime.contest import Contest
from durable_trio._runtime.operation import Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from durable_trio._protocol.operation import ErrorObject
    from durable_trio._protocol.replay import Identity
    from durable_trio._runtime.node import ContextNode

T_co = TypeVar("T_co", covariant=True)


class Combinator(Operation[T_co], Generic[T_co]):
    """Operations that run at once, and what was decided about them."""

    __slots__ = ("_contenders", "_is_deciding", "_operations")

    _tells_time: ClassVar[bool] = False  # its operations do

    def __init__(self, node: ContextNode, identity: Identity, operations: Sequence[Operation[Any]]) -> None:
        super().__init__(node, identity)
        self._operations = operations
        # What had ended before keeps its outcome, whatever is decided.
        self._contenders = [operation for operation in operations if not operation.has_ended]
        self._is_deciding = False

    # --- running ------------------------------------------------------------------------------------------

    async def _contend(
        self, decides: Callable[[Operation[Any]], bool], positions: Iterable[int] | None = None
    ) -> int | None:
        """Run the operations (those at *positions*) until one decides; return its position."""
        contest = Contest(self.invocation, self._operations, decides, self.title)
        await contest.run(range(len(self._operations)) if positions is None else positions)
        return contest.winner

    async def _commit_verdict(
        self,
        *,
        must_start: bool,
        payload: str | None = None,
        error: ErrorObject | None = None,
    ) -> None:
        """Record what was decided: how the context ends, after its START if that is not recorded already."""
        self._is_deciding = True
        action = OperationAction.SUCCEED if error is None else OperationAction.FAIL
        end = self.update(action, payload=payload, error=error)
        start = [self.update(OperationAction.START)] if must_start else []
        await self.invocation.writer.commit(*start, end)

    @property
    def is_ending(self) -> bool:
        """Whether its verdict is recorded or on its way to the service."""
        return self._is_deciding or super().is_ending

    def _replays(self, operation: Operation[Any]) -> bool:
        """Tell whether an operation that has ended here or before will say the same on replay."""
        return operation.is_unrecorded or operation.is_ending or operation not in self._contenders

    # --- losing -------------------------------------------------------------------------------------------

    def lose(self) -> None:
        """Note that it was cancelled, and with it the operations that were given to it."""
        super().lose()
        for operation in self._contenders:
            operation.lose()

    def release(self) -> None:
        """Note on replay that it had ended, and with it the operations that were given to it."""
        super().release()
        for operation in self._contenders:
            operation.release()

    def _lose_all_but(self, kept: Iterable[int]) -> None:
        """Note that the operations were cancelled, except those at the positions *kept*."""
        keeping = [self._operations[position] for position in kept]
        for operation in self._contenders:
            if not any(operation is one for one in keeping):
                operation.lose()

    def has_inside(self, other: Operation[Any]) -> bool:
        """Tell whether *other* is this one, or one of its operations, or inside of one."""
        return other is self or any(operation.has_inside(other) for operation in self._operations)

    # --- time ---------------------------------------------------------------------------------------------

    def tell_time(self) -> None:
        """Let ``ctx.now()`` know of the operations whose outcome is part of this one's."""
        for operation in self._observed():
            operation.tell_time()

    def ended_at(self) -> float:
        """Return the recorded end, or else that of the latest operation whose outcome is part of this one's."""
        if self.invocation.state.is_terminal(self.id):
            return super().ended_at()
        return max((operation.ended_at() for operation in self._observed()), default=super().ended_at())

    def _observed(self) -> Iterable[Operation[Any]]:
        """Return the operations whose outcome is part of this one's."""
        return self._operations
