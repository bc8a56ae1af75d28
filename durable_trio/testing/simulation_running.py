"""Running a scenario under seeds, judging what comes of it, and shrinking what fails."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from durable_trio.testing.crashes_report import differences
from durable_trio.testing.faults import Fault, FaultSource, GivenFaults
from durable_trio.testing.faults_client import FaultyRun
from durable_trio.testing.shrinking import shrink
from durable_trio.testing.simulation_host import check_cancelled, run_isolated
from durable_trio.testing.simulation_report import SimulatedRun, Simulation, SimulationFoundError
from durable_trio.testing.simulation_world import DID_NOT_END, Ending, Scenario, play

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio.testing.crashes_effects import Note

_GRACE_CALLS: Final = 2000
_GRACE_FACTOR: Final = 50
"""After how many checkpoint calls a run with faults is given up: a number, and a multiple of the undisturbed run's."""


class Simulator:
    """Runs a scenario under seeds, and says what is wrong with a run."""

    def __init__(
        self,
        scenario: Scenario,
        accept: Callable[[SimulatedRun], bool] | None,
        max_calls: int,
        *,
        compare_record: bool,
    ) -> None:
        self.faults = 0
        self.virtual_seconds = 0.0
        self._scenario = scenario
        self._accept = accept
        self._compare_record = compare_record
        self._max_calls = max_calls
        self._reference: Ending
        self._reference_effects: Counter[Note] = Counter()
        self._reference, self._reference_effects, found = self._play(0, GivenFaults([]))
        if self._reference.status == DID_NOT_END:
            found.append(f"it does not end, in {max_calls} checkpoint calls (max_calls) or invocations")
        if found:
            problems = tuple(f"undisturbed: {problem}" for problem in found)
            run = self._seen(0, GivenFaults([]), self._reference, self._reference_effects, problems)
            raise SimulationFoundError(Simulation(0, 0, 0.0, self.virtual_seconds, run, scenario.event))

    def run(self, seed: int, source: FaultSource) -> SimulatedRun:
        """Run the scenario under *seed*, with the faults of *source*."""
        ending, effects, found = self._play(seed, source)
        self.faults += len(source.drawn)
        self.virtual_seconds += ending.virtual_seconds
        run = self._seen(seed, source, ending, effects, ())
        problems = list(differences(self._reference, ending, compare_record=self._compare_record))
        if problems and self._accept is not None and self._accept(run):
            problems = []
        problems += dict.fromkeys(found)
        if self._scenario.effects is not None:
            problems += self._scenario.effects.problems(effects, self._reference_effects)
        return self._seen(seed, source, ending, effects, tuple(problems)) if problems else run

    def shrunk(self, run: SimulatedRun) -> SimulatedRun:
        """Return a failing run of the same seed with as few faults as can be."""
        latest = run

        def fails(faults: list[Fault]) -> bool:
            nonlocal latest
            again = self.run(run.seed, GivenFaults(faults))
            if again.problems:
                latest = again
            return bool(again.problems)

        if not fails(list(run.faults)):
            return run  # it does not repeat: worker threads, time or chance are in the game
        shrink(run.faults, fails)
        return latest

    def _play(self, seed: int, source: FaultSource) -> tuple[Ending, Counter[Note], list[str]]:
        check_cancelled()
        interference = FaultyRun(source, max_calls=self._max_calls)
        ending = run_isolated(lambda: play(self._scenario, interference), seed=seed)
        interference.ended()
        log = self._scenario.effects
        self._max_calls = min(self._max_calls, _GRACE_CALLS + _GRACE_FACTOR * interference.calls)
        return ending, Counter(log.notes() if log is not None else ()), interference.problems

    def _seen(
        self,
        seed: int,
        source: FaultSource,
        ending: Ending,
        effects: Counter[Note],
        problems: tuple[str, ...],
    ) -> SimulatedRun:
        return SimulatedRun(
            seed,
            tuple(source.drawn),
            ending.status,
            ending.value,
            ending.error,
            ending.operations,
            effects,
            problems,
        )
