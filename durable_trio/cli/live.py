"""Watching a run on a terminal: the tree of operations, redrawn a few times a second.

A change only marks the picture as old; a separate task redraws it, at most ``_FRAMES_PER_SECOND`` times a
second while something changes, and once a second while timers count down. What a frame costs does not depend
on how much has happened (see ``outline``). What the handler prints appears above the picture.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import trio
from rich.live import Live
from rich.text import Text

from durable_trio.cli.outline import outline, span_text
from durable_trio.cli.render import rows_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from rich.console import Console

    from durable_trio.cli.tree import Moved, OperationTree

_FRAMES_PER_SECOND: Final = 10
_ROWS_KEPT_FREE: Final = 4


class LiveView:
    """Draw *tree* on *console*; a context manager, inside which ``redraw`` must be running as a task.

    Args:
        console: the terminal.
        tree: the operations, kept up to date by somebody else.
        title: what is being run.
        now: the service's time, in epoch milliseconds.
    """

    def __init__(self, console: Console, tree: OperationTree, *, title: str, now: Callable[[], int]) -> None:
        self._console = console
        self._tree = tree
        self._title = title
        self._now = now
        self._started_at = now()
        self._invocations = 0
        self._standing = ""
        self._changed = trio.Event()
        self._live = Live(console=console, auto_refresh=False, get_renderable=self._frame)

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def note(self, text: str) -> None:
        """Print a remark above the picture."""
        # Unbroken, so that commands in it can be copied.
        self._console.print(Text(text), soft_wrap=True)

    def invocation(self, number: int, happened: str) -> None:
        """Take notice of an invocation that started or ended; a failed one is worth a remark."""
        self._invocations = max(self._invocations, number)
        self._standing = "" if happened == "started" else ", suspended"
        if happened not in {"started", "over", "ended"}:
            self.note(f"invocation {number} {happened}")
        self._changed.set()

    def closed(self, status: str) -> None:
        """Take notice of the end of the execution."""
        self._standing = f", {status}"
        self._changed.set()

    def moved(self, moved: Moved) -> None:
        """Take notice of a change of an operation."""
        self._changed.set()

    async def redraw(self) -> None:
        """Redraw whenever something has changed, until cancelled."""
        while True:
            await trio.sleep(1 / _FRAMES_PER_SECOND)
            with trio.move_on_after(1 if self._is_counting() else math.inf):
                await self._changed.wait()
            self._changed = trio.Event()
            self._live.refresh()

    def _is_counting(self) -> bool:
        return bool(self._tree.top.unfinished)

    def _frame(self) -> Text:
        now = self._now()
        rows = outline(self._tree, now, max_rows=max(5, self._console.height - _ROWS_KEPT_FREE))
        picture = Text(no_wrap=True, overflow="ellipsis")
        picture.append(self._title, style="bold")
        picture.append(
            f"  {span_text(now - self._started_at)}, {self._tree.count} operations, "
            f"invocation {self._invocations}{self._standing}\n",
            style="dim",
        )
        return picture.append_text(rows_text(rows))
