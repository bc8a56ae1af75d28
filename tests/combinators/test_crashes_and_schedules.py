"""Every construct: a crash around any call, and any order of tasks, change neither the result nor the record."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from combinators.constructs import PROGRAMS, handler_of
from support.crashes import Crash, Crashing
from support.runs import Run, run
from support.scheduling import seeded_scheduling
from trio.testing import MockClock

WHEN: list[Literal["before", "after"]] = ["before", "after"]


def record_of(finished: Run) -> Any:
    """Return every operation's identity, status and payload, except of what was lost before its end.

    How far a loser gets is a matter of time; times and attempts are, too.
    """
    return sorted(
        (
            o.id,
            o.type.value,
            o.sub_type or "",
            o.name or "",
            o.parent_id or "",
            o.status.value,
            getattr(o.details, "result", None) or "",
            getattr(getattr(o.details, "error", None), "message", None) or "",
            getattr(getattr(o.details, "error", None), "data", None) or "",
        )
        for o in finished.operations[1:]
        if o.status.is_terminal and not is_lost(o, finished)
    )


def is_lost(operation: Any, finished: Run) -> bool:
    """Tell whether an operation is inside of a context that never ended."""
    by_id = {o.id: o for o in finished.operations}
    above = by_id.get(operation.parent_id)
    while above is not None:
        if not above.status.is_terminal:
            return True
        above = by_id.get(above.parent_id or "")
    return False


async def reference_of(name: str) -> tuple[Run, int]:
    """Run a program undisturbed; return what it left behind, and its number of calls."""
    with seeded_scheduling(0):
        crashing = Crashing(handler_of(PROGRAMS[name]), Crash(0, "before"))
        finished = await run(crashing)
    assert finished.status == "SUCCEEDED", finished.description.error
    return finished, crashing.calls


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_crash_around_any_call_changes_nothing(autojump_clock: MockClock, name: str) -> None:
    """Killed before and after every checkpoint call: the same result, the same record."""
    reference, calls = await reference_of(name)
    assert calls > 3
    for call in range(1, calls + 1):
        for when in WHEN:
            with seeded_scheduling(call):
                crashing = Crashing(handler_of(PROGRAMS[name]), Crash(call, when))
                finished = await run(crashing)
            assert crashing.has_crashed
            assert finished.status == "SUCCEEDED", (call, when, finished.description.error)
            assert finished.result == reference.result, (call, when)
            assert record_of(finished) == record_of(reference), (call, when)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
async def test_the_order_of_tasks_changes_nothing(autojump_clock: MockClock, name: str) -> None:
    """Under 200 orders of Trio's: the same result, the same record."""
    reference, _ = await reference_of(name)
    for seed in range(200):
        with seeded_scheduling(seed):
            finished = await run(handler_of(PROGRAMS[name]))
        assert finished.status == "SUCCEEDED", (seed, finished.description.error)
        assert finished.result == reference.result, seed
        assert record_of(finished) == record_of(reference), seed
