"""What the suites ``parallel`` and ``map`` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from durable_trio import BatchResult, DurableContext


async def succeed(ctx: DurableContext, value: str) -> str:
    """Return *value*, without any operation."""
    return value


async def fail(ctx: DurableContext) -> str:
    """Fail, without any operation."""
    raise RuntimeError("this branch fails")


def report(batch: BatchResult[Any], *members: str) -> dict[str, Any]:
    """Say how *batch* ended: the members of that name."""
    everything = {
        "completionReason": batch.completion_reason,
        "status": batch.status,
        "successCount": batch.success_count,
        "failureCount": batch.failure_count,
        "totalCount": batch.total_count,
    }
    return {member: everything[member] for member in members}
