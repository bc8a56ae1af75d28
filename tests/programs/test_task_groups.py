"""Plain task groups around durable operations: no stray exception group, and nothing hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trio
from support.runs import run

from durable_trio import (
    DurableContext,
    Duration,
    durable_execution,
    no_retry,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock

HOUR = Duration.hours(1)


async def give(value: Any) -> Any:
    """Return the value."""
    return value


GROUPS: list[Callable[[], Any]] = [trio.open_nursery, anyio.create_task_group]
groups = pytest.mark.parametrize("open_group", GROUPS, ids=["trio", "anyio"])


@groups
async def test_a_task_group_around_a_suspension_is_invisible(
    open_group: Callable[[], Any], autojump_clock: MockClock
) -> None:
    """An operation suspends inside of a plain group with other tasks in it, and later goes on."""
    beats: list[int] = []

    async def beat() -> None:
        beats.append(1)
        await trio.sleep_forever()

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> str:
        async with open_group() as group:
            group.start_soon(beat)
            value = await ctx.step(give, "done")
            await trio.testing.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        await ctx.wait(HOUR)
        return str(value)

    finished = await run(handler)
    assert finished.result == "done"
    assert finished.invocations == ["PENDING", "SUCCEEDED"]
    assert len(beats) == 2


@groups
async def test_an_operation_in_a_plain_task_is_refused(
    open_group: Callable[[], Any], autojump_clock: MockClock
) -> None:
    """What fails the execution is the clear error itself, not the group that its nursery made of it."""

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> None:
        async def stray() -> None:
            await ctx.step(give, 1)

        async with open_group() as group:
            group.start_soon(stray)
            group.start_soon(stray)

    finished = await run(handler)
    assert finished.error.type == "ContextUseError"
    assert "ctx.all" in finished.error.message
    assert finished.invocations == ["FAILED"]


@groups
async def test_the_error_of_a_plain_task_is_the_news(
    open_group: Callable[[], Any], autojump_clock: MockClock
) -> None:
    """A task that fails cancels the operation beside it; what comes out is the task's error, as in plain Trio."""

    async def fail() -> None:
        await trio.sleep(1)
        raise KeyError("the task's own")

    async def slow() -> None:
        await trio.sleep(60)

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> str:
        names: list[str] = []
        try:
            async with open_group() as group:
                group.start_soon(fail)
                await ctx.step(slow)
        except* KeyError as errors:
            names = [repr(error) for error in errors.exceptions]
        return str(await ctx.step(give, names[0]))

    assert (await run(handler)).result == 'KeyError("the task\'s own")'


async def test_our_own_groups_show_no_group(autojump_clock: MockClock) -> None:
    """An error leaves ctx.all, a child context and a map's results as itself."""

    async def boom() -> None:
        raise ValueError("boom")

    async def child(ctx: DurableContext, *_: object) -> None:
        await ctx.step(boom, retry=no_retry())

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> list[str]:
        found = []
        makers: list[Callable[[], Awaitable[Any]]] = [
            lambda: ctx.all([ctx.step(boom, retry=no_retry()), ctx.wait(HOUR)]),
            lambda: ctx.run_in_child_context(child),
            lambda: ctx.all([ctx.run_in_child_context(child), ctx.run_in_child_context(child)]),
        ]
        for make in makers:
            try:
                await make()
            except Exception as error:  # noqa: BLE001  # whatever comes out is what is looked at
                found.append(type(error).__name__)
        batch = await ctx.map([1, 2], child)
        found.extend(type(error).__name__ for error in batch.errors())
        return found

    result = (await run(handler)).result
    assert result[:4] == ["StepError", "ChildContextError", "ChildContextError", "ChildContextError"]
    assert "ExceptionGroup" not in result
