from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import trio
from cli.records import EPOCH, SUCCEEDED, step
from cli.terminals import WORKFLOWS
from rich.console import Console

from durable_trio.cli.live import LiveView
from durable_trio.cli.tree import OperationTree

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


async def test_the_picture_is_drawn_ten_times_a_second_at_most(autojump_clock: MockClock) -> None:
    """A thousand changes within a second are about ten frames."""
    frames = 0

    def now() -> int:
        nonlocal frames
        frames += 1
        return EPOCH

    tree = OperationTree()
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=20)
    with LiveView(console, tree, title="demo", now=now) as view:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(view.redraw)
            for number in range(1_000):
                change = tree.apply(step(f"s{number}", SUCCEEDED))
                assert change is not None
                view.moved(change)
                await trio.sleep(0.001)
            nursery.cancel_scope.cancel()

    assert 8 <= frames <= 14


async def test_an_idle_picture_of_timers_is_drawn_once_a_second(autojump_clock: MockClock) -> None:
    """What is left of a wait counts down although nothing happens."""
    frames = 0

    def now() -> int:
        nonlocal frames
        frames += 1
        return EPOCH

    tree = OperationTree()
    tree.apply(step("s"))
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=20)
    with LiveView(console, tree, title="demo", now=now) as view:
        with trio.move_on_after(10):
            await view.redraw()

    assert 8 <= frames <= 14


def test_on_a_terminal_the_tree_is_drawn_and_prints_stand_above_it(tmp_path: Path) -> None:
    """The handler's own output is on lines of its own, and the outcome comes last."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "durable_trio", "run", f"{WORKFLOWS}:chatters", "--name", "demo"],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "DURABLE_TRIO_DB": str(tmp_path / "db.sqlite"), "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    text = shown.decode()

    assert process.wait(timeout=10) == 0, text
    assert "printed by the handler\r\n" in text
    assert "logged by the handler" in text
    assert "workflows-chatters demo" in text
    assert '"quiet"' in text.splitlines()[-1]
