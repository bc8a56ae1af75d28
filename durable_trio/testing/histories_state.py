"""From a history back to the operations: what the service held after each event.

A history says what happened, and an invocation is given what *is*. So the events are played into records, one
after the other, as the service did. Three things a history does not say, and the rules that stand in for them:

- whether a context was closed with ``ReplayChildren``. A history that was recorded by this package carries the ids.
  One of AWS's does not; ``inferred_replay_children`` knows what the SDKs write in that case: an empty payload, the
  record of a batch, or a construct whose body always runs again.
- when a step's retry delay is over (there is no event for READY). A replay runs no body, so PENDING is enough.
- which operations an invocation was shown. The service leaves out what is inside a finished context
  (``visible``); what is shown beyond that is never asked for.

Nothing here has a clock, tasks or files.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from durable_trio._protocol.history import EventType
from durable_trio._protocol.operation import (
    DETAILS,
    CallbackDetails,
    ChainedInvokeDetails,
    ContextDetails,
    ExecutionDetails,
    OperationDetails,
    OperationRecord,
    OperationStatus,
    OperationType,
    StepDetails,
    WaitDetails,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from durable_trio._protocol.history import HistoryEvent

INLINE_SUB_TYPES: Final = frozenset({"Cut", "Deadline", "Nursery", "Saga"})
"""Blocks (and cuts of them) whose body is code of their owner, replayed every time: always closed with ``ReplayChildren``."""

_BATCH_RECORDS: Final = frozenset({"MapResult", "ParallelResult"})

_TYPES: Final[Mapping[str, OperationType]] = {
    "Execution": OperationType.EXECUTION,
    "Context": OperationType.CONTEXT,
    "Step": OperationType.STEP,
    "Wait": OperationType.WAIT,
    "Callback": OperationType.CALLBACK,
    "ChainedInvoke": OperationType.CHAINED_INVOKE,
}
_STATUSES: Final[Mapping[str, OperationStatus]] = {
    "Started": OperationStatus.STARTED,
    "Succeeded": OperationStatus.SUCCEEDED,
    "Failed": OperationStatus.FAILED,
    "Cancelled": OperationStatus.CANCELLED,
    "TimedOut": OperationStatus.TIMED_OUT,
    "Stopped": OperationStatus.STOPPED,
}


def type_and_status(event: HistoryEvent) -> tuple[OperationType, OperationStatus] | None:
    """Say which type of operation *event* is about and how it stands after it; None if about no operation."""
    for prefix, type_ in _TYPES.items():
        suffix = event.type.value.removeprefix(prefix)
        if suffix != event.type.value and suffix in _STATUSES:
            is_retry = (
                type_ is OperationType.STEP
                and suffix != "Started"
                and bool(event.details.next_attempt_delay_seconds)  # a delay is at least a second
            )
            return type_, OperationStatus.PENDING if is_retry else _STATUSES[suffix]
    return None


def closes_context(event: HistoryEvent) -> bool:
    """Tell whether *event* is the end of a context."""
    return event.type in (EventType.CONTEXT_SUCCEEDED, EventType.CONTEXT_FAILED)


def operations_after(
    events: Iterable[HistoryEvent], *, execution_id: str, replay_children: Collection[str]
) -> dict[str, OperationRecord]:
    """Return the operations as they stood after *events* (in their order), by id, in start order.

    Args:
        events: the history, or the beginning of it.
        execution_id: the id of the EXECUTION operation; its own events may lack one.
        replay_children: ids of the contexts that were closed with ``ReplayChildren``.
    """
    records: dict[str, OperationRecord] = {}
    for event in events:
        about = type_and_status(event)
        if about is None:
            continue
        type_, status = about
        id_ = execution_id if type_ is OperationType.EXECUTION else event.id
        if id_ is None:
            continue
        known = records.get(id_)
        records[id_] = OperationRecord(
            id=id_,
            type=type_,
            status=status,
            started_at=event.at if known is None else known.started_at,
            parent_id=event.parent_id if known is None else known.parent_id,
            name=event.name if known is None else known.name,
            sub_type=event.sub_type if known is None else known.sub_type,
            ended_at=event.at if status.is_terminal else None,
            details=_details_after(
                known.details if known else DETAILS[type_](), event, status, id_ in replay_children
            ),
        )
    return records


def _details_after(
    before: OperationDetails | None, event: HistoryEvent, status: OperationStatus, replays_children: bool
) -> OperationDetails:
    told = event.details
    match before:
        case ExecutionDetails():
            return before if told.input is None else ExecutionDetails(told.input)
        case ContextDetails():
            return ContextDetails(told.result, told.error, replays_children and status.is_terminal)
        case StepDetails() if status is OperationStatus.STARTED:
            return replace(before, next_attempt_at=None)
        case StepDetails():
            attempt = before.attempt + 1 if told.attempt is None else told.attempt
            return StepDetails(attempt, None, told.result, told.error)
        case WaitDetails():
            return before if told.scheduled_end_at is None else WaitDetails(told.scheduled_end_at)
        case CallbackDetails(callback_id):
            return CallbackDetails(callback_id or told.callback_id, told.result, told.error)
        case _:
            return ChainedInvokeDetails(told.result, told.error)


def visible(records: Mapping[str, OperationRecord]) -> list[OperationRecord]:
    """Return the operations that the service shows: none from inside a finished context without ReplayChildren."""
    return [record for record in records.values() if not _is_hidden(record, records)]


def _is_hidden(record: OperationRecord, records: Mapping[str, OperationRecord]) -> bool:
    parent = records.get(record.parent_id) if record.parent_id else None
    while parent is not None:
        details = parent.details
        if parent.status.is_terminal and not (
            isinstance(details, ContextDetails) and details.replay_children
        ):
            return True
        parent = records.get(parent.parent_id) if parent.parent_id else None
    return False


def inferred_replay_children(events: Iterable[HistoryEvent]) -> frozenset[str]:
    """Guess which contexts were closed with ``ReplayChildren``, from a history that does not say.

    Right for what AWS's SDKs and this one write, except for a context with a summary of its own making.
    """
    return frozenset(
        event.id
        for event in events
        if event.id is not None and closes_context(event) and _looks_replayed(event)
    )


def _looks_replayed(event: HistoryEvent) -> bool:
    if event.sub_type in INLINE_SUB_TYPES:
        return True
    if event.type is not EventType.CONTEXT_SUCCEEDED:
        return False
    return event.details.result == "" or _is_batch_record(event.details.result)


def _is_batch_record(payload: str | None) -> bool:
    if payload is None or not payload.startswith('{"type"'):
        return False
    try:
        value = json.loads(payload)
    except ValueError:
        return False
    return value.get("type") in _BATCH_RECORDS


def same_payload(one: str | None, other: str | None) -> bool:
    """Tell whether two payloads say the same: the same text, or the same JSON apart from stack traces."""
    if one is None or other is None or one == other:
        return one == other
    try:
        return bool(_without_stacks(json.loads(one)) == _without_stacks(json.loads(other)))
    except (ValueError, RecursionError):
        return False


def _without_stacks(value: Any) -> Any:
    """Leave stack traces out: the lines of a program move."""
    if isinstance(value, dict):
        return {key: _without_stacks(each) for key, each in value.items() if key != "StackTrace"}
    return [_without_stacks(each) for each in value] if isinstance(value, list) else value
