"""Hooks for what JSON has as text or a number: plain scalars, our leaves, enums, literals, subclasses, keys.

Text forms are those of ``_protocol/json_leaves.py``. From outside (a callback, an input) a ``Decimal`` may also
come as a number that is exact.
"""

from __future__ import annotations

import re
from decimal import Decimal
from enum import Enum, Flag
from typing import TYPE_CHECKING, Any, Final, get_args

from durable_trio._protocol.json_leaves import TextValue, leaves
from durable_trio._protocol.json_walk import dump
from durable_trio._runtime.typed.mismatch import MismatchError, UnsupportedTypeError
from durable_trio._runtime.typed.tree import Elements, Number, Text, TreeWalk, Whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._protocol.json_leaves import Leaf

    Hook = Callable[[Any, Any], Any]

_MARKS: Final = (Text, Whole, Number, Elements)
_WHOLE: Final = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_MAX_EXACT_INTEGER: Final = 2**53
"""Up to here every integer is a float, too."""
_MAX_EXACT_DIGITS: Final = 15
"""A float has come from a number of so many digits unchanged."""


def _exactly(wanted: type) -> Hook:
    def convert(value: Any, _: Any) -> Any:
        if type(value) is not wanted:
            raise MismatchError(f"must be {wanted.__name__}, not {_shown(value)}")
        return value

    return convert


def _text(value: Any, _: Any) -> str:
    if type(value) is not str and not (type(value) is Text and issubclass(value.origin, TextValue)):
        raise MismatchError(f"must be str, not {_shown(value)}")
    return value


def _none(value: Any, _: Any) -> None:
    if value is not None:
        raise MismatchError(f"must be None, not {_shown(value)}")


def _float(value: Any, _: Any) -> float:
    if type(value) is int and abs(value) <= _MAX_EXACT_INTEGER:
        return float(value)
    if type(value) is not float:
        raise MismatchError(f"must be float, not {_shown(value)}")
    return value


_SCALARS: Final[dict[Any, Hook]] = {
    str: _text,
    int: _exactly(int),
    bool: _exactly(bool),
    float: _float,
    type(None): _none,
}


def scalar_hook(type_: Any) -> Hook | None:
    """Return the hook of a type that JSON has itself, or None."""
    try:
        return _SCALARS.get(type_)
    except TypeError:  # not hashable
        return None


def leaf_hook(type_: type, leaf: Leaf) -> Hook:
    """Return the hook of a type that has a text form."""

    def convert(value: Any, _: Any) -> Any:
        kind = type(value)
        if kind is type_:
            return value
        if kind is str or (kind is Text and value.origin is type_):
            try:
                return leaf.read(str(value))
            except ArithmeticError as error:
                raise MismatchError(f"{value[:80]!r} is no {type_.__name__}") from error
            except ValueError as error:
                raise MismatchError(f"{value[:80]!r} is no {type_.__name__}: {error}") from error
        if type_ is Decimal and kind in (int, float):
            return _exact_decimal(value)
        raise MismatchError(f"must be {type_.__name__}, not {_shown(value)}")

    return convert


def _exact_decimal(value: float) -> Decimal:
    number = Decimal(repr(value))
    if type(value) is float and len(number.as_tuple().digits) > _MAX_EXACT_DIGITS:
        raise MismatchError(f"{value!r} has too many digits for a number in JSON: write a Decimal as text")
    return number


def enum_hook(cls: type[Enum]) -> Hook:
    """Return the hook of an enum: by the members' values."""
    members: dict[str, Enum] = {}
    for member in cls:
        try:
            members[dump(TreeWalk().value(member.value))] = member
        except Exception as error:
            raise UnsupportedTypeError(f"the value of {member!r} has no JSON form: {error}") from error

    def convert(value: Any, _: Any) -> Any:
        if type(value) in _MARKS and value.origin not in (cls, list):
            raise MismatchError(f"must be {cls.__qualname__}, not {_shown(value)}")
        try:
            found = members.get(dump(value))
        except TypeError:
            found = None
        if found is None and issubclass(cls, Flag) and isinstance(value, int):
            found = cls(int(value))
        if found is None:
            raise MismatchError(f"{value!r:.80} is no value of {cls.__qualname__}")
        return found

    return convert


def literal_hook(type_: Any) -> Hook:
    """Return the hook of a ``Literal``."""
    allowed: dict[str, Any] = {}
    for value in get_args(type_):
        text = dump(TreeWalk().value(value))
        if text in allowed:
            raise UnsupportedTypeError(f"two members of {type_!r} are the same in JSON")
        allowed[text] = value

    def convert(value: Any, _: Any) -> Any:
        origin = value.origin if type(value) in _MARKS else None
        try:
            text = dump(value)
        except TypeError:
            text = ""
        if text not in allowed or (origin is not None and origin is not type(allowed[text])):
            raise MismatchError(f"must be one of {', '.join(map(repr, allowed.values()))}, not {value!r:.80}")
        return allowed[text]

    return convert


def subclass_hook(cls: Any) -> Hook:
    """Return the hook of a subclass of ``str``, ``int`` or ``float``: it is called with the plain value."""
    base = next(base for base in (str, int, float) if issubclass(cls, base))

    def convert(value: Any, _: Any) -> Any:
        if type(value) in (Text, Whole, Number) and value.origin is cls:
            return cls(base(value))
        if type(value) is not base:
            raise MismatchError(f"must be {cls.__qualname__}, not {_shown(value)}")
        try:
            return cls(value)
        except (ValueError, ArithmeticError) as error:
            raise MismatchError(f"{value!r:.80} is no {cls.__qualname__}: {error}") from error

    return convert


def key_hook(to: Any, type_: Any) -> Hook:
    """Return the hook of the keys of a dict, which JSON has as text.

    Raises:
        UnsupportedTypeError: *type_* has no text form.
    """
    while (inner := getattr(type_, "__supertype__", None)) is not None:  # a NewType
        type_ = inner
    if type_ is Any:
        type_ = str
    read: Hook = to.get_structure_hook(type_)
    is_text = type_ is str or type_ in leaves()
    if not is_text and not (isinstance(type_, type) and issubclass(type_, (str, int, Enum))):
        raise UnsupportedTypeError(f"{type_!r} cannot be the key of a JSON object")
    is_number = type_ is not bool and issubclass(type_, int) and not issubclass(type_, Enum)

    def convert(key: Any, _: Any) -> Any:
        if type(key) not in (str, Text):
            return read(key, type_)  # of a tagged dict
        if is_text:
            return read(key, type_)
        if type(key) is Text and key.origin is not type_:
            raise MismatchError(f"must be {type_.__qualname__}, not {_shown(key)}")
        text = str(key)
        if is_number:
            return read(_int_of(text), type_)
        if type_ is bool:
            return read({"true": True, "false": False}.get(text), type_)
        return _enum_of(read, text, type_)

    return convert


def _int_of(text: str) -> int:
    if _WHOLE.fullmatch(text) is None:
        raise MismatchError(f"{text[:80]!r} is no whole number")
    return int(text)


def _enum_of(read: Hook, text: str, type_: type) -> Any:
    """Read an enum, or a subclass of ``str``, from a key: its value may be text or a number."""
    try:
        return read(text, type_)
    except MismatchError:
        if _WHOLE.fullmatch(text) is None or not issubclass(type_, Enum):
            raise
        return read(int(text), type_)


def _shown(value: Any) -> str:
    kind: type = getattr(value, "origin", type(value))
    return f"a {kind.__qualname__}"
