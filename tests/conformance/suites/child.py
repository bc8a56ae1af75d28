"""Suite ``child``: child contexts, their results, failures and replays."""

from __future__ import annotations

from conformance.bodies import die_on_first_run, fail, give, succeed_on

from durable_trio import (
    ChildContextError,
    DurableContext,
    Duration,
    ReplayLogging,
    custom_serdes,
    durable_execution,
    fixed_delay,
    no_retry,
)

ONE_SECOND = Duration.seconds(1)
LARGE = 300_000  # characters: more than a context's record may hold


async def one_step(child: DurableContext, value: str) -> str:
    """Give *value*, in a step."""
    return await child.step(give, value)


async def failing_step(child: DurableContext) -> None:
    """Fail, in a step without retries."""
    await child.step(fail, retry=no_retry())


async def step_and_wait(child: DurableContext, value: str) -> str:
    """Give *value* in a step, and wait."""
    result = await child.step(give, value)
    await child.wait(ONE_SECOND)
    return result


@durable_execution
async def basic(event: str, ctx: DurableContext) -> str:
    """3-1: a step in a child context."""
    return await ctx.run_in_child_context(one_step, event)


@durable_execution
async def named(event: dict[str, str], ctx: DurableContext) -> str:
    """3-2: a child context with a name of its own."""
    return await ctx.run_in_child_context(one_step, event["value"], name=event["name"])


@durable_execution
async def two_steps(event: str, ctx: DurableContext) -> str:
    """3-3: two steps in a child context, the second on what the first returned."""

    async def body(child: DurableContext) -> str:
        first = await child.step(give, event)
        return await child.step(give, first)

    return await ctx.run_in_child_context(body)


@durable_execution
async def failed(event: None, ctx: DurableContext) -> None:
    """3-4: a failed step fails its context, and the execution."""
    await ctx.run_in_child_context(failing_step)


@durable_execution
async def caught(event: str, ctx: DurableContext) -> str:
    """3-5: a failed context, caught, and a step instead."""
    try:
        await ctx.run_in_child_context(failing_step)
    except ChildContextError:
        return await ctx.step(give, event, name="recover")
    raise AssertionError("the child context did not fail")


@durable_execution
async def nested(event: str, ctx: DurableContext) -> str:
    """3-6: a child context in a child context."""

    async def outer(child: DurableContext) -> str:
        value = await child.step(give, event)
        return await child.run_in_child_context(one_step, value, name="inner")

    return await ctx.run_in_child_context(outer)


@durable_execution
async def retried(event: str, ctx: DurableContext) -> str:
    """3-7: a step in a child context succeeds at its second attempt."""

    async def body(child: DurableContext) -> str:
        return await child.step(succeed_on, 2, event, retry=fixed_delay(ONE_SECOND))

    return await ctx.run_in_child_context(body)


@durable_execution
async def exhausted(event: None, ctx: DurableContext) -> None:
    """3-8: two attempts in a child context, both in vain."""

    async def body(child: DurableContext) -> None:
        await child.step(fail, retry=fixed_delay(ONE_SECOND, max_attempts=2))

    await ctx.run_in_child_context(body)


@durable_execution
async def replayed(event: str, ctx: DurableContext) -> str:
    """3-9: a finished child context does not run again."""
    value = await ctx.run_in_child_context(one_step, event)
    await ctx.wait(ONE_SECOND)
    return value


@durable_execution
async def wait_inside(event: str, ctx: DurableContext) -> str:
    """3-10: a step and a wait in a child context."""
    return await ctx.run_in_child_context(step_and_wait, event)


@durable_execution(replay_logging=ReplayLogging.ALLOW_ALL)
async def large_result(event: str, ctx: DurableContext) -> int:
    """3-11: a result too large to be recorded: the body runs again, its step does not."""

    async def body(child: DurableContext) -> str:
        child.logger.info(event)
        return await child.step(give, "x") * LARGE

    text = await ctx.run_in_child_context(body)
    await ctx.wait(ONE_SECOND)
    return len(text)


@durable_execution
async def interrupted(event: str, ctx: DurableContext) -> str:
    """3-12: the process dies in a step, and the step runs again."""

    async def body(child: DurableContext) -> str:
        return await child.step(die_on_first_run, event)

    return await ctx.run_in_child_context(body)


@durable_execution
async def only_a_wait(event: str, ctx: DurableContext) -> str:
    """3-13: nothing but a wait in the child context, and a step after it."""

    async def body(child: DurableContext) -> str:
        await child.wait(ONE_SECOND)
        return event

    return await ctx.step(give, await ctx.run_in_child_context(body))


@durable_execution
async def own_serdes(event: str, ctx: DurableContext) -> str:
    """3-14: a serializer for this context; what comes back is what it made of the value."""
    return await ctx.run_in_child_context(one_step, event, serdes=custom_serdes(str.upper, str))


@durable_execution
async def failed_without_operations(event: None, ctx: DurableContext) -> None:
    """3-15: the body itself raises."""

    async def body(child: DurableContext) -> None:
        raise RuntimeError("the body of the child context fails")

    await ctx.run_in_child_context(body)


@durable_execution
async def null_result(event: None, ctx: DurableContext) -> None:
    """3-16: None."""

    async def body(child: DurableContext) -> None:
        pass

    return await ctx.run_in_child_context(body)


@durable_execution(replay_logging=ReplayLogging.ALLOW_ALL)
async def only_a_log_line(event: str, ctx: DurableContext) -> str:
    """3-17: a child context without operations does not run again either."""

    async def body(child: DurableContext) -> str:
        child.logger.info(event)
        return event

    value = await ctx.run_in_child_context(body)
    await ctx.wait(ONE_SECOND)
    return value


@durable_execution
async def inside_and_after(event: str, ctx: DurableContext) -> str:
    """3-18: a step and a wait in a child context, the same after it."""
    value = await ctx.run_in_child_context(step_and_wait, event)
    value = await ctx.step(give, value)
    await ctx.wait(ONE_SECOND)
    return value


HANDLERS = {
    "3-1": basic,
    "3-2": named,
    "3-3": two_steps,
    "3-4": failed,
    "3-5": caught,
    "3-6": nested,
    "3-7": retried,
    "3-8": exhausted,
    "3-9": replayed,
    "3-10": wait_inside,
    "3-11": large_result,
    "3-12": interrupted,
    "3-13": only_a_wait,
    "3-14": own_serdes,
    "3-15": failed_without_operations,
    "3-16": null_result,
    "3-17": only_a_log_line,
    "3-18": inside_and_after,
}
