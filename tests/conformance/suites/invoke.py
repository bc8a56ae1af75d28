"""Suite ``invoke``: functions that call other functions, and the functions they call."""

import json
from typing import Any

from conformance.bodies import give

from durable_trio import DurableContext, Duration, custom_serdes, durable_execution

# A durable function is invoked by a qualified name.
ECHO = "conformance-echo:$LATEST"
FAILING = "conformance-failing:$LATEST"
MEASURING = "conformance-measuring:$LATEST"


# The requirements pin the order "the caller suspends, then the other function ends". A function that is done within
# a millisecond or two may well end first; so these take their time.
A_MOMENT = Duration.seconds(1)


@durable_execution
async def echo(event: Any, ctx: DurableContext) -> Any:
    """Return the input."""
    await ctx.wait(A_MOMENT)
    return event


@durable_execution
async def failing(event: Any, ctx: DurableContext) -> None:
    """Fail."""
    await ctx.wait(A_MOMENT)
    raise RuntimeError("the invoked function fails")


@durable_execution
async def measuring(event: str, ctx: DurableContext) -> dict[str, int]:
    """Return the size of the input."""
    await ctx.wait(A_MOMENT)
    return {"received": len(event)}


@durable_execution
async def invoked(event: Any, ctx: DurableContext) -> Any:
    """5-1, 5-3: the result of another function."""
    return await ctx.invoke(ECHO, event)


@durable_execution
async def failed(event: None, ctx: DurableContext) -> Any:
    """5-5: the other function fails."""
    return await ctx.invoke(FAILING, event)


@durable_execution
async def large_payload(event: None, ctx: DurableContext) -> Any:
    """5-7: 200 KB of input."""
    return await ctx.invoke(MEASURING, "x" * 200_000)


@durable_execution
async def replayed(event: None, ctx: DurableContext) -> Any:
    """5-9: the other function is not called again after a wait."""
    result = await ctx.invoke(ECHO, {"message": "hello"})
    await ctx.wait(Duration.seconds(1))
    return result


@durable_execution
async def after_a_step(event: None, ctx: DurableContext) -> Any:
    """5-11: what a step returned is the input of the other function."""
    return await ctx.invoke(ECHO, await ctx.step(give, "from the step"))


@durable_execution
async def in_a_child_context(event: None, ctx: DurableContext) -> Any:
    """5-13: called from a child context."""
    return await ctx.run_in_child_context(lambda child: child.invoke(ECHO, "from the child"))


@durable_execution
async def own_payload_serdes(event: dict[str, str], ctx: DurableContext) -> Any:
    """5-15: a serializer for the input of the other function."""
    shouting = custom_serdes(lambda value: json.dumps(value).upper(), json.loads)
    return await ctx.invoke(ECHO, event, payload_serdes=shouting)


HANDLERS = {
    "5-1": invoked,
    "5-3": invoked,
    "5-5": failed,
    "5-7": large_payload,
    "5-9": replayed,
    "5-11": after_a_step,
    "5-13": in_a_child_context,
    "5-15": own_payload_serdes,
}

TARGETS = {
    "conformance-echo": echo,
    "conformance-failing": failing,
    "conformance-measuring": measuring,
}
