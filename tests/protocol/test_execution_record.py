"""The life of an execution on the service side, operation by operation, with the history it leaves."""

import copy

import pytest
from protocol.service_side import (
    CALLBACK,
    CANCEL,
    CHAINED_INVOKE,
    CONTEXT,
    ERROR,
    EXECUTION,
    FAIL,
    START,
    STEP,
    SUCCEED,
    WAIT,
    Service,
    arn_of,
    retry,
    started_service,
    update,
    wait,
)

from durable_trio._protocol import service_moves
from durable_trio._protocol.checkpointing import MAX_REMEMBERED_ANSWERS
from durable_trio._protocol.effects import ChainedInvokeStarted, ExecutionClosed
from durable_trio._protocol.envelope import Pending, Succeeded
from durable_trio._protocol.execution_status import ExecutionStatus
from durable_trio._protocol.history import EventType
from durable_trio._protocol.opaque import callback_target
from durable_trio._protocol.operation import (
    CallbackDetails,
    CallbackOptions,
    ChainedInvokeDetails,
    ChainedInvokeOptions,
    ContextDetails,
    ContextOptions,
    ErrorObject,
    ExecutionDetails,
    OperationStatus,
    StepDetails,
    WaitDetails,
)
from durable_trio._protocol.refusals import RefusalReason, RefusedError

E = EventType


def test_a_new_execution_has_one_operation_and_an_invocation_that_is_due() -> None:
    """An execution starts with its EXECUTION operation, which holds the input, and is to be invoked."""
    service = Service()

    operation = service.record.execution_operation
    assert len(service.record) == 1
    assert (operation.id, operation.status) == (service.record.id, OperationStatus.STARTED)
    assert operation.details == ExecutionDetails('{"a": 1}')
    assert service.record.is_invocation_due
    assert service.event_types == [E.EXECUTION_STARTED]


def test_step_that_succeeds() -> None:
    """START and SUCCEED of a step may share a request; the attempt counts once it is finished."""
    service = started_service()

    service.checkpoint(update(STEP, START), update(STEP, SUCCEED, payload="1"))

    assert service.status() is OperationStatus.SUCCEEDED
    assert service.operation().details == StepDetails(attempt=1, result="1")
    assert service.event_types == [E.EXECUTION_STARTED, E.STEP_STARTED, E.STEP_SUCCEEDED]
    assert service.events[-1].details.attempt == 1


def test_step_that_is_retried() -> None:
    """RETRY: PENDING with a due time, READY when it has come, STARTED by another START, then the second attempt."""
    service = started_service(update(STEP, START))
    assert service.operation().details == StepDetails(attempt=0)

    service.checkpoint(retry(delay=5))
    assert service.status() is OperationStatus.PENDING
    assert service.operation().details == StepDetails(1, service.now + 5000, None, ERROR)

    service.advance(5)
    assert service.status() is OperationStatus.READY
    assert service.operation().details == StepDetails(1, None, None, ERROR)

    service.checkpoint(update(STEP, START), update(STEP, SUCCEED, payload="2"))
    assert service.operation().details == StepDetails(attempt=2, result="2")
    assert service.event_types[1:] == [E.STEP_STARTED, E.STEP_FAILED, E.STEP_STARTED, E.STEP_SUCCEEDED]
    assert [event.details.attempt for event in service.events[1:]] == [None, 1, None, 2]
    assert [event.details.next_attempt_delay_seconds for event in service.events[1:]] == [None, 5, None, None]


def test_poll_keeps_its_state() -> None:
    """A RETRY with a payload is a successful poll; its state stays visible, also while the next poll runs."""
    service = started_service(update(STEP, START))

    service.checkpoint(retry(delay=1, payload="state-1"))
    service.advance(1)
    service.checkpoint(update(STEP, START))

    assert service.status() is OperationStatus.STARTED
    assert service.operation().details == StepDetails(attempt=1, result="state-1")
    assert service.event_types[1:] == [E.STEP_STARTED, E.STEP_SUCCEEDED, E.STEP_STARTED]
    assert service.events[2].details.next_attempt_delay_seconds == 1


def test_step_closed_without_a_start() -> None:
    """A step may be closed by its first update; the history then has its end only."""
    service = started_service()

    service.checkpoint(update(STEP, FAIL, error=ERROR))

    assert service.status() is OperationStatus.FAILED
    assert service.operation().details == StepDetails(attempt=1, error=ERROR)
    assert service.event_types[1:] == [E.STEP_FAILED]


def test_context() -> None:
    """A context keeps its result and whether its children are to be replayed; children may come late."""
    service = started_service(update(CONTEXT, START, "ctx", name="child"))

    service.checkpoint(
        update(STEP, START, "inner", parent="ctx"),
        update(CONTEXT, SUCCEED, "ctx", payload="big", options=ContextOptions(replay_children=True)),
        update(STEP, SUCCEED, "inner", payload="1"),
    )

    assert service.operation("ctx").details == ContextDetails("big", None, replay_children=True)
    assert service.operation("ctx").name == "child"
    assert service.operation("inner").parent_id == "ctx"
    assert service.event_types[1:] == [
        E.CONTEXT_STARTED,
        E.STEP_STARTED,
        E.CONTEXT_SUCCEEDED,
        E.STEP_SUCCEEDED,
    ]


def test_wait_ends_at_its_time_however_late_the_service_looks() -> None:
    """A wait that is found over ended at its scheduled time, not at the time of the look."""
    service = started_service(wait(60))
    due_at = service.now + 60_000
    assert service.operation("wait").details == WaitDetails(due_at)

    service.advance(59.999)
    assert service.status("wait") is OperationStatus.STARTED
    service.advance(3600)

    assert service.status("wait") is OperationStatus.SUCCEEDED
    assert service.operation("wait").ended_at == due_at
    assert service.events[-1].type is E.WAIT_SUCCEEDED
    assert service.events[-1].at == due_at
    assert service.events[-1].details.duration_seconds == 60


def test_wait_that_is_cancelled_has_no_timer_left() -> None:
    """CANCEL ends a started wait, and nothing happens at its time."""
    service = started_service(wait(60))

    service.checkpoint(update(WAIT, CANCEL, "wait"))
    service.advance(120)

    assert service.status("wait") is OperationStatus.CANCELLED
    assert service.event_types[1:] == [E.WAIT_STARTED, E.WAIT_CANCELLED]


def test_callback_succeeds() -> None:
    """START makes the callback's id; the outside world's result completes it and clears its timers."""
    service = started_service(update(CALLBACK, START, "cb", options=CallbackOptions(300, 30)))
    details = service.operation("cb").details
    assert isinstance(details, CallbackDetails)
    assert details.callback_id is not None
    assert callback_target(details.callback_id) == (service.record.id, "cb")

    service_moves.succeed_callback(service.record, "cb", '"yes"', service.now)
    service.advance(1000)

    assert service.operation("cb").details == CallbackDetails(details.callback_id, '"yes"', None)
    assert service.event_types[1:] == [E.CALLBACK_STARTED, E.CALLBACK_SUCCEEDED]
    started = service.events[1].details
    assert (started.timeout_seconds, started.heartbeat_timeout_seconds) == (300, 30)


def test_callback_times_out_in_all() -> None:
    """Heartbeats put off the heartbeat time-out, never the total one."""
    service = started_service(update(CALLBACK, START, "cb", options=CallbackOptions(60, 25)))

    for _ in range(2):
        service.advance(20)
        service_moves.beat_callback(service.record, "cb", service.now)
    assert service.status("cb") is OperationStatus.STARTED
    service.advance(20)

    details = service.operation("cb").details
    assert isinstance(details, CallbackDetails)
    assert details.error is not None
    assert details.error.type == "Callback.Timeout"
    assert service.events[-1].type is E.CALLBACK_TIMED_OUT


def test_callback_times_out_for_want_of_a_heartbeat() -> None:
    """Without a heartbeat in time the callback is TIMED_OUT, with a type of its own."""
    service = started_service(update(CALLBACK, START, "cb", options=CallbackOptions(0, 25)))

    service.advance(25)

    details = service.operation("cb").details
    assert isinstance(details, CallbackDetails)
    assert details.error is not None
    assert details.error.type == "Callback.Heartbeat"
    assert service.status("cb") is OperationStatus.TIMED_OUT


def test_a_closed_callback_takes_no_second_answer() -> None:
    """Who answers a callback late, or twice, is told so, and nothing changes."""
    service = started_service(update(CALLBACK, START, "cb"))
    service_moves.fail_callback(service.record, "cb", ERROR, service.now)
    before = copy.deepcopy(service.record)

    with pytest.raises(RefusedError, match="already FAILED") as refusal:
        service_moves.succeed_callback(service.record, "cb", None, service.now)

    assert refusal.value.reason is RefusalReason.CALLBACK_CLOSED
    assert service.record == before


def test_only_a_callback_can_be_answered() -> None:
    """An id that names another operation, or none, is unknown."""
    service = started_service(update(STEP, START))

    for id_ in ("op", "nothing"):
        with pytest.raises(RefusedError) as refusal:
            service_moves.succeed_callback(service.record, id_, None, service.now)
        assert refusal.value.reason is RefusalReason.UNKNOWN_CALLBACK


def test_chained_invoke() -> None:
    """START asks the service to start the other execution, whose end completes the operation."""
    options = ChainedInvokeOptions("other", tenant_id="t")
    service = started_service(functions=("other",))
    service.checkpoint(update(CHAINED_INVOKE, START, "inv", payload='"in"', options=options))
    child = arn_of("child", "other", "exec-2")

    assert ChainedInvokeStarted("inv", child, '"in"', "t") in service.effects
    started = service.events[-1].details
    assert (started.function_name, started.tenant_id, started.input) == ("other", "t", '"in"')
    assert (started.executed_version, started.durable_execution_arn) == ("$LATEST", str(child))

    service_moves.end_chained_invoke(
        service.record, "inv", ExecutionStatus.SUCCEEDED, '"out"', None, service.now
    )
    assert service.operation("inv").details == ChainedInvokeDetails('"out"', None)


@pytest.mark.parametrize(
    ("status", "error", "ends", "recorded"),
    [
        (ExecutionStatus.FAILED, ERROR, OperationStatus.FAILED, ERROR),
        (ExecutionStatus.STOPPED, None, OperationStatus.STOPPED, None),
        (
            ExecutionStatus.TIMED_OUT,
            ErrorObject("too slow", "Execution.Timeout"),
            OperationStatus.TIMED_OUT,
            ErrorObject("too slow", "ChainedInvoke.Timeout"),
        ),
    ],
)
def test_chained_invoke_that_does_not_succeed(
    status: ExecutionStatus, error: ErrorObject | None, ends: OperationStatus, recorded: ErrorObject | None
) -> None:
    """A chained invoke ends as its execution did, a time-out with a type of its own."""
    service = started_service(functions=("other",))
    service.checkpoint(update(CHAINED_INVOKE, START, "inv", options=ChainedInvokeOptions("other")))

    service_moves.end_chained_invoke(service.record, "inv", status, None, error, service.now)

    assert service.status("inv") is ends
    assert service.operation("inv").details == ChainedInvokeDetails(None, recorded)


def test_chained_invoke_of_an_unknown_function() -> None:
    """It has failed already in the answer to its START."""
    service = started_service()

    answer = service.checkpoint(update(CHAINED_INVOKE, START, "inv", options=ChainedInvokeOptions("nobody")))

    (operation,) = answer.operations
    assert operation.status is OperationStatus.FAILED
    assert isinstance(operation.details, ChainedInvokeDetails)
    assert operation.details.error is not None
    assert operation.details.error.type == "ResourceNotFoundException"
    assert service.event_types[1:] == [E.CHAINED_INVOKE_STARTED, E.CHAINED_INVOKE_FAILED]


def test_execution_update_closes_the_execution() -> None:
    """An EXECUTION update, under any id, closes the execution; the answer has no token."""
    service = started_service()

    answer = service.checkpoint(
        update(STEP, SUCCEED), update(EXECUTION, SUCCEED, "execution-result-1", payload='"big"')
    )

    assert answer.token is None
    assert (service.record.status, service.record.result) == (ExecutionStatus.SUCCEEDED, '"big"')
    assert service.record.execution_operation.status is OperationStatus.SUCCEEDED
    assert service.record.operation("execution-result-1") is None
    assert ExecutionClosed(ExecutionStatus.SUCCEEDED) in service.effects

    service.end(Succeeded(""))
    assert service.record.result == '"big"'
    assert service.event_types[-2:] == [E.EXECUTION_SUCCEEDED, E.INVOCATION_COMPLETED]


def test_execution_times_out() -> None:
    """At its time-out an execution is TIMED_OUT; its open operations stay, and no timer is left."""
    service = Service(timeout_seconds=100)
    service.begin()
    service.checkpoint(wait(1000), update(CALLBACK, START, "cb", options=CallbackOptions(500)))
    service.end(Pending())

    service.advance(600)

    assert service.record.status is ExecutionStatus.TIMED_OUT
    assert service.record.ended_at == service.record.identity.started_at + 100_000
    assert service.status("wait") is OperationStatus.STARTED
    assert len(service.record.timers) == 0
    assert service.event_types[-1] is E.EXECUTION_TIMED_OUT


def test_stop() -> None:
    """Stop ends an execution at once; to stop it again changes nothing and tells the first instant."""
    service = started_service(wait(60))

    stopped_at = service_moves.stop(service.record, ERROR, service.now)
    service.advance(600)

    assert service.record.status is ExecutionStatus.STOPPED
    assert service.record.error == ERROR
    assert service.event_types[-1] is E.EXECUTION_STOPPED
    assert service_moves.stop(service.record, None, service.now) == stopped_at
    with pytest.raises(RefusedError, match="Invalid checkpoint token: the execution is STOPPED"):
        service.checkpoint()


def test_events_are_numbered_without_gaps() -> None:
    """Event ids count from 1, whatever causes the events."""
    service = started_service(wait(1), update(STEP, START))
    service.end(Pending())
    service.advance(1)
    service.begin()

    assert [event.event_id for event in service.events] == list(range(1, len(service.events) + 1))


# --- tokens ----------------------------------------------------------------------------------------------


def test_a_token_is_good_for_one_checkpoint() -> None:
    """A spent token is refused with the words that SDKs look for."""
    service = started_service()
    token = service.token
    answer = service.checkpoint(update(STEP, START))

    with pytest.raises(RefusedError, match=r"^Invalid checkpoint token") as refusal:
        service.checkpoint(update(STEP, SUCCEED), token=token)

    assert refusal.value.reason is RefusalReason.INVALID_TOKEN
    assert answer.token == service.token


def test_repeated_checkpoint_is_answered_like_the_first() -> None:
    """The same token with the same client token is answered again, and applied once."""
    service = started_service()
    token = service.token
    first = service.checkpoint(update(STEP, START), client_token="once")
    before = copy.deepcopy(service.record)

    again = service.checkpoint(update(STEP, START), token=token, client_token="once")

    assert (again.token, again.operations) == (first.token, first.operations)
    assert service.record == before


def test_repeated_checkpoint_is_known_for_fifteen_minutes() -> None:
    """Afterwards the token is just a spent one."""
    service = started_service()
    token = service.token
    service.checkpoint(client_token="once")

    service.advance(15 * 60)
    service.checkpoint(token=token, client_token="once")
    service.advance(0.001)
    with pytest.raises(RefusedError, match="Invalid checkpoint token"):
        service.checkpoint(token=token, client_token="once")


def test_repeated_closing_checkpoint_has_no_token_again() -> None:
    """The checkpoint that closed the execution can be repeated too."""
    service = started_service()
    token = service.token
    close = update(EXECUTION, SUCCEED, payload="1")
    service.checkpoint(close, client_token="once")

    assert service.checkpoint(close, token=token, client_token="once").token is None


def test_remembered_answers_are_bounded() -> None:
    """A long invocation does not pile up answers."""
    service = started_service()

    for _ in range(MAX_REMEMBERED_ANSWERS + 10):
        service.checkpoint()

    assert len(service.record.answers) == MAX_REMEMBERED_ANSWERS


def test_tokens_of_an_ended_invocation_are_fenced_off() -> None:
    """Between invocations, and in the next one, the last token of the previous one is refused."""
    service = started_service(wait(1))
    token = service.token
    service.end(Pending())
    with pytest.raises(RefusedError, match="Invalid checkpoint token"):
        service.checkpoint(token=token)

    service.advance(1)
    invocation = service.begin()

    with pytest.raises(RefusedError, match="Invalid checkpoint token"):
        service.checkpoint(token=token)
    assert service.checkpoint(token=invocation.checkpoint_token).token is not None


def test_an_empty_checkpoint_shows_what_changed() -> None:
    """A checkpoint without updates is a poll: it shows what the service has changed since, once."""
    service = started_service(wait(5))
    service.advance(5)

    shown = service.checkpoint()
    nothing = service.checkpoint()

    assert [(operation.id, operation.status) for operation in shown.operations] == [
        ("wait", OperationStatus.SUCCEEDED)
    ]
    assert nothing.operations == ()
