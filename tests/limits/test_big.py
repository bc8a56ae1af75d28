"""Executions as big as anybody's: they run, suspend in the middle, resume, and stay affordable.

What they took is printed (``pytest -s``): wall time, and the most memory that the process has had.
"""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.runs import Run, run

from durable_trio import DurableContext, Duration, durable_execution

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio.testing import MockClock

pytestmark = pytest.mark.slow

_BYTES_PER_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@contextmanager
def measured(what: str) -> Iterator[None]:
    """Print what the body of the ``with`` took."""
    before, started = _peak_mib(), time.perf_counter()
    yield
    seconds = time.perf_counter() - started
    print(f"\n{what}: {seconds:.1f} s, peak memory {before:.0f} -> {_peak_mib():.0f} MiB")


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_PER_RSS_UNIT / 2**20


def largest_call(run: Run) -> int:
    """Return how many updates the largest checkpoint call had."""
    return max(len(call.updates) for call in run.calls)


async def test_a_map_of_10_000_items_suspends_and_resumes(autojump_clock: MockClock) -> None:
    """Every item waits an hour: one suspension for all, every step runs once, checkpoints are full."""
    ran: Counter[int] = Counter()

    async def pack(item: int) -> int:
        ran[item] += 1
        return item * 2

    async def item(ctx: DurableContext, item: int, index: int) -> int:
        await ctx.wait(Duration.hours(1))
        return await ctx.step(pack, item)

    @durable_execution
    async def handler(event: int, ctx: DurableContext) -> int:
        return sum((await ctx.map(range(event), item)).results())

    with measured("a map of 10,000 items (30,001 operations)"):
        finished = await run(handler, 10_000)

    assert finished.result == 10_000 * 9_999
    assert finished.invocations == ["PENDING", "SUCCEEDED"]
    assert len(ran) == 10_000
    assert set(ran.values()) == {1}
    assert len(finished.operations) == 1 + 1 + 3 * 10_000
    assert largest_call(finished) == 250
    # START and SUCCEED of the contexts and steps, START of the waits: all but the last of each wave are full.
    assert len(finished.calls) <= 5 * 10_000 / 250 + 10


async def test_20_000_operations_in_a_row_suspend_and_resume(autojump_clock: MockClock) -> None:
    """Half of them are replayed after a wait in the middle: none runs twice, none is lost."""
    ran: Counter[int] = Counter()

    async def count(number: int) -> int:
        ran[number] += 1
        return number

    @durable_execution
    async def handler(event: int, ctx: DurableContext) -> int:
        total = 0
        for number in range(event):
            if number == event // 2:
                await ctx.wait(Duration.hours(1))
            total += await ctx.step(count, number)
        return total

    with measured("20,000 operations in a row"):
        finished = await run(handler, 19_999)

    assert finished.result == 19_999 * 19_998 // 2
    assert finished.invocations == ["PENDING", "SUCCEEDED"]
    assert len(ran) == 19_999
    assert set(ran.values()) == {1}
    assert len(finished.operations) == 1 + 20_000
