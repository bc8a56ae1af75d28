"""The text forms of values that JSON lacks: dates and times, decimals, UUIDs, bytes.

One form per type, lossless, and as common as possible: ISO 8601 for time (a ``ZoneInfo`` follows in brackets,
as in RFC 9557: ``2026-03-29T02:30:00+02:00[Europe/Berlin]``), base64 for bytes. Other time zone classes are
kept as the offset they had: the instant is equal, the zone is a fixed one.

Reading is strict and never imports, calls or opens anything by a name in the text, a time zone's key
excepted, which may only have a zone's characters.
"""

from __future__ import annotations

import base64
import re
from datetime import date, datetime, time, timedelta, timezone
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from durable_trio._protocol.value_class import frozen_dataclass as dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

# Compiled with their first use; ``re`` keeps them.
_ZONED: Final = r"([^\[]+)\[([A-Za-z0-9_+\-]+(?:/[A-Za-z0-9_+\-]+)*)\]"
_SECONDS: Final = r"(-?)PT(\d{1,15})(?:\.(\d{6}))?S"
_MICROSECOND: Final = timedelta(microseconds=1)


class JsonValueError(ValueError):
    """A value has no JSON form, or a text is not a form of a value."""


class TextValue(str):
    """A ``str`` that is checked when it is made, and may be stored as the text it is: it equals that text."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Leaf:
    """How values of one type are written as text; both functions raise ``ValueError`` or ``ArithmeticError``."""

    tag: str
    write: Callable[[Any], str]
    read: Callable[[str], Any]


def write_datetime(value: datetime) -> str:
    """Write a datetime in ISO 8601, with its offset, and with its zone if it is a ``ZoneInfo``."""
    if value.tzinfo is None or type(value.tzinfo) is timezone:
        if value.fold and value.tzinfo is None:
            raise JsonValueError("a naive datetime with fold=1 has no ISO form; use an aware one")
        return _with_whole_offset(value)
    if value.utcoffset() is None:
        raise JsonValueError(f"a {type(value.tzinfo).__qualname__} that tells no offset has no ISO form")
    from zoneinfo import ZoneInfo  # not needed by most programs

    key = value.tzinfo.key if isinstance(value.tzinfo, ZoneInfo) else None
    if key is None:
        return _with_whole_offset(value)
    text = f"{value.isoformat()}[{key}]"
    if read_datetime(text).replace(tzinfo=None) != value.replace(tzinfo=None):
        raise JsonValueError(
            f"{value.replace(tzinfo=None)} does not exist in {key} (the clock jumps over it): use UTC"
        )
    return text


def read_datetime(text: str) -> datetime:
    """Read what ``write_datetime`` wrote."""
    zoned = re.fullmatch(_ZONED, text)
    if zoned is None:
        return datetime.fromisoformat(text)
    from zoneinfo import ZoneInfo

    instant = datetime.fromisoformat(zoned[1])
    if instant.tzinfo is None:
        raise JsonValueError("a datetime with a zone needs an offset")
    try:
        return instant.astimezone(ZoneInfo(zoned[2]))
    except (KeyError, OSError) as error:
        raise JsonValueError(
            f"this system knows no time zone {zoned[2]!r}: install the package tzdata"
        ) from error


def _write_time(value: time) -> str:
    if value.tzinfo is not None and value.utcoffset() is None:
        raise JsonValueError("a time whose zone has no fixed offset has no ISO form; use a datetime")
    if value.fold:
        raise JsonValueError("a time with fold=1 has no ISO form; use an aware datetime")
    return _with_whole_offset(value)


def _with_whole_offset(value: datetime | time) -> str:
    offset = value.utcoffset()
    if offset is not None and offset.microseconds:
        # Python writes such an offset, but does not read a part of a second that is 0 but for the offset's.
        raise JsonValueError(f"the UTC offset {offset} is not in whole seconds")
    return value.isoformat()


def _write_timedelta(value: timedelta) -> str:
    microseconds = value // _MICROSECOND
    whole, rest = divmod(abs(microseconds), 1_000_000)
    sign = "-" if microseconds < 0 else ""
    return f"{sign}PT{whole}.{rest:06d}S" if rest else f"{sign}PT{whole}S"


def _read_timedelta(text: str) -> timedelta:
    match = re.fullmatch(_SECONDS, text, re.ASCII)
    if match is None:
        raise JsonValueError("a timedelta is written as PT1.500000S")
    span = timedelta(seconds=int(match[2]), microseconds=int(match[3] or 0))
    return -span if match[1] else span


def _write_decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise JsonValueError(f"Decimal('{value}') is not a finite number")
    return str(value)


def _read_decimal(text: str) -> Decimal:
    from decimal import Decimal

    value = Decimal(text)
    if not value.is_finite():
        raise JsonValueError("a Decimal must be finite")
    return value


def _write_bytes(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _read_bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


@cache
def leaves() -> Mapping[type, Leaf]:
    """Return the leaf of each type, by exact type.

    In this order a subclass comes before what it derives from (a datetime is a date).
    """
    from decimal import Decimal  # 2 ms of a cold start, with uuid, and many programs need neither
    from uuid import UUID

    return {
        bytes: Leaf("$bytes", _write_bytes, _read_bytes),
        UUID: Leaf("$uuid", str, UUID),
        Decimal: Leaf("$decimal", _write_decimal, _read_decimal),
        datetime: Leaf("$datetime", write_datetime, read_datetime),
        date: Leaf("$date", date.isoformat, date.fromisoformat),
        time: Leaf("$time", _write_time, time.fromisoformat),
        timedelta: Leaf("$timedelta", _write_timedelta, _read_timedelta),
    }


def read_leaf(leaf: Leaf, text: object) -> Any:
    """Read the *text* of a tagged leaf."""
    if not isinstance(text, str):
        raise JsonValueError(f"{leaf.tag} must hold a string, not {type(text).__name__}")
    try:
        return leaf.read(text)
    except (ValueError, ArithmeticError) as error:
        raise JsonValueError(f"{leaf.tag} holds {text[:80]!r}, which cannot be read: {error}") from error
