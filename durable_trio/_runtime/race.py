"""``ctx.race`` and ``ctx.any``: the first of several operations to end, or to succeed.

The winner's position is recorded (a context of subtype Race or Any, started and closed in one request) before
anybody sees its value; the value is the operation's own record. On replay the winner alone is asked, whatever has
become of the others in the meantime.

A ``race`` is won by the first operation to *end*: if that failed, the race raises its error. So a race is closed
by SUCCEED with the winner's position even then; only if the failure has no record of its own (an argument that
could not be sent, say) does the race hold it, closed by FAIL, with the position in its ErrorData.

``any`` is won by the first to *succeed*. When all have failed it is closed by FAIL, and raises an
``ExceptionGroup`` with every operation's error, in the order given; what they are replays from their own records.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, TypeVar

import trio

from durable_trio._protocol.replay import Begin, RaiseRecorded, Replay, ReplayChildren, decide_context
from durable_trio._protocol.value_class import replace
from durable_trio._protocol.wire import WireError, decode_error, encode_error
from durable_trio._runtime.combinators import Combinator
from durable_trio._runtime.failures import error_object, fitted, recorded_error
from durable_trio.exceptions import NonDeterministicExecutionError, OperationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from durable_trio._protocol.operation import ErrorObject
    from durable_trio._protocol.replay import Identity
    from durable_trio._runtime.node import ContextNode
    from durable_trio._runtime.operation import Operation

T_co = TypeVar("T_co", covariant=True)

NONE_SUCCEEDED: Final = "no operation of ctx.any succeeded"


class FirstOperation(Combinator[T_co]):
    """What ``race`` and ``any`` share: a winner, and its record."""

    __slots__ = ("_winner",)

    def __init__(self, node: ContextNode, identity: Identity, operations: Sequence[Operation[Any]]) -> None:
        super().__init__(node, identity, operations)
        self._winner: int | None = None

    async def _execute(self) -> T_co:
        match decide_context(self.recorded()):
            case Replay(payload) | ReplayChildren(payload):
                return await self._replay(payload)
            case RaiseRecorded(_, recorded):
                raise await self._failure_again(recorded)
            case Begin(must_start):
                return await self._decide(must_start=must_start)

    @abstractmethod
    async def _decide(self, *, must_start: bool) -> T_co:
        """Run the operations until one has won; record the verdict and give the winner's outcome."""

    @abstractmethod
    async def _failure_again(self, recorded: ErrorObject | None) -> Exception:
        """Return the failure that the verdict holds."""

    async def _record_winner(self, winner: int, *, must_start: bool) -> T_co:
        self._winner = winner
        await self._commit_verdict(must_start=must_start, payload=str(winner))
        self._lose_all_but([winner])
        value: T_co = self._operations[winner].value
        return value

    async def _replay(self, payload: str | None) -> T_co:
        winner = _position(payload, len(self._operations))
        if winner is None:
            self.invocation.fail(
                NonDeterministicExecutionError(
                    f"{self.title} has {len(self._operations)} operations now, but {payload!r:.40} is recorded as the"
                    " winner: what was given to it has changed since the execution started"
                )
            )
        self._winner = winner
        self._lose_all_but([winner])
        await self._operations[winner].run()
        value: T_co = self._operations[winner].value
        return value

    def _observed(self) -> Iterable[Operation[Any]]:
        return () if self._winner is None else [self._operations[self._winner]]


class RaceOperation(FirstOperation[T_co]):
    """The outcome of whichever operation ends first."""

    __slots__ = ()

    kind: ClassVar[str] = "race"

    async def _decide(self, *, must_start: bool) -> T_co:
        winner = await self._contend(lambda _: True, self._in_time())
        if winner is None:
            raise AssertionError("a race ended without a winner")
        operation = self._operations[winner]
        if operation.error is not None and not self._replays(operation):
            await self._fail(operation.error, winner, must_start=must_start)
        return await self._record_winner(winner, must_start=must_start)

    def _in_time(self) -> list[int]:
        """Return which operations may have ended first: when one is recorded as ended, no new one needs to start."""
        state = self.invocation.state
        everything = range(len(self._operations))
        if not any(state.is_terminal(operation.id) for operation in self._operations):
            return list(everything)
        return [
            index
            for index, operation in enumerate(self._operations)
            if operation.is_unrecorded or isinstance(operation, Combinator) or state.get(operation.id)
        ]

    async def _fail(self, error: Exception, winner: int, *, must_start: bool) -> NoReturn:
        recorded = replace(error_object(error), data=json.dumps({"index": winner}))
        await self._commit_verdict(must_start=must_start, error=fitted(recorded))
        raise await self._failure_again(recorded) from None

    async def _failure_again(self, recorded: ErrorObject | None) -> Exception:
        self._lose_all_but([])
        await trio.lowlevel.checkpoint()
        return recorded_error(recorded, OperationError, self._identity)


class AnyOperation(FirstOperation[T_co]):
    """The value of whichever operation succeeds first."""

    __slots__ = ()

    kind: ClassVar[str] = "any"

    async def _decide(self, *, must_start: bool) -> T_co:
        winner = await self._contend(lambda operation: operation.error is None)
        if winner is not None:
            return await self._record_winner(winner, must_start=must_start)
        recorded = self._recorded_failures()
        await self._commit_verdict(must_start=must_start, error=recorded)
        raise await self._failure_again(recorded)

    def _recorded_failures(self) -> ErrorObject:
        errors = [operation.error for operation in self._operations]
        group = error_object(self._group(errors))
        data = json.dumps(
            {"errors": [encode_error(error_object(error)) for error in errors if error is not None]}
        )
        return fitted(replace(group, data=data, stack=()))

    async def _failure_again(self, recorded: ErrorObject | None) -> Exception:
        errors: list[Exception | None] = []
        for index, operation in enumerate(self._operations):
            if self._replays(operation):
                await operation.run()
                errors.append(operation.error)
            else:
                # It failed without a record of its own: the verdict has it.
                operation.lose()
                errors.append(recorded_error(_error_at(recorded, index), OperationError, operation.identity))
        await trio.lowlevel.checkpoint()
        return self._group(errors)

    def _group(self, errors: Sequence[Exception | None]) -> ExceptionGroup[Exception]:
        if None in errors:
            self.invocation.fail(
                NonDeterministicExecutionError(
                    f"{self.title} is recorded as failed, but one of its operations has succeeded: what was given to it"
                    " has changed since the execution started"
                )
            )
        return ExceptionGroup(NONE_SUCCEEDED, [error for error in errors if error is not None])

    def _observed(self) -> Iterable[Operation[Any]]:
        return self._operations if self._winner is None else super()._observed()


def _position(payload: str | None, count: int) -> int | None:
    """Return the position that a verdict names; None if there is no such operation."""
    try:
        position = json.loads(payload or "")
    except ValueError:
        return None
    return position if type(position) is int and 0 <= position < count else None


def _error_at(recorded: ErrorObject | None, index: int) -> ErrorObject | None:
    """Return the error of the operation at *index* as the verdict of ``any`` holds it; the verdict's if it does not."""
    try:
        return decode_error(json.loads((recorded.data if recorded else None) or "")["errors"][index])
    except (WireError, ValueError, LookupError, TypeError):
        return recorded
