"""An invocation that plain blocking keeps from suspending says so."""

from __future__ import annotations

import json
from typing import Any

import trio
import trio.testing
from support.runs import run

from durable_trio import DurableContext, Duration, durable_execution


async def waits(ctx: DurableContext) -> None:
    """Park for a while."""
    await ctx.wait(Duration.hours(1))


async def sleeps(ctx: DurableContext) -> None:
    """Block on something plain, outside of a step."""
    await trio.sleep(60)


async def works(ctx: DurableContext) -> None:
    """Block on something plain in a step, where it is work."""
    await ctx.step(trio.sleep, 60)


def warnings(output: str) -> list[dict[str, Any]]:
    """Return the warnings that were logged."""
    lines = [json.loads(line) for line in output.splitlines()]
    return [line for line in lines if "cannot suspend" in line["message"]]


async def test_a_plain_block_is_reported_once(autojump_clock: trio.testing.MockClock, capsys: Any) -> None:
    """While another actor is parked, the task that sleeps outside of a step is named, with its line."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.parallel([waits, sleeps])

    finished = await run(handler)

    assert finished.status == "SUCCEEDED"
    (warning,) = warnings(capsys.readouterr().out)
    (place,) = warning["blocked"]
    assert "test_stall_watch.py" in place
    assert place.endswith("in sleeps")


async def test_work_is_not_reported(autojump_clock: trio.testing.MockClock, capsys: Any) -> None:
    """A long step beside a parked actor is work, and so is an invocation in which nothing is parked."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await trio.sleep(60)
        await ctx.parallel([waits, works])

    await run(handler)

    assert warnings(capsys.readouterr().out) == []
