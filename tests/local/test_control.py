"""Pausing, resuming and deleting executions; and how long they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from local.functions import (
    CHAINED,
    PENDING,
    START,
    Call,
    Function,
    returns_at_once,
    start_callback,
    start_step,
    start_wait,
    succeed_step,
    succeeded,
    waits,
    waits_for_callback,
)

from durable_trio import DurableContext, Duration, durable_execution
from durable_trio._protocol.history import EventType
from durable_trio._protocol.operation import (
    CallbackDetails,
    ChainedInvokeOptions,
    OperationStatus,
    OperationUpdate,
)
from durable_trio.local import (
    ExecutionAlreadyStarted,
    ExecutionStatus,
    FunctionConfig,
    InvalidParameterValue,
    LocalService,
    LogLine,
    ResourceConflict,
    ResourceNotFound,
    open_local_service,
    retention,
)

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400
S = ExecutionStatus


async def status(service: LocalService, arn: str) -> ExecutionStatus:
    """Return how an execution stands."""
    return (await service.describe(arn)).status


# --- pausing ---------------------------------------------------------------------------------------------


async def test_a_paused_execution_is_not_invoked(autojump_clock: trio.testing.MockClock) -> None:
    """Its wait ends at its time; the function learns of it after the pause."""
    function = Function(waits(DAY))
    async with open_local_service() as service:
        service.register("f", function)
        execution = await service.start_execution("f", "null")
        await service.until_idle()
        paused = await service.pause_execution(execution.arn, reason="audit")
        assert paused.status is S.PAUSED
        await trio.sleep(3 * DAY)

        description = await service.describe(execution.arn)
        assert description.status is S.PAUSED
        assert description.pause is not None
        assert (description.pause.reason, description.pause.is_timeout_paused) == ("audit", True)
        assert len(function.calls) == 1
        assert (await service.operations(execution.arn))[1].status is OperationStatus.SUCCEEDED

        assert (await service.resume_execution(execution.arn)).status is S.RUNNING
        assert (await service.wait_closed(execution.arn)).status is S.SUCCEEDED
        assert len(function.calls) == 2
        types = [event.type for event in (await service.history(execution.arn)).items]
        assert types.index(EventType.EXECUTION_PAUSED) < types.index(EventType.EXECUTION_RESUMED)


async def test_a_handler_that_is_interrupted_by_a_pause(autojump_clock: trio.testing.MockClock) -> None:
    """A real handler stops at its next checkpoint, answers PENDING, and goes on where it was after the pause."""
    effects: list[int] = []
    in_step, go_on = trio.Event(), trio.Event()

    async def work(number: int) -> int:
        effects.append(number)
        if number == 1:
            in_step.set()
            await go_on.wait()
        return number

    @durable_execution
    async def handler(event: None, ctx: DurableContext) -> int:
        total = 0
        for number in range(3):
            total += await ctx.step(work, number)
        await ctx.wait(Duration.minutes(1))
        return total

    async with open_local_service() as service:
        service.register("f", handler.invoke)
        execution = await service.start_execution("f", "null")
        await in_step.wait()
        assert (await service.pause_execution(execution.arn)).status is S.PAUSING
        go_on.set()
        await service.until_idle()
        assert await status(service, execution.arn) is S.PAUSED
        # What was sent with the last checkpoint is recorded; nothing came after it.
        assert effects == [0, 1]
        await trio.sleep(DAY)
        assert effects == [0, 1]
        await service.resume_execution(execution.arn)
        ended = await service.wait_closed(execution.arn)

        assert ended.result == "3"
        assert effects == [0, 1, 2]


async def test_pausing_twice_and_resuming_what_runs(autojump_clock: trio.testing.MockClock) -> None:
    """The wrong status is a conflict; a repetition by its client token is not."""
    async with open_local_service() as service:
        service.register("f", Function(waits_for_callback))
        execution = await service.start_execution("f", "null")
        await service.until_idle()
        with pytest.raises(ResourceConflict, match="only a paused execution"):
            await service.resume_execution(execution.arn)
        await service.pause_execution(execution.arn, client_token="once")
        await service.pause_execution(execution.arn, client_token="once")
        with pytest.raises(ResourceConflict, match="it is PAUSED"):
            await service.pause_execution(execution.arn, client_token="twice")
        with pytest.raises(InvalidParameterValue, match="Reason"):
            await service.pause_execution(execution.arn, reason="x" * 2000)
        with pytest.raises(ResourceNotFound):
            await service.pause_execution("nobody")


async def test_a_pause_survives_the_process(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """Paused in the file is paused for whoever takes it over, with what is owed and the time-out it had left."""
    file = tmp_path / "service.sqlite"
    function = Function(waits(60))
    async with open_local_service(file) as service:
        clock = service.clock
        service.register("f", function)
        execution = await service.start_execution("f", "null", execution_timeout_seconds=DAY)
        await service.until_idle()
        await service.pause_execution(execution.arn)
        await trio.sleep(DAY / 2)
        before = await service.describe(execution.arn)
    await trio.sleep(DAY)

    async with open_local_service(file, clock=clock) as service:
        service.register("f", function)
        assert [summary.arn for summary in await service.take_over_all()] == [execution.arn]
        await service.until_idle()
        assert len(function.calls) == 1
        description = await service.describe(execution.arn)
        assert description.pause == before.pause
        await service.resume_execution(execution.arn)
        ended = await service.wait_closed(execution.arn)
        assert ended.status is S.SUCCEEDED


async def test_another_process_pauses_and_resumes(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Who does not drive an execution can pause it; who does makes good what is owed when it is resumed."""
    file = tmp_path / "service.sqlite"
    function = Function(waits(60))
    async with (
        open_local_service(file, watch_seconds=0.5) as driver,
        open_local_service(file, clock=driver.clock) as other,
    ):
        driver.register("f", function)
        execution = await driver.start_execution("f", "null")
        await driver.until_idle()
        await other.pause_execution(execution.arn)
        await trio.sleep(DAY)
        assert len(function.calls) == 1
        await other.resume_execution(execution.arn)
        assert (await driver.wait_closed(execution.arn)).status is S.SUCCEEDED


# --- deleting --------------------------------------------------------------------------------------------


async def test_deleting_an_execution(autojump_clock: trio.testing.MockClock) -> None:
    """Only one that has ended can be deleted; then it is gone with all that was known of it, and its name is free."""
    async with open_local_service() as service:
        service.register("f", Function(waits_for_callback))
        execution = await service.start_execution("f", "1", name="one")
        await service.until_idle()
        callback = (await service.operations(execution.arn))[1]
        assert isinstance(callback.details, CallbackDetails)
        assert callback.details.callback_id is not None
        callback_id = callback.details.callback_id
        with pytest.raises(
            ResourceConflict, match="only an execution that has ended can be deleted; it is RUNNING"
        ):
            await service.delete_execution(execution.arn)
        with pytest.raises(ExecutionAlreadyStarted):
            await service.start_execution("f", "2", name="one")
        await service.append_log_lines(execution.arn, [LogLine(1, "hello")])
        await service.stop(execution.arn)

        assert await service.delete_execution("one") == service.clock.now()
        for look in (service.describe, service.history, service.operations, service.log_lines):
            with pytest.raises(ResourceNotFound):
                await look(execution.arn)
        with pytest.raises(ResourceNotFound):
            await service.callback_succeed(callback_id, None)
        with pytest.raises(ResourceNotFound):
            await service.delete_execution(execution.arn)
        assert (await service.list_executions()).items == ()
        again = await service.start_execution("f", "2", name="one")
        assert again.arn != execution.arn


async def test_deleting_while_the_last_invocation_runs(autojump_clock: trio.testing.MockClock) -> None:
    """An execution may be over, and deleted, before the invocation that is in flight has ended."""
    release = trio.Event()

    async def body(call: Call) -> Any:
        await call.checkpoint(start_step(), succeed_step())
        await release.wait()
        return succeeded()

    async with open_local_service() as service:
        service.register("f", Function(body))
        execution = await service.start_execution("f", "null")
        await trio.testing.wait_all_tasks_blocked()
        await service.stop(execution.arn)
        await service.delete_execution(execution.arn)
        release.set()
        await service.until_idle()
        with pytest.raises(ResourceNotFound):
            await service.describe(execution.arn)


async def test_a_caller_that_is_gone_before_what_it_called(autojump_clock: trio.testing.MockClock) -> None:
    """The end of a chained execution is told to nobody if its parent has been deleted."""

    async def parent(call: Call) -> Any:
        options = ChainedInvokeOptions("child")
        await call.checkpoint(OperationUpdate("inv", CHAINED, START, payload="1", options=options))
        return PENDING

    async with open_local_service() as service:
        service.register("parent", Function(parent))
        service.register("child", Function(waits(DAY)))
        execution = await service.start_execution("parent", "null")
        await trio.sleep(1)
        (child,) = (await service.list_executions(function_name="child")).items
        await service.stop(execution.arn)
        await service.delete_execution(execution.arn)
        assert (await service.wait_closed(child.arn)).status is S.SUCCEEDED


async def test_another_process_deletes(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """A service that has an execution in memory notices that it is not in the file any more."""
    file = tmp_path / "service.sqlite"
    async with open_local_service(file) as one, open_local_service(file, clock=one.clock) as other:
        one.register("f", Function(waits(DAY)))
        execution = await one.start_execution("f", "null")
        await one.until_idle()
        with one.subscribe(execution.arn):
            await other.stop(execution.arn)
            await other.delete_execution(execution.arn)
            await trio.sleep(2 * DAY)
            with pytest.raises(ResourceNotFound):
                await one.describe(execution.arn)


# --- retention -------------------------------------------------------------------------------------------


async def test_executions_are_kept_as_long_as_was_said(autojump_clock: trio.testing.MockClock) -> None:
    """An execution is deleted when its retention is over, counted from its end, by what comes next."""
    async with open_local_service() as service:
        service.register("f", Function(returns_at_once), config=FunctionConfig(retention_days=2))
        service.register("slow", Function(waits(30 * DAY)))
        short = await service.start_execution("f", "null")
        long = await service.start_execution("f", "null", retention_days=5)
        running = await service.start_execution("slow", "null")
        await service.wait_closed(short.arn)
        await service.wait_closed(long.arn)

        await trio.sleep(2 * DAY - 10)
        await service.describe(short.arn)
        await trio.sleep(20)
        with pytest.raises(ResourceNotFound):
            await service.describe(short.arn)
        assert await status(service, long.arn) is S.SUCCEEDED
        await trio.sleep(3 * DAY)
        assert [summary.arn for summary in (await service.list_executions()).items] == [running.arn]


async def test_nothing_is_awakened_to_delete(autojump_clock: trio.testing.MockClock) -> None:
    """The end of a retention is no timer: virtual time does not go there by itself."""
    async with open_local_service(virtual_time=True) as service:
        service.register("f", Function(returns_at_once))
        execution = await service.start_execution("f", "null")
        await service.wait_closed(execution.arn)
        for _ in range(3):
            await service.until_idle()

        assert service.clock.now() - execution.started_at < 60_000


async def test_what_expired_while_no_service_ran(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later service deletes what has expired in the meantime, in portions, one with each transaction."""
    monkeypatch.setattr(retention, "_MOST_AT_ONCE", 9)
    file = tmp_path / "service.sqlite"
    async with open_local_service(file) as service:
        clock = service.clock
        service.register("f", Function(returns_at_once))
        for _ in range(20):
            await service.wait_closed((await service.start_execution("f", "null")).arn)
    await trio.sleep(15 * DAY)

    async with open_local_service(file, clock=clock) as service:
        left = [len((await service.list_executions()).items) for _ in range(4)]
        assert left == [11, 2, 0, 0]


# --- driving ---------------------------------------------------------------------------------------------


async def test_taking_over_everything(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """A new service goes on with every unfinished execution whose function it has, and leaves the others."""
    file = tmp_path / "service.sqlite"
    async with open_local_service(file) as service:
        clock = service.clock
        for name in ("f", "g"):
            service.register(name, Function(waits(DAY)))
        arns = [(await service.start_execution("f", "null")).arn for _ in range(5)]
        await service.start_execution("g", "null")
        await service.until_idle()

    async with open_local_service(file, clock=clock) as service:
        service.register("f", Function(waits(DAY)))
        assert sorted(summary.arn for summary in await service.take_over_all()) == sorted(arns)
        assert await service.take_over_all() == []
        for arn in arns:
            assert (await service.wait_closed(arn)).status is S.SUCCEEDED
        async with open_local_service(file, clock=clock) as other:
            other.register("g", Function(waits(DAY)))
            assert [summary.function_name for summary in await other.take_over_all()] == ["g"]


async def test_what_another_process_drives_is_left_to_it(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Two services on one file do not take each other's executions."""
    file = tmp_path / "service.sqlite"
    async with open_local_service(file) as one, open_local_service(file, clock=one.clock) as other:
        for service in (one, other):
            service.register("f", Function(waits(DAY)))
        await one.start_execution("f", "null")
        assert await other.take_over_all() == []


async def test_the_description_tells(autojump_clock: trio.testing.MockClock) -> None:
    """What is known about a running execution, beside its operations."""

    async def body(call: Call) -> Any:
        await call.checkpoint(start_wait(DAY), start_callback(timeout=60))
        return PENDING

    async with open_local_service() as service:
        service.register("f", Function(body))
        execution = await service.start_execution(
            "f", "null", name="one", tenant_id="acme", execution_timeout_seconds=3600
        )
        await service.until_idle()
        description = await service.describe("one")

        assert description.operation_count == 2
        assert description.tenant_id == "acme"
        assert description.version == "$LATEST"
        assert description.function_arn == "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST"
        assert description.expected_timeout_at == execution.started_at + 3_600_000
        assert description.next_timer_at == execution.started_at + 60_000
        assert description.pause is None
