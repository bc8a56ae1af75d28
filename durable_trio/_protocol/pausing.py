"""Pausing an execution, and letting it go on.

While an execution is paused its function is not called, but what it waits for goes on: timers end, callbacks are
answered, chained invokes complete. Whatever would have called the function in the meantime is remembered as *owed*
and made good when the execution is resumed.

An invocation that is in flight when the pause is asked for is not cut off. The execution is PAUSING until that
invocation reaches its next checkpoint, which is recorded and answered without a token: the invocation may not record
anything more, has to answer PENDING, and is repeated after the pause. If it ends without a checkpoint, that does as
well. To resume an execution that is still PAUSING takes the request back, and nobody notices.

The execution's time-out may be paused too, which is the default: it is then extended by the time spent PAUSED, but never
beyond 366 days after the start.

Source: the service model's documentation of PauseDurableExecution and ResumeDurableExecution.
"""

from __future__ import annotations

from typing import Final

from durable_trio._protocol import limits
from durable_trio._protocol.effects import StandingChanged
from durable_trio._protocol.execution_record import ExecutionRecord, Pause
from durable_trio._protocol.execution_status import ExecutionStatus
from durable_trio._protocol.history import EventDetails, EventType
from durable_trio._protocol.refusals import RefusalReason, RefusedError
from durable_trio._protocol.timer_table import TimerKey, TimerKind
from durable_trio._protocol.value_class import replace

_TIMEOUT: Final = TimerKey(TimerKind.EXECUTION_TIMEOUT)
_WINDOW_MS: Final = limits.CLIENT_TOKEN_WINDOW_SECONDS * 1000


def pause(
    record: ExecutionRecord,
    now: int,
    *,
    reason: str | None,
    pauses_timeout: bool,
    client_token: str | None,
) -> None:
    """Pause an execution at *now* (epoch milliseconds), or once its invocation lets it.

    A repetition of the request, by its client token, changes nothing.

    Raises:
        RefusedError: the execution is not RUNNING, or *reason* or *client_token* is malformed.
    """
    _check(reason, client_token)
    if _was_made(record, "pause", client_token, now):
        return
    if record.status is not ExecutionStatus.RUNNING:
        raise RefusedError(
            f"only a RUNNING execution can be paused; it is {record.status}", RefusalReason.WRONG_STATUS
        )
    _remember(record, "pause", client_token, now)
    record.pause = Pause(requested_at=now, reason=reason, pauses_timeout=pauses_timeout)
    record.status = ExecutionStatus.PAUSING
    if record.is_invocation_due:
        record.is_invocation_due = False
        record.wake()
    if record.active is None:
        enter_pause(record, now)
    else:
        record.tell(StandingChanged(record.status))


def enter_pause(record: ExecutionRecord, now: int) -> None:
    """Turn PAUSING into PAUSED: nothing of the execution runs any more, or may record anything."""
    assert record.pause is not None and record.status is ExecutionStatus.PAUSING  # noqa: S101, PT018
    record.status = ExecutionStatus.PAUSED
    details = EventDetails(
        pause_requested_at=record.pause.requested_at,
        reason=record.pause.reason,
        pauses_timeout=record.pause.pauses_timeout,
    )
    record.log(EventType.EXECUTION_PAUSED, now, record.execution_operation, details)
    record.tell(StandingChanged(record.status))
    timer = record.timers.get(_TIMEOUT)
    if record.pause.pauses_timeout and timer is not None:
        record.pause = replace(record.pause, timeout_left=timer.due_at - now)
        record.set_timer(_TIMEOUT.kind, _latest_end(record), timer.period_seconds)


def resume(record: ExecutionRecord, now: int, *, reason: str | None, client_token: str | None) -> None:
    """Let a paused execution go on at *now*; its function is called if a call is owed.

    A repetition of the request, by its client token, changes nothing.

    Raises:
        RefusedError: the execution is neither PAUSED nor PAUSING, or *reason* or *client_token* is malformed.
    """
    _check(reason, client_token)
    if _was_made(record, "resume", client_token, now):
        return
    if record.pause is None:
        raise RefusedError(
            f"only a paused execution can be resumed; it is {record.status}", RefusalReason.WRONG_STATUS
        )
    _remember(record, "resume", client_token, now)
    ended, was_paused = record.pause, record.status is ExecutionStatus.PAUSED
    record.pause = None
    record.status = ExecutionStatus.RUNNING
    record.tell(StandingChanged(record.status))
    if was_paused:
        details = EventDetails(resume_requested_at=now, reason=reason)
        record.log(EventType.EXECUTION_RESUMED, now, record.execution_operation, details)
        timer = record.timers.get(_TIMEOUT)
        if ended.timeout_left is not None and timer is not None:
            due_at = min(now + ended.timeout_left, _latest_end(record))
            record.set_timer(_TIMEOUT.kind, due_at, timer.period_seconds)
    if ended.is_call_owed:
        record.wake()


def _check(reason: str | None, client_token: str | None) -> None:
    if reason is not None and len(reason) > limits.MAX_PAUSE_REASON_LENGTH:
        raise RefusedError(
            f"Reason must be at most {limits.MAX_PAUSE_REASON_LENGTH} characters, not {len(reason)}"
        )
    if client_token is not None and limits.CLIENT_TOKEN.fullmatch(client_token) is None:
        raise RefusedError(f"ClientToken must be 1 to 64 printable ASCII characters, not {client_token!r}")


def _latest_end(record: ExecutionRecord) -> int:
    return record.identity.started_at + limits.MAX_EXECUTION_TIMEOUT_SECONDS * 1000


def _was_made(record: ExecutionRecord, request: str, client_token: str | None, now: int) -> bool:
    """Tell whether this request was made, and accepted, a short while ago."""
    at = record.requests.get(f"{request} {client_token}")
    return at is not None and client_token is not None and now - at <= _WINDOW_MS


def _remember(record: ExecutionRecord, request: str, client_token: str | None, now: int) -> None:
    if client_token is not None:
        recent = {key: at for key, at in record.requests.items() if now - at <= _WINDOW_MS}
        record.requests = {**recent, f"{request} {client_token}": now}
