"""Whatever arrives from the service, or lies in its database: it is read, or refused with the documented error."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from security.hostile import broken, json_trees, scalars

from durable_trio._protocol.arns import parse_arn
from durable_trio._protocol.envelope import NotDurableError, decode_invocation, decode_outcome
from durable_trio._protocol.history import decode_event
from durable_trio._protocol.opaque import callback_target, is_place, marker_places, token_sequence
from durable_trio._protocol.wire import Dialect, WireError, decode_error, decode_operation, decode_update

ERROR = {"ErrorMessage": "m", "ErrorType": "T", "ErrorData": "d", "StackTrace": ["a", "b"]}
OPERATIONS: list[Any] = [
    {"Id": "e", "Type": "EXECUTION", "Status": "STARTED", "ExecutionDetails": {"InputPayload": "{}"}},
    {
        "Id": "s",
        "Type": "STEP",
        "Status": "PENDING",
        "StartTimestamp": 1_700_000_000_000,
        "Name": "n",
        "SubType": "Step",
        "ParentId": "p",
        "StepDetails": {
            "Attempt": 1,
            "NextAttemptTimestamp": 1_700_000_000_000,
            "Error": ERROR,
            "Result": "1",
        },
    },
    {
        "Id": "c",
        "Type": "CONTEXT",
        "Status": "SUCCEEDED",
        "StartTimestamp": 1,
        "EndTimestamp": 2.5,
        "ContextDetails": {"ReplayChildren": True, "Result": ""},
    },
    {"Id": "w", "Type": "WAIT", "Status": "STARTED", "WaitDetails": {"ScheduledEndTimestamp": 5}},
    {
        "Id": "b",
        "Type": "CALLBACK",
        "Status": "FAILED",
        "CallbackDetails": {"CallbackId": "x", "Error": ERROR},
    },
    {"Id": "i", "Type": "CHAINED_INVOKE", "Status": "FAILED", "ChainedInvokeDetails": {"Error": ERROR}},
]
UPDATES: list[Any] = [
    {
        "Id": "s",
        "Type": "STEP",
        "Action": "RETRY",
        "Error": ERROR,
        "StepOptions": {"NextAttemptDelaySeconds": 1},
    },
    {
        "Id": "c",
        "Type": "CONTEXT",
        "Action": "SUCCEED",
        "Payload": "1",
        "ContextOptions": {"ReplayChildren": True},
    },
    {"Id": "w", "Type": "WAIT", "Action": "START", "WaitOptions": {"WaitSeconds": 1}},
    {
        "Id": "b",
        "Type": "CALLBACK",
        "Action": "START",
        "CallbackOptions": {"TimeoutSeconds": 1, "HeartbeatTimeoutSeconds": 1},
    },
    {"Id": "i", "Type": "CHAINED_INVOKE", "Action": "START", "ChainedInvokeOptions": {"FunctionName": "f"}},
]
EVENT = {
    "DurableExecutionArn": "arn",
    "CheckpointToken": "token",
    "InitialExecutionState": {"Operations": OPERATIONS, "NextMarker": ""},
    "UpdatedOperationIds": ["s"],
}
HISTORY: list[Any] = [
    {
        "EventType": "StepFailed",
        "EventId": 1,
        "EventTimestamp": 1_700_000_000.5,
        "Id": "s",
        "Name": "n",
        "StepFailedDetails": {
            "Error": {"Payload": ERROR},
            "RetryDetails": {"CurrentAttempt": 1, "NextAttemptDelaySeconds": 5},
        },
    },
    {
        "EventType": "ExecutionStarted",
        "EventId": 2,
        "EventTimestamp": 1,
        "ExecutionStartedDetails": {"Input": {"Payload": "{}"}, "ExecutionTimeout": 9},
    },
]
OUTCOMES: list[Any] = [
    {"Status": "SUCCEEDED", "Result": "1"},
    {"Status": "FAILED", "Error": ERROR},
    {"Status": "PENDING"},
]

DECODERS: dict[str, tuple[Callable[[Any], object], list[Any]]] = {
    "operations of events": (lambda wire: decode_operation(wire, Dialect.EVENT), OPERATIONS),
    "operations of the API": (lambda wire: decode_operation(wire, Dialect.API), OPERATIONS),
    "updates": (decode_update, UPDATES),
    "errors": (decode_error, [ERROR]),
    "invocations": (decode_invocation, [EVENT]),
    "outcomes": (decode_outcome, OUTCOMES),
    "history of events": (lambda wire: decode_event(wire, Dialect.EVENT), HISTORY),
    "history of the API": (lambda wire: decode_event(wire, Dialect.API), HISTORY),
}


@pytest.mark.parametrize("name", DECODERS)
@given(data=st.data())
def test_decoders_read_anything_or_refuse_it(name: str, data: st.DataObject) -> None:
    """Only ``WireError`` (or, for an event that is no durable invocation, ``NotDurableError``) comes out."""
    decode, samples = DECODERS[name]
    wire = data.draw(json_trees | st.one_of(*map(broken, samples)))
    try:
        decode(wire)
    except (WireError, NotDurableError) as error:
        assert 0 < len(str(error)) < 2_000


@pytest.mark.parametrize("name", DECODERS)
def test_the_samples_are_whole(name: str) -> None:
    """What the tests break can be read before."""
    decode, samples = DECODERS[name]
    for sample in samples:
        decode(json.loads(json.dumps(sample)))


@given(st.text() | scalars.map(str))
def test_arns_are_parsed_or_not(text: str) -> None:
    """A text is an execution's ARN or None; looking takes time that grows with its length only."""
    parse_arn(text)
    parse_arn("arn:aws:lambda:" * 500 + text)


opaque_texts = st.text(max_size=40) | (
    st.lists(st.sampled_from(["exec", "state", "9" * 5000, "1", "-1", ""]) | st.text(max_size=5), max_size=4)
    .map(":".join)
    .map(lambda text: base64.b64encode(text.encode("utf-8", "replace")).decode())
)


@given(opaque_texts)
def test_tokens_ids_and_markers_are_read_or_not(text: str) -> None:
    """Nobody but the service makes them, and whatever else comes back is None; no number is too long to be read."""
    sequence = token_sequence(text, "exec")
    assert sequence is None or 0 <= sequence < 10**18
    callback_target(text)
    places = marker_places(text, "state")
    if places is not None and is_place(places[0]):
        int(places[0])
