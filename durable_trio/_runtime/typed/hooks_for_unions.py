"""Hooks for unions: only those in which JSON itself tells the members apart.

``Order | None``, ``list[Order] | Order``, ``int | str | UUID``? The first two can be told: null, an array and an
object differ. In the third, text may be either, so it is unsupported, and values are stored untyped, where tags
tell. Several dataclasses are told apart by cattrs, by a ``Literal`` field or by a field that only one of them needs; if
it cannot, the union is unsupported.
"""

from __future__ import annotations

import typing
from collections.abc import Collection, Iterable, Mapping, MutableMapping, MutableSequence, Sequence, Set
from dataclasses import is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin

from cattrs.disambiguators import create_default_dis_func

from durable_trio._protocol.json_leaves import leaves
from durable_trio._runtime.typed.hooks_for_containers import type_name
from durable_trio._runtime.typed.mismatch import MismatchError, UnsupportedTypeError
from durable_trio._runtime.typed.tree import is_pydantic, is_typed_dict

if TYPE_CHECKING:
    from collections.abc import Callable

    Hook = Callable[[Any, Any], Any]

_NATIVE: Final = {str: "text", int: "integer", float: "float", bool: "boolean", type(None): "null"}
_ARRAYS: Final = frozenset(
    {list, tuple, set, frozenset, Set, Sequence, MutableSequence, Collection, Iterable}
)
_OBJECTS: Final = frozenset({dict, Mapping, MutableMapping})


def union_hook(to: Any, type_: Any) -> Hook:
    """Return the hook of a union; *to* has the hooks of its members.

    Raises:
        UnsupportedTypeError: JSON does not tell its members apart.
    """
    by_kind: dict[str, Any] = {}
    objects: list[Any] = []
    by_class: dict[type, Any] = {}
    for member in get_args(type_):
        kinds = _kinds(member)
        if kinds == {"object"}:
            objects.append(member)
            continue
        for kind in kinds:
            if kind in by_kind:
                raise UnsupportedTypeError(
                    f"JSON does not tell apart {by_kind[kind]!r} and {member!r} ({kind})"
                )
            by_kind[kind] = member
        if member in leaves():
            by_class[member] = member
    hooks = {kind: (to.get_structure_hook(member), member) for kind, member in by_kind.items()}
    if objects:
        hooks["object"] = (_objects_hook(to, objects), objects)
    if "float" in hooks:
        hooks.setdefault("integer", hooks["float"])  # as everywhere: 1 is 1.0

    def convert(value: Any, _: Any) -> Any:
        kind = "text" if type(value) in by_class else _kind_of(value)
        found = hooks.get(kind)
        if found is None:
            raise MismatchError(
                f"a {type_name(getattr(value, 'origin', type(value)))} fits no member of {type_name(type_)}"
            )
        hook, member = found
        return hook(value, member)

    return convert


def _kind_of(value: Any) -> str:
    for base, kind in (
        (bool, "boolean"),
        (str, "text"),
        (int, "integer"),
        (float, "float"),
        (type(None), "null"),
    ):
        if isinstance(value, base):
            return kind
    if isinstance(value, dict):
        return "object"
    return "array" if isinstance(value, (list, tuple, set, frozenset)) else "unknown"


def _kinds(type_: Any) -> set[str]:
    """Return the kinds of JSON that values of *type_* are written as."""
    if type_ in _NATIVE:
        return {_NATIVE[type_]}
    if type_ in leaves():
        return {"text"}
    origin = get_origin(type_)
    if origin is Literal:
        return {_kind_of(value.value if isinstance(value, Enum) else value) for value in get_args(type_)}
    inner = get_args(type_)[0] if origin is typing.Annotated else getattr(type_, "__supertype__", None)
    if inner is not None:
        return _kinds(inner)
    return _class_kinds(type_, origin or type_)


def _class_kinds(type_: Any, cls: Any) -> set[str]:
    if cls in _ARRAYS:
        return {"array"}
    if cls in _OBJECTS or is_typed_dict(cls) or is_pydantic(cls):
        return {"object"}
    if isinstance(cls, type):
        if issubclass(cls, Enum):
            return {_kind_of(member.value) for member in cls}
        if is_dataclass(cls) or hasattr(cls, "__attrs_attrs__"):
            return {"object"}
        for base, kinds in ((tuple, {"array"}), (str, {"text"}), (int, {"integer"}), (float, {"float"})):
            if issubclass(cls, base):
                return kinds
    raise UnsupportedTypeError(f"{type_!r} cannot be told from the other members of a union")


def _objects_hook(to: Any, members: list[Any]) -> Hook:
    if len(members) == 1:
        hook: Hook = to.get_structure_hook(members[0])
        return lambda value, _: hook(value, members[0])
    for member in members:
        cls = get_origin(member) or member
        if is_pydantic(cls) or not (is_dataclass(cls) or hasattr(cls, "__attrs_attrs__")):
            raise UnsupportedTypeError(f"{member!r} cannot be told from the other objects of a union")
    try:
        choose = create_default_dis_func(to, *members)
    except TypeError as error:
        raise UnsupportedTypeError(str(error)) from error
    hooks = {member: to.get_structure_hook(member) for member in members}

    def convert(value: Any, _: Any) -> Any:
        try:
            chosen = choose(value)
            chosen_hook = hooks[chosen]
        except (KeyError, ValueError, TypeError) as error:
            names = ", ".join(map(type_name, members))
            raise MismatchError(f"cannot be told to be one of {names}: {error}") from error
        return chosen_hook(value, chosen)

    return convert
