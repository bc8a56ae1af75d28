"""Random programs: whatever they are made of, and whatever goes wrong, they come to their value.

``DURABLE_TRIO_PROGRAM_SECONDS`` says how long to try new ones (by default 15 seconds; a nightly run gives it an hour),
``DURABLE_TRIO_PROGRAM_SEED`` where to begin.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from durable_trio import CheckpointingMode
from durable_trio.testing import explore_crashes_sync, run_with_faults_sync, simulate_sync
from durable_trio.testing.programs import (
    CALLBACKS,
    FUNCTIONS,
    Failed,
    Program,
    handler_for,
    has_fixed_record,
    outcome_of,
    programs,
    value_of,
)
from durable_trio.testing.programs_nodes import (
    All,
    Batch,
    Callback,
    Catch,
    Child,
    Condition,
    Deadline,
    Either,
    FailingStep,
    FirstOf,
    Invoke,
    Loop,
    Nursery,
    Race,
    Retry,
    Saga,
    Settled,
    Shielded,
    Step,
    Wait,
    parts_of,
    size_of,
)

WORLD: dict[str, Any] = {"functions": FUNCTIONS, "callbacks": CALLBACKS}
SECONDS = float(os.environ.get("DURABLE_TRIO_PROGRAM_SECONDS", "15"))
FIRST_SEED = int(os.environ.get("DURABLE_TRIO_PROGRAM_SEED", "0"))
A_BATCH = 40

EXAMPLES: list[tuple[Program, int]] = [
    (Step(0.3, 2, at_most_once=True), 1),
    (FailingStep(), -1),
    (Wait(3600), 0),
    (Callback(), 2),
    (Callback(fails=True), -1),
    (Callback(submits=True), 2),
    (Condition(3), 3),
    (Invoke(3), 6),
    (Invoke(3, fails=True), -1),
    (Child([Step(), Wait()], virtual=True), 1),
    (All([Step(), Callback()]), 3),
    (All([Step(3.0), FailingStep(1.0)]), 10),
    (Batch([[Step()], [FailingStep()]]), 101),
    (Batch([[Step()], [FailingStep()]], rule="fail_fast"), 50),
    (Batch([[Wait(3600)], [Step()]], rule="first"), 7),
    (Batch([[FailingStep()]], rule="first"), 8),
    (Batch([[Step()], [FailingStep()], [Wait()]], rule="two", flat=True), 7),
    (Batch([[FailingStep()], [FailingStep()], [Step()]], rule="tolerant", parallel=True), 60),
    (Batch([[Step(0.3, 1)], [FailingStep()]], limit=1, restarts=True), 101),
    (Either(Step(), odd=[Callback()], even=[]), 3),
    (Either(Wait(), odd=[], even=[Invoke(1)]), 2),
    (Loop(3, [Step()]), 3),
    (Catch([Step(), FailingStep()]), 5),
    (Race([Step(), Wait(3600)]), 1),
    (FirstOf([FailingStep(), Step(2.0)]), 3),
    (FirstOf([FailingStep(), FailingStep(1.0)]), 4),
    (Settled([Step(), FailingStep()]), 1001),
    (Retry([Step(), FailingStep()]), -1),
    (Nursery([[Step(), Wait()], [Callback()]]), 3),
    (Nursery([[Step(3.0)], [FailingStep(1.0)]]), 20),
    (Deadline([Step()]), 1),
    (Deadline([Step(), Wait()], passes=True), 9),
    (Deadline([Deadline([], passes=True), Step()]), 10),
    (Deadline([Deadline([Step()], passes=True), FailingStep()], passes=True), -1),
    (Saga([Callback()]), 3),
    (Saga([Step(), FailingStep()]), 30),
    (Shielded([Step(), Invoke(2)]), 5),
]


@pytest.mark.parametrize(("program", "value"), EXAMPLES, ids=lambda part: str(part)[:70])
def test_each_node_comes_to_what_it_says(program: Program, value: int) -> None:
    """Worked out, undisturbed, and under a few seeds: every kind of node has the value of its definition."""
    assert outcome_of(program) == value
    assert run_with_faults_sync(handler_for(program), None, [], **WORLD).result == value
    simulate_sync(handler_for(program), seeds=range(10), compare_record=has_fixed_record(program), **WORLD)


@pytest.mark.slow
def test_programs_of_every_node_bear_a_crash_anywhere() -> None:
    """Each kind of node, crashed at every moment, comes to the same."""
    for program, _ in EXAMPLES:
        explore_crashes_sync(
            handler_for(program), crashes=1, compare_record=has_fixed_record(program), **WORLD
        )


@pytest.mark.slow
@pytest.mark.parametrize("mode", [CheckpointingMode.EAGER, CheckpointingMode.OPTIMISTIC])
def test_programs_come_to_the_same_in_every_checkpointing_mode(mode: CheckpointingMode) -> None:
    """When updates are sent is one thing, what comes of a program another: in all modes, and with all faults."""
    for program, value in EXAMPLES:
        handler = handler_for(program, checkpointing=mode)
        world = {**WORLD, "compare_record": has_fixed_record(program)}
        assert run_with_faults_sync(handler, None, [], **world).result == value
        simulate_sync(handler, seeds=range(8), **world)


def test_failing_is_a_value() -> None:
    """A program that fails has no value, but an outcome."""
    with pytest.raises(Failed):
        value_of(Child([Step(), FailingStep()]))


def test_records_are_fixed_unless_something_is_decided_early() -> None:
    """Whatever cancels others by its timing leaves a record that timing makes."""
    assert has_fixed_record(Child([All([Step(), Wait()]), Batch([[FailingStep()]])]))
    assert not has_fixed_record(Child([All([Step(), FailingStep()])]))
    assert not has_fixed_record(Loop(1, [Batch([[Step()]], rule="first")]))
    assert not has_fixed_record(Nursery([[FailingStep()], [Step()]]))
    assert not has_fixed_record(Catch([FirstOf([Step()])]))


@pytest.mark.slow
def test_random_programs_come_to_their_value() -> None:
    """New programs, as long as there is time: each undisturbed, and under a seed with faults."""
    deadline = time.monotonic() + SECONDS
    tried, seed = 0, FIRST_SEED

    def is_time_up() -> bool:
        return time.monotonic() > deadline and tried >= A_BATCH

    while not is_time_up():

        @hypothesis.seed(seed)
        @given(program=programs(max_leaves=12), seed=st.integers(0, 2**32))
        @settings(
            max_examples=A_BATCH,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        def try_some(program: Program, seed: int) -> None:
            nonlocal tried
            if is_time_up():
                return
            tried += 1
            world = {**WORLD, "compare_record": has_fixed_record(program)}
            undisturbed = run_with_faults_sync(handler_for(program), None, [], seed=seed, **world)
            assert undisturbed.result == outcome_of(program), undisturbed
            simulate_sync(handler_for(program), seeds=[seed], **world)

        try_some()
        seed += 1
    assert tried >= A_BATCH


@pytest.mark.parametrize(
    ("program", "seeds"),
    [
        (FirstOf([Child([]), Child([Saga([Callback(submits=True)])])]), range(20, 30)),
        (FirstOf([Step(0.3), Saga([Callback(submits=True)])]), range(20)),
        (FirstOf([All([]), Saga([Saga([Callback(submits=True)]), Step()])]), range(5)),
    ],
    ids=lambda part: str(part)[:70],
)
def test_sagas_of_losers_bear_the_end_of_an_invocation(program: Program, seeds: Sequence[int]) -> None:
    """Cut off between the undoing of a loser's saga and the verdict of its race, the body is cut where it was."""
    simulate_sync(handler_for(program), seeds=seeds, compare_record=False, **WORLD)


def test_programs_are_made_of_every_node() -> None:
    """The strategy makes every kind of node, nested."""
    kinds: set[type] = set()
    largest = 0

    def look(program: Program) -> None:
        kinds.add(type(program))
        for part in parts_of(program):
            look(part)

    @given(program=programs())
    @settings(max_examples=300, database=None, derandomize=True)
    def collect(program: Program) -> None:
        nonlocal largest
        look(program)
        largest = max(largest, size_of(program))

    collect()
    assert kinds >= {type(program) for program, _ in EXAMPLES}
    assert largest > 10
