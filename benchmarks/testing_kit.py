"""``python -m benchmarks.testing_kit``: how long the testing kit takes, and how much memory.

Each measurement is made in a process of its own, so that its peak memory is its own, and three times: the median counts.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import click

from durable_trio import DurableContext, Duration, durable_execution
from durable_trio.testing import DurableRunner, explore_crashes_sync, simulate_sync

_ROUNDS = 3


async def give(value: Any) -> Any:
    """Return what is given."""
    return value


@durable_execution
async def steps(event: int, ctx: DurableContext) -> int:
    """Do *event* steps one after another."""
    return sum([await ctx.step(give, 1) for _ in range(event)])


@durable_execution
async def month(event: int, ctx: DurableContext) -> int:
    """Wait *event* times, thirty days in all, with a step after each."""
    total = 0
    for _ in range(event):
        await ctx.wait(Duration.seconds(30 * 86_400 // event))
        total += await ctx.step(give, 1)
    return total


async def item(ctx: DurableContext, value: int, index: int) -> int:
    """Wait and do a step."""
    await ctx.wait(Duration.seconds(1 + index))
    return int(await ctx.step(give, value))


@durable_execution
async def order(event: int, ctx: DurableContext) -> int:
    """Do a small map, a step, and ask for approval."""
    packed = (await ctx.map(range(event), item)).results()
    callback = await ctx.create_callback(name="approval")
    await callback.result()
    return sum(packed) + int(await ctx.step(give, 1))


def _explore(operations: int) -> Callable[[], str]:
    return lambda: str(explore_crashes_sync(steps, operations))


WORK: dict[str, Callable[[], str]] = {
    "runner: 30 days, 50 waits": lambda: f"{len(DurableRunner(month).run_sync(50).invocations)} invocations",
    "runner: 1,000 steps": lambda: f"{len(DurableRunner(steps).run_sync(1000).calls)} calls",
    "explorer: 20 steps": _explore(20),
    "explorer: 200 steps": _explore(200),
    "explorer: 30 days, 50 waits": lambda: str(explore_crashes_sync(month, 50)),
    "simulator: 100 seeds": lambda: str(simulate_sync(order, 5, callbacks={"approval": "yes"})),
}


def _measure_here(name: str) -> None:
    began, began_cpu = time.perf_counter(), time.process_time()
    said = WORK[name]()
    measured = {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - began_cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "said": said,
    }
    print(json.dumps(measured))


def _measured(name: str) -> dict[str, Any]:
    finished = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "benchmarks.testing_kit", "--here", name],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    measured: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return measured


@click.command()
@click.option("--only", metavar="TEXT", default="", help="Only what has this in its name.")
@click.option("--here", metavar="NAME", hidden=True)
def main(only: str, here: str | None) -> None:
    """Measure the testing kit."""
    if here is not None:
        _measure_here(here)
        return
    click.echo(f"{'what':30}{'seconds':>9}{'CPU s':>8}{'peak MB':>9}")
    for name in WORK:
        if only in name:
            rounds = [_measured(name) for _ in range(_ROUNDS)]
            seconds, cpu, peak = (
                statistics.median(one[key] for one in rounds) for key in ("seconds", "cpu_seconds", "peak_mb")
            )
            click.echo(f"{name:30}{seconds:9.2f}{cpu:8.2f}{peak:9.0f}   {rounds[-1]['said']}")


if __name__ == "__main__":
    main()
