"""From plain JSON to values, by their types: what cattrs is told to do for each.

cattrs knows how to take types apart and generates the code for classes; everything else it would do is replaced
here, because it converts where it can (``int("1")``, the keys of a dict as a list, surplus fields dropped) and
we must refuse what does not fit. ``hook_for`` is the table: one entry per kind of type, anything else is unsupported.

A hook gets one of three things. Values that were read from plain JSON. Trees (``tree``), whose parts know what
they were made from: then the hook also refuses what would come back as something else. And values that were
read from tagged JSON, of the right class already.
"""

from __future__ import annotations

import functools
import types
import typing
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar, get_args, get_origin

import cattrs

from durable_trio._protocol.json_leaves import leaves
from durable_trio._runtime.typed.hooks_for_classes import class_hook
from durable_trio._runtime.typed.hooks_for_containers import anything, container_hook
from durable_trio._runtime.typed.hooks_for_scalars import (
    leaf_hook,
    literal_hook,
    scalar_hook,
)
from durable_trio._runtime.typed.hooks_for_unions import union_hook
from durable_trio._runtime.typed.mismatch import UnsupportedTypeError

if TYPE_CHECKING:
    from collections.abc import Callable

Hook = typing.Callable[[Any, Any], Any]

_QUALIFIERS: Final = (
    typing.Final,
    typing.Required,
    typing.NotRequired,
    getattr(typing, "ReadOnly", typing.Final),
)


class TypedConverter(cattrs.Converter):
    """A cattrs converter that converts only what fits, and refuses unknown types when it is asked for a hook."""

    def __init__(self) -> None:
        super().__init__(detailed_validation=True)
        self.register_structure_hook_factory(lambda _: True, lambda type_: hook_for(self, type_))
        # For these and what derives from them cattrs looks nowhere else.
        for base in (str, bytes, int, float):
            self.register_structure_hook(base, self._scalar)
        self._scalars: dict[Any, Hook] = {}

    def _scalar(self, value: Any, type_: Any) -> Any:
        hook = self._scalars.get(type_)
        if hook is None:
            hook = self._scalars[type_] = hook_for(self, type_)
        return hook(value, type_)


@functools.cache
def converter() -> TypedConverter:
    """Return the converter of this process."""
    return TypedConverter()


def hook_of(type_: Any) -> Callable[[Any], Any]:
    """Return the function that converts to *type_*.

    Raises:
        UnsupportedTypeError: there is none.
    """
    if type_ in (Any, object) or isinstance(type_, TypeVar):
        raise UnsupportedTypeError(f"{type_} is no type to convert to")
    try:
        hook: Hook = converter().get_structure_hook(type_)
    except UnsupportedTypeError:
        raise
    except Exception as error:
        raise UnsupportedTypeError(f"{type(error).__name__}: {error}") from error
    return lambda value: hook(value, type_)


def hook_for(to: TypedConverter, type_: Any) -> Hook:
    """Return the hook of *type_*; *to* has those of its parts.

    Raises:
        UnsupportedTypeError: nothing can be converted to it.
    """
    if type_ in (Any, object, None) or isinstance(type_, TypeVar):
        return anything
    scalar = scalar_hook(type_)
    if scalar is not None:
        return scalar
    if type_ in leaves():
        return leaf_hook(type_, leaves()[type_])
    origin = get_origin(type_)
    if origin is Literal:
        return literal_hook(type_)
    if origin in (typing.Union, types.UnionType):
        return union_hook(to, type_)
    inner = _inner_type(type_, origin)
    if inner is not None:
        return _renamed(to, inner)
    return container_hook(to, type_, origin or type_) or class_hook(to, type_, origin or type_)


def _inner_type(type_: Any, origin: Any) -> Any:
    """Return the type that *type_* is another name for, or None."""
    if origin is Annotated or origin in _QUALIFIERS:
        return get_args(type_)[0]
    supertype = getattr(type_, "__supertype__", None)  # a NewType
    if supertype is not None:
        return supertype
    is_alias = type(type_).__name__ == "TypeAliasType"
    return type_.__value__ if is_alias else None


def _renamed(to: TypedConverter, inner: Any) -> Hook:
    hook: Hook = to.get_structure_hook(inner)
    return lambda value, _: hook(value, inner)
