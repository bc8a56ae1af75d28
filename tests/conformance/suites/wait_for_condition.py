"""Suite ``wait_for_condition``: polls, and when they stop."""

from typing import Any, NoReturn

from durable_trio import (
    DurableContext,
    Duration,
    Jitter,
    Operation,
    WaitForConditionError,
    custom_serdes,
    durable_execution,
    exponential_polling,
)

ONE_SECOND = Duration.seconds(1)


async def increment(state: int) -> int:
    """Count one up."""
    return state + 1


async def keep(state: int) -> int:
    """Leave the state as it is."""
    return state


async def break_down(state: int) -> NoReturn:
    """Fail."""
    raise RuntimeError("the check fails")


def count_to(ctx: DurableContext, threshold: int, *, start: int = 0) -> Operation[int]:
    """Count from *start* until *threshold* is reached, one a second."""
    return ctx.wait_for_condition(
        increment, initial_state=start, until=lambda state: state >= threshold, interval=ONE_SECOND
    )


@durable_execution
async def basic(event: int, ctx: DurableContext) -> int:
    """6-1: count to the input."""
    return await count_to(ctx, event)


@durable_execution
async def met_at_once(event: int, ctx: DurableContext) -> int:
    """6-2: the first check meets the condition."""
    return await ctx.wait_for_condition(
        keep, initial_state=5, until=lambda state: state >= event, interval=ONE_SECOND
    )


@durable_execution
async def named(event: int, ctx: DurableContext) -> int:
    """6-3: polls with a name."""
    return await ctx.wait_for_condition(
        increment,
        initial_state=0,
        until=lambda state: state >= event,
        interval=ONE_SECOND,
        name="poll-status",
    )


@durable_execution
async def initial_state(event: int, ctx: DurableContext) -> int:
    """6-4: count from 5 to the input."""
    return await count_to(ctx, event, start=5)


@durable_execution
async def fixed_interval(event: int, ctx: DurableContext) -> int:
    """6-5: exactly two seconds in between."""
    return await ctx.wait_for_condition(
        increment, initial_state=0, until=lambda state: state >= event, interval=Duration.seconds(2)
    )


@durable_execution
async def exhausted(event: int, ctx: DurableContext) -> int:
    """6-6: three checks, and the condition is not met."""
    return await ctx.wait_for_condition(
        increment,
        initial_state=event,
        until=lambda state: False,
        wait_strategy=exponential_polling(3, ONE_SECOND, multiplier=1, jitter=Jitter.NONE),
    )


@durable_execution
async def failed(event: None, ctx: DurableContext) -> int:
    """6-7: the check fails, and is not retried."""
    return await ctx.wait_for_condition(break_down, initial_state=0, until=lambda state: True)


@durable_execution
async def caught(event: None, ctx: DurableContext) -> str:
    """6-8: the check fails, and the handler knows what to do."""
    try:
        await ctx.wait_for_condition(break_down, initial_state=0, until=lambda state: True)
    except WaitForConditionError:
        return "recovered"
    raise AssertionError("the check did not fail")


@durable_execution
async def structured_state(event: None, ctx: DurableContext) -> dict[str, Any]:
    """6-9: the state is an object."""

    async def check(job: dict[str, Any]) -> dict[str, Any]:
        attempts = job["attempts"] + 1
        return {"status": "DONE" if attempts == 2 else "PENDING", "attempts": attempts}

    return await ctx.wait_for_condition(
        check,
        initial_state={"status": "PENDING", "attempts": 0},
        until=lambda job: job["status"] == "DONE",
        interval=ONE_SECOND,
    )


@durable_execution
async def null_state(event: None, ctx: DurableContext) -> None:
    """6-10: the state is None."""

    async def check(state: None) -> None:
        pass

    return await ctx.wait_for_condition(check, initial_state=None, until=lambda state: True)


@durable_execution
async def own_serdes(event: None, ctx: DurableContext) -> str:
    """6-11: a serializer for the states."""

    async def grow(text: str) -> str:
        return f"{text}x"

    return await ctx.wait_for_condition(
        grow,
        initial_state="",
        until=lambda text: len(text) >= 2,
        interval=ONE_SECOND,
        serdes=custom_serdes(lambda text: f"state:{text}", lambda stored: stored.removeprefix("state:")),
    )


@durable_execution
async def then_a_step(event: int, ctx: DurableContext) -> int:
    """6-12: a step works on the final state."""

    async def tenfold(number: int) -> int:
        return number * 10

    return await ctx.step(tenfold, await count_to(ctx, event))


@durable_execution
async def one_after_the_other(event: None, ctx: DurableContext) -> int:
    """6-13: the second counts on from where the first stopped."""
    reached = await count_to(ctx, 2)
    return await count_to(ctx, 4, start=reached)


HANDLERS = {
    "6-1": basic,
    "6-2": met_at_once,
    "6-3": named,
    "6-4": initial_state,
    "6-5": fixed_interval,
    "6-6": exhausted,
    "6-7": failed,
    "6-8": caught,
    "6-9": structured_state,
    "6-10": null_state,
    "6-11": own_serdes,
    "6-12": then_a_step,
    "6-13": one_after_the_other,
}
