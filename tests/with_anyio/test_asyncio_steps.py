"""``asyncio_body``: code that only runs on asyncio, as the body of a step."""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, assert_type

import pytest
import trio
from support.runs import run
from with_anyio.hosts import http_server

from durable_trio import (
    CompletionConfig,
    ConfigurationError,
    DurableContext,
    Duration,
    Operation,
    StepError,
    asyncio_steps,
    current_step,
    durable_execution,
    exponential_backoff,
    fixed_delay,
    no_retry,
)
from durable_trio.asyncio_steps import asyncio_body

needs_trio_asyncio = pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="trio-asyncio does not import on Python 3.14"
)

colour: ContextVar[str] = ContextVar("colour", default="none")


@asyncio_body
async def gathered(*numbers: int) -> list[int]:
    """Use what only asyncio has."""

    async def square(number: int) -> int:
        await asyncio.sleep(300)
        return number * number

    async with asyncio.timeout(600), asyncio.TaskGroup() as group:
        tasks = [group.create_task(square(number)) for number in numbers]
    return list(await asyncio.gather(*tasks))


@asynccontextmanager
async def written_down(events: list[str]) -> AsyncIterator[None]:
    """Note how a body of asyncio ends, after cleaning up with asyncio."""
    events.append("started")
    try:
        yield
    except asyncio.CancelledError:
        await asyncio.sleep(1)
        events.append("cancelled")
        raise
    except ValueError:
        events.append("failed")
        raise


@needs_trio_asyncio
async def test_asyncio_in_a_step(autojump_clock: trio.testing.MockClock) -> None:
    """Task groups, timeouts and gather of asyncio run in a step, on the clock of the Trio run; not on replay."""
    calls: list[str] = []

    async def noted() -> str:
        calls.append("called")
        await asyncio.sleep(0)
        return asyncio.current_task().get_name() and "on asyncio"  # type: ignore[union-attr]  # there is one

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[Any]:
        first = await ctx.step(asyncio_body(noted))
        await ctx.wait(Duration.hours(1))
        return [first, await ctx.step(gathered, 1, 2, 3)]

    began = trio.current_time()
    finished = await run(handler)

    assert finished.result == ["on asyncio", [1, 4, 9]]
    assert finished.named("gathered").sub_type == "Step"
    assert calls == ["called"]
    assert round(trio.current_time() - began) == 3900


@needs_trio_asyncio
async def test_context_of_the_step() -> None:
    """Context variables and ``current_step()`` are visible in asyncio code and its tasks; changes stay there."""

    @asyncio_body
    async def look() -> str:
        seen = await asyncio.create_task(asyncio.to_thread(lambda: f"{colour.get()} {current_step().name}"))
        colour.set("blue")
        return f"{seen} {current_step().attempt}"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[str]:
        colour.set("red")
        return [await ctx.step(look), colour.get()]

    assert (await run(handler)).result == ["red look 1", "red"]


@needs_trio_asyncio
async def test_errors_are_retried(autojump_clock: trio.testing.MockClock) -> None:
    """An error of asyncio code is the step's failure as it is, without groups around it."""

    @asyncio_body
    async def fails_once() -> int:
        await asyncio.sleep(0.1)
        if current_step().attempt == 1:
            raise ConnectionError("not yet")
        return current_step().attempt

    @asyncio_body
    async def fails() -> None:
        await asyncio.sleep(0.1)
        raise ValueError("never")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[Any]:
        retry = exponential_backoff(max_attempts=2, retry_on=ConnectionError)
        second = await ctx.step(fails_once, retry=retry)
        try:
            await ctx.step(fails, retry=retry)
        except StepError as error:
            return [second, error.error_type, error.message]
        return []

    assert (await run(handler)).result == [2, "ValueError", "never"]


@needs_trio_asyncio
async def test_cancelling_oneself_is_a_failure(autojump_clock: trio.testing.MockClock) -> None:
    """Asyncio code that ends with a cancellation nobody asked for has failed: it does not end the invocation."""

    @asyncio_body
    async def cancels_itself() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(10)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        try:
            await ctx.step(cancels_itself, retry=no_retry())
        except StepError as error:
            return [error.error_type, error.message]

    assert (await run(handler)).result == ["CancelledError", "the asyncio code of the step cancelled itself"]


@needs_trio_asyncio
async def test_a_step_timeout_cancels(autojump_clock: trio.testing.MockClock) -> None:
    """The step's time limit cancels the asyncio task, waits for its cleaning up, and goes to the retry strategy."""
    events: list[str] = []

    @asyncio_body
    async def slow() -> None:
        async with written_down(events):
            await asyncio.sleep(1000)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        try:
            await ctx.step(slow, timeout=Duration.seconds(5), retry=fixed_delay(max_attempts=2))
        except StepError as error:
            return error.error_type

    assert (await run(handler)).result == "StepTimeoutError"
    assert events == ["started", "cancelled"] * 2


@needs_trio_asyncio
async def test_an_early_decision_cancels(autojump_clock: trio.testing.MockClock) -> None:
    """When a batch is decided, the asyncio tasks of the other items are cancelled and joined first."""
    events: list[str] = []

    async def item(ctx: DurableContext, seconds: int, index: int) -> int:
        async def work() -> int:
            async with written_down(events):
                await asyncio.sleep(seconds)
                return seconds

        return await ctx.step(asyncio_body(work))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[int]:
        batch = await ctx.map([100, 1, 100], item, completion=CompletionConfig.first_successful())
        assert events.count("cancelled") == 2
        return [len(batch.started()), *batch.results()]

    assert (await run(handler)).result == [2, 1]


@needs_trio_asyncio
async def test_the_failure_of_another_cancels(autojump_clock: trio.testing.MockClock) -> None:
    """A failure in ``ctx.all`` cancels asyncio code beside it, and is what is raised."""
    events: list[str] = []

    async def slow() -> None:
        async with written_down(events):
            await asyncio.sleep(1000)

    async def broken() -> None:
        async with written_down(events):
            await asyncio.sleep(1)
            raise ValueError("broken")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        try:
            await ctx.all([ctx.step(asyncio_body(slow)), ctx.step(asyncio_body(broken), retry=no_retry())])
        except StepError as error:
            await ctx.wait(Duration.hours(1))
            return error.message

    assert (await run(handler)).result == "broken"
    assert sorted(events) == ["cancelled", "failed", "started", "started"]


@needs_trio_asyncio
async def test_the_end_of_the_invocation_cancels(autojump_clock: trio.testing.MockClock) -> None:
    """A step that outlasts the invocation uses up its attempts, and its asyncio task is cancelled each time."""
    events: list[str] = []

    @asyncio_body
    async def slow() -> None:
        async with written_down(events):
            await asyncio.sleep(1000)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        try:
            await ctx.step(slow, retry=fixed_delay(max_attempts=2))
        except StepError as error:
            return error.error_type

    assert (await run(handler, timeout_seconds=60)).result == "StepInterruptedError"
    assert events == ["started", "cancelled"] * 2


@needs_trio_asyncio
async def test_completing_early_cancels(autojump_clock: trio.testing.MockClock) -> None:
    """Ending the execution from one branch cancels the asyncio code of another."""
    events: list[str] = []

    @asyncio_body
    async def slow() -> None:
        async with written_down(events):
            await asyncio.sleep(1000)

    async def works(ctx: DurableContext) -> None:
        await ctx.step(slow)

    async def ends(ctx: DurableContext) -> None:
        await ctx.step(asyncio_body(asyncio.sleep), 10)
        await ctx.complete("early")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.parallel([works, ends])

    finished = await run(handler)

    assert finished.result == "early"
    assert events == ["started", "cancelled"]


@needs_trio_asyncio
async def test_nothing_outlives_the_step(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Tasks and generators that asyncio code leaves behind are ended; an error in a callback is logged."""
    events: list[str] = []

    async def ticks() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            events.append("generator closed")

    async def background() -> None:
        async with written_down(events):
            await asyncio.sleep(1000)

    @asyncio_body
    async def careless() -> int:
        loop = asyncio.get_running_loop()
        kept = asyncio.create_task(background())
        loop.call_soon(lambda: 1 // 0)
        async for tick in ticks():
            await asyncio.sleep(0.1)
            return tick + kept.done()
        return 0

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        result = await ctx.step(careless)
        assert sorted(events) == ["cancelled", "generator closed", "started"]
        return result

    with caplog.at_level(logging.ERROR, logger="asyncio"):
        assert (await run(handler)).result == 1
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError]


@needs_trio_asyncio
async def test_system_exit_comes_through() -> None:
    """``SystemExit`` leaves the asyncio loop as it is, and does not hang it."""

    async def exits() -> None:
        await asyncio.sleep(0)
        raise SystemExit(3)

    with trio.fail_after(20), pytest.raises(SystemExit):
        await asyncio_body(exits)()


@needs_trio_asyncio
def test_asyncio_itself_is_left_alone() -> None:
    """After a step on asyncio, ``asyncio.run`` of the same program still runs on a loop of asyncio's own."""

    async def kind_of_loop() -> str:
        return type(asyncio.get_running_loop()).__module__

    inside = trio.run(asyncio_body(kind_of_loop))
    outside = asyncio.run(kind_of_loop())

    assert inside.startswith("trio_asyncio")
    assert outside.startswith("asyncio")
    assert asyncio.run(asyncio.wait_for(asyncio.to_thread(asyncio.run, kind_of_loop()), 20)) == outside


@needs_trio_asyncio
async def test_aiosqlite(tmp_path: Path) -> None:
    """A database library of asyncio's, with threads of its own, works in steps."""
    import aiosqlite

    @asyncio_body
    async def add(name: str) -> int:
        async with aiosqlite.connect(tmp_path / "orders.db") as db:
            await db.execute("create table if not exists orders (name)")
            await db.execute("insert into orders values (?)", (name,))
            await db.commit()
            async with db.execute("select count(*) from orders") as cursor:
                row = await cursor.fetchone()
        assert row is not None
        return int(row[0])

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[int]:
        return [await ctx.step(add, "o-1"), await ctx.step(add, "o-2")]

    assert (await run(handler)).result == [1, 2]


@needs_trio_asyncio
async def test_aiohttp() -> None:
    """An HTTP client of asyncio's works in steps, side by side; one that is cut off hangs up."""
    import aiohttp

    @asyncio_body
    async def get(url: str) -> str:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return await response.text()

    async with http_server() as server:

        @durable_execution
        async def handler(event: Any, ctx: DurableContext) -> list[Any]:
            urls = [f"{server.url}/{number}" for number in range(5)]
            batch = await ctx.map(urls, lambda child, url, index: child.step(get, url))
            try:
                await ctx.step(get, f"{server.url}/slow", timeout=Duration.seconds(0.2), retry=no_retry())
            except StepError as error:
                return [*batch.results(), error.error_type]
            return []

        with trio.fail_after(30):
            assert (await run(handler)).result == ["/0", "/1", "/2", "/3", "/4", "StepTimeoutError"]
            await server.hung_up.wait()


def test_a_plain_function_is_refused() -> None:
    """A plain function needs no asyncio loop; a function that makes one is refused, too, with the reason."""
    for fn in (len, lambda: asyncio.sleep(1), 7):
        with pytest.raises(ConfigurationError, match="async function"):
            asyncio_body(fn)  # type: ignore[type-var]  # the mistake


def test_the_body_looks_like_its_function() -> None:
    """Name, docstring, signature and annotations are those of the function."""

    async def fetch(url: str, *, limit: int = 1) -> bytes:
        """Fetch it."""
        raise AssertionError

    body = asyncio_body(fetch)

    assert (body.__name__, body.__doc__) == ("fetch", "Fetch it.")
    assert inspect.signature(body) == inspect.signature(fetch)
    assert inspect.iscoroutinefunction(body)


async def test_without_trio_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where trio-asyncio cannot be imported, the error names the extra, and what to do on Python 3.14."""
    monkeypatch.setitem(sys.modules, "trio_asyncio", None)
    monkeypatch.setattr(
        asyncio_steps, "_trio_asyncio", asyncio_steps._trio_asyncio.__wrapped__
    )  # not the cached

    with pytest.raises(ConfigurationError, match=r"durable_trio\[asyncio\].*3\.14.*asyncio\.run"):
        await asyncio_body(asyncio.sleep)(0)


async def types(ctx: DurableContext) -> None:
    """Arguments and result are typed through ``ctx.step``; nothing here runs."""

    async def fetch(url: str) -> bytes:
        raise AssertionError

    assert_type(ctx.step(asyncio_body(fetch), "http://example.org"), Operation[bytes])
    await ctx.step(asyncio_body(fetch), 1)  # type: ignore[arg-type]  # no URL
