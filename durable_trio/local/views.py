"""What the local service tells about executions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from durable_trio._protocol.execution_record import (
        ExecutionRecord,
    )
    from durable_trio._protocol.execution_status import (
        ExecutionStatus,
    )
    from durable_trio._protocol.operation import ErrorObject

__all__ = ["ExecutionDescription", "ExecutionSummary", "Page"]

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Page(Generic[T_co]):
    """One page of a listing; ``next_marker`` is empty on the last one."""

    items: tuple[T_co, ...]
    next_marker: str = ""


@dataclass(frozen=True, slots=True)
class ExecutionSummary:
    """An execution in a list. Instants are epoch milliseconds; ``ended_at`` is None while it goes on."""

    arn: str
    name: str
    function_name: str
    status: ExecutionStatus
    started_at: int
    ended_at: int | None


@dataclass(frozen=True, slots=True)
class ExecutionDescription(ExecutionSummary):
    """Everything about an execution except its operations and its history.

    Attributes:
        input_payload: the text it was started with.
        result: the text of its result, once it has SUCCEEDED.
        error: why it FAILED, TIMED_OUT or was STOPPED.
        execution_timeout_seconds: how long it may take in all.
        retention_days: how many days it is to be kept after its end.
        invocation_count: how often its function has been called so far.
        is_invoked: whether its function is being called right now.
        next_timer_at: when its earliest timer ends (epoch milliseconds), if one runs.
    """

    input_payload: str
    result: str | None
    error: ErrorObject | None
    execution_timeout_seconds: int
    retention_days: int
    invocation_count: int
    is_invoked: bool
    next_timer_at: int | None


def summarize(record: ExecutionRecord) -> ExecutionSummary:
    """Return the summary of an execution."""
    arn = record.identity.arn
    return ExecutionSummary(
        arn=str(arn),
        name=arn.name,
        function_name=arn.function_name,
        status=record.status,
        started_at=record.identity.started_at,
        ended_at=record.ended_at,
    )


def describe(record: ExecutionRecord, input_payload: str) -> ExecutionDescription:
    """Return the description of an execution; only the record's own standing and timers are looked at."""
    arn = record.identity.arn
    timer = record.timers.next_due()
    return ExecutionDescription(
        arn=str(arn),
        name=arn.name,
        function_name=arn.function_name,
        status=record.status,
        started_at=record.identity.started_at,
        ended_at=record.ended_at,
        input_payload=input_payload,
        result=record.result,
        error=record.error,
        execution_timeout_seconds=record.identity.execution_timeout_seconds,
        retention_days=record.identity.retention_days,
        invocation_count=record.invocation_count,
        is_invoked=record.active is not None,
        next_timer_at=timer.due_at if timer else None,
    )
