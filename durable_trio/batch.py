"""``BatchResult``: how every item of a map or a parallel ended."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from durable_trio._protocol.completion import (
    CUSTOM_REASONS,
    BatchItemStatus,
    BatchProgress,
    CompletionReason,
)
from durable_trio._protocol.value_class import frozen_dataclass as dataclass
from durable_trio.exceptions import MapError, OperationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "BatchItem",
    "BatchItemStatus",
    "BatchProgress",
    "BatchResult",
    "CompletionReason",
    "map_summary",
    "parallel_summary",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BatchItem(Generic[T]):
    """One item of a batch.

    Attributes:
        index: its position in the input, from 0.
        status: SUCCEEDED, FAILED, or STARTED for an item that was still running when the batch was decided.
        result: what it returned; None unless it succeeded.
        error: what awaiting it would raise; None unless it failed.
        name: its name, or None.
    """

    index: int
    status: BatchItemStatus
    result: T | None = None
    error: Exception | None = None
    name: str | None = None


class BatchResult(Generic[T]):
    """The items of a map or a parallel, in input order, and why the batch was decided.

    Items that were never started are not in it. A batch does not raise by itself: ask for ``results()``, call
    ``raise_if_failed()``, or look at the failures; a result that is dropped with failures nobody looked at is
    logged as a warning.
    """

    __slots__ = ("_is_looked_at", "_items", "_mutes", "completion_reason")

    def __init__(self, items: Sequence[BatchItem[T]], completion_reason: CompletionReason) -> None:
        self._items = tuple(items)
        self.completion_reason: CompletionReason = CompletionReason(completion_reason)
        self._is_looked_at = False
        self._mutes: Callable[[], bool] | None = None

    def __repr__(self) -> str:
        return (
            f"<BatchResult {self.status}: {self._count(BatchItemStatus.SUCCEEDED)} succeeded,"
            f" {self._count(BatchItemStatus.FAILED)} failed, {self._count(BatchItemStatus.STARTED)} started,"
            f" {self.completion_reason}>"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BatchResult):
            return NotImplemented
        return self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]  # compares by value and holds values that need not hash

    def __iter__(self) -> Iterator[BatchItem[T]]:
        self._is_looked_at = True
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __del__(self) -> None:
        # The invocation that made it says whether it was dropped by a suspension rather than by the program.
        if getattr(self, "_mutes", None) is None or self._is_looked_at or self._mutes():  # type: ignore[misc]
            return
        if self._count(BatchItemStatus.FAILED):
            logging.getLogger("durable_trio").warning(
                "%r was dropped with failures that nobody looked at; call results(), raise_if_failed() or failed()",
                self,
            )

    def warn_if_ignored(self, mutes: Callable[[], bool]) -> None:
        """Log a warning if the result is dropped with failures unseen, unless *mutes* says it is no fault."""
        self._mutes = mutes
        self._is_looked_at = False  # by a summary or a serializer, perhaps: the program has not seen it yet

    # --- what the items are -------------------------------------------------------------------------------

    @property
    def items(self) -> tuple[BatchItem[T], ...]:
        """Every started item, in input order."""
        self._is_looked_at = True
        return self._items

    def results(self) -> list[T]:
        """Return what the successful items returned, in input order.

        Raises:
            MapError: more items failed than were tolerated; holds every item's error.
        """
        if self.completion_reason is CompletionReason.FAILURE_TOLERANCE_EXCEEDED:
            self.raise_if_failed()
        return [item.result for item in self._items if item.status is BatchItemStatus.SUCCEEDED]  # type: ignore[misc]

    def raise_if_failed(self) -> None:
        """Raise ``MapError`` if any item failed; it holds every item's error, and speaks for the first."""
        errors = self.errors()
        if not errors:
            return
        first = errors[0]
        recorded = first if isinstance(first, OperationError) else None
        raise MapError(
            str(first),
            errors=errors,
            error_type=recorded.error_type if recorded else type(first).__name__,
            data=recorded.data if recorded else None,
            operation_id=recorded.operation_id if recorded else None,
            operation_name=recorded.operation_name if recorded else None,
        ) from first

    def succeeded(self) -> list[BatchItem[T]]:
        """Return the items that succeeded."""
        return self._with(BatchItemStatus.SUCCEEDED)

    def failed(self) -> list[BatchItem[T]]:
        """Return the items that failed."""
        self._is_looked_at = True
        return self._with(BatchItemStatus.FAILED)

    def started(self) -> list[BatchItem[T]]:
        """Return the items that were still running when the batch was decided."""
        return self._with(BatchItemStatus.STARTED)

    def errors(self) -> list[Exception]:
        """Return the errors of the failed items, in input order."""
        return [item.error for item in self.failed() if item.error is not None]

    # --- counts -------------------------------------------------------------------------------------------

    @property
    def success_count(self) -> int:
        """How many items succeeded."""
        return self._count(BatchItemStatus.SUCCEEDED)

    @property
    def failure_count(self) -> int:
        """How many items failed."""
        self._is_looked_at = True
        return self._count(BatchItemStatus.FAILED)

    @property
    def started_count(self) -> int:
        """How many items were still running when the batch was decided."""
        return self._count(BatchItemStatus.STARTED)

    @property
    def total_count(self) -> int:
        """How many items were started."""
        return len(self._items)

    @property
    def has_failures(self) -> bool:
        """Whether any item failed."""
        return self.failure_count > 0

    @property
    def status(self) -> BatchItemStatus:
        """FAILED if any item failed, unless a custom predicate decided; else SUCCEEDED."""
        self._is_looked_at = True
        if self.completion_reason in CUSTOM_REASONS:
            succeeded = self.completion_reason is CompletionReason.CUSTOM_COMPLETION_SUCCEEDED
        else:
            succeeded = self._count(BatchItemStatus.FAILED) == 0
        return BatchItemStatus.SUCCEEDED if succeeded else BatchItemStatus.FAILED

    def to_json(self) -> dict[str, Any]:
        """Return the batch as plain values, for a handler's result or a log line."""
        self._is_looked_at = True
        return {
            "all": [_item_to_json(item) for item in self._items],
            "completionReason": str(self.completion_reason),
        }

    __durable_plain__ = to_json

    def __durable_tagged__(self) -> tuple[str, dict[str, Any]]:
        """Return how it is stored as a value: a tag, and what stands under it."""
        from durable_trio.serdes.results import BATCH, stored_batch  # few programs return a batch

        self._is_looked_at = True
        return BATCH, stored_batch(self._items, self.completion_reason)

    def _with(self, status: BatchItemStatus) -> list[BatchItem[T]]:
        return [item for item in self._items if item.status is status]

    def _count(self, status: BatchItemStatus) -> int:
        return sum(item.status is status for item in self._items)


def _item_to_json(item: BatchItem[Any]) -> dict[str, Any]:
    wire: dict[str, Any] = {"index": item.index, "status": str(item.status)}
    if item.status is BatchItemStatus.SUCCEEDED:
        wire["result"] = item.result
    if item.error is not None:
        error_type = (
            item.error.error_type if isinstance(item.error, OperationError) else type(item.error).__name__
        )
        wire["error"] = {"ErrorType": error_type, "ErrorMessage": str(item.error)}
    if item.name is not None:
        wire["name"] = item.name
    return wire


def map_summary(result: BatchResult[Any]) -> str:
    """Return what a map came to, for ``ctx.map(..., summary=map_summary)``: what is kept of a result too big to store.

    JSON text with the members ``type`` (``"MapResult"``), ``totalCount`` (items that were started),
    ``successCount``, ``failureCount``, ``startedCount``, ``completionReason`` and ``status``.
    """
    return _summary("MapResult", result)


def parallel_summary(result: BatchResult[Any]) -> str:
    """Return the same of a parallel, for its ``summary=``; ``type`` is ``"ParallelResult"``."""
    return _summary("ParallelResult", result)


def _summary(kind: str, result: BatchResult[Any]) -> str:
    members = {
        "type": kind,
        "totalCount": result.total_count,
        "successCount": result.success_count,
        "failureCount": result.failure_count,
        "startedCount": result.started_count,
        "completionReason": str(result.completion_reason),
        "status": str(result.status),
    }
    return json.dumps(members, separators=(",", ":"))
