from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trio
import trio.testing

from durable_trio import DurableContext, Duration, durable_execution
from durable_trio.testing import DurableRunner, RunnerFactory


@pytest.mark.parametrize("run_in_thread", [trio.to_thread.run_sync, anyio.to_thread.run_sync])
async def test_time_stands_still_while_a_thread_of_the_users_works(
    durable_runner: RunnerFactory, run_in_thread: Any
) -> None:
    """A step that starts a thread by itself is at work: an hour's timer must not overtake it."""
    order = []

    async def step() -> float:
        began = trio.current_time()
        await run_in_thread(time.sleep, 0.05)
        order.append("thread")
        return trio.current_time() - began

    async def hour(ctx: DurableContext) -> None:
        await ctx.wait(Duration.hours(1))
        order.append("timer")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        passed, _ = await ctx.all([ctx.step(step), ctx.run_in_child_context(hour)])
        return passed

    run = await durable_runner.run(handler)

    assert run.result == 0
    assert order == ["thread", "timer"]


async def test_time_stands_still_for_a_thread_deep_inside(durable_runner: RunnerFactory) -> None:
    """However many operations, generators and context managers there are between the task and its thread."""

    @asynccontextmanager
    async def connected() -> AsyncIterator[str]:
        await trio.to_thread.run_sync(time.sleep, 0.02)
        yield "connection"

    async def pages() -> AsyncIterator[int]:
        async with connected():
            for number in range(2):
                await trio.to_thread.run_sync(time.sleep, 0.02)
                yield number

    async def step() -> float:
        began = trio.current_time()
        assert [number async for number in pages()] == [0, 1]
        return trio.current_time() - began

    async def child(ctx: DurableContext) -> float:
        return await ctx.step(step)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> float:
        return await ctx.run_in_child_context(child)

    assert (await durable_runner.run(handler)).result == 0


async def test_a_thread_of_the_tests_own_holds_time_as_well(durable_runner: RunnerFactory) -> None:
    """It does not matter whose task waits for the thread, nor which limiter it uses."""

    @durable_execution
    async def day(event: Any, ctx: DurableContext) -> None:
        await ctx.wait(Duration.days(1))

    async with durable_runner(day) as runner:
        execution = await runner.start()
        await execution.until_suspended()
        began = runner.now()

        await trio.to_thread.run_sync(time.sleep, 0.05, limiter=trio.CapacityLimiter(1))

        assert runner.now() == began
        assert (await execution.snapshot()).status == "RUNNING"


async def test_time_can_be_held_for_what_cannot_be_seen(durable_runner: RunnerFactory) -> None:
    """In ``hold_time`` nothing jumps, whatever the run looks like from here."""

    @durable_execution
    async def day(event: Any, ctx: DurableContext) -> None:
        await ctx.wait(Duration.days(1))

    async with durable_runner(day) as runner:
        execution = await runner.start()
        await execution.until_suspended()
        began = runner.now()
        with runner.hold_time():
            await trio.testing.wait_all_tasks_blocked(0.02)  # real time, in which the clock would have jumped
            assert runner.now() == began
        assert (await execution.result()).duration_seconds == 86_400


async def test_sleeps_in_steps_are_virtual(durable_runner: RunnerFactory) -> None:
    """Under the fixture's clock, ``trio.sleep`` in a step takes no time."""

    async def slow() -> str:
        await trio.sleep(600)
        return "slept"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        return await ctx.step(slow)

    run = await durable_runner.run(handler)

    assert run.result == "slept"
    assert run.duration_seconds == 600


async def test_a_clock_that_does_not_jump_jumps_for_a_runner(mock_clock: trio.testing.MockClock) -> None:
    """A ``MockClock`` that is moved by hand jumps while a runner is open, and is left as it was."""

    @durable_execution
    async def day(event: Any, ctx: DurableContext) -> str:
        await ctx.wait(Duration.days(1))
        return "done"

    async with DurableRunner(day) as runner:
        assert (await runner.run()).result == "done"

    assert mock_clock.autojump_threshold == float("inf")


async def test_a_clock_is_left_as_it_was_whatever_is_under_way(mock_clock: trio.testing.MockClock) -> None:
    """Closing waits for a thread that cannot be interrupted; it does not change the clock afterwards."""
    begun = trio.Event()

    def slow(token: trio.lowlevel.TrioToken) -> None:
        trio.from_thread.run_sync(begun.set, trio_token=token)
        time.sleep(0.05)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(slow, trio.lowlevel.current_trio_token())

    async with DurableRunner(handler) as runner:
        await runner.start()
        await begun.wait()

    assert mock_clock.autojump_threshold == float("inf")


async def test_many_tasks_are_no_reason_to_be_slow(durable_runner: RunnerFactory) -> None:
    """A thread of somebody else's makes the guard look at tasks; it looks at each only once after it has run."""
    count = 400

    async def item(ctx: DurableContext, seconds: int, index: int) -> None:
        await ctx.step(trio.sleep, seconds)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        return (await ctx.map(range(count), item)).total_count

    over = threading.Event()
    bystander = threading.Thread(target=over.wait)
    bystander.start()
    began = time.process_time()
    try:
        run = await durable_runner.run(handler, check_determinism=False)
    finally:
        over.set()
        bystander.join()

    assert run.result == count
    assert (
        time.process_time() - began < 2
    )  # looking at every task at every jump took 3 seconds, growing with the square


async def test_settling_comes_before_jumping(
    durable_runner: RunnerFactory, autojump_clock: trio.testing.MockClock
) -> None:
    """``wait_all_tasks_blocked`` has its usual right of way: a test that settles sees the time before the jump."""

    @durable_execution
    async def day(event: Any, ctx: DurableContext) -> None:
        await ctx.wait(Duration.days(1))

    async with durable_runner(day) as runner:
        began = runner.now()
        await runner.start()
        await trio.testing.wait_all_tasks_blocked()
        assert runner.now() == began
