"""Dataclasses that cost next to nothing until they are used.

``import durable_trio`` makes some sixty value classes, most of which a given function never uses. Python's ``dataclass``
writes and compiles the methods of each one at once: 0.3 ms a class, which was half of what durable_trio added to a
cold start. Here a class takes a tenth of that:

- ``__init__``, ``__eq__`` and ``__hash__`` are written and compiled when they are first used. What stands in their
  place until then is a descriptor, and it is replaced by the function; so from then on they are as fast as a
  dataclass's.
- ``__repr__`` and the rest are not written for the class but closures over its names.
- ``__dataclass_fields__`` comes from a twin, an ordinary dataclass with the same fields, made when somebody asks; so
  ``fields``, ``asdict``, ``is_dataclass`` and ``dataclasses.replace`` work as for any dataclass. ``replace`` here does
  the same as that, for value classes only, and needs no twin.

Nobody can tell otherwise: type checkers see ``dataclasses.dataclass``, and the tests compare every behaviour with it.
What is not supported is refused when the class is made: bases that are dataclasses, and the options of ``dataclass``
beyond those of the two decorators.

``frozen_dataclass`` refuses assignment. ``dataclass`` is for what is made thousands of times in an invocation: Python's
frozen classes go round their own ``__setattr__`` once for each field, and so cost five times as much to make as others.
Its classes are frozen for the type checkers, which is where a mistake would be noticed, and compare and hash like
frozen ones.
"""

from __future__ import annotations

import sys
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass, replace
    from dataclasses import dataclass as frozen_dataclass
else:

    def dataclass(*, frozen: bool, slots: bool, kw_only: bool = False) -> Callable[[type[Any]], type[Any]]:
        """Return the decorator for values that are made often; *frozen* and *slots* must be true."""
        _check_options(frozen, slots)
        return lambda cls: _value_class(cls, refuses_assignment=False, kw_only=kw_only)

    def frozen_dataclass(
        *, frozen: bool, slots: bool, kw_only: bool = False
    ) -> Callable[[type[Any]], type[Any]]:
        """Return the decorator for values that refuse assignment; *frozen* and *slots* must be true."""
        _check_options(frozen, slots)
        return lambda cls: _value_class(cls, refuses_assignment=True, kw_only=kw_only)

    def replace(value: Any, /, **changes: Any) -> Any:
        """Return a copy of a value class's *value* with *changes*."""
        return _replaced(value, **changes)


__all__ = ["dataclass", "frozen_dataclass", "replace"]

_NOTHING: Final[Any] = object()


def _check_options(frozen: bool, slots: bool) -> None:
    if not (frozen and slots):
        raise TypeError("a value class is frozen and has slots")


def _value_class(cls: type[Any], *, refuses_assignment: bool, kw_only: bool) -> type[Any]:
    if hasattr(cls, "__dataclass_fields__"):
        raise TypeError(f"{cls.__qualname__} inherits fields: use dataclasses.dataclass")
    shape = _Shape(cls, refuses_assignment=refuses_assignment, kw_only=kw_only)
    members = {name: value for name, value in vars(cls).items() if name not in shape.left_out}
    if members.get("__hash__", shape) is None:
        del members["__hash__"]  # Python puts it there for a class with its own ``__eq__``
    for name, value in _methods(shape).items():
        members.setdefault(name, value)
    members["__slots__"] = shape.names
    # A class gets slots when it is made, so this one is made again; the same is done for any dataclass with slots.
    metaclass: Any = type(cls)
    shape.owner = made = metaclass(cls.__name__, cls.__bases__, members)
    made.__qualname__ = cls.__qualname__
    return shape.owner


class _Shape:
    """What is known of a class: its fields in order, and what is left out of its text and of comparisons."""

    __slots__ = (
        "annotations",
        "compared",
        "declared",
        "kw_only",
        "names",
        "owner",
        "refuses_assignment",
        "shown",
    )

    def __init__(self, cls: type[Any], *, refuses_assignment: bool, kw_only: bool) -> None:
        annotations = {
            name: kind for name, kind in cls.__annotations__.items() if not _is_class_variable(kind)
        }
        self.owner = cls
        self.refuses_assignment = refuses_assignment
        self.kw_only = kw_only
        self.annotations = annotations
        self.names = tuple(annotations)
        self.declared = {name: vars(cls)[name] for name in annotations if name in vars(cls)}
        self._check(cls)
        special = [(name, default) for name, default in self.declared.items() if _is_field(default)]
        hidden = {name for name, field in special if not field.repr}
        not_compared = {name for name, field in special if not field.compare}
        self.shown = [name for name in self.names if name not in hidden]
        self.compared = [name for name in self.names if name not in not_compared]

    def _check(self, cls: type[Any]) -> None:
        required = tuple(name for name in self.names if name not in self.declared)
        if not self.kw_only and required != self.names[: len(required)]:
            raise TypeError(f"{cls.__qualname__}: a field without a default follows one that has one")
        for name, default in self.declared.items():
            if type(default).__hash__ is None:
                raise ValueError(f"{cls.__qualname__}.{name}: a default that can change would be shared")
            if _is_field(default) and "_MISSING_TYPE" in type(default.default).__name__:
                raise TypeError(f"{cls.__qualname__}.{name}: a special field needs a default, and no factory")

    @property
    def left_out(self) -> frozenset[str]:
        """What does not go from the class to the one with slots."""
        return frozenset((*self.declared, "__dict__", "__weakref__"))

    def default(self, name: str) -> Any:
        """Return the default of a field, or ``_NOTHING``."""
        default = self.declared.get(name, _NOTHING)
        return default.default if _is_field(default) else default


def _is_class_variable(annotation: str) -> bool:
    return annotation.startswith(("ClassVar", "typing.ClassVar"))


def _is_field(default: Any) -> bool:
    """Tell whether it is what ``dataclasses.field`` returns, without importing that."""
    return type(default).__name__ == "Field" and type(default).__module__ == "dataclasses"


# --- what every class has --------------------------------------------------------------------------------


def _methods(shape: _Shape) -> dict[str, Any]:
    shown = shape.shown

    @recursive_repr()
    def __repr__(self: Any) -> str:  # noqa: N807 - it becomes the class's
        members = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{type(self).__qualname__}({members})"

    methods: dict[str, Any] = {
        "__repr__": __repr__,
        "__match_args__": () if shape.kw_only else shape.names,
        "__value_fields__": shape.names,
    }
    for name, make in _MADE_ON_FIRST_USE.items():
        methods[name] = _OnFirstUse(shape, name, make)
    if sys.version_info >= (3, 13):
        methods["__replace__"] = _replaced
    return methods | (_frozen_methods(shape) if shape.refuses_assignment else {})


def _replaced(self: Any, /, **changes: Any) -> Any:
    for name in self.__value_fields__:
        if name not in changes:
            changes[name] = getattr(self, name)
    return type(self)(**changes)


def _frozen_methods(shape: _Shape) -> dict[str, Any]:
    names = shape.names

    def __setattr__(self: Any, name: str, value: object) -> None:  # noqa: N807
        if type(self) is shape.owner or name in names:
            _refuse(f"cannot assign to field {name!r}")
        super(shape.owner, self).__setattr__(name, value)

    def __delattr__(self: Any, name: str) -> None:  # noqa: N807
        if type(self) is shape.owner or name in names:
            _refuse(f"cannot delete field {name!r}")
        super(shape.owner, self).__delattr__(name)

    def __getstate__(self: Any) -> list[Any]:  # noqa: N807 - pickling and copying assign, otherwise
        return [getattr(self, name) for name in names]

    def __setstate__(self: Any, state: list[Any]) -> None:  # noqa: N807
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    methods = (__setattr__, __delattr__, __getstate__, __setstate__)
    return {method.__name__: method for method in methods}


def _refuse(what: str) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(what)


# --- what is made on first use ---------------------------------------------------------------------------


class _OnFirstUse:
    """Stands for a member of a class until it is needed; then what *make* returns takes its place."""

    __slots__ = ("_make", "_name", "_shape")

    def __init__(self, shape: _Shape, name: str, make: Callable[[_Shape], Any]) -> None:
        self._shape = shape
        self._name = name
        self._make = make

    def __get__(self, instance: Any, owner: type[Any]) -> Any:
        made = self._make(self._shape)
        setattr(self._shape.owner, self._name, made)
        return made.__get__(instance, owner) if instance is not None and hasattr(made, "__get__") else made


def _init(shape: _Shape) -> Any:
    defaults = {name: shape.default(name) for name in shape.names}
    parameters = [
        name if defaults[name] is _NOTHING else f"{name}=_defaults[{name!r}]" for name in shape.names
    ]
    assign = "_set(self, {0!r}, {0})" if shape.refuses_assignment else "self.{0} = {0}"
    lines = [assign.format(name) for name in shape.names]
    if hasattr(shape.owner, "__post_init__"):
        lines.append("self.__post_init__()")
    star = ["*"] if shape.kw_only and parameters else []
    header = f"def __init__({', '.join(['self', *star, *parameters])}):"
    init = _compiled(shape, f"{header} {'; '.join(lines) or 'pass'}", defaults)
    init.__annotations__ = {**shape.annotations, "return": None}
    return init


def _eq(shape: _Shape) -> Any:
    ours, theirs = _values(shape, "self"), _values(shape, "other")
    body = f"return {ours} == {theirs} if other.__class__ is self.__class__ else NotImplemented"
    return _compiled(shape, f"def __eq__(self, other): {body}")


def _hash(shape: _Shape) -> Any:
    return _compiled(shape, f"def __hash__(self): return hash({_values(shape, 'self')})")


def _values(shape: _Shape, value: str) -> str:
    return "(" + "".join(f"{value}.{name}, " for name in shape.compared) + ")"


def _compiled(shape: _Shape, definition: str, defaults: dict[str, Any] | None = None) -> Any:
    """Return the method; it sees the names of the class's own module, as any other method does."""
    name = definition[len("def ") : definition.index("(")]
    local: dict[str, Any] = {}
    source = f"def make(_set, _defaults):\n {definition}\n return {name}"
    exec(source, vars(sys.modules[shape.owner.__module__]), local)  # noqa: S102 - of names of our own
    method = local["make"](object.__setattr__, defaults)
    method.__qualname__ = f"{shape.owner.__qualname__}.{name}"
    return method


def _twin(shape: _Shape) -> type[Any]:
    """Return an ordinary dataclass with the same fields."""
    import dataclasses

    members = {"__annotations__": shape.annotations, "__module__": shape.owner.__module__, **shape.declared}
    twin = type(shape.owner.__name__, (), members)
    return dataclasses.dataclass(frozen=True, slots=True, kw_only=shape.kw_only)(twin)


_MADE_ON_FIRST_USE: Final[dict[str, Callable[[_Shape], Any]]] = {
    "__init__": _init,
    "__eq__": _eq,
    "__hash__": _hash,
    "__dataclass_fields__": lambda shape: _twin(shape).__dataclass_fields__,
    "__dataclass_params__": lambda shape: _twin(shape).__dataclass_params__,
}
