"""A run as a table of plain text, for people.

One line an operation, indented as it is nested; times count from the start of the execution, in virtual time.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from durable_trio._protocol.operation import OperationStatus, OperationType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from durable_trio._protocol.operation import ErrorObject
    from durable_trio.testing.recorded import RecordedOperation
    from durable_trio.testing.result import RunResult

_MAX_TEXT: Final = 60
_MAX_ROWS: Final = 200
_HEADER: Final = ("operation", "kind", "status", "at", "took", "outcome")


def table(run: RunResult) -> str:
    """Return *run* as text: a headline, its operations, its invocations, and answers that came to nothing."""
    lines = [headline(run), ""]
    rows = list(_rows(run.tree, run.started_at, 0))
    hidden = len(rows) - _MAX_ROWS
    lines += _aligned([_HEADER, *rows[:_MAX_ROWS]]) if rows else ["(no operations)"]
    if hidden > 0:
        lines.append(f"... and {hidden} more")
    lines += ["", "invocations: " + (" ".join(str(i.status) for i in run.invocations) or "none")]
    lines += [f"refused: {answer}" for answer in run.answers if answer.refusal is not None]
    lines += [str(answer) for answer in run.answers if answer.at is None]
    return "\n".join(lines)


def headline(run: RunResult) -> str:
    """Return one line about how *run* stands."""
    name = run.arn.partition("/")[0].partition(":function:")[2].partition(":")[0] or run.arn
    outcome = ""
    if run.error is not None:
        outcome = f": {error_text(run.error)}"
    elif run.result_text:
        outcome = f": {shortened(run.result_text)}"
    took = "" if run.duration_seconds is None else f" after {span_text(run.duration_seconds)}"
    return f"{name} {run.status}{took}{outcome}"


def _rows(operations: Sequence[RecordedOperation], started_at: int, depth: int) -> Iterator[tuple[str, ...]]:
    for operation in operations:
        yield (
            "  " * depth + operation.path.rpartition("/")[2],
            operation.kind,
            operation.status.value,
            "+" + span_text((operation.started_at - started_at) / 1000),
            "" if operation.duration_seconds is None else span_text(operation.duration_seconds),
            _outcome(operation),
        )
        yield from _rows(operation.children, started_at, depth + 1)


def _outcome(operation: RecordedOperation) -> str:
    parts = []
    if operation.attempts > 1:
        parts.append(f"{operation.attempts} attempts")
    is_over = operation.status.is_terminal
    if operation.is_batch:
        parts.append(_items(operation))
    if operation.error is not None and operation.status is not OperationStatus.SUCCEEDED:
        parts.append(error_text(operation.error))
    elif is_over and operation.payload is not None and not operation.is_batch:
        parts.append(shortened(operation.payload.strip()))
    elif not is_over:
        parts.append(_waiting_for(operation))
    return ", ".join(part for part in parts if part)


def _items(batch: RecordedOperation) -> str:
    failed = sum(child.status is OperationStatus.FAILED for child in batch.children)
    under_way = sum(not child.status.is_terminal for child in batch.children)
    counts = [f"{len(batch.children)} items", f"{failed} failed" if failed else ""]
    return ", ".join(filter(None, [*counts, f"{under_way} under way" if under_way else ""]))


def _waiting_for(operation: RecordedOperation) -> str:
    at = getattr(operation.record.details, "scheduled_end_at", None) or getattr(
        operation.record.details, "next_attempt_at", None
    )
    if at is not None:
        return f"until {datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return "waits for an answer" if operation.type is OperationType.CALLBACK else ""


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def shortened(text: str) -> str:
    """Return *text* in one line of at most 60 characters."""
    line = text if text.isprintable() else json.dumps(text, ensure_ascii=False)
    return line if len(line) <= _MAX_TEXT else f"{line[: _MAX_TEXT - 1]}…"


def error_text(error: ErrorObject) -> str:
    """Return an error as ``Type: first line of the message``."""
    first_line = (error.message or "").strip().partition("\n")[0]
    text = ": ".join(part for part in (error.type, shortened(first_line)) if part)
    return text or "an error without a message"


def span_text(seconds: float) -> str:
    """Return a span of time, for example ``0.4s``, ``12s``, ``1:30:00`` or ``3d 01:00:00``."""
    if seconds < 60:
        return f"{seconds:.3g}s"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{days}d {hour:02}:{minute:02}:{second:02}" if days else f"{hour}:{minute:02}:{second:02}"
