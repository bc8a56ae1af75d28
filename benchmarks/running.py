"""Run measurements: each in a fresh process, the subjects taking turns."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.peers import ROOT, Absent, Peer
from benchmarks.work import Workload

_LONGEST_SECONDS = 600

_SLOW_SECONDS = 10
"""Who takes longer is measured once: its place in the table is certain, and others wait for it."""


@dataclass
class Results:
    """What was measured: for each workload and subject the members of every run."""

    machine: dict[str, Any] = field(default_factory=dict)
    runs: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)

    def add(self, workload: str, subject: str, outcome: dict[str, Any]) -> None:
        """Keep one run."""
        self.runs.setdefault(workload, {}).setdefault(subject, []).append(outcome)

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"machine": self.machine, "runs": self.runs}, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read what ``write`` wrote."""
        return cls(**json.loads(path.read_text()))


def machine() -> dict[str, Any]:
    """Describe where it was measured."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def run(
    workloads: Sequence[Workload],
    peers: Sequence[Peer],
    *,
    rounds: int,
    tell: Callable[[str], None],
    results: Results,
) -> None:
    """Measure every workload with every peer that can do it, *rounds* times, and add to *results*.

    In each round the peers take turns; those that take over ten seconds take part in the first only. A run before
    the first round is audited: the bytes of its requests are counted, its times are not kept.
    """
    commands = {}
    for peer in peers:
        try:
            commands[peer.name] = peer.command()
        except Absent as reason:
            tell(f"{peer.label} is left out: {reason}")
    for workload in workloads:
        taking_part = [
            peer
            for peer in peers
            if peer.name in commands
            and peer.can(workload.kind)
            and (not workload.only or peer.name in workload.only)
        ]
        audits = {peer.name: one(workload, commands[peer.name], audit=True) for peer in taking_part}
        for number in range(rounds):
            for peer in taking_part:
                if "void" in audits[peer.name]:
                    results.add(workload.key, peer.name, audits[peer.name])
                    tell(f"{workload.key:24} {peer.label:14} void: {audits[peer.name]['void'][-300:]}")
                    continue
                if number and audits[peer.name].get("wall_ms", 0) > _SLOW_SECONDS * 1000:
                    continue
                outcome = one(workload, commands[peer.name])
                if "sent_bytes" in outcome:
                    outcome["sent_bytes"] = audits[peer.name]["sent_bytes"]
                results.add(workload.key, peer.name, outcome)
                tell(f"{workload.key:24} {peer.label:14} {number + 1}/{rounds} {_brief(outcome)}")


def one(workload: Workload, command: Sequence[str], *, audit: bool = False) -> dict[str, Any]:
    """Measure once by *command*; the members of the outcome, ``void`` among them if the run is worth nothing."""
    command = [*command, json.dumps(workload.as_members()), *(["--audit"] if audit else [])]
    with _endpoint(workload) as environment:
        try:
            done = subprocess.run(  # noqa: S603 - our own command
                command,
                cwd=ROOT,
                env={**os.environ, **environment},
                capture_output=True,
                text=True,
                timeout=_LONGEST_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {"void": f"took longer than {_LONGEST_SECONDS} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return {"void": f"exit code {done.returncode}: {done.stderr[-2000:]}"}
    outcome: dict[str, Any] = json.loads(lines[-1])
    return outcome


@contextmanager
def _endpoint(workload: Workload) -> Iterator[dict[str, str]]:
    """Serve HTTP for the workload that has a real client; what is yielded tells the client where."""
    if workload.kind != "first_invocation":
        yield {}
        return
    command = [sys.executable, "-m", "benchmarks.endpoint"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - our own command
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        try:
            yield {
                "AWS_ENDPOINT_URL_LAMBDA": f"http://127.0.0.1:{port}",
                "AWS_REGION": "us-east-1",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "benchmark",
                "AWS_SECRET_ACCESS_KEY": "benchmark",
            }
        finally:
            server.kill()


def _brief(outcome: dict[str, Any]) -> str:
    if "void" in outcome:
        return f"void: {outcome['void'][-300:]}"
    return f"{outcome['wall_ms']:.1f} ms"
