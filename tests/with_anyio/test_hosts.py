"""Where a handler may be run: inside Trio and anyio, from asyncio programs, beside other invocations."""

from __future__ import annotations

import asyncio
import json
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx
import pytest
import structlog
import trio
from support.runs import driven
from with_anyio.hosts import ServicePerRun, event

from durable_trio import ConfigurationError, DurableContext, Duration, current_step, durable_execution

tenant: ContextVar[str] = ContextVar("tenant", default="none")


async def double(number: int) -> int:
    """Be an async body."""
    await anyio.lowlevel.checkpoint()
    return 2 * number


def name_of_tenant() -> str:
    """Be a plain body."""
    return f"{tenant.get()} {current_step().execution_arn.rpartition('/')[2]}"


@durable_execution(client=ServicePerRun())
async def doubles(number: int, ctx: DurableContext) -> int:
    """Be a handler with a step."""
    return await ctx.step(double, number)


def test_a_program_on_anyio() -> None:
    """Under anyio's Trio backend handlers are awaited, several at once if one likes."""

    async def main() -> list[str]:
        answers: list[str] = []

        async def invoke(number: int) -> None:
            handler = durable_execution(doubles.fn, client=ServicePerRun())
            answers.append((await handler.invoke(event(str(number))))["Result"])

        async with anyio.create_task_group() as group:
            for number in (1, 2, 3):
                group.start_soon(invoke, number)
        return sorted(answers)

    assert anyio.run(main, backend="trio") == ["2", "4", "6"]


def test_anyio_on_asyncio_is_refused() -> None:
    """Under anyio's asyncio backend the error names both ways out."""

    async def main() -> None:
        await doubles.invoke(event("1"))

    with pytest.raises(ConfigurationError, match=r"backend='trio'.*to_thread\.run_sync\(handler"):
        anyio.run(main, backend="asyncio")


def test_an_asyncio_program_goes_on_while_a_handler_runs() -> None:
    """Handlers called in threads run at the same time, and do not hold the program's event loop."""

    async def main() -> Any:
        here: set[int] = set()
        met = asyncio.Event()

        async def arrive(number: int) -> None:
            here.add(number)
            if len(here) == 2:
                met.set()
            await asyncio.wait_for(met.wait(), 20)

        async def meets(number: int, ctx: DurableContext) -> int:
            await trio.to_thread.run_sync(
                lambda: asyncio.run_coroutine_threadsafe(arrive(number), loop).result()
            )
            return await ctx.step(double, number)

        loop = asyncio.get_running_loop()
        handler = durable_execution(meets, client=ServicePerRun())
        calls = [anyio.to_thread.run_sync(handler, event(str(number)), None) for number in (1, 2)]
        return await asyncio.gather(*calls)

    assert [answer["Result"] for answer in asyncio.run(main())] == ["2", "4"]


def test_a_web_application_on_asyncio() -> None:
    """An endpoint of an ASGI application on asyncio calls a handler in a thread."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        number = scope["path"].removeprefix("/double/")
        answer = await anyio.to_thread.run_sync(doubles, event(number), None)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer["Result"].encode()})

    async def main() -> list[str]:
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            answers = await asyncio.gather(*[client.get(f"/double/{number}") for number in (1, 2, 3)])
        return [answer.text for answer in answers]

    assert asyncio.run(main()) == ["2", "4", "6"]


async def test_a_handler_inside_a_handler() -> None:
    """Inside a Trio run, the body of a step too, calling a handler is refused; ``invoke`` is awaited, or a thread."""

    async def outer(number: int, ctx: DurableContext) -> list[Any]:
        async def called() -> str:
            with pytest.raises(ConfigurationError) as refused:
                doubles(event("5"))
            return str(refused.value)

        async def awaited() -> Any:
            return await doubles.invoke(event("5", name="inner"))

        return [
            await ctx.step(called),
            await ctx.step(awaited),
            await ctx.step(
                lambda: doubles(event("6"))
            ),  # a plain body has a thread, and so a run, of its own
        ]

    # One service per handler and run: the two executions have nothing in common.
    handler = durable_execution(outer, client=ServicePerRun())
    refusal, inner, in_thread = json.loads((await handler.invoke(event("1")))["Result"])

    assert "await handler.invoke" in refusal
    assert [inner["Result"], in_thread["Result"]] == ["10", "12"]


async def test_invocations_in_one_run_are_independent(autojump_clock: trio.testing.MockClock) -> None:
    """Executions that run side by side keep to their own context variables, steps and loggers, over suspensions."""
    loggers: dict[str, set[str]] = {}

    @durable_execution
    async def handler(name: str, ctx: DurableContext) -> list[str]:
        tenant.set(name)
        seen = loggers.setdefault(name, set())

        async def item(child: DurableContext, number: int, index: int) -> str:
            await child.wait(Duration.seconds(number))
            seen.add(structlog.get_context(child.logger)["executionArn"])
            return await child.step(name_of_tenant)

        seen.add(structlog.get_context(ctx.logger)["executionArn"])
        batch = await ctx.map([1, 60, 3600], item)
        return [tenant.get(), *batch.results()]

    async with driven(handler) as driver:
        names = [f"tenant-{number}" for number in range(5)]
        started = {
            name: await driver.service.start_execution("function-under-test", json.dumps(name), name=name)
            for name in names
        }
        for name, execution in started.items():
            ended = await driver.service.wait_closed(execution.arn)
            arn = execution.arn
            assert json.loads(ended.result or "") == [name, *[f"{name} {arn.rpartition('/')[2]}"] * 3]
            assert loggers[name] == {arn}
    assert tenant.get() == "none"


async def test_a_full_house_of_threads_is_shared(autojump_clock: trio.testing.MockClock) -> None:
    """Plain bodies of all invocations of a run share 40 threads; none of them waits for another invocation."""
    limit = trio.to_thread.current_default_thread_limiter()
    before = limit.total_tokens

    async def item(child: DurableContext, number: int, index: int) -> int:
        return await child.step(lambda: number)

    @durable_execution
    async def handler(name: str, ctx: DurableContext) -> int:
        return sum((await ctx.map(list(range(30)), item)).results())

    async with driven(handler) as driver:
        started = [
            await driver.service.start_execution("function-under-test", json.dumps(n), name=n) for n in "abc"
        ]
        ended = [await driver.service.wait_closed(execution.arn) for execution in started]
    assert [execution.result for execution in ended] == ["435"] * 3
    assert limit.total_tokens == before
    assert limit.borrowed_tokens == 0
