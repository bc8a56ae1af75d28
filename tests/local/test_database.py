"""The file: what survives, who may use it, and what happens when it cannot be written."""

from __future__ import annotations

import shutil
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from local.functions import (
    PENDING,
    Call,
    Function,
    retry_step,
    returns_at_once,
    start_callback,
    start_step,
    start_wait,
    succeed_step,
    succeeded,
    waits,
    waits_for_callback,
)

from durable_trio._protocol.execution_record import ExecutionRecord
from durable_trio._protocol.history import EventType
from durable_trio._protocol.operation import ErrorObject, OperationStatus
from durable_trio.exceptions import CheckpointError, ValidationError
from durable_trio.local import (
    DatabaseTooNew,
    DatabaseUnusable,
    ExecutionBusy,
    ExecutionStatus,
    LocalService,
    LocalSettings,
    OperationChanged,
    ResourceNotFound,
    RetryPolicy,
    ServiceFailure,
    open_local_service,
)
from durable_trio.local.schema import open_database
from durable_trio.local.store import Store

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a database that does not exist yet."""
    return tmp_path / "service.sqlite"


def killed(file: Path, name: str = "killed.sqlite") -> Path:
    """Return a copy of what a ``kill -9`` at this moment would leave: the files, and no live host."""
    copy = file.with_name(name)
    for suffix in ("", "-wal"):
        source = file.with_name(file.name + suffix)
        if source.exists():
            shutil.copy(source, copy.with_name(copy.name + suffix))
    return copy


async def _record(service: LocalService, arn: str) -> ExecutionRecord:
    def look(ledger: Any) -> ExecutionRecord:
        record = ledger.record(ledger.find(arn))
        assert isinstance(record, ExecutionRecord)
        return record

    return await service._owner.ask(look)


# --- what survives ---------------------------------------------------------------------------------------


async def test_a_record_read_back_is_the_record(file: Path, autojump_clock: trio.testing.MockClock) -> None:
    """Whatever an execution has been through, the file gives back an equal record."""

    async def body(call: Call) -> Any:
        if call.status("step") is None:
            await call.checkpoint(start_step(), retry_step(delay=1), start_wait(DAY), start_callback(900, 90))
            await call.checkpoint(succeed_step("other", payload="\ud800 é \x00"))
            return PENDING
        await trio.sleep(1)
        raise RuntimeError("boom")

    policy = RetryPolicy(first_delay_seconds=50)
    async with open_local_service(file, settings=LocalSettings(retry_policy=policy)) as service:
        service.register("f", Function(body))
        execution = await service.start_execution("f", '"\ud800"')
        for moment in range(3):
            await trio.sleep(moment)
            await trio.testing.wait_all_tasks_blocked()
            mine = await _record(service, execution.arn)
            async with open_local_service(
                killed(file, f"copy-{moment}.sqlite"), clock=service.clock
            ) as other:
                copy = await _record(other, execution.arn)

                assert copy.take_changes() == mine.take_changes()
                assert copy.unseen() == mine.unseen()
                assert sorted(timer.key for timer in copy.timers) == sorted(
                    timer.key for timer in mine.timers
                )
                mine_timers, copy_timers = mine.timers, copy.timers
                mine.timers = copy.timers = type(mine.timers)()
                try:
                    assert copy == mine
                finally:
                    mine.timers, copy.timers = mine_timers, copy_timers
                assert (await other.history(execution.arn)).items == (
                    await service.history(execution.arn)
                ).items


async def test_timers_go_on_after_a_restart(file: Path, autojump_clock: trio.testing.MockClock) -> None:
    """An execution that waits when its process dies is taken over, and wakes at its time."""
    async with open_local_service(file) as service:
        service.register("f", Function(waits(DAY)))
        execution = await service.start_execution("f", "null", name="sleeper")
        await trio.testing.wait_all_tasks_blocked()
        left = killed(file)
        clock = service.clock
    await trio.sleep(1000)

    function = Function(waits(DAY))
    async with open_local_service(left, clock=clock) as service:
        service.register("f", function)
        await service.take_over("sleeper")
        description = await service.wait_closed(execution.arn)

        assert len(function.calls) == 1
        assert description.ended_at == description.started_at + DAY * 1000


async def test_a_timer_that_ended_meanwhile(file: Path, autojump_clock: trio.testing.MockClock) -> None:
    """A wait that was over while no service ran ended at its time, and the execution goes on at once."""
    async with open_local_service(file) as service:
        service.register("f", Function(waits(DAY)))
        execution = await service.start_execution("f", "null")
        await trio.testing.wait_all_tasks_blocked()
        clock = service.clock
    await trio.sleep(3 * DAY)

    async with open_local_service(file, clock=clock) as service:
        service.register("f", Function(waits(DAY)))
        await service.take_over(execution.arn)
        await service.wait_closed(execution.arn)

        wait = (await service.operations(execution.arn))[1]
        assert wait.ended_at == wait.started_at + DAY * 1000


async def test_an_invocation_that_was_cut_off(file: Path, autojump_clock: trio.testing.MockClock) -> None:
    """What it had checkpointed stays; it is not counted as failed; the next one follows with a new token."""

    async def dies(call: Call) -> Any:
        await call.checkpoint(start_step(), succeed_step())
        await trio.sleep_forever()

    function = Function(dies)
    async with open_local_service(file) as service:
        service.register("f", function)
        execution = await service.start_execution("f", "null")
        await trio.testing.wait_all_tasks_blocked()
        left = killed(file)

    async def goes_on(call: Call) -> Any:
        assert call.status("step") is OperationStatus.SUCCEEDED
        return succeeded()

    again = Function(goes_on)
    async with open_local_service(
        left, settings=LocalSettings(retry_policy=RetryPolicy(max_failures=1))
    ) as service:
        service.register("f", again)
        await service.take_over(execution.arn)
        await service.wait_closed(execution.arn)
        events = (await service.history(execution.arn)).items

        errors = [event.details.error for event in events if event.type is EventType.INVOCATION_COMPLETED]
        assert [error.type if error else None for error in errors] == ["Runtime.ExitError", None]
        assert again.calls[0].invocation.checkpoint_token != function.calls[0].token


async def test_closing_the_service_interrupts_invocations(
    file: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Leaving the block cancels what runs; it counts as interrupted when the execution is resumed."""
    cancelled = trio.Event()

    async def body(call: Call) -> Any:
        if len(target.calls) == 1:
            try:
                await trio.sleep_forever()
            finally:
                cancelled.set()
        return succeeded()

    target = Function(body)
    async with open_local_service(file) as service:
        service.register("f", target)
        execution = await service.start_execution("f", "null")
        await trio.testing.wait_all_tasks_blocked()
    assert cancelled.is_set()

    async with open_local_service(file) as service:
        assert (await service.describe(execution.arn)).is_invoked
        service.register("f", target)
        await service.take_over(execution.arn)
        assert (await service.wait_closed(execution.arn)).invocation_count == 2


async def test_resuming_what_needs_no_resuming(file: Path, autojump_clock: trio.testing.MockClock) -> None:
    """To resume an execution that has ended, or that this service drives, changes nothing."""
    function = Function(returns_at_once)
    async with open_local_service(file) as service:
        service.register("f", function)
        service.register("slow", Function(waits(DAY)))
        ended = await service.start_execution("f", "null")
        await service.wait_closed(ended.arn)
        slow = await service.start_execution("slow", "null")

        assert (await service.take_over(ended.arn)).status is ExecutionStatus.SUCCEEDED
        assert (await service.take_over(slow.arn)).status is ExecutionStatus.RUNNING
        assert len(function.calls) == 1


async def test_resuming_needs_the_function(file: Path) -> None:
    """An execution of a function that nobody registered cannot be driven; an unknown one cannot be found."""
    async with open_local_service(file) as service:
        service.register("f", Function(waits_for_callback))
        execution = await service.start_execution("f", "null")

    async with open_local_service(file) as service:
        with pytest.raises(ResourceNotFound, match="function 'f' is not registered"):
            await service.take_over(execution.arn)
        with pytest.raises(ResourceNotFound, match="no execution 'nobody'"):
            await service.take_over("nobody")


# --- several processes -----------------------------------------------------------------------------------


async def test_a_second_process_answers_a_callback(
    file: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Another service on the same file answers a callback; the one that drives the execution notices and goes on."""
    function = Function(waits_for_callback)
    async with open_local_service(file, watch_seconds=0.5) as driver:
        driver.register("f", function)
        execution = await driver.start_execution("f", "null")
        with driver.subscribe(execution.arn) as changes:
            await driver.operations(execution.arn)
            await trio.testing.wait_all_tasks_blocked()
            async with open_local_service(file) as passer_by:
                await passer_by.callback_succeed(function.calls[0].callback_id("callback"), '"yes"')
                assert (await passer_by.describe(execution.arn)).invocation_count == 1

            assert (await driver.wait_closed(execution.arn)).result == '"yes"'
            assert len(function.calls) == 2
            seen = [await changes.receive() for _ in range(changes.statistics().current_buffer_used)]
    told = [change.operation.status for change in seen if isinstance(change, OperationChanged)]
    assert told.count(OperationStatus.SUCCEEDED) == 2  # the callback, then the execution


async def test_a_completion_by_another_process_during_an_invocation(
    file: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """The next checkpoint of the running invocation shows what another process completed."""

    async def body(call: Call) -> Any:
        await call.checkpoint(start_callback())
        async with open_local_service(file) as passer_by:
            await passer_by.callback_succeed(call.callback_id("callback"), '"yes"')
        (callback,) = await call.checkpoint()
        return succeeded(f'"{callback.status}"')

    async with open_local_service(file) as driver:
        driver.register("f", Function(body))
        execution = await driver.start_execution("f", "null")

        assert (await driver.wait_closed(execution.arn)).result == '"SUCCEEDED"'


async def test_a_second_process_stops_an_execution(
    file: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Who waits for the end in one process sees the stop of another."""
    async with open_local_service(file, watch_seconds=0.5) as driver, open_local_service(file) as other:
        driver.register("f", Function(waits_for_callback))
        execution = await driver.start_execution("f", "null")
        await trio.testing.wait_all_tasks_blocked()

        await other.stop(execution.arn, ErrorObject("enough"))

        with trio.fail_after(1):
            description = await driver.wait_closed(execution.arn)
        assert description.status is ExecutionStatus.STOPPED


async def test_an_execution_is_driven_by_one_process(
    file: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """A live driver keeps others off; a dead one does not, and leaves no files behind."""
    async with open_local_service(file) as second:
        second.register("f", Function(waits(DAY)))
        async with open_local_service(file, clock=second.clock) as first:
            first.register("f", Function(waits(DAY)))
            execution = await first.start_execution("f", "null")
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(ExecutionBusy, match="another process drives the execution"):
                await second.take_over(execution.arn)
            assert len(list(file.parent.glob("*-host-*"))) == 2

        assert len(list(file.parent.glob("*-host-*"))) == 1
        await second.take_over(execution.arn)
        assert (await second.wait_closed(execution.arn)).status is ExecutionStatus.SUCCEEDED
    assert list(file.parent.glob("*-host-*")) == []


async def test_files_of_dead_hosts_are_removed(file: Path) -> None:
    """What a killed process left behind goes when the next one starts."""
    stale = file.with_name(f"{file.name}-host-1-deadbeef")
    stale.touch()

    async with open_local_service(file):
        assert not stale.exists()


async def test_a_driver_that_was_taken_for_dead(file: Path, autojump_clock: trio.testing.MockClock) -> None:
    """If another process takes over all the same, tokens fence the old invocation off and nothing is done twice."""
    refused: list[Exception] = []

    async def slow(call: Call) -> Any:
        await trio.sleep(100)
        try:
            await call.checkpoint(start_step(), succeed_step(payload='"old"'))
        except Exception as error:
            refused.append(error)
            raise
        return succeeded('"old"')

    async def quick(call: Call) -> Any:
        await call.checkpoint(start_step(), succeed_step(payload='"new"'))
        return succeeded('"new"')

    async with open_local_service(file) as first, open_local_service(file, clock=first.clock) as second:
        first.register("f", Function(slow))
        second.register("f", Function(quick))
        execution = await first.start_execution("f", "null")
        await trio.testing.wait_all_tasks_blocked()
        for host_file in file.parent.glob("*-host-*"):
            host_file.unlink()

        await second.take_over(execution.arn)
        await second.wait_closed(execution.arn)
        await trio.sleep(200)

        assert len(refused) == 1
        assert (await first.describe(execution.arn)).result == '"new"'


# --- when it cannot be written ---------------------------------------------------------------------------


def _fill_disk(service: LocalService) -> None:
    connection = service._ledger.store._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")


def _free_disk(service: LocalService) -> None:
    service._ledger.store._connection.execute("PRAGMA max_page_count = 1000000")


async def test_a_checkpoint_that_cannot_be_written_did_not_happen(
    file: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """A full disk is a retryable error for its caller; memory does not run ahead of the file."""
    errors: list[CheckpointError] = []

    async def body(call: Call) -> Any:
        _fill_disk(service)
        token = call.token
        try:
            await call.checkpoint(start_step(), succeed_step(payload="x" * 1_000_000))
        except CheckpointError as error:
            errors.append(error)
        _free_disk(service)
        assert [operation.type for operation in await service.operations(execution.arn)] == ["EXECUTION"]
        call.token = token
        await call.checkpoint(start_step(), succeed_step())
        return succeeded()

    async with open_local_service(file) as service:
        service.register("f", Function(body))
        execution = await service.start_execution("f", "null")
        assert (await service.wait_closed(execution.arn)).status is ExecutionStatus.SUCCEEDED

    assert [error.is_retryable for error in errors] == [True]
    assert "disk is full" in str(errors[0])


async def test_only_the_request_that_cannot_be_written_fails(
    file: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Requests that share a transaction do not share its failure."""
    outcomes: dict[str, str] = {}
    ready, answered = trio.Event(), trio.Event()

    async def body(call: Call) -> Any:
        await ready.wait()
        size = 1_000_000 if call.context.function_name == "big" else 1
        try:
            await call.checkpoint(succeed_step(payload="x" * size))
        except CheckpointError:
            outcomes[call.context.function_name] = "refused"
        else:
            outcomes[call.context.function_name] = "recorded"
        if len(outcomes) == 3:
            _free_disk(service)
            answered.set()
        await answered.wait()
        return succeeded()

    async with open_local_service(file) as service:
        for name in ("small", "big", "little"):
            service.register(name, Function(body))
        arns = [(await service.start_execution(name, "null")).arn for name in ("small", "big", "little")]
        # Room for the small ones: pages that are in use no more.
        await service._owner.ask(_make_room)
        await trio.testing.wait_all_tasks_blocked()
        _fill_disk(service)
        ready.set()
        for arn in arns:
            await service.wait_closed(arn)

    assert outcomes == {"small": "recorded", "big": "refused", "little": "recorded"}


def _make_room(ledger: Any) -> None:
    connection: sqlite3.Connection = ledger.store._connection
    connection.execute("CREATE TABLE ballast (text)")
    connection.executemany("INSERT INTO ballast VALUES (?)", [("x" * 4000,)] * 50)
    connection.execute("DROP TABLE ballast")


async def test_timers_that_cannot_be_written_are_tried_again(
    file: Path, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that is full when a timer ends delays the wake-up, and a warning tells why."""
    async with open_local_service(file) as service:
        service.register("f", Function(waits(60)))
        execution = await service.start_execution("f", "null")
        await trio.testing.wait_all_tasks_blocked()
        service._ledger.store._connection.execute("PRAGMA query_only = on")
        await trio.sleep(90)
        assert "timers could not be recorded" in caplog.text
        service._ledger.store._connection.execute("PRAGMA query_only = off")

        description = await service.wait_closed(execution.arn)

        assert description.ended_at is not None
        assert description.ended_at <= description.started_at + 92_000
        wait = (await service.operations(execution.arn))[1]
        assert wait.ended_at == wait.started_at + 60_000


async def test_an_end_that_cannot_be_written_is_tried_again(
    file: Path, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The outcome of an invocation is not lost to a full disk."""

    async def body(call: Call) -> Any:
        service._ledger.store._connection.execute("PRAGMA query_only = on")
        return succeeded()

    function = Function(body)
    async with open_local_service(file) as service:
        service.register("f", function)
        execution = await service.start_execution("f", "null")
        await trio.sleep(10)
        assert "could not be recorded" in caplog.text
        service._ledger.store._connection.execute("PRAGMA query_only = off")

        assert (await service.wait_closed(execution.arn)).status is ExecutionStatus.SUCCEEDED
        assert len(function.calls) == 1


async def test_another_process_that_keeps_the_file_busy(file: Path) -> None:
    """Who cannot get at the file in time is told so, and may try again."""
    async with open_local_service(file, settings=LocalSettings(busy_timeout_seconds=0)) as service:
        service.register("f", Function(returns_at_once))
        busy = sqlite3.connect(file, isolation_level=None)
        busy.execute("BEGIN IMMEDIATE")
        with pytest.raises(ServiceFailure, match="locked"):
            await service.start_execution("f", "null", name="mine")
        busy.execute("COMMIT")
        busy.close()

        assert (await service.start_execution("f", "null", name="mine")).name == "mine"


# --- opening ---------------------------------------------------------------------------------------------


async def test_a_file_of_a_newer_version(file: Path) -> None:
    """A file that a newer version made is left alone, with an error that says what to do."""
    async with open_local_service(file):
        pass
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(DatabaseTooNew, match=r"schema version 99.*made by a newer one"):
        async with open_local_service(file):
            pass


async def test_files_that_are_none_of_ours(tmp_path: Path) -> None:
    """Something that is no database, another program's database, or a directory, is refused unchanged."""
    text = tmp_path / "text"
    text.write_text("hello " * 1000)
    foreign = tmp_path / "foreign"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE things (id)")
    connection.close()

    for path in (text, foreign, tmp_path, tmp_path / "missing" / "file"):
        with pytest.raises(DatabaseUnusable):
            async with open_local_service(path):
                pass
    connection = sqlite3.connect(foreign)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("things",)]
    connection.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables and the note of their version are made together, or not at all."""
    monkeypatch.setattr("durable_trio.local.schema.MIGRATIONS", (("CREATE TABLE a (b)", "nonsense"),))

    with pytest.raises(DatabaseUnusable, match="nonsense"):
        open_database(str(file), 1)

    connection = sqlite3.connect(file)
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    assert connection.execute("PRAGMA user_version").fetchone() == (0,)
    connection.close()


def test_commits_are_durable(file: Path) -> None:
    """The file is in WAL mode and every commit waits for the disk."""
    connection = open_database(str(file), 1)

    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    Store(connection).close()


async def test_errors_of_the_block_leave_it_as_themselves(file: Path) -> None:
    """The service's nursery wraps nothing."""
    for error in (ValueError("mine"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught:
            async with open_local_service(file):
                raise error
        assert caught.value is error


async def test_a_deadline_around_the_block(file: Path, autojump_clock: trio.testing.MockClock) -> None:
    """Cancelling the block from outside closes the service."""
    with trio.move_on_after(5) as scope:
        async with open_local_service(file), trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
    assert scope.cancelled_caught


async def test_a_closed_service_says_so(file: Path) -> None:
    """Whoever still holds on to it gets an error, not silence."""
    async with open_local_service(file) as service:
        pass

    with pytest.raises(ServiceFailure, match="closed"):
        await service.list_executions()


async def test_watch_seconds_must_be_positive(file: Path) -> None:
    """A wrong argument is refused by name."""
    with pytest.raises(ValidationError, match="watch_seconds must be positive"):
        async with open_local_service(file, watch_seconds=0):
            pass
