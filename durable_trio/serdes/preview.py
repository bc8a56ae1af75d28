"""A short, harmless look at a value: what a reference to a file shows of what the file holds.

A preview is for people. It is cut at every level, names what it has no form for by its type, and shows the members
whose names are masked as ``***``, at any depth. It never fails on a value, whatever it holds.
"""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MASKED: Final = "***"
MAX_PREVIEW_BYTES: Final = 2_048
_MAX_DEPTH: Final = 4
_MAX_MEMBERS: Final = 10
_MAX_TEXT: Final = 100
_MORE: Final = "..."


def preview_of(value: object, mask: frozenset[str]) -> Any:
    """Return plain values that show *value*; members named in *mask* (lower case) are shown as ``***``."""
    shown = _shown(value, mask, _MAX_DEPTH)
    if len(json.dumps(shown)) > MAX_PREVIEW_BYTES:
        shown = _shown(value, mask, 1)
    return shown if len(json.dumps(shown)) <= MAX_PREVIEW_BYTES else _MORE


def _shown(value: object, mask: frozenset[str], depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(float(value))
    if isinstance(value, int):
        return value if abs(value) < 2**63 else _MORE
    if isinstance(value, str):
        text = str.__str__(value)
        return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + _MORE
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value):,} bytes>"
    members = _members(value)
    if members is not None:
        return _shown_members(members, mask, depth)
    if isinstance(value, (list, tuple, set, frozenset)):
        if not depth:
            return f"<{len(value):,} items>"
        shown = [_shown(member, mask, depth - 1) for member in islice(value, _MAX_MEMBERS)]
        return [*shown, _MORE] if len(value) > _MAX_MEMBERS else shown
    return f"<{type(value).__qualname__}>"


def _members(value: object) -> list[tuple[object, object]] | None:
    if isinstance(value, dict):
        return list(value.items())
    if is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name, None)) for field in fields(value)]
    names = getattr(value, "_fields", None)  # a named tuple's members have names, which may be masked
    if isinstance(value, tuple) and isinstance(names, tuple):
        return list(zip(names, value, strict=False))
    return None


def _shown_members(members: Iterable[tuple[object, object]], mask: frozenset[str], depth: int) -> Any:
    members = list(members)
    if not depth:
        return f"<{len(members):,} members>"
    shown: dict[str, Any] = {}
    for key, member in members[:_MAX_MEMBERS]:
        name = str(_shown(key, mask, 0))
        shown[name] = MASKED if name.lower() in mask else _shown(member, mask, depth - 1)
    if len(members) > _MAX_MEMBERS:
        shown[_MORE] = f"{len(members) - _MAX_MEMBERS:,} more"
    return shown
