"""One call of a function that is not durable, kept by the service so that it is not lost.

A chained invoke may call such a function, and so may an invoke for whose answer nobody waits. The call is recorded
as an execution of its own, which is never shown to anybody: what is known about executions (who drives it, what
happens when its host dies, how it is retried) then holds for it as well. There is one operation in it, the
EXECUTION; it is over as soon as the function has answered.

A function that fails is called again only if nobody waits for the answer: a chained invoke gets the failure.
"""

from __future__ import annotations

from typing import TypeAlias

from durable_trio._protocol.effects import InvocationStarted
from durable_trio._protocol.execution_record import ActiveInvocation, ExecutionRecord
from durable_trio._protocol.execution_status import ExecutionStatus
from durable_trio._protocol.invocation_rules import Crashed, RetryPolicy, retry_invocation
from durable_trio._protocol.operation import ExecutionDetails
from durable_trio._protocol.value_class import frozen_dataclass


@frozen_dataclass(frozen=True, slots=True)
class Returned:
    """The function has answered with this JSON text."""

    payload: str


PlainOutcome: TypeAlias = Returned | Crashed


def begin_call(record: ExecutionRecord, request_id: str, now: int) -> str:
    """Start the call that is due and return its payload."""
    assert record.is_invocation_due and record.active is None  # noqa: S101, PT018
    record.invocation_count += 1
    record.is_invocation_due = False
    record.active = ActiveInvocation(request_id, record.invocation_count, now)
    record.tell(InvocationStarted(request_id, record.invocation_count))
    details = record.execution_operation.details
    return (details.input_payload or "") if isinstance(details, ExecutionDetails) else ""


def end_call(
    record: ExecutionRecord,
    request_id: str,
    outcome: PlainOutcome,
    now: int,
    policy: RetryPolicy,
    spread: float,
) -> None:
    """Note how a call ended; ignored unless it is the active one. *spread* is a random number in [0, 1]."""
    if record.active is None or record.active.request_id != request_id:
        return
    record.active = None
    record.changed()
    if record.status.is_closed:
        return
    match outcome:
        case Returned(payload):
            record.close(ExecutionStatus.SUCCEEDED, now, result=payload)
        case Crashed(error) if record.identity.parent is not None:
            record.close(ExecutionStatus.FAILED, now, error=error)
        case Crashed(error):
            record.failures_in_row += 1
            retry_invocation(record, error, record.failures_in_row, policy.max_failures, now, policy, spread)
