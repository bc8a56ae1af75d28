"""Run a workflow under many seeds, each with its own order of tasks and its own misfortunes.

The rule: whatever order Trio wakes tasks in, whatever becomes of checkpoint calls and their answers, whenever
processes die and outside answers come, an execution ends as the undisturbed one does, with the same record.

One seed fixes it all: Trio's scheduling, the faults, the jitter of retry delays, the service's ids. A seed that fails
is run again with ever fewer of its faults, until none can be left out; what is left is printed as code. The whole
list of seeds is replaced by one with the pytest option ``--durable-seed N``, to look at that one again.

Runs are isolated, in virtual time; see ``simulation_host`` for what that means for the test.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypedDict

from durable_trio.exceptions import ValidationError
from durable_trio.local import LocalSettings
from durable_trio.testing.faults import DrawnFaults, Fault, Faults, GivenFaults
from durable_trio.testing.simulation_host import in_isolation
from durable_trio.testing.simulation_report import SimulatedRun, Simulation, SimulationFoundError
from durable_trio.testing.simulation_running import Simulator
from durable_trio.testing.simulation_world import Scenario, callback_answers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Unpack

    from durable_trio.testing.crashes_effects import EffectLog

__all__ = [
    "run_with_faults",
    "run_with_faults_sync",
    "simulate",
    "simulate_sync",
]


override_seeds: list[int] = []
"""The seeds that ``--durable-seed`` asks for, in the place of every simulation's own; empty: none."""


class FaultyRunOptions(TypedDict, total=False):
    """Options of ``run_with_faults``: see ``simulate_sync``; *seed* is that of the scheduling."""

    seed: int
    functions: Mapping[str, Any] | None
    callbacks: Mapping[str, Any] | None
    effects: EffectLog | None
    reset: Callable[[], object] | None
    accept: Callable[[SimulatedRun], bool] | None
    compare_record: bool
    settings: LocalSettings | None
    timeout_seconds: float
    max_calls: int


class SimulationOptions(TypedDict, total=False):
    """Options of ``simulate``: see ``simulate_sync``."""

    seeds: Iterable[int]
    faults: Faults | None
    functions: Mapping[str, Any] | None
    callbacks: Mapping[str, Any] | None
    effects: EffectLog | None
    reset: Callable[[], object] | None
    accept: Callable[[SimulatedRun], bool] | None
    compare_record: bool
    settings: LocalSettings | None
    timeout_seconds: float
    max_calls: int


async def simulate(handler: Any, event: Any = None, **options: Unpack[SimulationOptions]) -> Simulation:
    """Run *handler* under many seeds, and compare each run with the undisturbed one.

    Args:
        handler: a durable handler.
        event: its input, as JSON can hold it.
        options: those of ``simulate_sync``.

    Returns:
        What was done, if no seed makes a difference.

    Raises:
        SimulationFoundError: one does; the message has the seed, the fewest faults it takes, and what is wrong.

    If cancelled, it ends after the run that it is in.
    """
    return await in_isolation(lambda: simulate_sync(handler, event, **options))


def simulate_sync(
    handler: Any,
    event: Any = None,
    *,
    seeds: Iterable[int] = range(100),
    faults: Faults | None = None,
    functions: Mapping[str, Any] | None = None,
    callbacks: Mapping[str, Any] | None = None,
    effects: EffectLog | None = None,
    reset: Callable[[], object] | None = None,
    accept: Callable[[SimulatedRun], bool] | None = None,
    compare_record: bool = True,
    settings: LocalSettings | None = None,
    timeout_seconds: float = 900,
    max_calls: int = 20_000,
) -> Simulation:
    """Do what ``simulate`` does, where no Trio run is.

    Args:
        handler: a durable handler.
        event: its input, as JSON can hold it.
        seeds: one run for each.
        faults: how likely each kind is; by default a little of everything.
        functions, callbacks, effects, reset, settings, timeout_seconds: as for ``explore_crashes_sync``.
        accept: called with a run that ends otherwise than the undisturbed one; True: that is right as well.
        compare_record: also compare the operations that have ended; switch it off if timing decides what does.
        max_calls: after how many checkpoint calls or invocations the undisturbed run is given up as one that never
            ends.

    Raises:
        SimulationFoundError: a seed makes a difference. Nothing after it is tried.
        ValidationError: there are no seeds.
    """
    began = time.perf_counter()
    scenario = _scenario(handler, event, functions, callbacks, effects, reset, settings, timeout_seconds)
    simulator = Simulator(scenario, accept, max_calls, compare_record=compare_record)
    tried = list(override_seeds or seeds)
    if not tried:
        raise ValidationError("seeds must hold at least one seed")
    failure = None
    for number, seed in enumerate(tried, 1):
        run = simulator.run(seed, DrawnFaults(faults or Faults(), seed))
        if run.problems:
            failure = simulator.shrunk(run)
            tried = tried[:number]
            break
    simulation = Simulation(
        len(tried),
        simulator.faults,
        time.perf_counter() - began,
        simulator.virtual_seconds,
        failure,
        event,
    )
    if failure is not None:
        raise SimulationFoundError(simulation)
    return simulation


async def run_with_faults(
    handler: Any, event: Any, faults: Sequence[Fault], **options: Unpack[FaultyRunOptions]
) -> SimulatedRun:
    """Run *handler* with the given *faults*, once, and compare it with the undisturbed run.

    Args:
        handler: a durable handler.
        event: its input.
        faults: what goes wrong, as the simulator printed it. One that befalls nothing is ignored.
        options: those of ``run_with_faults_sync``: *seed* (of scheduling), and those of ``simulate_sync`` that say
            what the world is like.

    Raises:
        SimulationFoundError: it makes a difference.
    """
    return await in_isolation(lambda: run_with_faults_sync(handler, event, faults, **options))


def run_with_faults_sync(
    handler: Any,
    event: Any,
    faults: Sequence[Fault],
    *,
    seed: int = 0,
    functions: Mapping[str, Any] | None = None,
    callbacks: Mapping[str, Any] | None = None,
    effects: EffectLog | None = None,
    reset: Callable[[], object] | None = None,
    accept: Callable[[SimulatedRun], bool] | None = None,
    compare_record: bool = True,
    settings: LocalSettings | None = None,
    timeout_seconds: float = 900,
    max_calls: int = 20_000,
) -> SimulatedRun:
    """Do what ``run_with_faults`` does, where no Trio run is."""
    began = time.perf_counter()
    scenario = _scenario(handler, event, functions, callbacks, effects, reset, settings, timeout_seconds)
    simulator = Simulator(scenario, accept, max_calls, compare_record=compare_record)
    run = simulator.run(seed, GivenFaults(faults))
    if run.problems:
        seconds = time.perf_counter() - began
        found = Simulation(1, len(run.faults), seconds, simulator.virtual_seconds, run, event)
        raise SimulationFoundError(found)
    return run


def _scenario(
    handler: Any,
    event: Any,
    functions: Mapping[str, Any] | None,
    callbacks: Mapping[str, Any] | None,
    effects: EffectLog | None,
    reset: Callable[[], object] | None,
    settings: LocalSettings | None,
    timeout_seconds: float,
) -> Scenario:
    return Scenario(
        handler=handler,
        event=event,
        functions=functions or {},
        callbacks=callback_answers(callbacks),
        settings=settings or LocalSettings(),
        timeout_seconds=timeout_seconds,
        effects=effects,
        reset=reset,
    )
