"""Pause and resume, without I/O."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol.service_side import (
    CALLBACK,
    EXECUTION,
    START,
    STEP,
    SUCCEED,
    Service,
    retry,
    started_service,
    update,
    wait,
)

from durable_trio._protocol import limits, pausing, service_moves
from durable_trio._protocol.effects import StandingChanged
from durable_trio._protocol.envelope import Failed, Pending, Succeeded
from durable_trio._protocol.execution_record import ExecutionRecord
from durable_trio._protocol.execution_status import ExecutionStatus
from durable_trio._protocol.history import EventType, decode_event, encode_event, truncate
from durable_trio._protocol.invocation_rules import Crashed, lose_invocation
from durable_trio._protocol.operation import ErrorObject, OperationStatus
from durable_trio._protocol.refusals import RefusalReason, RefusedError
from durable_trio._protocol.timer_table import TimerKey, TimerKind
from durable_trio._protocol.wire import Dialect

S = ExecutionStatus
DAY = 86_400
TIMEOUT = TimerKey(TimerKind.EXECUTION_TIMEOUT)


def pause(
    service: Service, *, pauses_timeout: bool = True, reason: str | None = None, token: str | None = None
) -> None:
    """Pause now."""
    pausing.pause(
        service.record, service.now, reason=reason, pauses_timeout=pauses_timeout, client_token=token
    )
    service.advance(0)


def resume(service: Service, *, reason: str | None = None, token: str | None = None) -> None:
    """Resume now."""
    pausing.resume(service.record, service.now, reason=reason, client_token=token)
    service.advance(0)


def suspended_service() -> Service:
    """Return a service whose function waits for a minute and for a callback, and is not being called."""
    service = started_service(wait(60), update(CALLBACK, START, "callback"))
    service.end(Pending())
    return service


def standing(service: Service) -> ExecutionStatus:
    """Return how the execution stands. (A function, because a type checker takes an attribute to stay as it was.)"""
    return service.record.status


def timeout_at(record: ExecutionRecord) -> int:
    """Return when the execution times out."""
    timer = record.timers.get(TIMEOUT)
    assert timer is not None
    return timer.due_at


def test_a_suspended_execution_is_paused_at_once() -> None:
    """Without an invocation there is nothing to wait for; the history tells, and watchers are told."""
    service = suspended_service()
    pause(service, reason="maintenance")

    assert standing(service) is S.PAUSED
    event = service.events[-1]
    assert event.type is EventType.EXECUTION_PAUSED
    assert (event.details.pause_requested_at, event.details.reason) == (service.now, "maintenance")
    assert event.details.pauses_timeout is True
    assert StandingChanged(S.PAUSED) in service.effects


def test_the_running_invocation_reaches_its_next_checkpoint() -> None:
    """PAUSING until the next checkpoint, which is recorded and answered without a token; then PAUSED."""
    service = started_service(wait(60))
    pause(service)
    assert standing(service) is S.PAUSING

    token = service.token
    answer = service.checkpoint(update(STEP, START), update(STEP, SUCCEED, payload="1"), client_token="c")
    assert answer.token is None
    assert service.status() is OperationStatus.SUCCEEDED
    assert standing(service) is S.PAUSED
    with pytest.raises(RefusedError, match="Invalid checkpoint token: the execution is PAUSED"):
        service.checkpoint(token=service.token)
    assert service.checkpoint(token=token, client_token="c").token is None  # asked again, answered again

    service.end(Pending())
    resume(service)
    # It was interrupted: it goes on although nothing has completed.
    assert service.record.is_invocation_due


def test_an_empty_checkpoint_pauses_too() -> None:
    """A poll is a checkpoint like any other."""
    service = started_service(wait(60))
    pause(service)

    assert service.checkpoint().token is None
    assert standing(service) is S.PAUSED


def test_an_invocation_that_ends_lets_it_pause() -> None:
    """PENDING without another checkpoint turns PAUSING into PAUSED; nothing was interrupted then."""
    service = started_service(wait(60))
    pause(service)
    service.end(Pending())
    assert standing(service) is S.PAUSED

    resume(service)
    assert standing(service) is S.RUNNING
    assert not service.record.is_invocation_due


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(Succeeded("1"), S.SUCCEEDED), (Failed(ErrorObject("boom")), S.FAILED)],
)
def test_an_invocation_may_end_the_execution(outcome: Succeeded | Failed, status: ExecutionStatus) -> None:
    """While it is PAUSING, the invocation may still come to the end; there is nothing to pause then."""
    service = started_service()
    pause(service)
    service.end(outcome)

    assert service.record.status is status
    assert service.record.pause is None
    with pytest.raises(RefusedError):
        resume(service)


def test_a_checkpoint_that_ends_the_execution_is_not_paused() -> None:
    """An EXECUTION update closes a PAUSING execution."""
    service = started_service()
    pause(service)
    service.checkpoint(update(EXECUTION, SUCCEED, payload="1"))

    assert standing(service) is S.SUCCEEDED


def test_what_completes_meanwhile_is_made_good() -> None:
    """Timers and callbacks go on during the pause; the function is called once it is over, not before."""
    service = suspended_service()
    pause(service)
    service.advance(61)
    service_moves.succeed_callback(service.record, "callback", '"yes"', service.now)

    assert service.status("wait") is OperationStatus.SUCCEEDED
    assert service.status("callback") is OperationStatus.SUCCEEDED
    assert not service.record.is_invocation_due
    resume(service, reason="done")
    assert service.record.is_invocation_due
    assert service.events[-1].type is EventType.EXECUTION_RESUMED
    assert service.events[-1].details.reason == "done"


def test_an_invocation_that_was_due_is_owed() -> None:
    """A pause that comes before the due invocation has begun keeps it for later."""
    service = Service()
    pause(service)
    assert not service.record.is_invocation_due

    resume(service)
    assert service.record.is_invocation_due


def test_taking_a_pause_back() -> None:
    """To resume while PAUSING leaves the invocation alone: its token stays good and nothing is in the history."""
    service = started_service(wait(60))
    pause(service)
    resume(service)

    assert service.checkpoint().token is not None
    assert EventType.EXECUTION_PAUSED not in service.event_types
    assert EventType.EXECUTION_RESUMED not in service.event_types


def test_resuming_before_the_interrupted_invocation_has_ended() -> None:
    """The invocation whose token was withheld may end after the pause; only then is the function called again."""
    service = started_service(wait(60))
    pause(service)
    service.checkpoint()
    resume(service)
    assert not service.record.is_invocation_due

    service.end(Pending())
    assert service.record.is_invocation_due


def test_pausing_again_before_the_interrupted_invocation_has_ended() -> None:
    """A second pause waits for the end of the invocation, and the function is called after it."""
    service = started_service(wait(60))
    pause(service)
    service.checkpoint()
    resume(service)
    pause(service)
    assert standing(service) is S.PAUSING

    service.end(Pending())
    assert standing(service) is S.PAUSED
    resume(service)
    assert service.record.is_invocation_due


def test_a_crash_during_a_pause() -> None:
    """A failed invocation is counted and repeated, after the pause if its delay ends during it."""
    service = started_service(wait(60))
    pause(service)
    service.end(Crashed(ErrorObject("boom")))
    assert standing(service) is S.PAUSED
    assert service.record.failures_in_row == 1
    service.advance(5)
    assert not service.record.is_invocation_due

    resume(service)
    assert service.record.is_invocation_due


def test_a_host_that_dies_during_a_pause() -> None:
    """The lost invocation is owed."""
    service = started_service(wait(60))
    pause(service)
    lose_invocation(service.record, service.now)
    assert standing(service) is S.PAUSED

    resume(service)
    assert service.record.is_invocation_due


def test_the_timeout_is_extended_by_the_pause() -> None:
    """The time that the execution is PAUSED does not count, by default."""
    service = suspended_service()
    before = timeout_at(service.record)
    service.advance(100)
    pause(service)
    service.advance(10 * DAY)
    assert standing(service) is S.PAUSED
    resume(service)

    assert timeout_at(service.record) == before + 10 * DAY * 1000


def test_the_timeout_may_go_on() -> None:
    """Otherwise a paused execution times out when it would have anyway."""
    service = suspended_service()
    before = timeout_at(service.record)
    pause(service, pauses_timeout=False)
    assert timeout_at(service.record) == before
    service.advance(DAY)

    assert standing(service) is S.TIMED_OUT
    assert service.record.ended_at == before


def test_no_pause_outlasts_366_days() -> None:
    """A paused execution times out 366 days after its start at the latest."""
    service = suspended_service()
    pause(service)
    service.advance(limits.MAX_EXECUTION_TIMEOUT_SECONDS)

    assert standing(service) is S.TIMED_OUT
    assert service.record.ended_at == (
        service.record.identity.started_at + limits.MAX_EXECUTION_TIMEOUT_SECONDS * 1000
    )


def test_a_paused_execution_can_be_stopped() -> None:
    """Stop ends it; there is no way back."""
    service = suspended_service()
    pause(service)
    service_moves.stop(service.record, None, service.now)

    assert standing(service) is S.STOPPED
    for action in (pause, resume):
        with pytest.raises(RefusedError) as refusal:
            action(service)
        assert refusal.value.reason is RefusalReason.WRONG_STATUS


def test_the_wrong_status() -> None:
    """Only a RUNNING execution can be paused, only a paused one resumed; the message says how it stands."""
    service = suspended_service()
    with pytest.raises(RefusedError, match="only a paused execution can be resumed; it is RUNNING"):
        resume(service)
    pause(service)
    with pytest.raises(RefusedError, match="only a RUNNING execution can be paused; it is PAUSED"):
        pause(service)


def test_repetitions_are_recognised() -> None:
    """The same client token within 15 minutes is the same request, even if it was undone since; later it is not."""
    service = suspended_service()
    pause(service, token="one")
    pause(service, token="one")
    resume(service, token="one")
    resume(service, token="one")
    pause(service, token="one")
    assert standing(service) is S.RUNNING
    assert service.event_types.count(EventType.EXECUTION_PAUSED) == 1

    service.advance(limits.CLIENT_TOKEN_WINDOW_SECONDS + 1)
    pause(service, token="one")
    assert standing(service) is S.PAUSED
    assert list(service.record.requests) == ["pause one"]


def test_a_refused_request_is_not_remembered() -> None:
    """What was refused is tried afresh with the same token."""
    service = suspended_service()
    with pytest.raises(RefusedError):
        resume(service, token="one")
    pause(service)
    resume(service, token="one")

    assert standing(service) is S.RUNNING


@pytest.mark.parametrize(
    ("reason", "token", "message"),
    [
        ("x" * 1025, None, "Reason must be at most 1024 characters, not 1025"),
        (None, "a b", "ClientToken must"),
    ],
)
def test_malformed_requests(reason: str | None, token: str | None, message: str) -> None:
    """What is too long or malformed is refused by name, and nothing is changed."""
    service = suspended_service()
    with pytest.raises(RefusedError, match=message):
        pause(service, reason=reason, token=token)
    assert standing(service) is S.RUNNING


def test_the_events_on_the_wire() -> None:
    """The members are the service model's; without data, the reason is truncated."""
    service = suspended_service()
    pause(service, reason="why", pauses_timeout=False)
    resume(service)
    paused, resumed = service.events[-2:]
    at = service.now / 1000

    wire = encode_event(paused, Dialect.API)
    assert wire["ExecutionPausedDetails"] == {
        "PauseRequestTimestamp": at,
        "Reason": {"Payload": "why", "Truncated": False},
        "ExecutionTimeoutPaused": False,
    }
    assert encode_event(resumed, Dialect.API)["ExecutionResumedDetails"] == {"ResumeRequestTimestamp": at}
    truncated = encode_event(truncate(paused), Dialect.API)["ExecutionPausedDetails"]
    assert truncated["Reason"] == {"Truncated": True}
    assert decode_event(encode_event(paused, Dialect.EVENT), Dialect.EVENT) == paused


@given(
    actions=st.lists(st.sampled_from(["pause", "resume", "advance", "checkpoint", "end", "begin", "retry"]))
)
def test_no_call_is_lost_and_none_is_made_in_a_pause(actions: list[str]) -> None:
    """Whatever is done in whatever order: no invocation is due while paused, and after the pause nothing is owed."""
    service = started_service(wait(60), update(STEP, START))
    for action in actions:
        record = service.record
        match action:
            case "pause" if record.status is S.RUNNING:
                pause(service)
            case "resume" if record.pause is not None:
                resume(service)
            case "advance":
                service.advance(61)
            case "checkpoint" | "retry" if record.active is not None and not record.active.is_withheld:
                updates = [retry()] if action == "retry" and service.status() == "STARTED" else []
                answer = service.checkpoint(*updates)
                assert (answer.token is None) == (standing(service) is S.PAUSED)
            case "end" if record.active is not None:
                service.end(Pending())
            case "begin" if record.is_invocation_due:
                service.begin()
            case _:
                pass
        assert not (service.record.pause is not None and service.record.is_invocation_due)
        assert (service.record.status in (S.PAUSED, S.PAUSING)) == (service.record.pause is not None)
        if standing(service) is S.PAUSING:
            assert service.record.active is not None
    if service.record.pause is not None:
        resume(service)
    record = service.record
    if not record.status.is_closed and record.active is None and not record.is_invocation_due:
        # Nothing unseen may be left without a call that will show it.
        assert record.unseen() == [] or TimerKey(TimerKind.INVOCATION_DUE) in record.timers
