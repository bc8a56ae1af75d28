"""The opaque texts that a service hands out: checkpoint tokens, callback ids and page markers.

All three are the base64 of readable ASCII, so that the service needs no table to look them up: a callback id
names its execution and operation, a token names its execution and its place in the sequence. Nobody else may
read anything into them. They hold neither ``/`` nor ``+``: those stand for sextets 62 and 63, which the texts
below cannot make, and a callback id that needs no quoting in a URL or a shell is a kindness.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import Final

_SEPARATOR: Final = ":"
_MAX_DIGITS: Final = 18


def _encode(*parts: str) -> str:
    return b64encode(_SEPARATOR.join(parts).encode("ascii")).decode("ascii")


def _decode(text: str, count: int) -> list[str] | None:
    try:
        parts = b64decode(text, validate=True).decode("ascii").split(_SEPARATOR)
    except (binascii.Error, ValueError):
        return None
    return parts if len(parts) == count else None


def is_place(part: str) -> bool:
    """Tell whether *part* is a number that a service can have written: one that a database can hold."""
    return part.isdecimal() and len(part) <= _MAX_DIGITS


def checkpoint_token(execution_id: str, sequence: int) -> str:
    """Return the token that is number *sequence* of an execution."""
    return _encode(execution_id, str(sequence))


def token_sequence(token: str, execution_id: str) -> int | None:
    """Return the number of *token* in its execution's sequence; None if it is no token of this execution."""
    parts = _decode(token, 2)
    if parts is None or parts[0] != execution_id or not is_place(parts[1]):
        return None
    return int(parts[1])


def callback_id(execution_id: str, operation_id: str) -> str:
    """Return the id under which the outside world answers a callback operation."""
    return _encode(execution_id, operation_id)


def callback_target(callback_id: str) -> tuple[str, str] | None:
    """Return the execution id and operation id of a callback id; None if it cannot be one."""
    parts = _decode(callback_id, 2)
    return None if parts is None else (parts[0], parts[1])


def page_marker(kind: str, *places: str | int) -> str:
    """Return a marker for the page that starts at *places* of a listing of *kind*."""
    return _encode(kind, *(str(place) for place in places))


def marker_places(marker: str, kind: str, count: int = 1) -> list[str] | None:
    """Return the places a marker of *kind* stands for; None if it is not such a marker."""
    parts = _decode(marker, count + 1)
    return parts[1:] if parts is not None and parts[0] == kind else None
