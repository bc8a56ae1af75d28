"""What the benchmarks measure with: small runs of the real subjects, medians, voids. No times are asserted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmarks import report
from benchmarks.measuring import measure
from benchmarks.running import Results
from benchmarks.stub import Void
from benchmarks.subjects import durable_trio as ours
from benchmarks.subjects import floor
from benchmarks.work import ALL, Workload, from_members

SMALL = {
    "steps": {"count": 10, "steps": 10},
    "map": {"count": 20, "steps": 20, "latency_ms": 0, "sleep_ms": 0},
    "replay_steps": {"count": 10, "latency_ms": 0},
    "replay_map": {"count": 10, "latency_ms": 0},
    "suspend": {"count": 3},
    "nested": {"count": 3, "steps": 60},
    "resume": {"count": 5, "steps": 10},
    "parked": {"count": 10},
}


def small(kind: str) -> Workload:
    """Return the first workload of *kind*, made small."""
    found = next(workload for workload in ALL if workload.kind == kind)
    return replace(found, **SMALL[kind])  # type: ignore[arg-type]  # the members' types differ


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("subject", [ours, floor], ids=["durable_trio", "floor"])
def test_a_subject_does_its_work(kind: str, subject: Any) -> None:
    """Every program of ours and of the floor runs to its end without voiding the run."""
    outcome = measure(subject, small(kind), audit=False)

    assert outcome["wall_ms"] > 0
    assert outcome["calls"] > 0


def test_the_wrong_number_of_steps_voids_a_run() -> None:
    """A subject that does less than it should is not fast."""
    with pytest.raises(Void, match="10 steps succeeded, not 11"):
        measure(ours, replace(small("steps"), steps=11), audit=False)


def test_a_workload_reaches_the_subjects_process_unchanged() -> None:
    """What goes over the command line comes back equal."""
    assert [from_members(workload.as_members()) for workload in ALL] == list(ALL)


def test_keys_are_unique() -> None:
    """Results are kept by key."""
    assert len({workload.key for workload in ALL}) == len(ALL)


def test_the_table_shows_medians_ratios_and_voids() -> None:
    """A cell is a median; one void run makes it void."""
    results = Results()
    for wall_ms in (10.0, 30.0, 20.0):
        results.add("W1-0ms", "durable_trio", {"wall_ms": wall_ms, "cpu_ms": 1.0, "calls": 1000})
        results.add("W1-0ms", "floor", {"wall_ms": wall_ms / 2, "cpu_ms": 1.0, "calls": 1000})
        results.add("W1-0ms", "aws_python", {"wall_ms": 100.0, "cpu_ms": 1.0})
    results.add("W1-0ms", "asyncio_rival", {"wall_ms": 1.0, "cpu_ms": 1.0})
    results.add("W1-0ms", "asyncio_rival", {"void": "stale token"})
    row = report.table(results).splitlines()[2]

    assert row.split(" | ")[1:] == [
        "20 ms, 1,000 calls",
        "10 ms, 1,000 calls",
        "",
        "100 ms",
        "void",
        "",
        "2.00",
        "5.00 |",
    ]
