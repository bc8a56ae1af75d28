"""Cancellation safety: every kind of operation, cut at every point of its life.

Each checkpoint call takes a second, so that a life has its stages: before the START is sent, the START in flight,
the body running or the operation parked, the end in flight, acknowledged. The cut comes at a time that is swept over
all of it. Whatever it hits: nothing hangs, nothing is left behind, nothing is recorded in what is closed, and every
invocation afterwards comes to the same outcome.
"""

# what raises is the end of a block, and blocks stand one per line as users write them

# A block may be cut before it binds what is read after it; these tests know where it is.
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from support.clients import PassingClient
from support.leaks import nothing_left
from support.runs import Run, run
from trio.testing import MockClock

from durable_trio import (
    ChildContextError,
    CompletionConfig,
    DurableContext,
    Duration,
    NestingType,
    StepSemantics,
    durable_execution,
    fixed_delay,
)

SECOND = Duration.seconds(1)
TWO_SECONDS = Duration.seconds(2)
HOUR = Duration.hours(1)


async def body(value: Any) -> Any:
    """Take a second and a half."""
    await trio.sleep(1.5)
    return value


def thread_body() -> str:
    """Return at once, from a worker thread."""
    return "thread"


async def flaky() -> str:
    """Fail on the first attempt."""
    from durable_trio import current_step

    await trio.sleep(0.5)
    if current_step().attempt == 1:
        raise OSError("again")
    return "second attempt"


async def child(ctx: DurableContext, *_: Any) -> str:
    """Do a step, wait, and do another."""
    await ctx.step(body, 1)
    await ctx.wait(SECOND)
    return str(await ctx.step(body, "child"))


async def callback(ctx: DurableContext) -> str:
    """Create a callback that times out, and wait for it."""
    created = await ctx.create_callback(timeout=Duration.seconds(3))
    try:
        return str(await created.result())
    except Exception as error:  # noqa: BLE001  # a time-out is its end
        return type(error).__name__


async def asked(ctx: DurableContext) -> str:
    """Ask somebody who does not answer."""
    try:
        return str(await ctx.wait_for_callback(body, timeout=Duration.seconds(3)))
    except Exception as error:  # noqa: BLE001  # a time-out is its end
        return type(error).__name__


async def invoked(ctx: DurableContext) -> str:
    """Call a function that does not exist."""
    try:
        return str(await ctx.invoke("nobody", 1))
    except Exception as error:  # noqa: BLE001  # its failure is its end
        return type(error).__name__


async def nursery(ctx: DurableContext) -> str:
    """Open a nursery inside."""
    async with ctx.open_nursery() as inner:
        first, second = inner.start_soon(child), inner.start_soon(ctx.step(body, 2))
        await second
    return first.value


async def deadline(ctx: DurableContext) -> bool:
    """Set a deadline inside, which is missed."""
    async with ctx.move_on_after(TWO_SECONDS) as inner:
        await ctx.wait(HOUR)
    return inner.timed_out


async def undo(ctx: DurableContext, result: Any) -> None:
    """Undo in two stages."""
    await ctx.wait(SECOND)
    await ctx.step(body, 1)


async def saga(ctx: DurableContext) -> str:
    """Do two things that can be undone."""
    async with ctx.saga() as inner:
        await inner.step(body, 1, compensate=undo)
        await inner.add(ctx.run_in_child_context(child), compensate=undo)
    return "undone or not"


async def shielded(ctx: DurableContext) -> str:
    """Clean up in a shield."""
    try:
        await ctx.wait(TWO_SECONDS)
    finally:
        async with ctx.shield():
            await ctx.step(body, 1)
            await ctx.wait(SECOND)
    return "cleaned up"


OPERATIONS: dict[str, Callable[[DurableContext], Awaitable[Any]]] = {
    "step": lambda ctx: ctx.step(body, 1),
    "at-most-once step": lambda ctx: ctx.step(body, 1, semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY),
    "step in a thread": lambda ctx: ctx.step(thread_body),
    "step that retries": lambda ctx: ctx.step(flaky, retry=fixed_delay(SECOND, max_attempts=3)),
    "wait": lambda ctx: ctx.wait(TWO_SECONDS),
    "callback": callback,
    "wait for callback": asked,
    "condition": lambda ctx: ctx.wait_for_condition(
        lambda state: state + 1, initial_state=0, until=lambda state: state > 1, interval=SECOND
    ),
    "invoke": invoked,
    "child": lambda ctx: ctx.run_in_child_context(child),
    "virtual child": lambda ctx: ctx.run_in_child_context(child, virtual=True),
    "map": lambda ctx: ctx.map([1, 2], child, max_concurrency=1),
    "flat parallel": lambda ctx: ctx.parallel(
        [child, child], nesting=NestingType.FLAT, completion=CompletionConfig.first_successful()
    ),
    "all": lambda ctx: ctx.all([ctx.step(body, 1), ctx.wait(TWO_SECONDS), ctx.run_in_child_context(child)]),
    "race": lambda ctx: ctx.race([ctx.wait(HOUR), ctx.run_in_child_context(child)]),
    "nursery": nursery,
    "deadline": deadline,
    "saga": saga,
    "shield": shielded,
}
operations = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())


class SlowClient(PassingClient):
    """Each call takes half a second on the way there, and half a second back."""

    async def checkpoint(self, **request: Any) -> Any:
        """Pass a checkpoint through."""
        await trio.sleep(0.5)
        response = await super().checkpoint(**request)
        await trio.sleep(0.5)
        return response


def slowly(inner: Any, invocation: int) -> Any:
    """Put a slow client around the service's."""
    return SlowClient(inner)


async def outcome_of(program: Callable[[DurableContext], Awaitable[Any]]) -> str:
    """Run *program* and two suspensions after it; return its outcome, which has to be the same each time."""
    seen: list[str] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        seen.append(repr(await program(ctx)))
        await ctx.wait(HOUR)
        await ctx.wait(HOUR)
        return seen[-1]

    with trio.fail_after(1_000_000), nothing_left():
        finished = await run(handler, wrap=slowly)
    assert finished.status == "SUCCEEDED", finished.description.error
    assert set(finished.invocations) <= {"PENDING", "SUCCEEDED"}
    assert len(set(seen)) == 1, seen
    assert len(seen) >= 3
    check_order(finished)
    return seen[0]


def check_order(finished: Run) -> None:
    """Nothing is recorded in a context that has been closed."""
    closed: set[str | None] = set()
    for call in finished.calls:
        for update in call.updates:
            assert update.parent_id not in closed, update
            if update.action.value in {"SUCCEED", "FAIL"}:
                closed.add(update.id)


@operations
async def test_cut_by_a_failing_sibling(
    operation: Callable[[DurableContext], Awaitable[Any]], autojump_clock: MockClock
) -> None:
    """A child of the nursery fails at any time of the operation's life, even between two scheduler rounds."""
    outcomes: set[str] = set()
    for tenths in range(1, 100, 11):

        async def bomb(ctx: DurableContext, seconds: float = tenths / 10) -> None:
            await trio.sleep(seconds)
            raise ValueError("bomb")

        async def program(ctx: DurableContext) -> Any:
            result: list[Any] = []
            try:
                async with ctx.open_nursery() as nursery:
                    handle = nursery.start_soon(bomb)
                    result.append(await operation(ctx))
            except* ChildContextError as group:
                result.append([str(error) for error in group.exceptions])
            return [*result, handle.status.value]

        outcomes.add(await outcome_of(program))
    assert len(outcomes) <= 2, "either it got through before the failure, or it was cut"


@operations
async def test_cut_by_a_deadline(
    operation: Callable[[DurableContext], Awaitable[Any]], autojump_clock: MockClock
) -> None:
    """The deadline ends at any time of the operation's life."""
    outcomes: set[str] = set()
    for seconds in (*range(1, 8), 12):

        async def program(ctx: DurableContext, seconds: int = seconds) -> Any:
            result: list[Any] = []
            async with ctx.move_on_after(Duration.seconds(seconds)) as deadline:
                result.append(await operation(ctx))
            return [*result, deadline.timed_out]

        outcomes.add(await outcome_of(program))
    if operation not in (OPERATIONS["step in a thread"], OPERATIONS["invoke"]):  # these are through at once
        assert "[True]" in outcomes
    assert len(outcomes) <= 2


@operations
async def test_cut_with_an_actor_that_is_thrown_away(
    operation: Callable[[DurableContext], Awaitable[Any]], autojump_clock: MockClock
) -> None:
    """The child context around it is the sibling of one that fails."""
    for tenths in range(3, 80, 14):

        async def bomb(ctx: DurableContext, seconds: float = tenths / 10) -> None:
            await trio.sleep(seconds)
            raise ValueError("bomb")

        async def around(ctx: DurableContext) -> None:
            await operation(ctx)

        async def program(ctx: DurableContext) -> Any:
            try:
                async with ctx.open_nursery() as nursery:
                    handles = [nursery.start_soon(around), nursery.start_soon(bomb)]
            except* ChildContextError as group:
                messages = [str(error) for error in group.exceptions]
            return [messages, [handle.status.value for handle in handles]]

        await outcome_of(program)


@operations
async def test_cut_with_a_composite_by_a_deadline(
    operation: Callable[[DurableContext], Awaitable[Any]], autojump_clock: MockClock
) -> None:
    """The deadline is around a child context with the operation in it: work that is in time gets through."""
    outcomes: set[str] = set()
    for seconds in range(1, 16, 3):

        async def around(ctx: DurableContext) -> str:
            return repr(await operation(ctx))

        async def program(ctx: DurableContext, seconds: int = seconds) -> Any:
            result: list[Any] = []
            async with ctx.move_on_after(Duration.seconds(seconds)) as deadline:
                result.append(await ctx.run_in_child_context(around))
            return [*result, deadline.timed_out]

        outcomes.add(await outcome_of(program))
    assert len(outcomes) <= 2
