from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from serdes.values import aws_values, read, write

from durable_trio import (
    BatchItem,
    BatchItemStatus,
    BatchResult,
    ChildContextError,
    CompletionReason,
    SerDesError,
    aws_python_serdes,
)

theirs = pytest.importorskip("aws_durable_execution_sdk_python.serdes", reason="AWS's SDK is not installed")

SERDES = aws_python_serdes()


@given(aws_values)
def test_the_text_is_what_the_other_sdk_writes(value: object) -> None:
    """Byte by byte; and each reads what the other wrote."""
    text = write(SERDES, value)
    other = theirs.ExtendedTypeSerDes()
    assert text == other.serialize(value)
    assert repr(read(SERDES, text)) == repr(value) == repr(other.deserialize(text))


BATCH: BatchResult[Any] = BatchResult(
    [
        BatchItem(0, BatchItemStatus.SUCCEEDED, result={"a": (1,)}),
        BatchItem(
            1, BatchItemStatus.FAILED, error=ChildContextError("no", error_type="ValueError", data="d")
        ),
        BatchItem(2, BatchItemStatus.STARTED),
    ],
    CompletionReason.MIN_SUCCESSFUL_REACHED,
)


def test_a_batch_goes_both_ways() -> None:
    """The other SDK reads our ``BatchResult`` as its own, and we read its text as ours."""
    text = write(SERDES, [BATCH])
    (other,) = theirs.ExtendedTypeSerDes().deserialize(text)
    assert other.get_results() == [{"a": (1,)}]
    assert (other.get_errors()[0].type, other.get_errors()[0].message) == ("ValueError", "no")

    (again,) = read(SERDES, theirs.ExtendedTypeSerDes().serialize([other]))
    assert again == BATCH
    (error,) = again.errors()
    assert (type(error), error.data) == (ChildContextError, "d")


def test_nan_is_read_but_not_written() -> None:
    """The other SDK writes it bare; it is no JSON, so we do not."""
    assert str(read(SERDES, "[NaN]")) == "[nan]"
    with pytest.raises(SerDesError, match=r"\[0\]: nan has no JSON form"):
        write(SERDES, [float("nan")])


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"a": {1: 2}}, r"\$\.a: the keys of this dict would come back as text"),
        ({1, 2}, r"\$: AWS's Python SDK has no form for a set"),
        ([timedelta(1)], r"\$\[0\]: AWS's Python SDK has no form for a timedelta"),
        (datetime(2026, 1, 1, fold=1), "fold"),
        (datetime(2026, 1, 1, tzinfo=timezone(timedelta(microseconds=1))), "offset"),
    ],
    ids=repr,
)
def test_what_would_come_back_changed_is_refused(value: object, why: str) -> None:
    """With the path to it."""
    with pytest.raises(SerDesError, match=why):
        write(SERDES, value)


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        '{"a":1}',
        '{"t":"zz","v":1}',
        '{"t":["m"],"v":1}',
        '{"t":"m","v":[]}',
        '{"t":"l","v":{}}',
        '{"t":"i","v":"1"}',
        '{"t":"u","v":"1"}',
        '{"t":"B","v":"*"}',
        '{"t":"l","v":[[1]]}',
        '{"t":"br","v":{}}',
        '{"t":"br","v":{"all":{"t":"l","v":[{"t":"n","v":null}]},"completionReason":{"t":"s","v":"ALL_COMPLETED"}}}',
        "[" * 100_000,
        "[" * 300 + "]" * 300,
        '{"t":"l","v":[' * 300 + "]}" * 300,
    ],
    ids=lambda text: text[:40],
)
def test_text_of_another_form_is_refused(text: str) -> None:
    """The error says what the serializer is for."""
    with pytest.raises(SerDesError, match="not what AWS's Python SDK writes"):
        read(SERDES, text)


def test_primitives_are_plain_json() -> None:
    """A primitive, or a list of nothing else, is stored without envelopes."""
    assert write(SERDES, [1, [None, "ü"]]) == '[1,[null,"\\u00fc"]]'
    assert json.loads(write(SERDES, {"a": 1})) == {"t": "m", "v": {"a": {"t": "i", "v": 1}}}
