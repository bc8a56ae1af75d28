"""Handlers, steps and branches written with anyio run as they are."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import httpx
import trio
from support.runs import run
from with_anyio.hosts import Server, http_server

from durable_trio import (
    DurableContext,
    Duration,
    StepError,
    current_step,
    durable_execution,
    no_retry,
)

colour: ContextVar[str] = ContextVar("colour", default="none")


async def squares(numbers: list[int]) -> list[int]:
    """Use a task group and memory streams."""
    send, receive = anyio.create_memory_object_stream[int](10)

    async def square(number: int) -> None:
        await anyio.lowlevel.checkpoint()
        await send.send(number * number)

    async with send, receive:
        async with anyio.create_task_group() as group:
            for number in numbers:
                group.start_soon(square, number)
        return sorted([receive.receive_nowait() for _ in numbers])


def from_a_thread() -> list[str]:
    """Call back into the event loop from a thread."""

    async def back() -> str:
        await anyio.lowlevel.checkpoint()
        return f"{colour.get()} attempt {current_step().attempt}"

    return [anyio.from_thread.run(back), colour.get(), anyio.from_thread.run_sync(lambda: "sync")]


async def in_threads() -> list[str]:
    """Go to a thread, and from there back."""
    return await anyio.to_thread.run_sync(from_a_thread)


async def gives_up() -> str:
    """Use deadlines of anyio's, which belong inside a step."""
    with anyio.move_on_after(5) as scope:
        await anyio.sleep_forever()
    try:
        with anyio.fail_after(5):
            await anyio.sleep_forever()
    except TimeoutError:
        return f"moved on: {scope.cancelled_caught}, failed: True"
    raise AssertionError


async def test_a_step_written_with_anyio(autojump_clock: trio.testing.MockClock) -> None:
    """Task groups, streams and deadlines of anyio work in the body of a step."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[Any]:
        found = await ctx.step(squares, [3, 1, 2])
        await ctx.wait(Duration.hours(1))
        return [found, await ctx.step(gives_up)]

    finished = await run(handler)

    assert finished.result == [[1, 4, 9], "moved on: True, failed: True"]
    assert finished.invocations == ["PENDING", "SUCCEEDED"]


async def test_threads_of_anyio() -> None:
    """``anyio.to_thread`` and ``anyio.from_thread`` work in async and in plain bodies, with context variables."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[Any]:
        colour.set("red")
        return [await ctx.step(in_threads), await ctx.step(from_a_thread)]

    finished = await run(handler)

    assert finished.result == [["red attempt 1", "red", "sync"]] * 2
    assert colour.get() == "none"


async def test_anyio_around_operations(autojump_clock: trio.testing.MockClock) -> None:
    """A handler and the body of a map may use anyio for what is not durable: locks, streams, task groups."""
    lock = anyio.Lock()

    async def item(ctx: DurableContext, number: int, index: int) -> int:
        async with lock:
            (doubled,) = await ctx.step(squares, [number])
        await ctx.wait(Duration.minutes(1))
        return doubled

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[int]:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.lowlevel.checkpoint)
        return (await ctx.map([1, 2, 3], item)).results()

    finished = await run(handler)

    assert finished.result == [1, 4, 9]


async def test_a_failed_task_group_fails_the_step(autojump_clock: trio.testing.MockClock) -> None:
    """The group that anyio raises is the step's failure; the type that is recorded is the group's."""

    async def broken() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            raise ValueError("no")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        try:
            await ctx.step(broken, retry=no_retry())
        except StepError as error:
            return error.error_type

    assert (await run(handler)).result == "ExceptionGroup"


async def test_a_plain_deadline_of_anyio_around_an_operation(autojump_clock: trio.testing.MockClock) -> None:
    """Outside a step, anyio's deadline is refused as Trio's is, with the durable spelling."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        with anyio.move_on_after(5):
            await ctx.wait(Duration.hours(1))

    finished = await run(handler)

    assert finished.error.type == "ContextUseError"
    assert "anyio" in finished.error.message


async def test_a_step_timeout_cancels_anyio(autojump_clock: trio.testing.MockClock) -> None:
    """The step's time limit cancels what waits in a task group of anyio's, and cleaning up is waited for."""
    cleaned: list[str] = []

    async def waits() -> None:
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep_forever)
                await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(1)
                cleaned.append("cleaned")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        try:
            await ctx.step(waits, timeout=Duration.seconds(5), retry=no_retry())
        except StepError as error:
            return error.error_type

    assert (await run(handler)).result == "StepTimeoutError"
    assert cleaned == ["cleaned"]


async def test_httpx() -> None:
    """A client of httpx works in steps, and one connection serves all steps of an invocation."""

    async def get(client: httpx.AsyncClient, path: str) -> str:
        return (await client.get(path)).raise_for_status().text

    def handler_for(server: Server) -> Any:
        @durable_execution
        async def handler(event: Any, ctx: DurableContext) -> list[str]:
            async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
                first = await ctx.step(get, client, "/a")
                batch = await ctx.map(["/b", "/c"], lambda child, path, index: child.step(get, client, path))
                return [first, *batch.results()]

        return handler

    async with http_server() as server:
        finished = await run(handler_for(server))
        assert finished.result == ["/a", "/b", "/c"]
        assert sorted(server.paths) == ["/a", "/b", "/c"]
        assert server.connections <= 2


async def test_httpx_is_cancelled_with_its_step() -> None:
    """A step that is cut off closes the connection at once."""

    async def get(url: str) -> str:
        async with httpx.AsyncClient(trust_env=False, timeout=None) as client:
            return (await client.get(url)).text

    async with http_server() as server:

        @durable_execution
        async def handler(event: Any, ctx: DurableContext) -> Any:
            try:
                await ctx.step(get, f"{server.url}/slow", timeout=Duration.seconds(0.2), retry=no_retry())
            except StepError as error:
                return error.error_type

        with trio.fail_after(30):
            assert (await run(handler)).result == "StepTimeoutError"
            await server.hung_up.wait()
