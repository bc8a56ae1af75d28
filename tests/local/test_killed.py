"""A service that is killed at any moment loses nothing that it has acknowledged."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import trio
from local.killed_service import register_all

import durable_trio
from durable_trio._protocol.history import EventType
from durable_trio.local import ExecutionStatus, LocalService, open_local_service

KILLS, STARTS_PER_LIFE = 3, 40
TESTS = Path(__file__).parents[1]


def serve_and_kill(file: Path) -> list[str]:
    """Run a service under load until it has acknowledged some executions, kill it, and return their names."""
    path = os.pathsep.join([str(TESTS), str(Path(durable_trio.__file__).parents[1])])
    with subprocess.Popen(
        [sys.executable, "-m", "local.killed_service", str(file)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        assert process.stdout is not None
        names = [process.stdout.readline().strip() for _ in range(STARTS_PER_LIFE)]
        process.kill()
        # What it has printed before it died counts, except a line that was cut off.
        rest = process.stdout.read()
        return names + rest[: rest.rfind("\n") + 1].split()


async def check_history(service: LocalService, arn: str) -> None:
    """Check that a finished execution's history is whole."""
    page = await service.history(arn, limit=1000)
    types = [event.type for event in page.items]

    assert [event.event_id for event in page.items] == list(range(1, len(types) + 1))
    assert types[0] is EventType.EXECUTION_STARTED
    assert types.count(EventType.EXECUTION_SUCCEEDED) == 1
    assert types.count(EventType.STEP_SUCCEEDED) == 6
    assert types.count(EventType.WAIT_SUCCEEDED) == 1
    assert types.count(EventType.CHAINED_INVOKE_SUCCEEDED) == 2


def test_killed_again_and_again(tmp_path: Path) -> None:
    """All that was acknowledged is there, everything ends well, and the file is sound."""
    file = tmp_path / "service.sqlite"
    acknowledged = [name for _ in range(KILLS) for name in serve_and_kill(file)]
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(acknowledged) >= KILLS * STARTS_PER_LIFE
    assert len(set(acknowledged)) == len(acknowledged)

    async def finish() -> None:
        async with open_local_service(file, virtual_time=True) as service:
            register_all(service)
            await service.take_over_all()
            for name in acknowledged:
                ended = await service.wait_closed(name)
                assert ended.status is ExecutionStatus.SUCCEEDED, ended
                await check_history(service, ended.arn)
            await service.until_idle()
            assert service._ledger.store.unfinished() == []

    trio.run(finish)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
