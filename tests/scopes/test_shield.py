"""Clean-up after a durable cut: what runs, what does not, and what shields it."""

# ruff: noqa: SIM117  # what raises is the end of a block, and blocks stand one per line as users write them

# A block may be cut before it binds what is read after it; these tests know where it is.
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

from typing import Any

import pytest
import trio
from support.runs import run
from trio.testing import MockClock

from durable_trio import (
    ChildContextError,
    ContextUseError,
    DurableContext,
    Duration,
    durable_execution,
)

SECOND = Duration.seconds(1)
TEN_SECONDS = Duration.seconds(10)
HOUR = Duration.hours(1)
DAY = Duration.days(1)


async def give(value: Any) -> Any:
    """Return *value*."""
    return value


async def test_operations_in_finally_do_not_run_without_a_shield(autojump_clock: MockClock) -> None:
    """A cut is a level: whatever durable is awaited after it is cancelled as well."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.move_on_after(TEN_SECONDS):
            try:
                await ctx.wait(HOUR)
            finally:
                await ctx.step(give, 1, name="unshielded")
        return "left"

    finished = await run(handler)
    assert finished.result == "left"
    assert [o for o in finished.operations if o.name == "unshielded"] == []


async def test_shielded_clean_up_runs_once_over_suspensions(autojump_clock: MockClock) -> None:
    """It may wait for days; its ids are in a namespace of its own; replay gives its values again."""
    done: list[int] = []

    async def act(value: int) -> int:
        done.append(value)
        return value

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        values = []
        async with ctx.move_on_after(TEN_SECONDS):
            try:
                await ctx.wait(HOUR)
            finally:
                async with ctx.shield():
                    values.append(await ctx.step(act, 1))
                    await ctx.wait(DAY)
                    values.append(await ctx.step(act, 2))
                await ctx.step(act, 3)
        await ctx.wait(DAY)
        return values

    assert (await run(handler)).result == [1, 2]
    assert done == [1, 2]


async def test_a_cut_waits_for_the_shield_to_be_left(autojump_clock: MockClock) -> None:
    """A deadline that ends inside a shield is delivered at the first operation after it."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        result = []
        async with ctx.move_on_after(TEN_SECONDS) as deadline:
            async with ctx.shield():
                await ctx.wait(HOUR)
                result.append(await ctx.step(give, "inside"))
            result.append("after")
            await ctx.step(give, 1, name="never")
            result.append("never")
        return [*result, deadline.timed_out]

    finished = await run(handler)
    assert finished.result == ["inside", "after", True]
    assert [o for o in finished.operations if o.name == "never"] == []


async def test_a_shield_does_not_hold_up_a_suspension(autojump_clock: MockClock) -> None:
    """The invocation ends in the middle of it, without errors, and the next one is in it again."""
    errors: list[BaseException] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.shield():
            try:
                await ctx.wait(HOUR)
            except BaseException as error:
                errors.append(error)
                raise
        return "done"

    finished = await run(handler)
    assert finished.result == "done"
    assert finished.invocations == ["PENDING", "SUCCEEDED"]
    assert {type(error) for error in errors} == {trio.Cancelled}


async def test_a_deadline_inside_a_shield_cuts(autojump_clock: MockClock) -> None:
    """A shield keeps off what is around it, not what is in it."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.move_on_after(TEN_SECONDS) as outer:
            async with ctx.shield():
                async with ctx.move_on_after(HOUR) as inner:
                    await ctx.wait(DAY)
        return [outer.timed_out, inner.timed_out]

    assert (await run(handler)).result == [False, True]


async def test_a_plain_shield_is_told_about_the_durable_one(autojump_clock: MockClock) -> None:
    """Trio's shield keeps Trio's cancellation off; a durable operation in it is refused, with the remedy."""
    told: list[str] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.move_on_after(TEN_SECONDS):
            try:
                await ctx.wait(HOUR)
            finally:
                with trio.CancelScope(shield=True), pytest.raises(ContextUseError) as error:
                    await ctx.step(give, 1)
                told.append(str(error.value))
        return "left"

    assert (await run(handler)).result == "left"
    assert "async with ctx.shield()" in told[-1]


async def test_a_shield_in_a_child_that_is_thrown_away(autojump_clock: MockClock) -> None:
    """The sibling of a failed child may clean up, too; the nursery waits for it."""
    done: list[str] = []

    async def act(value: str) -> None:
        done.append(value)

    async def child(ctx: DurableContext) -> None:
        try:
            await ctx.wait(DAY)
        finally:
            async with ctx.shield():
                await ctx.step(act, "clean-up")

    async def bad(ctx: DurableContext) -> None:
        await ctx.wait(SECOND)
        raise ValueError("bad")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        try:
            async with ctx.open_nursery() as nursery:
                nursery.start_soon(child)
                nursery.start_soon(bad)
        except* ChildContextError:
            done.append("caught")
        return list(done)

    assert (await run(handler)).result == ["clean-up", "caught"]


async def test_a_shield_without_a_cut_is_only_a_namespace(autojump_clock: MockClock) -> None:
    """It records nothing of its own: its operations belong to the context around it."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.shield():
            await ctx.step(give, 1, name="inside")
        await ctx.step(give, 2, name="after")
        await ctx.wait(SECOND)

    finished = await run(handler)
    assert finished.named("inside").parent_id is None
    assert finished.named("inside").id.startswith("974bfc")  # the first in the namespace of the root's first
    assert finished.named("after").id.startswith("c5faca")
