"""Frozen dataclasses that are quick to make.

Half a dozen values are made for every operation. Python's frozen dataclasses go round their own ``__setattr__`` once
for each field, and so cost five times as much to make as others. These are frozen for the type checkers, which
is where a mistake would be noticed, and compare and hash like frozen ones. Use it for what is made thousands of
times, and ``dataclasses.dataclass(frozen=True, slots=True)`` for everything else.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass
else:
    T = TypeVar("T")

    def dataclass(*, frozen: bool, slots: bool) -> Callable[[type[T]], type[T]]:
        """Return the decorator; both arguments must be true."""
        if not (frozen and slots):
            raise TypeError("a value class is frozen and has slots")
        return dataclasses.dataclass(slots=True, unsafe_hash=True)


__all__ = ["dataclass"]
