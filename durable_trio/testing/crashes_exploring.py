"""How an exploration goes: what is run, what is compared, and in what order. ``crashes`` has the reasons."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from durable_trio.exceptions import ValidationError
from durable_trio.testing.crashes_moments import Moment, Moments
from durable_trio.testing.crashes_points import CrashPlan
from durable_trio.testing.crashes_report import (
    CrashedRun,
    CrashesFoundError,
    CrashExploration,
    body_problems,
    differences,
    invocation_problems,
)
from durable_trio.testing.crashes_run import CrashingRun
from durable_trio.testing.simulation_host import check_cancelled, run_isolated
from durable_trio.testing.simulation_world import DID_NOT_END, Scenario, play

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from durable_trio.testing.crashes_points import Crash

_GRACE_CALLS: Final = 1000
_GRACE_FACTOR: Final = 20
"""After how many calls a run with crashes is given up: a number, and a multiple of the undisturbed run's."""


class Judge:
    """Runs a scenario under plans, and says what is wrong with a run."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        accept: Callable[[CrashedRun], bool] | None,
        max_calls: int,
        *,
        compare_record: bool,
    ) -> None:
        self.scenario = scenario
        self.reference: CrashingRun
        self.runs = 0
        self._seed = seed
        self._accept = accept
        self._compare_record = compare_record
        self._max_calls = max_calls

    def make_reference(self, moments: Moments | None = None) -> CrashingRun:
        """Make the undisturbed run; its moments go to *moments*.

        Raises:
            CrashesFoundError: it does not end, or is wrong without any crash.
        """
        self.reference = self.run(CrashPlan(), moments)
        self._max_calls = _GRACE_CALLS + _GRACE_FACTOR * self.reference.calls
        crashed = self.crashed_run(self.reference)
        if crashed.status == DID_NOT_END or crashed.problems:
            problems = crashed.problems or (f"it does not end in {self.reference.calls} calls (max_calls)",)
            failure = replace(
                crashed, about=("nowhere: this is the undisturbed run",), problems=tuple(problems)
            )
            raise CrashesFoundError(CrashExploration(0, 0, 1, 0, 0.0, (failure,), self.scenario.event))
        return self.reference

    def run(self, plan: CrashPlan, moments: Moments | None = None) -> CrashingRun:
        """Run the scenario under *plan*; the moments after it go to *moments*."""
        check_cancelled()
        self.runs += 1
        run = CrashingRun(self.scenario, plan, moments, max_calls=self._max_calls)
        ending = run_isolated(lambda: play(self.scenario, run), seed=self._seed)
        run.ended(ending)
        if len(run.crashed_at) < len(plan):
            raise ValidationError(
                f"plan must name moments that the workflow comes to: {plan[len(run.crashed_at)]!r} was never reached."
                " Either the workflow has changed, or it does not repeat (worker threads, time, chance)"
            )
        return run

    def crashed_run(self, run: CrashingRun) -> CrashedRun:
        """Return a run as users see it, with what is wrong with it."""
        ending = run.ending
        assert ending is not None  # noqa: S101  # set by ``ended``
        crashed = CrashedRun(
            run.plan,
            tuple(moment.about() for moment in run.crashed_at),
            ending.status,
            ending.value,
            ending.error,
            ending.operations,
            Counter(run.effects),
        )
        problems = [*self._ending_problems(run, crashed), *self._effect_problems(run)]
        return replace(crashed, problems=tuple(problems)) if problems else crashed

    def _ending_problems(self, run: CrashingRun, crashed: CrashedRun) -> list[str]:
        if run is self.reference:
            return []
        assert run.ending is not None  # noqa: S101
        assert self.reference.ending is not None  # noqa: S101
        found = list(differences(self.reference.ending, run.ending, compare_record=self._compare_record))
        if found and self._accept is not None and self._accept(crashed):
            return []
        return found

    def _effect_problems(self, run: CrashingRun) -> Iterator[str]:
        assert run.ending is not None  # noqa: S101
        yield from body_problems(run.bodies, run.ending, len(run.plan))
        yield from dict.fromkeys(run.rules.problems)
        yield from invocation_problems(run.failed_invocations, self.reference.failed_invocations)
        yield from self.count_problems(Counter(run.effects))

    def count_problems(self, effects: Counter[Any]) -> Iterator[str]:
        """Say what is wrong with how often things happened."""
        log = self.scenario.effects
        if log is not None:
            yield from log.problems(effects, Counter(self.reference.effects))


@dataclass(frozen=True, slots=True)
class _Visited:
    """The run that went on from a state, and how many effects it had by then."""

    run: CrashingRun
    effects_before: int


class Explorer:
    """Goes on from every state that a crash can leave behind, breadth first."""

    def __init__(
        self, judge: Judge, max_crashes: int, max_runs: int, max_failures: int, *, prune: bool
    ) -> None:
        self._judge = judge
        self._max_crashes = max_crashes
        self._max_runs = max_runs
        self._max_failures = max_failures
        self._prune = prune
        self._visited: dict[Hashable, _Visited] = {}
        self._failures: list[CrashedRun] = []
        self._moments = 0
        self._skipped = 0

    def explore(self) -> CrashExploration:
        """Explore, and return what was found."""
        began = time.perf_counter()
        frontier = [self._judge.make_reference(Moments(keeps_all=not self._prune))]
        for depth in range(1, self._max_crashes + 1):
            candidates = self._thinned(list(self._candidates(frontier)))
            goes_deeper = depth < self._max_crashes and not self._skipped
            reached = self._go_on_from(candidates, collects=goes_deeper)
            if not self._failures:
                self._check_others(frontier)
            if self._failures or not reached or not goes_deeper:
                break
            frontier = reached
        return CrashExploration(
            moments=self._moments,
            states=len(self._visited) + self._skipped,
            runs=self._judge.runs,
            skipped=self._skipped,
            seconds=time.perf_counter() - began,
            failures=tuple(self._failures),
            event=self._judge.scenario.event,
        )

    def _candidates(self, frontier: Iterable[CrashingRun]) -> Iterator[tuple[CrashingRun, Moment]]:
        """Give the last moment of each new state, which has the most behind it."""
        known = set(self._visited)
        for run in frontier:
            if run.moments is None:
                continue
            self._moments += run.moments.count
            if run.moments.every:
                yield from ((run, moment) for moment in run.moments.every)
                continue
            for state, moment in run.moments.last.items():
                if state not in known:
                    known.add(state)
                    yield run, moment

    def _thinned(self, candidates: list[tuple[CrashingRun, Moment]]) -> list[tuple[CrashingRun, Moment]]:
        room = max(self._max_runs - self._judge.runs, 0)
        if len(candidates) <= room:
            return candidates
        kept = [candidates[index * len(candidates) // room] for index in range(room)]
        self._skipped += len(candidates) - len(kept)
        return kept

    def _go_on_from(
        self, candidates: list[tuple[CrashingRun, Moment]], *, collects: bool
    ) -> list[CrashingRun]:
        reached = []
        # How often things happen is worked out from all moments; else those of states that are gone on from say nothing.
        has_effects = self._judge.scenario.effects is not None
        known = set() if has_effects else {moment.state for _, moment in candidates} | set(self._visited)
        for base, moment in candidates:
            moments = Moments(known=known) if collects else None
            run = self._judge.run(CrashPlan(*base.plan, moment.crash), moments)
            self._visited[moment.state] = _Visited(run, run.crashed_at[-1].effects)
            reached.append(run)
            if self._found(run):
                break
            run.forget()
        return reached

    def _found(self, run: CrashingRun) -> bool:
        """Keep a run if it has gone wrong; tell whether that is enough of them."""
        crashed = self._judge.crashed_run(run)
        if crashed.problems:
            self._failures.append(crashed)
        return len(self._failures) >= self._max_failures

    def _check_others(self, frontier: Iterable[CrashingRun]) -> None:
        """Check the effects of the crashes that got no run of their own: see the module's text."""
        for run in frontier:
            for crash in self._suspects(run):
                if self._found(self._judge.run(CrashPlan(*run.plan, crash))):
                    return

    def _suspects(self, run: CrashingRun) -> Iterator[Crash]:
        if self._judge.scenario.effects is None or run.moments is None:
            return
        for moment in [*run.moments.first.values(), *run.moments.last.values()]:
            visited = self._visited.get(moment.state)
            if visited is None:
                continue
            total = Counter(run.effects[: moment.effects])
            total.update(visited.run.effects[visited.effects_before :])
            if any(self._judge.count_problems(total)):
                yield moment.crash
