"""Serializers made of the user's functions."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from durable_trio.exceptions import DurableError, SerDesError, ValidationError
from durable_trio.serdes.base import type_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio.serdes.base import SerDes, SerdesContext


class _Custom:
    __slots__ = ("_deserialize", "_serialize", "_shown")

    def __init__(
        self,
        serialize: Callable[[Any, SerdesContext], str],
        deserialize: Callable[[str, SerdesContext], Any],
        shown: str,
    ) -> None:
        self._serialize = serialize
        self._deserialize = deserialize
        self._shown = shown

    def serialize(self, value: Any, ctx: SerdesContext) -> str:
        try:
            text = self._serialize(value, ctx)
        except DurableError:
            raise
        except Exception as error:
            raise SerDesError(f"cannot serialize a {type_name(value)}: {error!r}") from error
        if not isinstance(text, str):
            raise SerDesError(f"a serializer must return str, but {self._shown} returned {type_name(text)}")
        return text

    def deserialize(self, text: str, ctx: SerdesContext) -> Any:
        try:
            return self._deserialize(text, ctx)
        except DurableError:
            raise
        except Exception as error:
            raise SerDesError(f"cannot deserialize {text[:80]!r}: {error!r}") from error

    def __repr__(self) -> str:
        return self._shown


def custom_serdes(serialize: Callable[..., str], deserialize: Callable[..., Any]) -> SerDes:
    """Return a serializer made of two plain functions.

    Each takes one argument (the value, the text) or two (then also the ``SerdesContext``). A function gets the
    context if it cannot be called with one argument; this is decided here, by its signature. What they raise
    becomes a ``SerDesError``, unless it is a ``DurableError`` already.

    Raises:
        ValidationError: one of them is not a plain function of one or two arguments.
    """
    shown = f"custom_serdes({_name(serialize)}, {_name(deserialize)})"
    return _Custom(with_context("serialize", serialize), with_context("deserialize", deserialize), shown)


def with_context(argument: str, function: Callable[..., Any]) -> Callable[[Any, SerdesContext], Any]:
    """Return *function* as one of two arguments, the second of which is the context.

    Raises:
        ValidationError: it is not a plain function of one or two arguments.
    """
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
