"""Crashes: an invocation killed around any checkpoint call changes neither the result nor the record."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
import trio
from support.crashes import Crash, Crashing
from support.runs import Run, run
from support.scheduling import seeded_scheduling
from trio.testing import MockClock

from durable_trio import (
    ChildContextError,
    CompletionConfig,
    DurableContext,
    Duration,
    StepSemantics,
    current_step,
    durable_execution,
    fixed_delay,
    no_retry,
)

AT_MOST_ONCE = StepSemantics.AT_MOST_ONCE_PER_RETRY
WHEN: list[Literal["before", "after"]] = ["before", "after"]


@dataclass
class World:
    """The outside world of one execution: counts how often each attempt of each step had its effect."""

    effects: Counter[tuple[str, int]] = field(default_factory=Counter)
    chance: random.Random = field(default_factory=random.Random)

    async def act(self, value: Any = None, *, flaky: int = 0) -> Any:
        """Have an effect, fail on the first *flaky* attempts, and return *value*."""
        step = current_step()
        self.effects[step.operation_id, step.attempt] += 1
        await trio.sleep(self.chance.random() / 10)
        if step.attempt <= flaky:
            raise OSError("again")
        return value

    async def fail(self) -> None:
        """Have an effect and fail."""
        await self.act()
        raise ValueError("for good")


def rich_program(world: World) -> Any:
    """Return a handler that uses every operation."""
    retry = fixed_delay(Duration.seconds(2), max_attempts=9)

    async def flaky(value: int) -> int:
        return int(await world.act(value, flaky=2))

    async def item(ctx: DurableContext, value: int, index: int) -> int:
        first = await ctx.step(world.act, value, name=f"item {index} first")
        if index % 2:
            await ctx.wait(Duration.seconds(1 + index))
        second = await ctx.step(
            world.act, value, name=f"item {index} second", semantics=AT_MOST_ONCE, retry=retry
        )
        return int(first) + int(second)

    async def child(ctx: DurableContext, depth: int) -> int:
        value = await ctx.step(world.act, depth, name=f"child {depth}")
        if depth:
            return int(value) + await ctx.run_in_child_context(child, depth - 1, name=f"depth {depth - 1}")
        await ctx.wait(Duration.seconds(3))
        return int(value)

    async def submit(callback_id: str) -> None:
        await world.act()

    async def failing(ctx: DurableContext) -> None:
        await ctx.step(world.fail, name="failing", retry=no_retry())

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        result: list[Any] = [await ctx.step(world.act, "a", name="first")]
        result.append(await ctx.step(world.act, "b", name="once", semantics=AT_MOST_ONCE, retry=retry))
        result.append(await ctx.step(flaky, 3, retry=retry))
        result.append(await ctx.run_in_child_context(child, 2))
        batch = await ctx.map(range(4), item, max_concurrency=2, completion=CompletionConfig.all_completed())
        result.append(batch.results())
        result.append(
            await ctx.all(
                [
                    ctx.step(world.act, "c", name="arm"),
                    ctx.wait(Duration.seconds(4)),
                    ctx.step(flaky, 5, retry=retry),
                ]
            )
        )
        try:
            await ctx.all([ctx.run_in_child_context(failing), ctx.wait(Duration.days(1))])
        except ChildContextError as error:
            result.append(str(error))
        result.append(await ctx.wait_for_callback(submit, name="ask"))
        result.append(str(ctx.uuid()) != str(ctx.uuid()))
        return result

    return handler


def small_program(world: World) -> Any:
    """Return a handler with a little of everything, for many runs."""

    async def item(ctx: DurableContext, value: int, index: int) -> int:
        result = int(await ctx.step(world.act, value, name=f"item {index}"))
        await ctx.wait(Duration.seconds(1 + index))
        return result

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        batch = await ctx.map([1, 2, 3], item, max_concurrency=2)
        once = await ctx.step(
            world.act,
            4,
            name="once",
            semantics=AT_MOST_ONCE,
            retry=fixed_delay(Duration.seconds(1), max_attempts=5),
        )
        return [*batch.results(), once]

    return handler


def record_of(finished: Run) -> Any:
    """Return what a crash must not change: every operation's identity, status and payload.

    Attempts are left out (an interrupted at-most-once attempt is used up), and so are times and callback ids.
    """
    return sorted(
        (
            o.id,
            o.type.value,
            o.sub_type,
            o.name,
            o.parent_id,
            o.status.value,
            getattr(o.details, "result", None),
            getattr(getattr(o.details, "error", None), "message", None),
        )
        for o in finished.operations[1:]
        # A wait that lost a race with a failure may or may not have been started when it was decided.
        if o.status.value != "STARTED"
    )


async def outcome(program: Any, crash: Crash | None, seed: int = 0) -> tuple[Run, World, int]:
    """Run *program* with a crash; return what it left behind, its effects, and its number of calls."""
    world = World(chance=random.Random(seed))
    crashing = Crashing(program(world), crash or Crash(0, "before"))
    finished = await run(crashing, answers={"ask create callback id": "yes"})
    assert crashing.has_crashed is (crash is not None and crash.call <= crashing.calls)
    return finished, world, crashing.calls


def check_effects(finished: Run, world: World) -> None:
    """Check how often bodies ran, by their semantics and their records."""
    names = {o.id: o for o in finished.operations}
    for (id_, attempt), count in world.effects.items():
        name = names[id_].name or ""
        if name == "once" or name.endswith("second"):
            assert count == 1, f"at-most-once {name}, attempt {attempt}: {count} times"
        else:
            assert 1 <= count <= 2, f"at-least-once {name}, attempt {attempt}: {count} times"
    # The killed invocation was running a few bodies at most; nothing that was recorded is executed again.
    assert sum(count - 1 for count in world.effects.values()) <= 4
    started = {id_ for id_, _ in world.effects}
    assert started == {o.id for o in finished.operations if o.type.value == "STEP"}


@pytest.mark.slow
async def test_a_crash_around_any_call_changes_nothing(autojump_clock: MockClock) -> None:
    """Killed before and after every checkpoint call, a rich program has the same result and the same record."""
    reference, _, calls = await outcome(rich_program, None)
    assert reference.status == "SUCCEEDED", reference.description.error

    for call in range(1, calls + 1):
        for when in WHEN:
            finished, world, _ = await outcome(rich_program, Crash(call, when))
            assert finished.status == "SUCCEEDED", (call, when, finished.description.error)
            assert finished.result == reference.result, (call, when)
            assert record_of(finished) == record_of(reference), (call, when)
            check_effects(finished, world)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
async def test_crashes_under_many_schedules(seed: int, autojump_clock: MockClock) -> None:
    """The same for a smaller program, whatever order Trio wakes tasks in."""
    with seeded_scheduling(seed):
        reference, _, calls = await outcome(small_program, None, seed)
        for call in range(1, calls + 1):
            for when in WHEN:
                finished, world, _ = await outcome(small_program, Crash(call, when), seed)
                assert finished.result == [1, 2, 3, 4], (call, when)
                assert record_of(finished) == record_of(reference), (call, when)
                check_effects(finished, world)


async def test_an_interrupted_at_most_once_step_does_not_run_again(autojump_clock: MockClock) -> None:
    """Cut off after its START, an at-most-once step without retries fails; its body has run once at most."""
    for when, effects in (("before", 1), ("after", 0)):
        world = World()

        @durable_execution
        async def handler(event: Any, ctx: DurableContext, world: World = world) -> Any:
            return await ctx.step(world.act, 1, name="once", semantics=AT_MOST_ONCE, retry=no_retry())

        # Call 1 is its START, call 2 its end.
        crash = Crash(2, "before") if when == "before" else Crash(1, "after")
        finished = await run(Crashing(handler, crash))

        assert finished.error.type == "StepInterruptedError"
        assert sum(world.effects.values()) == effects


async def test_a_step_in_a_crash_loop_is_still_the_same_attempt(autojump_clock: MockClock) -> None:
    """An at-least-once step that was cut off runs again as the same attempt; its budget is not touched."""
    world = World()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        await ctx.wait(Duration.seconds(1))
        return await ctx.step(world.act, 1, retry=no_retry())

    finished = await run(Crashing(handler, Crash(2, "before")))

    assert finished.result == 1
    assert list(world.effects.items()) == [((finished.named("act").id, 1), 2)]
