"""Operations that wait, and begin nothing: what keeps a replay from running a body or asking the service.

A step that is PENDING without a due time parks, and so does whatever else is STARTED and not ended.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from durable_trio._protocol.operation import (
    CallbackDetails,
    ChainedInvokeDetails,
    OperationDetails,
    OperationRecord,
    OperationStatus,
    OperationType,
    StepDetails,
    WaitDetails,
)

if TYPE_CHECKING:
    from durable_trio._protocol.replay import Identity

LEAVES: Final = frozenset(
    {OperationType.STEP, OperationType.WAIT, OperationType.CALLBACK, OperationType.CHAINED_INVOKE}
)
"""What begins something outside of the program; contexts only hold these."""


def parked_operation(identity: Identity, further_on: OperationRecord | None) -> OperationRecord:
    """Return a record for an operation that has none yet, so that it parks.

    *further_on* is the record that the history has of it later, if it has one: a callback keeps its id.
    """
    return OperationRecord(
        id=identity.id,
        type=identity.type,
        status=_unfinished(identity.type),
        started_at=0,
        parent_id=identity.parent_id,
        name=identity.name,
        sub_type=identity.sub_type,
        details=_unfinished_details(identity.type, identity.id, further_on),
    )


def _unfinished(type_: OperationType) -> OperationStatus:
    return OperationStatus.PENDING if type_ is OperationType.STEP else OperationStatus.STARTED


def _unfinished_details(
    type_: OperationType, operation_id: str, further_on: OperationRecord | None
) -> OperationDetails:
    match type_:
        case OperationType.STEP:
            return StepDetails()
        case OperationType.WAIT:
            return WaitDetails()
        case OperationType.CALLBACK:
            details = further_on.details if further_on is not None else None
            known = details.callback_id if isinstance(details, CallbackDetails) else None
            return CallbackDetails(known or f"replayed{operation_id[:16]}")
        case _:
            return ChainedInvokeDetails()


def parked(record: OperationRecord) -> OperationRecord:
    """Return the record of an operation at the point, without anything that would make it move."""
    if record.status.is_terminal or record.type not in LEAVES:
        return record
    details = record.details
    match details:
        case StepDetails():
            details = replace(details, next_attempt_at=None)
        case WaitDetails():
            details = WaitDetails()
        case _:
            pass
    return replace(record, status=_unfinished(record.type), details=details)
