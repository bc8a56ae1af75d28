"""Inline constructs, killed around every checkpoint call and under many schedules: same result, same record."""

# what raises is the end of a block, and blocks stand one per line as users write them

# A block may be cut before it binds what is read after it; these tests know where it is.
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

import random
from collections import Counter
from typing import Any, Literal

import pytest
import trio
from scopes.programs import PROGRAMS, Program, World
from support.crashes import Crash, Crashing
from support.leaks import nothing_left
from support.runs import Run, run
from support.scheduling import seeded_scheduling
from trio.testing import MockClock

from durable_trio import CheckpointingMode

WHEN: list[Literal["before", "after"]] = ["before", "after"]

programs = pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())


def record_of(finished: Run) -> list[tuple[Any, ...]]:
    """Return what must come out the same: every operation that ended, what it is and how.

    What was cut off in the middle may or may not have been started, and its waits end by themselves.
    """
    return sorted(
        (
            o.id,
            o.type.value,
            o.sub_type,
            o.name,
            o.parent_id,
            o.status.value,
            getattr(o.details, "result", None),
            getattr(getattr(o.details, "error", None), "message", None),
        )
        for o in finished.operations[1:]
        if o.type.value != "WAIT" and o.status.value != "STARTED"
    )


async def outcome(
    program: Program,
    crash: Crash | None,
    seed: int = 0,
    mode: CheckpointingMode = CheckpointingMode.BATCHED,
) -> tuple[Run, World, int]:
    """Run *program* with a crash; return what it left behind, its world, and its number of calls."""
    world = World(chance=random.Random(seed), mode=mode)
    crashing = Crashing(program(world), crash or Crash(0, "before"))
    with trio.fail_after(10_000_000), nothing_left():
        finished = await run(crashing)
    return finished, world, crashing.calls


def in_order(done: list[str]) -> list[str]:
    """Return what was done, without what a crash made to be done again."""
    return list(dict.fromkeys(done))


@programs
async def test_a_crash_around_any_call_changes_nothing(program: Program, autojump_clock: MockClock) -> None:
    """Killed before and after every checkpoint call, every program has the same result and the same record."""
    reference, world, calls = await outcome(program, None)
    assert reference.status == "SUCCEEDED", reference.description.error
    assert set(reference.invocations) == {"PENDING", "SUCCEEDED"}
    assert "never" not in world.done

    for call in range(1, calls + 1):
        for when in WHEN:
            finished, again, _ = await outcome(program, Crash(call, when))
            where = (call, when)
            assert finished.status == "SUCCEEDED", (where, finished.description.error)
            assert finished.result == reference.result, where
            assert record_of(finished) == record_of(reference), where
            assert "never" not in again.done, where
            assert Counter(in_order(again.done)) == Counter(in_order(world.done)), where
            assert max(again.effects.values()) <= 2, where


@programs
@pytest.mark.parametrize("mode", [CheckpointingMode.EAGER, CheckpointingMode.OPTIMISTIC])
async def test_other_modes_change_nothing(
    program: Program, mode: CheckpointingMode, autojump_clock: MockClock
) -> None:
    """The modes differ in who waits for what, not in what comes out; a crash may repeat more in OPTIMISTIC."""
    reference, _, _ = await outcome(program, None)
    finished, world, calls = await outcome(program, None, mode=mode)
    assert finished.result == reference.result
    assert record_of(finished) == record_of(reference)

    for call in range(1, calls + 1, 6):
        finished, world, _ = await outcome(program, Crash(call, "before"), mode=mode)
        assert finished.status == "SUCCEEDED", (call, finished.description.error)
        assert finished.result == reference.result, call
        assert record_of(finished) == record_of(reference), call
        assert "never" not in world.done, call


@pytest.mark.slow
@programs
async def test_two_hundred_schedules_change_nothing(program: Program, autojump_clock: MockClock) -> None:
    """Whatever order Trio wakes tasks in: the same result, record, and number of invocations."""
    reference, world, _ = await outcome(program, None)
    for seed in range(200):
        with seeded_scheduling(seed):
            finished, again, _ = await outcome(program, None)
        assert finished.status == "SUCCEEDED", (seed, finished.description.error)
        assert finished.result == reference.result, seed
        assert record_of(finished) == record_of(reference), seed
        assert finished.invocations == reference.invocations, seed
        assert Counter(again.done) == Counter(world.done), seed


@pytest.mark.slow
@programs
@pytest.mark.parametrize("seed", range(3))
async def test_a_crash_under_any_schedule(program: Program, seed: int, autojump_clock: MockClock) -> None:
    """A crash at a few calls, under schedules of their own."""
    reference, _, calls = await outcome(program, None)
    chance = random.Random(seed)
    for _ in range(12):
        crash = Crash(chance.randint(1, calls), chance.choice(WHEN))
        with seeded_scheduling(chance.randrange(2**32)):
            finished, again, _ = await outcome(program, crash, chance.randrange(100))
        assert finished.status == "SUCCEEDED", (crash, finished.description.error)
        assert finished.result == reference.result, crash
        assert record_of(finished) == record_of(reference), crash
        assert "never" not in again.done, crash
