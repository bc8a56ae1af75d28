"""Inline constructs when more ends than their block: the invocation's time, the execution, the host's patience."""

# A block may be cut before it binds what is read after it; these tests know where it is.
# pyright: reportPossiblyUnboundVariable=false
# ruff: noqa: SIM117  # what raises is the end of a block, and blocks stand one per line as users write them

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import anyio
import pytest
import trio
from support.leaks import nothing_left
from support.runs import run
from trio.testing import MockClock

from durable_trio import (
    DurableContext,
    Duration,
    StepError,
    StepInterruptedError,
    durable_execution,
    fixed_delay,
    no_retry,
)

SECOND = Duration.seconds(1)
HOUR = Duration.hours(1)
DAY = Duration.days(1)


async def give(value: Any) -> Any:
    """Return *value*."""
    return value


async def slow(seconds: float) -> float:
    """Take *seconds*."""
    await trio.sleep(seconds)
    return seconds


async def waiting(ctx: DurableContext, *_: Any) -> None:
    """Wait a day."""
    await ctx.wait(DAY)


async def undo(ctx: DurableContext, result: Any) -> None:
    """Undo something, slowly."""
    await ctx.step(slow, 3.0, name="undo")


async def test_a_step_longer_than_an_invocation_uses_up_its_attempts(autojump_clock: MockClock) -> None:
    """Near the end of the invocation's time nothing is taken for a cut: the block goes on in the next one."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        result: list[Any] = []
        async with ctx.move_on_after(HOUR) as deadline:
            try:
                async with ctx.saga() as saga:
                    await saga.step(give, 1, compensate=undo)
                    await ctx.step(slow, 60, retry=fixed_delay(SECOND, max_attempts=2))
            except StepInterruptedError as error:
                result.append(type(error).__name__)
        try:
            async with ctx.open_nursery() as nursery:
                nursery.start_soon(waiting)
                await ctx.step(slow, 60, retry=no_retry())
        except* StepError:
            result.append("nursery")
        return [*result, deadline.timed_out]

    with nothing_left():
        finished = await run(handler, timeout_seconds=30)
    assert finished.result == ["StepInterruptedError", "nursery", False]


async def test_a_deadline_inside_an_invocation_that_runs_out(autojump_clock: MockClock) -> None:
    """A retry that is pending at the end of one invocation is cut by the deadline in a later one."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.move_on_after(Duration.seconds(40)) as deadline:
            await ctx.step(slow, 60, retry=fixed_delay(HOUR))
        return deadline.timed_out

    assert (await run(handler, timeout_seconds=30)).result is True


async def test_complete_ends_everything(autojump_clock: MockClock) -> None:
    """An execution that is completed from inside its blocks ends as that says; nothing is undone."""
    undone: list[Any] = []

    async def note(ctx: DurableContext, result: Any) -> None:
        undone.append(result)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.move_on_after(HOUR):
            async with ctx.open_nursery() as nursery:
                nursery.start_soon(waiting)
                async with ctx.saga() as saga:
                    await saga.step(give, 1, compensate=note)
                    async with ctx.shield():
                        await ctx.complete("early")

    with nothing_left():
        finished = await run(handler)
    assert finished.result == "early"
    assert not undone


async def test_an_invocation_that_is_cancelled_from_outside_has_crashed(autojump_clock: MockClock) -> None:
    """The host's time limit is nobody's cut: nothing is recorded as decided, and the next one goes on."""

    class Impatient:
        """Gives its second invocation a second."""

        def __init__(self) -> None:
            self.count = 0

        async def invoke(self, event: Any, lambda_context: Any, *, client: Any) -> Any:
            self.count += 1
            if self.count != 2:
                return await handler.invoke(event, lambda_context, client=client)
            with trio.fail_after(1):
                return await handler.invoke(event, lambda_context, client=client)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.move_on_after(HOUR) as deadline:
            async with ctx.saga() as saga:
                await saga.step(give, 1, compensate=undo)
                await ctx.wait(SECOND)
                async with ctx.open_nursery() as nursery:
                    nursery.start_soon(ctx.step(slow, 5))
                    await ctx.step(slow, 3)
        return [deadline.timed_out, saga.report]

    with nothing_left():
        finished = await run(Impatient())
    assert finished.result == [False, None]
    assert finished.invocations == ["PENDING", "raised", "SUCCEEDED"]


PLAIN: dict[str, Callable[[float], AbstractContextManager[Any]]] = {
    "trio": trio.move_on_after,
    "anyio": anyio.move_on_after,
}


@pytest.mark.parametrize("plain", PLAIN.values(), ids=PLAIN.keys())
async def test_a_plain_deadline_in_a_durable_block_is_refused(
    plain: Callable[[float], AbstractContextManager[Any]], autojump_clock: MockClock
) -> None:
    """Durable blocks carry no deadline of Trio's; one of the user's around an operation is found, wherever it is."""

    async def child(ctx: DurableContext) -> None:
        with plain(30):
            await ctx.wait(HOUR)

    async def in_nursery(ctx: DurableContext) -> None:
        async with ctx.open_nursery() as nursery:
            nursery.start_soon(child)

    async def in_body(ctx: DurableContext) -> None:
        async with ctx.move_on_after(HOUR), ctx.saga(), ctx.shield():
            with plain(30):
                await ctx.wait(HOUR)

    async def around(ctx: DurableContext) -> None:
        with plain(30):
            async with ctx.open_nursery() as nursery:
                nursery.start_soon(waiting)

    for program in (in_nursery, in_body, around):

        @durable_execution
        async def handler(event: Any, ctx: DurableContext, program: Any = program) -> None:
            await program(ctx)

        finished = await run(handler)
        assert finished.error.type == "ContextUseError"
        assert "ctx.move_on_after(...)" in finished.error.message
        assert finished.invocations == ["FAILED"]


async def test_plain_scopes_in_steps_of_durable_blocks_are_welcome(autojump_clock: MockClock) -> None:
    """In the body of a step, a time-out is an error like any other, also one that is awaited in a nursery."""

    async def impatient() -> str:
        with trio.move_on_after(1):
            await trio.sleep(60)
        try:
            with anyio.fail_after(1):
                await anyio.sleep(60)
        except TimeoutError:
            return "moved on"
        return "never"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.move_on_after(HOUR), ctx.open_nursery() as nursery:
            handle = nursery.start_soon(ctx.step(impatient))
            own = await ctx.step(impatient)
        return [own, handle.value]

    assert (await run(handler)).result == ["moved on", "moved on"]
