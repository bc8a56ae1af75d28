"""Step bodies that these tests share."""

from __future__ import annotations

from typing import Any

import trio


async def give(value: Any) -> Any:
    """Return *value*."""
    return value


async def slow(seconds: float, value: Any) -> Any:
    """Return *value* after a while."""
    await trio.sleep(seconds)
    return value


async def fail(seconds: float, message: str) -> None:
    """Raise a ValueError after a while."""
    await trio.sleep(seconds)
    raise ValueError(message)
