"""Which operations a function is shown, page by page.

Operations come in start order. Those inside a finished context, at any depth, are left out: nobody will ask for
them again, since the context answers from its own result. A context closed with ``ReplayChildren`` has no result
to answer from, so its children stay.

A marker says at which place in start order the next page starts. Operations are only ever added at the end, so
a marker stays good while the execution goes on. What a checkpoint is answered with is in order of change instead, and
its markers are numbers of changes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from durable_trio._protocol import limits
from durable_trio._protocol.opaque import is_place, marker_places, page_marker
from durable_trio._protocol.operation import ContextDetails, OperationRecord, OperationType
from durable_trio._protocol.refusals import RefusedError
from durable_trio._protocol.value_class import frozen_dataclass
from durable_trio._protocol.wire import Dialect, encode_operation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from durable_trio._protocol.execution_record import (
        Entry,
        ExecutionRecord,
    )


@frozen_dataclass(frozen=True, slots=True)
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


@frozen_dataclass(frozen=True, slots=True)
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
    """Return the page of operations that starts at *marker* (empty: the first of the visible ones).

    Raises:
        RefusedError: the marker is not one that this service gave.
    """
    changes = marker_places(marker, "changes") if marker else None
    if changes is not None and is_place(changes[0]):
        return _fill(record.changed_after(int(changes[0])), "changes", page_limits)
    start = _start(marker)
    entries = (entry for entry in visible(record) if entry.position >= start)
    return _fill(entries, "state", page_limits)


def changes_page(record: ExecutionRecord, shown_before: int, page_limits: PageLimits) -> OperationsPage:
    """Return the first page of the operations that changed after change number *shown_before*.

    The marker of the next one is good for ``state_page``. An operation that changes in the meantime comes later.
    """
    return _fill(record.changed_after(shown_before), "changes", page_limits)


def fits(operations: Sequence[OperationRecord], page_limits: PageLimits) -> bool:
    """Tell, without looking closely, that operations are certain to fit into one page."""
    if len(operations) > page_limits.max_items:
        return False
    if page_limits.max_bytes is None:
        return True
    return sum(map(most_bytes, operations)) <= page_limits.max_bytes


# An escaped character has at most 6 bytes (12 for two of UTF-16).
_MOST_OF_A_CHARACTER: Final = 12
# Members and numbers have 370 characters, the ids 64 each, a callback's id 200, a sub-type 32.
_MOST_WITHOUT_TEXTS: Final = 800


def most_bytes(operation: OperationRecord) -> int:
    """Return a number of bytes that an operation's JSON never exceeds; ten times as cheap as to write it."""
    texts = _text_length(operation)
    return _MOST_WITHOUT_TEXTS + 2 * len(operation.name or "") + _MOST_OF_A_CHARACTER * texts


def _text_length(operation: OperationRecord) -> int:
    details = operation.details
    error = getattr(details, "error", None)
    texts = (getattr(details, "result", None), getattr(details, "input_payload", None))
    length = sum(len(text) for text in texts if text)
    if error is not None:
        length += len(error.message or "") + len(error.data or "") + len(error.type or "")
        length += sum(len(line) + 1 for line in error.stack)
    return length


def _fill(entries: Iterable[Entry], kind: str, page_limits: PageLimits) -> OperationsPage:
    operations: list[OperationRecord] = []
    size = _PageSize(page_limits.max_bytes)
    last_change = 0
    for entry in entries:
        is_too_big = size.exceeds_with(entry.operation)
        if operations and (is_too_big or len(operations) >= page_limits.max_items):
            place = entry.position if kind == "state" else last_change
            return OperationsPage(tuple(operations), page_marker(kind, place))
        operations.append(entry.operation)
        last_change = entry.change
    return OperationsPage(tuple(operations))


class _PageSize:
    """How many bytes of JSON a page has; they are counted when it is not certain any more that it has few enough."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._size = 0
        self._uncounted: list[OperationRecord] = []
        self._at_most = 0

    def exceeds_with(self, operation: OperationRecord) -> bool:
        """Add an operation, and tell whether the page is too big with it."""
        if self._most is None:
            return False
        self._uncounted.append(operation)
        self._at_most += most_bytes(operation)
        if self._at_most <= self._most:
            return False
        self._size += sum(
            len(json.dumps(encode_operation(uncounted, Dialect.EVENT))) for uncounted in self._uncounted
        )
        self._uncounted.clear()
        self._at_most = self._size
        return self._size > self._most


def _start(marker: str) -> int:
    if not marker:
        return 0
    places = marker_places(marker, "state")
    if places is None or not is_place(places[0]):
        raise RefusedError(f"Marker is not one that this service gave: {marker!r:.100}")
    return int(places[0])
