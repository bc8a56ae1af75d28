"""Worker processes behind a service in this process, and what serving is made of."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import trio
import trio.testing
from serve.calls import HERE, ROOT, function, until

from durable_trio.cli.serve_config import ServedFunction
from durable_trio.cli.serve_output import Printer, banner
from durable_trio.cli.serve_run import ServeRequest, _serve
from durable_trio.local import LocalService, open_local_service
from durable_trio.local.errors import ResourceNotFound, ServiceFailure
from durable_trio.local.function_config import FunctionConfig
from durable_trio.local.http import serve_http
from durable_trio.local.logs import LogLine
from durable_trio.local.workers import PrintedLine, WorkerFunction, Workers, open_workers
from durable_trio.local.workers.logs import LogKeeper


@dataclass
class Inside:
    """A service with workers and an endpoint, and what its functions print."""

    service: LocalService
    workers: Workers
    lines: list[PrintedLine] = field(default_factory=list)

    def register(self, name: str, *, is_durable: bool = True, **options: Any) -> None:
        """Register one of ``our_functions``."""
        self.workers.register(
            function(
                name, module="our_functions", directory=HERE, environment={"PYTHONPATH": str(ROOT)}, **options
            ),
            is_durable=is_durable,
        )


@asynccontextmanager
async def open_inside(path: Path | None = None) -> AsyncIterator[Inside]:
    """Serve in this process."""
    lines: list[PrintedLine] = []
    async with (
        trio.open_nursery() as nursery,
        open_local_service(path) as service,
        open_workers(service, on_line=lines.append) as workers,
    ):
        workers.host.announce(await nursery.start(partial(serve_http, service, port=0)))
        yield Inside(service, workers, lines)
        nursery.cancel_scope.cancel()


async def test_a_durable_function_runs_in_a_worker() -> None:
    """From its start over a suspension to its result; its lines are kept with it."""
    async with open_inside() as inside:
        inside.register("chat")
        execution = await inside.service.start_execution("chat", "null")
        ended = await inside.service.wait_closed(execution.arn)
        assert ended.result == '"told"'

        kept: list[LogLine] = []
        with trio.fail_after(20):
            while len(kept) < 3:
                kept = list((await inside.service.log_lines(execution.arn)).items)
    assert [line.text for line in kept] == ["before the wait", "before the wait", "after the wait"]
    assert {line.function_name for line in kept} == {"chat"}
    assert len({line.request_id for line in kept}) == 2
    assert {line.execution_arn for line in inside.lines} == {execution.arn}
    assert "Workers" in repr(inside.workers)


async def test_what_the_service_tells_about_a_function() -> None:
    """Its configuration is that of the worker."""
    async with open_inside() as inside:
        inside.register("plain", is_durable=False, timeout_seconds=7, memory_limit_in_mb=256)
        (described,) = inside.service.functions()

    assert (described.name, described.is_durable, described.kind) == ("plain", False, "remote")
    assert (described.config.timeout_seconds, described.config.memory_limit_in_mb) == (7, 256)
    assert described.config.handler == "our_functions.plain"


async def test_a_failed_plain_function_is_told_as_lambda_does() -> None:
    """Type, message and stack of the exception."""
    async with open_inside() as inside:
        inside.register("plain", is_durable=False)
        answer = await inside.service.invoke("plain", '"boom"')

    assert answer.function_error == "Unhandled"
    told = json.loads(answer.payload or "")
    assert (told["errorType"], told["errorMessage"]) == ("ValueError", "boom")


async def test_a_time_out_is_told_in_the_log(tmp_path: Path) -> None:
    """The function cannot say it itself."""
    async with open_inside() as inside:
        inside.register("slow", timeout_seconds=1)
        execution = await inside.service.start_execution("slow", json.dumps({"mark": str(tmp_path / "m")}))
        ended = await inside.service.wait_closed(execution.arn)
        assert ended.result == '"second try"'

    (line,) = [line for line in inside.lines if "timed out" in line.text]
    assert line.text.endswith("Task timed out after 1.00 seconds")
    assert line.execution_arn == execution.arn


async def test_closing_in_the_middle_is_an_interruption(tmp_path: Path) -> None:
    """The invocation that was killed has not failed, as the next service sees."""
    async with open_inside(tmp_path / "db.sqlite") as inside:
        inside.register("slow")
        payload = json.dumps({"mark": str(tmp_path / "mark")})
        execution = await inside.service.start_execution("slow", payload)
        await until((tmp_path / "mark").exists)

    async with open_inside(tmp_path / "db.sqlite") as inside:
        inside.register("slow")
        await inside.service.take_over_all()
        ended = await inside.service.wait_closed(execution.arn)
        history = await inside.service.history(execution.arn)

    assert ended.result == '"second try"'
    assert sum("The process that ran the invocation ended" in str(event) for event in history.items) == 1


async def test_invocations_begin_when_there_is_a_worker(tmp_path: Path) -> None:
    """Those beyond the number of processes are not begun: the history says nothing of an invocation that only waited."""
    async with open_inside(tmp_path / "db.sqlite") as inside:
        inside.register("slow", max_workers=1)
        arns = []
        for number in range(3):
            payload = json.dumps({"mark": str(tmp_path / f"mark {number}")})
            arns.append((await inside.service.start_execution("slow", payload)).arn)
            await until((tmp_path / "mark 0").exists)

    async with open_inside(tmp_path / "db.sqlite") as inside:
        histories = [await inside.service.history(arn) for arn in arns]
        inside.register("slow", max_workers=1)
        await inside.service.take_over_all()
        interruptions = [
            sum(
                "that ran the invocation ended" in str(event)
                for event in (await inside.service.history(arn)).items
            )
            for arn in arns
        ]

    assert [len(history.items) for history in histories] == [1, 1, 1]
    assert interruptions == [1, 0, 0]


# --- keeping lines ---------------------------------------------------------------------------------------


class Keeping:
    """A service that keeps lines, or does not."""

    def __init__(self, *problems: Exception) -> None:
        self.kept: list[tuple[str, list[str]]] = []
        self.problems = list(problems)

    async def append_log_lines(self, arn: str, lines: Sequence[LogLine]) -> None:
        """Keep lines, or raise the next problem."""
        await trio.lowlevel.checkpoint()
        if self.problems:
            raise self.problems.pop()
        self.kept.append((arn, [line.text for line in lines]))


def keeper_of(service: Keeping) -> LogKeeper:
    """Return a keeper that stores in *service*."""
    return LogKeeper(cast("LocalService", service))


async def test_lines_are_stored_together() -> None:
    """All that wait, each execution's in order."""
    service = Keeping()
    keeper = keeper_of(service)
    for number in range(4):
        keeper.keep(f"arn{number % 2}", LogLine(0, str(number)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert service.kept == [("arn0", ["0", "2"]), ("arn1", ["1", "3"])]


async def test_lines_that_wait_are_stored_at_the_end() -> None:
    """Cancelling stores what there is."""
    service = Keeping()
    keeper = keeper_of(service)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        keeper.keep("arn", LogLine(0, "last"))

    assert service.kept == [("arn", ["last"])]


async def test_trouble_with_lines_is_logged_and_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    """A full disk is told; an execution that is gone has taken its log with it."""
    service = Keeping(ServiceFailure("disk full"), ResourceNotFound("deleted"))
    keeper = keeper_of(service)
    for arn in ("gone", "full", "well"):
        keeper.keep(arn, LogLine(0, arn))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert service.kept == [("well", ["well"])]
    assert [record.getMessage() for record in caplog.records] == [
        "1 lines of full could not be kept: disk full"
    ]


async def test_too_many_lines_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    """A function that prints without end loses lines, and no memory is filled."""
    service = Keeping()
    keeper = keeper_of(service)
    for number in range(20_005):
        keeper.keep("arn", LogLine(0, str(number)))
    assert repr(keeper) == "<LogKeeper 20000 lines waiting, 5 lost>"
    with caplog.at_level(logging.WARNING):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.run)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    assert sum(len(lines) for _, lines in service.kept) == 20_000
    assert "5 lines were printed faster than they could be kept" in caplog.text


# --- printing --------------------------------------------------------------------------------------------

ARN = "arn:aws:lambda:us-east-1:123456789012:function:orders:$LATEST/durable-execution/demo/id"


async def test_each_line_has_its_function_in_front(capsys: pytest.CaptureFixture[str]) -> None:
    """And the execution's name, if it belongs to one; a traceback has them in front of each line."""
    printer = Printer(["orders"])
    printer.note("ready")
    printer.line(PrintedLine("orders", "two\nlines", ARN, "r"))
    printer.line(PrintedLine("orders", "loading"))
    assert repr(printer) == "<Printer 4 lines waiting>"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(printer.run)
        printed = ""
        with trio.fail_after(10):
            while "loading" not in printed:
                printed += capsys.readouterr().out
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()

    assert printed.splitlines() == [
        "ready",
        "orders/demo | two",
        "orders/demo | lines",
        "orders | loading",
    ]


async def test_lines_beyond_count_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Who prints more than a terminal takes sees that something is missing."""
    printer = Printer([])
    for number in range(10_003):
        printer.note(str(number))
    printed = ""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(printer.run)
        with trio.fail_after(10):
            while "more than" not in printed:
                printed += capsys.readouterr().out
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()

    assert printed.splitlines()[-1] == "(3 lines more than could be printed)"
    assert len(printed.splitlines()) == 10_001


def test_the_banner_says_what_to_do_next() -> None:
    """The commands can be copied; a function that is not durable needs no version."""
    here = ServedFunction("stock", "http://h:1", FunctionConfig(), is_durable=False)
    lines = banner([here], url="http://127.0.0.1:1", db="db.sqlite", region="r", how_time_goes="; fast")

    assert lines[0] == "durable-trio serves 1 function at http://127.0.0.1:1"
    assert lines[1] == "  state in db.sqlite; fast"
    assert "  stock  plain    http://h:1" in lines
    assert any("--function-name stock \\" in line for line in lines)


# --- all of it -------------------------------------------------------------------------------------------


def served(name: str, *, is_durable: bool = True) -> ServedFunction:
    """Return one of ``our_functions``."""
    worker = WorkerFunction(
        name=name,
        module="our_functions",
        attribute=name,
        directory=HERE,
        environment={"PYTHONPATH": str(ROOT)},
    )
    return ServedFunction(name, worker, FunctionConfig(), is_durable)


async def test_serving_until_it_is_cancelled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unfinished executions are taken over, mistakes in the code are told, and a function elsewhere is reached."""
    async with open_local_service(tmp_path / "db.sqlite") as service:

        async def never(_event: Any, _context: Any, **_options: Any) -> Any:
            await trio.sleep_forever()

        service.register("chat", never)
        await service.start_execution("chat", "null", name="unfinished")

    request = ServeRequest(
        functions=(
            served("chat"),
            served("nothing"),
            ServedFunction("billing", "http://127.0.0.1:1", FunctionConfig(), is_durable=False),
        ),
        db=tmp_path / "db.sqlite",
        port=0,
        is_reloading=True,
        reload_folders=(tmp_path,),
        speed=100,
    )
    printed = ""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_serve, request)
        begun = time.monotonic()
        while not ("| after the wait" in printed and "nothing cannot be loaded" in printed):
            assert time.monotonic() < begun + 30, printed
            printed += capsys.readouterr().out
            await trio.sleep(0.02)
        nursery.cancel_scope.cancel()

    assert "durable-trio serves 3 functions at http://127.0.0.1:" in printed
    assert "time runs 100 times faster whenever nothing can run" in printed
    assert "1 unfinished execution goes on" in printed
    assert "chat/unfinished | after the wait" in printed
    assert ServeRequest(functions=(), virtual_time=True).how_time_goes.startswith("; time jumps")
