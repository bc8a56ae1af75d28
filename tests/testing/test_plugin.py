"""The pytest plugin, in a pytest of its own: what works, and what users do wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WORKFLOW = """
from datetime import timedelta
import pytest, trio, trio.testing
from durable_trio import durable_execution

@durable_execution
async def waits(event, ctx):
    await ctx.wait(timedelta(days=event or 1), name="sleep")
    return "done"
"""


def run_pytest(folder: Path, text: str, *arguments: str, ini: str = "trio_mode = true") -> tuple[int, str]:
    """Run a test file in a pytest of its own, with the plugin as users have it."""
    (folder / "test_it.py").write_text(WORKFLOW + text, encoding="utf-8")
    (folder / "pytest.ini").write_text(f"[pytest]\n{ini}\nfilterwarnings = error\n", encoding="utf-8")
    plugin = ["-p", "durable_trio.testing.pytest_plugin", "-p", "no:cacheprovider", "-p", "no:durable_trio"]
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugin, "--strict-markers", *arguments, str(folder)],
        capture_output=True,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        text=True,
        timeout=120,
        check=False,
    )
    return finished.returncode, finished.stdout + finished.stderr


@pytest.mark.slow
def test_the_fixtures_work_in_both_modes_of_pytest_trio_and_in_plain_tests(tmp_path: Path) -> None:
    """Time is virtual with trio_mode and with the marker; a plain test uses ``run_sync``."""
    tests = """
@pytest.mark.trio
async def test_marked(durable_runner):
    async with durable_runner(waits) as runner:
        began = trio.current_time()
        assert (await runner.run(300)).result == "done"
        assert trio.current_time() - began == pytest.approx(300 * 86_400)

def test_plain(durable_runner):
    assert durable_runner.run_sync(waits, 300).result == "done"

@pytest.mark.trio
async def test_its_clock(durable_clock):
    began = trio.current_time()
    await trio.sleep(86_400)
    assert trio.current_time() - began == pytest.approx(86_400)

@pytest.mark.trio
async def test_both(durable_runner, autojump_clock):
    assert (await durable_runner.run(waits, 300)).result == "done"

@pytest.fixture
async def opened(durable_runner):
    async with durable_runner(waits) as runner:
        yield runner

@pytest.mark.trio
async def test_a_runner_from_an_async_fixture(opened):
    assert (await opened.run(300)).result == "done"

@pytest.mark.trio
async def test_time_is_real_without_a_fixture():
    began = trio.current_time()
    await trio.sleep(0.01)
    assert 0 < trio.current_time() - began < 60
"""
    for ini in ("trio_mode = true", ""):
        fixture = "@pytest.fixture" if ini else "from pytest_trio import trio_fixture\n\n@trio_fixture"
        code, output = run_pytest(tmp_path, tests.replace("@pytest.fixture", fixture), ini=ini)
        assert code == 0, output
        assert "6 passed" in output


@pytest.mark.slow
@pytest.mark.parametrize("without", [(), ("-p", "no:trio")], ids=["with pytest-trio", "without"])
def test_the_fixture_works_with_anyios_plugin(tmp_path: Path, without: tuple[str, ...]) -> None:
    """On real time the service jumps; with a virtual clock in anyio's backend, all time is virtual."""
    code, output = run_pytest(
        tmp_path,
        """
async def nap(seconds):
    await trio.sleep(seconds)

@durable_execution
async def naps(event, ctx):
    await ctx.wait(timedelta(days=1))
    await ctx.step(nap, event)

class TestRealTime:
    @pytest.fixture
    def anyio_backend(self):
        return "trio"

    @pytest.mark.anyio
    async def test_the_service_jumps(self, durable_runner):
        assert (await durable_runner.run(naps, 0.01)).duration_seconds >= 86_400

class TestVirtualTime:
    @pytest.fixture
    def anyio_backend(self):
        return ("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})

    @pytest.mark.anyio
    async def test_everything_jumps(self, durable_runner):
        assert (await durable_runner.run(naps, 500)).duration_seconds == 86_900
""",
        *without,
        ini="",
    )

    assert code == 0, output
    assert "2 passed" in output


@pytest.mark.slow
def test_two_runs_that_differ_are_shown(tmp_path: Path) -> None:
    """``assert one == other`` shows the operations that differ, not two objects."""
    code, output = run_pytest(
        tmp_path,
        """
@durable_execution
async def other(event, ctx):
    await ctx.wait(timedelta(days=1), name="nap")
    return "done"

async def test_same(durable_runner):
    assert await durable_runner.run(waits) == await durable_runner.run(other)
""",
    )

    assert code == 1
    assert "two runs that came to the same" in output
    assert "- sleep Wait" in output
    assert "+ nap Wait" in output


@pytest.mark.slow
def test_the_mistakes_of_users_have_clear_errors(tmp_path: Path) -> None:
    """Two clocks, a handler that is none, a runner that is not opened, a sync run inside Trio."""
    code, output = run_pytest(
        tmp_path,
        """
async def test_two_clocks(durable_clock, autojump_clock):
    pass

async def test_no_handler(durable_runner):
    await durable_runner.run("waits")

async def test_not_opened(durable_runner):
    await durable_runner(waits).run()

async def test_sync_inside(durable_runner):
    durable_runner.run_sync(waits)

async def test_failed_run(durable_runner):
    assert (await durable_runner.run(waits, "tomorrow")).result == "done"

async def test_skipped(durable_runner):
    async with durable_runner(waits):
        pytest.skip("not today")

async def test_a_group_of_ones_own(durable_runner):
    raise ExceptionGroup("several", [ValueError("one"), ValueError("two")])
""",
    )

    assert code == 1
    assert "6 failed, 1 skipped" in output
    assert output.count("Exception Group Traceback") == 1
    for message in (
        "Expected at most one Clock",
        "handler must be made by @durable_execution",
        "enter the runner first: async with DurableRunner",
        "use 'async with' and run",
        "the execution has not succeeded: FAILED",
    ):
        assert message in output


@pytest.mark.slow
def test_the_plugin_does_nothing_without_a_fixture(tmp_path: Path) -> None:
    """A test that asks for nothing pays nothing: neither the kit nor the local service is imported."""
    (tmp_path / "test_it.py").write_text(
        "import sys\n"
        "def test_nothing_loaded():\n"
        "    heavy = ['sqlite3', 'durable_trio.local', 'durable_trio.testing.runner', 'hypothesis']\n"
        "    loaded = [name for name in heavy if name in sys.modules]\n"
        "    assert [name for name in loaded if name.startswith('durable_trio')] == []\n",
        encoding="utf-8",
    )
    finished = subprocess.run(
        [
            *[sys.executable, "-m", "pytest", "-q", "-p", "durable_trio.testing.pytest_plugin"],
            *["-p", "no:durable_trio", "-p", "no:cacheprovider", str(tmp_path)],
        ],
        capture_output=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout


def test_every_public_name_is_there() -> None:
    """What ``durable_trio.testing`` lists can be imported from it, and nothing else."""
    import durable_trio.testing as kit

    assert list(kit.__all__) == sorted(kit.__all__)
    for name in kit.__all__:
        assert getattr(kit, name).__name__ == name
        assert name in dir(kit)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = kit.nothing
