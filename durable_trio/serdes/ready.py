"""The serializers that need nothing: tagged JSON, plain JSON, and text as it is; and which is the default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from durable_trio._protocol import json_values, plain_values
from durable_trio._protocol.json_leaves import JsonValueError
from durable_trio.exceptions import SerDesError, ValidationError
from durable_trio.serdes.base import SerDes, type_name

if TYPE_CHECKING:
    from durable_trio.serdes.base import SerdesContext


def _read_batch(stored: Any) -> Any:
    from durable_trio.serdes.results import read_batch  # few programs return a batch

    return read_batch(stored)


def _read_outcome(stored: Any) -> Any:
    from durable_trio.serdes.results import read_outcome

    return read_outcome(stored)


json_values.add_tag("$batch", _read_batch)
json_values.add_tag("$outcome", _read_outcome)


class _Json:
    __slots__ = ()

    def serialize(self, value: Any, ctx: SerdesContext) -> str:
        try:
            return json_values.encode(value)
        except JsonValueError as error:
            raise SerDesError(f"cannot serialize {error}") from error

    def deserialize(self, text: str, ctx: SerdesContext) -> Any:
        try:
            return json_values.decode(text)
        except JsonValueError as error:
            raise SerDesError(f"cannot deserialize: {error}") from error

    def __repr__(self) -> str:
        return "json_serdes()"


class _PlainJson:
    __slots__ = ()

    def serialize(self, value: Any, ctx: SerdesContext) -> str:
        try:
            return plain_values.encode_plain(value)
        except JsonValueError as error:
            raise SerDesError(f"cannot serialize {error}") from error

    def deserialize(self, text: str, ctx: SerdesContext) -> Any:
        try:
            return json_values.load(text)
        except JsonValueError as error:
            raise SerDesError(f"cannot deserialize: {error}") from error

    def __repr__(self) -> str:
        return "plain_json"


tagged_json: Final = _Json()
"""The one that ``json_serdes()`` returns."""


def json_serdes() -> SerDes:
    """Return the default: JSON that people and other languages can read, lossless or refused.

    Takes None, bool, int, finite float, str, list, tuple, set, frozenset, dict (any keys of these types),
    bytes, ``UUID``, ``Decimal``, ``datetime``, ``date``, ``time`` and ``timedelta``, nested up to 100 levels;
    what JSON has no form for is tagged (``{"$datetime": "..."}``), and so are ``BatchResult`` and ``Outcome``. Values come back equal and of the same
    type; a time zone other than ``ZoneInfo`` comes back as the offset it had.

    Its methods raise ``SerDesError`` with the path to what cannot be stored: subclasses (enums, named tuples),
    NaN and infinities, cycles, lone surrogates, any other class.
    """
    return tagged_json


plain_json: Final[SerDes] = _PlainJson()
"""JSON without tags, for handler input and results and for invoke payloads: what leaves the execution.

Non-JSON values are written as their usual text (a datetime in ISO 8601, a Decimal as its digits) and are read
as that text; enums are written as their value, dataclasses as objects, tuples and sets as arrays."""


class _PassThrough:
    __slots__ = ()

    def serialize(self, value: Any, ctx: SerdesContext) -> str:
        if type(value) is not str:
            raise SerDesError(f"pass_through() stores text as it is: give it a str, not {type_name(value)}")
        return value

    def deserialize(self, text: str, ctx: SerdesContext) -> Any:
        return text

    def __repr__(self) -> str:
        return "pass_through()"


_PASS_THROUGH: Final = _PassThrough()


def pass_through() -> SerDes:
    """Return the serializer that stores text as it is, and refuses everything that is not a ``str``."""
    return _PASS_THROUGH


# --- the default -----------------------------------------------------------------------------------------

_default: Final[list[SerDes]] = []


def default_serdes() -> SerDes:
    """Return the serializer that ``durable_execution()`` uses when it is given none."""
    return _default[0] if _default else json_serdes()


def set_default_serdes(serdes: SerDes | None) -> None:
    """Choose the serializer of every handler of this process that is *made from now on* without one.

    Call it once, before the modules with handlers are imported: a handler takes its serializer when the decorator
    runs. None goes back to ``json_serdes()``. It does not touch handler input and result (``handler_serdes=``).
    Running executions store its text, so changing it is like changing ``serdes=``: deploy it as a new version.

    Raises:
        ValidationError: *serdes* has no methods serialize and deserialize.
    """
    if serdes is not None and not isinstance(serdes, SerDes):
        raise ValidationError(
            f"serdes must have the methods serialize and deserialize, and {serdes!r} has not"
        )
    _default[:] = [] if serdes is None else [serdes]
