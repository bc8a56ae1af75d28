"""Combinators inside of inline constructs, and constructs inside of what races."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from combinators.bodies import fail, give, slow
from support.crashes import Crash, Crashing
from support.runs import run
from support.scheduling import seeded_scheduling
from trio.testing import MockClock

from durable_trio import (
    ChildContextError,
    DurableContext,
    DurableTimeoutError,
    Duration,
    durable_execution,
    fixed_delay,
    no_retry,
)


async def in_deadlines(ctx: DurableContext) -> Any:
    """Race in a deadline that is over first, and in one that is not."""
    results: list[Any] = []
    async with ctx.move_on_after(Duration.minutes(1)) as scope:
        results.append(await ctx.race([ctx.wait(Duration.hours(1)), ctx.wait(Duration.hours(2))]))
    results.append(scope.timed_out)
    async with ctx.move_on_after(Duration.hours(1)) as scope:
        results.append(await ctx.any([ctx.step(fail, 0, "x", retry=no_retry()), ctx.step(give, "in time")]))
    results.append(scope.timed_out)
    try:
        async with ctx.fail_after(Duration.minutes(1)):
            await ctx.all_settled([ctx.step(give, 1), ctx.wait(Duration.hours(1))])
    except DurableTimeoutError:
        results.append("too slow")
    return results


async def deadline_in_race(ctx: DurableContext) -> Any:
    """Race children that have deadlines and nurseries of their own."""

    async def limited(ctx: DurableContext) -> str:
        async with ctx.move_on_after(Duration.minutes(1)):
            await ctx.wait(Duration.hours(1))
        return "limited"

    async def fans_out(ctx: DurableContext) -> str:
        async with ctx.open_nursery() as nursery:
            nursery.start_soon(endless)
            nursery.start_soon(endless)
        return "fanned out"

    async def endless(ctx: DurableContext) -> None:
        await ctx.wait(Duration.days(1))

    return await ctx.race([ctx.run_in_child_context(fans_out), ctx.run_in_child_context(limited)])


async def retry_of_a_deadline(ctx: DurableContext) -> Any:
    """Try a block that times out, twice; the strategy sees the time-out as what it is."""

    async def block(attempt: DurableContext) -> None:
        async with attempt.fail_after(Duration.hours(1)):
            await attempt.wait(Duration.hours(4))

    try:
        await ctx.retry(block, retry=fixed_delay(max_attempts=2, retry_on=DurableTimeoutError))
    except ChildContextError as error:
        return error.error_type


async def loser_with_a_saga(ctx: DurableContext) -> Any:
    """Win a race while the loser has something to undo: that is done before the race is over."""

    async def undo(ctx: DurableContext, result: str) -> None:
        await ctx.step(give, f"undone {result}", name="undoing")

    async def loser(ctx: DurableContext) -> None:
        async with ctx.saga() as saga:
            await saga.step(give, "booked", compensate=undo)
            await ctx.wait(Duration.days(1))

    return await ctx.race([ctx.run_in_child_context(loser), ctx.step(slow, 5, "quick")])


EXPECTED = {
    in_deadlines: [True, "in time", False, "too slow"],
    deadline_in_race: "limited",
    retry_of_a_deadline: "DurableTimeoutError",
    loser_with_a_saga: "quick",
}


def handler_of(program: Any) -> Any:
    """Return a handler that runs *program*, and suspends after it."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        result = await program(ctx)
        await ctx.wait(Duration.seconds(1))
        return result

    return handler


@pytest.mark.parametrize("program", EXPECTED, ids=lambda program: program.__name__)
async def test_constructs_compose(autojump_clock: MockClock, program: Any) -> None:
    """The results are what the parts promise; nothing takes longer than its deadline."""
    before = trio.current_time()
    finished = await run(handler_of(program))

    assert finished.status == "SUCCEEDED", finished.description.error
    assert finished.result == EXPECTED[program]
    assert trio.current_time() - before < 4 * 3600
    if program is loser_with_a_saga:
        assert finished.named("undoing").status == "SUCCEEDED"


@pytest.mark.slow
@pytest.mark.parametrize("program", EXPECTED, ids=lambda program: program.__name__)
async def test_under_crashes_and_schedules(autojump_clock: MockClock, program: Any) -> None:
    """Killed around any call, under different orders of tasks, the results are the same."""
    crashing = Crashing(handler_of(program), Crash(0, "before"))
    await run(crashing)
    for call in range(1, crashing.calls + 1):
        for when in ("before", "after"):
            with seeded_scheduling(call):
                finished = await run(Crashing(handler_of(program), Crash(call, when)))
            assert finished.status == "SUCCEEDED", (call, when, finished.description.error)
            assert finished.result == EXPECTED[program], (call, when)
