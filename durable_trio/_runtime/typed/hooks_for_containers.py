"""Hooks for containers, and for what is no type at all.

Arrays of JSON become lists, tuples or sets, as the type says. What was made from a value (``tree``) knows what it
was: a list fits a tuple, a tuple fits a list, a set fits sets alone.
"""

from __future__ import annotations

import typing
from collections.abc import Collection, Iterable, Mapping, MutableMapping, MutableSequence, Sequence, Set
from typing import TYPE_CHECKING, Any, Final, get_args

from durable_trio._protocol.json_walk import segment
from durable_trio._runtime.typed.hooks_for_scalars import key_hook
from durable_trio._runtime.typed.mismatch import MismatchError, each, within
from durable_trio._runtime.typed.tree import Elements, Members, Text, is_plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from cattrs import Converter

    Hook = Callable[[Any, Any], Any]

_LISTS: Final = frozenset({list, Sequence, MutableSequence, Collection, Iterable})
_SETS: Final[Mapping[Any, Any]] = {
    set: set,
    frozenset: frozenset,
    Set: frozenset,
    typing.AbstractSet: frozenset,
}
_DICTS: Final = frozenset({dict, Mapping, MutableMapping})


def anything(value: Any, _: Any) -> Any:
    """Take plain JSON as it is: the hook of what has no type."""
    if not is_plain(value):
        name = type_name(getattr(value, "origin", type(value)))
        raise MismatchError(f"this {name} is or holds what would come back as plain JSON: annotate it")
    return value


def container_hook(to: Converter, type_: Any, origin: Any) -> Hook | None:
    """Return the hook of a container; None if *type_* is none. *origin* is the type without its arguments."""
    args = get_args(type_)
    if origin in _LISTS:
        return _list_hook(to, args[0] if args else Any)
    if origin is tuple:
        return _tuple_hook(to, args)
    if origin in _SETS:
        return _set_hook(to, _SETS[origin], args[0] if args else Any)
    if origin in _DICTS:
        return _dict_hook(to, *(args or (Any, Any)))
    return None


def _list_hook(to: Converter, member: Any) -> Hook:
    hook = to.get_structure_hook(member)

    def convert(value: Any, _: Any) -> Any:
        return each(hook, array_of(value, "a list", (list, tuple)), member)

    return convert


def _tuple_hook(to: Converter, args: tuple[Any, ...]) -> Hook:
    if not args or args[-1:] == (...,):
        member = args[0] if args else Any
        hook = to.get_structure_hook(member)
        return lambda value, _: tuple(each(hook, array_of(value, "a tuple", (list, tuple)), member))
    members = () if args == ((),) else args
    hooks = [to.get_structure_hook(member) for member in members]

    def convert(value: Any, _: Any) -> Any:
        return tuple(positions(array_of(value, "a tuple", (list, tuple)), hooks, members))

    return convert


def positions(values: Sequence[Any], hooks: Sequence[Hook], types: Sequence[Any]) -> list[Any]:
    """Convert the members of an array, each by its own type."""
    if len(values) != len(types):
        raise MismatchError(f"has {len(values)} members, and must have {len(types)}")
    return [
        within(f"[{index}]", hook, value, type_)
        for index, (hook, value, type_) in enumerate(zip(hooks, values, types, strict=True))
    ]


def _set_hook(to: Converter, build: type, member: Any) -> Hook:
    hook = to.get_structure_hook(member)

    def convert(value: Any, _: Any) -> Any:
        members = each(hook, array_of(value, "a set", (list, set, frozenset)), member)
        built = build(members)
        if len(built) != len(members):
            raise MismatchError("holds a member twice")
        return built

    return convert


def array_of(value: Any, what: str, fitting: tuple[type, ...]) -> Any:
    """Return *value* if it is an array that was made of something *fitting*, or was read."""
    origin = value.origin if type(value) is Elements else type(value)
    if origin not in fitting:
        raise MismatchError(f"must be {what}, not {shown(value)}")
    return value


def _dict_hook(to: Converter, key: Any, member: Any) -> Hook:
    read_key = key_hook(to, key)
    hook = to.get_structure_hook(member)

    def convert(value: Any, _: Any) -> Any:
        origin = value.origin if type(value) is Members else type(value)
        if origin is not dict:
            raise MismatchError(f"must be a dict, not {shown(value)}")
        built = {}
        for name, part in value.items():
            place = segment(str(name) if type(name) is Text else name)
            built[within(place, read_key, name, key)] = within(place, hook, part, member)
        if len(built) != len(value):
            raise MismatchError("has two keys that are equal")
        return built

    return convert


def type_name(type_: Any) -> str:
    """Return what to call a type in a message."""
    return getattr(type_, "__qualname__", None) or repr(type_)


def shown(value: Any) -> str:
    """Return what to call the class of a value in a message."""
    return f"a {type_name(getattr(value, 'origin', type(value)))}"
