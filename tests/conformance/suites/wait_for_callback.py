"""Suite ``wait_for_callback``: a submitter hands the callback's id on, the outside world answers."""

from typing import Any, NoReturn

from durable_trio import DurableContext, Duration, durable_execution, fixed_delay, json_serdes


async def submit(callback_id: str) -> None:
    """Hand *callback_id* to nobody: whoever answers finds it in the history."""


async def refuse(callback_id: str) -> NoReturn:
    """Fail to hand *callback_id* on."""
    raise RuntimeError("the other system is down")


@durable_execution
async def basic(event: str, ctx: DurableContext) -> Any:
    """7-1, 7-15: the answer is the result; None if it holds no payload."""
    return await ctx.wait_for_callback(submit, name=event)


@durable_execution
async def unnamed(event: None, ctx: DurableContext) -> Any:
    """7-3: neither the operation nor its submitter has a name."""
    return await ctx.wait_for_callback(lambda callback_id: None)


@durable_execution
async def timed_out(event: str, ctx: DurableContext) -> Any:
    """7-5: nobody answers within 3 seconds."""
    return await ctx.wait_for_callback(submit, name=event, timeout=Duration.seconds(3))


@durable_execution
async def submitter_fails(event: str, ctx: DurableContext) -> Any:
    """7-7: two attempts to hand the id on, both in vain."""
    return await ctx.wait_for_callback(
        refuse, name=event, retry=fixed_delay(Duration.seconds(1), max_attempts=2)
    )


@durable_execution
async def one_after_the_other(event: None, ctx: DurableContext) -> Any:
    """7-9: two in a row."""
    await ctx.wait_for_callback(submit, name="first")
    return await ctx.wait_for_callback(submit, name="second")


@durable_execution
async def json_answer(event: str, ctx: DurableContext) -> str:
    """7-11: the answer is an object."""
    answer: dict[str, str] = await ctx.wait_for_callback(submit, name=event, serdes=json_serdes())
    return answer["status"]


@durable_execution
async def heartbeat(event: str, ctx: DurableContext) -> Any:
    """7-13: a heartbeat at least every 10 seconds."""
    return await ctx.wait_for_callback(submit, name=event, heartbeat_timeout=Duration.seconds(10))


HANDLERS = {
    "7-1": basic,
    "7-3": unnamed,
    "7-5": timed_out,
    "7-7": submitter_fails,
    "7-9": one_after_the_other,
    "7-11": json_answer,
    "7-13": heartbeat,
    "7-15": basic,
}
