"""Python values as JSON that anybody can read: no tags, and no way back.

A handler's result and the payload of an invoke leave the execution: their readers know nothing of us. So
what JSON lacks is written as its usual text (a datetime in ISO 8601, bytes in base64, a Decimal as its
digits), containers become arrays and objects, an enum its value, a dataclass or attrs class an object of its fields, a
pydantic model what it dumps.
What would be ambiguous or unreadable is refused with its path, as in ``json_values``: NaN and infinities, cycles,
two keys with the same text, classes that nobody told us how to write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from durable_trio._protocol.json_leaves import leaves
from durable_trio._protocol.json_walk import Walk, dump, dump_plain, is_plain, segment, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_HELP: Final = "return plain values, or give the handler handler_serdes=custom_serdes(...)"


def encode_plain(value: object) -> str:
    """Write *value* as JSON text without tags.

    Raises:
        JsonValueError: some part has no JSON form; the message begins with the path to it.
    """
    if is_plain(value, tags=False):
        text = dump_plain(value)
        if text is not None:
            return text
    return write(_Plainer().value, value)


class _Plainer(Walk):
    """Makes a tree of plain values, without tags."""

    __slots__ = ()

    def value(self, value: Any) -> Any:
        scalar = self._as_scalar(value)
        if scalar is not None or value is None:
            return scalar
        self.enter(value)
        written: Any
        if (serializer := getattr(type(value), "__pydantic_serializer__", None)) is not None:
            written = self.value(self._dumped(serializer, value))
        elif isinstance(value, Mapping):
            written = self.members(value.items())
        elif (plain := getattr(value, "__durable_plain__", None)) is not None:
            written = self.value(plain())  # one of our own classes says what it is in plain values
        elif hasattr(type(value), "__dataclass_fields__"):
            from dataclasses import fields

            written = self.members((f.name, getattr(value, f.name)) for f in fields(value))
        elif (attributes := getattr(type(value), "__attrs_attrs__", None)) is not None:
            written = self.members((a.name, getattr(value, a.name)) for a in attributes)
        elif isinstance(value, Set):
            # Sorted: the order of a set differs from process to process.
            written = sorted((self.within("{}", self.value, member) for member in value), key=dump)
        elif isinstance(value, Sequence):
            written = []
            for index, member in enumerate(value):
                written.append(self.within(f"[{index}]", self.value, member))
        else:
            self.refuse(f"{type(value).__qualname__} has no JSON form; {_HELP}")
        self.leave(value)
        return written

    def _dumped(self, serializer: Any, value: object) -> Any:
        try:
            return serializer.to_python(value, mode="json", by_alias=True)
        except Exception as error:  # noqa: BLE001  # pydantic's, or of the user's own serializers
            self.refuse(f"{type(value).__qualname__} cannot be dumped: {error}")

    def members(self, items: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for key, member in items:
            place = segment(key)
            name = self.within(place, self._as_name, key)
            if name in members:
                self.refuse(f"two keys of this dict have the same text, {name!r}")
            members[name] = self.within(place, self.value, member)
        return members

    def _as_name(self, key: object) -> str:
        scalar = self._as_scalar(key)
        if isinstance(scalar, str):
            return scalar
        if scalar is None and key is not None:
            self.refuse(f"a key of type {type(key).__qualname__} has no JSON form")
        return dump(scalar)  # as json does: 1 -> "1", True -> "true", None -> "null"

    def _as_scalar(self, value: Any) -> Any:
        """Return the plain scalar for *value*, or None if it has none (or is None)."""
        if isinstance(value, Enum):
            return self._as_scalar(value.value)
        for base, convert in _SCALARS:
            if isinstance(value, base):
                return self.scalar(convert(value))
        if isinstance(value, datetime):
            return value.isoformat()  # the zone's name behind it is our own reader's affair
        for leaf_type, leaf in leaves().items():
            if isinstance(value, leaf_type):
                return self.leaf(leaf, value)
        return None


# Subclasses lose their class here, on purpose; the methods of the base give the exact plain value.
_SCALARS: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (bool, bool),
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
)
