"""What decides without a record of its own, and programs that have changed under their records."""

from __future__ import annotations

from typing import Any

from combinators.bodies import fail, give
from support.runs import run
from trio.testing import MockClock

from durable_trio import DurableContext, Duration, OperationError, durable_execution, no_retry


async def test_an_all_that_failed_before_anything_was_recorded(autojump_clock: MockClock) -> None:
    """The verdict holds the error; the first run raises it as every replay does."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.all([ctx.wait(Duration.days(1)), ctx.invoke("other", object())])
        except OperationError as error:
            seen.append((type(error), error.error_type, str(error)[:12]))
        await ctx.wait(Duration.seconds(1))

    finished = await run(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert seen == [(OperationError, "SerDesError", "cannot seria")] * 2


async def test_an_all_that_has_lost_its_culprit(autojump_clock: MockClock) -> None:
    """An ``all`` is recorded as failed by an operation that is no longer given to it: it still fails."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        good = ctx.step(give, 1)
        bad = ctx.step(fail, 1, "no", retry=no_retry())
        try:
            await ctx.all([good] if seen else [good, bad])
        except OperationError as error:
            seen.append((str(error), error.error_type))
        await ctx.wait(Duration.seconds(1))
        try:
            await bad
        except OperationError as error:
            seen.append(str(error))

    finished = await run(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert seen == [("no", "ValueError"), ("no", "ValueError"), "no"]


async def test_an_any_that_is_recorded_as_failed_and_succeeds_now(autojump_clock: MockClock) -> None:
    """A virtual context that fails once and then succeeds depends on what is not recorded; the execution fails."""
    runs: list[int] = []

    async def virtual(ctx: DurableContext) -> int:
        runs.append(1)
        if len(runs) == 1:
            raise LookupError("the first time")
        return 1

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.any([ctx.run_in_child_context(virtual, virtual=True)])
        except ExceptionGroup:
            await ctx.wait(Duration.seconds(1))

    finished = await run(handler)

    assert finished.error.type == "NonDeterministicExecutionError"
    assert "recorded as failed" in (finished.error.message or "")


async def test_an_any_whose_verdict_was_too_big(autojump_clock: MockClock) -> None:
    """The errors of operations replay from their own records, whatever was cut from the verdict."""
    seen: list[list[str]] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.any([ctx.step(fail, 0, f"{n}" * 20_000, retry=no_retry()) for n in range(3)])
        except ExceptionGroup as group:
            seen.append([str(error)[:3] + f" {len(str(error))}" for error in group.exceptions])
        await ctx.wait(Duration.seconds(1))

    finished = await run(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert seen == [["000 20000", "111 20000", "222 20000"]] * 2
