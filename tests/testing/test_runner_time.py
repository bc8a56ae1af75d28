from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio
import trio.testing

from durable_trio import DurableContext, Duration, InvocationError, durable_execution, fixed_delay
from durable_trio.testing import DurableRunner, RunnerFactory

DAY_SECONDS = 86_400


@durable_execution
async def waits_a_day(event: Any, ctx: DurableContext) -> str:
    """Suspend once."""
    await ctx.wait(Duration.days(1), name="sleep")
    return f"done with {event}"


def test_under_a_real_clock_the_service_jumps_by_itself() -> None:
    """In a Trio run of the user's, with real time, waits take no time either."""

    async def main() -> float | None:
        async with DurableRunner(waits_a_day) as runner:
            return (await runner.run()).duration_seconds

    started = time.monotonic()

    took = trio.run(main)

    assert took is not None
    assert DAY_SECONDS <= took < DAY_SECONDS + 30
    assert time.monotonic() - started < 30


def drive(main: Any, host: str) -> None:
    """Run *main* on virtual or on real time."""
    clock = trio.testing.MockClock(autojump_threshold=0) if host == "virtual" else None
    trio.run(main, clock=clock)


@pytest.mark.parametrize("host", ["virtual", "real"])
def test_time_is_advanced_by_hand(host: str) -> None:
    """``advance_time`` lets exactly so much time pass, and what is due in it happen, on both kinds of clock."""

    @durable_execution
    async def two_waits(event: Any, ctx: DurableContext) -> None:
        await ctx.wait(Duration.hours(2), name="first")
        await ctx.wait(Duration.hours(2), name="second")

    async def main() -> None:
        async with DurableRunner(two_waits) as runner:
            execution = await runner.start()
            state = await execution.until_suspended()
            assert [operation.name for operation in state] == ["first"]

            await runner.advance_time(timedelta(hours=1))
            assert (await execution.snapshot())["first"].status == "STARTED"

            await runner.advance_time(Duration.hours(1))
            state = await execution.snapshot()
            assert state["first"].status == "SUCCEEDED"
            assert state["second"].status == "STARTED"
            assert state.status == "RUNNING"
            assert state.duration_seconds is None

            assert (await execution.result()).status == "SUCCEEDED"

    drive(main, host)


@pytest.mark.parametrize("host", ["virtual", "real"])
def test_planned_answers_come_before_later_timers(host: str) -> None:
    """An answer after three hours is in time for a time-out after two days, on both kinds of clock."""

    @durable_execution
    async def approval(event: Any, ctx: DurableContext) -> str:
        callback = await ctx.create_callback(name="approval", timeout=Duration.days(2))
        return str(await callback.result())

    async def main() -> None:
        async with DurableRunner(approval) as runner:
            runner.callback("approval").succeed("yes", after=Duration.hours(3))
            assert (await runner.run()).result == "yes"

    drive(main, host)


@pytest.mark.parametrize("host", ["virtual", "real"])
def test_until_suspended_skips_nothing(host: str) -> None:
    """When the execution is suspended, the time of its wait has not passed; when it has ended, it returns, too."""

    async def main() -> None:
        async with DurableRunner(waits_a_day) as runner:
            began = runner.now()
            execution = await runner.start()
            await runner.until_suspended()
            assert runner.now() - began < timedelta(seconds=30)

            await execution.result()
            assert (await execution.until_suspended()).status == "SUCCEEDED"
            assert runner.now() - began >= timedelta(days=1)

    drive(main, host)


async def test_until_suspended_waits_through_invocations_that_fail(durable_runner: RunnerFactory) -> None:
    """An invocation that raised is invoked again; that is no suspension."""
    tried = 0

    @durable_execution
    async def shaky(event: Any, ctx: DurableContext) -> None:
        nonlocal tried
        tried += 1
        if tried < 3:
            raise InvocationError("not yet")
        await ctx.wait(Duration.days(1))

    async with durable_runner(shaky) as runner:
        state = await (await runner.start()).until_suspended()

    assert [invocation.status for invocation in state.invocations] == ["RAISED", "RAISED", "PENDING"]


async def test_the_time_at_the_start_is_chosen(durable_runner: RunnerFactory) -> None:
    """``start_at`` is what time it is when the runner is opened, for ``ctx.now()``, too."""

    @durable_execution
    async def says_when(event: Any, ctx: DurableContext) -> str:
        await ctx.wait(Duration.days(1))
        return ctx.now().isoformat()

    async with durable_runner(says_when, start_at=datetime(2030, 1, 1, tzinfo=UTC)) as runner:
        assert runner.now() == datetime(2030, 1, 1, tzinfo=UTC)
        assert (await runner.run()).result == "2030-01-02T00:00:00+00:00"


async def test_an_invocation_is_cut_off_at_its_time_limit(durable_runner: RunnerFactory) -> None:
    """Lambda's time limit runs in virtual time, and the Lambda context tells what is left."""
    left = []

    async def slow() -> None:
        await trio.sleep(3600)

    @durable_execution(deadline_margin=Duration.seconds(0))
    async def handler(event: Any, ctx: DurableContext) -> str:
        left.append(ctx.lambda_context.get_remaining_time_in_millis())
        if len(left) == 1:
            await trio.sleep(3600)
        return "second try"

    run = await durable_runner.run(handler, invocation_timeout=Duration.seconds(20))

    assert left == [20_000, 20_000]
    assert [invocation.status for invocation in run.invocations] == ["CUT_OFF", "SUCCEEDED"]
    assert run.invocations[0].ended_at is not None
    assert run.invocations[0].ended_at - run.invocations[0].started_at == 20_000


async def test_a_step_that_outlasts_its_invocation_uses_up_an_attempt(durable_runner: RunnerFactory) -> None:
    """The runtime's own deadline is kept in virtual time: the step is an attempt that failed, and is retried."""

    async def slow() -> None:
        await trio.sleep(3600)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(slow, retry=fixed_delay(Duration.minutes(1), max_attempts=2))

    run = await durable_runner.run(handler, invocation_timeout=Duration.minutes(1))

    assert run.assert_failed("StepInterruptedError")
    run.assert_attempts("slow", 2)


def test_thirty_days_with_fifty_waits_take_well_under_a_second() -> None:
    """Virtual time costs what the invocations cost, and nothing for the waits."""

    @durable_execution
    async def month(event: Any, ctx: DurableContext) -> int:
        for _ in range(50):
            await ctx.wait(Duration.hours(14.4))
        return 50

    best = min(_seconds(month) for _ in range(3))

    assert best < 0.75


def _seconds(handler: Any) -> float:
    started = time.process_time()  # of this process alone: other work on the machine is no part of it
    run = DurableRunner(handler).run_sync()
    assert run.duration_seconds == 30 * DAY_SECONDS
    return time.process_time() - started
