"""Suite ``wait``: durations and names."""

from durable_trio import DurableContext, Duration, durable_execution


@durable_execution
async def basic(event: None, ctx: DurableContext) -> str:
    """2-1: two seconds."""
    await ctx.wait(Duration.seconds(2))
    return "waited"


@durable_execution
async def named(event: None, ctx: DurableContext) -> str:
    """2-2: a wait with a name."""
    await ctx.wait(Duration.seconds(2), name="custom_wait_name")
    return "waited"


@durable_execution
async def sequential(event: None, ctx: DurableContext) -> dict[str, int]:
    """2-3: two waits, two suspensions."""
    await ctx.wait(Duration.seconds(2), name="wait-1")
    await ctx.wait(Duration.seconds(2), name="wait-2")
    return {"completedWaits": 2}


@durable_execution
async def a_minute(event: None, ctx: DurableContext) -> None:
    """2-4: minutes become seconds."""
    await ctx.wait(Duration.minutes(1))


@durable_execution
async def an_hour(event: None, ctx: DurableContext) -> None:
    """2-5: hours become seconds."""
    await ctx.wait(Duration.hours(1))


HANDLERS = {"2-1": basic, "2-2": named, "2-3": sequential, "2-4": a_minute, "2-5": an_hour}
