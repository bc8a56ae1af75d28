"""Serializers: how values become the text of a payload, and values again.

Whatever an operation returns is stored as text, and what the program gets is read from that text, on the first
run as on every replay. So a serializer must bring back an equal value of the same type, or refuse.
The default, ``json_serdes()``, does just that; its format is described in ``_protocol/json_values.py``.

Serializers are synchronous, called inline, and hold no state of an execution.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from durable_trio._protocol import json_values, plain_values
from durable_trio._protocol.json_leaves import JsonValueError
from durable_trio.exceptions import DurableError, SerDesError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SerDes", "SerdesContext", "custom_serdes", "json_serdes", "pass_through", "plain_json"]


@dataclass(frozen=True, slots=True)
class SerdesContext:
    """What a payload belongs to.

    Attributes:
        operation_id: the operation's id.
        execution_arn: the ARN of the durable execution.
        name: the operation's name, or None.
    """

    operation_id: str
    execution_arn: str
    name: str | None = None


@runtime_checkable
class SerDes(Protocol):
    """A pair of functions between values and payload text.

    Both raise ``SerDesError`` for what they cannot do: a step then fails without a retry. Raise
    ``RetryableSerDesError`` for passing trouble: the invocation is retried.
    """

    def serialize(self, value: Any, ctx: SerdesContext) -> str:
        """Return the text of *value*."""
        ...

    def deserialize(self, text: str, ctx: SerdesContext) -> Any:
        """Return the value of *text*. Not called where a payload is absent."""
        ...


# --- JSON ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Json:
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


@dataclass(frozen=True, slots=True)
class _PlainJson:
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


_JSON: Final = _Json()


def json_serdes() -> SerDes:
    """Return the default: JSON that people and other languages can read, lossless or refused.

    Takes None, bool, int, finite float, str, list, tuple, set, frozenset, dict (any keys of these types),
    bytes, ``UUID``, ``Decimal``, ``datetime``, ``date``, ``time`` and ``timedelta``, nested up to 100 levels;
    what JSON has no form for is tagged (``{"$datetime": "..."}``). Values come back equal and of the same
    type; a time zone other than ``ZoneInfo`` comes back as the offset it had.

    Its methods raise ``SerDesError`` with the path to what cannot be stored: subclasses (enums, named tuples),
    NaN and infinities, cycles, lone surrogates, any other class.
    """
    return _JSON


plain_json: Final[SerDes] = _PlainJson()
"""JSON without tags, for handler input and results and for invoke payloads: what leaves the execution.

Non-JSON values are written as their usual text (a datetime in ISO 8601, a Decimal as its digits) and are read
as that text; enums are written as their value, dataclasses as objects, tuples and sets as arrays."""


# --- other -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _PassThrough:
    def serialize(self, value: Any, ctx: SerdesContext) -> str:
        if type(value) is not str:
            raise SerDesError(f"pass_through() stores text as it is: give it a str, not {_type_name(value)}")
        return value

    def deserialize(self, text: str, ctx: SerdesContext) -> Any:
        return text

    def __repr__(self) -> str:
        return "pass_through()"


def pass_through() -> SerDes:
    """Return the serializer that stores text as it is, and refuses everything that is not a ``str``."""
    return _PassThrough()


@dataclass(frozen=True, slots=True)
class _Custom:
    serialize_with: Callable[[Any, SerdesContext], str]
    deserialize_with: Callable[[str, SerdesContext], Any]
    shown: str

    def serialize(self, value: Any, ctx: SerdesContext) -> str:
        try:
            text = self.serialize_with(value, ctx)
        except DurableError:
            raise
        except Exception as error:
            raise SerDesError(f"cannot serialize a {_type_name(value)}: {error!r}") from error
        if not isinstance(text, str):
            raise SerDesError(f"a serializer must return str, but {self.shown} returned {_type_name(text)}")
        return text

    def deserialize(self, text: str, ctx: SerdesContext) -> Any:
        try:
            return self.deserialize_with(text, ctx)
        except DurableError:
            raise
        except Exception as error:
            raise SerDesError(f"cannot deserialize {text[:80]!r}: {error!r}") from error

    def __repr__(self) -> str:
        return self.shown


def custom_serdes(serialize: Callable[..., str], deserialize: Callable[..., Any]) -> SerDes:
    """Return a serializer made of two plain functions.

    Each takes one argument (the value, the text) or two (then also the ``SerdesContext``). A function gets the
    context if it cannot be called with one argument; this is decided here, by its signature. What they raise
    becomes a ``SerDesError``, unless it is a ``DurableError`` already.

    Raises:
        ValidationError: one of them is not a plain function of one or two arguments.
    """
    shown = f"custom_serdes({_name(serialize)}, {_name(deserialize)})"
    return _Custom(_with_context("serialize", serialize), _with_context("deserialize", deserialize), shown)


def _with_context(argument: str, function: Callable[..., Any]) -> Callable[[Any, SerdesContext], Any]:
    if not callable(function) or inspect.iscoroutinefunction(function):
        raise ValidationError(
            f"{argument} must be a plain function of one or two arguments, not {function!r}"
        )
    try:
        signature = inspect.signature(function)
    except ValueError:  # some built-ins do not tell theirs; they know nothing of a context
        return lambda value, _: function(value)
    if _accepts(signature, 1):
        return lambda value, _: function(value)
    if _accepts(signature, 2):
        return function
    raise ValidationError(
        f"{argument} must be a plain function of one or two arguments, but {_name(function)} takes {signature}"
    )


def _accepts(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


def _name(function: object) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


def _type_name(value: object) -> str:
    return type(value).__qualname__
