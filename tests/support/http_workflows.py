"""Functions that the tests of the endpoint serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durable_trio import DurableContext, Duration, durable_execution

if TYPE_CHECKING:
    from durable_trio.local import LocalService


@durable_execution
async def greet(event: Any, ctx: DurableContext) -> str:
    """Greet whom the event names."""

    async def shout(name: str) -> str:
        return name.upper()

    return f"Hello, {await ctx.step(shout, event['name'])}"


@durable_execution
async def approve(event: Any, ctx: DurableContext) -> Any:
    """Wait for somebody's approval."""
    callback = await ctx.create_callback(name="approval", timeout=Duration.days(30))
    return {"answer": await callback.result()}


@durable_execution
async def nap(event: Any, ctx: DurableContext) -> str:
    """Sleep for so many minutes, and work a little before and after."""

    async def nothing() -> None:
        return None

    await ctx.step(nothing, name="before")
    await ctx.wait(Duration.minutes(event.get("minutes", 400_000)), name="nap")
    await ctx.step(nothing, name="after")
    return "rested"


@durable_execution
async def fail(event: Any, ctx: DurableContext) -> None:
    """Fail."""
    raise ValueError("no good")


@durable_execution
async def count(event: Any, ctx: DurableContext) -> int:
    """Do many steps at once."""

    async def one(number: int) -> int:
        return number

    return sum(await ctx.all([ctx.step(one, number, name="one") for number in range(event["steps"])]))


def echo(event: Any, context: Any) -> Any:
    """Return the event: a function that is not durable."""
    return event


def register_all(service: LocalService) -> None:
    """Make them all known."""
    for handler in (greet, approve, nap, fail, count):
        service.register(handler.fn.__name__, handler.invoke)
    service.register_plain("echo", echo)
