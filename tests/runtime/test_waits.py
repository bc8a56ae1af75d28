"""``ctx.wait``: time that passes at the service, and timers that end while something else runs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import trio
from support.runs import run
from trio.testing import MockClock

from durable_trio import DurableContext, Duration, ValidationError, durable_execution, fixed_delay


async def test_a_wait_of_a_month_is_over_at_once(autojump_clock: MockClock) -> None:
    """Thirty days pass in virtual time: one invocation before, one after, nothing in between."""
    before = trio.current_time()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        await ctx.wait(Duration.days(30))
        return "a month later"

    finished = await run(handler)

    assert finished.result == "a month later"
    assert finished.invocations == ["PENDING", "SUCCEEDED"]
    assert trio.current_time() - before == pytest.approx(30 * 86_400, abs=1)


async def test_a_started_wait_parks_without_a_second_start(autojump_clock: MockClock) -> None:
    """Resumed for another reason, a wait that still runs is not started again."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.all([ctx.wait(Duration.seconds(5)), ctx.wait(Duration.hours(1))])

    finished = await run(handler)

    assert finished.invocations == ["PENDING", "PENDING", "SUCCEEDED"]
    assert [str(call) for call in finished.calls] == ["WAIT START, WAIT START"]


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        (Duration.seconds(1), 1),
        (Duration.seconds(0.2), 1),
        (Duration.seconds(1.0001), 2),
        (timedelta(milliseconds=2500), 3),
        (Duration.seconds(31_622_400), 31_622_400),
        (timedelta(days=366), 31_622_400),
        (Duration.seconds(31_622_399.5), 31_622_400),
    ],
)
async def test_fractions_round_up(
    duration: Duration | timedelta, seconds: int, autojump_clock: MockClock
) -> None:
    """A wait lasts whole seconds, 1 to 31,622,400 of them; fractions count as a whole one."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.wait(duration)

    finished = await run(handler)

    (call,) = finished.calls
    assert getattr(call.updates[0].options, "wait_seconds", None) == seconds


@pytest.mark.parametrize(
    "duration", [Duration.seconds(0), timedelta(0), timedelta(seconds=-5), Duration.seconds(31_622_400.001)]
)
async def test_waits_out_of_range_are_refused(duration: Any, autojump_clock: MockClock) -> None:
    """A wait outside the range is refused at the call, with the range in the message."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        with pytest.raises(ValidationError, match=r"duration must be 1 to 31,622,400 seconds") as refused:
            ctx.wait(duration)
        return str(refused.value)

    finished = await run(handler)

    assert repr(duration) in finished.result
    assert finished.calls == []


@pytest.mark.parametrize("bare", [5, 2.5, True])
async def test_a_bare_number_is_no_duration(bare: Any, autojump_clock: MockClock) -> None:
    """A bare number is a TypeError that names both types that say their unit."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        with pytest.raises(TypeError) as refused:
            ctx.wait(bare)
        return str(refused.value)

    text = (await run(handler)).result

    assert "Duration" in text
    assert "timedelta" in text
    assert repr(bare) in text


async def test_timers_resume_in_place_while_something_runs(autojump_clock: MockClock) -> None:
    """While one branch works, another passes waits and retries in the same invocation, without busy polling."""
    body_runs: list[str] = []

    async def work() -> str:
        body_runs.append("work")
        await trio.sleep(600)
        return "worked"

    async def flaky() -> str:
        body_runs.append("flaky")
        if body_runs.count("flaky") < 3:
            raise OSError("not yet")
        return "at last"

    async def working(ctx: DurableContext) -> str:
        return await ctx.step(work)

    async def waiting(ctx: DurableContext) -> list[str]:
        body_runs.append("waiting")
        for _ in range(5):
            await ctx.wait(Duration.seconds(30))
        answer = await ctx.step(flaky, retry=fixed_delay(Duration.seconds(40), max_attempts=3))
        await ctx.wait(Duration.seconds(30))
        return [answer]

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.all([ctx.run_in_child_context(working), ctx.run_in_child_context(waiting)])

    finished = await run(handler)

    assert finished.result == ["worked", ["at last"]]
    assert finished.invocations == ["SUCCEEDED"]
    assert sorted(body_runs) == ["flaky"] * 3 + ["waiting", "work"]
    # Per wait a START and a look when it is due; per retry a RETRY and a look; START and end of the rest.
    assert len(finished.calls) <= 6 * 2 + 2 * 2 + 6


async def test_timers_resume_in_place_in_a_map(autojump_clock: MockClock) -> None:
    """An item whose wait is over goes on while another item works; bodies are not run again."""
    starts: list[int] = []

    async def item(ctx: DurableContext, value: int, index: int) -> int:
        starts.append(index)
        if index == 0:
            await ctx.step(trio.sleep, 300)
        else:
            for _ in range(index):
                await ctx.wait(Duration.seconds(50))
        return value

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return (await ctx.map([10, 11, 12], item)).results()

    finished = await run(handler)

    assert finished.result == [10, 11, 12]
    assert sorted(starts) == [0, 1, 2]
    assert finished.invocations == ["SUCCEEDED"]


async def test_a_plain_event_keeps_the_invocation_running(autojump_clock: MockClock) -> None:
    """Blocked on a plain Trio thing counts as running: the invocation waits for it and does not suspend."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        done = trio.Event()

        async def elsewhere() -> None:
            await trio.sleep(100)
            done.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(elsewhere)
            await done.wait()
        await ctx.wait(Duration.seconds(1))
        return "done"

    finished = await run(handler)

    assert finished.result == "done"
    assert finished.invocations == ["PENDING", "SUCCEEDED"]


async def test_a_wait_alone_with_a_working_plain_task_suspends(autojump_clock: MockClock) -> None:
    """A plain background task is nobody's actor: with the handler parked, the invocation suspends."""
    cancelled: list[str] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        async def heartbeat() -> None:
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                cancelled.append("heartbeat")
                raise

        async with trio.open_nursery() as nursery:
            nursery.start_soon(heartbeat)
            await ctx.wait(Duration.minutes(5))
            nursery.cancel_scope.cancel()
        return "done"

    finished = await run(handler)

    assert finished.result == "done"
    assert finished.invocations == ["PENDING", "SUCCEEDED"]
    assert cancelled == ["heartbeat"] * 2
