"""Durable functions of durable_trio, and one that is not durable."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from durable_trio import DurableContext, Duration, InvokeError, durable_execution


@durable_execution
async def ours(event: Any, ctx: DurableContext) -> Any:
    """Be called by a function of AWS's SDK, and call two more: one of that SDK, and a plain one."""

    async def item(child: DurableContext, x: int, index: int) -> int:
        await child.wait(Duration.seconds(1), name="item wait")
        return x + index

    batch = await ctx.map([event["n"], 1], item, name="items")
    leaf = await ctx.invoke("leaf:$LATEST", {"from": "ours"}, name="leaf")
    plain = await ctx.invoke("plain", {"n": 5}, name="plain")
    try:
        await ctx.invoke("fails", "luck", name="fails")
        failure = "none"
    except InvokeError as error:
        failure = f"{error.error_type}: {error.message}"
    return {"items": batch.results(), "leaf": leaf, "plain": plain, "failure": failure}


def plain(event: Any, context: Any) -> Any:
    """Be an ordinary Lambda function."""
    if event == "boom":
        raise ValueError("boom")
    print("plain function called with", event)
    return {"plain": event["n"] + 1, "version": context.function_version}


@durable_execution
async def chat(event: Any, ctx: DurableContext) -> str:
    """Print in two invocations."""
    print("before the wait")
    await ctx.wait(Duration.seconds(1))
    print("after the wait")
    return "told"


@durable_execution
async def slow(event: Any, ctx: DurableContext) -> str:
    """Block for a minute, and do not the second time."""
    _block_once(Path(event["mark"]))
    return "second try"


def _block_once(mark: Path) -> None:
    if not mark.exists():
        mark.write_text(str(os.getpid()))
        time.sleep(60)


@durable_execution
async def month(event: Any, ctx: DurableContext) -> str:
    """Wait for a month in all, and in vain for a callback."""
    for week in range(4):
        await ctx.wait(Duration.days(7), name=f"week {week}")
    callback = await ctx.create_callback(name="never", timeout=Duration.days(2))
    try:
        await callback.result()
    except Exception as error:  # noqa: BLE001  # what it is is the test's business
        return type(error).__name__
    return "answered"
