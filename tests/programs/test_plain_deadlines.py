"""Plain deadlines and cancels around durable operations neither loop nor lie: they end the execution.

A scope of plain Trio or anyio would be decided afresh on every replay. Inside the body of a step it is welcome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trio
from support.runs import run

from durable_trio import (
    CompletionConfig,
    DurableContext,
    Duration,
    current_step,
    durable_execution,
    fixed_delay,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

    from trio.testing import MockClock

HOUR = Duration.hours(1)


async def give(value: Any) -> Any:
    """Return the value."""
    return value


DEADLINES: dict[str, Callable[[float], AbstractContextManager[Any]]] = {
    "trio.move_on_after": trio.move_on_after,
    "trio.fail_after": trio.fail_after,
    "anyio.move_on_after": anyio.move_on_after,
    "anyio.fail_after": anyio.fail_after,
}
deadlines = pytest.mark.parametrize("deadline", DEADLINES.values(), ids=DEADLINES.keys())


async def _slow(*_: object) -> None:
    await trio.sleep(300)


async def _slow_child(ctx: DurableContext, *_: object) -> None:
    await ctx.step(_slow)


async def _sleepy_child(ctx: DurableContext, *_: object) -> None:
    await _slow()


async def _waiting_child(ctx: DurableContext, *_: object) -> None:
    await ctx.wait(HOUR)


async def _fail() -> None:
    raise OSError("again")


async def _callback(ctx: DurableContext) -> Any:
    callback = await ctx.create_callback()
    return await callback.result()


OPERATIONS: dict[str, Callable[[DurableContext], Awaitable[Any]]] = {
    "step": lambda ctx: ctx.step(_slow),
    "step that retries": lambda ctx: ctx.step(_fail, retry=fixed_delay(HOUR)),
    "wait": lambda ctx: ctx.wait(HOUR),
    "callback": _callback,
    "wait for callback": lambda ctx: ctx.wait_for_callback(give),
    "condition": lambda ctx: ctx.wait_for_condition(
        give, initial_state=0, until=lambda _: False, interval=Duration.hours(1)
    ),
    "invoke": lambda ctx: ctx.invoke("function-under-test"),
    "child with a step": lambda ctx: ctx.run_in_child_context(_slow_child),
    "child that sleeps": lambda ctx: ctx.run_in_child_context(_sleepy_child),
    "child with a wait": lambda ctx: ctx.run_in_child_context(_waiting_child),
    "virtual child": lambda ctx: ctx.run_in_child_context(_waiting_child, virtual=True),
    "all": lambda ctx: ctx.all([ctx.step(_slow), ctx.wait(HOUR)]),
    "map with steps": lambda ctx: ctx.map([1, 2], _slow_child),
    "map with waits": lambda ctx: ctx.map(
        [1, 2], _waiting_child, completion=CompletionConfig.all_completed()
    ),
}
operations = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())


@deadlines
@operations
async def test_a_plain_deadline_around_an_operation_is_refused(
    operation: Callable[[DurableContext], Awaitable[Any]],
    deadline: Callable[[float], AbstractContextManager[Any]],
    autojump_clock: MockClock,
) -> None:
    """It ends the execution at once, in its first invocation, with an error that names what to use instead."""
    after: list[str] = []

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> str:
        with deadline(30):
            await operation(ctx)
        await ctx.step(give, 1)
        after.append("went on")
        return "in time"

    finished = await run(handler)
    assert finished.error.type == "ContextUseError"
    assert "timeout=" in finished.error.message
    assert finished.invocations == ["FAILED"]
    assert not after


@operations
async def test_a_plain_deadline_cannot_be_swallowed(
    operation: Callable[[DurableContext], Awaitable[Any]], autojump_clock: MockClock
) -> None:
    """Code that catches everything and returns a value has not decided anything: the execution fails."""

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> str:
        try:
            with trio.fail_after(30):
                await operation(ctx)
        except Exception:  # noqa: BLE001  # the careless code that this is about
            return "late"
        return "in time"

    finished = await run(handler)
    assert finished.error.type == "ContextUseError"
    assert finished.invocations == ["FAILED"]


async def test_a_cancel_by_a_plain_task_is_refused(autojump_clock: MockClock) -> None:
    """A scope of the user's that somebody cancels is no better than a deadline."""

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> None:
        async with trio.open_nursery() as nursery:

            async def cut() -> None:
                await trio.sleep(1)
                nursery.cancel_scope.cancel("the user's own")

            nursery.start_soon(cut)
            await ctx.step(_slow)

    finished = await run(handler)
    assert finished.error.type == "ContextUseError"
    assert finished.invocations == ["FAILED"]


async def test_a_plain_deadline_in_one_branch_ends_the_execution(autojump_clock: MockClock) -> None:
    """It is no failure of the branch that a batch might tolerate."""

    async def item(ctx: DurableContext, item: int, index: int) -> None:
        if item == 2:
            with trio.move_on_after(1):
                await ctx.wait(HOUR)
        await ctx.wait(HOUR)

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> int:
        batch = await ctx.map([1, 2, 3], item, completion=CompletionConfig.all_completed())
        return batch.success_count

    finished = await run(handler)
    assert finished.error.type == "ContextUseError"
    assert finished.invocations == ["FAILED"]


async def test_deadlines_inside_a_step_are_the_users_business(autojump_clock: MockClock) -> None:
    """In the body of a step plain deadlines, cancels and task groups are what they always are."""

    async def body() -> list[str]:
        with trio.move_on_after(1) as scope:
            await trio.sleep(60)
        async with anyio.create_task_group() as group:
            group.start_soon(trio.sleep, 60)
            group.cancel_scope.cancel()
        return ["moved on"] if scope.cancelled_caught else []

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> list[str]:
        return await ctx.step(body)

    assert (await run(handler)).result == ["moved on"]


async def test_a_deadline_that_is_met_does_no_harm(autojump_clock: MockClock) -> None:
    """A step that gets through in time, and has not to wait at the service, is not touched."""

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> int:
        with trio.fail_after(30):
            value = await ctx.step(give, 1)
        await ctx.wait(HOUR)
        return int(value)

    finished = await run(handler)
    assert finished.result == 1
    assert finished.invocations == ["PENDING", "SUCCEEDED"]


async def test_a_loser_with_a_deadline_just_loses(autojump_clock: MockClock) -> None:
    """A branch that is cut by a decision while it has a deadline of its own is a loser like any other."""

    async def quick(ctx: DurableContext) -> str:
        await trio.sleep(1)
        return await ctx.step(current_name)

    async def slow(ctx: DurableContext) -> str:
        with trio.move_on_after(60):
            await ctx.step(_slow)
        return "slow"

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> list[str]:
        batch = await ctx.parallel([quick, slow], completion=CompletionConfig.first_successful())
        return batch.results()

    assert (await run(handler)).result == ["current_name"]


async def current_name() -> str:
    """Return the name of the step."""
    return current_step().name or ""


async def test_the_time_limit_of_a_host_is_not_the_users(autojump_clock: MockClock) -> None:
    """An invocation that its host cancels has crashed; the next one goes on, and nothing is recorded as failed."""
    tries: list[int] = []

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> str:
        await ctx.wait(HOUR)
        tries.append(1)
        return str(await ctx.step(give, "done"))

    class Hurried:
        """Gives its second invocation a hundredth of a second."""

        def __init__(self) -> None:
            self.count = 0

        async def invoke(self, event: Any, lambda_context: Any, *, client: Any) -> Any:
            self.count += 1
            if self.count != 2:
                return await handler.invoke(event, lambda_context, client=client)
            with trio.fail_after(0.01):
                return await handler.invoke(event, lambda_context, client=_Hanging(client))

    finished = await run(Hurried())
    assert finished.result == "done"
    assert finished.invocations == ["PENDING", "raised", "SUCCEEDED"]
    assert len(tries) == 2


class _Hanging:
    """A client whose checkpoints are never answered."""

    def __init__(self, inner: Any) -> None:
        self.clock = inner.clock
        self.get_state = inner.get_state

    async def checkpoint(self, **request: Any) -> Any:
        """Hang."""
        await trio.sleep_forever()
