"""Programs that use inline constructs, for tests that interrupt them everywhere.

Margins between deadlines and what they limit are minutes and more, so that the delays of retried invocations decide nothing.
"""

# ruff: noqa: SIM117  # blocks stand one per line as users write them

# A block may be cut before it binds what is read after it; these tests know where it is.
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import trio

from durable_trio import (
    CheckpointingMode,
    CompensationError,
    CompletionConfig,
    DurableContext,
    DurableTimeoutError,
    Duration,
    NestingType,
    OperationError,
    current_step,
    durable_execution,
    fixed_delay,
    no_retry,
)

SECOND = Duration.seconds(1)
HOUR = Duration.hours(1)
DAY = Duration.days(1)


@dataclass
class World:
    """The outside world of one execution: what was done, how often, and in which order."""

    effects: Counter[tuple[str, int]] = field(default_factory=Counter)
    done: list[str] = field(default_factory=list)
    chance: random.Random = field(default_factory=random.Random)
    mode: CheckpointingMode = CheckpointingMode.BATCHED

    async def act(self, value: Any = None) -> Any:
        """Take some time, have an effect, and return *value*."""
        step = current_step()
        await trio.sleep(self.chance.random() / 10)
        self.effects[step.operation_id, step.attempt] += 1
        self.done.append(str(value))
        return value

    async def fail(self, message: str = "for good") -> None:
        """Have an effect and fail."""
        await self.act(message)
        raise ValueError(message)

    async def linger(self) -> None:
        """Take ten minutes, and have no effect if cancelled."""
        await trio.sleep(600)
        await self.act("lingered")


Program: TypeAlias = Callable[[World], Any]


def nursery(world: World) -> Any:
    """Fan out, read results, fan out again."""

    async def look_up(ctx: DurableContext, topic: int) -> int:
        await ctx.wait(Duration.seconds(1 + topic))
        return int(await ctx.step(world.act, topic * 10, name=f"topic {topic}"))

    async def deepen(ctx: DurableContext, base: int) -> int:
        async with ctx.open_nursery() as nursery:
            parts = [nursery.start_soon(look_up, base + more) for more in range(2)]
        return sum(part.value for part in parts)

    @durable_execution(checkpointing=world.mode)
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.open_nursery(name="research") as nursery:
            first = [nursery.start_soon(look_up, topic) for topic in range(3)]
            found = [await handle for handle in first]
            await ctx.step(world.act, "plan")
            second = [nursery.start_soon(deepen, max(found)), nursery.start_soon(ctx.step(world.act, 7))]
            await ctx.wait(SECOND)
        return [found, [handle.value for handle in second], await ctx.step(world.act, "end")]

    return handler


def failing_nursery(world: World) -> Any:
    """A child fails when another has ended, a third waits, and the body is at an operation of its own."""

    async def quick(ctx: DurableContext) -> str:
        return str(await ctx.step(world.act, "quick"))

    async def slow(ctx: DurableContext) -> None:
        await ctx.wait(DAY)
        await ctx.step(world.act, "never")

    async def broken(ctx: DurableContext) -> None:
        await ctx.wait(HOUR)
        await ctx.step(world.fail, retry=no_retry())

    @durable_execution(checkpointing=world.mode)
    async def handler(event: Any, ctx: DurableContext) -> Any:
        result: list[Any] = []
        try:
            async with ctx.open_nursery() as nursery:
                handles = [nursery.start_soon(fn) for fn in (quick, slow, broken)]
                try:
                    await ctx.wait(DAY)
                    await ctx.step(world.act, "never")
                finally:
                    async with ctx.shield():
                        result.append(await ctx.step(world.act, "clean-up"))
                        await ctx.wait(SECOND)
        except* OperationError as group:
            result.append([str(error) for error in group.exceptions])
        result.append([handle.status for handle in handles])
        return [*result, await ctx.step(world.act, "end")]

    return handler


def deadlines(world: World) -> Any:
    """Deadlines that are met and missed, around waits, steps, maps, nurseries, and each other."""

    async def item(ctx: DurableContext, seconds: int, index: int) -> int:
        await ctx.wait(Duration.seconds(seconds))
        return int(await ctx.step(world.act, seconds, name=f"item {index}"))

    async def child(ctx: DurableContext) -> None:
        await ctx.step(world.act, "in child")
        await ctx.wait(DAY)
        await ctx.step(world.act, "never")

    @durable_execution(checkpointing=world.mode)
    async def handler(event: Any, ctx: DurableContext) -> Any:
        result: list[Any] = []
        async with ctx.move_on_after(HOUR) as met:
            batch = await ctx.map([1, 2, 3], item)
            result.append(batch.results())
        async with ctx.move_on_after(HOUR) as missed:
            result.append(await ctx.step(world.act, "before"))
            await ctx.wait(DAY)
            await ctx.step(world.act, "never")
        async with ctx.move_on_after(Duration.minutes(2)) as around_step:
            await ctx.step(world.linger)
        result.append([met.timed_out, missed.timed_out, around_step.timed_out])
        try:
            async with ctx.fail_after(HOUR), ctx.move_on_after(DAY * 2) as inner:
                async with ctx.open_nursery() as nursery:
                    nursery.start_soon(child)
        except DurableTimeoutError as error:
            result.append(str(error))
        result.append(inner.timed_out)
        async with ctx.move_on_after(HOUR) as around_map:
            await ctx.map([1, 90_000], item, completion=CompletionConfig.all_completed())
        result.append(around_map.timed_out)
        return [*result, await ctx.step(world.act, "end")]

    return handler


def saga(world: World) -> Any:
    """A saga that fails, and one that is cut by a deadline; nested; compensations wait, retry and fail."""

    async def undo(ctx: DurableContext, result: Any) -> None:
        await ctx.wait(SECOND)
        await ctx.step(world.act, f"undo {result}")

    async def undo_twice(ctx: DurableContext, result: Any) -> None:
        async def flaky() -> None:
            await world.act(f"undo {result} ({current_step().attempt})")
            if current_step().attempt == 1:
                raise OSError("again")

        await ctx.step(flaky, retry=fixed_delay(SECOND, max_attempts=2))

    async def cannot_undo(ctx: DurableContext, result: Any) -> None:
        await ctx.step(world.fail, f"cannot undo {result}", retry=no_retry())

    @durable_execution(checkpointing=world.mode)
    async def handler(event: Any, ctx: DurableContext) -> Any:
        result: list[Any] = []
        async with ctx.saga() as fine:
            result.append(await fine.step(world.act, "a", compensate=undo))
        try:
            async with ctx.saga(name="trip") as outer:
                await outer.step(world.act, "b", compensate=undo)
                async with ctx.saga() as inner:
                    await inner.step(world.act, "c", compensate=undo_twice)
                    await inner.step(world.act, "d", compensate=cannot_undo)
                    await inner.step(world.fail, compensate=undo, retry=no_retry())
        except CompensationError as error:
            result += [str(error), str(error.__cause__), len(error.report.succeeded)]
        async with ctx.move_on_after(HOUR) as deadline, ctx.saga() as cut:
            await cut.step(world.act, "e", compensate=undo)
            await cut.add(ctx.run_in_child_context(grand), compensate=undo)
            await ctx.wait(DAY)
        assert cut.report is not None
        result += [deadline.timed_out, [one.step for one in cut.report.succeeded]]
        await ctx.step_with_compensation(world.act, "f", compensate=undo)
        report = await ctx.run_compensations()
        result.append([one.name for one in report.succeeded])
        return [*result, await ctx.step(world.act, "end")]

    async def grand(ctx: DurableContext) -> str:
        return str(await ctx.step(world.act, "g"))

    return handler


def thrown_away(world: World) -> Any:
    """Sagas in an actor that is thrown away undo what they did, before the nursery's verdict is recorded."""

    async def undo(ctx: DurableContext, result: Any) -> None:
        await ctx.wait(SECOND)
        await ctx.step(world.act, f"undo {result}")

    async def inner(ctx: DurableContext) -> None:
        async with ctx.saga() as saga:
            await saga.step(world.act, "c", compensate=undo)
            await ctx.wait(DAY)
            await ctx.step(world.act, "never")

    async def traveller(ctx: DurableContext) -> None:
        async with ctx.saga() as saga:
            await saga.step(world.act, "a", compensate=undo)
            await saga.step(world.act, "b", compensate=undo)
            await ctx.run_in_child_context(inner)

    async def broken(ctx: DurableContext) -> None:
        await ctx.wait(HOUR)
        await ctx.step(world.fail, retry=no_retry())

    @durable_execution(checkpointing=world.mode)
    async def handler(event: Any, ctx: DurableContext) -> Any:
        result: list[Any] = []
        try:
            async with ctx.open_nursery() as nursery:
                nursery.start_soon(traveller)
                nursery.start_soon(broken)
        except* OperationError as group:
            result.append([str(error) for error in group.exceptions])
        return [*result, await ctx.step(world.act, "end")]

    return handler


def losers(world: World) -> Any:
    """Sagas in the losers of races, in branches of a decided batch, and beside a failing operation of ctx.all."""

    async def undo(ctx: DurableContext, result: Any) -> None:
        await ctx.wait(SECOND)
        await ctx.step(world.act, f"undo {result}")

    async def traveller(ctx: DurableContext, name: str) -> None:
        async with ctx.saga() as saga:
            await saga.step(world.act, name, compensate=undo)
            async with ctx.move_on_after(DAY * 2):
                await ctx.wait(DAY)
            await ctx.step(world.act, "never")

    async def quick(ctx: DurableContext) -> str:
        await ctx.wait(HOUR)
        return str(await ctx.step(world.act, "quick"))

    async def broken(ctx: DurableContext) -> None:
        await ctx.wait(HOUR)
        await ctx.step(world.fail, retry=no_retry())

    @durable_execution(checkpointing=world.mode)
    async def handler(event: Any, ctx: DurableContext) -> Any:
        result: list[Any] = []
        result.append(await ctx.race([ctx.run_in_child_context(traveller, "a"), ctx.wait(HOUR)]))
        virtual = ctx.run_in_child_context(traveller, "b", virtual=True)
        result.append(await ctx.race([ctx.run_in_child_context(quick), virtual]))

        async def branch(ctx: DurableContext) -> str:
            await traveller(ctx, "c")
            return ""

        for nesting in (NestingType.NESTED, NestingType.FLAT):
            batch = await ctx.parallel(
                [quick, branch], completion=CompletionConfig.first_successful(), nesting=nesting
            )
            result.append(batch.results())
        try:
            await ctx.all([ctx.run_in_child_context(traveller, "d"), ctx.run_in_child_context(broken)])
        except OperationError as error:
            result.append(str(error))
        return [*result, await ctx.step(world.act, "end")]

    return handler


PROGRAMS: dict[str, Program] = {
    "nursery": nursery,
    "failing nursery": failing_nursery,
    "deadlines": deadlines,
    "saga": saga,
    "thrown away": thrown_away,
    "losers": losers,
}
