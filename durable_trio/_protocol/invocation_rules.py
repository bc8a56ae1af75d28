"""When the function is called, and what its answer means.

One invocation of an execution is active at a time. It begins with a new token (older ones are fenced off) and is
shown everything there is; it ends with one of

- SUCCEEDED or FAILED: the execution closes, unless an EXECUTION update closed it before;
- PENDING: accepted if the function was not shown some change (it is called again at once: no wake-up gets lost), if
  something will wake it, or if a step is ready to run and the invocation got something done (it ran out of time, and
  is called again at once). Anything else could sleep for ever; it gets a few tries in a row and then fails;
- an answer that is none of these, or contradicts itself: the execution fails at once;
- no answer, because it raised, died or took too long: called again after a delay that grows, and failed when the
  budget of failures *in a row* is spent. Nothing that was checkpointed is lost.

An invocation whose host died is none of these. It is not counted; the next one follows at once.
"""

from __future__ import annotations

from typing import TypeAlias

from durable_trio._protocol.effects import (
    InvocationEnded,
    InvocationStarted,
)
from durable_trio._protocol.envelope import Failed, InvocationInput, Outcome, Pending, Succeeded
from durable_trio._protocol.execution_record import (
    ActiveInvocation,
    ExecutionRecord,
)
from durable_trio._protocol.execution_status import (
    ExecutionStatus,
)
from durable_trio._protocol.history import EventDetails, EventType
from durable_trio._protocol.lifecycle import is_waiting_for_service
from durable_trio._protocol.opaque import checkpoint_token
from durable_trio._protocol.operation import ErrorObject, OperationStatus
from durable_trio._protocol.pages import PageLimits, state_page
from durable_trio._protocol.pausing import enter_pause
from durable_trio._protocol.timer_table import TimerKind
from durable_trio._protocol.value_class import frozen_dataclass

NOTHING_PENDING = ErrorObject(
    message="Cannot return PENDING status with no pending operations", type="InvalidParameterValueException"
)
HOST_DIED = ErrorObject(message="The process that ran the invocation ended", type="Runtime.ExitError")


@frozen_dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and how soon, a failed invocation is tried again.

    Attributes:
        max_failures: how many failed invocations in a row fail the execution.
        max_invalid_pendings: how many invalid PENDING answers in a row do.
        first_delay_seconds: the delay after the first failure.
        multiplier: how much longer each further delay is.
        max_delay_seconds: what no delay exceeds.
    """

    max_failures: int = 5
    max_invalid_pendings: int = 3
    first_delay_seconds: float = 1.0
    multiplier: float = 2.0
    max_delay_seconds: float = 60.0

    def delay_seconds(self, failures: int, spread: float) -> float:
        """Return the delay after *failures* in a row; *spread* in [0, 1] picks from its upper half."""
        longest = min(self.first_delay_seconds * self.multiplier ** (failures - 1), self.max_delay_seconds)
        return longest * (0.5 + spread / 2)


@frozen_dataclass(frozen=True, slots=True)
class Crashed:
    """The function gave no answer: it raised, died or took too long."""

    error: ErrorObject


@frozen_dataclass(frozen=True, slots=True)
class InvalidAnswer:
    """The function answered something that is no answer."""

    message: str


InvocationOutcome: TypeAlias = Outcome | Crashed | InvalidAnswer


def begin_invocation(
    record: ExecutionRecord, request_id: str, now: int, page_limits: PageLimits
) -> InvocationInput:
    """Start the invocation that is due and return what the function is called with."""
    assert record.is_invocation_due and record.active is None  # noqa: S101, PT018
    updated = frozenset(entry.operation.id for entry in record.unseen())
    record.invocation_count += 1
    record.token_sequence += 1
    record.is_invocation_due = False
    record.active = ActiveInvocation(request_id, record.invocation_count, now)
    record.mark_shown()
    record.tell(InvocationStarted(request_id, record.invocation_count))
    page = state_page(record, "", page_limits)
    return InvocationInput(
        durable_execution_arn=str(record.identity.arn),
        checkpoint_token=checkpoint_token(record.id, record.token_sequence),
        operations=page.operations,
        next_marker=page.next_marker,
        updated_operation_ids=updated,
    )


def end_invocation(
    record: ExecutionRecord,
    request_id: str,
    outcome: InvocationOutcome,
    now: int,
    policy: RetryPolicy,
    spread: float,
) -> None:
    """Note the end of an invocation and do what its outcome asks for.

    An invocation that is not the active one (another host took the execution over) is ignored. *spread* is a
    random number in [0, 1], for the delay of a retry.
    """
    active = record.active
    if active is None or active.request_id != request_id:
        return
    is_idle = isinstance(outcome, Pending) and _would_sleep_for_ever(record, active)
    _log_end(record, active, now, NOTHING_PENDING if is_idle else _failure(outcome))
    record.active = None
    record.token_sequence += 1
    if record.status.is_closed:
        return
    match outcome:
        case Succeeded(result):
            record.close(ExecutionStatus.SUCCEEDED, now, result=result)
        case Failed(error):
            record.close(ExecutionStatus.FAILED, now, error=error)
        case InvalidAnswer():
            record.close(ExecutionStatus.FAILED, now, error=_failure(outcome))
        case Crashed(error):
            record.failures_in_row += 1
            retry_invocation(record, error, record.failures_in_row, policy.max_failures, now, policy, spread)
        case Pending() if is_idle:
            record.invalid_pendings_in_row += 1
            tries = record.invalid_pendings_in_row
            retry_invocation(record, NOTHING_PENDING, tries, policy.max_invalid_pendings, now, policy, spread)
        case Pending():
            record.failures_in_row = record.invalid_pendings_in_row = 0
            # An invocation that a pause has cut short goes on where it was.
            # A step that stays READY beside something else may belong to a branch that lost: nobody will start it,
            # and waking the execution for its sake would wake it for ever.
            is_ready = _has_ready_step(record) and not _is_anything_pending(record)
            if active.is_withheld or record.unseen() or is_ready:
                record.wake()
    if record.status is ExecutionStatus.PAUSING:
        enter_pause(record, now)


def lose_invocation(record: ExecutionRecord, now: int) -> None:
    """Note that the host of the active invocation died; another one is due at once."""
    active = record.active
    if active is None:
        return
    _log_end(record, active, now, HOST_DIED)
    record.active = None
    record.token_sequence += 1
    record.wake()
    if record.status is ExecutionStatus.PAUSING:
        enter_pause(record, now)


def _would_sleep_for_ever(record: ExecutionRecord, active: ActiveInvocation) -> bool:
    if active.is_withheld or record.status.is_closed or record.unseen():
        return False
    if _is_anything_pending(record):
        return False
    return not (active.has_progress and _has_ready_step(record))


def _is_anything_pending(record: ExecutionRecord) -> bool:
    operations = (entry.operation for entry in record.entries())
    return any(is_waiting_for_service(operation.type, operation.status) for operation in operations)


def _has_ready_step(record: ExecutionRecord) -> bool:
    return any(entry.operation.status is OperationStatus.READY for entry in record.entries())


def _failure(outcome: InvocationOutcome) -> ErrorObject | None:
    """Return why the *invocation* failed; an execution that failed in good order is none of its faults."""
    match outcome:
        case Crashed(error):
            return error
        case InvalidAnswer(message):
            return ErrorObject(message=f"Invalid response: {message}", type="InvalidResponse")
        case _:
            return None


def _log_end(record: ExecutionRecord, active: ActiveInvocation, now: int, error: ErrorObject | None) -> None:
    details = EventDetails(
        started_at=active.started_at, ended_at=now, request_id=active.request_id, error=error
    )
    record.log(EventType.INVOCATION_COMPLETED, now, None, details)
    record.tell(InvocationEnded(active.request_id, active.number, error))


def retry_invocation(
    record: ExecutionRecord,
    error: ErrorObject,
    tries: int,
    max_tries: int,
    now: int,
    policy: RetryPolicy,
    spread: float,
) -> None:
    """Have the function called again after a delay, or fail the execution with *error* after the last try."""
    if tries >= max_tries:
        record.close(ExecutionStatus.FAILED, now, error=error)
        return
    seconds = policy.delay_seconds(tries, spread)
    record.set_timer(TimerKind.INVOCATION_DUE, now + int(seconds * 1000), seconds)
