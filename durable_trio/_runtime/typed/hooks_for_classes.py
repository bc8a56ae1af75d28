"""Hooks for classes: dataclasses and attrs classes by cattrs's code, the others by ours, models by pydantic's.

A class takes an object with its fields. What was made from a value has to be of the very class: an instance of a
subclass would come back as less than it is.
"""

from __future__ import annotations

import typing
from dataclasses import is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

from durable_trio._protocol.json_walk import dump, segment
from durable_trio._runtime.typed.hooks_for_containers import anything, array_of, positions, shown, type_name
from durable_trio._runtime.typed.hooks_for_scalars import enum_hook, subclass_hook
from durable_trio._runtime.typed.mismatch import MismatchError, UnsupportedTypeError, within
from durable_trio._runtime.typed.tree import (
    Members,
    field_names,
    has_more_fields,
    is_pydantic,
    is_typed_dict,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from cattrs import Converter

    Hook = Callable[[Any, Any], Any]


def class_hook(to: Converter, type_: Any, cls: Any) -> Hook:
    """Return the hook of a class; *cls* is *type_* without its arguments.

    Raises:
        UnsupportedTypeError: nobody told us how to make it of plain JSON.
    """
    if isinstance(cls, type):
        if issubclass(cls, Enum):
            return enum_hook(cls)
        if is_pydantic(cls):
            return _pydantic_hook(type_, cls)
        if is_typed_dict(cls):
            return _typed_dict_hook(to, type_)
        if issubclass(cls, tuple) and hasattr(cls, "_fields"):
            return _named_tuple_hook(to, cls)
        if is_dataclass(cls) or hasattr(cls, "__attrs_attrs__"):
            return _object_hook(to, type_, cls)
        if issubclass(cls, (str, int, float)):
            return subclass_hook(cls)
    raise UnsupportedTypeError(f"no value can be made of plain JSON for {type_name(type_)}")


def _object_hook(to: Converter, type_: Any, cls: type) -> Hook:
    typing.get_type_hints(cls)  # names that cannot be resolved are found now
    build = to.gen_structure_attrs_fromdict(type_)
    names = frozenset(field_names(cls) or ())
    is_compared = has_more_fields(cls)

    def convert(value: Any, _: Any) -> Any:
        if type(value) is not Members:
            if type(value) is not dict:
                raise MismatchError(f"must be an object for {type_name(cls)}, not {shown(value)}")
            return build(value, type_)
        _check_origin(value, cls)
        surplus = sorted(value.keys() - names)
        if surplus:
            raise MismatchError(f"has {', '.join(surplus)}, which {type_name(cls)} has no field for")
        built = build(value, type_)
        if is_compared and value.origin is cls and built != value.source:
            raise MismatchError(
                f"a field of {type_name(cls)} that its constructor does not take would be lost"
            )
        return built

    return convert


def _check_origin(value: Members, cls: type) -> None:
    if value.origin not in (dict, cls):
        raise MismatchError(f"{shown(value)} would come back as {type_name(cls)}")


def _typed_dict_hook(to: Converter, type_: Any) -> Hook:
    hints = _typed_dict_hints(type_)
    required = [name for name, hint in hints.items() if _is_required(get_origin(type_) or type_, name, hint)]
    hooks = {name: to.get_structure_hook(hint) for name, hint in hints.items()}

    def convert(value: Any, _: Any) -> Any:
        origin = value.origin if type(value) is Members else type(value)
        if origin is not dict:
            raise MismatchError(f"must be a dict for {type_name(type_)}, not {shown(value)}")
        for name in required:
            if name not in value:
                raise MismatchError(f"{name!r} is missing for {type_name(type_)}")
        built = {}
        for name, part in value.items():
            if type(name) is not str:
                raise MismatchError(f"the key {name!r:.80} of {type_name(type_)} must be text")
            # Surplus members are kept as they are.
            built[name] = within(segment(name), hooks.get(name, anything), part, hints.get(name, Any))
        return built

    return convert


def _typed_dict_hints(type_: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(get_origin(type_) or type_, include_extras=True)
    args = get_args(type_)
    if not args:
        return hints
    given = dict(zip(get_origin(type_).__parameters__, args, strict=True))
    return {name: _with_arguments(hint, given) for name, hint in hints.items()}


def _with_arguments(hint: Any, given: dict[Any, Any]) -> Any:
    if isinstance(hint, TypeVar):
        return given.get(hint, hint)
    parameters = getattr(hint, "__parameters__", ())
    return hint[tuple(given.get(parameter, parameter) for parameter in parameters)] if parameters else hint


def _is_required(cls: Any, name: str, hint: Any) -> bool:
    # The class does not see through annotations that are text; the evaluated ones say it.
    if get_origin(hint) in (typing.Required, typing.NotRequired):
        return get_origin(hint) is typing.Required
    return name in cls.__required_keys__


def _named_tuple_hook(to: Converter, cls: Any) -> Hook:
    hints = typing.get_type_hints(cls, include_extras=True)
    types = [hints.get(name, Any) for name in cls._fields]
    hooks = [to.get_structure_hook(type_) for type_ in types]

    def convert(value: Any, _: Any) -> Any:
        return cls._make(
            positions(array_of(value, f"an array for {type_name(cls)}", (list, cls)), hooks, types)
        )

    return convert


def _pydantic_hook(type_: Any, cls: type) -> Hook:
    from pydantic import TypeAdapter, ValidationError

    adapter = TypeAdapter(type_)

    def convert(value: Any, _: Any) -> Any:
        origin = getattr(value, "origin", cls)
        if origin not in (cls, dict, list):
            raise MismatchError(f"{shown(value)} would come back as {type_name(cls)}")
        try:
            built = adapter.validate_json(dump(value))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            mismatch = MismatchError(first["msg"])
            mismatch.path = [f".{part}" if isinstance(part, str) else f"[{part}]" for part in first["loc"]]
            raise mismatch from error
        if type(value) is Members and origin is cls and built != value.source:
            raise MismatchError(
                f"this {type_name(cls)} would not come back equal: what it dumps is not what it takes"
            )
        return built

    return convert
