"""Suite ``step``: results, retries, errors, interruptions."""

from typing import Any

from conformance.bodies import (
    TransientError,
    fail,
    give,
    greet,
    log_and_die,
    log_and_die_once,
    log_and_fail,
    log_and_give,
    raise_transient,
    recover_from_transient,
    succeed_on,
)

from durable_trio import (
    DurableContext,
    Duration,
    Jitter,
    StepError,
    StepSemantics,
    current_step,
    custom_serdes,
    durable_execution,
    exponential_backoff,
    fixed_delay,
    no_retry,
)

ONE_SECOND = Duration.seconds(1)


@durable_execution
async def basic(event: str, ctx: DurableContext) -> str:
    """1-1: a single step."""
    return await ctx.step(greet, event)


@durable_execution
async def named(event: str, ctx: DurableContext) -> str:
    """1-2: a step with a name of its own."""
    return await ctx.step(greet, event, name="custom_step_name")


@durable_execution
async def sequential(event: None, ctx: DurableContext) -> str:
    """1-3: the second step works on what the first returned."""

    async def second(before: str) -> str:
        return f"{before}_second"

    return await ctx.step(second, await ctx.step(give, "first"))


@durable_execution
async def complex_object(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    """1-4: a nested object."""

    async def build_response() -> dict[str, Any]:
        return {"user": {"name": event["name"], "tags": event["tags"]}, "count": len(event["tags"])}

    return await ctx.step(build_response)


@durable_execution
async def null_result(event: None, ctx: DurableContext) -> None:
    """1-5: None."""

    async def do_nothing() -> None:
        pass

    return await ctx.step(do_nothing)


@durable_execution
async def own_serdes(event: str, ctx: DurableContext) -> str:
    """1-6: a serializer for this step; what comes back is what it made of the value."""
    return await ctx.step(give, event, serdes=custom_serdes(str.upper, str))


@durable_execution
async def step_logger(event: str, ctx: DurableContext) -> str:
    """1-7: the logger of the step."""

    async def greet_aloud(name: str) -> str:
        logger = current_step().logger
        logger.info(f"Greeting step started for: {name}")
        greeting = f"Hello, {name}!"
        logger.info(f"Greeting step completed with: {greeting}")
        return greeting

    return await ctx.step(greet_aloud, event)


@durable_execution
async def step_and_wait(event: None, ctx: DurableContext) -> str:
    """1-8: a step, then a suspension."""
    value = await ctx.step(give, "computed")
    await ctx.wait(Duration.seconds(2))
    return value


@durable_execution
async def replayed_success(event: None, ctx: DurableContext) -> str:
    """1-9: a finished step does not run again."""
    value = await ctx.step(log_and_give, "cached_value")
    await ctx.wait(ONE_SECOND)
    return value


@durable_execution
async def replayed_failure(event: None, ctx: DurableContext) -> str:
    """1-10: a failed step raises again, and does not run again."""
    caught = ""
    try:
        await ctx.step(log_and_fail, retry=no_retry())
    except StepError as error:
        caught = f"{error.error_type}: {error}"
    await ctx.wait(ONE_SECOND)
    return caught


@durable_execution
async def retried(event: None, ctx: DurableContext) -> str:
    """1-11: the second attempt succeeds."""
    return await ctx.step(succeed_on, 2, "Operation succeeded", retry=fixed_delay(ONE_SECOND))


@durable_execution
async def exhausted(event: None, ctx: DurableContext) -> None:
    """1-12: four attempts, all in vain."""
    await ctx.step(fail, retry=fixed_delay(ONE_SECOND, max_attempts=4))


@durable_execution
async def default_retry(event: None, ctx: DurableContext) -> str:
    """1-13: the third attempt succeeds, with the default strategy."""
    return await ctx.step(succeed_on, 3, "done")


@durable_execution
async def growing_delays(event: None, ctx: DurableContext) -> str:
    """1-14: 2 seconds, then 6."""
    strategy = exponential_backoff(5, Duration.seconds(2), multiplier=3, jitter=Jitter.NONE)
    return await ctx.step(succeed_on, 3, "done", retry=strategy)


@durable_execution
async def retried_for_its_type(event: None, ctx: DurableContext) -> str:
    """1-15: the strategy retries this type of error."""
    return await ctx.step(recover_from_transient, retry=fixed_delay(ONE_SECOND, retry_on=TransientError))


@durable_execution
async def not_retried_for_its_type(event: None, ctx: DurableContext) -> None:
    """1-16: the strategy does not retry this type of error."""
    strategy = fixed_delay(ONE_SECOND, retry_if=lambda error: not isinstance(error, TransientError))
    await ctx.step(raise_transient, retry=strategy)


@durable_execution
async def interrupted(event: str, ctx: DurableContext) -> None:
    """1-17: a step that must not run twice, and whose process dies."""
    await ctx.step(
        log_and_die,
        event,
        name="at_most_once_flaky_step",
        retry=no_retry(),
        semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY,
    )


@durable_execution
async def interrupted_and_retried(event: str, ctx: DurableContext) -> str:
    """1-18: the same with a second attempt."""
    return await ctx.step(
        log_and_die_once,
        event,
        retry=fixed_delay(ONE_SECOND, max_attempts=2),
        semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY,
    )


@durable_execution
async def failed(event: None, ctx: DurableContext) -> None:
    """1-19: a step that fails for good."""
    await ctx.step(fail, retry=no_retry())


@durable_execution
async def caught(event: None, ctx: DurableContext) -> str:
    """1-20: a failed step, caught, and another instead."""
    try:
        return await ctx.step(fail, retry=no_retry())
    except StepError:
        return await ctx.step(give, "fallback_result")


HANDLERS = {
    "1-1": basic,
    "1-2": named,
    "1-3": sequential,
    "1-4": complex_object,
    "1-5": null_result,
    "1-6": own_serdes,
    "1-7": step_logger,
    "1-8": step_and_wait,
    "1-9": replayed_success,
    "1-10": replayed_failure,
    "1-11": retried,
    "1-12": exhausted,
    "1-13": default_retry,
    "1-14": growing_delays,
    "1-15": retried_for_its_type,
    "1-16": not_retried_for_its_type,
    "1-17": interrupted,
    "1-18": interrupted_and_retried,
    "1-19": failed,
    "1-20": caught,
}
