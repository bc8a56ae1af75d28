"""Fewer full garbage collections while an invocation has the process to itself.

A fan-out makes hundreds of thousands of objects (tasks, frames, operations), and nearly all of them live until the
invocation ends. Python looks through all living objects again whenever they have grown by a quarter: half the time
of a map of 10,000 items. So a full collection becomes five times as rare, and twice as rare again after each that
found next to nothing: then what grows is what lives, and its cost stays in proportion to the number of items. One that
finds garbage takes that back. The young generations, where garbage is usually found, are collected as ever.

That is a setting of the whole process, so it is made only where the process is the function's: in a handler that
is called as Lambda calls it.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMES_RARER: Final = 5
MOST_TIMES_RARER: Final = 32 * TIMES_RARER
_LITTLE: Final = 0.1
"""The share of what has come since the last full collection that may be garbage."""


@contextmanager
def fewer_full_collections() -> Iterator[None]:
    """Make full collections rare in the block; leaves alone a program that has switched collection off."""
    pace = _Pace(gc.get_threshold())
    gc.callbacks.append(pace)
    try:
        yield
    finally:
        gc.callbacks.remove(pace)
        pace.end()


class _Pace:
    """How rare full collections are; called by Python at the beginning and the end of each collection."""

    def __init__(self, thresholds: tuple[int, int, int]) -> None:
        self._thresholds = thresholds
        self._set(TIMES_RARER)

    def __call__(self, phase: str, info: dict[str, Any]) -> None:
        if phase != "stop" or info["generation"] != 2:
            return
        young, middle, old = self._thresholds
        most_new = young * middle * old * self._times_rarer
        if info["collected"] > _LITTLE * most_new:
            self._set(TIMES_RARER)
        else:
            self._set(min(2 * self._times_rarer, MOST_TIMES_RARER))

    def _set(self, times_rarer: int) -> None:
        self._times_rarer = times_rarer
        gc.set_threshold(*self._thresholds[:2], self._thresholds[2] * times_rarer)

    def end(self) -> None:
        """Set everything as it was."""
        gc.set_threshold(*self._thresholds)
