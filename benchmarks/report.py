"""Medians and ratios of what was measured, as a table in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.peers import PEERS
from benchmarks.running import Results
from benchmarks.work import ALL, CURVE, Workload


@dataclass(frozen=True)
class Figure:
    """The medians of one subject on one workload; None: not measured, or void."""

    wall_ms: float | None
    cpu_ms: float | None
    calls: int | None
    updates: int | None
    sent_bytes: int | None
    grown_mb: float | None
    threads: int | None


def figure(runs: Sequence[dict[str, Any]]) -> Figure:
    """Return the medians of *runs*; one void run makes them all void."""
    if not runs or any("void" in run for run in runs):
        return Figure(None, None, None, None, None, None, None)

    def middle(member: str) -> Any:
        values = [run[member] for run in runs if member in run]
        return median(values) if values else None

    return Figure(
        middle("wall_ms"),
        middle("cpu_ms"),
        _whole(middle("calls")),
        _whole(middle("updates")),
        _whole(middle("sent_bytes")),
        middle("grown_mb"),
        _whole(middle("threads")),
    )


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def table(results: Results, workloads: Sequence[Workload] = ALL) -> str:
    """Return the table of wall times: a row a workload, a column a subject, and how many times the floor we are."""
    measured = [workload for workload in workloads if workload.key in results.runs]
    header = ["workload", *(peer.label for peer in PEERS), "ours / floor", "best peer / ours"]
    rows = [header, ["---", *("---:" for _ in header[1:])]]
    for workload in measured:
        figures = {peer.name: figure(results.runs[workload.key].get(peer.name, ())) for peer in PEERS}
        ours = figures["durable_trio"].wall_ms
        floor = figures["floor"].wall_ms
        others = [
            f.wall_ms
            for name, f in figures.items()
            if name not in {"durable_trio", "floor"} and f.wall_ms is not None
        ]
        rows.append(
            [
                f"{workload.key}: {workload.title}",
                *(_cell(figures[peer.name], results.runs[workload.key].get(peer.name)) for peer in PEERS),
                _ratio(ours, floor),
                _ratio(min(others, default=None), ours),
            ]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def costs(results: Results) -> str:
    """Return the table of what our modes and nestings cost: calls, operations, bytes, time, dollars."""
    header = ["what", "calls", "updates", "KB sent", "wall", "operations", "dollars per million runs"]
    rows = [header, ["---", *("---:" for _ in header[1:])]]
    for key in ("W1-5ms", "EAGER", "OPTIMISTIC", "W2-1000-5ms", "FLAT"):
        runs = results.runs.get(key, {}).get("durable_trio")
        workload = next(w for w in ALL if w.key == key)
        if not runs:
            continue
        found = figure(runs)
        if found.wall_ms is None or found.updates is None:
            continue
        operations = (found.updates + 1) // 2  # each is started and ended
        dollars = operations * _DOLLARS_PER_MILLION_OPERATIONS
        rows.append(
            [
                workload.title,
                f"{found.calls:,}",
                f"{found.updates:,}",
                f"{(found.sent_bytes or 0) / 1000:,.0f}",
                _time(found.wall_ms),
                f"{operations:,}",
                f"{dollars:,.0f}",
            ]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


_DOLLARS_PER_MILLION_OPERATIONS = 8  # AWS's price


def curve(results: Results) -> list[tuple[int, float, float]]:
    """Return for each measured size of a map: items, our CPU per update in us, the floor's."""
    points = []
    for workload in CURVE:
        runs = results.runs.get(workload.key, {})
        ours, floor = figure(runs.get("durable_trio", ())), figure(runs.get("floor", ()))
        if ours.cpu_ms and floor.cpu_ms and ours.updates and floor.updates:
            points.append(
                (
                    workload.count,
                    ours.cpu_ms * 1000 / ours.updates,
                    floor.cpu_ms * 1000 / floor.updates,
                )
            )
    return points


def _cell(found: Figure, runs: Sequence[dict[str, Any]] | None) -> str:
    if found.wall_ms is None:
        return "void" if runs else ""
    text = _time(found.wall_ms)
    if found.calls is not None and found.calls > 1:
        text += f", {found.calls:,} calls"
    each = [run["kb_each"] for run in runs or () if "kb_each" in run]
    if each:
        text += f", {median(each):.1f} KB each"
    return text


def _time(milliseconds: float) -> str:
    if milliseconds < 10:
        return f"{milliseconds:.2f} ms"
    return f"{milliseconds:,.0f} ms" if milliseconds < 10_000 else f"{milliseconds / 1000:,.1f} s"


def _ratio(above: float | None, below: float | None) -> str:
    return f"{above / below:.2f}" if above and below else ""
