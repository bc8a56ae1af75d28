"""``ctx.all`` and ``ctx.all_settled``: the outcomes of several operations, together.

When everything succeeds ``all`` records nothing. It fails fast, with the *first* failure: the others are cancelled
and joined, and the verdict is recorded (a context of subtype All, started and failed in one request) before
anybody sees the error. On replay the failing operation alone is asked for its error; the cancelled ones do not run
again. What had ended without a record of its own by then (an inner ``all``, a virtual context) is listed in the
verdict, so that it may be asked again on replay, too.

``all_settled`` waits for all of them, however they end, and records nothing at all: its outcomes are theirs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

import trio

from durable_trio._protocol.replay import Begin, Identity, RaiseRecorded, decide_context
from durable_trio._protocol.value_class import replace
from durable_trio._runtime.combinators import Combinator
from durable_trio._runtime.failures import error_object, recorded_error
from durable_trio.exceptions import OperationError
from durable_trio.settled import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from durable_trio._protocol.operation import ErrorObject
    from durable_trio._runtime.node import ContextNode
    from durable_trio._runtime.operation import Operation

T_co = TypeVar("T_co", covariant=True)


def _has_failed(operation: Operation[Any]) -> bool:
    return operation.error is not None


def _never(_: Operation[Any]) -> bool:
    return False


class AllOperation(Combinator[T_co]):
    """Runs operations concurrently; a tuple of them gives a tuple of values, anything else a list."""

    __slots__ = ("_cls", "_culprit")

    kind: ClassVar[str] = "all"

    def __init__(
        self, node: ContextNode, identity: Identity, operations: Sequence[Operation[Any]], *, as_tuple: bool
    ) -> None:
        super().__init__(node, identity, operations)
        self._cls: type[Any] = tuple if as_tuple else list
        self._culprit: int | None = None

    def was_settled(self) -> bool:
        """It records nothing when it succeeds: its past is that of its operations."""
        state = self.invocation.state
        return state.is_settled(self.id) or all(operation.was_settled() for operation in self._operations)

    async def _execute(self) -> T_co:
        # Nothing is recorded of an ``all`` that succeeded, nor of one that is not decided.
        record = None if self.invocation.state.get(self.id) is None else self.recorded()
        match decide_context(record):
            case RaiseRecorded(_, recorded):
                await self._raise_again(recorded)
            case decision:
                self._culprit = await self._contend(_has_failed)
                if self._culprit is not None:
                    must_start = not isinstance(decision, Begin) or decision.must_start
                    await self._fail(self._culprit, must_start=must_start)
        values: T_co = self._cls(operation.value for operation in self._operations)
        return values

    async def _fail(self, culprit: int, *, must_start: bool) -> NoReturn:
        error = self._operations[culprit].error
        if error is None:
            raise AssertionError("the operation that failed first has no error")
        # What has no record of its own says nothing on replay about whether it had ended.
        ended = [
            position
            for position, operation in enumerate(self._operations)
            if operation.has_ended and not self.invocation.state.is_terminal(operation.id)
        ]
        recorded = replace(error_object(error), data=json.dumps({"index": culprit, "ended": ended}))
        replays = self._replays(self._operations[culprit])
        await self._commit_verdict(must_start=must_start, error=recorded)
        self._lose_all_but([culprit, *ended])
        if not replays:
            raise recorded_error(recorded, OperationError, self._identity) from None
        raise error

    async def _raise_again(self, recorded: ErrorObject | None) -> None:
        """Raise the recorded failure: the failing operation's own, which replays, or else the verdict's."""
        culprit, ended = _verdict_of(recorded, len(self._operations))
        for position in ended:
            self._operations[position].release()
        self._lose_all_but(ended if culprit is None else [culprit, *ended])
        if culprit is not None:
            operation = self._operations[culprit]
            # What has no record of its own (a virtual context) runs again over its finished operations.
            if self._replays(operation):
                self._culprit = culprit
                await operation.run()
                if operation.error is not None:
                    raise operation.error
        await trio.lowlevel.checkpoint()
        raise recorded_error(recorded, OperationError, self._identity)

    def _observed(self) -> Iterable[Operation[Any]]:
        return self._operations if self._culprit is None else [self._operations[self._culprit]]


class AllSettledOperation(Combinator[T_co]):
    """Runs operations concurrently to their ends, and gives the outcome of each, in the order given."""

    __slots__ = ()

    kind: ClassVar[str] = "all_settled"

    def was_settled(self) -> bool:
        """Its past is that of its operations."""
        return all(operation.was_settled() for operation in self._operations)

    async def _execute(self) -> T_co:
        self.refuse_record()
        await self._contend(_never)
        outcomes: Any = [
            Outcome(operation.value) if operation.error is None else Outcome(error=operation.error)
            for operation in self._operations
        ]
        settled: T_co = outcomes
        return settled


def _verdict_of(recorded: ErrorObject | None, count: int) -> tuple[int | None, list[int]]:
    """Return which operation failed, and which had ended without a record of their own."""
    try:
        verdict = json.loads(recorded.data) if recorded and recorded.data else {}
        index, ended = int(verdict["index"]), [int(position) for position in verdict["ended"]]
    except (ValueError, LookupError, TypeError, OverflowError):
        return None, []
    if not all(0 <= position < count for position in (index, *ended)):
        return None, []
    return index, ended
