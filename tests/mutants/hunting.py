"""How mutants are hunted: with the tools that users have, in seconds.

A hunt raises an ``AssertionError`` if it finds something. Each has to find nothing in the unmutated runtime.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings

from durable_trio.testing.crashes import explore_crashes_sync
from durable_trio.testing.faults import Faults
from durable_trio.testing.programs import (
    CALLBACKS,
    FUNCTIONS,
    Program,
    handler_for,
    has_fixed_record,
    outcome_of,
    programs,
)
from durable_trio.testing.programs_nodes import All, Batch, Callback, Child, Step, Wait, size_of
from durable_trio.testing.simulation import run_with_faults_sync, simulate_sync

SMALL_PROGRAMS: list[Program] = [
    Child([Step(0.3, at_most_once=True), Wait(1), Step(0.0, 1)]),
    All([Wait(1), Wait(2), Step(3.0)]),
    Batch([[Wait(1), Step()], [Step(0.3, 1)], [Child([Step(), Wait(2)])]], limit=2),
    Child([Batch([[Step(2.0)], [Step(0.3)], [Wait(1)]], rule="first"), Wait(1), Callback(submits=True)]),
]


@cache
def corpus(size: int) -> tuple[Program, ...]:
    """Return *size* random programs, the same ones each time: the largest of many."""
    found: list[Program] = []

    @given(program=programs())
    @settings(
        max_examples=5 * size,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    def collect(program: Program) -> None:
        found.append(program)

    collect()
    return tuple(sorted(found, key=size_of, reverse=True)[:size])


def with_random_programs() -> None:
    """Hunt with random programs: undisturbed, and under a seed with faults, they have to come to their value."""
    for seed, program in enumerate(corpus(60)):
        world: Any = {
            "functions": FUNCTIONS,
            "callbacks": CALLBACKS,
            "compare_record": has_fixed_record(program),
            "max_calls": 2000,
        }
        undisturbed = run_with_faults_sync(handler_for(program), None, [], seed=seed, **world)
        assert undisturbed.result == outcome_of(program), f"{program} ends {undisturbed}"
        simulate_sync(handler_for(program), seeds=[seed], **world)


def with_explored_programs() -> None:
    """Hunt by crashing a few small programs everywhere."""
    for program in SMALL_PROGRAMS:
        explore_crashes_sync(
            handler_for(program),
            functions=FUNCTIONS,
            callbacks=CALLBACKS,
            compare_record=has_fixed_record(program),
            crashes=1,
        )


def with_explorer(handler: Any, expected: Any = ..., **options: Any) -> Callable[[], None]:
    """Return a hunt that crashes *handler* everywhere; undisturbed it has to come to *expected*."""

    def hunt() -> None:
        if expected is not ...:
            _check_undisturbed(handler, expected, options)
        explore_crashes_sync(handler, **options)

    return hunt


def with_seeds(
    handler: Any, expected: Any = ..., *, seeds: int = 50, faults: Faults | None = None, **options: Any
) -> Callable[[], None]:
    """Return a hunt that runs *handler* under seeds; undisturbed it has to come to *expected*."""

    def hunt() -> None:
        if expected is not ...:
            _check_undisturbed(handler, expected, options)
        simulate_sync(handler, seeds=range(seeds), faults=faults, **options)

    return hunt


def _check_undisturbed(handler: Any, expected: Any, options: dict[str, Any]) -> None:
    undisturbed = run_with_faults_sync(handler, None, [], **options)
    assert undisturbed.result == expected, f"it ends {undisturbed}"
