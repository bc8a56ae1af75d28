"""One program for each construct of this folder, for tests that crash them and shuffle their tasks.

Where time decides, the margins are wide: a crash costs a second or two until the service invokes again, so what wins
by minutes wins whenever the crash comes. Where several things happen at the same moment, that is meant, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from combinators.bodies import fail, give

from durable_trio import (
    ChildContextError,
    CompletionConfig,
    DurableContext,
    Duration,
    NestingType,
    OperationCancelledError,
    RestartIntensity,
    StepError,
    durable_execution,
    fixed_delay,
    no_retry,
)
from durable_trio._protocol.ids import operation_id

SOON = fixed_delay(Duration.seconds(2), max_attempts=2)


async def chain(ctx: DurableContext, waits: int, value: Any = None) -> Any:
    """Wait a second, *waits* times."""
    for _ in range(waits):
        await ctx.wait(Duration.seconds(1))
    return await ctx.step(give, value)


async def hour(ctx: DurableContext, value: int = 0, index: int = 0) -> None:
    """Take an hour."""
    await ctx.step(give, "begun")
    await ctx.wait(Duration.hours(1))


async def race(ctx: DurableContext) -> Any:
    """Race operations of every kind, among them several that end at the same moment; await losers."""
    wait = ctx.wait(Duration.minutes(30))
    lost = ctx.run_in_child_context(hour)
    results: list[Any] = [
        await ctx.race([wait, lost, ctx.run_in_child_context(chain, 3, "chain"), ctx.map([1], hour)])
    ]
    try:
        await lost
    except OperationCancelledError:
        results.append("cancelled")
    results.append(
        await ctx.race([ctx.step(give, "a"), ctx.step(give, "b"), ctx.run_in_child_context(chain, 0)])
    )
    try:
        await ctx.race([ctx.step(fail, 0, "failed first", retry=no_retry()), ctx.wait(Duration.hours(1))])
    except StepError as error:
        results.append(str(error))
    await wait
    return [*results, ctx.now() is not None]


async def any_(ctx: DurableContext) -> Any:
    """Pass over failures, and collect them all."""
    results: list[Any] = [
        await ctx.any(
            [
                ctx.step(fail, 0, "one", retry=no_retry()),
                ctx.run_in_child_context(hour),
                ctx.run_in_child_context(chain, 2, "chain"),
            ]
        )
    ]
    try:
        await ctx.any([ctx.step(fail, 1, "x", retry=no_retry()), ctx.step(fail, 0, "y", retry=no_retry())])
    except ExceptionGroup as group:
        results.append([str(error) for error in group.exceptions])
    return results


async def all_(ctx: DurableContext) -> Any:
    """Fail fast, and settle."""
    results: list[Any] = []
    done = ctx.step(give, "done")
    try:
        await ctx.all(
            [
                done,
                ctx.run_in_child_context(hour),
                ctx.run_in_child_context(failing, 2),
                ctx.wait(Duration.hours(1)),
            ]
        )
    except ChildContextError as error:
        results.append(str(error))
    results.append(await done)
    settled = await ctx.all_settled(
        [ctx.run_in_child_context(failing, 1), ctx.run_in_child_context(chain, 2, 7)]
    )
    return [*results, settled]


async def failing(ctx: DurableContext, waits: int) -> None:
    """Wait a while, and fail."""
    await chain(ctx, waits)
    raise LookupError("nothing there")


async def nested(ctx: DurableContext) -> Any:
    """Combinators in combinators, and in virtual contexts."""
    kept = ctx.step(give, "kept")
    inner = ctx.all([ctx.race([ctx.wait(Duration.hours(1)), ctx.run_in_child_context(chain, 2, 1)]), kept])
    first = await ctx.race([ctx.all_settled([ctx.wait(Duration.hours(2))]), inner])
    virtual = ctx.run_in_child_context(chain, 1, "virtual", virtual=True)
    second = await ctx.any([ctx.all([ctx.step(fail, 0, "no", retry=no_retry())]), ctx.race([virtual])])
    return [first, second, await kept]


async def retry(ctx: DurableContext) -> Any:
    """Try a block again and again."""

    async def block(attempt: DurableContext, failures: int) -> str:
        tried = await ctx_attempt(attempt)
        await attempt.wait(Duration.seconds(1))
        if tried <= failures:
            raise OSError(f"attempt {tried}")
        return f"attempt {tried}"

    results: list[Any] = []
    try:
        await ctx.retry(block, 9, retry=SOON, name="hopeless")
    except ChildContextError as error:
        results.append(str(error))
    winner = await ctx.race([ctx.retry(block, 1, retry=SOON), ctx.wait(Duration.hours(1))])
    return [*results, winner]


async def ctx_attempt(ctx: DurableContext) -> int:
    """Tell the number of the attempt whose context this is, from its id alone."""
    return int(await ctx.step(give, NUMBERS[ctx.parent_id or ""]))


def _numbers() -> dict[str, int]:
    """Return the numbers of attempts by the ids that they may have in these programs."""
    numbers = {}
    for position in range(1, 12):
        block = operation_id(None, position)
        branches = [operation_id(block, index) for index in range(4)]
        for prefix in (block, *branches):
            for attempt in range(1, 6):
                numbers[operation_id(prefix, 2 * attempt - 1)] = attempt
    return numbers


NUMBERS = _numbers()


def items(nesting: NestingType, intensity: RestartIntensity | None) -> Callable[[DurableContext], Any]:
    """Return a program that restarts items."""

    async def item(ctx: DurableContext, failures: int, index: int) -> str:
        tried = await ctx_attempt(ctx)
        await ctx.wait(Duration.seconds(1))
        if tried <= failures:
            raise OSError(f"item {index} at {tried}")
        return f"item {index} at {tried}"

    async def program(ctx: DurableContext) -> Any:
        return await ctx.map(
            [0, 9, 1],
            item,
            item_retry=SOON,
            nesting=nesting,
            restart_intensity=intensity,
            completion=CompletionConfig.all_completed(),
            max_concurrency=2,
        )

    return program


def handler_of(program: Callable[[DurableContext], Any]) -> Any:
    """Return a handler that runs *program*, and suspends after it, so that all of it is replayed."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        result = await program(ctx)
        await ctx.wait(Duration.seconds(1))
        return result

    return handler


PROGRAMS: dict[str, Callable[[DurableContext], Any]] = {
    "race": race,
    "any": any_,
    "all": all_,
    "nested": nested,
    "retry": retry,
    "item_retry": items(NestingType.NESTED, None),
    "item_retry flat": items(NestingType.FLAT, None),
    "restart intensity": items(NestingType.NESTED, RestartIntensity(20)),
}
