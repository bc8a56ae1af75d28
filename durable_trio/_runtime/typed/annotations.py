"""What the annotations of the user's functions say about values.

Only the one annotation that is asked for is evaluated, when a value is first converted: the others may name what
only type checkers know. A function without an annotation, or with one of plain JSON, is told apart without any of
that, by one look into a set; the others are remembered by function.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import sys
import types
import typing
import weakref
from typing import TYPE_CHECKING, Any, Final, Union, get_args, get_origin

from durable_trio._runtime.operation import Operation
from durable_trio._runtime.typed.mismatch import UnsupportedTypeError
from durable_trio._runtime.typed.typed_serdes import LazySerdes, typed
from durable_trio.exceptions import ConfigurationError
from durable_trio.serdes import json_serdes, plain_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio.serdes import SerDes

_MISSING: Final = object()
_JSON: Final = json_serdes()
_PLAIN_TYPES: Final = (None, type(None), str, int, float, bool, Any, object, dict, list)
_PLAIN_NAMES: Final = ("None", "str", "int", "float", "bool", "Any", "object", "dict[str, Any]", "list[Any]")
_PLAIN: Final = frozenset({_MISSING, *_PLAIN_TYPES, *_PLAIN_NAMES, "dict", "list", dict[str, Any], list[Any]})
"""Annotations with which values are stored untyped, by far the most of them: as objects, or as they are spelled."""

_found: Final[weakref.WeakKeyDictionary[Any, SerDes]] = weakref.WeakKeyDictionary()


def result_serdes(fn: Any, serdes: SerDes) -> SerDes:
    """Return the serializer of what *fn* returns; *serdes* itself if its annotation adds nothing."""
    if serdes is not _JSON:
        return serdes  # the user's own beats annotations
    if type(fn) is types.FunctionType:
        try:
            if fn.__annotations__.get("return", _MISSING) in _PLAIN:
                return serdes
        except (TypeError, NameError):  # not hashable; on new Pythons: a name that is not known yet
            pass
    return _by_annotation(_function_of(fn))


def _by_annotation(fn: Any) -> SerDes:
    if isinstance(fn, type):
        return _JSON if fn in _PLAIN else LazySerdes(lambda: fn, _JSON)
    if not isinstance(fn, types.FunctionType):
        return _JSON
    found = _found.get(fn)
    if found is not None:
        return found
    return LazySerdes(lambda: _result_type(fn), _JSON, lambda resolved: _found.__setitem__(fn, resolved))


def _function_of(fn: Any) -> Any:
    """Return the function, or the class, that is behind a callable; None if nobody knows."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    if isinstance(fn, types.MethodType):
        return fn.__func__
    if isinstance(fn, (types.FunctionType, type)):
        return fn
    call = getattr(type(fn), "__call__", None)  # noqa: B004  # the method, not whether there is one
    return call if isinstance(call, types.FunctionType) else None


def _result_type(fn: Any) -> Any:
    """Return the type that *fn*'s result is to be converted to; None if it is to be stored untyped."""
    return _wanted(_awaited(_evaluated(fn, "return")))


def _wanted(type_: Any) -> Any:
    return None if type_ is _MISSING or is_plain_type(type_) else type_


def _awaited(type_: Any) -> Any:
    """Return what awaiting gives, where the function is a plain one that returns something to be awaited."""
    origin = get_origin(type_)
    if origin in (collections.abc.Awaitable, collections.abc.Coroutine, Operation):
        return get_args(type_)[-1]
    return type_


def _evaluated(fn: Any, name: str) -> Any:
    """Evaluate one annotation of *fn*; ``_MISSING`` if there is none."""
    if fn is None:
        return _MISSING
    annotation = _annotations(fn).get(name, _MISSING)
    if annotation is _MISSING:
        return _MISSING

    def probe() -> None: ...

    probe.__annotations__ = {name: annotation}
    inner = inspect.unwrap(fn)
    code, cells = inner.__code__, inner.__closure__ or ()
    names = {}
    for variable, cell in zip(code.co_freevars, cells, strict=True):
        try:
            names[variable] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return typing.get_type_hints(probe, inner.__globals__, names, include_extras=True)[name]


def _annotations(fn: Any) -> dict[str, Any]:
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(fn, format=annotationlib.Format.FORWARDREF)
    else:
        return fn.__annotations__  # type: ignore[no-any-return]  # that is what it is


def is_plain_type(type_: Any) -> bool:
    """Tell whether values of *type_* are plain JSON, so that untyped storage gives them back as they are."""
    try:
        if type_ in _PLAIN:
            return True
    except TypeError:
        return False
    origin, args = get_origin(type_), get_args(type_)
    if origin in (list, collections.abc.Sequence):
        return all(map(is_plain_type, args))
    if origin in (dict, collections.abc.Mapping):
        return args[0] is str and is_plain_type(args[1])
    if origin in (Union, types.UnionType):
        return all(map(is_plain_type, args))
    return type_ in (typing.NoReturn, typing.Never)


# --- given explicitly ------------------------------------------------------------------------------------


def type_serdes(result_type: Any, carrier: SerDes, argument: str = "result_type") -> SerDes:
    """Return the serializer of a type that the user gave, carried by *carrier*.

    Raises:
        ConfigurationError: it cannot be converted to.
    """
    try:
        return typed(result_type, carrier)
    except UnsupportedTypeError as error:
        raise ConfigurationError(f"{argument}={result_type!r} cannot be used: {error}") from error


# --- the handler's input ---------------------------------------------------------------------------------


def input_serdes(fn: Callable[..., Any]) -> SerDes | None:
    """Return the serializer of the input of the handler *fn*, by the annotation of its first parameter.

    None where nobody can tell.
    """
    function = None if isinstance(fn, functools.partial) else _function_of(fn)
    if not isinstance(function, types.FunctionType):
        return None
    parameters = function.__code__.co_varnames[: function.__code__.co_argcount]
    own = parameters if function is fn else parameters[1:]  # a method's, after self
    if not own:
        return None
    return LazySerdes(lambda: _wanted(_evaluated(function, own[0])), plain_json)
