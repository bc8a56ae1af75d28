"""What the simulator found, as something to read and to paste into a test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections import Counter

    from durable_trio._protocol.operation import ErrorObject, OperationRecord
    from durable_trio.testing.crashes_effects import Note
    from durable_trio.testing.faults import Fault

__all__ = ["SimulatedRun", "Simulation", "SimulationFoundError"]


@dataclass(frozen=True, slots=True)
class SimulatedRun:
    """One run under a seed.

    Attributes:
        seed: of its scheduling and its faults.
        faults: what went wrong in it.
        status: how the execution ended: ``SUCCEEDED``, ``FAILED``, ... or ``DID NOT END``.
        result: the decoded result, or None.
        error: what the execution failed with, or None.
        operations: the final record of every operation.
        effects: how often each effect of the log happened.
        problems: what is wrong with it, in words; empty if nothing is.
    """

    seed: int
    faults: tuple[Fault, ...]
    status: str
    result: Any
    error: ErrorObject | None
    operations: tuple[OperationRecord, ...] = field(repr=False)
    effects: Counter[Note]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a simulation did and found.

    Attributes:
        seeds: how many seeds were tried.
        faults: how many faults there were in all.
        seconds: how long it took, in real seconds.
        virtual_seconds: how much virtual time went by.
        failure: the run that went wrong, with its faults shrunk; None if none did.
        event: the input of the handler.
    """

    seeds: int
    faults: int
    seconds: float
    virtual_seconds: float
    failure: SimulatedRun | None = None
    event: Any = None

    def __str__(self) -> str:
        summary = (
            f"{self.seeds} seeds with {self.faults} faults, {self.virtual_seconds:,.0f} virtual seconds in"
            f" {self.seconds:.1f} s"
        )
        if self.failure is None:
            return f"no seed makes a difference: {summary}"
        failure = self.failure
        return "\n".join(
            [
                f"seed {failure.seed} makes a difference, with {len(failure.faults)} faults (shrunk):",
                *(f"  - {problem}" for problem in failure.problems),
                "To see it again:",
                f"    await run_with_faults(handler, {self.event!r}, {list(failure.faults)!r}, seed={failure.seed})",
                f"or run the test with --durable-seed {failure.seed} ({summary})",
            ]
        )


class SimulationFoundError(AssertionError):
    """A workflow does not end as it does undisturbed.

    Attributes:
        simulation: everything that was found.
    """

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(str(simulation))
        self.simulation = simulation
