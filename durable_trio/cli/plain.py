"""Watching a run line by line, for files, pipes and CI.

One line per change that matters, the same words in the same order every time::

    step check SUCCEEDED
    step charge PENDING attempt=1 due_at=2026-11-20T12:00:05Z error="GatewayUnavailable: no answer"
    wait cool-off STARTED seconds=2
    invocation 1 ended
    map packing STARTED
    map packing 100 finished

What happens inside a map or a parallel is counted, not listed, unless it fails or is tried again.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from durable_trio._protocol.operation import (
    ErrorObject,
    OperationStatus,
    OperationType,
    StepDetails,
    WaitDetails,
)
from durable_trio.cli.outline import error_text
from durable_trio.cli.tree import callback_id, finished_attempts

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio.cli.tree import Moved, Node

_ITEMS_PER_LINE: Final = 50
# Their START says nothing that their end does not say, except where somebody may look at a long wait.
_WORTH_A_START: Final = frozenset(
    {OperationType.CONTEXT, OperationType.WAIT, OperationType.CALLBACK, OperationType.CHAINED_INVOKE}
)


class PlainView:
    """Write a line per change by means of *write*."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def note(self, text: str) -> None:
        """Write a remark."""
        self._write(text)

    def invocation(self, number: int, happened: str) -> None:
        """Say how an invocation ended. That one starts says nothing."""
        if happened not in {"started", "over"}:
            self._write(f"invocation {number} {happened}")

    def closed(self, status: str) -> None:
        """Do nothing: the run's result says it."""

    def moved(self, moved: Moved) -> None:
        """Write the lines that a change of an operation is worth."""
        node = moved.node
        crowd = next((ancestor for ancestor in node.ancestors() if ancestor.is_crowd), None)
        if crowd is None:
            if node.is_finished or moved.before is not None or node.record.type in _WORTH_A_START:
                self._operation(node)
            return
        if node.record.status in {OperationStatus.PENDING, OperationStatus.FAILED, OperationStatus.TIMED_OUT}:
            self._operation(node)
        finished = crowd.inside.finished_count
        if node.parent is crowd and node.is_finished and finished % _ITEMS_PER_LINE == 0:
            self._write(f"{_kind(crowd)} {_word(crowd.name)} {finished} finished")

    def _operation(self, node: Node) -> None:
        if node.record.status is OperationStatus.READY:
            return
        extras = "".join(f" {key}={value}" for key, value in _facts(node).items())
        self._write(f"{_kind(node)} {_path(node)} {node.record.status.value}{extras}")


def _kind(node: Node) -> str:
    """Return the word for what a node is: ``step``, ``wait``, ``map``, ``wait-for-callback``, ..."""
    name = node.record.sub_type or node.record.type.value.capitalize()
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")


def _path(node: Node) -> str:
    names = [node.name, *(ancestor.name for ancestor in node.ancestors())]
    return "/".join(_word(name) for name in reversed(names))


def _word(name: str) -> str:
    """Return *name* so that it is one word of the line."""
    return name if name and " " not in name and '"' not in name else json.dumps(name)


def _facts(node: Node) -> dict[str, str]:
    record = node.record
    facts: dict[str, str] = {}
    attempts = finished_attempts(node)
    if attempts > 1 or (attempts and not node.is_finished):
        facts["attempt"] = str(attempts)
    match record.details:
        case StepDetails(next_attempt_at=int(due_at)) if not node.is_finished:
            facts["due_at"] = f"{datetime.fromtimestamp(due_at / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
        case WaitDetails(scheduled_end_at=int(end_at)) if not node.is_finished:
            facts["seconds"] = f"{(end_at - record.started_at) / 1000:g}"
    if node.is_crowd and node.is_finished:
        facts["items"] = str(len(node.inside.nodes))
    if record.type is OperationType.CALLBACK and not node.is_finished:
        facts["id"] = callback_id(node) or ""
    error = getattr(record.details, "error", None)
    if isinstance(error, ErrorObject) and record.status is not OperationStatus.SUCCEEDED:
        facts["error"] = json.dumps(error_text(error))
    return facts
