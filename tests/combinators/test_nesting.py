"""Combinators in combinators, and what becomes of the operations inside of one that lost."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from combinators.bodies import fail, give, slow
from support.crashes import Crash, Crashing
from support.runs import run
from trio.testing import MockClock

from durable_trio import (
    CheckpointingMode,
    CompletionConfig,
    DurableContext,
    Duration,
    OperationCancelledError,
    StepError,
    durable_execution,
    no_retry,
)


async def test_a_race_of_everything(autojump_clock: MockClock) -> None:
    """Operations of any type may race: nested combinators, maps, parallels, children; a value comes out as it is."""

    async def item(ctx: DurableContext, value: int, index: int) -> int:
        return int(await ctx.step(slow, value, value))

    async def branch(ctx: DurableContext) -> str:
        return str(await ctx.step(slow, 50, "branch"))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        first: Any = await ctx.race(
            [
                ctx.all([ctx.step(slow, 1, "a"), ctx.step(slow, 30, "b")]),
                ctx.map([1, 2, 3], item),
                ctx.parallel([branch]),
                ctx.any([ctx.step(fail, 1, "x", retry=no_retry()), ctx.step(slow, 20, "c")]),
            ]
        )
        second = await ctx.race(
            [
                ctx.race([ctx.wait(Duration.days(1)), ctx.step(slow, 3, "inner race")]),
                ctx.all_settled([ctx.step(fail, 1, "y", retry=no_retry()), ctx.wait(Duration.days(1))]),
            ]
        )
        third = await ctx.all((ctx.any([ctx.step(give, 1)]), ctx.all_settled([ctx.step(give, 2)])))
        await ctx.wait(Duration.seconds(1))
        return [first.results(), second, third[0], third[1][0].value]

    assert (await run(handler)).result == [[1, 2, 3], "inner race", 1, 2]


async def test_a_first_success_whose_loser_would_take_an_hour(autojump_clock: MockClock) -> None:
    """Map, parallel and any return at once, and the loser's body is cancelled."""
    cut: list[str] = []

    async def branch(ctx: DurableContext, seconds: float, index: int = 0) -> float:
        async def body() -> float:
            try:
                await trio.sleep(seconds)
            except trio.Cancelled:
                cut.append(f"{seconds}")
                raise
            return seconds

        return float(await ctx.step(body))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        batch = await ctx.map([1.0, 3600.0], branch, completion=CompletionConfig.first_successful())
        value = await ctx.any([ctx.run_in_child_context(branch, seconds) for seconds in (3600.0, 1.0)])
        return [batch.results(), value]

    before = trio.current_time()
    assert (await run(handler)).result == [[1.0], 1.0]
    assert trio.current_time() - before < 10
    assert cut == ["3600.0"] * 2


async def test_inside_of_a_loser(autojump_clock: MockClock) -> None:
    """What had ended inside of a combinator that lost has its outcome, waits go on, the rest was cancelled."""
    seen: list[Any] = []

    async def virtual(ctx: DurableContext) -> str:
        return str(await ctx.step(give, "virtual"))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        done, wait, cut = ctx.step(give, "done"), ctx.wait(Duration.hours(1)), ctx.step(slow, 60, "cut")
        unrecorded = ctx.run_in_child_context(virtual, virtual=True)
        inner = ctx.all([done, wait, cut, ctx.all([unrecorded])])
        answers: list[Any] = [await ctx.race([inner, ctx.step(slow, 5, "won")])]
        for lost in (inner, cut, unrecorded):
            with pytest.raises(OperationCancelledError):
                await lost
        answers.append(await done)
        seen.append(answers)
        await wait
        return "an hour later"

    finished = await run(handler)

    assert finished.result == "an hour later", finished.description.error
    assert seen == [["won", "done"]] * 2


async def test_inside_of_an_all_that_was_through(autojump_clock: MockClock) -> None:
    """When an outer ``all`` fails, an inner one that had succeeded keeps its values, and its operations theirs."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        one, two = ctx.step(give, 1), ctx.step(give, 2)
        inner = ctx.all([one, two])
        with pytest.raises(StepError):
            await ctx.all([inner, ctx.step(fail, 1, "no", retry=no_retry())])
        seen.append([await two, await inner, await one])
        await ctx.wait(Duration.seconds(1))

    finished = await run(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert seen == [[2, [1, 2], 1]] * 2


async def test_the_time_is_the_winners(autojump_clock: MockClock) -> None:
    """``ctx.now()`` hears of what the program has awaited, not of losers that were through as well."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        quick, steady = ctx.step(slow, 1, "quick"), ctx.step(slow, 10, "steady")
        with pytest.raises(StepError):
            await ctx.all([quick, ctx.step(fail, 5, "no", retry=no_retry()), steady])
        times = [ctx.now()]
        first, second = ctx.wait(Duration.minutes(1)), ctx.wait(Duration.minutes(2))
        await ctx.race([second, first])
        times.append(ctx.now())
        await second
        times.append(ctx.now())
        seen.append(times)
        await ctx.wait(Duration.seconds(1))

    finished = await run(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert len(seen) >= 2
    assert all(times == seen[0] for times in seen)
    failed, one_minute, two_minutes = seen[0]
    assert (one_minute - failed).total_seconds() == pytest.approx(60, abs=1)
    assert (two_minutes - failed).total_seconds() == pytest.approx(120, abs=1)


@pytest.mark.parametrize("mode", CheckpointingMode)
async def test_in_every_mode(autojump_clock: MockClock, mode: CheckpointingMode) -> None:
    """Verdicts are recorded once, and before anybody sees them, however updates are sent."""

    @durable_execution(checkpointing=mode)
    async def handler(event: Any, ctx: DurableContext) -> Any:
        answers: list[Any] = [await ctx.race([ctx.step(slow, 1, "a"), ctx.wait(Duration.days(1))])]
        answers.append(await ctx.any([ctx.step(fail, 0, "x", retry=no_retry()), ctx.step(slow, 1, "b")]))
        try:
            await ctx.all([ctx.step(fail, 1, "y", retry=no_retry()), ctx.wait(Duration.days(1))])
        except StepError as error:
            answers.append(str(error))
        await ctx.wait(Duration.seconds(1))
        return answers

    finished = await run(handler)

    assert finished.result == ["a", "b", "y"]
    assert finished.event_types.count("ContextStarted") == 3


async def test_a_verdict_that_was_cut_in_half(autojump_clock: MockClock) -> None:
    """In EAGER mode a verdict takes two requests; killed between them, the execution goes on under its first START."""

    @durable_execution(checkpointing=CheckpointingMode.EAGER)
    async def handler(event: Any, ctx: DurableContext) -> Any:
        answers: list[Any] = [await ctx.race([ctx.step(slow, 1, "a"), ctx.wait(Duration.days(1))])]
        answers.append(await ctx.any([ctx.step(fail, 0, "x", retry=no_retry()), ctx.step(slow, 1, "b")]))
        try:
            await ctx.any([ctx.step(fail, 0, "y", retry=no_retry())])
        except ExceptionGroup as group:
            answers.append([str(error) for error in group.exceptions])
        try:
            await ctx.all([ctx.step(fail, 1, "z", retry=no_retry()), ctx.wait(Duration.days(1))])
        except StepError as error:
            answers.append(str(error))
        return answers

    reference = Crashing(handler, Crash(0, "before"))
    assert (await run(reference)).result == ["a", "b", ["y"], "z"]
    for call in range(1, reference.calls + 1):
        finished = await run(Crashing(handler, Crash(call, "after")))
        assert finished.result == ["a", "b", ["y"], "z"], call
        assert finished.event_types.count("ContextStarted") == 4, call
