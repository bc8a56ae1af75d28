from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_trio._protocol.operation import (
    DETAILS,
    CallbackDetails,
    CallbackOptions,
    ChainedInvokeDetails,
    ChainedInvokeOptions,
    ContextDetails,
    ContextOptions,
    ErrorObject,
    ExecutionDetails,
    OperationAction,
    OperationRecord,
    OperationStatus,
    OperationType,
    OperationUpdate,
    StepDetails,
    StepOptions,
    SubType,
    WaitDetails,
    WaitOptions,
)
from durable_trio._protocol.wire import (
    Dialect,
    WireError,
    decode_error,
    decode_instant,
    decode_operation,
    decode_update,
    encode_error,
    encode_instant,
    encode_operation,
    encode_update,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# From 2242 on, float seconds do not tell microseconds apart any more.
FLOATS_ARE_EXACT_BEFORE = 2**33 * 1000

maybe_text = st.none() | st.text(max_size=10)
instants = st.integers(0, FLOATS_ARE_EXACT_BEFORE)
errors = st.builds(
    ErrorObject,
    message=maybe_text,
    type=maybe_text,
    data=maybe_text,
    stack=st.lists(st.text(max_size=5), max_size=3).map(tuple),
)

DETAILS_OF = {
    OperationType.EXECUTION: st.builds(ExecutionDetails, input_payload=maybe_text),
    OperationType.CONTEXT: st.builds(
        ContextDetails, result=maybe_text, error=st.none() | errors, replay_children=st.booleans()
    ),
    OperationType.STEP: st.builds(
        StepDetails,
        attempt=st.integers(0, 100),
        next_attempt_at=st.none() | instants,
        result=maybe_text,
        error=st.none() | errors,
    ),
    OperationType.WAIT: st.builds(WaitDetails, scheduled_end_at=st.none() | instants),
    OperationType.CALLBACK: st.builds(
        CallbackDetails, callback_id=maybe_text, result=maybe_text, error=st.none() | errors
    ),
    OperationType.CHAINED_INVOKE: st.builds(
        ChainedInvokeDetails, result=maybe_text, error=st.none() | errors
    ),
}
OPTIONS_OF: dict[OperationType, st.SearchStrategy[Any]] = {
    OperationType.EXECUTION: st.none(),
    OperationType.CONTEXT: st.none() | st.builds(ContextOptions, replay_children=st.booleans()),
    OperationType.STEP: st.none()
    | st.builds(StepOptions, next_attempt_delay_seconds=st.none() | st.integers(1, 31_622_400)),
    OperationType.WAIT: st.none() | st.builds(WaitOptions, wait_seconds=st.integers(1, 31_622_400)),
    OperationType.CALLBACK: st.none()
    | st.builds(
        CallbackOptions,
        timeout_seconds=st.integers(0, 99_999_999),
        heartbeat_timeout_seconds=st.integers(0, 99_999_999),
    ),
    OperationType.CHAINED_INVOKE: st.none()
    | st.builds(ChainedInvokeOptions, function_name=st.text(max_size=10), tenant_id=maybe_text),
}
SUB_TYPES = st.none() | st.sampled_from([str(sub_type) for sub_type in SubType])


def records_of(type_: OperationType) -> st.SearchStrategy[OperationRecord]:
    """Generate operations of one type."""
    return st.builds(
        OperationRecord,
        id=st.text(max_size=10),
        type=st.just(type_),
        status=st.sampled_from(OperationStatus),
        started_at=instants,
        parent_id=maybe_text,
        name=maybe_text,
        sub_type=SUB_TYPES,
        ended_at=st.none() | instants,
        details=DETAILS_OF[type_],
    )


def updates_of(type_: OperationType) -> st.SearchStrategy[OperationUpdate]:
    """Generate updates of one type."""
    return st.builds(
        OperationUpdate,
        id=st.text(max_size=10),
        type=st.just(type_),
        action=st.sampled_from(OperationAction),
        parent_id=maybe_text,
        name=maybe_text,
        sub_type=SUB_TYPES,
        payload=maybe_text,
        error=st.none() | errors,
        options=OPTIONS_OF[type_],
    )


records = st.sampled_from(OperationType).flatmap(records_of)
updates = st.sampled_from(OperationType).flatmap(updates_of)


# --- round trips -----------------------------------------------------------------------------------------


@given(records, st.sampled_from(Dialect))
def test_operations_come_back_in_both_dialects(record: OperationRecord, dialect: Dialect) -> None:
    """What one side writes, the other reads as the same operation, after JSON as well."""
    wire = json.loads(json.dumps(encode_operation(record, dialect)))

    assert decode_operation(wire, dialect) == record


@given(updates)
def test_updates_come_back(update: OperationUpdate) -> None:
    """An update is read as it was sent."""
    assert decode_update(json.loads(json.dumps(encode_update(update)))) == update


@given(errors)
def test_errors_come_back(error: ErrorObject) -> None:
    """An error object keeps all four members."""
    assert decode_error(encode_error(error)) == error


@given(records, st.sampled_from(Dialect))
def test_absent_members_are_not_written(record: OperationRecord, dialect: Dialect) -> None:
    """No member is written as null: boto3 and strict readers refuse those."""
    assert "null" not in _members(encode_operation(record, dialect))


@given(updates)
def test_absent_members_of_updates_are_not_written(update: OperationUpdate) -> None:
    """boto3 refuses a request member that is None."""
    assert "null" not in _members(encode_update(update))


def _members(wire: Any) -> list[str]:
    """Return "null" for each None in *wire*."""
    if isinstance(wire, dict):
        return [found for member in wire.values() for found in _members(member)]
    return ["null"] if wire is None else []


def test_wire_values_are_of_the_plain_types() -> None:
    """Enums are written as plain strings: some encoders look at exact types."""
    update = OperationUpdate(
        id="a", type=OperationType.STEP, action=OperationAction.START, sub_type=SubType.WAIT_FOR_CONDITION
    )

    assert {type(value) for value in encode_update(update).values()} == {str}
    assert encode_update(update)["SubType"] == "WaitForCondition"


def test_every_type_has_its_details() -> None:
    """An operation without details is read with the empty details of its type."""
    for type_ in OperationType:
        record = decode_operation(
            {"Id": "a", "Type": type_.value, "Status": "STARTED", "StartTimestamp": 1}, Dialect.EVENT
        )
        assert record.details == DETAILS[type_]()


def test_null_and_unknown_members_are_read_as_absent() -> None:
    """The service writes nulls, and newer services write members that we do not know."""
    wire = {
        "Id": "a",
        "Type": "CONTEXT",
        "Status": "SUCCEEDED",
        "StartTimestamp": 5,
        "EndTimestamp": None,
        "ParentId": None,
        "Error": None,
        "ContextDetails": {"Result": None, "Error": None, "ReplayChildren": None, "Mood": "good"},
        "Mood": "good",
    }

    assert decode_operation(wire, Dialect.EVENT) == OperationRecord(
        id="a",
        type=OperationType.CONTEXT,
        status=OperationStatus.SUCCEEDED,
        started_at=5,
        details=ContextDetails(),
    )


GOLDEN_UPDATES = [
    (
        OperationUpdate(
            id="a",
            type=OperationType.WAIT,
            action=OperationAction.START,
            parent_id="p",
            name="cool-off",
            sub_type=SubType.WAIT,
            options=WaitOptions(wait_seconds=3600),
        ),
        {
            "Id": "a",
            "Type": "WAIT",
            "Action": "START",
            "ParentId": "p",
            "Name": "cool-off",
            "SubType": "Wait",
            "WaitOptions": {"WaitSeconds": 3600},
        },
    ),
    (
        OperationUpdate(
            id="a",
            type=OperationType.CALLBACK,
            action=OperationAction.START,
            options=CallbackOptions(timeout_seconds=300),
        ),
        {
            "Id": "a",
            "Type": "CALLBACK",
            "Action": "START",
            "CallbackOptions": {"TimeoutSeconds": 300, "HeartbeatTimeoutSeconds": 0},
        },
    ),
    (
        OperationUpdate(
            id="a",
            type=OperationType.CHAINED_INVOKE,
            action=OperationAction.START,
            payload="{}",
            options=ChainedInvokeOptions(function_name="pay"),
        ),
        {
            "Id": "a",
            "Type": "CHAINED_INVOKE",
            "Action": "START",
            "Payload": "{}",
            "ChainedInvokeOptions": {"FunctionName": "pay"},
        },
    ),
    (
        OperationUpdate(
            id="a",
            type=OperationType.CONTEXT,
            action=OperationAction.SUCCEED,
            payload="",
            options=ContextOptions(replay_children=True),
        ),
        {
            "Id": "a",
            "Type": "CONTEXT",
            "Action": "SUCCEED",
            "Payload": "",
            "ContextOptions": {"ReplayChildren": True},
        },
    ),
    (
        OperationUpdate(
            id="a",
            type=OperationType.STEP,
            action=OperationAction.RETRY,
            error=ErrorObject(message="boom", type="ValueError", data="d", stack=("l1", "l2")),
            options=StepOptions(next_attempt_delay_seconds=1),
        ),
        {
            "Id": "a",
            "Type": "STEP",
            "Action": "RETRY",
            "Error": {
                "ErrorMessage": "boom",
                "ErrorType": "ValueError",
                "ErrorData": "d",
                "StackTrace": ["l1", "l2"],
            },
            "StepOptions": {"NextAttemptDelaySeconds": 1},
        },
    ),
]


@pytest.mark.parametrize(("update", "wire"), GOLDEN_UPDATES, ids=lambda value: "")
def test_updates_have_the_members_of_the_service(update: OperationUpdate, wire: dict[str, Any]) -> None:
    """Members are named as in the service's model."""
    assert encode_update(update) == wire
    assert decode_update(wire) == update


# --- instants --------------------------------------------------------------------------------------------


@given(st.integers(0, FLOATS_ARE_EXACT_BEFORE))
def test_the_dialects_agree_to_the_millisecond(at: int) -> None:
    """An instant is the same integer whether it came by the event, by API seconds or by boto3's datetime."""
    assert decode_instant(encode_instant(at, Dialect.EVENT), Dialect.EVENT, "T") == at
    assert decode_instant(encode_instant(at, Dialect.API), Dialect.API, "T") == at
    assert decode_instant(EPOCH + timedelta(milliseconds=at), Dialect.API, "T") == at
    # As botocore makes it: from float seconds.
    assert decode_instant(datetime.fromtimestamp(at / 1000, UTC), Dialect.API, "T") == at


@given(
    st.integers(1_700_000_000_000, 2_000_000_000_000),
    st.integers(0, 999),
    st.sampled_from([UTC, timezone(timedelta(hours=-7)), ZoneInfo("Europe/Berlin")]),
)
def test_finer_instants_are_floored(at: int, microseconds: int, zone: Any) -> None:
    """Fractions of a millisecond are dropped alike in every form, and the zone does not matter."""
    exact = EPOCH + timedelta(milliseconds=at, microseconds=microseconds)

    assert decode_instant(exact.astimezone(zone), Dialect.API, "T") == at
    assert decode_instant((at * 1000 + microseconds) / 1_000_000, Dialect.API, "T") == at


@pytest.mark.parametrize("value", [True, "1795177539", None, [1], datetime(2026, 1, 1)])
def test_only_numbers_and_aware_datetimes_are_instants(value: Any) -> None:
    """Everything else is refused with the member's name."""
    for dialect in Dialect:
        with pytest.raises(WireError, match="StartTimestamp must"):
            decode_instant(value, dialect, "StartTimestamp")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e305])
@pytest.mark.parametrize("dialect", list(Dialect))
def test_numbers_that_are_no_instants_are_refused(value: float, dialect: Dialect) -> None:
    """NaN and infinities, which Python's JSON reads, are refused like other wrong values."""
    with pytest.raises(WireError, match="StartTimestamp must"):
        decode_instant(value, dialect, "StartTimestamp")


# --- refusals --------------------------------------------------------------------------------------------

OPERATION = {"Id": "a", "Type": "STEP", "Status": "STARTED", "StartTimestamp": 1}
UPDATE = {"Id": "a", "Type": "STEP", "Action": "START"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Id": None}, "Id is required"),
        ({"Id": 7}, "Id must be a string, not int"),
        ({"Type": "NAP"}, "Type must be one of EXECUTION, CONTEXT, .*, not 'NAP'"),
        ({"Status": "started"}, "Status must be one of STARTED, .*, not 'started'"),
        ({"StartTimestamp": "now"}, "StartTimestamp must be a number, not str"),
        ({"EndTimestamp": "now"}, "EndTimestamp must be a number, not str"),
        ({"Name": 7}, "Name must be a string"),
        ({"StepDetails": []}, "StepDetails must be an object, not list"),
        ({"StepDetails": {"Attempt": "1"}}, "Attempt must be a whole number, not '1'"),
        ({"StepDetails": {"Attempt": True}}, "Attempt must be a whole number, not True"),
        ({"StepDetails": {"Attempt": 1.5}}, "Attempt must be a whole number, not 1.5"),
        ({"StepDetails": {"Result": {"a": 1}}}, "Result must be a string, not dict"),
        ({"StepDetails": {"Error": "boom"}}, "Error must be an object, not str"),
        ({"StepDetails": {"Error": {"ErrorType": 1}}}, "ErrorType must be a string"),
        ({"StepDetails": {"Error": {"StackTrace": "line"}}}, "StackTrace must be a list of strings"),
        ({"StepDetails": {"Error": {"StackTrace": [1]}}}, "StackTrace must be a list of strings"),
    ],
)
def test_malformed_operations_are_refused(change: dict[str, Any], message: str) -> None:
    """A wrong member is named, with what is wrong about it."""
    with pytest.raises(WireError, match=message):
        decode_operation(OPERATION | change, Dialect.EVENT)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Action": None}, "Action is required"),
        ({"Action": "STOP"}, "Action must be one of START, .*, not 'STOP'"),
        ({"Payload": {}}, "Payload must be a string"),
        ({"StepOptions": {"NextAttemptDelaySeconds": 1.5}}, "NextAttemptDelaySeconds must be a whole number"),
        ({"Type": "WAIT", "WaitOptions": {}}, "WaitSeconds is required"),
        ({"Type": "CHAINED_INVOKE", "ChainedInvokeOptions": {}}, "FunctionName is required"),
        ({"Type": "CALLBACK", "CallbackOptions": {"TimeoutSeconds": "9"}}, "TimeoutSeconds must be"),
    ],
)
def test_malformed_updates_are_refused(change: dict[str, Any], message: str) -> None:
    """A wrong member of an update is named as well."""
    with pytest.raises(WireError, match=message):
        decode_update(UPDATE | change)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
MEMBERS = [
    "Id",
    "Type",
    "Status",
    "Action",
    "StartTimestamp",
    "EndTimestamp",
    "Name",
    "ParentId",
    "SubType",
    "Payload",
    "Error",
    "StepDetails",
    "WaitDetails",
    "StepOptions",
    "WaitOptions",
    "CallbackOptions",
    "ChainedInvokeOptions",
    "ContextOptions",
    "ContextDetails",
]


@given(
    st.dictionaries(st.sampled_from(MEMBERS), json_values, max_size=3),
    st.sampled_from(OperationType),
    st.sampled_from(Dialect),
)
def test_reading_anything_is_a_value_or_a_wire_error(
    change: dict[str, Any], type_: OperationType, dialect: Dialect
) -> None:
    """Whatever another program sends, nothing but a WireError is raised."""
    for decode in (lambda wire: decode_operation(wire, dialect), decode_update):
        try:
            decode({**OPERATION, **UPDATE, "Type": type_.value, **change})
        except WireError:
            continue
