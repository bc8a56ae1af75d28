"""Undoing: the compensations of a saga, or of a context, run in reverse order.

What is undone is what *succeeded by the record*: an operation that was cut off while its end was on its way to the
service has had its effect, if that end was stored. So everything that is queued is stored first, and then the
record is asked. What failed, or was cut off in the middle, has no result to undo.

Each compensation is a context of subtype Compensation, whose id is made from the saga's and the number of what it
undoes: it comes out the same whatever else happened. It is a child context like any other, so its steps may be
retried and it may wait. One that fails is recorded, and the next one runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from durable_trio._protocol.ids import operation_id
from durable_trio._protocol.operation import OperationStatus, OperationType, SubType
from durable_trio._protocol.replay import Identity
from durable_trio._protocol.value_class import frozen_dataclass as dataclass
from durable_trio._protocol.verdicts import CompensationRecord, decode_report, encode_report
from durable_trio._protocol.wire import WireError
from durable_trio._runtime.bodies import default_name
from durable_trio._runtime.child import ChildContext, ContextOperation
from durable_trio._runtime.failures import error_object, is_fatal, recorded_error
from durable_trio._runtime.saga_report import Compensation, CompensationReport
from durable_trio.exceptions import ChildContextError, SerDesError
from durable_trio.serdes import plain_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from durable_trio._runtime.context_base import ContextBase
    from durable_trio._runtime.invocation import Invocation
    from durable_trio._runtime.node import ContextNode
    from durable_trio._runtime.operation import Operation


@dataclass(frozen=True, slots=True)
class Registered:
    """An operation and what undoes it: ``compensate(child_ctx, result)``."""

    step: int
    operation: Operation[Any]
    compensate: Callable[[Any, Any], Awaitable[object]]


async def undo(node: ContextNode, saga_id: str, registered: Sequence[Registered]) -> list[CompensationRecord]:
    """Undo what succeeded of *registered*, last first, in *node*, which is open for it."""
    invocation = node.invocation
    await invocation.writer.flush()
    return [
        await _undo_one(node, saga_id, one)
        for one in reversed(registered)
        if _has_succeeded(invocation, one.operation)
    ]


def _has_succeeded(invocation: Invocation, operation: Operation[Any]) -> bool:
    record = invocation.state.get(operation.id)
    return record is not None and record.status is OperationStatus.SUCCEEDED


async def _undo_one(node: ContextNode, saga_id: str, one: Registered) -> CompensationRecord:
    identity = Identity(
        id=operation_id(saga_id, f"undo-{one.step}"),
        type=OperationType.CONTEXT,
        sub_type=SubType.COMPENSATION,
        name=default_name(one.compensate),
        parent_id=node.parent_id,
        is_default_name=True,
    )
    try:
        # It has ended by its record. If it was cut off before it heard of that, it is replayed here.
        await one.operation.run()
        await ChildContext(
            node, identity, _forgetful, (one.compensate, one.operation.value), serdes=plain_json
        )
    except Exception as error:
        if is_fatal(error) or node.invocation.is_closing or node.invocation.supervisor.is_cancelled:
            raise
        return CompensationRecord(one.step, identity.id, one.operation.name, error_object(error))
    return CompensationRecord(one.step, identity.id, one.operation.name)


async def _forgetful(ctx: Any, compensate: Callable[[Any, Any], Awaitable[object]], result: Any) -> None:
    """Run a compensation; what it returns is nobody's business, and need not be storable."""
    await compensate(ctx, result)


class CompensationsOperation(ContextOperation[CompensationReport]):
    """``ctx.run_compensations``: undoes what was registered with a context; its value is the report."""

    __slots__ = ()

    kind: ClassVar[str] = "compensations"

    def __init__(self, node: ContextNode, identity: Identity, registered: Sequence[Registered]) -> None:
        super().__init__(node, identity, self._undo, (registered,), serdes=plain_json)

    async def _undo(self, ctx: ContextBase, registered: Sequence[Registered]) -> list[CompensationRecord]:
        return await undo(ctx._node, self.id, registered)

    def _encoded(self, value: Any) -> str | None:
        return encode_report(value)

    def _decoded(self, payload: str | None) -> CompensationReport:
        try:
            return report_of(decode_report(payload) or ())
        except WireError as problem:
            raise SerDesError(f"cannot replay {self.title}: {problem}") from problem


def report_of(records: Sequence[CompensationRecord]) -> CompensationReport:
    """Return what the user gets to see of *records*, the same on the first run and on replay."""
    return CompensationReport(tuple(_compensation(one) for one in records))


def _compensation(one: CompensationRecord) -> Compensation:
    error = None
    if one.error is not None:
        identity = Identity(one.operation_id, OperationType.CONTEXT, SubType.COMPENSATION, one.name, None)
        error = recorded_error(one.error, ChildContextError, identity)
    return Compensation(one.step, one.name, one.operation_id, error)
