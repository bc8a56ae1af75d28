"""The form in which AWS's Python SDK stores values, so that each SDK can finish what the other began.

A primitive value, or a list of nothing but primitives and such lists, is plain JSON. Everything else is in envelopes
``{"t": tag, "v": value}`` at every level:

    n s i f b    None, str, int, float, bool        B  bytes (base64)    u  UUID       d  Decimal
    dt D         datetime, date (ISO 8601)          t  tuple             l  list       m  dict       br  BatchResult

Writing is stricter than there: what would come back as something else (a dict with keys that are not text, a
subclass, NaN) is refused with its path. Reading takes all that AWS's SDK writes, NaN included.
"""

from __future__ import annotations

import base64
import json
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from durable_trio._protocol.json_leaves import JsonValueError
from durable_trio._protocol.json_walk import MAX_DEPTH, SCALARS, TEXT, Walk, segment

if TYPE_CHECKING:
    from collections.abc import Callable

_SCALAR_TAGS: Final[dict[type, str]] = {type(None): "n", str: "s", bool: "b", int: "i", float: "f"}
BATCH_TAG: Final = "br"


class AwsWriter(Walk):
    """Makes the tree of envelopes."""

    __slots__ = ()

    def value(self, value: Any) -> dict[str, Any]:
        """Return the envelope of *value*."""
        kind = type(value)
        tag = _SCALAR_TAGS.get(kind)
        if tag is not None:
            return {"t": tag, "v": self.scalar(value)}
        leaf = _LEAF_WRITERS.get(kind)
        if leaf is not None:
            tag, write = leaf
            return {"t": tag, "v": self._leaf_text(write, value)}
        if kind not in (dict, list, tuple):
            return self.other(value)
        self.enter(value)
        written = self.members(value) if kind is dict else self.items(kind, value)
        self.leave(value)
        return written

    def other(self, value: Any) -> dict[str, Any]:
        """Return the envelope of a value that is no plain one."""
        self.refuse(
            f"AWS's Python SDK has no form for a {type(value).__qualname__}: convert it to None, bool, int, float, str,"
            " bytes, UUID, Decimal, datetime, date, tuple, list or dict"
        )

    def members(self, value: dict[Any, Any]) -> dict[str, Any]:
        """Return the envelope of a dict."""
        if not TEXT.issuperset(map(type, value)):
            self.refuse(
                "the keys of this dict would come back as text: use text for keys, or a list of pairs"
            )
        written = {}
        for key, member in value.items():
            place = segment(key)
            written[self.within(place, self.scalar, key)] = self.within(place, self.value, member)
        return {"t": "m", "v": written}

    def items(self, kind: type, value: Any) -> dict[str, Any]:
        """Return the envelope of a list or a tuple."""
        written = [self.within(f"[{index}]", self.value, member) for index, member in enumerate(value)]
        return {"t": "l" if kind is list else "t", "v": written}

    def _leaf_text(self, write: Callable[[Any], str], value: Any) -> str:
        try:
            return write(value)
        except ValueError as error:
            self.refuse(error)


def _write_datetime(value: datetime) -> str:
    text = value.isoformat()
    if value.fold and value.tzinfo is None:
        raise JsonValueError("a naive datetime with fold=1 has no ISO form; use an aware one")
    try:
        again = datetime.fromisoformat(text)
    except ValueError:
        raise JsonValueError(f"the UTC offset of {text} is not in whole seconds") from None
    if again.utcoffset() != value.utcoffset():
        raise JsonValueError(f"{text} would come back with another UTC offset")
    return text


_LEAF_WRITERS: Final[dict[type, tuple[str, Callable[[Any], str]]]] = {
    bytes: ("B", lambda value: base64.b64encode(value).decode("ascii")),
    UUID: ("u", str),
    Decimal: ("d", str),
    datetime: ("dt", _write_datetime),
    date: ("D", date.isoformat),
}


def encode(value: object, walk: AwsWriter) -> str:
    """Write *value* as AWS's Python SDK does.

    Raises:
        JsonValueError: it has no such form; the message begins with the path.
    """
    try:
        return _dump(close_payload(walk.value(value)))
    except RecursionError as error:
        raise JsonValueError("$: nested too deeply for what is left of the stack") from error


# --- payloads and envelopes ------------------------------------------------------------------------------


def open_payload(text: str) -> dict[str, Any]:
    """Return the envelope that the text of a payload stands for.

    Raises:
        JsonValueError: it is not a payload of AWS's Python SDK.
    """
    return _enveloped(load(text))


def payload_of(envelope: object) -> str:
    """Return the text of the payload that *envelope* would be, had it been stored by itself."""
    return _dump(close_payload(envelope))


def load(text: str) -> Any:
    """Read JSON as AWS's Python SDK does: NaN is JSON there."""
    if not isinstance(text, str):
        raise JsonValueError(f"JSON is read from text, not from {type(text).__name__}")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise JsonValueError("the JSON text is nested too deeply") from error
    except ValueError as error:
        raise JsonValueError(f"this is not JSON: {error}; it begins with {text[:80]!r}") from error


def _dump(tree: object) -> str:
    return json.dumps(tree, separators=(",", ":"))


def _enveloped(tree: Any, depth: int = 0) -> dict[str, Any]:
    """Put plain JSON into envelopes; what is in one already stays."""
    _check_depth(depth)
    if type(tree) is dict:
        if "t" not in tree or "v" not in tree:
            raise JsonValueError('this object is no envelope of AWS\'s Python SDK: it has no "t" and "v"')
        return tree
    if type(tree) is list:
        return {"t": "l", "v": [_enveloped(member, depth + 1) for member in tree]}
    return {"t": _SCALAR_TAGS[type(tree)], "v": tree}


def close_payload(envelope: Any) -> Any:
    """Return plain JSON for an envelope of primitives; any other one as it is."""
    is_plain, tree = _plain(envelope, 0)
    return tree if is_plain else envelope


def _plain(envelope: Any, depth: int) -> tuple[bool, Any]:
    _check_depth(depth)
    if type(envelope) is not dict or set(envelope) != {"t", "v"}:
        return False, None
    tag, value = envelope["t"], envelope["v"]
    if tag in ("n", "s", "i", "f", "b"):
        return type(value) in SCALARS, value
    if tag != "l" or type(value) is not list:
        return False, None
    members = []
    for member in value:
        is_plain, tree = _plain(member, depth + 1)
        if not is_plain:
            return False, None
        members.append(tree)
    return True, members


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise JsonValueError(f"nested more than {MAX_DEPTH} levels deep")


# --- reading ---------------------------------------------------------------------------------------------


def decode(text: str, read_batch: Callable[[dict[str, Any]], Any]) -> Any:
    """Read what AWS's Python SDK wrote.

    *read_batch* makes a batch's result of its members, which are read already.

    Raises:
        JsonValueError: the text is not of that form.
    """
    return read_envelope(open_payload(text), read_batch)


def read_envelope(envelope: Any, read_batch: Callable[[dict[str, Any]], Any], depth: int = 0) -> Any:
    """Return the value in an envelope; raises like ``decode``."""
    _check_depth(depth)
    if type(envelope) is not dict or "t" not in envelope or "v" not in envelope:
        return _bare(envelope)
    tag, value = envelope["t"], envelope["v"]
    if tag in ("l", "t"):
        _check_type(tag, value, list)
        members = [read_envelope(member, read_batch, depth + 1) for member in value]
        return members if tag == "l" else tuple(members)
    if tag in ("m", BATCH_TAG):
        _check_type(tag, value, dict)
        read = {key: read_envelope(member, read_batch, depth + 1) for key, member in value.items()}
        return read if tag == "m" else read_batch(read)
    return _leaf(tag, value)


def _bare(tree: Any) -> Any:
    # Their reader takes members without an envelope as they are.
    if type(tree) in SCALARS:
        return tree
    raise JsonValueError(f"{type(tree).__name__} without an envelope")


def _leaf(tag: object, value: Any) -> Any:
    reader = _LEAF_READERS.get(tag) if isinstance(tag, str) else None
    if reader is None:
        raise JsonValueError(f"unknown tag {tag!r:.40}: written by a newer AWS SDK, or not by it")
    kind, read = reader
    if type(value) is not kind and not (tag == "f" and type(value) is int):
        raise JsonValueError(f"tag {tag!r} holds a {type(value).__name__}")
    try:
        return read(value)
    except (ValueError, ArithmeticError) as error:
        raise JsonValueError(f"tag {tag!r} holds {value!r:.80}, which cannot be read: {error}") from error


def _check_type(tag: str, value: object, kind: type) -> None:
    if type(value) is not kind:
        raise JsonValueError(f"tag {tag!r} holds a {type(value).__name__}, not a {kind.__name__}")


def _same(value: Any) -> Any:
    return value


_LEAF_READERS: Final[dict[str, tuple[type, Callable[[Any], Any]]]] = {
    "n": (type(None), _same),
    "s": (str, _same),
    "b": (bool, _same),
    "i": (int, _same),
    "f": (float, float),
    "B": (str, lambda text: base64.b64decode(text, validate=True)),
    "u": (str, UUID),
    "d": (str, Decimal),
    "dt": (str, datetime.fromisoformat),
    "D": (str, date.fromisoformat),
}
