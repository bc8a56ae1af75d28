"""``ctx.uuid()``, ``ctx.random()``, ``ctx.now()``: chance and time that replay gives again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio
from support.clients import Script
from support.crashes import Crash, Crashing
from support.runs import run
from support.scheduling import seeded_scheduling
from trio.testing import MockClock

from durable_trio import (
    CallbackTimeoutError,
    ChildContextError,
    DurableContext,
    Duration,
    StepError,
    durable_execution,
    no_retry,
)
from durable_trio.local import LocalSettings


async def give(value: Any) -> Any:
    """Return *value*."""
    return value


async def fail() -> None:
    """Raise a ValueError."""
    raise ValueError("no")


async def submit(callback_id: str) -> None:
    """Tell nobody."""


async def test_values_are_the_same_on_replay(autojump_clock: MockClock) -> None:
    """Each call gives another value, and every replay the same ones in the same order."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        before = [str(ctx.uuid()), ctx.random().random()]
        await ctx.wait(Duration.seconds(1))
        after = [str(ctx.uuid()), ctx.random().random()]
        seen.append((before, after))
        await ctx.wait(Duration.seconds(1))

    finished = await run(handler)

    assert finished.status == "SUCCEEDED"
    assert seen == [seen[0]] * 2
    assert len({*seen[0][0], *seen[0][1]}) == 4


async def test_values_differ_between_contexts_and_executions(autojump_clock: MockClock) -> None:
    """Namespaces and executions do not share values; scheduling has no say in them."""

    async def item(ctx: DurableContext, value: int, index: int) -> str:
        await ctx.step(trio.sleep, 0)
        return str(ctx.uuid())

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return [str(ctx.uuid()), ctx.execution_arn, *(await ctx.map(range(5), item)).results()]

    first, second = (await run(handler)).result, (await run(handler)).result

    assert len({first[0], *first[2:], second[0], *second[2:]}) == 12


async def test_scheduling_has_no_say(autojump_clock: MockClock) -> None:
    """Values of concurrent contexts depend on their place alone."""

    async def item(ctx: DurableContext, value: int, index: int) -> float:
        await ctx.step(trio.sleep, 0)
        return ctx.random().random()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return (await ctx.map(range(8), item)).results()

    results = []
    for seed in range(5):
        with seeded_scheduling(seed):
            results.append((await run(handler, settings=LocalSettings(random_seed=7))).result)

    assert results == [results[0]] * 5


async def test_a_uuid_looks_like_one(autojump_clock: MockClock) -> None:
    """It has the form of version 4, and none is ever an operation's id."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        uuids = [ctx.uuid() for _ in range(50)]
        assert {value.version for value in uuids} == {4}
        step = ctx.step(give, 1)
        assert not any(step.id.startswith(value.hex[:8]) for value in uuids)
        await step

    assert (await run(handler)).status == "SUCCEEDED"


async def test_now_is_the_start_at_first(autojump_clock: MockClock) -> None:
    """Before anything was awaited the time is the execution's start: aware, UTC, whole milliseconds."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        now = ctx.now()
        assert now.tzinfo is UTC
        assert now.microsecond % 1000 == 0
        return now.isoformat()

    finished = await run(handler)

    started = datetime.fromtimestamp(finished.description.started_at / 1000, UTC)
    assert abs(datetime.fromisoformat(finished.result) - started) < timedelta(milliseconds=1)


@pytest.mark.parametrize("silent", [False, True])
async def test_now_is_the_same_on_replay(silent: bool, autojump_clock: MockClock) -> None:
    """After operations of every kind, ended well or badly, the time is the same on the first run and on replay."""
    seen: list[list[str]] = []

    async def child(ctx: DurableContext) -> None:
        await ctx.step(trio.sleep, 3)
        await ctx.wait(Duration.seconds(5))

    async def item(ctx: DurableContext, value: int, index: int) -> None:
        await ctx.step(trio.sleep, value)

    async def failing(ctx: DurableContext) -> None:
        await ctx.step(trio.sleep, 2)
        await ctx.step(fail, retry=no_retry())

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        times: list[str] = []

        def note() -> None:
            times.append(ctx.now().isoformat())

        note()
        await ctx.step(trio.sleep, 1)
        note()
        await ctx.wait(Duration.hours(1))
        note()
        with pytest.raises(StepError):
            await ctx.step(fail, retry=no_retry())
        note()
        await ctx.run_in_child_context(child)
        note()
        with pytest.raises(ChildContextError):
            await ctx.run_in_child_context(failing)
        note()
        await ctx.run_in_child_context(child, virtual=True)
        note()
        await ctx.map([1, 2], item)
        note()
        await ctx.all(
            [ctx.step(trio.sleep, 2), ctx.wait(Duration.seconds(4)), ctx.run_in_child_context(child)]
        )
        note()
        with pytest.raises(StepError):
            await ctx.all([ctx.step(fail, retry=no_retry()), ctx.wait(Duration.days(1))])
        note()
        callback = await ctx.create_callback(name="answer")
        note()
        await callback.result()
        note()
        with pytest.raises(CallbackTimeoutError):
            await ctx.wait_for_callback(submit, timeout=Duration.hours(1))
        note()
        await ctx.wait_for_callback(submit, name="ask")
        note()
        seen.append(times)
        await ctx.wait(Duration.seconds(1))

    finished = await run(
        handler, answers={"answer": "yes", "ask create callback id": "yes"}, wrap=Script(silent=silent)
    )

    assert finished.status == "SUCCEEDED", finished.description.error
    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert seen[0] == sorted(seen[0])
    # The waits are in it.
    first, last = datetime.fromisoformat(seen[0][0]), datetime.fromisoformat(seen[0][-1])
    assert last - first > timedelta(hours=2)


@pytest.mark.parametrize("call", range(1, 7))
async def test_now_after_a_crash(call: int, autojump_clock: MockClock) -> None:
    """What was seen of the time is not revised by a crash: a recorded decision by it stands."""
    seen: list[str] = []

    async def remember(text: str) -> str:
        seen.append(text)
        return text

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> bool:
        await ctx.step(trio.sleep, 1)
        await ctx.wait(Duration.seconds(5))
        then = await ctx.step(remember, ctx.now().isoformat())
        await ctx.wait(Duration.seconds(5))
        await ctx.step(give, 1)
        return then == seen[-1]

    finished = await run(Crashing(handler, Crash(call, "after")))

    assert finished.result is True
    assert len(set(seen)) == 1
