"""What the explorer found, as something to read and to paste into a test."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from durable_trio._protocol.invocation_rules import NOTHING_PENDING
from durable_trio.testing.crashes_process import Killed
from durable_trio.testing.crashes_state import identity_and_outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from durable_trio._protocol.operation import ErrorObject, OperationRecord
    from durable_trio.testing.crashes_effects import Note
    from durable_trio.testing.crashes_moments import BodyEvent
    from durable_trio.testing.crashes_points import CrashPlan
    from durable_trio.testing.simulation_world import Ending

__all__ = ["CrashExploration", "CrashedRun", "CrashesFoundError"]

_MAX_SHOWN = 6


@dataclass(frozen=True, slots=True)
class CrashedRun:
    """One run of a workflow with crashes.

    Attributes:
        plan: where its invocations were killed.
        about: the same in words, one entry for each crash.
        status: how the execution ended: ``SUCCEEDED``, ``FAILED``, ... or ``DID NOT END``.
        result: the decoded result, or None.
        error: what the execution failed with, or None.
        operations: the final record of every operation.
        effects: how often each effect of the log happened, by name and key.
        problems: what is wrong with it, in words; empty if nothing is.
    """

    plan: CrashPlan
    about: tuple[str, ...]
    status: str
    result: Any
    error: ErrorObject | None
    operations: tuple[OperationRecord, ...] = field(repr=False)
    effects: Counter[Note]
    problems: tuple[str, ...] = ()

    def named(self, name: str) -> OperationRecord:
        """Return the operation of this name.

        Raises:
            LookupError: there is none, or more than one.
        """
        found = [operation for operation in self.operations if operation.name == name]
        if len(found) != 1:
            raise LookupError(f"{len(found)} operations are named {name!r}, not 1")
        return found[0]

    def __str__(self) -> str:
        lines = [f"killed {where}" for where in self.about]
        return "\n".join([*lines, *(f"  - {problem}" for problem in self.problems)])


@dataclass(frozen=True, slots=True)
class CrashExploration:
    """What an exploration did and found.

    Attributes:
        moments: at how many moments the workflow could be killed.
        states: how many different states crashes there leave behind; each was gone on from once.
        runs: how many runs were made, the one without crashes included.
        skipped: how many states were left out because there were more than ``max_runs``; 0: it is complete.
        seconds: how long it took, in real seconds.
        failures: the runs that went wrong, smallest plan first.
        event: the input of the handler.
    """

    moments: int
    states: int
    runs: int
    skipped: int
    seconds: float
    failures: tuple[CrashedRun, ...]
    event: Any = None

    @property
    def is_complete(self) -> bool:
        """Tell whether every state was gone on from."""
        return self.skipped == 0

    def __str__(self) -> str:
        summary = (
            f"{self.moments} moments to crash at, {self.states} states after them, {self.runs} runs in"
            f" {self.seconds:.1f} s"
        )
        if self.skipped:
            summary += f"; {self.skipped} states were skipped: raise max_runs to visit them"
        if not self.failures:
            return f"no crash makes a difference: {summary}"
        first = self.failures[0]
        others = len(self.failures) - 1
        return "\n".join(
            [
                "a crash makes a difference:",
                str(first),
                "To see it again:",
                f"    await run_with_crashes(handler, {self.event!r}, {first.plan!r})",
                f"({f'{others} more plans fail; ' if others else ''}{summary})",
            ]
        )


class CrashesFoundError(AssertionError):
    """A workflow does not end as it does without crashes.

    Attributes:
        exploration: everything that was found.
    """

    def __init__(self, exploration: CrashExploration) -> None:
        super().__init__(str(exploration))
        self.exploration = exploration


def differences(reference: Ending, ending: Ending, *, compare_record: bool) -> Iterator[str]:
    """Say how *ending* differs from *reference*."""
    if (ending.status, ending.result, _error(ending)) != (
        reference.status,
        reference.result,
        _error(reference),
    ):
        yield f"it ends {ending}; undisturbed it ends {reference}"
    elif compare_record:
        yield from _record_differences(reference.operations, ending.operations)


def _error(ending: Ending) -> tuple[str | None, str | None] | None:
    return None if ending.error is None else (ending.error.type, ending.error.message)


def _record_differences(
    reference: Sequence[OperationRecord], operations: Sequence[OperationRecord]
) -> Iterator[str]:
    # What lost against an early decision may or may not have been started when it fell.
    before = {o.id: o for o in reference if o.status.is_terminal}
    after = {o.id: o for o in operations if o.status.is_terminal}
    found = []
    for id_ in [*before, *(id_ for id_ in after if id_ not in before)]:
        was, is_ = before.get(id_), after.get(id_)
        if was is None or is_ is None or identity_and_outcome(was) != identity_and_outcome(is_):
            found.append(f"operation {_shown(is_)} should be {_shown(was)}")
    yield from found[:_MAX_SHOWN]
    if len(found) > _MAX_SHOWN:
        yield f"and {len(found) - _MAX_SHOWN} more operations differ"


def _shown(operation: OperationRecord | None) -> str:
    if operation is None:
        return "(none)"
    details = operation.details
    error = getattr(details, "error", None)
    outcome = getattr(details, "result", None) if error is None else f"{error.type}: {error.message}"
    name = f"{operation.sub_type or operation.type} {operation.name or operation.id[:8]!r}"
    return f"{name} {operation.status}" + ("" if outcome is None else f" ({str(outcome)[:80]})")


def invocation_problems(failures: Sequence[ErrorObject], expected: Sequence[ErrorObject]) -> Iterator[str]:
    """Say which invocations failed by themselves, other than those of the undisturbed run that were *expected*."""
    known = {(error.type, error.message) for error in expected}
    for error in failures:
        is_known = (error.type, error.message) in known and error != NOTHING_PENDING
        if error.type != Killed.__name__ and not is_known:
            yield f"an invocation failed that nobody killed ({error.type}: {error.message})"


def body_problems(bodies: Sequence[BodyEvent], ending: Ending, crashes: int) -> Iterator[str]:
    """Say where bodies ran more or less often than they may in a run with so many *crashes*."""
    started: Counter[tuple[str, str, int]] = Counter()
    ended: set[tuple[str, str]] = set()
    for body in bodies:
        name = repr(body.name or body.operation_id[:8])
        if body.is_end:
            ended.add((body.execution_arn, body.operation_id))
            continue
        attempt = (body.execution_arn, body.operation_id, body.attempt)
        started[attempt] += 1
        if body.was_over:
            yield f"the body of {name} ran again, though its end was recorded"
        elif body.is_at_most_once and started[attempt] == 2:
            yield f"the body of at-most-once step {name} ran twice in attempt {body.attempt}"
        elif started[attempt] == 2 + crashes:
            yield f"the body of {name} ran {2 + crashes} times in attempt {body.attempt}, with {crashes} crashes"
    for operation in ending.operations:
        if (
            operation.type == "STEP"
            and operation.status == "SUCCEEDED"
            and (ending.arn, operation.id) not in ended
        ):
            yield f"{operation.name or operation.id[:8]!r} is recorded as succeeded, but its body never ran to its end"
