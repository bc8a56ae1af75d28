"""``record`` and ``diff`` at an endpoint: the history comes over the wire, and replays like one from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from histories import workflows
from support.endpoints import in_thread, serving

from durable_trio.cli.main import commands
from durable_trio.local import open_local_service
from durable_trio.testing import History, replay_history


async def run(*arguments: str) -> Result:
    """Run a command in a thread: it makes a Trio run of its own."""
    result: Result = await in_thread(lambda: CliRunner().invoke(commands, list(arguments)))
    return result


async def test_a_history_can_be_recorded_at_an_endpoint(tmp_path: Path) -> None:
    """By name; with its data, and with what the service does not tell inferred."""
    db, file = tmp_path / "executions.sqlite", tmp_path / "bulky.json"
    async with open_local_service(db) as service, serving(service) as endpoint:
        service.register("bulky", workflows.bulky.invoke)
        started = await service.start_execution("bulky", "{}", name="demo")
        await service.wait_closed(started.arn)
        there = ("--endpoint-url", endpoint.url)

        recorded = await run("record", "demo", str(file), *there)
        assert recorded.exit_code == 0, recorded.stderr
        history = History.load(file)
        assert len(history.replay_children) == 3
        await replay_history(workflows.bulky, history)

        same: Any = await run("diff", str(file), started.arn, *there)
        assert (same.exit_code, same.stdout) == (0, "the same: 8 operations\n")
        assert (await run("record", "nobody", str(tmp_path / "x.json"), *there)).exit_code == 3
