"""Small durable handlers for the command line to run; loaded as a file, as users do."""

from __future__ import annotations

from typing import Any

from durable_trio import DurableContext, Duration, durable_execution, json_serdes, no_retry


def shout(text: str) -> str:
    """Be loud."""
    return text.upper()


def explode() -> None:
    """Fail."""
    raise ValueError("no such order")


def ask(callback_id: str) -> None:
    """Tell the world."""
    print(f"asked: {callback_id}")


@durable_execution
async def greet(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    """One step."""
    return {"greeting": await ctx.step(shout, event.get("name", "nobody"))}


@durable_execution
async def asks(event: dict[str, Any], ctx: DurableContext) -> Any:
    """Wait for one answer."""
    return {"answer": await ctx.wait_for_callback(ask, name="approval", serdes=json_serdes())}


@durable_execution
async def asks_twice(event: dict[str, Any], ctx: DurableContext) -> Any:
    """Wait for two answers."""
    first = await ctx.create_callback(name="first", serdes=json_serdes())
    second = await ctx.create_callback(name="second", serdes=json_serdes())
    return [await first.result(), await second.result()]


@durable_execution
async def fails(event: dict[str, Any], ctx: DurableContext) -> None:
    """Fail for good."""
    await ctx.step(explode, retry=no_retry())


@durable_execution
async def sleeps(event: dict[str, Any], ctx: DurableContext) -> str:
    """Wait for an hour."""
    await ctx.step(shout, "good night")
    await ctx.wait(Duration.hours(1), name="nap")
    return "rested"


@durable_execution
async def chatters(event: dict[str, Any], ctx: DurableContext) -> str:
    """Print and log."""
    print("printed by the handler")
    ctx.logger.info("logged by the handler")
    return "quiet"


class Desk:
    """Has a handler."""

    handler = greet


def not_durable(event: dict[str, Any], ctx: Any) -> None:
    """Lacks its decorator."""
