"""``--reload``: new code is used as soon as it is saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio
from watchfiles import PythonFilter, awatch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

# Watching goes on in a thread, which looks that often whether it is to end.
_LOOK_MILLISECONDS: Final = 250


async def watch_code(
    folders: Collection[Path],
    on_change: Callable[[list[Path]], None],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Call *on_change* with the Python files in *folders* that have changed, until cancelled.

    Changes that come together are told together.
    """
    task_status.started()
    async for changes in awatch(
        *folders, watch_filter=PythonFilter(), rust_timeout=_LOOK_MILLISECONDS, yield_on_timeout=False
    ):
        on_change(sorted({Path(path) for _, path in changes}))
