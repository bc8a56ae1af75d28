"""The examples of inline constructs do what their first lines say."""

# what raises is the end of a block, and blocks stand one per line as users write them

# A block may be cut before it binds what is read after it; these tests know where it is.
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from support.crashes import Crash, Crashing
from support.runs import run
from trio.testing import MockClock

EXAMPLES = Path(__file__).parents[2] / "examples"


def handler_of(example: str) -> Any:
    """Return the handler of an example, as its file defines it."""
    return runpy.run_path(str(EXAMPLES / example))["handler"]


async def test_the_agent_reads_everything_once(autojump_clock: MockClock) -> None:
    """Every topic is one child of the nursery, whenever the program is killed."""
    handler = handler_of("nursery.py")
    reference = await run(handler, {"question": "tides"})
    assert reference.result == "read about tides, moon, sun, harbours, orbit, tide tables"
    children = [o.name for o in reference.operations if o.sub_type == "RunInChildContext"]
    assert sorted(map(str, children)) == ["harbours", "moon", "orbit", "sun", "tide tables", "tides"]
    for call in range(1, len(reference.calls) + 1):
        again = await run(Crashing(handler, Crash(call, "after")), {"question": "tides"})
        assert again.result == reference.result


async def test_the_best_quote_in_time_wins(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who answers in time counts; who does not is not waited for."""
    answers: dict[str, str | None] = {"quote-fox": "120", "quote-hare": "90"}
    finished = await run(handler_of("deadline.py"), {"part": "gear"}, answers=answers)
    assert finished.result == "ordered from hare for 90"
    assert finished.named("time to quote").sub_type == "Deadline"


async def test_without_quotes_nothing_is_ordered(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """A day later it is given up."""
    finished = await run(handler_of("deadline.py"), {"part": "gear"})
    assert finished.result == "nothing ordered: the durable deadline of 86,400 s has passed"


async def test_a_trip_without_a_room_is_undone(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """The flight is cancelled, and the result says why."""
    finished = await run(handler_of("saga.py"), {"city": "Porto", "rooms": 0})
    assert finished.result == {"booked": [], "because": "no room in Porto", "undone": ["book_flight"]}
    assert "cancel flight to Porto" in capsys.readouterr().out


async def test_a_trip_that_nobody_confirms_is_undone(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both bookings are cancelled, the last one first; a confirmed trip stays."""
    unconfirmed = await run(handler_of("saga.py"), {"city": "Porto", "rooms": 1})
    assert unconfirmed.result["undone"] == ["book_hotel", "book_flight"]
    shown = capsys.readouterr().out
    assert shown.index("cancel room in Porto") < shown.index("cancel flight to Porto")

    answers: dict[str, str | None] = {"confirm create callback id": '"yes"'}
    confirmed = await run(handler_of("saga.py"), {"city": "Porto", "rooms": 1}, answers=answers)
    assert confirmed.result == {"booked": ["flight to Porto", "room in Porto"]}
