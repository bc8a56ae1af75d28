"""Whole executions on the local service, in memory and on virtual time."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from local.functions import (
    PENDING,
    Call,
    Function,
    retry_step,
    returns_at_once,
    start_callback,
    start_step,
    start_wait,
    succeed_step,
    succeeded,
    waits,
    waits_for_callback,
)

from durable_trio._protocol.history import EventType
from durable_trio._protocol.operation import ErrorObject, OperationStatus, OperationType
from durable_trio.clock import Clock
from durable_trio.exceptions import CheckpointError, GetStateError, InvalidTokenError, ServiceError
from durable_trio.local import (
    CallbackTimeout,
    ExecutionClosed,
    ExecutionStatus,
    InvalidParameterValue,
    InvocationEnded,
    InvocationStarted,
    LocalService,
    LocalSettings,
    OperationChanged,
    ResourceNotFound,
    RetryPolicy,
    ServiceFailure,
    open_local_service,
)

E = EventType
DAY = 86_400


async def _event_types(service: LocalService, arn: str) -> list[EventType]:
    return [event.type for event in (await service.history(arn)).items]


async def test_a_month_goes_by(autojump_clock: trio.testing.MockClock) -> None:
    """A wait of thirty days ends after thirty days of the service's time, and the function is invoked again."""
    function = Function(waits(30 * DAY))
    async with open_local_service() as service:
        service.register("f", function)
        started = trio.current_time()

        execution = await service.start_execution("f", '{"a": 1}')
        description = await service.wait_closed(execution.arn)

        assert description.status is ExecutionStatus.SUCCEEDED
        assert description.result == '"done"'
        assert description.input_payload == '{"a": 1}'
        assert trio.current_time() - started == pytest.approx(30 * DAY)
        assert description.ended_at == description.started_at + 30 * DAY * 1000
        assert [sorted(call.invocation.updated_operation_ids) for call in function.calls] == [[], ["wait"]]
        assert await _event_types(service, execution.arn) == [
            E.EXECUTION_STARTED,
            E.WAIT_STARTED,
            E.INVOCATION_COMPLETED,
            E.WAIT_SUCCEEDED,
            E.INVOCATION_COMPLETED,
            E.EXECUTION_SUCCEEDED,
        ]


async def test_a_callback_times_out_after_two_days(autojump_clock: trio.testing.MockClock) -> None:
    """A callback that nobody answers is TIMED_OUT at its time; the function learns of it."""

    async def body(call: Call) -> Any:
        if call.status("callback") is None:
            await call.checkpoint(start_callback(timeout=2 * DAY))
            return PENDING
        return succeeded(f'"{call.status("callback")}"')

    async with open_local_service() as service:
        service.register("f", Function(body))
        execution = await service.start_execution("f", "null")
        description = await service.wait_closed(execution.arn)

        assert description.result == '"TIMED_OUT"'
        assert description.ended_at == description.started_at + 2 * DAY * 1000


async def test_a_callback_is_answered(autojump_clock: trio.testing.MockClock) -> None:
    """The result that the outside world sends wakes the execution; a second answer is refused."""
    function = Function(waits_for_callback)
    async with open_local_service() as service:
        service.register("f", function)
        execution = await service.start_execution("f", "null")
        await trio.testing.wait_all_tasks_blocked()
        callback_id = function.calls[0].callback_id("callback")

        await service.callback_heartbeat(callback_id)
        await service.callback_succeed(callback_id, '{"approved": true}')
        description = await service.wait_closed(execution.arn)

        assert description.result == '{"approved": true}'
        for answer in (
            service.callback_succeed(callback_id, None),
            service.callback_fail(callback_id, ErrorObject("no")),
            service.callback_heartbeat(callback_id),
        ):
            with pytest.raises(CallbackTimeout):
                await answer


async def test_a_callback_fails(autojump_clock: trio.testing.MockClock) -> None:
    """The failure that the outside world sends reaches the function."""
    function = Function(waits_for_callback)
    async with open_local_service() as service:
        service.register("f", function)
        execution = await service.start_execution("f", "null")
        await trio.testing.wait_all_tasks_blocked()

        await service.callback_fail(function.calls[0].callback_id("callback"), ErrorObject("no", "Denied"))
        description = await service.wait_closed(execution.arn)

        assert description.error == ErrorObject(type="Denied")


@pytest.mark.parametrize("callback_id", ["nonsense", "", "ZXhlYzpvcA==", "a:b"])
async def test_unknown_callbacks(callback_id: str) -> None:
    """An id that no callback has is not found."""
    async with open_local_service() as service:
        with pytest.raises(ResourceNotFound, match="no callback"):
            await service.callback_succeed(callback_id, None)


async def test_a_step_is_retried_after_its_delay(autojump_clock: trio.testing.MockClock) -> None:
    """A retry suspends the execution until the step is READY."""

    async def body(call: Call) -> Any:
        if call.status("step") is None:
            await call.checkpoint(start_step(), retry_step(delay=60))
            return PENDING
        assert call.status("step") is OperationStatus.READY
        await call.checkpoint(start_step(), succeed_step())
        return succeeded()

    async with open_local_service() as service:
        service.register("f", Function(body))
        execution = await service.start_execution("f", "null")
        description = await service.wait_closed(execution.arn)

        assert description.ended_at == description.started_at + 60_000


async def test_a_poll_at_the_due_time_sees_the_timer_ended(autojump_clock: trio.testing.MockClock) -> None:
    """Due timers end before a request is served: who asks at that very time gets the answer."""

    async def body(call: Call) -> Any:
        await call.checkpoint(start_wait(10), start_wait(20, "other"))
        clock = call.client.clock  # type: ignore[attr-defined]  # clients may have one; the local one has
        await clock.sleep_until(call.operations["wait"].started_at + 10_000)
        (ended,) = await call.checkpoint()
        return succeeded(f'"{ended.id} {ended.status}"')

    async with open_local_service() as service:
        service.register("f", Function(body))
        execution = await service.start_execution("f", "null")

        assert (await service.wait_closed(execution.arn)).result == '"wait SUCCEEDED"'


async def test_no_wake_up_is_lost(autojump_clock: trio.testing.MockClock) -> None:
    """A callback that is answered while the function is about to answer PENDING wakes it all the same."""
    answered = trio.Event()

    async def body(call: Call) -> Any:
        if call.status("callback") is None:
            await call.checkpoint(start_callback())
            await service.callback_succeed(call.callback_id("callback"), '"late"')
            answered.set()
            return PENDING
        return succeeded()

    function = Function(body)
    async with open_local_service() as service:
        service.register("f", function)
        execution = await service.start_execution("f", "null")
        await service.wait_closed(execution.arn)

    assert answered.is_set()
    assert function.calls[1].invocation.updated_operation_ids == {"callback"}


async def test_one_invocation_at_a_time(autojump_clock: trio.testing.MockClock) -> None:
    """While a function runs, timers that end do not start it a second time."""
    running = 0

    async def body(call: Call) -> Any:
        nonlocal running
        running += 1
        assert running == 1
        if call.status("w0") is None:
            await call.checkpoint(*(start_wait(second + 1, f"w{second}") for second in range(5)))
        await trio.sleep(2.5)
        running -= 1
        done = all(call.status(f"w{second}") is OperationStatus.SUCCEEDED for second in range(5))
        return succeeded() if done else PENDING

    function = Function(body)
    async with open_local_service() as service:
        service.register("f", function)
        execution = await service.start_execution("f", "null")
        await service.wait_closed(execution.arn)

    assert len(function.calls) == 3


# --- failures --------------------------------------------------------------------------------------------


async def test_a_function_that_raises_is_invoked_again(autojump_clock: trio.testing.MockClock) -> None:
    """A crash is retried with a growing delay, until the budget is spent; the error tells what was raised."""

    async def body(call: Call) -> Any:
        raise RuntimeError(f"crash {call.context.aws_request_id}")

    function = Function(body)
    policy = RetryPolicy(max_failures=3, first_delay_seconds=10)
    async with open_local_service(settings=LocalSettings(retry_policy=policy)) as service:
        service.register("f", function)
        started = trio.current_time()
        execution = await service.start_execution("f", "null")
        description = await service.wait_closed(execution.arn)

        assert len(function.calls) == 3
        assert 15 <= trio.current_time() - started <= 30
        assert description.status is ExecutionStatus.FAILED
        assert description.error is not None
        assert description.error.type == "RuntimeError"
        assert description.error.message == f"crash {function.calls[2].context.aws_request_id}"
        assert description.error.stack
        events = (await service.history(execution.arn)).items
        errors = [event.details.error for event in events if event.type is E.INVOCATION_COMPLETED]
        assert [error.type if error else None for error in errors] == ["RuntimeError"] * 3


async def test_a_function_that_takes_too_long_is_cut_off(autojump_clock: trio.testing.MockClock) -> None:
    """At its time limit an invocation is cancelled and counts as failed."""
    remaining: list[int] = []

    async def body(call: Call) -> Any:
        remaining.append(call.context.get_remaining_time_in_millis())
        if len(remaining) == 2:
            return succeeded()
        await trio.sleep(4)
        remaining.append(call.context.get_remaining_time_in_millis())
        await trio.sleep_forever()
        raise AssertionError

    async with open_local_service() as service:
        service.register("f", Function(body), timeout_seconds=5)
        execution = await service.start_execution("f", "null")
        await service.wait_closed(execution.arn)
        events = (await service.history(execution.arn)).items

        assert remaining[:2] == [5000, 1000]
        (ended,) = [event for event in events if event.type is E.INVOCATION_COMPLETED][:1]
        assert ended.details.error is not None
        assert ended.details.error.type == "Sandbox.Timedout"
        assert ended.details.error.message == "Task timed out after 5 seconds"


async def test_an_answer_after_the_time_limit_does_not_count(autojump_clock: trio.testing.MockClock) -> None:
    """A function that swallows the cut and answers is too late."""

    async def body(call: Call) -> Any:
        if len(target.calls) == 2:
            return succeeded('"second"')
        with trio.move_on_after(10, shield=True):
            await trio.sleep_forever()
        return succeeded('"too late"')

    target = Function(body)
    async with open_local_service() as service:
        service.register("f", target, timeout_seconds=5)
        execution = await service.start_execution("f", "null")

        assert (await service.wait_closed(execution.arn)).result == '"second"'


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "PENDING",
        {"Status": "DONE"},
        {"Status": "SUCCEEDED", "Result": "1", "Error": {"ErrorMessage": "x"}},
        {"Status": "FAILED", "Result": "1"},
    ],
)
async def test_an_answer_that_is_none(answer: Any) -> None:
    """What is no answer fails the execution at once."""

    async def body(call: Call) -> Any:
        return answer

    async with open_local_service() as service:
        service.register("f", Function(body))
        execution = await service.start_execution("f", "null")
        description = await service.wait_closed(execution.arn)

        assert description.status is ExecutionStatus.FAILED
        assert description.error is not None
        assert description.error.type == "InvalidResponse"
        assert description.invocation_count == 1


@pytest.mark.parametrize(
    ("answer", "error_type"),
    [
        ({"Status": "SUCCEEDED", "Result": object()}, "Runtime.MarshalError"),
        ({"Status": "SUCCEEDED", "Result": '"' * 3_200_000}, "Function.ResponseSizeTooLarge"),
        (SystemExit(3), "Runtime.ExitError"),
    ],
)
async def test_answers_that_lambda_would_not_deliver(
    answer: Any, error_type: str, autojump_clock: trio.testing.MockClock
) -> None:
    """What is not JSON, is too big, or ends the process is a failed invocation, as in Lambda."""

    async def body(call: Call) -> Any:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async with open_local_service(
        settings=LocalSettings(retry_policy=RetryPolicy(max_failures=1))
    ) as service:
        service.register("f", Function(body))
        execution = await service.start_execution("f", "null")
        description = await service.wait_closed(execution.arn)

        assert description.error is not None
        assert description.error.type == error_type


async def test_pending_with_nothing_pending(autojump_clock: trio.testing.MockClock) -> None:
    """A function that would sleep for ever gets three tries."""

    async def body(call: Call) -> Any:
        return PENDING

    function = Function(body)
    async with open_local_service() as service:
        service.register("f", function)
        execution = await service.start_execution("f", "null")
        description = await service.wait_closed(execution.arn)

        assert len(function.calls) == 3
        assert description.error is not None
        assert description.error.message == "Cannot return PENDING status with no pending operations"


async def test_an_execution_times_out(autojump_clock: trio.testing.MockClock) -> None:
    """At its own time-out an execution ends, whatever it waits for; its function's checkpoints are refused."""
    refusals: list[Exception] = []

    async def body(call: Call) -> Any:
        await call.checkpoint(start_callback())
        await trio.sleep(200)
        try:
            await call.checkpoint()
        except InvalidTokenError as refusal:
            refusals.append(refusal)
            raise
        return PENDING

    async with open_local_service() as service:
        service.register("f", Function(body))
        execution = await service.start_execution("f", "null", execution_timeout_seconds=100)
        description = await service.wait_closed(execution.arn)

        assert description.status is ExecutionStatus.TIMED_OUT
        assert description.ended_at == description.started_at + 100_000
        assert description.error is not None
        assert description.error.type == "Execution.Timeout"
        await trio.sleep(200)
        assert len(refusals) == 1


async def test_stop(autojump_clock: trio.testing.MockClock) -> None:
    """A stopped execution stays stopped; stopping it again is fine, and tells when it was."""
    async with open_local_service() as service:
        service.register("f", Function(waits(DAY)))
        execution = await service.start_execution("f", "null")
        await trio.testing.wait_all_tasks_blocked()

        stopped_at = await service.stop(execution.arn, ErrorObject("enough", "Operator"))
        await trio.sleep(2 * DAY)

        description = await service.describe(execution.arn)
        assert (description.status, description.ended_at) == (ExecutionStatus.STOPPED, stopped_at)
        assert description.error == ErrorObject("enough", "Operator")
        assert description.next_timer_at is None
        assert await service.stop(execution.arn) == stopped_at


async def test_refusals_reach_the_function_as_the_sdks_errors(autojump_clock: trio.testing.MockClock) -> None:
    """A broken rule is a permanent CheckpointError; a spent token is an InvalidTokenError, to be retried."""
    errors: list[Exception] = []

    async def body(call: Call) -> Any:
        token = call.token
        await call.checkpoint()
        for updates, broken in (((succeed_step("a b"),), call.token), ((), token)):
            call.token = broken
            try:
                await call.checkpoint(*updates)
            except (CheckpointError, InvalidTokenError) as error:
                errors.append(error)
            call.token = None
        return succeeded()

    async with open_local_service() as service:
        service.register("f", Function(body))
        await service.wait_closed((await service.start_execution("f", "null")).arn)

    permanent, spent = errors
    assert isinstance(permanent, CheckpointError)
    assert (permanent.is_retryable, permanent.code) == (False, "InvalidParameterValueException")
    assert isinstance(spent, InvalidTokenError)
    assert spent.is_retryable


async def test_what_the_client_is_refused(autojump_clock: trio.testing.MockClock) -> None:
    """Each refusal of the service is the error of the call that met it, and says whether to try again."""
    raised: list[ServiceError] = []

    async def body(call: Call) -> Any:
        arn, token = call.invocation.durable_execution_arn, call.invocation.checkpoint_token
        spent = "c3BlbnQ="
        for arn_, token_, marker, items in (
            (arn, spent, "", 10),
            (arn, token, "nonsense", 10),
            (arn, token, "", 1001),
            (arn[:-1] + "x", token, "", 10),
            ("no arn", token, "", 10),
        ):
            try:
                await call.client.get_state(
                    durable_execution_arn=arn_, checkpoint_token=token_, marker=marker, max_items=items
                )
            except ServiceError as error:
                raised.append(error)
        return succeeded()

    async with open_local_service() as service:
        service.register("f", Function(body))
        await service.wait_closed((await service.start_execution("f", "null")).arn)

    assert [type(error) for error in raised] == [InvalidTokenError] + [GetStateError] * 4
    assert [error.is_retryable for error in raised] == [True] + [False] * 4
    assert {error.code for error in raised} == {"InvalidParameterValueException"}


async def test_a_callback_of_an_execution_that_has_ended(autojump_clock: trio.testing.MockClock) -> None:
    """Nobody waits for it any more."""
    function = Function(waits_for_callback)
    async with open_local_service() as service:
        service.register("f", function)
        execution = await service.start_execution("f", "null")
        await trio.testing.wait_all_tasks_blocked()
        await service.stop(execution.arn)

        with pytest.raises(CallbackTimeout, match="execution is already STOPPED"):
            await service.callback_succeed(function.calls[0].callback_id("callback"), None)


async def test_a_mistake_in_the_service_is_raised_where_it_was_asked() -> None:
    """An unforeseen error goes to the task whose request met it; the service goes on."""

    def mistake(ledger: object) -> None:
        raise ZeroDivisionError("oops")

    async with open_local_service() as service:
        service.register("f", Function(returns_at_once))
        execution = await service.start_execution("f", "null")
        with pytest.raises(ZeroDivisionError):
            await service._owner.ask(mistake)

        assert (await service.wait_closed(execution.arn)).status is ExecutionStatus.SUCCEEDED


# --- paging, watching ------------------------------------------------------------------------------------


async def test_state_is_read_page_by_page(autojump_clock: trio.testing.MockClock) -> None:
    """An invocation gets the first page, and reads the others with its token."""

    async def body(call: Call) -> Any:
        if call.status("step-0") is None:
            await call.checkpoint(start_wait(1), *(succeed_step(f"step-{number}") for number in range(9)))
            return PENDING
        ids, marker = list(call.operations), call.invocation.next_marker
        assert len(ids) == 4
        while marker:
            page = await call.client.get_state(
                durable_execution_arn=call.invocation.durable_execution_arn,
                checkpoint_token=call.invocation.checkpoint_token,
                marker=marker,
                max_items=3,
            )
            ids += [operation.id for operation in page.operations]
            marker = page.next_marker
        return succeeded(str(ids))

    async with open_local_service(settings=LocalSettings(page_operations=4)) as service:
        service.register("f", Function(body))
        execution = await service.start_execution("f", "null")
        description = await service.wait_closed(execution.arn)

        expected = [operation.id for operation in await service.operations(execution.arn)]
        assert description.result == str(expected)


async def test_watchers_see_every_change_in_order(autojump_clock: trio.testing.MockClock) -> None:
    """Nothing is left out of a subscription, also if an operation changes twice in one request."""

    async def body(call: Call) -> Any:
        if call.status("step") is None:
            await call.checkpoint(start_step(), succeed_step(), start_wait(5))
            return PENDING
        return succeeded()

    async with open_local_service() as service:
        service.register("f", Function(body))
        execution = await service.start_execution("f", "null", name="watched")
        with service.subscribe(execution.arn) as changes:
            await service.wait_closed(execution.arn)
            seen = []
            while True:
                try:
                    seen.append(changes.receive_nowait())
                except trio.WouldBlock:
                    break

    told = [
        (change.operation.id, change.operation.status)
        for change in seen
        if isinstance(change, OperationChanged) and change.operation.type is not OperationType.EXECUTION
    ]
    assert told == [("step", "STARTED"), ("step", "SUCCEEDED"), ("wait", "STARTED"), ("wait", "SUCCEEDED")]
    assert [change.number for change in seen if isinstance(change, (InvocationStarted, InvocationEnded))] == [
        1,
        2,
        2,
    ]
    assert seen[-1] == ExecutionClosed(ExecutionStatus.SUCCEEDED)


async def test_a_watcher_that_hangs_up_disturbs_nobody(autojump_clock: trio.testing.MockClock) -> None:
    """One of several watchers may leave early; the others miss nothing. A name is not enough to watch."""
    async with open_local_service() as service:
        service.register("f", Function(waits(5)))
        execution = await service.start_execution("f", "null", name="mine")
        with service.subscribe(execution.arn) as stays, service.subscribe(execution.arn) as leaves:
            leaves.close()
            await service.wait_closed(execution.arn)
            assert stays.statistics().current_buffer_used > 0
        with pytest.raises(InvalidParameterValue, match="not the ARN of a durable execution: 'mine'"):
            service.subscribe("mine")


async def test_watchers_are_told_that_the_service_closes() -> None:
    """The channel of a service that is closed ends, and so does waiting for an execution's end."""
    ended: list[str] = []

    async def watch(arn: str) -> None:
        with service.subscribe(arn) as changes:
            async for _ in changes:
                pass
        ended.append("watching")

    async def wait(arn: str) -> None:
        with pytest.raises(ServiceFailure, match="closed"):
            await service.wait_closed(arn)
        ended.append("waiting")

    async with trio.open_nursery() as nursery, open_local_service() as service:
        service.register("f", Function(waits_for_callback))
        execution = await service.start_execution("f", "null")
        nursery.start_soon(watch, execution.arn)
        nursery.start_soon(wait, execution.arn)
        await trio.testing.wait_all_tasks_blocked()

    assert sorted(ended) == ["waiting", "watching"]


async def test_the_service_keeps_time_by_the_clock_it_is_given(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Instants come from the service's clock."""
    clock = Clock(epoch_at=1_000_000)
    async with open_local_service(clock=clock) as service:
        service.register("f", Function(returns_at_once))
        await trio.sleep(5)

        execution = await service.start_execution("f", "null")

        assert service.clock is clock
        assert execution.started_at == 1_005_000
