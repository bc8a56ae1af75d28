"""A mixed load: durable functions whose step bodies leave a line in a file each time they run."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from durable_trio import DurableContext, Duration, current_step, durable_execution, fixed_delay


def note(what: str) -> str:
    """Be a step: say so in the file, in one write."""
    step = current_step()
    line = {
        "at": time.time() * 1000,
        "id": step.operation_id,
        "arn": step.execution_arn,
        "attempt": step.attempt,
    }
    file = os.open(os.environ["LOAD_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, (json.dumps(line) + "\n").encode())
    os.close(file)
    return what


def flaky() -> str:
    """Be a step that fails at its first attempt."""
    note("flaky")
    if current_step().attempt == 1:
        raise RuntimeError("not the first time")
    return "flaky"


async def item(ctx: DurableContext, number: int, index: int) -> str:
    """Be one of many: a step, and every third one waits."""
    done = await ctx.step(note, f"item {number}")
    if number % 3 == 0:
        await ctx.wait(Duration.seconds(1))
    return done


@durable_execution
async def load(event: Any, ctx: DurableContext) -> Any:
    """Do what this number's kind of execution does."""
    number = event["number"]
    first = await ctx.step(note, f"first {number}")
    rest: Any
    match number % 5:
        case 0:
            await ctx.wait(Duration.seconds(1 + number % 3))
            rest = await ctx.step(note, "after the wait")
        case 1:
            rest = (await ctx.map(range(6), item, max_concurrency=3)).results()
        case 2:
            callback = await ctx.create_callback(name="answer")
            rest = await callback.result()
        case 3:
            rest = [
                await ctx.invoke("child", {"number": number}),
                await ctx.invoke("plain", {"n": number}),
            ]
        case _:
            rest = await ctx.step(flaky, retry=fixed_delay(Duration.seconds(1), max_attempts=3))
    return {"first": first, "rest": rest, "last": await ctx.step(note, f"last {number}")}


@durable_execution
async def child(event: Any, ctx: DurableContext) -> str:
    """Be invoked by another function."""
    await ctx.wait(Duration.seconds(1))
    return await ctx.step(note, f"child {event['number']}")


def plain(event: Any, context: Any) -> int:
    """Be a function that is not durable."""
    number: int = event["n"]
    return number


def expected(number: int) -> dict[str, Any]:
    """Return what ``load`` comes to, however often it is killed."""
    rest: Any = {
        0: "after the wait",
        1: [f"item {n}" for n in range(6)],
        2: f"answer to {number}",
        3: [f"child {number}", number],
        4: "flaky",
    }[number % 5]
    return {"first": f"first {number}", "rest": rest, "last": f"last {number}"}
