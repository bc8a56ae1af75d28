"""What an allowed update does to an operation, to the history and to the timers.

``checkpoint_rules`` has said that the move is legal and where it leads; nothing can go wrong any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from durable_trio._protocol.effects import ChainedInvokeStarted
from durable_trio._protocol.execution_status import ExecutionStatus
from durable_trio._protocol.history import EventDetails, event_type, update_event_type
from durable_trio._protocol.opaque import callback_id
from durable_trio._protocol.operation import (
    CallbackDetails,
    CallbackOptions,
    ChainedInvokeDetails,
    ChainedInvokeOptions,
    ContextDetails,
    ContextOptions,
    ErrorObject,
    OperationAction,
    OperationDetails,
    OperationRecord,
    OperationStatus,
    OperationType,
    OperationUpdate,
    StepDetails,
    StepOptions,
    WaitDetails,
    WaitOptions,
)
from durable_trio._protocol.timer_table import TimerKind
from durable_trio._protocol.value_class import frozen_dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._protocol.arns import ExecutionArn
    from durable_trio._protocol.checkpoint_rules import Move
    from durable_trio._protocol.execution_record import ExecutionRecord


@frozen_dataclass(frozen=True, slots=True)
class ChainedTarget:
    """What a chained invoke calls: the execution to be started, or the call of a function that is not durable."""

    arn: ExecutionArn
    is_durable: bool = True


ChainTarget: TypeAlias = "Callable[[ChainedInvokeOptions], ChainedTarget | None]"
"""Says what a chained invoke is to call; None if there is no such function."""


def apply_move(record: ExecutionRecord, move: Move, now: int, chain: ChainTarget) -> None:
    """Do what an update asks for, at *now* (epoch milliseconds)."""
    update, status = move.update, move.status
    if update.type is _EXECUTION:
        record.close(ExecutionStatus(status), now, result=update.payload, error=update.error)
        return
    before = record.operation(update.id)
    ended_at = now if status.is_terminal else None
    details = _details(record, update, before, now)
    if before is None:
        operation = OperationRecord(
            update.id,
            update.type,
            status,
            now,
            update.parent_id,
            update.name,
            update.sub_type,
            ended_at,
            details,
        )
    else:
        operation = OperationRecord(
            update.id,
            update.type,
            status,
            before.started_at,
            before.parent_id,
            before.name,
            before.sub_type,
            ended_at,
            details,
        )
    target = _chain_target(update, chain)
    record.put(operation)
    record.log(
        update_event_type(update.type, update.action, update.error),
        now,
        operation,
        _event_details(update, operation, target),
    )
    if update.options is not None or update.action is _CANCEL:
        _move_timers(record, update, now)
    if update.type is _CHAINED_INVOKE:
        _start_chained(record, update, operation, target, now)


# Looking a member up in its class takes ten times as long before Python 3.12.
_EXECUTION, _STEP, _CHAINED_INVOKE = (
    OperationType.EXECUTION,
    OperationType.STEP,
    OperationType.CHAINED_INVOKE,
)
_START, _RETRY, _CANCEL = OperationAction.START, OperationAction.RETRY, OperationAction.CANCEL


def _details(
    record: ExecutionRecord, update: OperationUpdate, before: OperationRecord | None, now: int
) -> OperationDetails:
    if update.type is _STEP:
        return _step_details(update, before, now)
    match update.type:
        case OperationType.CONTEXT:
            replays = isinstance(update.options, ContextOptions) and update.options.replay_children
            return ContextDetails(result=update.payload, error=update.error, replay_children=replays)
        case OperationType.WAIT:
            if before is not None and before.details is not None:
                return before.details
            assert isinstance(update.options, WaitOptions)  # noqa: S101  # plan_updates saw to it
            return WaitDetails(scheduled_end_at=now + update.options.wait_seconds * 1000)
        case OperationType.CALLBACK:
            return CallbackDetails(callback_id=callback_id(record.id, update.id))
        case _:
            return ChainedInvokeDetails()


def _step_details(update: OperationUpdate, before: OperationRecord | None, now: int) -> StepDetails:
    details = before.details if before is not None else None
    if not isinstance(details, StepDetails):
        details = StepDetails()
    if update.action is _START:
        # The result of the last poll stays: it is the state that the next one starts from.
        return details if details.next_attempt_at is None else replace(details, next_attempt_at=None)
    next_attempt_at = None
    if update.action is _RETRY:
        next_attempt_at = now + _retry_delay(update) * 1000
    return StepDetails(details.attempt + 1, next_attempt_at, update.payload, update.error)


def _retry_delay(update: OperationUpdate) -> int:
    assert isinstance(update.options, StepOptions)  # noqa: S101  # plan_updates saw to it
    assert update.options.next_attempt_delay_seconds is not None  # noqa: S101
    return update.options.next_attempt_delay_seconds


def _move_timers(record: ExecutionRecord, update: OperationUpdate, now: int) -> None:
    match update.action, update.options:
        case OperationAction.RETRY, _:
            seconds = _retry_delay(update)
            record.set_timer(TimerKind.RETRY_READY, now + seconds * 1000, seconds, update.id)
        case OperationAction.CANCEL, _:
            record.clear_timer(TimerKind.WAIT_END, update.id)
        case OperationAction.START, WaitOptions(seconds):
            record.set_timer(TimerKind.WAIT_END, now + seconds * 1000, seconds, update.id)
        case OperationAction.START, CallbackOptions(timeout, heartbeat):
            if timeout:
                record.set_timer(TimerKind.CALLBACK_TIMEOUT, now + timeout * 1000, timeout, update.id)
            if heartbeat:
                record.set_timer(TimerKind.CALLBACK_HEARTBEAT, now + heartbeat * 1000, heartbeat, update.id)


def _event_details(
    update: OperationUpdate, operation: OperationRecord, target: ChainedTarget | None
) -> EventDetails:
    match operation.details:
        case StepDetails(attempt) if update.action is not _START:
            delay = (
                update.options.next_attempt_delay_seconds if isinstance(update.options, StepOptions) else None
            )
            return EventDetails(
                result=update.payload, error=update.error, attempt=attempt, next_attempt_delay_seconds=delay
            )
        case WaitDetails(end_at) if isinstance(update.options, WaitOptions):
            return EventDetails(duration_seconds=update.options.wait_seconds, scheduled_end_at=end_at)
        case CallbackDetails(id_):
            options = update.options if isinstance(update.options, CallbackOptions) else CallbackOptions()
            return EventDetails(
                callback_id=id_,
                timeout_seconds=options.timeout_seconds,
                heartbeat_timeout_seconds=options.heartbeat_timeout_seconds,
            )
        case ChainedInvokeDetails() if isinstance(update.options, ChainedInvokeOptions):
            return EventDetails(
                input=update.payload,
                function_name=update.options.function_name,
                tenant_id=update.options.tenant_id,
                executed_version=target.arn.version if target else None,
                durable_execution_arn=str(target.arn) if target and target.is_durable else None,
            )
        case _:
            return EventDetails(result=update.payload, error=update.error)


def _chain_target(update: OperationUpdate, chain: ChainTarget) -> ChainedTarget | None:
    if not isinstance(update.options, ChainedInvokeOptions):
        return None
    return chain(update.options)


def _start_chained(
    record: ExecutionRecord,
    update: OperationUpdate,
    operation: OperationRecord,
    target: ChainedTarget | None,
    now: int,
) -> None:
    assert isinstance(update.options, ChainedInvokeOptions)  # noqa: S101  # plan_updates saw to it
    if target is not None:
        tenant_id, payload = update.options.tenant_id, update.payload or ""
        record.tell(
            ChainedInvokeStarted(operation.id, target.arn, payload, tenant_id, is_durable=target.is_durable)
        )
        return
    error = ErrorObject(
        message=f"Function not found: {update.options.function_name}", type="ResourceNotFoundException"
    )
    failed = replace(
        operation,
        status=OperationStatus.FAILED,
        ended_at=now,
        details=ChainedInvokeDetails(error=error),
    )
    record.put(failed)
    record.log(event_type(failed.type, failed.status), now, failed, EventDetails(error=error))
