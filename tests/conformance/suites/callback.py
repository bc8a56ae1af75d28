"""Suite ``callback``: answers, failures and time-outs from outside."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from conformance.bodies import give

from durable_trio import (
    CallbackExternalError,
    DurableContext,
    Duration,
    custom_serdes,
    durable_execution,
)


@dataclass(frozen=True)
class Message:
    """What 4-15 receives; the time stamp is in seconds since 1970."""

    id: str
    message: str
    timestamp: int


def write_message(message: Message) -> str:
    """Return the JSON text of *message*."""
    return json.dumps(asdict(message))


def read_message(text: str) -> Message:
    """Read a message whose time stamp is ISO 8601 text."""
    fields = json.loads(text)
    timestamp = datetime.fromisoformat(fields["timestamp"])
    return Message(fields["id"], fields["message"], int(timestamp.timestamp()))


@durable_execution
async def basic(event: str, ctx: DurableContext) -> Any:
    """4-1: create a callback, and wait for its result."""
    callback = await ctx.create_callback(name=event)
    return await callback.result()


@durable_execution
async def timed_out(event: str, ctx: DurableContext) -> Any:
    """4-3: nobody answers within 5 seconds."""
    callback = await ctx.create_callback(name=event, timeout=Duration.seconds(5))
    return await callback.result()


@durable_execution
async def heartbeat(event: str, ctx: DurableContext) -> Any:
    """4-5: a heartbeat at least every 10 seconds."""
    callback = await ctx.create_callback(name=event, heartbeat_timeout=Duration.seconds(10))
    return await callback.result()


@durable_execution
async def step_between(event: str, ctx: DurableContext) -> Any:
    """4-7: a step before the result is waited for."""
    callback = await ctx.create_callback(name=event)
    await ctx.step(give, callback.callback_id, name="notify")
    return await callback.result()


@durable_execution
async def wait_between(event: str, ctx: DurableContext) -> Any:
    """4-9: the answer comes during a wait."""
    callback = await ctx.create_callback(name=event)
    await ctx.wait(Duration.seconds(5))
    return await callback.result()


@durable_execution
async def timed_out_during_a_wait(event: str, ctx: DurableContext) -> Any:
    """4-11: the time-out comes during a wait."""
    callback = await ctx.create_callback(name=event, timeout=Duration.seconds(3))
    await ctx.wait(Duration.seconds(6))
    return await callback.result()


@durable_execution
async def caught(event: str, ctx: DurableContext) -> str:
    """4-13: a failure from outside, caught; the same on replay."""
    callback = await ctx.create_callback(name=event)
    try:
        message: str = await callback.result()
    except CallbackExternalError as error:
        message = str(error)
    await ctx.wait(Duration.seconds(2))
    return message


@durable_execution
async def own_serdes(event: str, ctx: DurableContext) -> dict[str, Message]:
    """4-15: the answer becomes a typed value."""
    callback = await ctx.create_callback(name=event, serdes=custom_serdes(write_message, read_message))
    return {"received": await callback.result()}


@durable_execution
async def one_after_the_other(event: list[str], ctx: DurableContext) -> list[str]:
    """4-17: callback A and its result, then callback B and its result."""
    results = []
    for name in event:
        callback = await ctx.create_callback(name=name)
        results.append(await callback.result())
    return results


@durable_execution
async def second_first(event: list[str], ctx: DurableContext) -> list[str]:
    """4-19: callbacks A and B, then the result of B, then that of A."""
    first, second = [await ctx.create_callback(name=name) for name in event]
    second_result = await second.result()
    return [await first.result(), second_result]


HANDLERS = {
    "4-1": basic,
    "4-3": timed_out,
    "4-5": heartbeat,
    "4-7": step_between,
    "4-9": wait_between,
    "4-11": timed_out_during_a_wait,
    "4-13": caught,
    "4-15": own_serdes,
    "4-17": one_after_the_other,
    "4-19": second_first,
}
