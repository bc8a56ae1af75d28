"""``ctx.step``: bodies, retries, both semantics, and what comes back."""

from __future__ import annotations

import functools
import threading
from contextvars import ContextVar
from typing import Any

import pytest
import trio
import trio.testing
from support.runs import run

from durable_trio import (
    ContextUseError,
    DurableContext,
    Duration,
    StepConfig,
    StepError,
    StepSemantics,
    StepTimeoutError,
    current_step,
    custom_serdes,
    durable_error,
    durable_execution,
    exponential_backoff,
    fixed_delay,
    no_retry,
)

flavour: ContextVar[str] = ContextVar("flavour", default="none")


@durable_error
class OutOfStock(Exception):
    """A business error that is raised as itself."""

    def __init__(self, sku: str, *, left: int) -> None:
        super().__init__(f"{sku}: {left} left")
        self.sku = sku
        self.left = left


async def test_async_and_plain_bodies_give_their_value(autojump_clock: trio.testing.MockClock) -> None:
    """An async body runs in the handler's task, a plain one in a worker thread, both with context variables."""
    seen: list[Any] = []

    async def inline(a: int, b: int) -> int:
        seen.append((trio.lowlevel.current_task().name, flavour.get()))
        return a + b

    def threaded(a: int) -> int:
        seen.append((threading.current_thread() is threading.main_thread(), flavour.get()))
        return a * 2

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        flavour.set("sweet")
        return await ctx.step(threaded, await ctx.step(inline, 1, 2))

    finished = await run(handler)

    assert finished.result == 6
    assert seen[0][1] == "sweet"
    assert seen[1] == (False, "sweet")


async def test_what_returns_an_awaitable_counts_as_async(autojump_clock: trio.testing.MockClock) -> None:
    """A lambda around an async function, a partial of one, an object with an async ``__call__``: all are awaited."""

    async def add(a: int, b: int) -> int:
        await trio.lowlevel.checkpoint()
        return a + b

    class Adder:
        async def __call__(self, a: int) -> int:
            return a + 10

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[int]:
        return [
            await ctx.step(lambda: add(1, 2)),
            await ctx.step(functools.partial(add, 1), 3),
            await ctx.step(Adder(), 1),
        ]

    assert (await run(handler)).result == [3, 4, 11]


async def test_a_plain_step_is_one_request(autojump_clock: trio.testing.MockClock) -> None:
    """START of an at-least-once step waits for nobody: it travels with the step's end."""

    async def body() -> str:
        return "done"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        return await ctx.step(body)

    finished = await run(handler)

    assert [str(call) for call in finished.calls] == ["STEP START, STEP SUCCEED"]


async def test_at_most_once_start_is_durable_before_the_body(autojump_clock: trio.testing.MockClock) -> None:
    """START of an at-most-once step is acknowledged before its body runs."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(trio.lowlevel.checkpoint, semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY)

    finished = await run(handler)

    assert [str(call) for call in finished.calls] == ["STEP START", "STEP SUCCEED"]


async def test_retries_wait_at_the_service(autojump_clock: trio.testing.MockClock) -> None:
    """A failed attempt is recorded with its delay; the execution suspends, and the attempt number counts on."""
    attempts: list[int] = []

    async def flaky() -> str:
        attempts.append(current_step().attempt)
        if len(attempts) < 3:
            raise ValueError("not yet")
        return "at last"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        return await ctx.step(flaky, retry=fixed_delay(Duration.seconds(7), max_attempts=3))

    finished = await run(handler)

    assert finished.result == "at last"
    assert attempts == [1, 2, 3]
    assert finished.invocations == ["PENDING", "PENDING", "SUCCEEDED"]
    assert [t for t in finished.event_types if t.startswith("Step")] == [
        "StepStarted",
        "StepFailed",
        "StepStarted",
        "StepFailed",
        "StepStarted",
        "StepSucceeded",
    ]


async def test_exhausted_retries_raise_the_same_error_on_replay(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The error of a failed step has the same class, type, message and data on the first run and on replay."""
    seen: list[Any] = []

    async def broken() -> None:
        raise KeyError("missing")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.step(broken, name="look up", retry=no_retry())
        except StepError as error:
            seen.append((type(error), error.error_type, str(error), error.message, error.operation_name))
            assert error.__cause__ is None
        await ctx.wait(Duration.seconds(1))
        return "recovered"

    finished = await run(handler)

    assert finished.result == "recovered"
    assert seen == [(StepError, "KeyError", "'missing'", "'missing'", "look up")] * 2


async def test_durable_errors_are_raised_as_themselves(autojump_clock: trio.testing.MockClock) -> None:
    """A registered exception comes out of a step as itself, with its arguments, first and on replay."""
    seen: list[Any] = []

    async def reserve() -> None:
        raise OutOfStock("A-1", left=0)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.step(reserve, retry=no_retry())
        except OutOfStock as error:
            seen.append((error.sku, error.left, str(error)))
        await ctx.wait(Duration.seconds(1))

    finished = await run(handler)

    assert finished.status == "SUCCEEDED"
    assert seen == [("A-1", 0, "A-1: 0 left")] * 2


async def test_conditions_decide_before_the_budget(autojump_clock: trio.testing.MockClock) -> None:
    """``retry_on`` refuses other errors at once, however many attempts are left."""
    runs: list[int] = []

    async def broken() -> None:
        runs.append(1)
        raise ValueError("no")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(broken, retry=exponential_backoff(max_attempts=9, retry_on=(OSError,)))

    finished = await run(handler)

    assert finished.status == "FAILED"
    assert finished.error.type == "ValueError"
    assert runs == [1]


async def test_timeout_goes_to_the_retry_strategy(autojump_clock: trio.testing.MockClock) -> None:
    """A body that takes too long is cancelled; the strategy sees ``StepTimeoutError``, and so does the caller."""
    asked: list[type[Exception]] = []
    seen: list[type[Exception]] = []

    def once(error: Exception, attempt: int) -> Duration | None:
        asked.append(type(error))
        return Duration.seconds(1) if attempt < 2 else None

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.step(trio.sleep, 60, timeout=Duration.seconds(2), retry=once)
        except StepTimeoutError as error:
            seen.append(type(error))
        await ctx.wait(Duration.seconds(1))
        return "went on"

    finished = await run(handler)

    assert finished.result == "went on"
    assert asked == [StepTimeoutError] * 2
    assert seen == [StepTimeoutError] * 2


async def test_the_live_value_is_the_stored_one(autojump_clock: trio.testing.MockClock) -> None:
    """What comes back on the first run has been through the serializer, as on replay."""
    shout = custom_serdes(lambda value: value.upper(), lambda text: text)

    async def whisper() -> str:
        return "hello"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[str]:
        first = await ctx.step(whisper, serdes=shout)
        second = await ctx.step(whisper, config=StepConfig(serdes=shout))
        return [first, second]

    assert (await run(handler)).result == ["HELLO", "HELLO"]


async def test_an_unserializable_result_fails_without_retry(autojump_clock: trio.testing.MockClock) -> None:
    """A value that cannot be stored fails the step at once: trying again would give another such value."""
    runs: list[int] = []

    async def body() -> object:
        runs.append(1)
        return object()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(body)

    finished = await run(handler)

    assert finished.error.type == "SerDesError"
    assert runs == [1]


async def test_the_step_context_tells_what_runs(autojump_clock: trio.testing.MockClock) -> None:
    """``current_step()`` gives id, parent, name, attempt, ARN and a key that is the same for every attempt."""
    seen: list[Any] = []

    def body() -> None:
        step = current_step()
        seen.append((step.operation_id, step.parent_id, step.name, step.attempt, step.idempotency_key))
        if step.attempt == 1:
            raise OSError("again")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        await ctx.step(body, name="charge", retry=fixed_delay(Duration.seconds(1)))
        return ctx.execution_arn

    finished = await run(handler)

    assert [entry[3] for entry in seen] == [1, 2]
    assert seen[0][:3] == (finished.named("charge").id, None, "charge")
    assert seen[0][4] == seen[1][4]
    assert len(seen[0][4]) == 64
    with pytest.raises(ContextUseError):
        current_step()
