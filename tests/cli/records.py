"""Operation records, as short to write as a test wants them."""

from __future__ import annotations

from durable_trio._protocol.operation import (
    DETAILS,
    CallbackDetails,
    ErrorObject,
    OperationDetails,
    OperationRecord,
    OperationStatus,
    OperationType,
    StepDetails,
    WaitDetails,
)

STARTED = OperationStatus.STARTED
PENDING = OperationStatus.PENDING
SUCCEEDED = OperationStatus.SUCCEEDED
FAILED = OperationStatus.FAILED

EPOCH = 1_795_177_539_000
"""When every operation of these tests starts."""


def record(
    id_: str,
    type_: OperationType,
    status: OperationStatus = STARTED,
    *,
    parent: str | None = None,
    sub_type: str | None = None,
    took: int = 1_000,
    details: OperationDetails | None = None,
) -> OperationRecord:
    """Make a record that is named like its id and, if it has ended, took *took* milliseconds."""
    return OperationRecord(
        id=id_,
        type=type_,
        status=status,
        started_at=EPOCH,
        parent_id=parent,
        name=id_,
        sub_type=sub_type,
        ended_at=EPOCH + took if status.is_terminal else None,
        details=DETAILS[type_]() if details is None else details,
    )


def step(
    id_: str,
    status: OperationStatus = STARTED,
    *,
    parent: str | None = None,
    attempt: int = 0,
    due_at: int | None = None,
    error: ErrorObject | None = None,
) -> OperationRecord:
    """Make a step with *attempt* finished attempts."""
    details = StepDetails(attempt=attempt, next_attempt_at=due_at, error=error)
    return record(id_, OperationType.STEP, status, parent=parent, sub_type="Step", details=details)


def context(
    id_: str, sub_type: str, status: OperationStatus = STARTED, *, parent: str | None = None
) -> OperationRecord:
    """Make a context of *sub_type*."""
    return record(id_, OperationType.CONTEXT, status, parent=parent, sub_type=sub_type)


def wait(id_: str, status: OperationStatus = STARTED, *, seconds: int = 60) -> OperationRecord:
    """Make a wait of *seconds*."""
    details = WaitDetails(scheduled_end_at=EPOCH + seconds * 1000)
    return record(id_, OperationType.WAIT, status, sub_type="Wait", details=details)


def callback(
    id_: str, status: OperationStatus = STARTED, *, parent: str | None = None, callback_id: str = "Y2FsbA=="
) -> OperationRecord:
    """Make a callback that the outside world knows as *callback_id*."""
    details = CallbackDetails(callback_id=callback_id)
    return record(id_, OperationType.CALLBACK, status, parent=parent, sub_type="Callback", details=details)
