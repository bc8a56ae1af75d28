from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_trio._protocol import limits
from durable_trio._protocol.envelope import (
    Failed,
    InvocationInput,
    NotDurableError,
    Outcome,
    Pending,
    Succeeded,
    decode_invocation,
    decode_outcome,
    encode_invocation,
    encode_outcome,
    response_fits,
)
from durable_trio._protocol.operation import (
    ErrorObject,
    ExecutionDetails,
    OperationRecord,
    OperationStatus,
    OperationType,
    StepDetails,
)
from durable_trio._protocol.state import ExecutionState
from durable_trio._protocol.wire import WireError

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:orders:$LATEST/durable-execution/order-1/e2f1"
EVENT: dict[str, Any] = {
    "DurableExecutionArn": ARN,
    "CheckpointToken": "dG9rZW4=",
    "InitialExecutionState": {
        "Operations": [
            {
                "Id": "e2f1",
                "Type": "EXECUTION",
                "Status": "STARTED",
                "Name": "order-1",
                "StartTimestamp": 1795177539553,
                "ExecutionDetails": {"InputPayload": '{"order":1}'},
            },
            {
                "Id": "s1",
                "Type": "STEP",
                "SubType": "Step",
                "Status": "READY",
                "StartTimestamp": 1795177539882,
                "StepDetails": {"Attempt": 1, "Error": {"ErrorMessage": "boom", "ErrorType": "ValueError"}},
            },
        ],
        "NextMarker": "",
    },
    "UpdatedOperationIds": ["s1"],
}
INVOCATION = InvocationInput(
    durable_execution_arn=ARN,
    checkpoint_token="dG9rZW4=",
    operations=(
        OperationRecord(
            id="e2f1",
            type=OperationType.EXECUTION,
            status=OperationStatus.STARTED,
            started_at=1795177539553,
            name="order-1",
            details=ExecutionDetails(input_payload='{"order":1}'),
        ),
        OperationRecord(
            id="s1",
            type=OperationType.STEP,
            status=OperationStatus.READY,
            started_at=1795177539882,
            sub_type="Step",
            details=StepDetails(attempt=1, error=ErrorObject(message="boom", type="ValueError")),
        ),
    ),
    updated_operation_ids=frozenset({"s1"}),
)


# --- the event -------------------------------------------------------------------------------------------


def test_an_event_is_read_and_written_with_the_members_of_the_service() -> None:
    """The event's members and their millisecond instants are those that AWS sends."""
    assert decode_invocation(EVENT) == INVOCATION
    assert encode_invocation(INVOCATION) == EVENT


def test_the_execution_is_the_last_part_of_the_arn() -> None:
    """The input is found by the ARN's last segment, whatever else the state holds."""
    assert INVOCATION.execution_id == "e2f1"
    for operations, arn, expected in (
        (INVOCATION.operations, INVOCATION.durable_execution_arn, INVOCATION.operations[0]),
        (INVOCATION.operations[1:], INVOCATION.durable_execution_arn, None),
        (INVOCATION.operations, "arn/s1", None),
    ):
        state = ExecutionState(arn)
        state.load(operations)
        assert state.execution == expected


@pytest.mark.parametrize(
    "state", [{}, {"Operations": None}, {"Operations": [], "NextMarker": None}, {"NextMarker": ""}]
)
def test_absent_and_null_members_of_the_state_are_empty(state: dict[str, Any]) -> None:
    """A first page may be empty, and an end of paging is a missing, null or empty marker."""
    event = {key: EVENT[key] for key in ("DurableExecutionArn", "CheckpointToken")}

    invocation = decode_invocation({**event, "InitialExecutionState": state})

    assert (invocation.operations, invocation.next_marker, invocation.updated_operation_ids) == (
        (),
        "",
        frozenset(),
    )


@pytest.mark.parametrize("missing", ["DurableExecutionArn", "CheckpointToken", "InitialExecutionState"])
def test_an_event_without_an_envelope_is_explained(missing: str) -> None:
    """A plain invocation is refused by saying what is missing and that the function has no DurableConfig."""
    event = {key: member for key, member in EVENT.items() if key != missing}

    with pytest.raises(NotDurableError, match=f"it lacks {missing}.*DurableConfig"):
        decode_invocation(event)


@pytest.mark.parametrize("event", [None, [], "x", 7])
def test_an_event_that_is_no_object_is_explained(event: Any) -> None:
    """Anything may be sent to a function; what is no object is refused alike."""
    with pytest.raises(NotDurableError, match=f"it is a {type(event).__name__}"):
        decode_invocation(event)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"InitialExecutionState": []}, "InitialExecutionState must be an object"),
        ({"InitialExecutionState": None}, "InitialExecutionState must be an object"),
        ({"DurableExecutionArn": ""}, "DurableExecutionArn must be a string that is not empty"),
        ({"CheckpointToken": 7}, "CheckpointToken must be a string that is not empty"),
        ({"InitialExecutionState": {"Operations": {}}}, "Operations must be a list"),
        ({"InitialExecutionState": {"Operations": [7]}}, "an operation must be an object, not int"),
        ({"InitialExecutionState": {"Operations": "ab"}}, "Operations must be a list"),
        ({"InitialExecutionState": {"NextMarker": 7}}, "NextMarker must be a string"),
        ({"UpdatedOperationIds": [7]}, "UpdatedOperationIds must be"),
        ({"UpdatedOperationIds": "s1"}, "UpdatedOperationIds must be"),
    ],
)
def test_a_malformed_envelope_is_refused(change: dict[str, Any], message: str) -> None:
    """A wrong member of an envelope is an error that names it, not a crash."""
    with pytest.raises(WireError, match=message):
        decode_invocation(EVENT | change)


# --- the answer ------------------------------------------------------------------------------------------

OUTCOMES: list[tuple[Outcome, dict[str, Any]]] = [
    (Succeeded('{"a":1}'), {"Status": "SUCCEEDED", "Result": '{"a":1}'}),
    (Succeeded(""), {"Status": "SUCCEEDED", "Result": ""}),
    (
        Failed(ErrorObject(message="boom", type="ValueError", data="d", stack=("line",))),
        {
            "Status": "FAILED",
            "Error": {
                "ErrorMessage": "boom",
                "ErrorType": "ValueError",
                "ErrorData": "d",
                "StackTrace": ["line"],
            },
        },
    ),
    (Failed(), {"Status": "FAILED"}),
    (Pending(), {"Status": "PENDING"}),
]


@pytest.mark.parametrize(("outcome", "response"), OUTCOMES, ids=lambda value: "")
def test_the_three_answers(outcome: Outcome, response: dict[str, Any]) -> None:
    """A function answers SUCCEEDED, FAILED or PENDING, with exactly the members that go with it."""
    assert encode_outcome(outcome) == response
    assert decode_outcome(response) == outcome


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (None, "answers an object, not NoneType"),
        ("SUCCEEDED", "answers an object, not str"),
        ({}, "Status must be SUCCEEDED, FAILED or PENDING, not None"),
        ({"Status": "succeeded"}, "Status must be .*, not 'succeeded'"),
        ({"Status": "SUCCEEDED", "Error": {}}, "SUCCEEDED must not have an Error"),
        ({"Status": "SUCCEEDED", "Result": {"a": 1}}, "Result must be a string, not dict"),
        ({"Status": "FAILED", "Result": ""}, "FAILED must not have a Result"),
        ({"Status": "FAILED", "Error": "boom"}, "Error must be an object, not str"),
        ({"Status": "FAILED", "Error": {"ErrorMessage": 1}}, "ErrorMessage must be a string"),
    ],
)
def test_other_answers_are_refused(response: Any, message: str) -> None:
    """The service takes nothing that contradicts itself."""
    with pytest.raises(WireError, match=message):
        decode_outcome(response)


def test_a_null_result_is_an_empty_one() -> None:
    """A missing or null Result stands for a result that was checkpointed before."""
    assert decode_outcome({"Status": "SUCCEEDED", "Result": None}) == Succeeded("")
    assert decode_outcome({"Status": "SUCCEEDED"}) == Succeeded("")


# --- size ------------------------------------------------------------------------------------------------


def encoded_size(outcome: Outcome) -> int:
    """Return the bytes of the response as Lambda's runtime writes it."""
    return len(json.dumps(encode_outcome(outcome)).encode())


@pytest.mark.parametrize(
    "unit", ["a", '"', "\n", "ü", "😀"], ids=["ascii", "quote", "newline", "umlaut", "emoji"]
)
@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_a_response_is_measured_in_encoded_bytes(unit: str, excess: int) -> None:
    """A response fits up to the limit and not a byte above, whatever its characters cost when encoded."""
    wanted = limits.MAX_RESPONSE_BYTES + excess
    cost = encoded_size(Succeeded(unit)) - encoded_size(Succeeded(""))
    count, rest = divmod(wanted - encoded_size(Succeeded("")), cost)
    outcome = Succeeded(unit * count + "a" * rest)

    assert encoded_size(outcome) == wanted
    assert response_fits(outcome) is (excess <= 0)


def test_an_error_is_measured_too() -> None:
    """A failure that is too long is checkpointed first, as a result is."""
    assert response_fits(Failed(ErrorObject(message="a" * 1000)))
    assert not response_fits(Failed(ErrorObject(message="a", data='"' * (limits.MAX_RESPONSE_BYTES // 2))))


@given(st.text(max_size=50))
def test_small_responses_always_fit(result: str) -> None:
    """Every small answer fits, lone surrogates included: json escapes them."""
    assert response_fits(Succeeded(result))
    assert response_fits(Pending())
