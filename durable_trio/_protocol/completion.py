"""When a map or a parallel is decided, and why.

The rules are AWS's, in AWS's order. The batch *stops* when the custom predicate says so, when every item has
ended, when enough have succeeded, or when more have failed than is tolerated (strictly more; a percentage is
of all items, not of the started ones). With no criteria at all a single failure is one too many. With only
``min_successful`` failures never stop it; with a predicate tolerance is not looked at.

The *reason* is looked for in another order: tolerance exceeded, custom, all completed, enough successful.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias

from durable_trio._protocol.value_class import frozen_dataclass as dataclass


class CompletionReason(StrEnum):
    """Why a map or a parallel was decided."""

    ALL_COMPLETED = "ALL_COMPLETED"
    MIN_SUCCESSFUL_REACHED = "MIN_SUCCESSFUL_REACHED"
    FAILURE_TOLERANCE_EXCEEDED = "FAILURE_TOLERANCE_EXCEEDED"
    CUSTOM_COMPLETION_SUCCEEDED = "CUSTOM_COMPLETION_SUCCEEDED"
    CUSTOM_COMPLETION_FAILED = "CUSTOM_COMPLETION_FAILED"


CUSTOM_REASONS = frozenset(
    {CompletionReason.CUSTOM_COMPLETION_SUCCEEDED, CompletionReason.CUSTOM_COMPLETION_FAILED}
)


class BatchItemStatus(StrEnum):
    """How an item of a batch stood when the batch was decided."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    STARTED = "STARTED"


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """What a completion predicate sees.

    Attributes:
        success_count: items that have succeeded.
        failure_count: items that have failed.
        started_count: items that were started and have not ended.
        total_count: all items of the batch.
        statuses: one per item, in input order; None for an item that was not started.
    """

    success_count: int
    failure_count: int
    started_count: int
    total_count: int
    statuses: tuple[BatchItemStatus | None, ...]


CompletionPredicate: TypeAlias = Callable[[BatchProgress], CompletionReason | None]


@dataclass(frozen=True, slots=True)
class CompletionRules:
    """The criteria of one batch."""

    min_successful: int | None = None
    tolerated_failure_count: int | None = None
    tolerated_failure_percentage: float | None = None
    has_predicate: bool = False

    def decide(
        self, *, succeeded: int, failed: int, total: int, custom: CompletionReason | None = None
    ) -> CompletionReason | None:
        """Return why the batch is decided, or None if it goes on. *custom* is the predicate's answer."""
        exceeded = not self.has_predicate and self._is_tolerance_exceeded(failed, total)
        all_completed = succeeded + failed >= total
        enough = self.min_successful is not None and succeeded >= self.min_successful
        if exceeded:
            return CompletionReason.FAILURE_TOLERANCE_EXCEEDED
        if custom is not None:
            return custom
        if all_completed:
            return CompletionReason.ALL_COMPLETED
        if enough:
            return CompletionReason.MIN_SUCCESSFUL_REACHED
        return None

    def _is_tolerance_exceeded(self, failed: int, total: int) -> bool:
        if failed == 0:
            return False
        count, percentage = self.tolerated_failure_count, self.tolerated_failure_percentage
        if count is None and percentage is None:
            return self.min_successful is None
        if count is not None and failed > count:
            return True
        return percentage is not None and failed * 100 > percentage * total
