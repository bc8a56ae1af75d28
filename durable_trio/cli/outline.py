"""What of an execution is worth a line, as plain values.

Finished contexts are one line. Unfinished ones show what is inside; a map or a parallel shows counters and
only the first few of its unfinished items. So an outline is about as long as there are things going on, and
making one costs as much as it is long: that is why a map of many thousand items can be watched.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, Final

from durable_trio._protocol.operation import (
    ErrorObject,
    OperationStatus,
    OperationType,
    StepDetails,
    SubType,
    WaitDetails,
)
from durable_trio.cli.tree import finished_attempts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from durable_trio.cli.tree import Level, Node, OperationTree

SHOWN_ITEMS: Final = 4
SHOWN_SIBLINGS: Final = 12


class Mark(Enum):
    """How a line's operation is doing."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RUNNING = "running"
    WAITING = "waiting"
    NOTE = "note"
    """Not an operation: a remark about those that are not shown."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of an outline.

    Attributes:
        depth: how far it is indented; 0 for the handler's own operations.
        mark: how it is doing.
        label: its name.
        kind: what it is, for example ``Step``; empty for a note.
        detail: what there is to say about it; may be empty.
        progress: how many items have ended and how many are under way, for a map or a parallel. How many there
            will be is known to the handler only.
    """

    depth: int
    mark: Mark
    label: str
    kind: str = ""
    detail: str = ""
    progress: tuple[int, int] | None = None


def outline(tree: OperationTree, now: int, *, full: bool = False, max_rows: int | None = None) -> list[Row]:
    """Return the lines that show *tree* at the instant *now* (epoch milliseconds).

    Args:
        tree: the execution's operations.
        now: the service's time, for what is left of timers.
        full: show every operation, also inside of finished contexts and crowds.
        max_rows: at most so many lines; what is left out is counted in the first one. None: no limit.
    """
    rows = list(_level(tree.top, 0, now, full=full))
    if max_rows is not None and len(rows) > max_rows:
        hidden = len(rows) - max_rows + 1
        rows = [Row(0, Mark.NOTE, f"{hidden} lines above are not shown"), *rows[hidden:]]
    return rows


def _level(level: Level, depth: int, now: int, *, full: bool) -> Iterator[Row]:
    """Show the latest of some siblings, and those older ones that are still going on."""
    hidden = 0 if full else max(0, len(level.nodes) - SHOWN_SIBLINGS)
    latest = level.nodes[hidden:]
    if hidden:
        yield Row(depth, Mark.NOTE, f"{hidden} earlier operations")
        shown = {node.record.id for node in latest}
        older = (node for key, node in level.unfinished.items() if key not in shown)
        for node in islice(older, SHOWN_ITEMS):
            yield from _subtree(node, depth, now, full=False)
    for node in latest:
        yield from _subtree(node, depth, now, full=full)


def _subtree(node: Node, depth: int, now: int, *, full: bool) -> Iterator[Row]:
    yield row_of(node, depth, now)
    if full:
        yield from _level(node.inside, depth + 1, now, full=True)
    elif node.is_finished or node.is_wait_for_callback:
        return
    elif node.is_crowd:
        yield from _items(node.inside, depth + 1, now)
    else:
        yield from _level(node.inside, depth + 1, now, full=False)


def _items(items: Level, depth: int, now: int) -> Iterator[Row]:
    for item in islice(items.unfinished.values(), SHOWN_ITEMS):
        yield _item_row(item, depth, now)
    more = len(items.unfinished) - SHOWN_ITEMS
    if more > 0:
        yield Row(depth, Mark.NOTE, f"{more} more unfinished")


def _item_row(item: Node, depth: int, now: int) -> Row:
    """Show an item and what it is doing, in one line."""
    doing = item
    while doing.inside.unfinished:
        doing = next(iter(doing.inside.unfinished.values()))
    row = row_of(doing, depth, now)
    if doing is item:
        return row
    return Row(depth, row.mark, f"{item.name} > {row.label}", row.kind, row.detail, row.progress)


def row_of(node: Node, depth: int, now: int) -> Row:
    """Return the line of one operation."""
    record = node.record
    progress = (node.inside.finished_count, len(node.inside.unfinished)) if node.is_crowd else None
    return Row(
        depth, _mark(node), node.name, record.sub_type or record.type.value, _detail(node, now), progress
    )


def _mark(node: Node) -> Mark:
    match node.record.status:
        case OperationStatus.SUCCEEDED:
            return Mark.SUCCEEDED
        case OperationStatus.STARTED if node.record.type in {OperationType.STEP, OperationType.CONTEXT}:
            return Mark.WAITING if node.is_wait_for_callback else Mark.RUNNING
        case OperationStatus.READY:
            return Mark.RUNNING
        case OperationStatus.STARTED | OperationStatus.PENDING:
            return Mark.WAITING
        case _:
            return Mark.FAILED


def _detail(node: Node, now: int) -> str:
    record = node.record
    if record.status.is_terminal:
        return _how_it_ended(node)
    match record.type:
        case OperationType.STEP:
            return _attempt(node, now)
        case OperationType.WAIT:
            details = record.details
            end_at = details.scheduled_end_at if isinstance(details, WaitDetails) else None
            return "" if end_at is None else f"{span_text(end_at - now)} left"
        case OperationType.CALLBACK:
            return "waits for an answer"
        case OperationType.CHAINED_INVOKE:
            return "waits for the function"
        case _:
            return _inside(node)


def _inside(context: Node) -> str:
    if context.is_wait_for_callback:
        return "waits for an answer"
    if not context.is_crowd:
        return ""
    inside = context.inside
    failed = f", {inside.failed_count} failed" if inside.failed_count else ""
    return f"{inside.finished_count} done, {len(inside.unfinished)} under way{failed}"


def _attempt(step: Node, now: int) -> str:
    details = step.record.details
    finished = finished_attempts(step)
    if not isinstance(details, StepDetails) or not finished:
        return ""
    if step.record.sub_type == SubType.WAIT_FOR_CONDITION:
        doing = f"check {finished + 1}"
    else:
        doing = f"attempt {finished + 1}"
    if details.next_attempt_at is not None and step.record.status is OperationStatus.PENDING:
        doing += f" in {span_text(details.next_attempt_at - now)}"
    return f"{doing}, after {error_text(details.error)}" if details.error else doing


def _how_it_ended(node: Node) -> str:
    record = node.record
    took = span_text((record.ended_at or record.started_at) - record.started_at)
    if record.status is not OperationStatus.SUCCEEDED:
        error = getattr(record.details, "error", None)
        reason = f": {error_text(error)}" if error else ""
        return f"{record.status.value.lower().replace('_', ' ')}{reason}"
    if node.is_crowd:
        failed = f", {node.inside.failed_count} failed" if node.inside.failed_count else ""
        return f"{len(node.inside.nodes)} items, {took}{failed}"
    attempts = finished_attempts(node)
    return f"{took}, {attempts} attempts" if attempts > 1 else took


def error_text(error: ErrorObject) -> str:
    """Return an error as ``Type: first line of the message``."""
    first_line = (error.message or "").strip().partition("\n")[0]
    return ": ".join(part for part in (error.type, first_line) if part) or "an error without a message"


def span_text(milliseconds: int) -> str:
    """Return a span of time in at most two units, for example ``3 min 20 s``; negative spans are 0."""
    if milliseconds < 9_950:
        return f"{max(0, milliseconds) / 1000:.1f} s"
    seconds = round(milliseconds / 1000)
    for (big, big_name), (small, small_name) in (
        ((86_400, "d"), (3_600, "h")),
        ((3_600, "h"), (60, "min")),
        ((60, "min"), (1, "s")),
    ):
        if seconds >= big:
            rest = seconds % big // small
            return f"{seconds // big} {big_name}" + (f" {rest} {small_name}" if rest else "")
    return f"{seconds} s"
