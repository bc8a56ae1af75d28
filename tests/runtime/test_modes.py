"""The three checkpointing modes are three different points: calls, what waits, what a crash runs again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
import trio
import trio.testing
from support.crashes import Crash, Crashing
from support.runs import Handler, Run, run

from durable_trio import (
    CheckpointingMode,
    ContextUseError,
    DurableContext,
    Duration,
    StepSemantics,
    durable_execution,
)

STEPS = 6


def workflow(mode: CheckpointingMode, bodies: list[int]) -> Handler:
    """Return a handler of a few steps in a row, in a child context."""

    async def body(number: int) -> int:
        bodies.append(number)
        return number

    async def several(ctx: DurableContext) -> int:
        total = 0
        for number in range(STEPS):
            total += await ctx.step(body, number)
        return total

    @durable_execution(checkpointing=mode)
    async def handler(event: Any, ctx: DurableContext) -> int:
        return await ctx.run_in_child_context(several)

    return handler


async def run_in(mode: CheckpointingMode) -> Run:
    """Run the workflow once."""
    return await run(workflow(mode, []))


async def test_calls_go_down_from_eager_to_optimistic(autojump_clock: trio.testing.MockClock) -> None:
    """EAGER makes a call per update, BATCHED one per acknowledged step, OPTIMISTIC a few for everything."""
    eager = await run_in(CheckpointingMode.EAGER)
    batched = await run_in(CheckpointingMode.BATCHED)
    optimistic = await run_in(CheckpointingMode.OPTIMISTIC)

    assert [len(call.updates) for call in eager.calls] == [1] * (2 * STEPS + 2)
    assert len(batched.calls) == STEPS + 1
    assert len(optimistic.calls) <= 2
    assert eager.record() == batched.record() == optimistic.record()
    assert eager.result == batched.result == optimistic.result == sum(range(STEPS))


@pytest.mark.parametrize(
    ("mode", "again"),
    [(CheckpointingMode.EAGER, 0), (CheckpointingMode.BATCHED, 0), (CheckpointingMode.OPTIMISTIC, STEPS)],
)
async def test_a_crash_costs_what_was_not_acknowledged(
    autojump_clock: trio.testing.MockClock, mode: CheckpointingMode, again: int
) -> None:
    """Before its last call is stored, OPTIMISTIC may lose every step of it; the others lose no finished step."""
    uninterrupted = await run_in(mode)
    bodies: list[int] = []
    crash = Crash(call=len(uninterrupted.calls) if again else 2 * 1, when="before" if again else "after")

    finished = await run(Crashing(workflow(mode, bodies), crash))

    assert finished.result == uninterrupted.result
    repeated = len(bodies) - STEPS
    assert repeated == again if again else repeated <= 1


async def test_promises_are_flushed_first(autojump_clock: trio.testing.MockClock) -> None:
    """In OPTIMISTIC mode everything is durable before a callback, an at-most-once body or a suspension."""

    async def body() -> str:
        return "x"

    @durable_execution(checkpointing=CheckpointingMode.OPTIMISTIC)
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(body)
        await ctx.step(body, name="once", semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY)
        await ctx.step(body)
        callback = await ctx.create_callback(name="c", timeout=Duration.seconds(1))
        await ctx.step(body)
        await ctx.wait(Duration.seconds(1))
        assert callback.callback_id

    finished = await run(handler)

    assert finished.status == "SUCCEEDED"
    assert [str(call) for call in finished.calls if call.updates] == [
        "STEP START, STEP SUCCEED, STEP START",
        "STEP SUCCEED, STEP START, STEP SUCCEED, CALLBACK START",
        "STEP START, STEP SUCCEED, WAIT START",
    ]


async def test_time_waits_for_its_source(autojump_clock: trio.testing.MockClock) -> None:
    """``ctx.now()`` refuses to guess while a step's end is in flight; after ``flush`` it knows."""

    async def body() -> None:
        return None

    seen: list[datetime] = []

    @durable_execution(checkpointing=CheckpointingMode.OPTIMISTIC)
    async def handler(event: Any, ctx: DurableContext) -> bool:
        first_run = not ctx.is_replaying
        await ctx.step(body)
        if first_run:
            with pytest.raises(ContextUseError, match="flush"):
                ctx.now()
        await ctx.flush()
        seen.append(ctx.now())
        await ctx.wait(Duration.seconds(1))
        return seen[-1] < ctx.now()

    assert (await run(handler)).result is True
    assert len(seen) == 2
    assert len(set(seen)) == 1
