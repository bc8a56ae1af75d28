"""The history of an execution: what happened, in order, numbered from 1.

An event is a record for people and tools; nothing is decided by reading it. Its details depend on its type,
and ``MEMBERS`` says how: which members an event of each type has on the wire, and which of them are there even
when they are empty. Payloads and errors are wrapped with a ``Truncated`` mark, so that a reader who did not ask
for data can tell that some was left out.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from durable_trio._protocol.operation import ErrorObject, OperationAction, OperationStatus, OperationType
from durable_trio._protocol.value_class import dataclass, replace
from durable_trio._protocol.wire import (
    Dialect,
    WireError,
    decode_error,
    decode_instant,
    encode_error,
    encode_instant,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class EventType(StrEnum):
    """What happened."""

    __hash__ = str.__hash__  # that of enums is a Python function, and they are keys everywhere

    EXECUTION_STARTED = "ExecutionStarted"
    EXECUTION_SUCCEEDED = "ExecutionSucceeded"
    EXECUTION_FAILED = "ExecutionFailed"
    EXECUTION_TIMED_OUT = "ExecutionTimedOut"
    EXECUTION_STOPPED = "ExecutionStopped"
    CONTEXT_STARTED = "ContextStarted"
    CONTEXT_SUCCEEDED = "ContextSucceeded"
    CONTEXT_FAILED = "ContextFailed"
    STEP_STARTED = "StepStarted"
    STEP_SUCCEEDED = "StepSucceeded"
    STEP_FAILED = "StepFailed"
    WAIT_STARTED = "WaitStarted"
    WAIT_SUCCEEDED = "WaitSucceeded"
    WAIT_CANCELLED = "WaitCancelled"
    CALLBACK_STARTED = "CallbackStarted"
    CALLBACK_SUCCEEDED = "CallbackSucceeded"
    CALLBACK_FAILED = "CallbackFailed"
    CALLBACK_TIMED_OUT = "CallbackTimedOut"
    CHAINED_INVOKE_STARTED = "ChainedInvokeStarted"
    CHAINED_INVOKE_SUCCEEDED = "ChainedInvokeSucceeded"
    CHAINED_INVOKE_FAILED = "ChainedInvokeFailed"
    CHAINED_INVOKE_TIMED_OUT = "ChainedInvokeTimedOut"
    CHAINED_INVOKE_STOPPED = "ChainedInvokeStopped"
    INVOCATION_COMPLETED = "InvocationCompleted"
    EXECUTION_PAUSED = "ExecutionPaused"
    EXECUTION_RESUMED = "ExecutionResumed"


_PREFIXES: Final[Mapping[OperationType, str]] = {
    OperationType.EXECUTION: "Execution",
    OperationType.CONTEXT: "Context",
    OperationType.STEP: "Step",
    OperationType.WAIT: "Wait",
    OperationType.CALLBACK: "Callback",
    OperationType.CHAINED_INVOKE: "ChainedInvoke",
}

_SUFFIXES: Final[Mapping[OperationStatus, str]] = {
    OperationStatus.STARTED: "Started",
    OperationStatus.SUCCEEDED: "Succeeded",
    OperationStatus.FAILED: "Failed",
    OperationStatus.CANCELLED: "Cancelled",
    OperationStatus.TIMED_OUT: "TimedOut",
    OperationStatus.STOPPED: "Stopped",
}


_EVENT_TYPES: Final[Mapping[tuple[OperationType, OperationStatus], EventType]] = {
    (type_, status): EventType(prefix + suffix)
    for type_, prefix in _PREFIXES.items()
    for status, suffix in _SUFFIXES.items()
    if prefix + suffix in frozenset(EventType)
}


def event_type(type_: OperationType, status: OperationStatus) -> EventType:
    """Return the type of the event "an operation of *type_* became *status*"."""
    return _EVENT_TYPES[type_, status]


_STATUS_AFTER: Final[Mapping[OperationAction, OperationStatus]] = {
    OperationAction.START: OperationStatus.STARTED,
    OperationAction.SUCCEED: OperationStatus.SUCCEEDED,
    OperationAction.FAIL: OperationStatus.FAILED,
    OperationAction.CANCEL: OperationStatus.CANCELLED,
    OperationAction.RETRY: OperationStatus.SUCCEEDED,
}


def update_event_type(type_: OperationType, action: OperationAction, error: ErrorObject | None) -> EventType:
    """Return the type of the event that an update causes.

    A RETRY with an error is a failed attempt; a RETRY with a payload (a poll that goes on) a successful one.
    """
    has_failed = error is not None and action is _RETRY
    return _EVENT_TYPES[type_, _FAILED if has_failed else _STATUS_AFTER[action]]


# Looking a member up in its class takes ten times as long before Python 3.12.
_RETRY, _FAILED = OperationAction.RETRY, OperationStatus.FAILED


@dataclass(frozen=True, slots=True)
class EventDetails:
    """What an event tells beside its operation; which members count depends on the event's type."""

    input: str | None = None
    result: str | None = None
    error: ErrorObject | None = None
    attempt: int | None = None
    next_attempt_delay_seconds: int | None = None
    duration_seconds: int | None = None
    scheduled_end_at: int | None = None
    callback_id: str | None = None
    timeout_seconds: int | None = None
    heartbeat_timeout_seconds: int | None = None
    function_name: str | None = None
    tenant_id: str | None = None
    executed_version: str | None = None
    durable_execution_arn: str | None = None
    execution_timeout_seconds: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    request_id: str | None = None
    pause_requested_at: int | None = None
    resume_requested_at: int | None = None
    reason: str | None = None
    pauses_timeout: bool | None = None


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """One entry of an execution's history; ``at`` is in epoch milliseconds."""

    event_id: int
    type: EventType
    at: int
    id: str | None = None
    parent_id: str | None = None
    name: str | None = None
    sub_type: str | None = None
    details: EventDetails = EventDetails()
    is_truncated: bool = False
    """Its input, result and error have been taken out (what was there is empty, not None)."""


def truncate(event: HistoryEvent) -> HistoryEvent:
    """Return *event* without its data, marked as truncated."""
    details = event.details
    empty = replace(
        details,
        input=None if details.input is None else "",
        result=None if details.result is None else "",
        error=None if details.error is None else ErrorObject(),
        reason=None if details.reason is None else "",
    )
    return replace(event, details=empty, is_truncated=True)


# Members that are written even when there is nothing in them are marked "!": the service model requires them.
_INPUT, _RESULT, _ERROR, _ERROR_IF_ANY = "Input!", "Result!", "Error!", "Error"
MEMBERS: Final[Mapping[EventType, tuple[str, ...]]] = {
    EventType.EXECUTION_STARTED: (_INPUT, "ExecutionTimeout"),
    EventType.EXECUTION_SUCCEEDED: (_RESULT,),
    EventType.EXECUTION_FAILED: (_ERROR,),
    EventType.EXECUTION_TIMED_OUT: (_ERROR_IF_ANY,),
    EventType.EXECUTION_STOPPED: (_ERROR,),
    EventType.CONTEXT_STARTED: (),
    EventType.CONTEXT_SUCCEEDED: (_RESULT,),
    EventType.CONTEXT_FAILED: (_ERROR,),
    EventType.STEP_STARTED: (),
    EventType.STEP_SUCCEEDED: (_RESULT, "RetryDetails"),
    EventType.STEP_FAILED: (_ERROR, "RetryDetails"),
    EventType.WAIT_STARTED: ("Duration", "ScheduledEndTimestamp"),
    EventType.WAIT_SUCCEEDED: ("Duration",),
    EventType.WAIT_CANCELLED: (_ERROR_IF_ANY,),
    EventType.CALLBACK_STARTED: ("CallbackId", "Timeout", "HeartbeatTimeout"),
    EventType.CALLBACK_SUCCEEDED: (_RESULT,),
    EventType.CALLBACK_FAILED: (_ERROR,),
    EventType.CALLBACK_TIMED_OUT: (_ERROR,),
    EventType.CHAINED_INVOKE_STARTED: (
        "FunctionName",
        "TenantId",
        _INPUT,
        "ExecutedVersion",
        "DurableExecutionArn",
    ),
    EventType.CHAINED_INVOKE_SUCCEEDED: (_RESULT,),
    EventType.CHAINED_INVOKE_FAILED: (_ERROR,),
    EventType.CHAINED_INVOKE_TIMED_OUT: (_ERROR,),
    EventType.CHAINED_INVOKE_STOPPED: (_ERROR,),
    EventType.INVOCATION_COMPLETED: ("StartTimestamp", "EndTimestamp", "RequestId", _ERROR_IF_ANY),
    EventType.EXECUTION_PAUSED: ("PauseRequestTimestamp", "Reason", "ExecutionTimeoutPaused"),
    EventType.EXECUTION_RESUMED: ("ResumeRequestTimestamp", "Reason"),
}

_PLAIN_FIELDS: Final[Mapping[str, str]] = {
    "ExecutionTimeout": "execution_timeout_seconds",
    "Duration": "duration_seconds",
    "CallbackId": "callback_id",
    "Timeout": "timeout_seconds",
    "HeartbeatTimeout": "heartbeat_timeout_seconds",
    "FunctionName": "function_name",
    "TenantId": "tenant_id",
    "ExecutedVersion": "executed_version",
    "DurableExecutionArn": "durable_execution_arn",
    "RequestId": "request_id",
    "ExecutionTimeoutPaused": "pauses_timeout",
}
_INSTANT_FIELDS: Final[Mapping[str, str]] = {
    "ScheduledEndTimestamp": "scheduled_end_at",
    "StartTimestamp": "started_at",
    "EndTimestamp": "ended_at",
    "PauseRequestTimestamp": "pause_requested_at",
    "ResumeRequestTimestamp": "resume_requested_at",
}
_DATA_FIELDS: Final[Mapping[str, str]] = {
    "Input": "input",
    "Result": "result",
    "Error": "error",
    "Reason": "reason",
}


def encode_event(event: HistoryEvent, dialect: Dialect) -> dict[str, Any]:
    """Write an event; the payloads of a truncated one are left out and marked."""
    type_ = event.type._value_  # without the descriptor, which costs as much as the rest of this function
    wire: dict[str, Any] = {
        "EventType": type_,
        "EventId": event.event_id,
        "EventTimestamp": encode_instant(event.at, dialect),
    }
    if event.id is not None:
        wire["Id"] = event.id
    if event.parent_id is not None:
        wire["ParentId"] = event.parent_id
    if event.name is not None:
        wire["Name"] = event.name
    if event.sub_type is not None:
        wire["SubType"] = str(event.sub_type)
    wire[type_ + "Details"] = _encode_details(event, dialect)
    return wire


_REQUIRED: Final[Mapping[EventType, tuple[tuple[str, bool], ...]]] = {
    type_: tuple((member.rstrip("!"), member.endswith("!")) for member in members)
    for type_, members in MEMBERS.items()
}
"""The members of ``MEMBERS``, and whether each is required."""


def _encode_details(event: HistoryEvent, dialect: Dialect) -> dict[str, Any]:
    details: dict[str, Any] = {}
    for member, is_required in _REQUIRED[event.type]:
        value = _encode_member(event, member, dialect)
        if value is not None:
            details[member] = value
        elif is_required:
            details[member] = {"Truncated": False}
    return details


def _encode_member(event: HistoryEvent, member: str, dialect: Dialect) -> Any:
    details = event.details
    if member == "RetryDetails":
        retry = {"CurrentAttempt": details.attempt}
        if details.next_attempt_delay_seconds is not None:
            retry["NextAttemptDelaySeconds"] = details.next_attempt_delay_seconds
        return retry
    if member in _DATA_FIELDS:
        data = getattr(details, _DATA_FIELDS[member])
        if data is None:
            return None
        if event.is_truncated:
            return {"Truncated": True}
        return {"Payload": encode_error(data) if member == "Error" else data, "Truncated": False}
    if member in _INSTANT_FIELDS:
        at = getattr(details, _INSTANT_FIELDS[member])
        return None if at is None else encode_instant(at, dialect)
    return getattr(details, _PLAIN_FIELDS[member])


def decode_event(wire: Mapping[str, Any], dialect: Dialect) -> HistoryEvent:
    """Read an event that was written with its data.

    Raises:
        WireError: the event's type is unknown, or a member is missing or malformed.
    """
    try:
        type_ = EventType(wire["EventType"])
        return HistoryEvent(
            event_id=int(wire["EventId"]),
            type=type_,
            at=decode_instant(wire["EventTimestamp"], dialect, "EventTimestamp"),
            id=_text(wire, "Id"),
            parent_id=_text(wire, "ParentId"),
            name=_text(wire, "Name"),
            sub_type=_text(wire, "SubType"),
            details=_decode_details(wire.get(f"{type_}Details") or {}, dialect),
        )
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as problem:
        raise WireError(f"this is not a history event: {problem!r:.500}") from problem


def _text(wire: Mapping[str, Any], member: str) -> str | None:
    text = wire.get(member)
    if text is not None and not isinstance(text, str):
        raise WireError(f"{member} must be a string, not {type(text).__name__}")
    return text


def _decode_details(wire: Mapping[str, Any], dialect: Dialect) -> EventDetails:
    values: dict[str, Any] = {
        field: wire[member] for member, field in _PLAIN_FIELDS.items() if wire.get(member) is not None
    }
    for member, field in _INSTANT_FIELDS.items():
        if wire.get(member) is not None:
            values[field] = decode_instant(wire[member], dialect, member)
    for member, field in _DATA_FIELDS.items():
        payload = (wire.get(member) or {}).get("Payload")
        if payload is not None:
            values[field] = decode_error(payload) if member == "Error" else payload
    retry = wire.get("RetryDetails") or {}
    values["attempt"] = retry.get("CurrentAttempt")
    values["next_attempt_delay_seconds"] = retry.get("NextAttemptDelaySeconds")
    return EventDetails(**values)
