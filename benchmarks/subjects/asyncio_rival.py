"""async-durable-execution, a fork of AWS's SDK on asyncio."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from async_durable_execution import (
    create_callback,
    durable_callable,
    durable_execution,
    parallel,
    step,
    wait,
)
from async_durable_execution import map as durable_map

from benchmarks.line import Line
from benchmarks.measuring import Handler, Measurement, expect_closed
from benchmarks.stub import Members
from benchmarks.work import FORTY_CHARACTERS, Workload

IMPORT = "import async_durable_execution"


class _Client:
    """The line as an asynchronous Lambda client."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def checkpoint_durable_execution(self, **request: Any) -> Members:
        service = self._line.service
        service.receive(request)
        await asyncio.sleep(self._line.latency_seconds)
        return service.answer(request)

    async def get_durable_execution_state(self, **request: Any) -> Members:
        await asyncio.sleep(self._line.latency_seconds)
        return self._line.service.page(request.get("Marker", ""), request.get("MaxItems", 1000))


def prepare(workload: Workload, line: Line) -> Handler:
    """Return the handler for *workload*."""
    handler: Handler = durable_execution(_PROGRAMS[workload.kind](workload), boto3_client=_Client(line))
    return handler


def first_invocation() -> Any:
    """Return the handler of one step, with the client that it has on Lambda."""

    async def program(event: Any) -> Any:
        return await step(give(1), name="give")

    return durable_execution(program)


def resume_virtual(workload: Workload) -> Measurement:
    """Run the workload on the rival's own local runner."""
    from async_durable_execution import create_local_runner

    handler = durable_execution(_resume(workload))
    measurement = Measurement()

    async def main() -> None:
        runner = create_local_runner(handler=handler, input={}, timeout=120)
        with measurement.stretch():
            result = await runner.run()
        expect_closed(result.status, result.error)

    asyncio.run(main())
    return measurement


@durable_callable
async def give(value: Any) -> Any:
    """Be the body of a step."""
    return value


def _steps(workload: Workload) -> Any:
    async def program(event: Any) -> None:
        for number in range(workload.count):
            await step(give(number), name="give")

    return program


def _map(workload: Workload) -> Any:
    @durable_callable
    async def body(value: int) -> int:
        await asyncio.sleep(workload.sleep_ms / 1000)
        return value

    run = body if workload.sleep_ms else give

    async def item(value: int) -> Any:
        return await step(run(value), name="body")

    async def program(event: Any) -> int:
        batch = await durable_map(item, list(range(workload.count)), max_concurrency=workload.limit)
        return len(batch.get_results())

    return program


def _replay_steps(workload: Workload) -> Any:
    async def program(event: Any) -> None:
        for number in range(workload.count):
            await step(give(number), name="give")
        await wait(timedelta(seconds=1))
        await step(give("new"), name="give")

    return program


def _replay_map(workload: Workload) -> Any:
    async def item(value: int) -> Any:
        return await step(give(FORTY_CHARACTERS), name="give")

    async def program(event: Any) -> int:
        batch = await durable_map(item, list(range(workload.count)))
        await wait(timedelta(seconds=1))
        await step(give("new"), name="give")
        return len(batch.get_results())

    return program


def _suspend(workload: Workload) -> Any:
    async def program(event: Any) -> None:
        await wait(timedelta(days=1))

    return program


def _nested(workload: Workload) -> Any:
    async def item(value: int) -> Any:
        return await step(give(await step(give(value), name="give")), name="give")

    async def branch() -> int:
        return len((await durable_map(item, list(range(workload.count)))).get_results())

    async def program(event: Any) -> Any:
        return (await parallel([branch] * 10)).get_results()

    return program


def _resume(workload: Workload) -> Any:
    async def item(value: int) -> Any:
        first = await step(give(value), name="give")
        await wait(timedelta(seconds=1))
        return await step(give(first), name="give")

    async def program(event: Any) -> int:
        return len((await durable_map(item, list(range(workload.count)))).get_results())

    return program


def _parked(workload: Workload) -> Any:
    async def item(value: int) -> Any:
        callback = await create_callback()
        return await callback.result()

    async def program(event: Any) -> int:
        return len((await durable_map(item, list(range(workload.count)))).get_results())

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
