"""What the service does to an execution on its own: timers, callbacks, chained invokes, stop.

Whatever completes an operation here also asks for an invocation (``ExecutionRecord.wake``), because the
function may be suspended on it.

A timer that is found due stamps what it ends with *its* instant, not with the time of the look. So it makes no
difference to an execution whether its service slept through a timer: a wait that was over before a callback's
answer ended before it, also if both were recorded on the same day after a restart. ``fire_due`` therefore runs
before any other change is made to a record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio._protocol import limits
from durable_trio._protocol.checkpoint_rules import check_error_size
from durable_trio._protocol.execution_status import (
    ExecutionStatus,
)
from durable_trio._protocol.history import EventDetails, event_type
from durable_trio._protocol.lifecycle import SERVICE_TRANSITIONS
from durable_trio._protocol.operation import (
    CallbackDetails,
    ChainedInvokeDetails,
    ErrorObject,
    OperationDetails,
    OperationRecord,
    OperationStatus,
    OperationType,
    StepDetails,
)
from durable_trio._protocol.quotas import DEFAULT_QUOTAS, Quotas
from durable_trio._protocol.refusals import RefusalReason, RefusedError
from durable_trio._protocol.timer_table import Timer, TimerKey, TimerKind
from durable_trio._protocol.value_class import replace

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._protocol.execution_record import (
        ExecutionRecord,
    )


def _advance(
    record: ExecutionRecord,
    operation: OperationRecord,
    status: OperationStatus,
    at: int,
    details: OperationDetails | None,
    event: EventDetails | None,
) -> None:
    """Move an operation by the service's own right, and ask for an invocation."""
    assert status in SERVICE_TRANSITIONS[operation.type].get(operation.status, ())  # noqa: S101
    moved = replace(operation, status=status, ended_at=at if status.is_terminal else None, details=details)
    record.put(moved)
    if event is not None:
        record.log(event_type(moved.type, status), at, moved, event)
    record.wake()


# --- timers ----------------------------------------------------------------------------------------------


def fire_due(record: ExecutionRecord, now: int) -> None:
    """End every timer that is due at *now*, in the order in which they are due."""
    while (timer := record.timers.next_due()) is not None and timer.due_at <= now:
        record.clear_timer(timer.key.kind, timer.key.operation_id)
        _FIRE[timer.key.kind](record, timer)


def _operation_of(record: ExecutionRecord, timer: Timer) -> OperationRecord:
    operation = record.operation(timer.key.operation_id)
    assert operation is not None  # noqa: S101  # a timer is set after its operation and cleared with it
    return operation


def _end_wait(record: ExecutionRecord, timer: Timer) -> None:
    wait = _operation_of(record, timer)
    event = EventDetails(duration_seconds=int(timer.period_seconds))
    _advance(record, wait, OperationStatus.SUCCEEDED, timer.due_at, wait.details, event)


def _make_ready(record: ExecutionRecord, timer: Timer) -> None:
    step = _operation_of(record, timer)
    assert isinstance(step.details, StepDetails)  # noqa: S101
    details = replace(step.details, next_attempt_at=None)
    # The history has no event for it: the next StepStarted tells.
    _advance(record, step, OperationStatus.READY, timer.due_at, details, None)


def _time_out_callback(record: ExecutionRecord, timer: Timer) -> None:
    is_heartbeat = timer.key.kind is TimerKind.CALLBACK_HEARTBEAT
    waited = (
        f"no heartbeat for {timer.period_seconds:g}"
        if is_heartbeat
        else f"no answer in {timer.period_seconds:g}"
    )
    error = ErrorObject(
        message=f"Callback timed out: {waited} seconds",
        type="Callback.Heartbeat" if is_heartbeat else "Callback.Timeout",
    )
    callback = _operation_of(record, timer)
    _end_callback(record, callback, OperationStatus.TIMED_OUT, timer.due_at, error=error)


def _invoke(record: ExecutionRecord, timer: Timer) -> None:
    del timer
    record.wake()


def _time_out_execution(record: ExecutionRecord, timer: Timer) -> None:
    error = ErrorObject(
        message=f"The execution did not end within {timer.period_seconds:g} seconds", type="Execution.Timeout"
    )
    record.close(ExecutionStatus.TIMED_OUT, timer.due_at, error=error)


_FIRE: dict[TimerKind, Callable[[ExecutionRecord, Timer], None]] = {
    TimerKind.WAIT_END: _end_wait,
    TimerKind.RETRY_READY: _make_ready,
    TimerKind.INVOCATION_DUE: _invoke,
    TimerKind.CALLBACK_HEARTBEAT: _time_out_callback,
    TimerKind.CALLBACK_TIMEOUT: _time_out_callback,
    TimerKind.EXECUTION_TIMEOUT: _time_out_execution,
}


# --- callbacks -------------------------------------------------------------------------------------------


def _open_callback(record: ExecutionRecord, operation_id: str) -> OperationRecord:
    callback = record.operation(operation_id)
    if callback is None or callback.type is not OperationType.CALLBACK:
        raise RefusedError("there is no callback with this id", RefusalReason.UNKNOWN_CALLBACK)
    if callback.status is not OperationStatus.STARTED:
        raise RefusedError(f"the callback is already {callback.status}", RefusalReason.CALLBACK_CLOSED)
    if record.status.is_closed:
        raise RefusedError(
            f"the callback's execution is already {record.status}", RefusalReason.CALLBACK_CLOSED
        )
    return callback


def _end_callback(
    record: ExecutionRecord,
    callback: OperationRecord,
    status: OperationStatus,
    at: int,
    *,
    result: str | None = None,
    error: ErrorObject | None = None,
) -> None:
    record.clear_timer(TimerKind.CALLBACK_TIMEOUT, callback.id)
    record.clear_timer(TimerKind.CALLBACK_HEARTBEAT, callback.id)
    assert isinstance(callback.details, CallbackDetails)  # noqa: S101
    details = replace(callback.details, result=result, error=error)
    _advance(record, callback, status, at, details, EventDetails(result=result, error=error))


def succeed_callback(record: ExecutionRecord, operation_id: str, result: str | None, now: int) -> None:
    """Complete a callback with the outside world's result.

    Raises:
        RefusedError: the callback is unknown or closed, or the result is too big.
    """
    size = len((result or "").encode("utf-8", "surrogatepass"))
    if size > limits.MAX_CALLBACK_RESULT_BYTES:
        raise RefusedError(f"Result must be at most {limits.MAX_CALLBACK_RESULT_BYTES} bytes, not {size}")
    callback = _open_callback(record, operation_id)
    _end_callback(record, callback, OperationStatus.SUCCEEDED, now, result=result)


def fail_callback(record: ExecutionRecord, operation_id: str, error: ErrorObject, now: int) -> None:
    """Complete a callback with the outside world's failure.

    Raises:
        RefusedError: the callback is unknown or closed, or the error is too big.
    """
    check_error_size(error, "of the callback", limits.MAX_CALLBACK_RESULT_BYTES)
    callback = _open_callback(record, operation_id)
    _end_callback(record, callback, OperationStatus.FAILED, now, error=error)


def beat_callback(record: ExecutionRecord, operation_id: str, now: int) -> None:
    """Start a callback's heartbeat time-out over; without one there is nothing to do.

    Raises:
        RefusedError: the callback is unknown or closed.
    """
    callback = _open_callback(record, operation_id)
    timer = record.timers.get(TimerKey(TimerKind.CALLBACK_HEARTBEAT, callback.id))
    if timer is not None:
        due_at = now + int(timer.period_seconds * 1000)
        record.set_timer(timer.key.kind, due_at, timer.period_seconds, callback.id)


# --- chained invokes -------------------------------------------------------------------------------------

_CHAINED_ENDS = {
    ExecutionStatus.SUCCEEDED: OperationStatus.SUCCEEDED,
    ExecutionStatus.FAILED: OperationStatus.FAILED,
    ExecutionStatus.TIMED_OUT: OperationStatus.TIMED_OUT,
    ExecutionStatus.STOPPED: OperationStatus.STOPPED,
}


def end_chained_invoke(
    record: ExecutionRecord,
    operation_id: str,
    child: ExecutionStatus,
    result: str | None,
    error: ErrorObject | None,
    now: int,
    quotas: Quotas = DEFAULT_QUOTAS,
) -> None:
    """Complete a chained invoke with the end of the execution it started. A result that is too big is a failure.

    Nothing happens if it is not open any more: its own execution may have ended first.
    """
    invoke = record.operation(operation_id)
    if invoke is None or invoke.status is not OperationStatus.STARTED or record.status.is_closed:
        return
    if child is ExecutionStatus.TIMED_OUT:
        error = ErrorObject(message=error.message if error else None, type="ChainedInvoke.Timeout")
    status, most = _CHAINED_ENDS[child], quotas.asynchronous_payload_bytes
    size = len((result or "").encode("utf-8", "surrogatepass"))
    if size > most:
        status, result = OperationStatus.FAILED, None
        error = ErrorObject(
            message=f"The result has {size} bytes; a chained invoke may have at most {most}",
            type="Function.ResponseSizeTooLarge",
        )
    details = ChainedInvokeDetails(result=result, error=error)
    _advance(record, invoke, status, now, details, EventDetails(result=result, error=error))


# --- stop ------------------------------------------------------------------------------------------------


def stop(record: ExecutionRecord, error: ErrorObject | None, now: int) -> int:
    """End an execution by force and return the instant it stopped at; one that has ended stays as it is.

    Raises:
        RefusedError: the error is too big.
    """
    if record.ended_at is not None:
        return record.ended_at
    if error is not None:
        check_error_size(error, "of the stop", limits.MAX_CALLBACK_RESULT_BYTES)
    record.close(ExecutionStatus.STOPPED, now, error=error)
    return now
