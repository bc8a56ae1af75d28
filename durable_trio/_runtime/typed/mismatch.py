"""What does not fit its type: where, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class UnsupportedTypeError(Exception):
    """An annotation says nothing that values could be converted to."""


class MismatchError(Exception):
    """A part of a value does not fit its type.

    Attributes:
        path: the way to the part, from where the error was raised.
    """

    def __init__(self, reason: object) -> None:
        super().__init__(reason)
        self.path: list[str] = []


def within(place: str, convert: Callable[[Any, Any], Any], value: Any, type_: Any) -> Any:
    """Convert a part of a value; an error knows where it lies."""
    try:
        return convert(value, type_)
    except MismatchError as error:
        error.path.insert(0, place)
        raise
    except Exception as error:
        mismatch = MismatchError(reason_of(error))
        mismatch.path = [place, *path_of(error)]
        raise mismatch from error


def each(convert: Callable[[Any, Any], Any], values: Iterable[Any], type_: Any) -> list[Any]:
    """Convert the members of a sequence."""
    return [within(f"[{index}]", convert, value, type_) for index, value in enumerate(values)]


def path_of(error: BaseException) -> list[str]:
    """Return where an error of a conversion was raised, as the segments of a path."""
    path: list[str] = []
    while True:
        if isinstance(error, MismatchError):
            return [*path, *error.path]
        name, inner = _inner(error)
        if inner is None:
            return path
        if name is not None:
            path.append(f".{name}")
        error = inner


def reason_of(error: BaseException) -> str:
    """Return what went wrong, of an error or of the first in the groups that cattrs raises for classes."""
    while (inner := _inner(error)[1]) is not None:
        error = inner
    if isinstance(error, MismatchError):
        return str(error)
    if isinstance(error, KeyError) and getattr(error, "__notes__", None):
        return "is missing"
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    return f"{type(error).__name__}: {error}"  # of the user's constructor


def _inner(error: BaseException) -> tuple[str | None, BaseException | None]:
    """Return the first error in a group of cattrs's, and the field that it belongs to."""
    group = getattr(error, "group_exceptions", None)
    if group is None:
        return None, None
    with_notes, without = group()
    if with_notes:
        inner, note = with_notes[0]
        return note.name, inner
    return None, without[0]
