from __future__ import annotations

import base64
import zlib

import pytest
from hypothesis import given
from serdes.values import CTX, SAMPLE, json_values, read, write

from durable_trio import (
    RetryableSerDesError,
    SerdesContext,
    SerDesError,
    Stage,
    ValidationError,
    cbor_serdes,
    compression_stage,
    encryption_stage,
    json_serdes,
    staged,
)


def xor(data: bytes, ctx: SerdesContext) -> bytes:
    """Be a cipher for tests: bound to the operation."""
    key = ctx.operation_id.encode()
    return bytes(byte ^ key[index % len(key)] for index, byte in enumerate(data))


ENCRYPTION = encryption_stage(xor, xor)
BOTH = staged(json_serdes(), compression_stage(), ENCRYPTION)


@given(json_values)
def test_stages_are_undone_in_reverse(value: object) -> None:
    """What went through the stages comes back as without them."""
    expected = read(json_serdes(), write(json_serdes(), value))
    assert repr(read(BOTH, write(BOTH, value))) == repr(expected)


def test_stages_compose_with_any_serializer_and_with_each_other() -> None:
    """A staged serializer is a serializer."""
    nested = staged(staged(cbor_serdes(), compression_stage(level=9)), ENCRYPTION)
    assert read(nested, write(nested, SAMPLE)) == SAMPLE
    assert repr(nested).startswith("staged(staged(cbor_serdes(), compression_stage(level=9")


def test_compression_compresses() -> None:
    """Repetition is stored once."""
    assert len(write(staged(json_serdes(), compression_stage()), ["line"] * 10_000)) < 1_000


def test_a_decompression_bomb_is_not_unpacked() -> None:
    """What unpacks to more than the limit is refused, without the memory for it."""
    bomb = zlib.compress(bytes(50_000_000), 9)
    serdes = staged(json_serdes(), compression_stage(max_bytes=1_000_000))
    with pytest.raises(SerDesError, match="unpacks to more than max_bytes=1,000,000"):
        read(serdes, base64.b64encode(bomb).decode())


def test_what_could_not_be_read_back_is_not_written() -> None:
    """The limit holds on the way in, too."""
    serdes = staged(json_serdes(), compression_stage(max_bytes=100))
    with pytest.raises(SerDesError, match="over max_bytes=100"):
        write(serdes, "x" * 200)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"plain", "not compressed, or damaged"),
        (zlib.compress(b"1")[:-2], "cut short"),
        (zlib.compress(b"1") + b"2", "something behind it"),
        (zlib.compress(b"\xff"), "brought back no text"),
    ],
)
def test_damaged_data_is_refused(data: bytes, why: str) -> None:
    """A damaged payload is an error, not another value."""
    with pytest.raises(SerDesError, match=why):
        read(staged(json_serdes(), compression_stage()), base64.b64encode(data).decode())


def test_text_of_another_serializer_is_refused() -> None:
    """A handler whose serializer was changed under a running execution says so."""
    with pytest.raises(SerDesError, match=r"not base64.*another serdes"):
        read(BOTH, '{"a": 1}')


def test_encryption_gets_the_context() -> None:
    """So a payload can be bound to its operation."""
    text = write(staged(json_serdes(), ENCRYPTION), "secret")
    other = SerdesContext(operation_id="b2", execution_arn=CTX.execution_arn)
    with pytest.raises(SerDesError):
        read(staged(json_serdes(), ENCRYPTION), text, other)


def test_functions_without_the_context_are_taken_too() -> None:
    """Each of one argument, or of two."""
    reverse = encryption_stage(lambda data: data[::-1], lambda data: data[::-1])
    assert read(staged(json_serdes(), reverse), write(staged(json_serdes(), reverse), "ab")) == "ab"


def failing(data: bytes) -> bytes:
    """Fail with the secret in the message."""
    raise ValueError(f"cannot encrypt {data!r}")


def throttled(data: bytes) -> bytes:
    """Fail for a passing reason."""
    raise RetryableSerDesError("KMS is busy")


def test_an_encryption_error_does_not_quote_what_it_failed_on() -> None:
    """The message is stored in the clear."""
    with pytest.raises(SerDesError, match="the encrypt function raised ValueError") as raised:
        write(staged(json_serdes(), encryption_stage(failing, failing)), "secret")
    assert "secret" not in str(raised.value)


def test_passing_trouble_stays_retryable() -> None:
    """A ``RetryableSerDesError`` goes through stages as it is."""
    with pytest.raises(RetryableSerDesError, match="KMS is busy"):
        write(staged(json_serdes(), encryption_stage(throttled, throttled)), 1)


def text_for_bytes(data: bytes) -> bytes:
    """Return the wrong thing."""
    return data.decode()  # type: ignore[return-value]  # the mistake under test


def test_a_stage_that_returns_text_is_refused() -> None:
    """With the stage and the type."""
    with pytest.raises(SerDesError, match=r"must return bytes, but encryption_stage\(\.\.\.\) returned str"):
        write(staged(json_serdes(), encryption_stage(text_for_bytes, text_for_bytes)), 1)


def test_arguments_are_checked_when_the_serializer_is_made() -> None:
    """Every wrong one is named."""
    with pytest.raises(ValidationError, match="at least one stage"):
        staged(json_serdes())
    with pytest.raises(ValidationError, match="a stage must have the methods"):
        staged(json_serdes(), json_serdes())  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(ValidationError, match="serdes must have the methods"):
        staged(compression_stage(), compression_stage())  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(ValidationError, match="level must be a whole number from 0 to 9, not 10"):
        compression_stage(level=10)
    with pytest.raises(ValidationError, match="max_bytes must be"):
        compression_stage(max_bytes=0)
    with pytest.raises(ValidationError, match="decrypt must be a plain function"):
        encryption_stage(failing, 3)  # type: ignore[arg-type]  # the mistake under test
    assert isinstance(compression_stage(), Stage)
