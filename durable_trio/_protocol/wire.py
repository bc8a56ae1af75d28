"""Operations and updates as JSON members, in both dialects of the service.

The same members travel in two dialects that differ in how they write an instant: the *event* that invokes
a function has integer epoch milliseconds, the *API* has epoch seconds with a fraction (boto3 turns them into
datetimes). Everything inside durable_trio has integer milliseconds, floored, so that the two agree.

Decoding reads what another program wrote: it refuses wrong types and impossible values with a ``WireError``
that names the member, and ignores members it does not know.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, Final

from durable_trio._protocol.operation import (
    CallbackDetails,
    CallbackOptions,
    ChainedInvokeDetails,
    ChainedInvokeOptions,
    ContextDetails,
    ContextOptions,
    ErrorObject,
    ExecutionDetails,
    OperationAction,
    OperationDetails,
    OperationRecord,
    OperationStatus,
    OperationType,
    OperationUpdate,
    StepDetails,
    StepOptions,
    UpdateOptions,
    WaitDetails,
    WaitOptions,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Dialect(Enum):
    """How an instant is written."""

    EVENT = "event"
    """Integer epoch milliseconds: the event that invokes a function."""
    API = "api"
    """Epoch seconds (numbers) or aware datetimes: the answers of the service's API."""


class WireError(ValueError):
    """A member is missing, of the wrong type, or has an impossible value."""


# Looking a member up in its class takes ten times as long before Python 3.12.
_EVENT, _API = Dialect

_USUAL_SECONDS: Final = 1e11  # some thousand years

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

# --- scalars ---------------------------------------------------------------------------------------------


def decode_instant(value: object, dialect: Dialect, member: str) -> int:
    """Read an instant as epoch milliseconds."""
    if type(value) is int and dialect is _EVENT:
        return value
    if type(value) is float and dialect is _API and 0 <= value < _USUAL_SECONDS:
        return round(value * 1_000_000) // 1000
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise WireError(f"{member} must have a time zone: {value!r}")
        # By integers: float seconds lose the last millisecond about once in a thousand.
        return (value - _EPOCH) // _MILLISECOND
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise WireError(f"{member} must be a number, not {type(value).__name__}")
    if isinstance(value, float) and not math.isfinite(value * 1_000_000):
        raise WireError(f"{member} must be an instant, not {value!r}")
    if dialect is Dialect.EVENT:
        return int(value)
    return round(value * 1_000_000) // 1000


def encode_instant(at: int, dialect: Dialect) -> int | float:
    """Write epoch milliseconds as *dialect* wants them."""
    return at if dialect is Dialect.EVENT else at / 1000


def _text(wire: Mapping[str, Any], member: str) -> str | None:
    value = wire.get(member)
    if value is not None and not isinstance(value, str):
        raise WireError(f"{member} must be a string, not {type(value).__name__}")
    return value


def _required_text(wire: Mapping[str, Any], member: str) -> str:
    value = _text(wire, member)
    if value is None:
        raise WireError(f"{member} is required")
    return value


def _whole(wire: Mapping[str, Any], member: str) -> int | None:
    value = wire.get(member)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise WireError(f"{member} must be a whole number, not {value!r}")
    return value


def _check_is_object(wire: object, what: str) -> None:
    if not isinstance(wire, dict):
        raise WireError(f"{what} must be an object, not {type(wire).__name__}")


def _members(wire: Mapping[str, Any], member: str) -> Mapping[str, Any]:
    value = wire.get(member)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise WireError(f"{member} must be an object, not {type(value).__name__}")
    return value


def _instant(wire: Mapping[str, Any], member: str, dialect: Dialect) -> int | None:
    value = wire.get(member)
    return None if value is None else decode_instant(value, dialect, member)


def _drop_none(members: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in members.items() if value is not None}


# --- errors ----------------------------------------------------------------------------------------------


def encode_error(error: ErrorObject) -> dict[str, Any]:
    """Write an error object; members that are absent are left out."""
    wire: dict[str, Any] = {}
    if error.message is not None:
        wire["ErrorMessage"] = error.message
    if error.type is not None:
        wire["ErrorType"] = error.type
    if error.data is not None:
        wire["ErrorData"] = error.data
    if error.stack:
        wire["StackTrace"] = list(error.stack)
    return wire


def decode_error(wire: object, member: str = "Error") -> ErrorObject | None:
    """Read an error object, or None if it is absent."""
    if wire is None:
        return None
    if not isinstance(wire, dict):
        raise WireError(f"{member} must be an object, not {type(wire).__name__}")
    stack = wire.get("StackTrace") or ()
    if not isinstance(stack, (list, tuple)) or not all(isinstance(line, str) for line in stack):
        raise WireError(f"{member}.StackTrace must be a list of strings")
    return ErrorObject(
        message=_text(wire, "ErrorMessage"),
        type=_text(wire, "ErrorType"),
        data=_text(wire, "ErrorData"),
        stack=tuple(stack),
    )


# --- updates ---------------------------------------------------------------------------------------------


def encode_update(update: OperationUpdate) -> dict[str, Any]:
    """Write an update as the members of a checkpoint request."""
    # The enums are strings already; their value keeps subclasses out of encoders that look at exact types.
    # ``_value_`` is ``value`` without the descriptor, which costs as much as the rest of this function.
    wire: dict[str, Any] = {"Id": update.id, "Type": update.type._value_, "Action": update.action._value_}
    if update.parent_id is not None:
        wire["ParentId"] = update.parent_id
    if update.name is not None:
        wire["Name"] = update.name
    if update.sub_type is not None:
        wire["SubType"] = str(update.sub_type)
    if update.payload is not None:
        wire["Payload"] = update.payload
    if update.error is not None:
        wire["Error"] = encode_error(update.error)
    if update.options is not None:
        member, encode = _OPTION_ENCODERS[type(update.options)]
        wire[member] = encode(update.options)
    return wire


_OPTION_ENCODERS: Final[dict[type[Any], tuple[str, Callable[[Any], dict[str, Any]]]]] = {
    ContextOptions: ("ContextOptions", lambda o: {"ReplayChildren": o.replay_children}),
    StepOptions: (
        "StepOptions",
        lambda o: _drop_none({"NextAttemptDelaySeconds": o.next_attempt_delay_seconds}),
    ),
    WaitOptions: ("WaitOptions", lambda o: {"WaitSeconds": o.wait_seconds}),
    CallbackOptions: (
        "CallbackOptions",
        lambda o: {
            "TimeoutSeconds": o.timeout_seconds,
            "HeartbeatTimeoutSeconds": o.heartbeat_timeout_seconds,
        },
    ),
    ChainedInvokeOptions: (
        "ChainedInvokeOptions",
        lambda o: _drop_none({"FunctionName": o.function_name, "TenantId": o.tenant_id}),
    ),
}


def decode_update(wire: Mapping[str, Any]) -> OperationUpdate:
    """Read an update of a checkpoint request.

    Raises:
        WireError: a member is missing, of the wrong type or unknown where only known values are legal.
    """
    _check_is_object(wire, "an update")
    type_ = _enum(OperationType, wire, "Type")
    return OperationUpdate(
        id=_required_text(wire, "Id"),
        type=type_,
        action=_enum(OperationAction, wire, "Action"),
        parent_id=_text(wire, "ParentId"),
        name=_text(wire, "Name"),
        sub_type=_text(wire, "SubType"),
        payload=_text(wire, "Payload"),
        error=decode_error(wire.get("Error")),
        options=_decode_options(type_, wire),
    )


def _decode_options(type_: OperationType, wire: Mapping[str, Any]) -> UpdateOptions | None:
    match type_:
        case OperationType.CONTEXT if wire.get("ContextOptions") is not None:
            members = _members(wire, "ContextOptions")
            return ContextOptions(replay_children=bool(members.get("ReplayChildren", False)))
        case OperationType.STEP if wire.get("StepOptions") is not None:
            members = _members(wire, "StepOptions")
            return StepOptions(next_attempt_delay_seconds=_whole(members, "NextAttemptDelaySeconds"))
        case OperationType.WAIT if wire.get("WaitOptions") is not None:
            seconds = _whole(_members(wire, "WaitOptions"), "WaitSeconds")
            if seconds is None:
                raise WireError("WaitOptions.WaitSeconds is required")
            return WaitOptions(wait_seconds=seconds)
        case OperationType.CALLBACK if wire.get("CallbackOptions") is not None:
            members = _members(wire, "CallbackOptions")
            return CallbackOptions(
                timeout_seconds=_whole(members, "TimeoutSeconds") or 0,
                heartbeat_timeout_seconds=_whole(members, "HeartbeatTimeoutSeconds") or 0,
            )
        case OperationType.CHAINED_INVOKE if wire.get("ChainedInvokeOptions") is not None:
            members = _members(wire, "ChainedInvokeOptions")
            return ChainedInvokeOptions(
                function_name=_required_text(members, "FunctionName"), tenant_id=_text(members, "TenantId")
            )
        case _:
            return None


def _enum(enum: type[StrEnum], wire: Mapping[str, Any], member: str) -> Any:
    text = _required_text(wire, member)
    try:
        return enum(text)
    except ValueError:
        raise WireError(f"{member} must be one of {', '.join(enum)}, not {text!r}") from None


# --- operations ------------------------------------------------------------------------------------------


def encode_operation(record: OperationRecord, dialect: Dialect) -> dict[str, Any]:
    """Write an operation as *dialect* has it; members that are absent are left out."""
    wire: dict[str, Any] = {
        "Id": record.id,
        "Type": record.type.value,
        "Status": record.status.value,
        "StartTimestamp": encode_instant(record.started_at, dialect),
    }
    if record.parent_id is not None:
        wire["ParentId"] = record.parent_id
    if record.name is not None:
        wire["Name"] = record.name
    if record.sub_type is not None:
        wire["SubType"] = str(record.sub_type)
    if record.ended_at is not None:
        wire["EndTimestamp"] = encode_instant(record.ended_at, dialect)
    if record.details is not None:
        wire[f"{_DETAILS_MEMBERS[type(record.details)]}"] = _encode_details(record.details, dialect)
    return wire


_DETAILS_MEMBERS: Final[dict[type[Any], str]] = {
    ExecutionDetails: "ExecutionDetails",
    ContextDetails: "ContextDetails",
    StepDetails: "StepDetails",
    WaitDetails: "WaitDetails",
    CallbackDetails: "CallbackDetails",
    ChainedInvokeDetails: "ChainedInvokeDetails",
}


def _encode_details(details: OperationDetails, dialect: Dialect) -> dict[str, Any]:
    wire: dict[str, Any] = {}
    match details:
        case ExecutionDetails():
            if details.input_payload is not None:
                wire["InputPayload"] = details.input_payload
            return wire
        case WaitDetails():
            if details.scheduled_end_at is not None:
                wire["ScheduledEndTimestamp"] = encode_instant(details.scheduled_end_at, dialect)
            return wire
        case ContextDetails():
            if details.replay_children:
                wire["ReplayChildren"] = True
        case StepDetails():
            wire["Attempt"] = details.attempt
            if details.next_attempt_at is not None:
                wire["NextAttemptTimestamp"] = encode_instant(details.next_attempt_at, dialect)
        case CallbackDetails():
            if details.callback_id is not None:
                wire["CallbackId"] = details.callback_id
        case ChainedInvokeDetails():
            pass
    if details.result is not None:
        wire["Result"] = details.result
    if details.error is not None:
        wire["Error"] = encode_error(details.error)
    return wire


def decode_operation(wire: Mapping[str, Any], dialect: Dialect) -> OperationRecord:
    """Read an operation.

    Raises:
        WireError: a member is missing, of the wrong type or has an impossible value.
    """
    _check_is_object(wire, "an operation")
    get = wire.get
    id_, parent_id, name, sub_type = get("Id"), get("ParentId"), get("Name"), get("SubType")
    type_, status = get("Type"), get("Status")
    # An execution has thousands of these: what is usual is looked at in place, the rest is named by the helpers.
    if not (
        type(id_) is str
        and (parent_id is None or type(parent_id) is str)
        and (name is None or type(name) is str)
        and (sub_type is None or type(sub_type) is str)
        and type(type_) is str
        and type(status) is str
        and type_ in _TYPES
        and status in _STATUSES
    ):
        id_, parent_id = _required_text(wire, "Id"), _text(wire, "ParentId")
        name, sub_type = _text(wire, "Name"), _text(wire, "SubType")
        type_, status = _enum(OperationType, wire, "Type"), _enum(OperationStatus, wire, "Status")
    started_at, ended_at = get("StartTimestamp"), get("EndTimestamp")
    type_ = _TYPES[type_]
    return OperationRecord(
        id_,
        type_,
        _STATUSES[status],
        # Required by the model; AWS's runner leaves it out of some invocation events.
        0 if started_at is None else decode_instant(started_at, dialect, "StartTimestamp"),
        parent_id,
        name,
        sub_type,
        None if ended_at is None else decode_instant(ended_at, dialect, "EndTimestamp"),
        _DETAILS_DECODERS[type_](wire, dialect),
    )


_TYPES: Final[dict[str, OperationType]] = {type_.value: type_ for type_ in OperationType}
_STATUSES: Final[dict[str, OperationStatus]] = {status.value: status for status in OperationStatus}


def _decode_execution(wire: Mapping[str, Any], dialect: Dialect) -> ExecutionDetails:
    return ExecutionDetails(input_payload=_text(_members(wire, "ExecutionDetails"), "InputPayload"))


def _decode_context(wire: Mapping[str, Any], dialect: Dialect) -> ContextDetails:
    get = _members(wire, "ContextDetails").get
    result, error = get("Result"), get("Error")
    return ContextDetails(
        result if type(result) is str else _text(_members(wire, "ContextDetails"), "Result"),
        None if error is None else decode_error(error),
        bool(get("ReplayChildren", False)),
    )


def _decode_step(wire: Mapping[str, Any], dialect: Dialect) -> StepDetails:
    members = _members(wire, "StepDetails")
    get = members.get
    attempt, next_at, result, error = get("Attempt"), get("NextAttemptTimestamp"), get("Result"), get("Error")
    return StepDetails(
        attempt if type(attempt) is int else _whole(members, "Attempt") or 0,
        None if next_at is None else decode_instant(next_at, dialect, "NextAttemptTimestamp"),
        result if type(result) is str else _text(members, "Result"),
        None if error is None else decode_error(error),
    )


def _decode_wait(wire: Mapping[str, Any], dialect: Dialect) -> WaitDetails:
    return WaitDetails(
        scheduled_end_at=_instant(_members(wire, "WaitDetails"), "ScheduledEndTimestamp", dialect)
    )


def _decode_callback(wire: Mapping[str, Any], dialect: Dialect) -> CallbackDetails:
    members = _members(wire, "CallbackDetails")
    return CallbackDetails(
        callback_id=_text(members, "CallbackId"),
        result=_text(members, "Result"),
        error=decode_error(members.get("Error")),
    )


def _decode_invoke(wire: Mapping[str, Any], dialect: Dialect) -> ChainedInvokeDetails:
    members = _members(wire, "ChainedInvokeDetails")
    return ChainedInvokeDetails(result=_text(members, "Result"), error=decode_error(members.get("Error")))


_DETAILS_DECODERS: Final[dict[OperationType, Callable[[Mapping[str, Any], Dialect], OperationDetails]]] = {
    OperationType.EXECUTION: _decode_execution,
    OperationType.CONTEXT: _decode_context,
    OperationType.STEP: _decode_step,
    OperationType.WAIT: _decode_wait,
    OperationType.CALLBACK: _decode_callback,
    OperationType.CHAINED_INVOKE: _decode_invoke,
}
