"""The serializers of typed operations; the rules are in the package's docstring."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from durable_trio._protocol import json_values
from durable_trio._protocol.json_leaves import JsonValueError
from durable_trio._protocol.json_walk import dump
from durable_trio._runtime.typed.mismatch import UnsupportedTypeError, path_of, reason_of
from durable_trio._runtime.typed.tree import TreeWalk
from durable_trio.exceptions import SerDesError
from durable_trio.serdes import json_serdes

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio.serdes import SerDes, SerdesContext


class TypedSerdes:
    """Stores values of one type as plain JSON, carried by another serializer."""

    __slots__ = ("_convert", "_type", "carrier", "writes_json")

    def __init__(self, type_: Any, convert: Callable[[Any], Any], carrier: SerDes) -> None:
        self._type = type_
        self._convert = convert
        self.carrier = carrier
        self.writes_json = carrier is json_serdes()

    def __repr__(self) -> str:
        return f"<typed {_shown(self._type)} by {self.carrier!r}>"

    def serialize(self, value: Any, ctx: SerdesContext) -> str:
        """Return the text of *value*, after making sure that it can be read back."""
        walk = TreeWalk()
        try:
            tree = walk.value(value)
        except (JsonValueError, RecursionError) as error:
            raise SerDesError(f"cannot serialize {error}") from error
        self._converted("serialize", tree)
        if not self.writes_json:
            return self.carrier.serialize(json.loads(dump(tree)), ctx)
        return json_values.TYPED_MARK + dump(tree) if walk.is_converted else json_values.encode(value)

    def deserialize(self, text: str, ctx: SerdesContext) -> Any:
        """Return the value of *text*."""
        if self.writes_json and isinstance(text, str) and text.startswith(json_values.TYPED_MARK):
            try:
                plain = json_values.load(text)
            except JsonValueError as error:
                raise SerDesError(f"cannot deserialize: {error}") from error
        else:
            plain = self.carrier.deserialize(text, ctx)
        return self._converted("deserialize", plain)

    def _converted(self, verb: str, plain: Any) -> Any:
        try:
            return self._convert(plain)
        except Exception as error:
            path = "".join(path_of(error))
            raise SerDesError(
                f"cannot {verb} ${path}: {reason_of(error)}; the type of the whole is {_shown(self._type)}"
            ) from error


class LazySerdes:
    """Finds out what an annotation says when it is first needed.

    Without a type to convert to it is the *carrier* alone, and explains so where that refuses a value.
    """

    __slots__ = ("_find_type", "_found", "_reason", "_remember", "carrier")

    def __init__(
        self,
        find_type: Callable[[], Any],
        carrier: SerDes,
        remember: Callable[[LazySerdes], None] | None = None,
    ) -> None:
        self._find_type: Callable[[], Any] | None = find_type
        self.carrier = carrier
        self._remember = remember
        self._found: SerDes | None = None
        self._reason: str | None = None

    def __repr__(self) -> str:
        return f"<by annotation, {self._found or 'not looked at yet'!r}>"

    @property
    def writes_json(self) -> bool:
        """Whether its text is JSON."""
        return self.carrier is json_serdes()

    def serialize(self, value: Any, ctx: SerdesContext) -> str:
        """Return the text of *value*."""
        found = self._found or self._resolved()
        try:
            return found.serialize(value, ctx)
        except SerDesError as error:
            if self._reason is None:
                raise
            raise SerDesError(f"{error} (its annotation cannot be used: {self._reason})") from error

    def deserialize(self, text: str, ctx: SerdesContext) -> Any:
        """Return the value of *text*."""
        return (self._found or self._resolved()).deserialize(text, ctx)

    def _resolved(self) -> SerDes:
        if self._find_type is None:
            raise AssertionError("an annotation was looked at, and nothing was found")
        try:
            type_ = self._find_type()
            self._found = self.carrier if type_ is None else typed(type_, self.carrier)
        except Exception as error:  # noqa: BLE001  # resolving runs what the user wrote into annotations; see rule 4
            known = isinstance(error, UnsupportedTypeError)
            self._reason = str(error) if known else f"{type(error).__name__}: {error}"
            self._found = self.carrier
        remember, self._remember = self._remember, None
        self._find_type = None  # what is remembered by function must not keep the function
        if remember is not None:
            remember(self)
        return self._found


def typed(type_: Any, carrier: SerDes) -> SerDes:
    """Return the serializer of *type_*.

    Raises:
        UnsupportedTypeError: nothing can be converted to it.
    """
    from durable_trio._runtime.typed.hooks import hook_of  # cattrs costs cold start

    return TypedSerdes(type_, hook_of(type_), carrier)


def writes_json(serdes: SerDes) -> bool:
    """Tell whether the text of *serdes* is always JSON."""
    return serdes is json_serdes() or getattr(serdes, "writes_json", False)


def _shown(type_: Any) -> str:
    return type_.__qualname__ if isinstance(type_, type) and not hasattr(type_, "__args__") else repr(type_)
