"""AWS's own SDK for Python, which runs a thread for each branch."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from aws_durable_execution_sdk_python import durable_execution
from aws_durable_execution_sdk_python.config import Duration, MapConfig

from benchmarks.line import BlockingClient, Line
from benchmarks.measuring import Handler, Measurement, expect_closed
from benchmarks.work import FORTY_CHARACTERS, Workload

IMPORT = "import aws_durable_execution_sdk_python"


def prepare(workload: Workload, line: Line) -> Handler:
    """Return the handler for *workload*."""
    handler: Handler = durable_execution(
        _PROGRAMS[workload.kind](workload), boto3_client=BlockingClient(line)
    )
    return handler


def first_invocation() -> Any:
    """Return the handler of one step, with the client that it has on Lambda."""
    return durable_execution(lambda event, ctx: ctx.step(_give(1), name="give"))


def resume_virtual(workload: Workload) -> Measurement:
    """Run the workload on AWS's local runner, time skipped."""
    return _run_locally(_resume(workload))


def local(workload: Workload) -> Measurement:
    """Run the workload on AWS's local runner, with its SQLite store on a fresh file."""
    from aws_durable_execution_sdk_python_testing.stores.sqlite import SQLiteExecutionStore

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        store = SQLiteExecutionStore.create_and_initialize(Path(folder, "bench.sqlite"))
        program = {"local_steps": _steps, "local_map": _map}[workload.kind](workload)
        return _run_locally(program, store=store)


def _run_locally(program: Any, **options: Any) -> Measurement:
    from aws_durable_execution_sdk_python_testing.runner import DurableFunctionTestRunner

    measurement = Measurement()
    with DurableFunctionTestRunner(durable_execution(program), **options) as runner, measurement.stretch():
        result = runner.run("{}", timeout=240)
    expect_closed(result.status, result.error)
    return measurement


def _give(value: Any) -> Any:
    return lambda _: value


def _steps(workload: Workload) -> Any:
    def program(event: Any, ctx: Any) -> None:
        for number in range(workload.count):
            ctx.step(_give(number), name="give")

    return program


def _map(workload: Workload) -> Any:
    def item(ctx: Any, value: int, index: int, items: Any) -> Any:
        def body(_: Any) -> int:
            if workload.sleep_ms:
                time.sleep(workload.sleep_ms / 1000)
            return value

        return ctx.step(body, name="body")

    def program(event: Any, ctx: Any) -> int:
        config: Any = MapConfig(max_concurrency=workload.limit)
        return len(ctx.map(list(range(workload.count)), item, config=config).get_results())

    return program


def _replay_steps(workload: Workload) -> Any:
    def program(event: Any, ctx: Any) -> None:
        for number in range(workload.count):
            ctx.step(_give(number), name="give")
        ctx.wait(Duration.from_seconds(1))
        ctx.step(_give("new"), name="give")

    return program


def _replay_map(workload: Workload) -> Any:
    def item(ctx: Any, value: int, index: int, items: Any) -> Any:
        return ctx.step(_give(FORTY_CHARACTERS), name="give")

    def program(event: Any, ctx: Any) -> int:
        batch = ctx.map(list(range(workload.count)), item)
        ctx.wait(Duration.from_seconds(1))
        ctx.step(_give("new"), name="give")
        return len(batch.get_results())

    return program


def _suspend(workload: Workload) -> Any:
    def program(event: Any, ctx: Any) -> None:
        ctx.wait(Duration.from_days(1))

    return program


def _nested(workload: Workload) -> Any:
    def item(ctx: Any, value: int, index: int, items: Any) -> Any:
        return ctx.step(_give(ctx.step(_give(value), name="give")), name="give")

    def branch(ctx: Any) -> int:
        return len(ctx.map(list(range(workload.count)), item).get_results())

    def program(event: Any, ctx: Any) -> Any:
        return ctx.parallel([branch] * 10).get_results()

    return program


def _resume(workload: Workload) -> Any:
    def item(ctx: Any, value: int, index: int, items: Any) -> Any:
        first = ctx.step(_give(value), name="give")
        ctx.wait(Duration.from_seconds(1))
        return ctx.step(_give(first), name="give")

    def program(event: Any, ctx: Any) -> int:
        return len(ctx.map(list(range(workload.count)), item).get_results())

    return program


def _parked(workload: Workload) -> Any:
    def item(ctx: Any, value: int, index: int, items: Any) -> Any:
        return ctx.create_callback().result()

    def program(event: Any, ctx: Any) -> int:
        return len(ctx.map(list(range(workload.count)), item).get_results())

    return program


_PROGRAMS = {
    "steps": _steps,
    "map": _map,
    "replay_steps": _replay_steps,
    "replay_map": _replay_map,
    "suspend": _suspend,
    "nested": _nested,
    "resume": _resume,
    "parked": _parked,
}
