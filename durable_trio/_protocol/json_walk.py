"""What both ways of writing JSON stand on: the fast check, and the walk that knows where it is.

``is_plain`` finds out whether ``json`` would write a value as it is, ``dump_plain`` lets it, and a ``Walk`` goes
through everything else, member by member, and refuses with the path.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final, NoReturn

from durable_trio._protocol.json_leaves import JsonValueError, Leaf, leaves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_DEPTH: Final = 100
"""How deep containers may nest. Other languages' readers stop at about the same depth, and what one process
could write, another must be able to read however deep its own stack is."""

SCALARS: Final = frozenset({str, int, float, bool, type(None)})
TEXT: Final = frozenset({str})


def is_plain(value: object, *, tags: bool) -> bool:
    """Tell whether *value* has no part that ``json`` would change without asking.

    NaN, lone surrogates and very long integers are left to ``dump_plain``. With *tags*, a dict that looks like
    a tag is not plain either.
    """
    if type(value) in SCALARS:
        return True
    # By identity, level by level: shared parts are looked at once per level, and a cycle runs into MAX_DEPTH.
    level: dict[int, Any] = {id(value): value}
    for _ in range(MAX_DEPTH):
        below: dict[int, Any] = {}
        for container in level.values():
            members: Iterable[Any]
            if type(container) is dict:
                if not TEXT.issuperset(map(type, container)):
                    return False
                if tags and len(container) == 1 and next(iter(container)).startswith("$"):
                    return False
                members = container.values()
            elif type(container) is list:
                members = container
            else:
                return False
            if not SCALARS.issuperset(map(type, members)):
                for member in members:
                    if type(member) not in SCALARS:
                        below[id(member)] = member
        if not below:
            return True
        level = below
    return False


_WRITER: Final = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
)

dump: Final[Callable[[object], str]] = _WRITER.encode
"""Write a tree of plain values that a walk has checked."""


def dump_plain(value: object) -> str | None:
    """Write a plain value; None if it holds a number or text without a JSON form."""
    try:
        text = dump(value)
        if not text.isascii():
            text.encode()
    except ValueError:  # NaN, an integer over Python's digit limit, a lone surrogate: the walk will say where
        return None
    return text


def write(convert: Callable[[Any], Any], value: object) -> str:
    """Write the tree of plain values that *convert*, a walk's method, makes of *value*."""
    try:
        return dump(convert(value))
    except RecursionError as error:
        raise JsonValueError("$: nested too deeply for what is left of the stack") from error


class Walk:
    """Goes through a value and knows where it is, to refuse with the path."""

    __slots__ = ("_open", "_trail")

    def __init__(self) -> None:
        self._trail: list[str] = []
        self._open: set[int] = set()

    def refuse(self, reason: object) -> NoReturn:
        """Raise a ``JsonValueError`` that begins with the path to where the walk is."""
        path = "".join(self._trail)
        if len(path) > 200:
            path = f"{path[:100]} ... {path[-100:]}"
        raise JsonValueError(f"${path}: {reason}")

    def enter(self, container: object) -> None:
        """Go into a container; refuse a cycle and too much depth."""
        if id(container) in self._open:
            self.refuse(f"this {type(container).__name__} contains itself")
        if len(self._open) == MAX_DEPTH:
            self.refuse(f"nested more than {MAX_DEPTH} levels deep")
        self._open.add(id(container))

    def leave(self, container: object) -> None:
        """Come out of a container."""
        self._open.discard(id(container))

    def within(self, segment: str, convert: Callable[[Any], Any], value: object) -> Any:
        """Convert *value*, which lies under *segment*."""
        self._trail.append(segment)
        converted = convert(value)
        self._trail.pop()
        return converted

    def scalar(self, value: Any) -> Any:
        """Check a plain scalar."""
        kind = type(value)
        if kind is str and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                self.refuse("this text has a lone surrogate, which no encoding can carry")
        elif kind is float and not math.isfinite(value):
            self.refuse(f"{value} has no JSON form; use None or text")
        elif kind is int:
            try:
                int.__repr__(value)
            except ValueError as error:
                self.refuse(f"this integer is too long: {error}")
        return value

    def leaf(self, leaf: Leaf, value: Any) -> str:
        """Write a leaf as text."""
        try:
            return leaf.write(value)
        except (ValueError, ArithmeticError) as error:
            self.refuse(error)


def segment(key: object) -> str:
    """Return the part of a path that leads to the member *key* of a dict."""
    if type(key) is str:
        return f".{key}" if key.isidentifier() and key.isascii() else f"[{json.dumps(key[:80])}]"
    if type(key) is int:
        return f"[{key}]" if abs(key) < 10**30 else "[<int>]"
    # Only of known classes: another one's repr is somebody's code, and may be long.
    is_known = type(key) in SCALARS or type(key) in leaves()
    return f"[{key!r:.80}]" if is_known else f"[<{type(key).__qualname__}>]"
