"""durable_trio itself, as it is in this tree."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import trio

from benchmarks.line import Line
from benchmarks.measuring import Handler, Measurement, expect_closed
from benchmarks.work import FORTY_CHARACTERS, Workload
from durable_trio import CheckpointingMode, DurableContext, Duration, NestingType, durable_execution
from durable_trio._protocol.wire import Dialect, decode_operation, encode_update
from durable_trio.clients import CheckpointResponse, StatePage
from durable_trio.clients.undecoded import UndecodedOperations

IMPORT = "from durable_trio import DurableContext, durable_execution"


class _Client:
    """The line as a ``ServiceClient``: encodes and decodes as the client for AWS does."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def checkpoint(
        self, *, durable_execution_arn: str, checkpoint_token: str, updates: Any, client_token: str
    ) -> CheckpointResponse:
        request = {
            "DurableExecutionArn": durable_execution_arn,
            "CheckpointToken": checkpoint_token,
            "Updates": [encode_update(update) for update in updates],
            "ClientToken": client_token,
        }
        service = self._line.service
        service.receive(request)
        await trio.sleep(self._line.latency_seconds)
        answer = service.answer(request)
        operations = tuple(
            decode_operation(o, Dialect.API) for o in answer["NewExecutionState"]["Operations"]
        )
        return CheckpointResponse(answer["CheckpointToken"], operations)

    async def get_state(
        self, *, durable_execution_arn: str, checkpoint_token: str, marker: str, max_items: int
    ) -> StatePage:
        await trio.sleep(self._line.latency_seconds)
        page = self._line.service.page(marker, max_items)
        operations = UndecodedOperations(page["Operations"], _decoded)
        return StatePage(operations, page.get("NextMarker", ""))


_decoded = partial(decode_operation, dialect=Dialect.API)


async def give(value: Any) -> Any:
    """Be the body of a step."""
    return value


def prepare(workload: Workload, line: Line) -> Handler:
    """Return the handler for *workload*."""
    program = _PROGRAMS[workload.kind](workload)
    mode = CheckpointingMode(workload.options.get("checkpointing", "BATCHED"))
    handler: Handler = durable_execution(program, client=_Client(line), checkpointing=mode)
    return handler


def first_invocation() -> Any:
    """Return the handler of one step, with the client that it has on Lambda."""

    async def program(event: Any, ctx: DurableContext) -> Any:
        return await ctx.step(give, 1)

    return durable_execution(program)


def resume_virtual(workload: Workload) -> Measurement:
    """Run the workload on the embedded local service in memory, in virtual time."""
    from trio.testing import MockClock

    measurement = Measurement()
    trio.run(_run_locally, _resume(workload), None, measurement, clock=MockClock(autojump_threshold=0))
    return measurement


def local(workload: Workload) -> Measurement:
    """Run the workload on the embedded local service, durable in a fresh file."""
    program = {"local_steps": _steps, "local_map": _map}[workload.kind](workload)
    measurement = Measurement()
    with tempfile.TemporaryDirectory() as folder:
        trio.run(_run_locally, program, Path(folder, "bench.sqlite"), measurement)
    return measurement


async def _run_locally(program: Any, path: Path | None, measurement: Measurement) -> None:
    from durable_trio.local import open_local_service  # only these workloads need it

    async with open_local_service(path) as service:
        service.register("bench", durable_execution(program).invoke)
        with measurement.stretch():
            started = await service.start_execution("bench", "{}")
            closed = await service.wait_closed(started.arn)
        expect_closed(closed.status, closed.error)


def _steps(workload: Workload) -> Any:
    async def program(event: Any, ctx: DurableContext) -> None:
        for number in range(workload.count):
            await ctx.step(give, number)

    return program


def _map(workload: Workload) -> Any:
    async def body(value: int) -> int:
        await trio.sleep(workload.sleep_ms / 1000)
        return value

    step = body if workload.sleep_ms else give

    async def item(ctx: DurableContext, value: int, index: int) -> Any:
        return await ctx.step(step, value, name="body")

    async def program(event: Any, ctx: DurableContext) -> int:
        nesting = NestingType(workload.options.get("nesting", "NESTED"))
        batch = await ctx.map(range(workload.count), item, max_concurrency=workload.limit, nesting=nesting)
        return len(batch.results())

    return program


def _replay_steps(workload: Workload) -> Any:
    async def program(event: Any, ctx: DurableContext) -> None:
        for number in range(workload.count):
            await ctx.step(give, number)
        await ctx.wait(Duration.seconds(1))
        await ctx.step(give, "new")

    return program


def _replay_map(workload: Workload) -> Any:
    async def item(ctx: DurableContext, value: int, index: int) -> Any:
        return await ctx.step(give, FORTY_CHARACTERS)

    async def program(event: Any, ctx: DurableContext) -> int:
        batch = await ctx.map(range(workload.count), item)
        await ctx.wait(Duration.seconds(1))
        await ctx.step(give, "new")
        return len(batch.results())

    return program


def _suspend(workload: Workload) -> Any:
    async def program(event: Any, ctx: DurableContext) -> None:
        await ctx.wait(Duration.days(1))

    return program


def _nested(workload: Workload) -> Any:
    async def item(ctx: DurableContext, value: int, index: int) -> Any:
        return await ctx.step(give, await ctx.step(give, value))

    async def branch(ctx: DurableContext) -> int:
        return len((await ctx.map(range(workload.count), item)).results())

    async def program(event: Any, ctx: DurableContext) -> list[int]:
        return (await ctx.parallel([branch] * 10)).results()

    return program


def _resume(workload: Workload) -> Any:
    async def item(ctx: DurableContext, value: int, index: int) -> Any:
        first = await ctx.step(give, value)
        await ctx.wait(Duration.seconds(1))
        return await ctx.step(give, first)

    async def program(event: Any, ctx: DurableContext) -> int:
        return len((await ctx.map(range(workload.count), item)).results())

    return program


def _parked(workload: Workload) -> Any:
    async def item(ctx: DurableContext, value: int, index: int) -> Any:
        callback = await ctx.create_callback()
        return await callback.result()

    async def program(event: Any, ctx: DurableContext) -> int:
        return len((await ctx.map(range(workload.count), item)).results())

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
