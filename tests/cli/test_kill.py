"""``kill -9`` of a real process at random moments, and what is left of it."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
ORDERS = ROOT / "examples" / "data" / "orders.json"
WORKFLOW = Path(__file__).with_name("kill_workflow.py")
KILLS = int(os.environ.get("DURABLE_TRIO_KILLS", "8"))
SEED = int(os.environ.get("DURABLE_TRIO_SEED", "1"))
KILLS_PER_EXECUTION = 5
LINES = 40


@dataclass
class Scene:
    """One execution of the example in a directory of its own."""

    folder: Path

    def command(self, *arguments: str) -> list[str]:
        """Return a command line on this scene's database."""
        return [sys.executable, "-m", "durable_trio", *arguments, "--db", str(self.folder / "db.sqlite")]

    @property
    def environment(self) -> dict[str, str]:
        """Where the workflow logs its step bodies."""
        return {**os.environ, "KILL_LOG": str(self.folder / "bodies.jsonl")}

    def write_input(self) -> None:
        """Write a batch that is small enough to be run many times."""
        batch = json.loads(ORDERS.read_text(encoding="utf-8"))
        batch["lines"] = batch["lines"][:LINES]
        (self.folder / "input.json").write_text(
            json.dumps(batch | {"out": str(self.folder)}), encoding="utf-8"
        )

    def run(self, kill_after: float | None) -> subprocess.CompletedProcess[str] | None:
        """Run until the end, or kill it after so many seconds (then there is no answer)."""
        process = subprocess.Popen(
            self.command(
                *("run", f"{WORKFLOW}:handler", "--name", "demo", "--json"),
                *("--input", str(self.folder / "input.json")),
                *("--answer", 'approval={"approved": true, "by": "test"}'),
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )
        try:
            out, err = process.communicate(timeout=60 if kill_after is None else kill_after)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            assert kill_after is not None, "the run did not end within a minute"
            return None
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def finish(self, kill_times: Iterator[float]) -> tuple[dict[str, Any], int]:
        """Run until the end, with a kill at each of *kill_times*; return the result and how many kills hit."""
        kills = 0
        while True:
            ended = self.run(next(kill_times, None))
            if ended is not None:
                assert ended.returncode == 0, ended.stderr
                result: dict[str, Any] = json.loads(json.loads(ended.stdout)["Result"])
                return result, kills
            kills += 1

    def history(self) -> list[dict[str, Any]]:
        """Return the events that the service recorded."""
        answer = subprocess.run(
            self.command("history", "demo", "--json"), capture_output=True, text=True, check=True
        )
        events: list[dict[str, Any]] = json.loads(answer.stdout)["Events"]
        return events

    def bodies(self) -> list[dict[str, Any]]:
        """Return the step bodies that were started."""
        return [json.loads(line) for line in (self.folder / "bodies.jsonl").read_text().splitlines()]

    def ledger(self) -> list[dict[str, Any]]:
        """Return what the payment gateway was asked."""
        text = (self.folder / "demo" / "ledger.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def new_scene(tmp_path: Path) -> Callable[[], Scene]:
    """A function that makes another scene."""
    numbers = iter(range(1_000))

    def make() -> Scene:
        scene = Scene(tmp_path / str(next(numbers)))
        scene.folder.mkdir()
        scene.write_input()
        return scene

    return make


def executed_after_acknowledgement(scene: Scene) -> list[dict[str, Any]]:
    """Return the step bodies that were started after the service had acknowledged their end."""
    ended_at = {
        event["Id"]: event["EventTimestamp"] * 1000
        for event in scene.history()
        if event["EventType"] == "StepSucceeded"
    }
    return [body for body in scene.bodies() if body["at"] > ended_at.get(body["id"], math.inf) + 1]


def charged_twice(scene: Scene) -> list[tuple[str, int]]:
    """Return the (payment, attempt) pairs whose body was executed more than once."""
    counts = Counter((entry["payment"], entry["attempt"]) for entry in scene.ledger())
    return [pair for pair, count in counts.items() if count > 1]


@pytest.mark.slow
def test_kills_lose_nothing_and_repeat_nothing(new_scene: Callable[[], Scene]) -> None:
    """However often the process is killed, the result is that of an undisturbed run.

    No step runs again once its end was acknowledged, no at-most-once attempt runs twice, and no customer pays
    twice. ``DURABLE_TRIO_KILLS`` says how many kills there are, ``DURABLE_TRIO_SEED`` when.
    """
    calm = new_scene()
    expected, _ = calm.finish(iter(()))
    assert executed_after_acknowledgement(calm) == []
    randomness = random.Random(SEED)
    left = KILLS
    while left > 0:
        scene = new_scene()
        times = (randomness.uniform(0.3, 2.5) for _ in range(min(left, KILLS_PER_EXECUTION)))
        result, kills = scene.finish(times)

        assert result == expected
        assert executed_after_acknowledgement(scene) == []
        assert charged_twice(scene) == []
        charges = Counter(e["payment"] for e in scene.ledger() if e["outcome"] == "charged")
        assert set(charges.values()) == {1}
        left -= max(kills, 1)
