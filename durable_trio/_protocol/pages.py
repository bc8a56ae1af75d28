"""Which operations a function is shown, page by page.

Operations come in start order. Those inside a finished context, at any depth, are left out: nobody will ask for
them again, since the context answers from its own result. A context closed with ``ReplayChildren`` has no result
to answer from, so its children stay.

A marker says at which place in start order the next page starts. Operations are only ever added at the end, so
a marker stays good while the execution goes on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from durable_trio._protocol import limits
from durable_trio._protocol.opaque import is_place, marker_places, page_marker
from durable_trio._protocol.operation import ContextDetails, OperationRecord, OperationType
from durable_trio._protocol.refusals import RefusedError
from durable_trio._protocol.wire import Dialect, encode_operation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from durable_trio._protocol.execution_record import (
        Entry,
        ExecutionRecord,
    )


@dataclass(frozen=True, slots=True)
class PageLimits:
    """How big a page may be: operations, and bytes of their JSON (None: any).

    A page holds at least one operation, however big it is.
    """

    max_items: int = limits.DEFAULT_PAGE_SIZE
    max_bytes: int | None = None


def page_size(max_items: int) -> int:
    """Return how many items a caller gets who asked for *max_items*; 0 means the default.

    Raises:
        RefusedError: it is not 0 to 1000.
    """
    if not 0 <= max_items <= limits.MAX_PAGE_SIZE:
        raise RefusedError(f"MaxItems must be 0 to {limits.MAX_PAGE_SIZE}, not {max_items}")
    return max_items or limits.DEFAULT_PAGE_SIZE


@dataclass(frozen=True, slots=True)
class OperationsPage:
    """One page of an execution's visible operations."""

    operations: tuple[OperationRecord, ...]
    next_marker: str = ""


def visible(record: ExecutionRecord) -> Iterator[Entry]:
    """Yield the operations that a function is shown, in start order."""
    covered: set[str] = set()
    for entry in record.entries():
        operation = entry.operation
        if operation.parent_id in covered:
            if operation.type is OperationType.CONTEXT:
                covered.add(operation.id)
            continue
        if _hides_children(operation):
            covered.add(operation.id)
        yield entry


def _hides_children(operation: OperationRecord) -> bool:
    if operation.type is not OperationType.CONTEXT or not operation.status.is_terminal:
        return False
    return not (isinstance(operation.details, ContextDetails) and operation.details.replay_children)


def state_page(record: ExecutionRecord, marker: str, page_limits: PageLimits) -> OperationsPage:
    """Return the page of visible operations that starts at *marker* (empty: the first).

    Raises:
        RefusedError: the marker is not one of this listing.
    """
    start = _start(marker)
    operations: list[OperationRecord] = []
    size = 0
    for entry in visible(record):
        if entry.position < start:
            continue
        if page_limits.max_bytes is not None:
            size += len(json.dumps(encode_operation(entry.operation, Dialect.EVENT)))
        is_full = len(operations) >= page_limits.max_items
        if operations and (is_full or (page_limits.max_bytes is not None and size > page_limits.max_bytes)):
            return OperationsPage(tuple(operations), page_marker("state", entry.position))
        operations.append(entry.operation)
    return OperationsPage(tuple(operations))


def _start(marker: str) -> int:
    if not marker:
        return 0
    places = marker_places(marker, "state")
    if places is None or not is_place(places[0]):
        raise RefusedError(f"Marker is not one that this service gave: {marker!r:.100}")
    return int(places[0])
