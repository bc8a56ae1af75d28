from __future__ import annotations

import base64
import subprocess
import sys
from enum import Enum
from typing import Any

import cbor2
import pytest
from hypothesis import given
from serdes.values import SAMPLE, json_values, read, write

from durable_trio import SerDesError, cbor_serdes, json_serdes

SERDES = cbor_serdes()


def b64(value: Any) -> str:
    """Return CBOR that somebody else wrote."""
    return base64.b64encode(cbor2.dumps(value)).decode()


@given(json_values)
def test_cbor_brings_back_what_json_brings_back(value: object) -> None:
    """Values come back equal and of the same type: as the default serializer brings them back."""
    expected = read(json_serdes(), write(json_serdes(), value))
    found = read(SERDES, write(SERDES, value))
    assert repr(found) == repr(expected) or found == expected


def test_cbor_is_shorter_for_bytes_and_numbers() -> None:
    """What the format is for."""
    value = {"raw": bytes(1000), "numbers": [123_456_789.25] * 100}
    assert len(write(SERDES, value)) < len(write(json_serdes(), value))


class Color(Enum):
    """Has no JSON form."""

    RED = 1


@pytest.mark.parametrize("value", [Color.RED, float("nan"), object(), "\ud800", {"a": [Color.RED]}], ids=repr)
def test_cbor_refuses_what_json_refuses(value: object) -> None:
    """With the same words, which begin with the path."""
    with pytest.raises(SerDesError) as by_cbor:
        write(SERDES, value)
    with pytest.raises(SerDesError) as by_json:
        write(json_serdes(), value)
    assert str(by_cbor.value) == str(by_json.value)


def test_a_cycle_and_too_much_depth_are_refused() -> None:
    """A value that no reader could read is refused when it is written."""
    cycle: list[Any] = []
    cycle.append(cycle)
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    for value in (cycle, deep):
        with pytest.raises(SerDesError, match=r"contains itself|levels deep"):
            write(SERDES, value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("not base64!", "base64|Only"),
        ("", "ends at byte 0"),
        (b64([1])[:-4] + "/w==", "not definite|ends|simple|more data"),
        (base64.b64encode(cbor2.dumps(1) * 2).decode(), "more data after the item, from byte 1"),
        (b64(cbor2.CBORTag(35, "(a+)+$")), "tag 35"),
        (b64(cbor2.CBORTag(5, [2**40, 1])), "tag 5"),
        (b64(cbor2.CBORTag(28, [cbor2.CBORTag(29, 0)])), "tag 28"),
        (base64.b64encode(b"\x9b" + b"\xff" * 8).decode(), "ends before byte"),
        (base64.b64encode(b"\x5b" + b"\xff" * 8).decode(), "ends before byte"),
        (base64.b64encode(b"\x81" * 5000 + b"\x01").decode(), "levels deep"),
        (base64.b64encode(b"\x9f\x01\xff").decode(), "not definite"),
        (base64.b64encode(b"\xf7").decode(), "simple value 23"),
        (base64.b64encode(b"\x61\xff").decode(), "decod|utf|UTF"),
        (b64({1: 2}), "key of type int"),
        (b64({"$new": 2}), "unknown tag"),
        (b64({"$datetime": b"x"}), "must hold a string"),
    ],
)
def test_cbor_that_we_have_not_written_is_refused(text: str, why: str) -> None:
    """No tag of CBOR's is acted on, no length is believed, nothing is nested without end."""
    with pytest.raises(SerDesError, match=why):
        read(SERDES, text)


def test_cbor2_is_imported_when_it_is_needed() -> None:
    """Making the serializer costs nothing; programs that store JSON never load it."""
    code = (
        "import sys, durable_trio as d; s = d.cbor_serdes(); assert 'cbor2' not in sys.modules;"
        "c = d.SerdesContext('a', 'b'); assert s.deserialize(s.serialize([1], c), c) == [1];"
        "assert 'cbor2' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_sample_survives() -> None:
    """Every kind of value at once."""
    assert read(SERDES, write(SERDES, SAMPLE)) == SAMPLE
    assert repr(SERDES) == "cbor_serdes()"
