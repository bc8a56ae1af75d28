"""Child contexts: what they record, how they fail, and how a result that is too big comes back."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import pytest
import trio
from support.runs import run
from trio.testing import MockClock

from durable_trio import (
    ChildConfig,
    ChildContextError,
    DurableContext,
    Duration,
    StepError,
    custom_serdes,
    durable_error,
    durable_execution,
    no_retry,
    pass_through,
)

BIG = "x" * 262_145
flavour: ContextVar[str] = ContextVar("flavour", default="none")


@durable_error
class Refused(Exception):
    """A business error of these tests."""


async def fail(message: str) -> None:
    """Raise a ValueError."""
    raise ValueError(message)


async def give(value: Any) -> Any:
    """Return *value*."""
    return value


async def test_a_finished_child_does_not_run_again(autojump_clock: MockClock) -> None:
    """On replay a child gives its recorded result; its body and its steps rest."""
    runs: list[str] = []

    async def body(value: int) -> int:
        runs.append("step")
        return value

    async def child(ctx: DurableContext, value: int) -> int:
        runs.append("child")
        return await ctx.step(body, value) + 1

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        result = await ctx.run_in_child_context(child, 41)
        await ctx.wait(Duration.seconds(1))
        return result

    finished = await run(handler)

    assert finished.result == 42
    assert runs == ["child", "step"]


async def test_a_child_that_waits_goes_on_where_it_was(autojump_clock: MockClock) -> None:
    """An unfinished child runs its body again over its finished operations; its START is not repeated."""
    bodies: list[int] = []

    async def body(n: int) -> int:
        bodies.append(n)
        return n

    async def child(ctx: DurableContext) -> list[int]:
        results = []
        for n in range(3):
            results.append(await ctx.step(body, n))
            await ctx.wait(Duration.seconds(1))
        return results

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.run_in_child_context(child)

    finished = await run(handler)

    assert finished.result == [0, 1, 2]
    assert bodies == [0, 1, 2]
    assert finished.event_types.count("ContextStarted") == 1


async def test_a_childs_end_travels_with_what_follows(autojump_clock: MockClock) -> None:
    """START and end of a child wait for nobody: three children of a step each are three requests, not nine."""

    async def child(ctx: DurableContext, n: int) -> int:
        return await ctx.step(give, n)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return [await ctx.run_in_child_context(child, n) for n in range(3)]

    finished = await run(handler)

    assert [str(call) for call in finished.calls] == [
        "CONTEXT START, STEP START, STEP SUCCEED",
        "CONTEXT SUCCEED, CONTEXT START, STEP START, STEP SUCCEED",
        "CONTEXT SUCCEED, CONTEXT START, STEP START, STEP SUCCEED",
        "CONTEXT SUCCEED",
    ]


async def test_a_failed_child_raises_the_same_on_replay(autojump_clock: MockClock) -> None:
    """The error carries the *original* type and message outwards, through any depth, first and on replay."""
    seen: list[Any] = []

    async def inner(ctx: DurableContext) -> None:
        await ctx.step(fail, "deep", retry=no_retry())

    async def outer(ctx: DurableContext) -> None:
        await ctx.run_in_child_context(inner)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.run_in_child_context(outer)
        except ChildContextError as error:
            assert error.__cause__ is None
            seen.append((str(error), error.error_type, error.operation_name, error.stack))
        await ctx.wait(Duration.seconds(1))
        return "recovered"

    finished = await run(handler)

    assert finished.result == "recovered"
    assert seen == [seen[0]] * 2
    assert seen[0][:3] == ("deep", "ValueError", "outer")


async def test_registered_errors_leave_a_child_as_themselves(autojump_clock: MockClock) -> None:
    """A ``@durable_error`` raised in a step in a child comes out of the child as itself, first and on replay."""
    seen: list[Any] = []

    async def refuse() -> None:
        raise Refused("no", 7)

    async def child(ctx: DurableContext) -> None:
        await ctx.step(refuse, retry=no_retry())

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.run_in_child_context(child)
        except Refused as error:
            seen.append(error.args)
        await ctx.wait(Duration.seconds(1))

    assert (await run(handler)).status == "SUCCEEDED"
    assert seen == [("no", 7)] * 2


async def test_the_error_mapper_works_before_the_record(autojump_clock: MockClock) -> None:
    """What the mapper makes of an error is what is recorded, so replay sees the mapped error, too."""
    seen: list[Any] = []
    asked: list[Exception] = []

    def mapper(error: Exception) -> Exception:
        asked.append(error)
        return LookupError(f"mapped: {error}")

    async def child(ctx: DurableContext) -> None:
        await ctx.step(fail, "original", retry=no_retry())

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.run_in_child_context(child, config=ChildConfig(error_mapper=mapper))
        except ChildContextError as error:
            seen.append((error.error_type, error.message))
        await ctx.wait(Duration.seconds(1))

    finished = await run(handler)

    assert finished.status == "SUCCEEDED"
    assert seen == [("LookupError", "mapped: original")] * 2
    assert [type(error) for error in asked] == [StepError]


async def test_a_broken_mapper_fails_the_child(autojump_clock: MockClock) -> None:
    """An error of the mapper itself is recorded as the child's failure, not lost and not repeated."""
    seen: list[Any] = []

    def mapper(error: Exception) -> Exception:
        raise ZeroDivisionError("mapper")

    async def child(ctx: DurableContext) -> None:
        raise ValueError("original")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.run_in_child_context(child, error_mapper=mapper)
        except ChildContextError as error:
            seen.append((error.error_type, error.message))
        await ctx.wait(Duration.seconds(1))

    assert (await run(handler)).status == "SUCCEEDED"
    assert seen == [("ZeroDivisionError", "mapper")] * 2


@pytest.mark.parametrize("size", [262_142, 262_143])
async def test_a_result_that_is_too_big_is_replayed(size: int, autojump_clock: MockClock) -> None:
    """Over 262,144 encoded bytes a result is not stored: the body runs again over its finished steps."""
    bodies: list[str] = []
    children: list[str] = []

    async def body() -> str:
        bodies.append("step")
        return "x" * (size // 2)

    async def child(ctx: DurableContext) -> str:
        children.append("child")
        first, second = await ctx.step(body), await ctx.step(body)
        return first + second + "x" * (size - 2 * (size // 2))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        text = await ctx.run_in_child_context(child, summary=lambda text: f"{len(text)} characters")
        await ctx.wait(Duration.seconds(1))
        return len(text)

    finished = await run(handler)

    is_too_big = size + 2 > 262_144  # JSON text has two quotes
    details = finished.named("child").details
    assert finished.result == size
    assert bodies == ["step"] * 2
    assert children == ["child"] * (2 if is_too_big else 1)
    assert getattr(details, "replay_children", None) is is_too_big
    if is_too_big:
        assert getattr(details, "result", None) == f"{size} characters"


async def test_the_size_is_measured_in_bytes(autojump_clock: MockClock) -> None:
    """Characters say nothing about size: three bytes each count as three."""

    async def child(ctx: DurableContext) -> str:
        return "€" * 87_382

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        return len(await ctx.run_in_child_context(child, serdes=pass_through()))

    finished = await run(handler)

    assert finished.result == 87_382
    assert getattr(finished.named("child").details, "replay_children", None) is True


async def test_a_summary_must_be_text(autojump_clock: MockClock) -> None:
    """A summary that is no text fails the child with an error that names it."""

    async def child(ctx: DurableContext) -> str:
        return BIG

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        return len(await ctx.run_in_child_context(child, summary=lambda text: len(text)))  # type: ignore[arg-type, return-value]  # the mistake

    finished = await run(handler)

    assert finished.status == "FAILED"
    assert "summary" in (finished.error.message or "")


async def test_a_replayed_body_must_not_ask_for_more(autojump_clock: MockClock) -> None:
    """A body that is replayed for its big result and asks for a new operation fails the execution."""
    runs: list[int] = []

    async def child(ctx: DurableContext) -> str:
        runs.append(1)
        await ctx.step(give, 1)
        if len(runs) > 1:
            await ctx.step(give, 2)
        return BIG

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        text = await ctx.run_in_child_context(child)
        await ctx.wait(Duration.seconds(1))
        return text[:1]

    finished = await run(handler)

    assert finished.error.type == "NonDeterministicExecutionError"
    assert "finished" in (finished.error.message or "")


async def test_the_live_result_is_the_stored_one(autojump_clock: MockClock) -> None:
    """A child's result has been through its serializer on the first run as on replay, big or not."""
    seen: list[Any] = []
    shout = custom_serdes(lambda value: value.upper(), lambda text: text)

    async def child(ctx: DurableContext, text: str) -> str:
        return text

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        small = await ctx.run_in_child_context(child, "small", serdes=shout)
        big = await ctx.run_in_child_context(child, BIG, serdes=shout)
        seen.append((small, big == BIG.upper()))
        await ctx.wait(Duration.seconds(1))

    await run(handler)

    assert seen == [("SMALL", True)] * 2


async def test_a_virtual_context_records_nothing_of_its_own(autojump_clock: MockClock) -> None:
    """Its operations belong to the context around it; its error leaves it as it is, first and on replay."""
    seen: list[type[Exception]] = []

    async def child(ctx: DurableContext) -> int:
        return await ctx.step(give, 5)

    async def failing(ctx: DurableContext) -> None:
        await ctx.step(give, 1)
        raise LookupError("as it is")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        five = await ctx.run_in_child_context(child, virtual=True)
        try:
            await ctx.run_in_child_context(failing, virtual=True)
        except LookupError as error:
            seen.append(type(error))
        await ctx.wait(Duration.seconds(1))
        return five

    finished = await run(handler)

    assert finished.result == 5
    assert [(o.type.value, o.parent_id) for o in finished.operations[1:]] == [
        ("STEP", None),
        ("STEP", None),
        ("WAIT", None),
    ]
    assert seen == [LookupError] * 2


async def test_context_variables_are_inherited(autojump_clock: MockClock) -> None:
    """A child sees the variables of its parent; what it sets stays in it."""

    async def child(ctx: DurableContext) -> str:
        before = flavour.get()
        flavour.set("sour")
        return before

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[str]:
        flavour.set("sweet")
        return [await ctx.run_in_child_context(child), flavour.get()]

    assert (await run(handler)).result == ["sweet", "sweet"]


async def test_a_plain_body_is_refused(autojump_clock: MockClock) -> None:
    """A body that is not async is refused with the remedy, and nothing is recorded."""

    def plain(ctx: DurableContext) -> int:
        return 1

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        return await ctx.run_in_child_context(plain)  # type: ignore[arg-type]  # the mistake

    finished = await run(handler)

    assert finished.error.type == "ConfigurationError"
    assert "async def" in (finished.error.message or "")
    assert finished.calls == []


async def test_an_exception_group_of_the_users_keeps_its_leaves(autojump_clock: MockClock) -> None:
    """A group that leaves a plain nursery in a child is recorded as ExceptionGroup with its leaves."""

    async def child(ctx: DurableContext) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail, "leaf")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.run_in_child_context(child)

    finished = await run(handler)

    assert finished.error.type == "ExceptionGroup"
    assert "leaf" in (finished.error.data or "")
