"""``ctx.any``: the first operation to succeed wins; failures count only when there is nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from combinators.bodies import fail, give, slow
from support.runs import run
from trio.testing import MockClock

from durable_trio import (
    ChildContextError,
    DurableContext,
    Duration,
    OperationError,
    SerDesError,
    StepError,
    durable_error,
    durable_execution,
    no_retry,
)


@durable_error
class Closed(Exception):
    """A business error of these tests."""


async def test_failures_are_passed_over(autojump_clock: MockClock) -> None:
    """The first success wins although others failed before it; the rest is cancelled."""
    cut: list[str] = []

    async def hour() -> None:
        try:
            await trio.sleep(3600)
        finally:
            cut.append("hour")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        failing = ctx.step(fail, 1, "no", retry=no_retry())
        value = await ctx.any([ctx.step(hour), failing, ctx.step(slow, 2, "yes"), ctx.wait(Duration.days(1))])
        with pytest.raises(StepError, match="no"):
            await failing
        return value

    before = trio.current_time()
    finished = await run(handler)

    assert finished.result == "yes"
    assert trio.current_time() - before < 5
    assert cut == ["hour"]
    (verdict,) = [o for o in finished.operations if o.sub_type == "Any"]
    assert (verdict.type, verdict.status, verdict.details.result) == ("CONTEXT", "SUCCEEDED", "2")  # type: ignore[union-attr]


async def test_every_failure_makes_a_group(autojump_clock: MockClock) -> None:
    """When all have failed their errors come as a group, in the order given; the same on replay."""
    seen: list[Any] = []

    async def closed() -> None:
        raise Closed("on Sundays")

    async def virtual(ctx: DurableContext) -> None:
        await ctx.step(give, 1)
        raise LookupError("virtual")

    async def child(ctx: DurableContext) -> None:
        raise LookupError("child")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        operations: list[Any] = [
            ctx.step(fail, 3, "late", retry=no_retry()),
            ctx.step(closed, retry=no_retry()),
            ctx.run_in_child_context(virtual, virtual=True),
            ctx.run_in_child_context(child),
            ctx.invoke("nobody", object()),
        ]
        try:
            await ctx.any(operations)
        except ExceptionGroup as group:
            seen.append([str(group), *[(type(error), str(error)[:12]) for error in group.exceptions]])
        with pytest.raises(LookupError):
            await operations[2]
        with pytest.raises(SerDesError):  # an invoke may be awaited again, and fails again
            await operations[4]
        await ctx.wait(Duration.seconds(1))

    finished = await run(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert seen[0] == [
        "no operation of ctx.any succeeded (5 sub-exceptions)",
        (StepError, "late"),
        (Closed, "on Sundays"),
        (LookupError, "virtual"),
        (ChildContextError, "child"),
        (OperationError, "cannot seria"),
    ]
    (verdict,) = [o for o in finished.operations if o.sub_type == "Any"]
    assert verdict.status == "FAILED"


async def test_a_group_that_leaves_the_handler(autojump_clock: MockClock) -> None:
    """It fails the execution as an ExceptionGroup."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.any([ctx.step(fail, 1, "a", retry=no_retry()), ctx.step(fail, 1, "b", retry=no_retry())])

    assert (await run(handler)).error.type == "ExceptionGroup"


async def test_a_suspension_is_no_failure(autojump_clock: MockClock) -> None:
    """What waits may still succeed: any goes on in a later invocation."""

    async def child(ctx: DurableContext) -> str:
        await ctx.wait(Duration.hours(1))
        return "an hour later"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.any([ctx.step(fail, 1, "no", retry=no_retry()), ctx.run_in_child_context(child)])

    finished = await run(handler)

    assert finished.result == "an hour later"
    assert finished.invocations == ["PENDING", "SUCCEEDED"]


async def test_an_error_that_ends_the_execution_is_no_failure_to_pass_over(autojump_clock: MockClock) -> None:
    """A branch that breaks a rule of durable code fails the execution, whatever the others do."""

    async def child(ctx: DurableContext) -> None:
        with trio.move_on_after(5):
            await ctx.wait(Duration.hours(1))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.any([ctx.run_in_child_context(child), ctx.wait(Duration.hours(2))])

    assert (await run(handler)).error.type == "ContextUseError"


async def test_a_plain_body_is_no_failure_to_pass_over(autojump_clock: MockClock) -> None:
    """A context whose body is not async is a mistake in the program, and is told at once."""

    def plain(ctx: DurableContext) -> int:
        return 1

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        mistake: Any = plain
        await ctx.any([ctx.run_in_child_context(mistake), ctx.wait(Duration.hours(2))])

    assert (await run(handler)).error.type == "ConfigurationError"
