"""When an execution is invoked, what an invocation is shown, and what its outcome means."""

import pytest
from protocol.service_side import (
    CALLBACK,
    CONTEXT,
    ERROR,
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

from durable_trio._protocol import service_moves
from durable_trio._protocol.effects import ExecutionClosed, InvocationEnded, InvocationStarted
from durable_trio._protocol.envelope import Failed, Pending, Succeeded
from durable_trio._protocol.execution_status import ExecutionStatus
from durable_trio._protocol.history import EventType
from durable_trio._protocol.invocation_rules import (
    HOST_DIED,
    NOTHING_PENDING,
    Crashed,
    InvalidAnswer,
    InvocationOutcome,
    RetryPolicy,
    end_invocation,
    lose_invocation,
)
from durable_trio._protocol.operation import ErrorObject, OperationStatus

E = EventType


# --- the first and later invocations ---------------------------------------------------------------------


def test_first_invocation() -> None:
    """The first invocation is shown the EXECUTION operation, and nothing has been updated."""
    service = Service()

    invocation = service.begin()

    assert [operation.id for operation in invocation.operations] == [service.record.id]
    assert invocation.durable_execution_arn == str(service.record.identity.arn)
    assert invocation.checkpoint_token == service.token
    assert invocation.updated_operation_ids == frozenset()
    assert not service.record.is_invocation_due


def test_a_timer_wakes_a_suspended_execution() -> None:
    """What ends while no invocation is active causes one, which is told what was updated."""
    service = started_service(wait(60), wait(90, "later"))
    service.end(Pending())
    assert not service.record.is_invocation_due

    service.advance(60)
    assert service.record.is_invocation_due

    invocation = service.begin()
    assert invocation.updated_operation_ids == {"wait"}
    assert {operation.id: operation.status for operation in invocation.operations}["later"] == "STARTED"


def test_a_ready_step_wakes_a_suspended_execution() -> None:
    """The end of a retry delay is a reason to invoke, and READY is an update."""
    service = started_service(update(STEP, START), retry(delay=5))
    service.end(Pending())

    service.advance(5)

    assert service.begin().updated_operation_ids == {"op"}


def test_what_was_shown_by_a_checkpoint_is_not_updated() -> None:
    """UpdatedOperationIds holds what no checkpoint of the previous invocation has shown, and no more."""
    service = started_service(wait(1, "first"), wait(2, "second"), wait(99, "third"))
    service.advance(1)
    service.checkpoint()
    service.advance(1)
    service.end(Pending())

    assert service.begin().updated_operation_ids == {"second"}


def test_a_completion_during_an_invocation_does_not_start_another() -> None:
    """While an invocation is active, its next checkpoint shows the change."""
    service = started_service(wait(5))

    service.advance(5)

    assert not service.record.is_invocation_due
    assert service.checkpoint().operations[0].status is OperationStatus.SUCCEEDED


def test_no_wake_up_is_lost() -> None:
    """An invocation that answers PENDING without having seen a change is followed by another at once."""
    service = started_service(wait(5))
    service.advance(5)

    service.end(Pending())

    assert service.record.is_invocation_due
    assert service.begin().updated_operation_ids == {"wait"}


def test_pending_after_seeing_everything_is_left_alone() -> None:
    """A PENDING that has seen all changes waits for the next one."""
    service = started_service(wait(5), wait(50, "later"))
    service.advance(5)
    service.checkpoint()

    service.end(Pending())

    assert not service.record.is_invocation_due


# --- PENDING ---------------------------------------------------------------------------------------------


def test_pending_with_nothing_pending_gets_three_tries() -> None:
    """Nothing would ever wake it: tried again after a delay, and FAILED at the third time in a row."""
    service = Service()
    for _ in range(2):
        service.begin()
        service.end(Pending())
        assert not service.record.is_invocation_due
        service.advance(60)
        assert service.record.is_invocation_due
    service.begin()
    service.end(Pending())

    assert service.record.status is ExecutionStatus.FAILED
    assert service.record.error == NOTHING_PENDING
    assert service.event_types[1:] == [E.INVOCATION_COMPLETED] * 3 + [E.EXECUTION_FAILED]


def test_a_valid_pending_starts_the_count_over() -> None:
    """Only invalid PENDING answers in a row count."""
    service = Service()
    for number in range(4):
        service.begin()
        service.end(Pending())
        service.advance(60)
        service.begin()
        service.checkpoint(wait(1, f"wait-{number}"))
        service.end(Pending())
        service.advance(1)

    assert service.record.status is ExecutionStatus.RUNNING


def test_open_callback_is_pending() -> None:
    """A callback without time-outs is something to wait for."""
    service = started_service(update(CALLBACK, START, "cb"))

    service.end(Pending())

    assert service.record.status is ExecutionStatus.RUNNING
    assert len(service.record.timers) == 1  # the execution's own


def test_a_started_step_or_context_is_not_pending() -> None:
    """What only the function itself can finish will wake nobody."""
    service = started_service(update(STEP, START), update(CONTEXT, START, "ctx"))

    service.end(Pending())

    assert service.record.invalid_pendings_in_row == 1


def test_a_ready_step_after_progress_is_invoked_at_once() -> None:
    """A function that ran out of time before a step that is ready goes on in the next invocation."""
    service = started_service(update(STEP, START), retry(delay=1))
    service.advance(1)
    service.checkpoint(update(STEP, SUCCEED, "other"))

    service.end(Pending())

    assert service.record.is_invocation_due


def test_a_ready_step_that_lost_does_not_wake_for_ever() -> None:
    """Beside something that is pending, a READY step that was shown is no reason to invoke again.

    It may belong to a branch that lost, and then nobody will ever start it.
    """
    service = started_service(update(STEP, START), retry(delay=5), wait(60))
    service.end(Pending())
    service.advance(5)
    service.begin()

    service.end(Pending())
    assert not service.record.is_invocation_due

    service.advance(55)
    assert service.record.is_invocation_due


def test_a_ready_step_without_progress_is_no_reason() -> None:
    """A function that does nothing about a step that is ready must not be called for ever."""
    service = started_service(update(STEP, START), retry(delay=1))
    service.end(Pending())
    service.advance(1)

    service.begin()
    service.end(Pending())

    assert not service.record.is_invocation_due
    assert service.record.invalid_pendings_in_row == 1


# --- the end ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "status", "result", "error", "event"),
    [
        (Succeeded('"r"'), ExecutionStatus.SUCCEEDED, '"r"', None, E.EXECUTION_SUCCEEDED),
        (Failed(ERROR), ExecutionStatus.FAILED, None, ERROR, E.EXECUTION_FAILED),
        (Failed(None), ExecutionStatus.FAILED, None, None, E.EXECUTION_FAILED),
    ],
)
def test_an_answer_closes_the_execution(
    outcome: InvocationOutcome,
    status: ExecutionStatus,
    result: str | None,
    error: ErrorObject | None,
    event: EventType,
) -> None:
    """SUCCEEDED and FAILED close the execution; open operations and timers do not hold it up."""
    service = started_service(wait(60))

    service.end(outcome)

    record = service.record
    assert (record.status, record.result, record.error) == (status, result, error)
    assert service.event_types[-2:] == [E.INVOCATION_COMPLETED, event]
    assert ExecutionClosed(status) in service.effects
    assert len(record.timers) == 0
    assert not record.is_invocation_due


def test_an_answer_that_is_none_fails_the_execution_at_once() -> None:
    """There is no point in asking again."""
    service = started_service()

    service.end(InvalidAnswer("Status must be SUCCEEDED, FAILED or PENDING, not 'DONE'"))

    assert service.record.status is ExecutionStatus.FAILED
    assert service.record.error is not None
    assert "not 'DONE'" in (service.record.error.message or "")


def test_answers_after_the_end_change_nothing() -> None:
    """An execution that its own update, a stop or a time-out has closed stays as it is."""
    service = started_service(update(EXECUTION, SUCCEED, payload='"big"'))

    service.end(Failed(ERROR))

    assert (service.record.status, service.record.result) == (ExecutionStatus.SUCCEEDED, '"big"')
    assert service.event_types.count(E.EXECUTION_FAILED) == 0


# --- failed invocations ----------------------------------------------------------------------------------


def test_failed_invocations_are_retried_with_growing_delays() -> None:
    """Each failure in a row doubles the delay; when the budget is spent the execution FAILS with the last error."""
    service = Service(policy=RetryPolicy(max_failures=4, max_delay_seconds=3))
    delays = []
    for _ in range(3):
        service.begin()
        service.end(Crashed(ERROR))
        timer = service.record.timers.next_due()
        assert timer is not None
        delays.append((timer.due_at - service.now) / 1000)
        service.advance(delays[-1])
    service.begin()
    service.end(Crashed(ERROR))

    assert delays == [1, 2, 3]
    assert service.record.status is ExecutionStatus.FAILED
    assert service.record.error == ERROR
    assert service.events[1].details.error == ERROR


def test_delays_are_spread() -> None:
    """A delay lies in the upper half of what the schedule says, so that crowds disperse."""
    policy = RetryPolicy()

    assert [policy.delay_seconds(3, spread) for spread in (0.0, 0.5, 1.0)] == [2, 3, 4]


def test_success_starts_the_count_of_failures_over() -> None:
    """Only failures in a row count."""
    service = Service(policy=RetryPolicy(max_failures=2))
    for number in range(3):
        service.begin()
        service.end(Crashed(ERROR))
        service.advance(60)
        service.begin()
        service.checkpoint(wait(1, f"wait-{number}"))
        service.end(Pending())
        service.advance(1)

    assert service.record.status is ExecutionStatus.RUNNING


def test_what_a_failed_invocation_recorded_stays() -> None:
    """Nothing that was checkpointed is lost with the invocation."""
    service = started_service(update(STEP, SUCCEED, payload="1"))
    service.end(Crashed(ERROR))
    service.advance(1)

    invocation = service.begin()

    assert [operation.id for operation in invocation.operations] == [service.record.id, "op"]


def test_a_completion_does_not_cut_a_backoff_short() -> None:
    """While a failed invocation backs off, changes wait for its retry."""
    service = started_service(wait(1))
    for _ in range(3):
        service.end(Crashed(ERROR))
        timer = service.record.timers.next_due()
        assert timer is not None
        service.advance(60)
        service.begin()
    service.end(Crashed(ERROR))
    service_moves.fire_due(service.record, service.now)

    assert not service.record.is_invocation_due


# --- interrupted invocations -----------------------------------------------------------------------------


def test_a_lost_invocation_is_not_counted() -> None:
    """An invocation whose host died is followed by another at once, with a new token and no failure counted."""
    service = started_service(update(STEP, START))
    token = service.token

    lose_invocation(service.record, service.now)
    service._note()

    assert service.record.is_invocation_due
    assert service.record.failures_in_row == 0
    assert service.events[-1].type is E.INVOCATION_COMPLETED
    assert service.events[-1].details.error == HOST_DIED
    assert service.begin().checkpoint_token != token


def test_a_suspended_execution_has_no_invocation_to_lose() -> None:
    """Taking over an execution that waits does not wake it."""
    service = started_service(wait(60))
    service.end(Pending())

    lose_invocation(service.record, service.now)

    assert not service.record.is_invocation_due


def test_the_outcome_of_a_superseded_invocation_is_ignored() -> None:
    """A host that was taken for dead, and ends its invocation after all, changes nothing."""
    service = started_service(update(STEP, START))
    lose_invocation(service.record, service.now)
    service.begin()

    end_invocation(service.record, "request-1", Failed(ERROR), service.now, service.policy, 0.5)

    assert service.record.status is ExecutionStatus.RUNNING
    assert service.record.active is not None


def test_invocations_are_told() -> None:
    """Those who watch are told of each invocation's start and end."""
    service = Service()
    service.begin()
    service.end(Crashed(ERROR))

    assert service.effects[-2:] == [
        InvocationStarted("request-1", 1),
        InvocationEnded("request-1", 1, ERROR),
    ]
