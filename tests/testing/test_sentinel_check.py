"""``check_determinism``: runs and replays together."""

from __future__ import annotations

import importlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from durable_trio import ConfigurationError, DurableContext, Duration, ValidationError, durable_execution
from durable_trio.testing import sentinel_frames
from durable_trio.testing.replaying import ReplayDivergenceError
from durable_trio.testing.runner import DurableRunner
from durable_trio.testing.sentinel import DeterminismSentinel, DeterminismWarning, NonDeterminismError
from durable_trio.testing.sentinel_check import (
    _finds,
    _reference,
    check_determinism,
    check_determinism_sync,
)


async def note(text: str) -> str:
    """Be a step."""
    return text


@durable_execution
async def sound(event: Any, ctx: DurableContext) -> Any:
    """Go the same way every time."""

    async def item(child: DurableContext, value: str, index: int) -> str:
        await child.wait(Duration.seconds(3 - index))
        return await child.step(note, value)

    batch = await ctx.map(sorted({"a", "b", "c"}), item)
    approval = await ctx.wait_for_callback(note, name="approval")
    return [*batch.results(), approval, str(ctx.uuid())]


@durable_execution
async def in_set_order(event: Any, ctx: DurableContext) -> list[str]:
    """Take the operations' order from a set."""
    names = {f"name-{number}" for number in range(20)}
    return sorted([await ctx.step(note, name, name=name) for name in names])


def approve(runner: DurableRunner) -> None:
    """Answer the callback."""
    runner.callback("approval").succeed("yes", after=Duration.days(1))


async def test_a_sound_handler_passes(autojump_clock: MockClock) -> None:
    """Its run, its history and the seeds come back."""
    report = await check_determinism(sound, prepare=approve, seeds=range(3))

    assert report.result.status == "SUCCEEDED"
    assert report.seeds == (0, 1, 2)
    assert report.history.status == "SUCCEEDED"


def test_there_is_a_spelling_without_trio() -> None:
    """The sync one makes a Trio run of its own."""
    assert check_determinism_sync(sound, prepare=approve, seeds=(7,)).seeds == (7,)


async def test_a_clock_in_the_handler_is_found(autojump_clock: MockClock) -> None:
    """What the sentinel finds fails the check, unless it is allowed."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        time.time()

    with pytest.raises(NonDeterminismError, match=r"time\.time\(\) gives another value on every replay"):
        await check_determinism(handler)
    await check_determinism(handler, allow=["time.time"])


async def test_a_decision_that_changes_is_found(autojump_clock: MockClock) -> None:
    """A handler that goes another way on replay differs from its own history."""
    runs: list[int] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        runs.append(1)
        await ctx.step(note, "x", name=f"run {len(runs)}")

    with pytest.raises(ReplayDivergenceError, match="name: recorded 'run 1', now 'run 2'"):
        await check_determinism(handler)


async def test_an_order_that_depends_on_tasks_is_found(autojump_clock: MockClock) -> None:
    """An order of plain tasks, used for operations, differs under some seed."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        arrived: list[str] = []

        async def arrive(name: str) -> None:
            await trio.lowlevel.checkpoint()
            arrived.append(name)

        async with trio.open_nursery() as nursery:
            for name in ("left", "middle", "right"):
                nursery.start_soon(arrive, name)
        for name in arrived:
            await ctx.step(note, name, name=name)

    with pytest.raises(ReplayDivergenceError, match="the order has changed"):
        await check_determinism(handler, seeds=range(20))


@pytest.mark.slow
def test_an_order_from_a_set_is_found() -> None:
    """Under another hash seed, in another process, a set has another order."""
    with pytest.raises(NonDeterminismError, match="depends on the order of a set: sort it") as caught:
        check_determinism_sync(in_set_order, seeds=(), hash_seeds=(1, 2))
    assert "test_sentinel_check.py" in str(caught.value)
    assert "name: recorded 'name-" in str(caught.value)

    report = check_determinism_sync(sound, prepare=approve, seeds=(), hash_seeds=(1,))
    assert report.hash_seeds == (1,)


def test_a_handler_is_named_by_its_module_if_that_can_be_found() -> None:
    """Else by its file: a module of a package may need its package, and a script has no module."""
    file = Path(__file__).resolve()
    assert _finds("json.decoder", Path(json.decoder.__file__).resolve())
    assert not _finds("json.decoder", file)
    assert not _finds("json.nothing", file)
    assert not _finds("__main__", file)
    assert _reference(in_set_order).endswith(":in_set_order")


def test_other_processes_need_a_name() -> None:
    """A handler that no other process can import is refused before it runs, and so is a bad seed."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        raise AssertionError("never runs")

    with pytest.raises(ConfigurationError, match="must be a name of its module"):
        check_determinism_sync(handler, hash_seeds=(1,))
    with pytest.raises(ValidationError, match="a hash seed must be 0 to 4294967295, not -1"):
        check_determinism_sync(sound, hash_seeds=(-1,))


async def test_a_runner_warns(autojump_clock: MockClock) -> None:
    """A runner watches by default, and warns at the line; it can be told not to."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        time.time()

    with pytest.warns(DeterminismWarning, match=r"time\.time\(\) gives another value") as caught:
        async with DurableRunner(handler) as runner:
            await runner.run()
    assert caught[0].filename == __file__
    async with DurableRunner(handler, check_determinism=False) as runner:
        await runner.run()
    sentinel = DeterminismSentinel()
    async with DurableRunner(handler, check_determinism=sentinel) as runner:
        await runner.run()
    assert [call.name for call in sentinel.calls] == ["time.time"]


async def test_an_installed_program_is_the_users(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package of the handler counts as the user's code where libraries are; those beside it do not."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("")
    (tmp_path / "shop" / "ids.py").write_text(
        "import time\nimport library\n\ndef new():\n    library.log()\n    return time.time()\n"
    )
    (tmp_path / "library.py").write_text("import time\n\ndef log():\n    return time.time_ns()\n")
    (tmp_path / "shop" / "app.py").write_text(
        "from durable_trio import durable_execution\nfrom shop.ids import new\n\n"
        "@durable_execution\nasync def handler(event, ctx):\n    new()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sentinel_frames, "_LIBRARIES", (f"{tmp_path}/",))
    sentinel_frames.is_users_file.cache_clear()
    handler = importlib.import_module("shop.app").handler
    sentinel = DeterminismSentinel()

    async with DurableRunner(handler, check_determinism=sentinel) as runner:
        await runner.run()

    assert [(call.name, call.line.filename) for call in sentinel.calls] == [
        ("time.time", str(tmp_path / "shop" / "ids.py"))
    ]
    sentinel_frames.is_users_file.cache_clear()
