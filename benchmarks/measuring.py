"""One measurement: run a program of a subject against the recording service, and check what it did."""

from __future__ import annotations

import gc
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

from benchmarks.line import LambdaContext, Line
from benchmarks.stub import Service, Void
from benchmarks.work import Workload

Handler = Callable[[Any, Any], Any]


class Measurement:
    """What the measured stretches took."""

    def __init__(self) -> None:
        self.wall_ms = 0.0
        self.cpu_ms = 0.0
        self.grown_mb = 0.0
        self.threads = threading.active_count()

    def as_members(self, *, repetitions: int = 1) -> dict[str, Any]:
        """Return it as JSON members, for one of *repetitions*."""
        return {
            "wall_ms": round(self.wall_ms / repetitions, 4),
            "cpu_ms": round(self.cpu_ms / repetitions, 4),
            "grown_mb": round(self.grown_mb, 2),
            "threads": self.threads,
        }

    @contextmanager
    def stretch(self) -> Iterator[None]:
        """Measure the block, in addition to what was measured before."""
        gc.collect()
        peak = _peak_mb()
        with _watched_threads() as watch:
            cpu, wall = time.process_time(), time.perf_counter()
            yield
            self.wall_ms += (time.perf_counter() - wall) * 1000
            self.cpu_ms += (time.process_time() - cpu) * 1000
        self.grown_mb += _peak_mb() - peak
        self.threads = max(self.threads, watch.most)


class _ThreadWatch:
    """Counts how many threads there were at once, by watching them start."""

    def __init__(self) -> None:
        self.most = threading.active_count()

    def note(self) -> None:
        self.most = max(self.most, threading.active_count())


@contextmanager
def _watched_threads() -> Iterator[_ThreadWatch]:
    watch = _ThreadWatch()
    start = threading.Thread.start

    def watched(self: threading.Thread) -> None:
        start(self)
        watch.note()

    threading.Thread.start = watched  # type: ignore[method-assign]
    try:
        yield watch
    finally:
        threading.Thread.start = start  # type: ignore[method-assign]


def measure(subject: ModuleType, workload: Workload, *, audit: bool) -> dict[str, Any]:
    """Run *workload* with *subject* and return what it took, as JSON members.

    Raises:
        Void: the subject broke the protocol, or did not do its work.
    """
    line = Line(workload.latency_ms / 1000)
    handler = subject.prepare(workload, line)
    return _KINDS[workload.kind](workload, line, handler, audit)


def _once(workload: Workload, line: Line, handler: Handler, audit: bool) -> dict[str, Any]:
    line.service = Service(audit=audit)
    measurement = Measurement()
    event = line.service.event()
    with measurement.stretch():
        answer = handler(event, LambdaContext())
    _expect(answer, "SUCCEEDED")
    _expect_steps(workload.steps, line.service)
    return {**measurement.as_members(), **_counts(line.service)}


def _replayed(workload: Workload, line: Line, handler: Handler, audit: bool) -> dict[str, Any]:
    latency_seconds, line.latency_seconds = line.latency_seconds, 0
    line.service = service = Service(keep=True)
    _expect(handler(service.event(), LambdaContext()), "PENDING")
    done = service.finished.get("STEP", 0)
    service.skip_waits()
    line.latency_seconds = latency_seconds
    event = service.event()
    measurement = Measurement()
    calls = service.calls
    with measurement.stretch():
        answer = handler(event, LambdaContext())
    _expect(answer, "SUCCEEDED")
    _expect_steps(done + 1, service)
    return {**measurement.as_members(), **_counts(service), "calls": service.calls - calls}


def _suspended(workload: Workload, line: Line, handler: Handler, audit: bool) -> dict[str, Any]:
    measurement = Measurement()
    line.service = service = Service()
    _expect(handler(service.event(), LambdaContext()), "PENDING")  # what only the first invocation pays
    services = [Service() for _ in range(workload.count)]
    events = [service.event() for service in services]
    with measurement.stretch():
        for service, event in zip(services, events, strict=True):
            line.service = service
            _expect(handler(event, LambdaContext()), "PENDING")
    return {**measurement.as_members(repetitions=workload.count), **_counts(line.service)}


def _resumed(workload: Workload, line: Line, handler: Handler, audit: bool) -> dict[str, Any]:
    line.service = service = Service(keep=True, audit=audit)
    measurement = Measurement()
    for _ in range(10):
        event = service.event()
        with measurement.stretch():
            answer = handler(event, LambdaContext())
        if answer["Status"] != "PENDING":
            break
        service.skip_waits()
    _expect(answer, "SUCCEEDED")
    _expect_steps(workload.steps, service)
    return {**measurement.as_members(), **_counts(service)}


def _parked(workload: Workload, line: Line, handler: Handler, audit: bool) -> dict[str, Any]:
    line.service = service = Service()
    measurement = Measurement()
    event = service.event()
    with measurement.stretch():
        answer = handler(event, LambdaContext())
    _expect(answer, "PENDING")
    members = measurement.as_members()
    return {**members, **_counts(service), "kb_each": round(members["grown_mb"] * 1024 / workload.count, 2)}


_KINDS: Final = {
    "steps": _once,
    "map": _once,
    "nested": _once,
    "replay_steps": _replayed,
    "replay_map": _replayed,
    "suspend": _suspended,
    "resume": _resumed,
    "parked": _parked,
}


def first_invocation(started: float, handler: Handler) -> dict[str, Any]:
    """Measure from *started*, before anything was imported, to the end of the process's first invocation."""
    answer = handler(Service().event(), LambdaContext())
    wall_ms = (time.perf_counter() - started) * 1000
    _expect(answer, "SUCCEEDED")
    return {"wall_ms": round(wall_ms, 3)}


def expect_closed(status: object, error: object) -> None:
    """Refuse an execution that did not succeed.

    Raises:
        Void: it ended in another way.
    """
    if "SUCCEEDED" not in str(status):
        raise Void(f"the execution ended {status}: {error!r:.500}")


def import_ms(statement: str) -> dict[str, Any]:
    """Measure how long an import *statement* takes in a process that has imported nothing else."""
    program = (
        "import time, sys; started = time.perf_counter()\n"
        f"{statement}\n"
        "print((time.perf_counter() - started) * 1000)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603 - our own text
    return {"wall_ms": round(float(answer.stdout), 3)}


def _expect(answer: dict[str, Any], status: str) -> None:
    if answer["Status"] != status:
        raise Void(f"the invocation answered {answer!r:.500}, not {status}")


def _expect_steps(steps: int, service: Service) -> None:
    done = service.finished.get("STEP", 0)
    if done != steps:
        raise Void(f"{done} steps succeeded, not {steps}")


def _counts(service: Service) -> dict[str, int]:
    return {"calls": service.calls, "updates": service.updates, "sent_bytes": service.sent_bytes}


def _peak_mb() -> float:
    """Return the highest resident memory so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
