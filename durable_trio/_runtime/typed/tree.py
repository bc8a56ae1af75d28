"""From values to plain JSON, by the classes of the values, remembering what each part was.

A tree is what ``json`` writes as it is; but where a value had to be changed to get into it, the part is an
instance of ``Text``, ``Whole``, ``Number``, ``Elements`` or ``Members``, which derive from the plain classes and know the
*origin*, the class that was changed. Text from a ``UUID`` and text are the same to ``json``, but not to whoever
checks that a value will come back.

Every list and dict of a tree is an ``Elements`` or a ``Members``: so a tree that was made from a value differs
from one that was read.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from durable_trio._protocol.json_leaves import TextValue, leaves
from durable_trio._protocol.json_walk import SCALARS, Walk, dump, segment

if TYPE_CHECKING:
    from collections.abc import Iterable

_HELP: Final = "annotate with plain classes, or give the operation serdes=custom_serdes(...)"


class Text(str):
    """The text of something that is no ``str``."""

    __slots__ = ("origin",)
    origin: type


class Whole(int):
    """The number of something that is no ``int``."""

    origin: type


class Number(float):
    """The number of something that is no ``float``."""

    __slots__ = ("origin",)
    origin: type


class Elements(list[Any]):
    """The members of a sequence or set."""

    __slots__ = ("origin",)
    origin: type


class Members(dict[str, Any]):
    """The members of a dict or object; *source* is the object itself."""

    __slots__ = ("origin", "source")
    origin: type
    source: object


def is_pydantic(cls: object) -> bool:
    """Tell whether *cls* is a model or a dataclass of pydantic's, without importing it."""
    return isinstance(cls, type) and hasattr(cls, "__pydantic_serializer__")


def is_typed_dict(cls: object) -> bool:
    """Tell whether *cls* is a ``TypedDict``, of ``typing`` or of ``typing_extensions``."""
    return isinstance(cls, type) and issubclass(cls, dict) and hasattr(cls, "__required_keys__")


class TreeWalk(Walk):
    """Makes a tree of a value, and refuses with the path.

    Attributes:
        is_converted: some part is not what untyped writing would have written.
    """

    __slots__ = ("is_converted",)

    def __init__(self) -> None:
        super().__init__()
        self.is_converted = False

    def value(self, value: Any) -> Any:
        """Return the tree of *value*."""
        kind = type(value)
        if kind in SCALARS:
            return self.scalar(value)
        if (leaf := leaves().get(kind)) is not None:
            return self._marked(Text(self.leaf(leaf, value)), kind)
        if isinstance(value, Enum):
            return self._enum(value)
        for base, mark in _SCALAR_MARKS:
            if isinstance(value, base):
                self.scalar(base(value) if base is not str else str.__str__(value))
                return self._marked(mark(value), kind)
        self.enter(value)
        tree = self._container(value, kind)
        self.leave(value)
        return tree

    def _enum(self, value: Enum) -> Any:
        tree = self.value(value.value)
        for base, mark in (*_SCALAR_MARKS, (list, Elements)):
            if isinstance(tree, base) and type(tree) is not bool:
                return self._marked(mark(tree), type(value))
        if isinstance(tree, (bool, type(None))):
            self.is_converted = True
            return tree
        self.refuse(f"the value of {value!r} has no JSON form for an enum; {_HELP}")

    def _container(self, value: Any, kind: type) -> Any:
        if kind is dict:
            return self._dict(value)
        if kind is list or isinstance(value, tuple):
            return self._elements(value, kind)
        if kind in (set, frozenset):
            self.is_converted = True
            # Sorted: the order of a set differs from process to process.
            members = sorted((self.within("{}", self.value, member) for member in value), key=dump)
            return self._marked(Elements(members), kind)
        if is_pydantic(kind):
            return self._pydantic(value, kind)
        names = field_names(kind)
        if names is not None:
            return self._object(value, kind, names)
        self.refuse(f"{kind.__qualname__} has no JSON form; {_HELP}")

    def _elements(self, value: Iterable[Any], kind: type) -> Elements:
        elements = Elements()
        elements.origin = kind
        if kind is not list:
            self.is_converted = True
        for index, member in enumerate(value):
            elements.append(self.within(f"[{index}]", self.value, member))
        return elements

    def _dict(self, value: dict[Any, Any]) -> Members:
        members = Members()
        members.origin, members.source = dict, value
        for key, member in value.items():
            place = segment(key)
            name = self.within(place, self._key, key)
            if name in members:
                self.refuse(f"two keys of this dict have the same text, {name!r}")
            members[name] = self.within(place, self.value, member)
        return members

    def _key(self, key: Any) -> str:
        tree = self.value(key)
        if isinstance(tree, str):
            return tree
        if tree is None or isinstance(tree, (Elements, Members)):
            self.refuse(f"a key of type {type(key).__qualname__} has no text form; {_HELP}")
        return self._marked(Text(dump(tree)), type(key))  # type: ignore[no-any-return]  # a Text

    def _object(self, value: Any, kind: type, names: tuple[str, ...]) -> Members:
        members = Members()
        members.source = value
        for name in names:
            if not hasattr(value, name):
                self.refuse(f"the field {name} of this {kind.__qualname__} is not set")
            members[name] = self.within(f".{name}", self.value, getattr(value, name))
        return self._marked(members, kind)  # type: ignore[no-any-return]  # the members

    def _pydantic(self, value: Any, kind: Any) -> Any:
        try:
            dumped = kind.__pydantic_serializer__.to_python(
                value, mode="json", by_alias=True, round_trip=True, warnings=False
            )
        except Exception as error:  # noqa: BLE001  # the user's serializers run in there
            self.refuse(f"{kind.__qualname__} cannot be dumped: {error}")
        tree = self.value(dumped)
        if isinstance(tree, Members):
            tree.source = value
            return self._marked(tree, kind)
        for base, mark in (*_SCALAR_MARKS, (list, Elements)):
            if isinstance(tree, base) and type(tree) is not bool:
                return self._marked(mark(tree), kind)
        self.is_converted = True
        return tree

    def _marked(self, part: Any, origin: type) -> Any:
        part.origin = origin
        self.is_converted = True
        return part


_SCALAR_MARKS: Final[tuple[tuple[type, type], ...]] = ((str, Text), (int, Whole), (float, Number))


def field_names(kind: type) -> tuple[str, ...] | None:
    """Return the names that a dataclass or attrs class is made from; None if it is neither."""
    if is_dataclass(kind):
        return tuple(field.name for field in fields(kind) if field.init)
    attributes = getattr(kind, "__attrs_attrs__", None)
    if attributes is None:
        return None
    return tuple(attribute.name for attribute in attributes if attribute.init)


def has_more_fields(kind: type) -> bool:
    """Tell whether a dataclass or attrs class has fields that its constructor does not take."""
    declared = fields(kind) if is_dataclass(kind) else getattr(kind, "__attrs_attrs__", ())
    return any(not field.init for field in declared)


def is_plain(tree: Any) -> bool:
    """Tell whether a tree, or a part of one, is what untyped JSON would read from it."""
    kind = type(tree)
    if kind is Members:
        return (
            tree.origin is dict
            and all(type(key) is str for key in tree)
            and all(map(is_plain, tree.values()))
        )
    if kind is Elements:
        return tree.origin is list and all(map(is_plain, tree))
    if kind is Text:
        return issubclass(tree.origin, TextValue)  # equal to the text that it is
    return kind not in (Whole, Number)
