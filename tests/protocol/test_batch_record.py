"""How a finished batch is written down: a file format."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_trio._protocol.batch_record import (
    BatchRecord,
    ItemRecord,
    decode_batch,
    decode_verdict,
    encode_batch,
    encode_verdict,
)
from durable_trio._protocol.completion import BatchItemStatus, CompletionReason
from durable_trio._protocol.operation import ErrorObject
from durable_trio._protocol.wire import WireError

SUCCEEDED, FAILED, STARTED = BatchItemStatus.SUCCEEDED, BatchItemStatus.FAILED, BatchItemStatus.STARTED

BATCH = BatchRecord(
    (
        ItemRecord(0, SUCCEEDED, payload='{"a":[1,"é"]}'),
        ItemRecord(1, FAILED, error=ErrorObject("why", "ValueError", "data", ("line",)), name="second"),
        ItemRecord(2, STARTED),
        ItemRecord(4, SUCCEEDED),
    ),
    CompletionReason.FAILURE_TOLERANCE_EXCEEDED,
)

WRITTEN = (
    '{"all":[{"index":0,"status":"SUCCEEDED","result":{"a":[1,"é"]}},'
    '{"index":1,"status":"FAILED","error":{"ErrorMessage":"why","ErrorType":"ValueError","ErrorData":"data",'
    '"StackTrace":["line"]},"name":"second"},'
    '{"index":2,"status":"STARTED"},'
    '{"index":4,"status":"SUCCEEDED"}],'
    '"completionReason":"FAILURE_TOLERANCE_EXCEEDED"}'
)


def test_the_written_form() -> None:
    """These bytes are in running executions."""
    assert encode_batch(BATCH, payloads_are_json=True) == WRITTEN
    assert decode_batch(WRITTEN) == BATCH


def test_payloads_that_are_not_json() -> None:
    """What a serializer of the user's made is text under ``payload``, and stays what it was."""
    batch = BatchRecord((ItemRecord(0, SUCCEEDED, payload='"not json'),), CompletionReason.ALL_COMPLETED)
    text = encode_batch(batch, payloads_are_json=False)

    assert json.loads(text)["all"] == [{"index": 0, "status": "SUCCEEDED", "payload": '"not json'}]
    assert decode_batch(text) == batch


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
errors = st.builds(
    ErrorObject,
    st.none() | st.text(),
    st.none() | st.text(),
    st.none() | st.text(),
    st.lists(st.text(), max_size=3).map(tuple),
)


@st.composite
def batches(draw: st.DrawFn) -> BatchRecord:
    """Draw a batch with items of every kind."""
    items = []
    for index in sorted(draw(st.sets(st.integers(0, 50), max_size=6))):
        status = draw(st.sampled_from(BatchItemStatus))
        payload = draw(st.none() | json_values.map(json.dumps)) if status is SUCCEEDED else None
        error = draw(errors) if status is FAILED else None
        items.append(ItemRecord(index, status, payload, error, draw(st.none() | st.text())))
    return BatchRecord(tuple(items), draw(st.sampled_from(CompletionReason)))


@given(batches(), st.booleans())
def test_every_batch_comes_back(batch: BatchRecord, payloads_are_json: bool) -> None:
    """A batch that is written and read is the same; JSON payloads are the same value."""
    back = decode_batch(encode_batch(batch, payloads_are_json=payloads_are_json))

    assert back.completion_reason is batch.completion_reason
    assert [(i.index, i.status, i.error, i.name) for i in back.items] == [
        (i.index, i.status, i.error, i.name) for i in batch.items
    ]
    for one, other in zip(back.items, batch.items, strict=True):
        if not payloads_are_json:
            assert one.payload == other.payload
        else:
            assert (one.payload is None) == (other.payload is None)
            assert json.loads(one.payload or "null") == json.loads(other.payload or "null")


@pytest.mark.parametrize(
    ("statuses", "key", "indexes"),
    [
        ([SUCCEEDED, SUCCEEDED, STARTED], "startedIndexes", [2]),
        ([STARTED, FAILED, STARTED], "completedIndexes", [1]),
        ([SUCCEEDED, STARTED], "startedIndexes", [1]),
        ([], "startedIndexes", []),
    ],
)
def test_the_verdict_has_the_shorter_list(
    statuses: list[BatchItemStatus], key: str, indexes: list[int]
) -> None:
    """Of the started and the completed indexes the shorter list is stored."""
    items = [ItemRecord(index, status) for index, status in enumerate(statuses)]
    wire = json.loads(encode_verdict("Map", items, CompletionReason.ALL_COMPLETED, "short"))

    assert wire[key] == indexes
    assert len({"startedIndexes", "completedIndexes"} & set(wire)) == 1
    assert wire["type"] == "MapResult"
    assert wire["totalCount"] == len(statuses)
    assert wire["status"] == ("FAILED" if FAILED in statuses else "SUCCEEDED")
    assert wire["summary"] == "short"


@given(st.lists(st.sampled_from(BatchItemStatus), max_size=30), st.sampled_from(CompletionReason))
def test_every_verdict_comes_back(statuses: list[BatchItemStatus], reason: CompletionReason) -> None:
    """A verdict that is written and read says the same of every index."""
    items = [ItemRecord(index, status) for index, status in enumerate(statuses)]
    verdict = decode_verdict(encode_verdict("Parallel", items, reason, None))

    assert verdict.started == {item.index for item in items if item.status is STARTED}
    assert verdict.completed == {item.index for item in items if item.status is not STARTED}
    assert verdict.completion_reason is reason


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"all":[{}],"completionReason":"ALL_COMPLETED"}',
        '{"all":[],"completionReason":"?"}',
    ],
)
def test_what_is_no_record(text: str) -> None:
    """Anything else is refused with an error that says so."""
    with pytest.raises(WireError, match="record of a batch"):
        decode_batch(text)
    with pytest.raises(WireError, match="verdict of a batch"):
        decode_verdict(text)
