"""Whatever is stored as a payload: reading it gives a value or the documented error, and nothing else happens."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from security.hostile import BOMBS, CTX, broken, broken_text, payloads

from durable_trio import ConfigurationError, durable_error
from durable_trio._protocol import aws_values, json_values, plain_values
from durable_trio._protocol.batch_record import decode_batch, decode_verdict
from durable_trio._protocol.json_leaves import JsonValueError
from durable_trio._protocol.operation import ErrorObject
from durable_trio._protocol.replay import Identity
from durable_trio._protocol.wire import WireError
from durable_trio._runtime.combinators_all import _verdict_of
from durable_trio._runtime.failures import recorded_callback_error, recorded_error
from durable_trio.durable_errors import rebuild
from durable_trio.exceptions import RetryableSerDesError, SerDesError, StepError
from durable_trio.serdes import (
    SerDes,
    aws_python_serdes,
    cbor_serdes,
    compression_stage,
    json_serdes,
    overflow_to_files,
    pass_through,
    plain_json,
    staged,
)

_FILES = tempfile.mkdtemp(prefix="durable-trio-security-")


@pytest.fixture(scope="module", autouse=True)
def _clean_up() -> Iterator[None]:
    yield
    shutil.rmtree(_FILES)


VALUE: Any = {"a": [1, (2.5, None)], "b": b"\x00", "c": {"d": "text"}}

SERDES: dict[str, SerDes] = {
    "json": json_serdes(),
    "plain": plain_json,
    "text": pass_through(),
    "cbor": cbor_serdes(),
    "aws": aws_python_serdes(),
    "compressed": staged(json_serdes(), compression_stage(max_bytes=10_000)),
    "files": overflow_to_files(json_serdes(), _FILES, threshold_bytes=10),
}


def reads_or_refuses(read: Callable[[], object], *errors: type[Exception]) -> None:
    """Check that reading returns, or raises one of *errors* with a message of bounded length."""
    try:
        read()
    except errors as error:
        assert not isinstance(error, RetryableSerDesError), "it would be retried for ever"
        assert 0 < len(str(error)) < 2_000


@pytest.mark.parametrize("serdes", SERDES.values(), ids=SERDES)
@given(data=st.data())
def test_serializers_read_anything_or_refuse_it(serdes: SerDes, data: st.DataObject) -> None:
    """Random text, JSON in the words of our formats, and what they wrote themselves, damaged."""
    sample = serdes.serialize("text" if serdes is SERDES["text"] else VALUE, CTX)
    text = data.draw(payloads | broken_text(sample))
    reads_or_refuses(lambda: serdes.deserialize(text, CTX), SerDesError)


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_bombs_do_not_go_off(bomb: str) -> None:
    """Neither nesting, nor digits, nor counts: every decoder of text refuses or reads them in no time."""
    for serdes in SERDES.values():
        reads_or_refuses(partial(serdes.deserialize, bomb, CTX), SerDesError)
    for decode in (decode_batch, decode_verdict):
        reads_or_refuses(partial(decode, bomb), WireError)
    for decode_value in (json_values.decode, json_values.load, aws_values.open_payload):
        reads_or_refuses(partial(decode_value, bomb), JsonValueError)


BATCH = {
    "all": [
        {"index": 0, "status": "SUCCEEDED", "result": {"a": 1}, "name": "first"},
        {"index": 1, "status": "FAILED", "error": {"ErrorMessage": "no", "ErrorType": "T"}},
        {"index": 2, "status": "STARTED", "payload": "text"},
    ],
    "completionReason": "ALL_COMPLETED",
}
AWS_BATCH = json.loads(
    '{"t":"br","v":{"all":{"t":"l","v":[{"t":"m","v":{"index":{"t":"i","v":0},"status":{"t":"s","v":"SUCCEEDED"},'
    '"result":{"t":"m","v":{}},"error":{"t":"n","v":null}}},{"t":"m","v":{"index":{"t":"i","v":1},"status":{"t":"s",'
    '"v":"FAILED"},"result":{"t":"n","v":null},"error":{"t":"m","v":{"ErrorMessage":{"t":"s","v":"x"}}}}}]},'
    '"completionReason":{"t":"s","v":"ALL_COMPLETED"}}}'
)
VERDICT = {"totalCount": 3, "startedIndexes": [1], "completionReason": "MIN_SUCCESSFUL_REACHED"}


@given(st.one_of(payloads, *(broken(sample).map(json.dumps) for sample in (BATCH, AWS_BATCH, VERDICT))))
def test_records_of_batches_are_read_or_refused(text: str) -> None:
    """The runtime turns the one error they raise into a ``SerDesError`` of the operation."""
    reads_or_refuses(lambda: decode_batch(text), WireError)
    reads_or_refuses(lambda: decode_verdict(text), WireError)
    reads_or_refuses(lambda: aws_python_serdes().deserialize(text, CTX), SerDesError)


def test_the_samples_are_records() -> None:
    """What the tests break was whole."""
    for sample in (BATCH, AWS_BATCH):
        assert len(decode_batch(json.dumps(sample)).items) >= 2
    assert decode_verdict(json.dumps(VERDICT)).started == {1}


# --- errors ----------------------------------------------------------------------------------------------


@durable_error
class Guarded(Exception):
    """Takes what it takes."""

    def __init__(self, number: int, *, text: str = "") -> None:
        super().__init__(f"{number + 0} {text}")


texts = st.none() | st.text(max_size=20)
IDENTITY = Identity(id="a1", type="STEP", sub_type="Step", name="x", parent_id=None)  # type: ignore[arg-type]
errors = st.builds(
    ErrorObject,
    message=texts,
    type=texts
    | st.sampled_from(["Guarded", "os.system", "StepTimeoutError", "CallbackTimeoutError", "builtins.exec"])
    | st.sampled_from(["aws_durable_execution_sdk_python.exceptions.CallbackTimeoutError"]),
    data=texts | payloads | broken({"args": [1], "kwargs": {"text": "a"}}).map(json.dumps),
    stack=st.lists(st.text(max_size=5), max_size=2).map(tuple),
)


@given(errors)
def test_recorded_errors_become_exceptions_of_known_classes(recorded: ErrorObject) -> None:
    """Only registered classes are made, with arguments that they take; any other name is only text."""
    reads_or_refuses(lambda: rebuild(recorded), ConfigurationError)
    try:
        error = recorded_error(recorded, StepError, IDENTITY)
    except ConfigurationError:
        assert recorded.type == "Guarded"
    else:
        assert isinstance(error, (StepError, Guarded))
    reads_or_refuses(lambda: recorded_callback_error(recorded, IDENTITY), ConfigurationError)
    culprit, ended = _verdict_of(recorded, 3)
    assert {culprit, *ended} <= {None, 0, 1, 2}


def test_a_class_whose_constructor_changed_says_so() -> None:
    """Instead of a ``TypeError`` from nowhere."""
    recorded = ErrorObject("old", "Guarded", '{"args":["one","two"],"kwargs":{}}')
    with pytest.raises(
        ConfigurationError, match=r"Guarded cannot be made again .*\('one', 'two'\).*give new ones"
    ):
        rebuild(recorded)


def test_what_is_refused_leaves_no_file_behind() -> None:
    """Reading never writes."""
    assert {path.name for path in Path(_FILES).rglob("*") if path.name.startswith(".writing-")} == set()
    assert plain_values.encode_plain(1) == "1"
