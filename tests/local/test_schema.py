"""How files of older versions become files of this one."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from local.functions import Call, Function, start_step, succeed_step, succeeded
from protocol.service_side import arn_of

from durable_trio._protocol.checkpointing import MAX_REMEMBERED_ANSWERS
from durable_trio._protocol.execution_record import ExecutionIdentity, RememberedAnswer, start_record
from durable_trio.local import ExecutionStatus, ResourceNotFound, open_local_service, schema
from durable_trio.local.schema import ANSWER_SLOTS, MIGRATIONS, open_database
from durable_trio.local.store import Store

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Return the path of a database that does not exist yet."""
    return str(tmp_path / "service.sqlite")


def tables_of(connection: sqlite3.Connection) -> list[Any]:
    """Return what a database consists of."""
    return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()


def test_a_database_in_memory_is_like_one_in_a_file(file: str) -> None:
    """It is copied from an image, and has the same tables, marks and rules."""
    on_disk, in_memory = open_database(file, 1), open_database(":memory:", 1)

    assert tables_of(in_memory) == tables_of(on_disk)
    for pragma in ("application_id", "user_version", "foreign_keys"):
        assert (
            in_memory.execute(f"PRAGMA {pragma}").fetchone() == on_disk.execute(f"PRAGMA {pragma}").fetchone()
        )
    on_disk.close()
    in_memory.close()


def test_databases_in_memory_are_apart() -> None:
    """Two of them share nothing but the image they began with."""
    one, other = open_database(":memory:", 1), open_database(":memory:", 1)
    one.execute("INSERT INTO virtual_time VALUES (1, 7)")

    assert other.execute("SELECT count(*) FROM virtual_time").fetchone() == (0,)
    one.close()
    other.close()


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_every_older_version_becomes_this_one(
    version: int, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever version made the file, its tables are the same afterwards."""
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", MIGRATIONS[:version])
        open_database(file, 1).close()
    migrated, new = open_database(file, 1), open_database(":memory:", 1)

    assert tables_of(migrated) == tables_of(new)
    assert migrated.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    migrated.close()
    new.close()


def test_answers_of_an_older_file_are_kept(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint whose answer was lost before the upgrade is answered again after it."""
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", MIGRATIONS[:2])
        connection = open_database(file, 1)
        record = start_record(ExecutionIdentity(arn_of(), 1_700_000_000_000, 86_400, 14), "null")
        store = Store(connection)
        store.begin()
        store.create(record, None)
        rows = [
            (record.id, number, f"call {number}", 1_700_000_000_000 + number, number, number % 2)
            for number in range(100, 100 + MAX_REMEMBERED_ANSWERS)
        ]
        connection.executemany("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?)", rows)
        store.commit()
        store.close()

    store = Store(open_database(file, 1))
    stored = store.load(record.id)

    assert stored is not None
    assert stored.record.answers == {row[1]: RememberedAnswer(*row[1:5], bool(row[5])) for row in rows}
    store.close()


def test_there_is_a_slot_for_every_answer() -> None:
    """The file has room for as many answers as the rules ask for."""
    assert ANSWER_SLOTS >= MAX_REMEMBERED_ANSWERS


def test_slots_are_used_again() -> None:
    """Whatever tokens had answers, the file gives back those of the latest tokens, and no others."""
    store = Store(open_database(":memory:", 0))
    record = start_record(ExecutionIdentity(arn_of(), 1_700_000_000_000, 86_400, 14), "null")
    record.take_changes()
    store.create(record, None)
    # Not every token is followed by an answer: those between were for invocations that asked for nothing.
    for sequence in [*range(1, 300), *range(301, 900, 3), *range(900, 1_000)]:
        record.remember(RememberedAnswer(sequence, f"call-{sequence}", 1_700_000_000_000, sequence, False))
        store.save(record, record.take_changes())
    stored = store.load(record.id)

    assert stored is not None
    expected = {
        number: answer for number, answer in record.answers.items() if number > 999 - MAX_REMEMBERED_ANSWERS
    }
    assert stored.record.answers == expected
    assert store._connection.execute("SELECT count(*) FROM answer_slots").fetchone()[0] <= ANSWER_SLOTS
    store.close()


# --- what is told from memory ----------------------------------------------------------------------------


async def test_memory_and_file_say_the_same(file: str, autojump_clock: trio.testing.MockClock) -> None:
    """A description is the same while the record is at hand, when it has left memory, and in another service."""

    async def body(call: Call) -> Any:
        await call.checkpoint(start_step(), succeed_step(payload='"é"'))
        return succeeded()

    async with open_local_service(file) as service:
        service.register("f", Function(body))
        arns = [(await service.start_execution("f", '"in"')).arn for _ in range(3)]
        remembered = [await service.wait_closed(arn) for arn in arns]
        assert len(service._ledger._cache) == 1
        again = [await service.describe(arn) for arn in arns]
        operations = [await service.operations(arn) for arn in arns]
        assert len(service._ledger._cache) == 1
        async with open_local_service(file, clock=service.clock) as other:
            read = [await other.describe(arn) for arn in arns]
            assert [await other.operations(arn) for arn in arns] == operations

    assert remembered == again == read
    assert [one.status for one in read] == [ExecutionStatus.SUCCEEDED] * 3
    assert [one.operation_count for one in read] == [1, 1, 1]


async def test_records_leave_memory_when_nobody_watches(autojump_clock: trio.testing.MockClock) -> None:
    """Executions that have ended stay in memory as long as somebody watches them, and the latest; no others do."""

    async def body(call: Call) -> Any:
        return succeeded()

    async with open_local_service() as service:
        service.register("f", Function(body))
        arns = []
        for _ in range(5):
            arns.append((await service.start_execution("f", "null")).arn)
            with service.subscribe(arns[-1]), service.subscribe(arns[0]):
                await service.wait_closed(arns[-1])
        assert len(service._ledger._cache) <= 3
        assert arns[2] in str(await service.describe(arns[2]))
        await service.operations(arns[2])

        assert len(service._ledger._cache) == 1
        assert len(service._ledger._verified) == 1


async def test_what_others_change_is_seen_in_memory(
    file: str, autojump_clock: trio.testing.MockClock
) -> None:
    """The execution that is still in memory though it has ended is gone when another process deletes it."""

    async def body(call: Call) -> Any:
        return succeeded()

    async with open_local_service(file) as service:
        service.register("f", Function(body))
        arn = (await service.start_execution("f", "null")).arn
        await service.wait_closed(arn)
        async with open_local_service(file) as other:
            await other.delete_execution(arn)
        assert (await service.list_executions()).items == ()
        with pytest.raises(ResourceNotFound, match="there is no execution"):
            await service.describe(arn)
