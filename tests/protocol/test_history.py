"""History events on the wire."""

from typing import Any

import pytest

from durable_trio._protocol.history import (
    MEMBERS,
    EventDetails,
    EventType,
    HistoryEvent,
    decode_event,
    encode_event,
    event_type,
    truncate,
    update_event_type,
)
from durable_trio._protocol.lifecycle import SERVICE_TRANSITIONS, TRANSITIONS
from durable_trio._protocol.operation import ErrorObject, OperationAction, OperationStatus, OperationType
from durable_trio._protocol.wire import Dialect, WireError

ERROR = ErrorObject(message="boom", type="ValueError")
FULL = EventDetails(
    input="1",
    result="2",
    error=ERROR,
    attempt=3,
    next_attempt_delay_seconds=4,
    duration_seconds=5,
    scheduled_end_at=6000,
    callback_id="Y2I=",
    timeout_seconds=7,
    heartbeat_timeout_seconds=0,
    function_name="f",
    tenant_id="t",
    executed_version="$LATEST",
    durable_execution_arn="arn",
    execution_timeout_seconds=8,
    started_at=9000,
    ended_at=10_000,
    request_id="r",
)


def _event(type_: EventType, details: EventDetails) -> HistoryEvent:
    return HistoryEvent(1, type_, 1_700_000_000_123, "op", "parent", "name", "Step", details)


@pytest.mark.parametrize(
    ("type_", "details", "wire"),
    [
        (
            EventType.EXECUTION_STARTED,
            FULL,
            {"Input": {"Payload": "1", "Truncated": False}, "ExecutionTimeout": 8},
        ),
        (EventType.EXECUTION_STOPPED, EventDetails(), {"Error": {"Truncated": False}}),
        (EventType.EXECUTION_TIMED_OUT, EventDetails(), {}),
        (EventType.CONTEXT_STARTED, FULL, {}),
        (
            EventType.STEP_SUCCEEDED,
            EventDetails(attempt=1),
            {"Result": {"Truncated": False}, "RetryDetails": {"CurrentAttempt": 1}},
        ),
        (
            EventType.STEP_FAILED,
            FULL,
            {
                "Error": {
                    "Payload": {"ErrorMessage": "boom", "ErrorType": "ValueError"},
                    "Truncated": False,
                },
                "RetryDetails": {"CurrentAttempt": 3, "NextAttemptDelaySeconds": 4},
            },
        ),
        (EventType.WAIT_STARTED, FULL, {"Duration": 5, "ScheduledEndTimestamp": 6.0}),
        (EventType.WAIT_SUCCEEDED, FULL, {"Duration": 5}),
        (EventType.CALLBACK_STARTED, FULL, {"CallbackId": "Y2I=", "Timeout": 7, "HeartbeatTimeout": 0}),
        (
            EventType.CHAINED_INVOKE_STARTED,
            FULL,
            {
                "FunctionName": "f",
                "TenantId": "t",
                "Input": {"Payload": "1", "Truncated": False},
                "ExecutedVersion": "$LATEST",
                "DurableExecutionArn": "arn",
            },
        ),
        (
            EventType.INVOCATION_COMPLETED,
            EventDetails(started_at=9000, ended_at=10_000, request_id="r"),
            {"StartTimestamp": 9.0, "EndTimestamp": 10.0, "RequestId": "r"},
        ),
    ],
)
def test_details_on_the_wire(type_: EventType, details: EventDetails, wire: dict[str, Any]) -> None:
    """Each type has its own members; what the model requires is there even when it is empty."""
    assert encode_event(_event(type_, details), Dialect.API) == {
        "EventType": type_.value,
        "EventId": 1,
        "EventTimestamp": 1_700_000_000.123,
        "Id": "op",
        "ParentId": "parent",
        "Name": "name",
        "SubType": "Step",
        f"{type_}Details": wire,
    }


@pytest.mark.parametrize("type_", EventType)
@pytest.mark.parametrize("details", [FULL, EventDetails()])
def test_writing_what_was_read_gives_the_same(type_: EventType, details: EventDetails) -> None:
    """An event read back is written the same, in both dialects: nothing that counts is lost."""
    for dialect in Dialect:
        wire = encode_event(_event(type_, details), dialect)
        assert encode_event(decode_event(wire, dialect), dialect) == wire


def test_truncated_events() -> None:
    """Without its data an event has the same members, with the payloads left out and marked."""
    event = _event(EventType.STEP_FAILED, FULL)

    wire = encode_event(truncate(event), Dialect.API)["StepFailedDetails"]

    assert wire["Error"] == {"Truncated": True}
    assert wire["RetryDetails"]["CurrentAttempt"] == 3
    empty = encode_event(truncate(_event(EventType.STEP_SUCCEEDED, EventDetails(attempt=1))), Dialect.API)
    assert empty["StepSucceededDetails"]["Result"] == {"Truncated": False}


def test_every_transition_has_an_event() -> None:
    """Whatever the tables allow to happen to an operation has its type of event; only READY has none."""
    for type_, transitions in TRANSITIONS.items():
        for actions in transitions.values():
            for action in actions:
                for error in (None, ERROR):
                    assert update_event_type(type_, action, error) in MEMBERS
    for type_, moves in SERVICE_TRANSITIONS.items():
        for statuses in moves.values():
            for status in statuses - {OperationStatus.READY}:
                assert event_type(type_, status) in MEMBERS


def test_a_retry_is_an_event_of_its_outcome() -> None:
    """RETRY with an error is a failed attempt, RETRY with a payload a successful poll."""
    step, retry = OperationType.STEP, OperationAction.RETRY

    assert update_event_type(step, retry, ERROR) is EventType.STEP_FAILED
    assert update_event_type(step, retry, None) is EventType.STEP_SUCCEEDED


@pytest.mark.parametrize("wire", [{}, {"EventType": "Nonsense", "EventId": 1, "EventTimestamp": 1}])
def test_what_is_no_event(wire: dict[str, Any]) -> None:
    """Something else is refused."""
    with pytest.raises(WireError, match="not a history event"):
        decode_event(wire, Dialect.EVENT)
