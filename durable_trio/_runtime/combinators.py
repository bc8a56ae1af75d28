"""``ctx.all``: several operations of one context at once.

The operations have their ids before the combinator takes its own, and the combinator takes one whether or
not it records anything, so ids after it do not depend on how it ended. When everything succeeds nothing is
recorded. ``all`` fails fast, with the *first* failure: the others are cancelled and joined, and the verdict is
recorded (a context of subtype All, started and failed in one request) before anybody sees the error. On
replay the failing operation alone is asked for its error; the cancelled ones do not run again.

A suspended operation is neither success nor failure.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

import trio

from durable_trio._protocol.operation import ErrorObject, OperationAction
from durable_trio._protocol.replay import Identity, RaiseRecorded, decide_context
from durable_trio._runtime.actor import run_counted
from durable_trio._runtime.cancelling import RuntimeReason
from durable_trio._runtime.failures import error_object, is_fatal, recorded_error
from durable_trio._runtime.operation import Operation
from durable_trio._runtime.supervisor import Join
from durable_trio.exceptions import OperationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable_trio._runtime.node import ContextNode

T_co = TypeVar("T_co", covariant=True)


class AllOperation(Operation[T_co]):
    """Runs operations concurrently; a tuple of them gives a tuple of values, anything else a list."""

    __slots__ = ("_cls", "_first_failed", "_operations")

    kind: ClassVar[str] = "all"
    _tells_time: ClassVar[bool] = False  # its operations do

    def __init__(
        self, node: ContextNode, identity: Identity, operations: Sequence[Operation[Any]], *, as_tuple: bool
    ) -> None:
        super().__init__(node, identity)
        self._operations = operations
        self._cls: type[Any] = tuple if as_tuple else list
        self._first_failed: int | None = None

    def was_settled(self) -> bool:
        """It records nothing when it succeeds: its past is that of its operations."""
        state = self.invocation.state
        return state.is_settled(self.id) or all(operation.was_settled() for operation in self._operations)

    async def _execute(self) -> T_co:
        record = self.recorded_verdict()
        match decide_context(record):
            case RaiseRecorded(_, recorded):
                await self._raise_again(recorded)
            case _:
                await self._run_all()
        if self._first_failed is not None:
            await self._commit_verdict(self._first_failed)
        values: T_co = self._cls(operation.value for operation in self._operations)
        return values

    def recorded_verdict(self) -> Any:
        """Return the record of this combinator, if it has one."""
        if self.invocation.state.get(self.id) is None:
            return None  # nothing is recorded of an ``all`` that succeeded, nor of one that is not decided
        return self.recorded()

    async def _run_all(self) -> None:
        if not self._operations:
            await trio.lowlevel.checkpoint()
            return
        join = Join(self.invocation.supervisor)
        for _ in self._operations:
            join.child_started()
        with join:
            async with trio.open_nursery() as nursery:

                async def actor(index: int) -> None:
                    await self._operations[index].run()
                    if self._operations[index].error is not None and self._first_failed is None:
                        self._first_failed = index
                        join.decide()
                        nursery.cancel_scope.cancel(RuntimeReason("an operation of ctx.all failed"))

                for index in range(len(self._operations)):
                    nursery.start_soon(run_counted, join, lambda index=index: actor(index))

    async def _raise_again(self, recorded: ErrorObject | None) -> None:
        """Raise the recorded failure: the failing operation's own, which replays, or else the verdict's."""
        index, ended = _verdict_of(recorded)
        for position, loser in enumerate(self._operations):
            if position in ended:
                loser.release()
            else:
                loser.lose()
        if index is not None and index < len(self._operations):
            operation = self._operations[index]
            # What has no record of its own (a virtual context) runs again over its finished operations.
            if operation.is_unrecorded or self.invocation.state.is_terminal(operation.id):
                await operation.run()
                if operation.error is not None:
                    raise operation.error
        await trio.lowlevel.checkpoint()
        raise recorded_error(recorded, OperationError, self._identity)

    async def _commit_verdict(self, index: int) -> NoReturn:
        error = self._operations[index].error
        if error is None:
            raise AssertionError("the operation that failed first has no error")
        if is_fatal(error):
            self.invocation.fail(error)
        # What has no record of its own says nothing on replay about whether it had ended.
        ended = [
            position
            for position, operation in enumerate(self._operations)
            if operation.has_ended and not self.invocation.state.is_terminal(operation.id)
        ]
        recorded = replace(error_object(error), data=json.dumps({"index": index, "ended": ended}))
        await self.invocation.writer.commit(
            self.update(OperationAction.START), self.update(OperationAction.FAIL, error=recorded)
        )
        raise error


def _verdict_of(recorded: ErrorObject | None) -> tuple[int | None, list[int]]:
    """Return which operation failed, and which had ended without a record of their own."""
    try:
        verdict = json.loads(recorded.data) if recorded and recorded.data else {}
        return int(verdict["index"]), [int(index) for index in verdict["ended"]]
    except (ValueError, LookupError, TypeError):
        return None, []
