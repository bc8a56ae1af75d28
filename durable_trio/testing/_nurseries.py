"""A nursery for background tasks whose block's own error leaves as itself.

An assertion that fails in the body of ``async with DurableRunner(...)`` has to reach the test as an ``AssertionError``,
not inside an ``ExceptionGroup``, for pytest to show it as usual. What a background task raises is a group, as ever.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def background_nursery() -> AsyncIterator[trio.Nursery]:
    """Give a nursery; its tasks are cancelled at the end of the block."""
    body_error: BaseException | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield nursery
        except BaseException as error:
            if _holds_cancelled(error):
                raise  # it has to leave its scope by the usual road
            body_error = error
        nursery.cancel_scope.cancel()
    if body_error is not None:
        raise body_error


def _holds_cancelled(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(trio.Cancelled) is not None
    return isinstance(error, trio.Cancelled)
