"""Records the histories that are kept here: ``PYTHONPATH=tests python -m histories.recording [NAME ...]``.

A file that is there stays as it is, so this adds what is new. Delete one only if it never was right.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import trio
from histories import workflows
from support.crashes import Crash, Crashing
from trio.testing import MockClock

from durable_trio import Duration
from durable_trio.testing import DurableRunner, History, record

HERE = Path(__file__).parent


def backend(event: dict[str, int]) -> str:
    """Be the function that ``troubles`` calls."""
    return f"{10 // event['n']}"


async def run(handler: Any, event: Any = None) -> History:
    """Run to the end, with everything that any of the handlers needs."""
    workflows.TRIES.clear()
    async with DurableRunner(handler, functions={"backend": backend}) as runner:
        runner.callback("approval").fail("not approved", after=Duration.hours(2))
        return record(await runner.run(event, name="kept"))


async def order() -> History:
    """The ordinary case."""
    return await run(workflows.order, {"id": "o-1", "lines": ["apple", "pear", "plum"]})


async def order_crashed() -> History:
    """The same, with a crash in the middle."""
    crashing = Crashing(workflows.order, Crash(6, "after"))
    return await run(crashing, {"id": "o-1", "lines": ["apple", "pear", "plum"]})


async def waiting() -> History:
    """One that is not finished."""
    async with DurableRunner(workflows.waiting) as runner:
        execution = await runner.start(name="kept")
        await execution.until_suspended()
        return record(await execution.snapshot())


RECORDINGS: dict[str, Any] = {
    "order": order,
    "order-crashed": order_crashed,
    "troubles": lambda: run(workflows.troubles),
    "crowds": lambda: run(workflows.crowds),
    "bulky": lambda: run(workflows.bulky),
    "failing": lambda: run(workflows.failing),
    "waiting": waiting,
    "contests": lambda: run(workflows.contests),
    "limits": lambda: run(workflows.limits),
    "team": lambda: run(workflows.team),
    "trip": lambda: run(workflows.trip),
    "stubborn": lambda: run(workflows.stubborn),
}
"""What is kept: by the name of the file, which begins with the name of the handler."""


def main(names: list[str]) -> None:
    """Record what is not there yet."""
    for name in names or RECORDINGS:
        path = HERE / f"{name}.json"
        if not path.exists():
            history = trio.run(RECORDINGS[name], clock=MockClock(autojump_threshold=0))
            history.save(path)
            print(f"{path.name}: {history}")


if __name__ == "__main__":
    main(sys.argv[1:])
