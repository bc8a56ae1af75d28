"""Nurseries, durable deadlines, shields, sagas, and what plain cancellation does."""

# A block may be cut before it binds what is read after it; these tests know where it is.
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

import contextvars
import json
from datetime import timedelta
from typing import Any

import pytest
import trio
from acceptance.kit import run, sent

from durable_trio import (
    ChildContextError,
    CompensationError,
    ContextUseError,
    DurableContext,
    DurableTimeoutError,
    Duration,
    durable_execution,
    no_retry,
)

HOUR = Duration.hours(1)
ROOT_1 = "1ced8f5be2db23a6513eba4d819c73806424748a7bc6fa0d792cc1c7d1775a97"
ROOT_1_0 = "1712f93e2f51df042e2b933907d75accfe34a48fe4a42a24e0b08131bc72d591"
ROOT_1_1 = "974bfc6321e227b0ff101342eaf19b336f002dc6cc99c18f0941a7755cc20fc4"

variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


async def give(value: Any) -> Any:
    """Return *value*."""
    return value


async def fail() -> None:
    """Raise a ValueError."""
    raise ValueError("no")


async def waits(ctx: DurableContext, value: int) -> int:
    """Wait for an hour."""
    await ctx.wait(HOUR)
    return value


async def breaks(ctx: DurableContext) -> None:
    """Fail in a step."""
    await ctx.step(fail, retry=no_retry())


async def read(ctx: DurableContext, *rest: Any) -> list[int]:
    """Read the variable in a body, a thread and a step."""
    return [variable.get(), await ctx.step(lambda: variable.get(), name="t")]


# --- nurseries ---------------------------------------------------------------------------------------------


def test_handles() -> None:
    """Functions and operations; ``await handle`` in the block, ``handle.value`` after it, an error before."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.open_nursery(name="n") as nursery:
            child = nursery.start_soon(waits, 5, name="five")
            step = nursery.start_soon(ctx.step(give, 3))
            with pytest.raises(ContextUseError):
                _ = child.value
            inside = [await step, await child]
        return [inside, child.value, step.value, str(child.status)]

    finished = run(handler)
    assert finished.result == [[3, 5], 5, 3, "SUCCEEDED"]
    assert finished["n"].kind == "Nursery"
    assert finished["n/five"].id == ROOT_1_1
    assert finished["n"].payload == '{"failed":null}'


def test_one_failure_cancels_the_siblings() -> None:
    """A group of the children's errors; handles tell how each ended; the verdict is a SUCCEED on the wire."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        async with ctx.open_nursery() as empty:
            assert empty is not None
        try:
            async with ctx.open_nursery(name="n") as nursery:
                long = nursery.start_soon(waits, 1)
                bad = nursery.start_soon(breaks)
        except* ChildContextError as group:
            seen.append(
                [str(e) for e in group.exceptions] + [str(long.status), str(bad.status), str(bad.error)]
            )
        await ctx.wait(HOUR)

    finished = run(handler)
    finished.assert_succeeded()
    assert seen == [["no", "CANCELLED", "FAILED", "no"]] * 2
    end = sent(finished, "n")[-1]
    assert (end.action, end.options.replay_children) == ("SUCCEED", True)
    assert json.loads(end.payload)["failed"] == 1
    assert len([o for o in finished.operations if o.kind == "Nursery"]) == 1


def test_children_open_nurseries_of_their_own() -> None:
    """A nursery cannot be used from its children."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        async with ctx.open_nursery() as nursery:

            async def child(inner: DurableContext) -> None:
                nursery.start_soon(waits, 1)

            nursery.start_soon(child)

    assert "open_nursery" in (run(handler).assert_failed("ExceptionGroup").data or "")


def test_context_variables_are_inherited() -> None:
    """By every actor, step and worker thread."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        variable.set(7)
        async with ctx.open_nursery() as nursery:
            child = nursery.start_soon(read)
        mapped = (await ctx.map([1], read)).results()
        return [child.value, *mapped, await ctx.run_in_child_context(read), await ctx.retry(read)]

    assert run(handler).result == [[7, 7]] * 4


def test_operations_belong_to_the_block_they_were_created_in() -> None:
    """Awaited elsewhere they are refused; the result of a callback is not."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        outer = ctx.step(give, 1)
        async with ctx.move_on_after(HOUR):
            with pytest.raises(ContextUseError):
                await outer
            callback = await ctx.create_callback(name="c")
        return [await outer, await callback.result()]

    assert run(handler, answers={"c": "x"}).result == [1, "x"]


# --- deadlines ---------------------------------------------------------------------------------------------


def test_deadlines_on_the_wire() -> None:
    """CONTEXT Deadline and the WAIT at position 0 in one request; ``timed_out`` and where in the payload."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.move_on_after(HOUR) as scope:
            await ctx.wait(Duration.hours(2))
        return scope.timed_out

    finished = run(handler)
    assert finished.result is True
    assert [(u.sub_type, u.action) for u in finished.calls[0].updates][:2] == [
        ("Deadline", "START"),
        ("Wait", "START"),
    ]
    assert finished.at_position(1).payload == f'{{"timed_out":true,"at":"{ROOT_1_1}"}}'
    assert [o.id for o in finished.operations] == [ROOT_1, ROOT_1_0, ROOT_1_1]


def test_a_tie_goes_to_the_body() -> None:
    """An operation that ended at the deadline's end was in time; a body that got through has won."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.move_on_after(HOUR) as scope:
            await ctx.wait(HOUR)
        return scope.timed_out

    assert run(handler).result is False


def test_fail_after_and_fail_at() -> None:
    """``DurableTimeoutError``, caught as ``trio.TooSlowError`` as well."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[str]:
        seen = []
        for scope in (ctx.fail_after(HOUR), ctx.fail_at(ctx.now() + timedelta(hours=3))):
            try:
                async with scope:
                    await ctx.wait(Duration.hours(5))
            except trio.TooSlowError as error:
                seen.append(type(error).__name__)
        async with ctx.fail_after(HOUR) as in_time:
            await ctx.step(give, 1)
        return [*seen, str(in_time.timed_out)]

    assert run(handler).result == [DurableTimeoutError.__name__] * 2 + ["False"]


def test_once_cut_always_cut_but_for_a_shield() -> None:
    """Durable operations in a ``finally`` after a cut do not run, unless in ``ctx.shield()``."""
    ran: list[str] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.move_on_after(HOUR) as scope:
            try:
                await ctx.wait(Duration.hours(2))
            finally:
                async with ctx.shield():
                    await ctx.wait(HOUR)
                    ran.append(await ctx.step(give, "shielded"))
                await ctx.step(give, "late")
                ran.append("late")
        return scope.timed_out

    assert run(handler).result is True
    assert ran == ["shielded"]


def test_a_running_step_is_cut_and_replay_cuts_there_again() -> None:
    """The async body is cancelled at once; what comes after has the same ids on replay."""
    log: list[str] = []

    async def body() -> None:
        try:
            await trio.sleep(100)
        except trio.Cancelled:
            log.append("cancelled")
            raise

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.move_on_after(Duration.seconds(10)) as scope:
            await ctx.step(body)
        value = await ctx.step(give, 2)
        await ctx.wait(HOUR)
        return [scope.timed_out, value]

    assert run(handler).result == [True, 2]
    assert log == ["cancelled"]


# --- plain cancellation ------------------------------------------------------------------------------------


def test_plain_deadlines_and_cancellations_are_named() -> None:
    """They would be decided afresh on every replay: ``ContextUseError`` with the durable spelling."""

    @durable_execution
    async def waits_in_one(event: Any, ctx: DurableContext) -> None:
        with trio.move_on_after(5):
            await ctx.wait(HOUR)

    @durable_execution
    async def steps_in_one(event: Any, ctx: DurableContext) -> None:
        with trio.move_on_after(5):
            await ctx.step(trio.sleep, 10)

    @durable_execution
    async def cancels(event: Any, ctx: DurableContext) -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await ctx.step(give, 1)

    for handler in (waits_in_one, steps_in_one, cancels):
        assert "ctx.move_on_after" in (run(handler).assert_failed("ContextUseError").message or "")


def test_a_failing_task_of_a_plain_nursery_is_the_news() -> None:
    """The cancellation it causes passes through a durable operation."""

    async def explode() -> None:
        await trio.sleep(1)
        raise KeyError("boom")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(explode)
            await ctx.step(trio.sleep, 10)

    assert "KeyError" in (run(handler).assert_failed("ExceptionGroup").data or "")


# --- sagas -------------------------------------------------------------------------------------------------


def test_compensations_run_in_reverse_and_the_error_goes_on() -> None:
    """``undo(child_ctx, result)``, LIFO, able to wait; a report; the original error."""
    undone: list[int] = []

    async def undo(ctx: DurableContext, result: int) -> None:
        await ctx.wait(HOUR)
        undone.append(await ctx.step(give, result))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        saga = ctx.saga(name="s")
        try:
            async with saga:
                await saga.step(give, 1, compensate=undo)
                await saga.step(give, 2, compensate=undo, name="two")
                raise LookupError("gone")
        except LookupError as error:
            assert saga.report is not None
            return [str(error), [c.name for c in saga.report.succeeded]]

    finished = run(handler)
    assert finished.result == ["gone", ["two", "give"]]
    assert undone == [2, 1]
    assert [o.kind for o in finished["s"].children] == ["Step", "Step", "Compensation", "Compensation"]


def test_failing_compensations() -> None:
    """The others go on; ``CompensationError`` is raised from the original error, with the report."""
    undone: list[int] = []

    async def undo(ctx: DurableContext, result: int) -> None:
        if result == 2:
            raise KeyError("cannot")
        undone.append(result)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        try:
            async with ctx.saga() as saga:
                await saga.step(give, 1, compensate=undo)
                await saga.step(give, 2, compensate=undo)
                raise LookupError("gone")
        except CompensationError as error:
            return [repr(error.__cause__), [c.step for c in error.report.failed], error.error_type]

    assert run(handler).result == ["LookupError('gone')", [2], "CompensationError"]
    assert undone == [1]


def test_sagas_of_losers_are_undone_before_the_verdict() -> None:
    """The loser of a race is compensated to the end, and only then is the race recorded."""
    undone: list[str] = []

    async def undo(ctx: DurableContext, result: str) -> None:
        await ctx.wait(HOUR)
        undone.append(await ctx.step(give, result, name="undone"))

    async def loser(ctx: DurableContext) -> None:
        async with ctx.saga() as saga:
            await saga.step(give, "x", compensate=undo)
            await ctx.wait(Duration.days(30))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.race([ctx.run_in_child_context(loser), ctx.wait(HOUR)])

    finished = run(handler)
    finished.assert_succeeded()
    assert undone == ["x"]
    assert [o.kind for o in finished.operations][-1] == "Race"


def test_a_suspension_undoes_nothing() -> None:
    """Neither does it end a deadline or a nursery."""
    undone: list[Any] = []

    async def undo(ctx: DurableContext, result: Any) -> None:
        undone.append(result)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        async with ctx.saga() as saga:
            value: int = await saga.step(give, 1, compensate=undo)
            await ctx.wait(HOUR)
        return value

    finished = run(handler)
    assert finished.result == 1
    assert len(finished.invocations) == 2
    assert undone == []


# --- the end of an invocation's time -----------------------------------------------------------------------


def test_a_step_longer_than_an_invocation_uses_up_its_attempts() -> None:
    """Cut a margin of ``min(5 s, 20 %)`` before the end: RETRY, and FAIL when the strategy gives up."""
    from durable_trio import StepError, fixed_delay

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        try:
            await ctx.step(
                trio.sleep, 100, name="slow", retry=fixed_delay(Duration.seconds(1), max_attempts=2)
            )
        except StepError as error:
            return error.error_type

    for limit, cut_after in ((60, 55), (20, 16)):
        finished = run(handler, invocation_timeout=Duration.seconds(limit))
        assert finished.result == "StepInterruptedError"
        assert [str(u.action) for u in sent(finished, "slow")] == ["START", "RETRY", "START", "FAIL"]
        first = finished.invocations[0]
        assert first.ended_at is not None
        assert abs((first.ended_at - first.started_at) / 1000 - cut_after) < 0.1


def test_a_poll_that_is_cut_keeps_the_previous_state() -> None:
    """A poll cut off by the end of the time is a RETRY with the previous state as payload."""
    slow: list[int] = []

    async def check(state: int) -> int:
        if state == 1 and len(slow) < 2:
            slow.append(state)
            await trio.sleep(100)
        return state + 1

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        return await ctx.wait_for_condition(
            check, initial_state=0, until=lambda s: s == 3, interval=Duration.seconds(4), name="c"
        )

    finished = run(handler, invocation_timeout=Duration.seconds(20))
    assert finished.result == 3
    retries = [u for u in sent(finished, "c") if u.action == "RETRY"]
    assert [(u.payload, u.error, u.options.next_attempt_delay_seconds) for u in retries] == [
        ("1", None, 4),
        ("1", None, 4),
        ("1", None, 4),
        ("2", None, 4),
    ]


def test_polls_that_are_cut_use_up_their_attempts() -> None:
    """When the strategy gives up the condition fails; a first poll that is cut keeps the initial state."""
    from durable_trio import exponential_polling

    async def check(state: int) -> int:
        await trio.sleep(100)
        return state

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.wait_for_condition(
            check,
            initial_state=5,
            until=lambda s: False,
            wait_strategy=exponential_polling(2, initial_delay=Duration.seconds(1)),
            name="c",
        )

    finished = run(handler, invocation_timeout=Duration.seconds(20))
    finished.assert_failed("WaitForConditionError")
    assert [(str(u.action), u.payload) for u in sent(finished, "c")] == [
        ("START", None),
        ("RETRY", "5"),
        ("START", None),
        ("FAIL", None),
    ]
