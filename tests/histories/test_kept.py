"""Executions of earlier versions, kept as files, replay on the code of today. They do so for ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from histories import workflows
from histories.recording import RECORDINGS

from durable_trio import DurableContext, Duration, durable_execution
from durable_trio.testing import History, ReplayDivergenceError, replay_history_sync

HERE = Path(__file__).parent
KEPT = sorted(path.stem for path in HERE.glob("*.json"))


def handler_of(name: str) -> Any:
    """Return the handler of a kept history."""
    return getattr(workflows, name.partition("-")[0])


def test_everything_is_recorded() -> None:
    """Each recording has its file, and each file its recording."""
    assert sorted(RECORDINGS) == KEPT


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", KEPT)
def test_it_replays(name: str, seed: int) -> None:
    """From every point, under any order of tasks."""
    report = replay_history_sync(handler_of(name), HERE / f"{name}.json", seed=seed)

    assert report.left_out == 0


@pytest.mark.parametrize("name", KEPT)
def test_its_file_is_stable(name: str) -> None:
    """Reading and writing changes nothing: version 1 of the file is what it was."""
    text = (HERE / f"{name}.json").read_text(encoding="utf-8")

    assert History.load(HERE / f"{name}.json").to_document() == json.loads(text)


@pytest.mark.parametrize("name", KEPT)
def test_it_replays_without_what_the_service_does_not_tell(name: str) -> None:
    """The service's own answer will do: how contexts were closed is inferred."""
    document = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    bare = {"Events": document["Events"], "DurableExecutionArn": document["DurableExecutionArn"]}
    history = History.from_document(bare)

    assert sorted(history.replay_children) == document["ReplayChildren"]
    replay_history_sync(handler_of(name), history, max_points=20)


@pytest.mark.parametrize("name", KEPT)
def test_another_handler_does_not_replay_it(name: str) -> None:
    """A replay that accepts anything would be worth nothing."""

    @durable_execution
    async def other(event: Any, ctx: DurableContext) -> None:
        await ctx.wait(Duration.seconds(1), name="something else")

    with pytest.raises(ReplayDivergenceError):
        replay_history_sync(other, HERE / f"{name}.json")
