"""Ending an execution early, cancelling a wait, waiting in place, and invoking other functions."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
import trio.testing
from support.runs import FUNCTION, driven, run

from durable_trio import (
    DurableContext,
    Duration,
    InvokeError,
    StepError,
    ValidationError,
    durable_execution,
    no_retry,
)


async def echo(value: Any) -> Any:
    """Give back what was given."""
    return value


async def test_complete_ends_the_execution_from_anywhere(autojump_clock: trio.testing.MockClock) -> None:
    """``complete`` in a child ends everything with its value; nothing after it runs."""
    after: list[str] = []

    async def child(ctx: DurableContext, item: int, index: int) -> None:
        if item == 1:
            await ctx.complete({"from": item})
        try:
            await ctx.wait(Duration.days(3))
        finally:
            after.append("cleaned up")
        after.append("went on")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        await ctx.map([0, 1], child)
        return "not this"

    finished = await run(handler)

    assert finished.result == {"from": 1}
    assert finished.answers == [{"Status": "SUCCEEDED", "Result": ""}]
    assert after == ["cleaned up"]
    assert [str(call) for call in finished.calls][-1].endswith("EXECUTION SUCCEED")


async def test_fail_ends_the_execution_as_failed(autojump_clock: trio.testing.MockClock) -> None:
    """``fail`` records the error as the execution's, even if the caller swallows everything."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.fail(LookupError("no such order"))
        except BaseException:  # noqa: BLE001  # what this test is about
            return "swallowed"

    finished = await run(handler)

    assert finished.status == "FAILED"
    assert (finished.error.type, finished.error.message) == ("LookupError", "no such order")


async def test_a_wait_can_be_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    """A wait that lost to a failure is cancelled at the service; a second cancellation changes nothing."""

    async def broken() -> None:
        raise ValueError("no")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        wait = ctx.wait(Duration.days(9), name="w")
        unstarted = ctx.wait(Duration.days(9), name="never")
        await ctx.cancel_wait(unstarted)
        try:
            await ctx.all([wait, ctx.step(broken, retry=no_retry())])
        except StepError:
            await ctx.cancel_wait(wait)
            await ctx.cancel_wait(wait)
        await wait  # still to be had: it returns normally
        step = ctx.step(echo, 1)
        with pytest.raises(ValidationError):
            await ctx.cancel_wait(step)
        await step
        await unstarted
        return "done"

    finished = await run(handler)

    assert finished.result == "done"
    assert finished.named("w").status == "CANCELLED"
    assert finished.event_types.count("WaitCancelled") == 1


async def test_a_short_wait_may_pass_in_place(autojump_clock: trio.testing.MockClock) -> None:
    """With ``inline_wait`` a timer that is due soon enough is waited for in the same invocation."""

    @durable_execution(inline_wait=Duration.seconds(5))
    async def handler(event: Any, ctx: DurableContext) -> str:
        await ctx.wait(Duration.seconds(4))
        await ctx.wait(Duration.seconds(5))
        await ctx.wait(Duration.seconds(60))
        return "done"

    finished = await run(handler)

    assert finished.invocations == ["PENDING", "SUCCEEDED"]
    # One call to start each wait, one to hear of the end of each that was waited for.
    assert len(finished.calls) == 5


async def test_a_short_wait_suspends_when_time_is_short(autojump_clock: trio.testing.MockClock) -> None:
    """An inline wait that would outlast the invocation suspends like any other."""

    @durable_execution(inline_wait=Duration.minutes(5))
    async def handler(event: Any, ctx: DurableContext) -> str:
        await ctx.wait(Duration.seconds(20))
        await ctx.wait(Duration.seconds(20))
        return "done"

    finished = await run(handler, timeout_seconds=30)

    assert finished.result == "done"
    assert finished.invocations == ["PENDING", "SUCCEEDED"]


async def test_invoke_gives_the_answer_of_another_function(autojump_clock: trio.testing.MockClock) -> None:
    """A chained invoke suspends until the other function has answered; its failure is an ``InvokeError``."""

    @durable_execution
    async def target(event: Any, ctx: DurableContext) -> Any:
        await ctx.wait(Duration.seconds(3))
        if event == "fail":
            raise ValueError("not that")
        return {"echo": event}

    errors: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        good = await ctx.invoke("target", {"n": 1}, name="call")
        try:
            await ctx.invoke("target", "fail")
        except InvokeError as error:
            errors.append((error.error_type, str(error)))
        try:
            await ctx.invoke("nobody", None, tenant_id="t")
        except InvokeError as error:
            errors.append(error.error_type)
        with pytest.raises(ValidationError, match="function_name"):
            ctx.invoke("")
        await ctx.wait(Duration.seconds(1))
        return good

    async with driven(handler) as driver:
        driver.service.register("target", target.invoke)
        started = await driver.service.start_execution(FUNCTION, json.dumps(None))
        finished = await driver.finish(started.arn)

    assert finished.result == {"echo": {"n": 1}}
    assert errors == errors[-2:] * (len(errors) // 2)
    assert errors[-2:] == [("ValueError", "not that"), "ResourceNotFoundException"]
    assert finished.event_types.count("ChainedInvokeStarted") == 3
