"""However actors are nested, the count of the running ones stays right, and nothing is left behind.

Random programs (``durable_trio.testing.programs``) are run with the runtime's own count in view, in whatever order
Trio wakes tasks and with whatever goes wrong on the way.
"""

from __future__ import annotations

from typing import Any

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.leaks import nothing_left

from durable_trio import DurableContext, durable_execution
from durable_trio.testing import Fault, FaultKind
from durable_trio.testing.faults import GivenFaults
from durable_trio.testing.faults_client import FaultyRun
from durable_trio.testing.programs import CALLBACKS, FUNCTIONS, Program, handler_for, outcome_of, programs
from durable_trio.testing.simulation_host import run_isolated
from durable_trio.testing.simulation_world import Ending, Scenario, play

kinds = [kind for kind in FaultKind if kind is not FaultKind.SHORT_TIME]
faults = st.builds(Fault, st.sampled_from(kinds), st.integers(1, 12), st.sampled_from([0.001, 0.5, 3.0]))


@given(program=programs(), seed=st.integers(0, 2**32), faults=st.lists(faults, max_size=3))
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_random_programs_finish_with_their_value(program: Program, seed: int, faults: list[Fault]) -> None:
    """Every program ends with its value, and whenever the handler ends exactly its own actor is counted."""
    counts: list[int] = []
    do_program = handler_for(program).fn

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        supervisor = ctx._node.invocation.supervisor
        try:
            return await do_program(event, ctx)
        finally:
            counts.append(supervisor.running)

    scenario = Scenario(handler=handler, functions=FUNCTIONS, callbacks=CALLBACKS)

    async def main() -> Ending:
        with nothing_left():
            return await play(scenario, FaultyRun(GivenFaults(faults), max_calls=5_000))

    finished = run_isolated(main, seed=seed)

    assert finished.value == outcome_of(program), finished
    assert set(counts) == {1}


def test_isolated_runs_leave_the_scheduler_as_it_was() -> None:
    """A run with a seed does not make the order of tasks of later runs repeatable."""

    async def order() -> list[int]:
        woken: list[int] = []

        async def note(number: int) -> None:
            await trio.lowlevel.checkpoint()
            woken.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(12):
                nursery.start_soon(note, number)
        return woken

    run_isolated(order, seed=1)

    assert len({tuple(trio.run(order)) for _ in range(40)}) > 1
