"""What an execution comes to, whatever happened on the way, and how two of them differ."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from durable_trio._protocol.operation import OperationType, StepDetails
from durable_trio.testing.tables import headline

if TYPE_CHECKING:
    from durable_trio._protocol.operation import OperationRecord
    from durable_trio.testing.result import RunResult


def outcome_of(run: RunResult) -> tuple[Any, ...]:
    """Return status, result, error, and every operation with its identity and its outcome, without times."""
    operations = sorted(
        (o.id, o.type, o.sub_type or "", o.name or "", o.parent_id or "", o.status, timeless(o))
        for o in run.records
        if o.type is not OperationType.EXECUTION
    )
    return (run.status, run.result_text, run.error, *operations)


def differences(left: RunResult, right: RunResult) -> list[str]:
    """Return how two runs differ, line by line, for an assertion that has failed."""
    lines = [
        line.rstrip("\n")
        for line in difflib.ndiff(_timeless_table(left), _timeless_table(right))
        if not line.startswith("?")
    ]
    return [f"left:  {headline(left)}", f"right: {headline(right)}", "", *lines]


def _timeless_table(run: RunResult) -> list[str]:
    lines = [f"{run.status} {run.result_text if run.error is None else run.error}"]
    for operation in run:
        record = operation.record
        lines.append(f"{operation.path} {operation.kind} {record.status} {timeless(record)}")
    return lines


def timeless(record: OperationRecord) -> str:
    """Return an operation's details without what depends on when it ran."""
    details = record.details
    if isinstance(details, StepDetails):
        details = replace(details, next_attempt_at=None)
    for instant in ("scheduled_end_at", "callback_id"):
        if details is not None and hasattr(details, instant):
            details = replace(details, **{instant: None})  # type: ignore[arg-type]  # it has this member
    return repr(details)
