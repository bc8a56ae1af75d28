"""The record of a failed attempt: an error, and what was decided about it, whatever the error is like."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_trio._protocol import limits
from durable_trio._protocol.attempt_record import decode_failed_attempt, encode_failed_attempt
from durable_trio._protocol.operation import ErrorObject
from durable_trio._protocol.wire import encode_error

texts = st.one_of(st.none(), st.text(max_size=50))
errors = st.builds(ErrorObject, texts, texts, texts, st.lists(st.text(max_size=20), max_size=3).map(tuple))
delays = st.one_of(st.none(), st.integers(limits.MIN_DELAY_SECONDS, limits.MAX_DELAY_SECONDS))


@given(errors, delays)
def test_a_round_trip(error: ErrorObject, delay: int | None) -> None:
    """Error and decision come back as they were."""
    assert decode_failed_attempt(encode_failed_attempt(error, delay)) == (error, delay)


def test_the_form() -> None:
    """The form is a file format: the decision is in the ErrorData, with the error's own data beside it."""
    error = ErrorObject("no", "ValueError", "[1]", ("a.py:1",))
    recorded = encode_failed_attempt(error, 5)
    assert (recorded.message, recorded.type, recorded.stack) == ("no", "ValueError", ("a.py:1",))
    assert recorded.data == '{"retryAfterSeconds": 5, "data": "[1]"}'
    assert encode_failed_attempt(ErrorObject("no"), None).data == '{"retryAfterSeconds": null}'


@given(st.sampled_from(["x", "ä", '"', "\U0001f600", "\x00"]), st.integers(1, 40_000), delays)
def test_the_decision_survives_when_the_error_is_too_big(
    character: str, length: int, delay: int | None
) -> None:
    """What is recorded fits the service's limit for errors, and still says what was decided."""
    text = character * length
    for error in (
        ErrorObject(text, "E", "data", ("stack",)),
        ErrorObject("m", "E", text, ("stack",)),
        ErrorObject("m", "E", "data", (text,)),
        ErrorObject(text, text, text, (text,)),
    ):
        recorded = encode_failed_attempt(error, delay)
        assert len(json.dumps(encode_error(recorded))) <= limits.MAX_ERROR_BYTES
        assert decode_failed_attempt(recorded)[1] == delay


@pytest.mark.parametrize(
    "data",
    [
        None,
        "",
        "no json",
        "[]",
        "7",
        "{}",
        '{"data": "x"}',
        '{"retryAfterSeconds": 5, "data": 7}',
        "[" * 9999,
    ],
)
def test_what_is_no_such_record_gives_up(data: str | None) -> None:
    """The error is taken as it is, and there is no next attempt."""
    error = ErrorObject("no", "ValueError", data)
    assert decode_failed_attempt(error) == (error, None)
    assert decode_failed_attempt(None) == (None, None)


@pytest.mark.parametrize("delay", ['"5"', "0", "-1", "true", "5.5", "99999999999"])
def test_a_delay_that_is_none_gives_up(delay: str) -> None:
    """Only a whole number of seconds that the service would take is a delay."""
    recorded = ErrorObject("no", "E", f'{{"retryAfterSeconds": {delay}, "data": "d"}}')
    assert decode_failed_attempt(recorded) == (ErrorObject("no", "E", "d"), None)
