"""The workloads: what is done, and how many steps must have been done at the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

FORTY_CHARACTERS: Final = "0123456789012345678901234567890123456789"
"""What the items of a replayed map return: 10,000 of them are more than a context's result may hold."""


@dataclass(frozen=True)
class Workload:
    """One thing to measure.

    Attributes:
        key: short name on the command line.
        kind: which program of the subject's runs: ``steps``, ``map``, ``replay_steps``, ``replay_map``,
            ``import``, ``first_invocation``, ``suspend``, ``nested``, ``resume``, ``resume_virtual``, ``parked``,
            ``local_steps``, ``local_map``.
        title: how a reader of the table sees it.
        count: steps, items or repetitions.
        limit: ``max_concurrency`` of a map.
        sleep_ms: how long a step's body sleeps.
        latency_ms: how long the service takes for a checkpoint or a page.
        steps: how many steps must have succeeded; a run with another number is void.
        is_quick: part of the quick mode.
        only: the subjects that can do it; empty: all that know the kind.
        options: options of the program (``nesting``, ``checkpointing``).
    """

    key: str
    kind: str
    title: str
    count: int
    limit: int | None = None
    sleep_ms: float = 0
    latency_ms: float = 0
    steps: int = 0
    is_quick: bool = False
    only: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def as_members(self) -> dict[str, Any]:
        """Return it as JSON members, for a subject's process."""
        return asdict(self)


def from_members(members: dict[str, Any]) -> Workload:
    """Read what ``as_members`` made."""
    return Workload(**{**members, "only": tuple(members["only"])})


def _map(
    count: int,
    *,
    limit: int | None = None,
    sleep_ms: float = 0,
    latency_ms: float = 0,
    is_quick: bool = False,
    key: str = "",
    title: str = "",
    only: tuple[str, ...] = (),
    **options: Any,
) -> Workload:
    parts = [f"W2-{count}"]
    text = f"map of {count:,} one-step items"
    if limit:
        parts.append(f"l{limit}")
        text += f", {limit} at once"
    if sleep_ms:
        parts.append(f"s{sleep_ms:g}")
        text += f", {sleep_ms:g} ms in the step"
    parts.append(f"{latency_ms:g}ms")
    text += f", {latency_ms:g} ms latency"
    return Workload(
        key or "-".join(parts),
        "map",
        title or text,
        count,
        limit=limit,
        sleep_ms=sleep_ms,
        latency_ms=latency_ms,
        steps=count,
        is_quick=is_quick,
        only=only,
        options=dict(options),
    )


def _steps(count: int, latency_ms: float, *, is_quick: bool = False) -> Workload:
    return Workload(
        f"W1-{latency_ms:g}ms",
        "steps",
        f"{count:,} steps in a row, {latency_ms:g} ms latency",
        count,
        latency_ms=latency_ms,
        steps=count,
        is_quick=is_quick,
    )


_OURS: Final = ("durable_trio",)

ALL: Final = (
    _steps(1000, 0, is_quick=True),
    _steps(1000, 5, is_quick=True),
    _steps(1000, 20),
    _map(100, is_quick=True),
    _map(1000, is_quick=True),
    _map(10000, is_quick=True),
    _map(1000, latency_ms=5),
    _map(10000, latency_ms=5),
    _map(1000, limit=100),
    _map(1000, limit=100, sleep_ms=10, latency_ms=5, is_quick=True),
    _map(10000, limit=100, sleep_ms=10, latency_ms=5),
    _map(1000, limit=100, sleep_ms=10, latency_ms=20),
    Workload("W3-1000", "replay_steps", "replay of 1,000 finished steps, 5 ms pages", 1000, latency_ms=5, is_quick=True),
    Workload("W3-10000", "replay_steps", "replay of 10,000 finished steps, 5 ms pages", 10000, latency_ms=5, is_quick=True),
    Workload("W3-map", "replay_map", "replay of a finished map of 10,000 items, 5 ms pages", 10000, latency_ms=5),
    Workload("W4-import", "import", "import in a fresh process", 1, is_quick=True),
    Workload("W4-first", "first_invocation", "first invocation in a fresh process, with a real client", 1, steps=1, is_quick=True),
    Workload("W5", "suspend", "warm invocation that suspends on a wait", 200, is_quick=True),
    Workload("W6-0ms", "nested", "parallel of 10 maps of 100 items of 2 steps, 0 ms latency", 100, steps=2000, is_quick=True),
    Workload("W6-5ms", "nested", "parallel of 10 maps of 100 items of 2 steps, 5 ms latency", 100, latency_ms=5, steps=2000),
    Workload("W7-real", "resume", "200 items of step, wait 1 s, step; real time", 200, steps=400),
    Workload("W7-virtual", "resume_virtual", "200 items of step, wait 1 s, step; on the own local runner, time skipped", 200, steps=400, is_quick=True),
    Workload("MEM", "parked", "10,000 branches parked on callbacks", 10000, is_quick=True),
    Workload("LOCAL-W1", "local_steps", "1,000 steps in a row on the local service, durable in SQLite", 1000, is_quick=True),
    Workload("LOCAL-W2", "local_map", "map of 1,000 one-step items on the local service, durable in SQLite", 1000, is_quick=True),
    _map(1000, latency_ms=5, key="FLAT", title="map of 1,000 one-step items, FLAT, 5 ms latency", only=_OURS, nesting="FLAT"),
    Workload(
        "OPTIMISTIC", "steps", "1,000 steps in a row, OPTIMISTIC, 5 ms latency", 1000,
        latency_ms=5, steps=1000, only=_OURS, options={"checkpointing": "OPTIMISTIC"},
    ),
    Workload(
        "EAGER", "steps", "1,000 steps in a row, EAGER, 5 ms latency", 1000,
        latency_ms=5, steps=1000, only=_OURS, options={"checkpointing": "EAGER"},
    ),
)  # fmt: skip

CURVE: Final = tuple(
    _map(count, key=f"CURVE-{count}", only=("durable_trio", "floor"))
    for count in (100, 1000, 3000, 10000, 30000, 100000)
)
"""Cost per update over the number of items: it must not grow."""
