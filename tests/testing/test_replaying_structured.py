"""Histories of structured workflows, replayed from every point: what is decided early is no false alarm."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from testing.histories_support import recorded
from trio.testing import MockClock

from durable_trio import (
    ChildContextError,
    DurableContext,
    DurableTimeoutError,
    Duration,
    StepError,
    durable_execution,
    fixed_delay,
    no_retry,
)
from durable_trio.testing import ReplayDivergenceError, redact_history, replay_history


def note(value: Any) -> Any:
    """Be a step."""
    return value


def explode() -> None:
    """Fail."""
    raise ValueError("it is broken")


async def napping(child: DurableContext, seconds: int) -> int:
    """Wait, and say how long."""
    await child.wait(Duration.seconds(seconds))
    return await child.step(note, seconds)


async def undo(child: DurableContext, value: Any) -> None:
    """Undo a step of a saga."""
    await child.wait(Duration.seconds(1))
    await child.step(note, f"undo {value}")


@durable_execution
async def races(event: Any, ctx: DurableContext) -> list[Any]:
    """Race, any, all_settled."""
    slow = ctx.wait(Duration.hours(9))
    first = await ctx.race([slow, ctx.run_in_child_context(napping, 5), ctx.run_in_child_context(napping, 7)])
    second = await ctx.any([ctx.step(explode, retry=no_retry()), ctx.run_in_child_context(napping, 3)])
    settled = await ctx.all_settled([ctx.step(explode, retry=no_retry()), ctx.step(note, 1)])
    await ctx.wait(Duration.seconds(1))
    return [first, second, len(settled)]


@durable_execution
async def deadlines(event: Any, ctx: DurableContext) -> list[Any]:
    """Deadlines that are met, and that are not, with cleanup behind a shield."""
    seen: list[Any] = []
    async with ctx.move_on_after(Duration.seconds(10)) as in_time:
        seen.append(await ctx.step(note, "in time"))
        await ctx.wait(Duration.seconds(3))
    async with ctx.move_on_after(Duration.seconds(10)) as too_late:
        await ctx.step(note, "begun")
        try:
            await ctx.wait(Duration.hours(1))
            await ctx.step(note, "never")
        finally:
            async with ctx.shield():
                seen.append(await ctx.step(note, "cleaned up"))
    try:
        async with ctx.fail_after(Duration.seconds(2)):
            await ctx.run_in_child_context(napping, 100)
    except DurableTimeoutError:
        seen.append("failed")
    return [*seen, in_time.timed_out, too_late.timed_out, await ctx.step(note, "last")]


@durable_execution
async def nurseries(event: Any, ctx: DurableContext) -> list[Any]:
    """Nurseries whose children all end, and one that fails."""
    handles: list[Any] = []
    async with ctx.open_nursery() as nursery:
        handles += [nursery.start_soon(napping, seconds) for seconds in (3, 1, 2)]
        await ctx.step(note, "meanwhile")
    values: list[Any] = [handle.value for handle in handles]
    try:
        async with ctx.open_nursery() as nursery:
            nursery.start_soon(napping, 1000)
            nursery.start_soon(failing)
            await ctx.wait(Duration.hours(5))
    except* ChildContextError:
        values.append("failed")
    return [*values, await ctx.step(note, "last")]


async def failing(child: DurableContext) -> None:
    """Fail after a while."""
    await child.wait(Duration.seconds(4))
    await child.step(explode, retry=no_retry())


@durable_execution
async def sagas(event: Any, ctx: DurableContext) -> list[Any]:
    """A saga that goes well, and one that is undone."""
    async with ctx.saga() as saga:
        await saga.step(note, "one", compensate=undo)
    try:
        async with ctx.saga(name="trip") as saga:
            await saga.step(note, "flight", name="flight", compensate=undo)
            await ctx.wait(Duration.seconds(5))
            await saga.step(note, "hotel", name="hotel", compensate=undo)
            await ctx.step(explode, retry=no_retry())
    except StepError as error:
        return [str(error), await ctx.step(note, "last")]
    return []


@durable_execution
async def retries(event: Any, ctx: DurableContext) -> list[Any]:
    """Blocks and items that are tried again."""

    async def block(child: DurableContext) -> str:
        attempts = await child.step(note, len(TRIES))
        TRIES.append(1)
        await child.wait(Duration.seconds(1))
        if attempts < 2:
            raise ConnectionError("try again")
        return f"after {attempts}"

    async def item(child: DurableContext, value: int, index: int) -> int:
        return await child.run_in_child_context(napping, value)

    once = await ctx.retry(block, retry=fixed_delay(Duration.seconds(9), max_attempts=5), name="block")
    batch = await ctx.map([1, 2], item, item_retry=fixed_delay(Duration.seconds(1), max_attempts=2))
    return [once, batch.results()]


TRIES: list[int] = []

HANDLERS = [races, deadlines, nurseries, sagas, retries]


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.fn.__name__)
async def test_structured_workflows_replay(handler: Any, autojump_clock: MockClock) -> None:
    """From every point, whatever the order of tasks."""
    TRIES.clear()
    history = await recorded(handler)
    assert history.status == "SUCCEEDED", history.error

    for seed in range(5):
        report = await replay_history(handler, history, seed=seed)
        assert report.left_out == 0
    await replay_history(handler, redact_history(history, lambda payload, place: payload))


async def test_a_removed_operation_is_found_in_spite_of_races(autojump_clock: MockClock) -> None:
    """What lost a race is created again, so what is not even created is gone; a virtual loser's is another matter."""

    async def virtual(child: DurableContext) -> int:
        return await napping(child, 100)

    waits = [True]

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        raced = [ctx.wait(Duration.seconds(1)), ctx.run_in_child_context(virtual, virtual=event == "virtual")]
        await ctx.race(raced)
        if waits[0]:
            await ctx.wait(Duration.seconds(1), name="gone")
        return "done"

    real, unrecorded = await recorded(handler), await recorded(handler, "virtual")
    await replay_history(handler, real)
    await replay_history(handler, unrecorded)

    waits[0] = False
    with pytest.raises(ReplayDivergenceError, match="Wait 'gone' is recorded, but was not asked for"):
        await replay_history(handler, real)


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.fn.__name__)
async def test_another_end_is_found(handler: Any, autojump_clock: MockClock) -> None:
    """One more operation at the end is new, whatever was decided early before it."""
    TRIES.clear()
    history = await recorded(handler)

    async def longer(event: Any, ctx: DurableContext) -> Any:
        result = await handler.fn(event, ctx)
        await ctx.run_in_child_context(one_more, name="one more")
        return result

    async def one_more(child: DurableContext) -> None:
        await trio.lowlevel.checkpoint()

    with pytest.raises(ReplayDivergenceError):
        await replay_history(durable_execution(longer), history)
