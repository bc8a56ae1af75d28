"""Outlines and tables in colour.

What users wrote (names, errors) is put into ``Text`` objects, never into rich's markup: a step called
``[red]`` is a step called ``[red]``.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from durable_trio.cli.outline import Mark, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import RenderableType

_BAR_WIDTH: Final = 20
_ENDLESS: Final = 100_000
_GLYPHS: Final = {
    Mark.SUCCEEDED: ("✓", "green"),
    Mark.FAILED: ("✗", "bold red"),
    Mark.RUNNING: ("●", "cyan"),
    Mark.WAITING: ("◌", "yellow"),
    Mark.NOTE: ("…", "dim"),
}
_STATUS_STYLES: Final = {
    "SUCCEEDED": "green",
    "RUNNING": "cyan",
    "PAUSED": "yellow",
    "PAUSING": "yellow",
}


def rows_text(rows: Iterable[Row]) -> Text:
    """Return the lines of an outline, one per row, too long ones cut off at the edge of the terminal."""
    text = Text(no_wrap=True, overflow="ellipsis")
    for position, row in enumerate(rows):
        if position:
            text.append("\n")
        text.append_text(_row_text(row))
    return text


def _row_text(row: Row) -> Text:
    glyph, style = _GLYPHS[row.mark]
    text = Text("  " * row.depth)
    text.append(f"{glyph} ", style=style)
    text.append(row.label, style="dim" if row.mark is Mark.NOTE else "")
    if row.kind and row.kind != row.label:
        text.append(f"  {row.kind}", style="dim")
    if row.progress is not None:
        text.append("  ")
        text.append_text(_bar(*row.progress))
    if row.detail:
        text.append(f"  {row.detail}", style=style if row.mark in {Mark.FAILED, Mark.WAITING} else "dim")
    return text


def _bar(ended: int, under_way: int) -> Text:
    """Draw what has ended as a share of what was started."""
    filled = _BAR_WIDTH * ended // max(1, ended + under_way)
    bar = Text("━" * filled, style="green")
    return bar.append("━" * (_BAR_WIDTH - filled), style="cyan" if under_way else "bright_black")


def status_text(status: str) -> Text:
    """Return an execution's status in its colour."""
    return Text(status, style=_STATUS_STYLES.get(status, "bold red"))


def table_of(columns: Sequence[str], rows: Iterable[Sequence[RenderableType]]) -> Table:
    """Return a table without lines, which can be cut up by other programs."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def stdout_console() -> Console:
    """Return a console for stdout that breaks lines at the edge of a terminal only, never in files and pipes."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_ENDLESS)


def instant_text(at: int | None) -> str:
    """Return an instant (epoch milliseconds) in local time, to the second; ``-`` if there is none."""
    return "-" if at is None else f"{datetime.fromtimestamp(at / 1000).astimezone():%Y-%m-%d %H:%M:%S}"
