"""Where operations get their ids: from their place in the program, whatever order Trio wakes tasks in."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio
from support.runs import run
from support.scheduling import seeded_scheduling
from trio.testing import MockClock

from durable_trio import DurableContext, Duration, durable_execution

ROOT_1 = "1ced8f5be2db23a6513eba4d819c73806424748a7bc6fa0d792cc1c7d1775a97"
ROOT_1_BRANCH_0 = "1712f93e2f51df042e2b933907d75accfe34a48fe4a42a24e0b08131bc72d591"
ROOT_1_BRANCH_0_FIRST = "48550629202cb2d0e1bd4f07d826361bbd2defa71565264c01647fc2da0e9b1e"


async def double(value: int) -> int:
    """Return twice *value*, at once."""
    return 2 * value


def busy_program(delays: random.Random) -> Any:
    """Return a handler in which much happens at once; its steps take times drawn from *delays*."""

    async def slow(value: int) -> int:
        await trio.sleep(delays.random())
        return value

    async def pair(ctx: DurableContext, value: int) -> int:
        return sum(await ctx.all([ctx.step(slow, value), ctx.step(slow, value + 1)]))

    async def inner(ctx: DurableContext, value: int, index: int) -> int:
        first = await ctx.step(slow, value)
        if index == 1:
            await ctx.wait(Duration.seconds(20))
        return first + await ctx.run_in_child_context(pair, value)

    async def outer(ctx: DurableContext, value: int, index: int) -> list[int]:
        callback = await ctx.create_callback(name=f"answer {value}")
        batch = await ctx.map([value, value + 10], inner, max_concurrency=1 + index % 2)
        text = await callback.result()
        return [*batch.results(), len(text)]

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        batch = await ctx.map([0, 100], outer)
        both = await ctx.all((ctx.step(slow, 7), ctx.run_in_child_context(pair, 8)))
        return [batch.results(), list(both)]

    return handler


async def outcome_of(seed: int) -> Any:
    """Run the busy program with everything that is left to chance drawn from *seed*."""
    with seeded_scheduling(seed):
        answers: dict[str, str | None] = {"answer 0": "yes", "answer 100": "no"}
        finished = await run(busy_program(random.Random(seed)), answers=answers)
        record = [
            (id_, type_, sub_type, name, parent, status, None if type_ in {"WAIT", "CALLBACK"} else details)
            for id_, type_, sub_type, name, parent, status, details in finished.record()
        ]
        return finished.result, record


@pytest.mark.slow
async def test_ids_and_records_do_not_depend_on_scheduling(autojump_clock: MockClock) -> None:
    """A map of maps with children, callbacks and waits leaves the same record behind for 200 schedules."""
    expected = await outcome_of(0)

    for seed in range(1, 200):
        assert await outcome_of(seed) == expected, f"seed {seed} differs"


async def test_ids_are_taken_at_the_call(autojump_clock: MockClock) -> None:
    """An id is an operation's place among the calls of its context, not among its awaits."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[str]:
        first, second = ctx.step(double, 1), ctx.step(double, 2)
        await second
        await first
        return [first.id, second.id]

    finished = await run(handler)

    assert finished.result == sorted(finished.result, key=lambda id_: id_ != ROOT_1)
    assert finished.result[0] == ROOT_1


async def test_the_wire_identity_of_a_small_program(autojump_clock: MockClock) -> None:
    """Id, parent, name and subtype of what a program records are a file format."""

    async def item(ctx: DurableContext, value: int, index: int) -> int:
        return await ctx.step(double, value)

    async def submit(callback_id: str) -> None:
        return None

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.map([3], item, name="lines")
        await ctx.wait(Duration.seconds(1), name="cool-off")
        await ctx.wait_for_callback(submit, name="approval")
        await ctx.wait(Duration.seconds(1))

    finished = await run(handler, answers={"approval create callback id": "ok"})

    by_id = {operation.id: operation for operation in finished.operations}
    assert [
        (o.type.value, o.sub_type, o.name, by_id[o.parent_id].name if o.parent_id else None)
        for o in finished.operations[1:]
    ] == [
        ("CONTEXT", "Map", "lines", None),
        ("CONTEXT", "MapIteration", "map-item-0", "lines"),
        ("STEP", "Step", "double", "map-item-0"),
        ("WAIT", "Wait", "cool-off", None),
        ("CONTEXT", "WaitForCallback", "approval", None),
        ("CALLBACK", "Callback", "approval create callback id", "approval"),
        ("STEP", "Step", "approval submitter", "approval"),
        ("WAIT", "Wait", None, None),
    ]
    assert finished.named("lines").id == ROOT_1
    assert finished.named("map-item-0").id == ROOT_1_BRANCH_0
    assert finished.named("double").id == ROOT_1_BRANCH_0_FIRST


async def test_default_names_fit_the_service(autojump_clock: MockClock) -> None:
    """Names that come from functions are cut to 256 printable ASCII characters; a lambda gives none."""

    async def naïve(ctx: DurableContext) -> None:
        return None

    async def long() -> None:
        return None

    long.__name__ = "x" * 300

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.run_in_child_context(naïve)
        await ctx.run_in_child_context(lambda child: naïve(child))
        await ctx.step(long)
        await ctx.step(lambda: None)

    finished = await run(handler)

    assert [o.name for o in finished.operations[1:]] == ["na?ve", "child-context", "x" * 256, None]
