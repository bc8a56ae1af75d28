"""Is this CBOR of the kind we write? Asked before anything reads it.

A CBOR reader acts on *tags* in the data: it compiles regular expressions, parses mail messages, computes
2 ** exponent, builds cycles. We write none of those. So stored bytes are first walked by their headers alone, which
allocates nothing, and refused unless they are one item of definite length made of integers, bytes, text, arrays,
maps, floats, booleans and null, nested no deeper than what we write. (Big integers are the two tags we write.)
"""

from __future__ import annotations

from typing import Final

MAX_CBOR_DEPTH: Final = 320
"""A value nests 100 levels, and each may be a tagged map of pairs: three levels of arrays and maps."""

_BIG_INTEGERS: Final = (2, 3)
_SIMPLE: Final = (20, 21, 22)  # false, true, null
_FLOATS: Final = {25: 2, 26: 4, 27: 8}


class CborError(ValueError):
    """Bytes are not CBOR, or hold what we never write."""


def check_cbor(data: bytes) -> None:
    """Refuse *data* unless it is one plain CBOR item.

    Raises:
        CborError: it is not; the message says at which byte.
    """
    at = 0
    open_: list[int] = [1]  # how many items are still to come, per level
    while open_:
        if not open_[-1]:
            open_.pop()
            continue
        open_[-1] -= 1
        kind, argument, at = _header(data, at)
        if kind in (2, 3):
            at += argument
        elif kind in (4, 5):
            open_.append(argument * (kind - 3))
        elif kind == 6:
            at = _big_integer(data, at, argument)
        # Every item takes a byte at least: a count that promises more than is left is a lie.
        if at + sum(open_[-1:]) > len(data):
            raise CborError(f"the data ends before byte {at}")
        if len(open_) > MAX_CBOR_DEPTH:
            raise CborError(f"nested more than {MAX_CBOR_DEPTH} levels deep at byte {at}")
    if at != len(data):
        raise CborError(f"there is more data after the item, from byte {at}")


def _header(data: bytes, at: int) -> tuple[int, int, int]:
    """Return an item's major type, its argument (a length, a count, a tag, or 0), and where it goes on."""
    if at >= len(data):
        raise CborError(f"the data ends at byte {at}")
    kind, low = data[at] >> 5, data[at] & 31
    if kind == 7:
        if low in _SIMPLE:
            return kind, 0, at + 1
        if low in _FLOATS:
            return kind, 0, at + 1 + _FLOATS[low]
        raise CborError(f"simple value {low} at byte {at}")
    if low < 24:
        return kind, low, at + 1
    if low > 27:
        raise CborError(f"a length that is not definite at byte {at}")
    end = at + 1 + (1 << (low - 24))
    if end > len(data):
        raise CborError(f"the data ends within byte {at}'s header")
    return kind, int.from_bytes(data[at + 1 : end], "big"), end


def _big_integer(data: bytes, at: int, tag: int) -> int:
    if tag not in _BIG_INTEGERS:
        raise CborError(f"tag {tag} before byte {at}, which durable_trio never writes")
    kind, length, at = _header(data, at)
    if kind != 2:
        raise CborError(f"a big integer that holds no bytes at byte {at}")
    return at + length
