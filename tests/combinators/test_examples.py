"""The examples of races and retries do what their first pages say."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import trio
from support.runs import run
from trio.testing import MockClock

EXAMPLES = Path(__file__).parents[2] / "examples"
DAY = 86_400


def handler_of(example: str) -> Any:
    """Return the handler of an example, as its file defines it."""
    return runpy.run_path(str(EXAMPLES / example))["handler"]


async def test_race_waits_reminds_and_gives_up(autojump_clock: MockClock) -> None:
    """Nobody answers: a reminder a day, and the callback's time-out after three."""
    before = trio.current_time()
    finished = await run(handler_of("race.py"), {"invoice": "i-7"})

    assert finished.result["approved_by"] is None
    assert finished.result["reminders"] in (2, 3)  # the third day is over at the same moment as the callback
    assert trio.current_time() - before == pytest.approx(3 * DAY, abs=60)


async def test_race_takes_the_answer_when_it_comes(autojump_clock: MockClock) -> None:
    """An answer ends the race at once."""
    finished = await run(handler_of("race.py"), {"invoice": "i-7"}, answers={"approval": "ada"})

    assert finished.result == {"approved_by": "ada", "reminders": 0}


async def test_first_success_does_not_wait_for_the_slow_one(autojump_clock: MockClock) -> None:
    """One supplier fails, one would take an hour, the quick one gets the order; two of three can be told."""
    before = trio.current_time()
    finished = await run(handler_of("first_success.py"), ["sold out", "slow", "quick"])

    assert finished.result == {
        "ordered": {"supplier": "quick", "cents": 120},
        "told": {"sold out": "failed: nobody answers", "slow": "not this time", "quick": "yours"},
    }
    assert trio.current_time() - before < 60


async def test_first_success_without_one(autojump_clock: MockClock) -> None:
    """When all have failed, all their errors are there."""
    finished = await run(handler_of("first_success.py"), ["sold out", "closed"])

    assert finished.result["why"] == ["sold out has nothing to offer", "closed has nothing to offer"]


async def test_retry_books_everything_or_nothing(autojump_clock: MockClock) -> None:
    """Two attempts give their train back, the third gets a hotel; the voucher is delivered on the next day."""
    before = trio.current_time()
    finished = await run(handler_of("retry.py"), {"to": "Basel", "papers": ["ticket", "voucher"]})

    assert finished.result == {
        "trip": ["train 3 to Basel", "hotel 3 to Basel"],
        "delivered": ["ticket after 1 visits", "voucher after 2 visits"],
    }
    assert sum(operation.name == "give_back" for operation in finished.operations) == 2
    assert trio.current_time() - before == pytest.approx(2 * 3600 + DAY, abs=60)
