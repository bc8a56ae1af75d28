"""The plugin's part of the crash explorer and the simulator, in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WORKFLOWS = """
import random
from datetime import timedelta
import pytest
from durable_trio import durable_execution

async def give(value):
    return value

@durable_execution
async def sound(event, ctx):
    await ctx.wait(timedelta(days=1))
    return await ctx.step(give, event)

@durable_execution
async def unsound(event, ctx):
    await ctx.step(give, 1)
    number = random.random()
    await ctx.step(give, 2)
    return number
"""


def run_pytest(folder: Path, text: str, *arguments: str) -> tuple[int, str]:
    """Run a test file in a pytest of its own, with the plugin as users have it."""
    (folder / "test_it.py").write_text(WORKFLOWS + text, encoding="utf-8")
    (folder / "pytest.ini").write_text(
        "[pytest]\ntrio_mode = true\nfilterwarnings = error\n", encoding="utf-8"
    )
    plugin = ["-p", "durable_trio.testing.pytest_plugin", "-p", "no:cacheprovider", "-p", "no:durable_trio"]
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", *plugin, "--strict-markers", *arguments, str(folder)],
        capture_output=True,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        text=True,
        timeout=120,
        check=False,
    )
    return finished.returncode, finished.stdout + finished.stderr


@pytest.mark.slow
def test_fixtures_and_markers_work_in_async_and_plain_tests(tmp_path: Path) -> None:
    """The fixtures say what was done; markers give options, and the nearest one wins."""
    tests = """
pytestmark = [pytest.mark.durable_simulate(seeds=range(5)), pytest.mark.durable_explore(crashes=1)]

async def test_async(durable_explore, durable_simulate):
    assert (await durable_explore(sound, 1)).failures == ()
    assert (await durable_simulate(sound, 1)).seeds == 5

@pytest.mark.durable_simulate(seeds=range(3))
@pytest.mark.durable_explore(prune=False)
def test_plain(durable_explore, durable_simulate):
    assert durable_explore.options == {"crashes": 1, "prune": False}
    exploration = durable_explore.sync(sound, 1)
    assert exploration.runs == exploration.moments + 1
    assert durable_simulate.sync(sound, 1).seeds == 3
    assert durable_simulate.sync(sound, 1, seeds=[7]).seeds == 1
"""
    code, output = run_pytest(tmp_path, tests)

    assert code == 0, output
    assert "2 passed" in output
    assert "no crash makes a difference" in output
    assert "no seed makes a difference: 5 seeds" in output


@pytest.mark.slow
def test_a_failing_test_shows_what_to_paste_and_the_seed_can_be_chosen(tmp_path: Path) -> None:
    """The failure is the report. ``--durable-seed`` replaces the seeds of every simulation."""
    tests = """
async def test_crashes(durable_explore):
    await durable_explore(unsound)

async def test_seeds(durable_simulate):
    await durable_simulate(unsound)

async def test_sound(durable_simulate):
    print("SEEDS", (await durable_simulate(sound)).seeds)
"""
    code, output = run_pytest(tmp_path, tests, "--durable-seed", "41", "--durable-seed", "42")

    assert code == 1, output
    assert "CrashesFoundError: a crash makes a difference" in output
    assert "await run_with_crashes(handler, None, CrashPlan(Crash." in output
    assert "SimulationFoundError: seed 4" in output
    assert "SEEDS 2" in output


@pytest.mark.slow
def test_what_users_get_wrong_is_said(tmp_path: Path) -> None:
    """Positional options of a marker and unknown options are errors that name them."""
    tests = """
@pytest.mark.durable_explore(1)
async def test_positional(durable_explore):
    await durable_explore(sound)

async def test_unknown(durable_simulate):
    await durable_simulate(sound, crashes=3)
"""
    code, output = run_pytest(tmp_path, tests)

    assert code == 1, output
    assert "@pytest.mark.durable_explore takes options by name only, not (1,)" in output
    assert "unexpected keyword argument 'crashes'" in output
