"""Exactly one line per log call over replays; at least one over crashes."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from support.crashes import Crash, Crashing
from support.runs import run
from trio.testing import MockClock

from durable_trio import (
    BatchResult,
    Branch,
    DurableContext,
    Duration,
    NestingType,
    StepError,
    current_step,
    durable_execution,
    fixed_delay,
)

SECOND = Duration.seconds(1)


def log(ctx: DurableContext, text: str) -> str:
    """Log *text*, which is different at every call of the program, and give it back."""
    ctx.logger.info(text)
    return text


async def noted(text: str) -> str:
    """Be a step that logs."""
    current_step().logger.info(f"step {text}")
    return text


def program(nesting: NestingType) -> tuple[Any, list[str]]:
    """Return a handler with every kind of construct, each suspended inside, and the lines it is to write."""

    async def leaf(ctx: DurableContext, where: str) -> None:
        log(ctx, f"{where} begin")
        await ctx.step(noted, where)
        log(ctx, f"{where} between")
        await ctx.wait(SECOND)
        log(ctx, f"{where} end")

    async def nested(ctx: DurableContext, where: str, depth: int) -> None:
        log(ctx, f"{where} {depth} down")
        if depth:
            await ctx.run_in_child_context(nested, where, depth - 1, virtual=depth == 2)
        else:
            await leaf(ctx, f"{where} leaf")
        log(ctx, f"{where} {depth} up")

    async def item(ctx: DurableContext, item: str, index: int) -> None:
        await leaf(ctx, f"item {item}")
        batch: BatchResult[None] = await ctx.parallel(
            [Branch(leaf, f"item {item} left"), Branch(leaf, f"item {item} right")], nesting=nesting
        )
        batch.raise_if_failed()
        log(ctx, f"item {item} after branches")

    attempts: Counter[str] = Counter()

    async def flaky() -> None:
        attempts["flaky"] += 1
        if attempts["flaky"] == 1:
            raise OSError("once")

    async def submit(callback_id: str) -> None:
        current_step().logger.info("submitted")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        log(ctx, "begin")
        await ctx.run_in_child_context(nested, "nested", 3)
        batch = await ctx.map(["a", "b", "c"], item, nesting=nesting, max_concurrency=2)
        batch.raise_if_failed()
        log(ctx, "after map")
        await ctx.all([ctx.run_in_child_context(leaf, "one"), ctx.run_in_child_context(leaf, "two")])
        log(ctx, "after all")
        callback: Any = await ctx.create_callback(name="question")
        log(ctx, "asked")
        log(ctx, f"answered {await callback.result()}")
        log(ctx, f"answered {await ctx.wait_for_callback(submit, name='other')} again")
        await ctx.step(flaky, retry=fixed_delay(SECOND))
        log(ctx, "end")

    leaves = ["nested leaf", "one", "two"]
    for letter in "abc":
        leaves += [f"item {letter}", f"item {letter} left", f"item {letter} right"]
    lines = [f"{leaf} {part}" for leaf in leaves for part in ("begin", "between", "end")]
    lines += [f"step {leaf}" for leaf in leaves]
    lines += [f"nested {depth} {way}" for depth in range(4) for way in ("down", "up")]
    lines += [f"item {letter} after branches" for letter in "abc"]
    lines += ["begin", "after map", "after all", "asked", "answered yes", "answered no again", "submitted"]
    return handler, [*lines, "end"]


ANSWERS: dict[str, str | None] = {"question": "yes", "other create callback id": "no"}


def messages(capsys: pytest.CaptureFixture[str]) -> Counter[str]:
    """Return how often each line was written."""
    return Counter(json.loads(line)["message"] for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize("nesting", list(NestingType))
async def test_once_over_replays(
    nesting: NestingType, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nested and virtual children, maps, parallels, all, callbacks, retries: every call writes one line."""
    handler, expected = program(nesting)

    finished = await run(handler, answers=ANSWERS)

    assert finished.status == "SUCCEEDED"
    assert len(finished.invocations) > 5
    assert messages(capsys) == Counter(expected)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nesting", list(NestingType))
async def test_at_least_once_over_crashes(
    nesting: NestingType, when: Any, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever an invocation is killed, no line is lost."""
    call = 0
    while True:
        call += 1
        handler, expected = program(nesting)
        crashing: Any = Crashing(handler, Crash(call, when))
        finished = await run(crashing, answers=ANSWERS)
        assert finished.status == "SUCCEEDED"
        # A callback that was created by the invocation that was killed, and answered before the next one: nothing
        # that is recorded tells whether the code after its creation had run.
        assert set(expected) - set(messages(capsys)) <= {"asked"}, f"killed {when} call {call}"
        if not crashing.has_crashed:
            break
    assert call > 10


async def test_a_failure_that_is_caught_logs_once(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines of an ``except`` branch are written once, and once again by nobody."""

    async def fail() -> None:
        raise OSError("no")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.step(fail, retry=fixed_delay(SECOND, max_attempts=2))
        except StepError:
            log(ctx, "caught")
            await ctx.wait(SECOND)
            log(ctx, "recovered")
        await ctx.wait(SECOND)
        log(ctx, "end")

    await run(handler)

    assert messages(capsys) == Counter(["caught", "recovered", "end"])
