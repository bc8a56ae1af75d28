"""The smallest list that still fails: delta debugging.

``shrink`` leaves out halves, then quarters, and so on down to single members, as long as what is left still fails.
The result fails, and no single member can be left out of it (unless the budget of tries is spent).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")


def shrink(members: Sequence[T], fails: Callable[[list[T]], bool], *, max_tries: int = 200) -> list[T]:
    """Return a part of *members* that still *fails*, as small as can be found.

    *fails* must hold for *members* itself, and is asked at most *max_tries* times.
    """
    kept = list(members)
    tries = 0
    size = len(kept)
    while size >= 1 and kept:
        index = 0
        is_smaller = False
        while index < len(kept):
            if tries >= max_tries:
                return kept
            tries += 1
            rest = kept[:index] + kept[index + size :]
            if fails(rest):
                kept, is_smaller = rest, True
            else:
                index += size
        if size > 1:
            size = min(size // 2, max(len(kept), 1))
        elif not is_smaller:
            break
    return kept
