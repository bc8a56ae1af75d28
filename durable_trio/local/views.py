"""What the local service tells about executions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from durable_trio._protocol.timer_table import TimerKey, TimerKind

if TYPE_CHECKING:
    from durable_trio._protocol.execution_record import (
        ExecutionRecord,
    )
    from durable_trio._protocol.execution_status import (
        ExecutionStatus,
    )
    from durable_trio._protocol.operation import ErrorObject

__all__ = ["ExecutionDescription", "ExecutionSummary", "Page", "PauseDetails"]

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
    function_arn: str
    """With the version."""
    version: str
    status: ExecutionStatus
    started_at: int
    ended_at: int | None


@dataclass(frozen=True, slots=True)
class PauseDetails:
    """That an execution is paused, or is to be.

    Attributes:
        requested_at: when that was asked for (epoch milliseconds).
        reason: why, if it was said.
        is_timeout_paused: whether its time-out is extended by the pause.
    """

    requested_at: int
    reason: str | None
    is_timeout_paused: bool


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
        tenant_id: on whose behalf it was started, if the caller said so.
        pause: that it is paused, or is to be.
        expected_timeout_at: when it will time out, as things stand (epoch milliseconds); None once it has ended.
        operation_count: how many operations it has so far, the EXECUTION not counted.
    """

    input_payload: str
    result: str | None
    error: ErrorObject | None
    execution_timeout_seconds: int
    retention_days: int
    invocation_count: int
    is_invoked: bool
    next_timer_at: int | None
    tenant_id: str | None
    pause: PauseDetails | None
    expected_timeout_at: int | None
    operation_count: int


def summarize(record: ExecutionRecord) -> ExecutionSummary:
    """Return the summary of an execution."""
    arn = record.identity.arn
    return ExecutionSummary(
        arn=str(arn),
        name=arn.name,
        function_name=arn.function_name,
        function_arn=f"{arn.function_arn}:{arn.version}",
        version=arn.version,
        status=record.status,
        started_at=record.identity.started_at,
        ended_at=record.ended_at,
    )


def describe(record: ExecutionRecord, input_payload: str, operation_count: int) -> ExecutionDescription:
    """Return the description of an execution; only the record's own standing and timers are looked at."""
    arn = record.identity.arn
    timer = record.timers.next_due()
    timeout = record.timers.get(TimerKey(TimerKind.EXECUTION_TIMEOUT))
    return ExecutionDescription(
        arn=str(arn),
        name=arn.name,
        function_name=arn.function_name,
        function_arn=f"{arn.function_arn}:{arn.version}",
        version=arn.version,
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
        tenant_id=record.identity.tenant_id,
        pause=_pause(record),
        expected_timeout_at=timeout.due_at if timeout else None,
        operation_count=operation_count,
    )


def _pause(record: ExecutionRecord) -> PauseDetails | None:
    pause = record.pause
    return None if pause is None else PauseDetails(pause.requested_at, pause.reason, pause.pauses_timeout)
