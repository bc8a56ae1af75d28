"""Logs of executions: kept in order, read in portions."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from local.functions import Function, returns_at_once

from durable_trio.local import InvalidParameterValue, LogLine, ResourceNotFound, open_local_service
from durable_trio.local.schema import MIGRATIONS

if TYPE_CHECKING:
    from pathlib import Path

LINES = st.builds(
    LogLine, st.integers(0, 2**50), st.text(), st.none() | st.just("request"), st.none() | st.just("f")
)


@given(batches=st.lists(st.lists(LINES, max_size=5), max_size=5), limit=st.integers(1, 4))
@settings(max_examples=30)
def test_lines_come_back_in_order(batches: list[list[LogLine]], limit: int) -> None:
    """Whatever was appended in whatever portions is read back as it was, page by page."""

    async def main() -> None:
        async with open_local_service() as service:
            service.register("f", Function(returns_at_once))
            execution = await service.start_execution("f", "null")
            for batch in batches:
                await service.append_log_lines(execution.arn, batch)
            read: list[LogLine] = []
            page = await service.log_lines(execution.arn, limit=limit)
            while True:
                assert len(page.items) <= limit
                read += page.items
                if not page.next_marker:
                    break
                page = await service.log_lines(execution.arn, limit=limit, marker=page.next_marker)
            assert read == [line for batch in batches for line in batch]

    trio.run(main)


async def test_logs_of_nobody() -> None:
    """A log belongs to an execution."""
    async with open_local_service() as service:
        with pytest.raises(ResourceNotFound):
            await service.append_log_lines("nobody", [LogLine(1, "text")])
        with pytest.raises(ResourceNotFound):
            await service.log_lines("nobody")


async def test_markers_and_limits() -> None:
    """A marker of another listing is no marker of this one."""
    async with open_local_service() as service:
        service.register("f", Function(returns_at_once))
        execution = await service.start_execution("f", "null")
        for marker in ("nonsense", "ZXZlbnRzOjE="):
            with pytest.raises(InvalidParameterValue, match="marker is not one that this service gave"):
                await service.log_lines(execution.arn, marker=marker)
        with pytest.raises(InvalidParameterValue, match="MaxItems must be 0 to 1000"):
            await service.log_lines(execution.arn, limit=1001)


async def test_a_file_of_an_earlier_version(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was made before logs, pauses and plain functions existed is brought up to date, with all in it."""
    import sqlite3

    file = tmp_path / "service.sqlite"
    connection = sqlite3.connect(file, isolation_level=None)
    for statement in MIGRATIONS[0]:
        connection.execute(statement)
    arn = "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST/durable-execution/one/some-id"
    connection.execute(
        "INSERT INTO executions VALUES ('some-id', ?, 'f', 'one', 1700000000000, 86400, 14, NULL, NULL, NULL, 1, "
        "'RUNNING', NULL, NULL, NULL, 0, 1, 1, 1, 0, 0, 0, 1, NULL, NULL, NULL)",
        (arn,),
    )
    operation = (
        '{"Id":"some-id","Type":"EXECUTION","Status":"STARTED","Name":"one","StartTimestamp":1700000000000,'
        '"ExecutionDetails":{"InputPayload":"1"}}'
    )
    connection.execute("INSERT INTO operations VALUES ('some-id', 0, 1, ?)", (operation,))
    connection.execute("PRAGMA application_id = 0x64747269")
    connection.execute("PRAGMA user_version = 1")
    connection.close()

    async with open_local_service(file) as service:
        service.register("f", Function(returns_at_once))
        assert [summary.name for summary in await service.take_over_all()] == ["one"]
        description = await service.wait_closed(arn)
        assert (description.input_payload, description.tenant_id, description.pause) == ("1", None, None)
        await service.append_log_lines(arn, [LogLine(1, "text")])
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
