"""Sagas: what is undone, in which order, and what is raised."""

# ruff: noqa: PT012  # what raises is the end of a block, and blocks stand one per line as users write them

# A block may be cut before it binds what is read after it; these tests know where it is.
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

from typing import Any

import pytest
import trio
from support.leaks import nothing_left
from support.runs import run
from trio.testing import MockClock

from durable_trio import (
    ChildContextError,
    CompensationError,
    ContextUseError,
    DurableContext,
    Duration,
    ExecutionError,
    InvocationError,
    StepError,
    ValidationError,
    durable_execution,
    no_retry,
)

SECOND = Duration.seconds(1)
HOUR = Duration.hours(1)
DAY = Duration.days(1)


class Desk:
    """Books and cancels; writes down what it did."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def book(self, what: str) -> str:
        """Book something."""
        self.done.append(f"book {what}")
        return what

    async def cancel(self, ctx: DurableContext, what: str) -> None:
        """Cancel something that was booked, after a while."""

        async def cancel() -> None:
            self.done.append(f"cancel {what}")

        await ctx.wait(SECOND)
        await ctx.step(cancel, retry=no_retry())

    async def fail(self, message: str) -> str:
        """Raise a ValueError."""
        raise ValueError(message)


async def test_a_saga_that_succeeds_undoes_nothing(autojump_clock: MockClock) -> None:
    """Its steps are steps; it is closed with a record that says so."""
    desk = Desk()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.saga(name="trip") as saga:
            value = await saga.step(desk.book, "hotel", compensate=desk.cancel)
            await ctx.wait(HOUR)
        return [value, saga.report]

    finished = await run(handler)
    assert finished.result == ["hotel", None]
    assert desk.done == ["book hotel"]
    assert finished.named("trip").details.result == '{"compensations":null}'  # type: ignore[union-attr]


async def test_the_last_step_is_undone_first(autojump_clock: MockClock) -> None:
    """Then the error goes on as it is; what failed itself is not undone."""
    desk = Desk()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        try:
            async with ctx.saga() as saga:
                await saga.step(desk.book, "flight", compensate=desk.cancel)
                await saga.step(desk.book, "hotel", compensate=desk.cancel)
                await saga.step(desk.fail, "sold out", compensate=desk.cancel, retry=no_retry(), name="car")
        except StepError as error:
            assert error.__cause__ is None
            assert saga.report is not None
            result = [str(error), [one.step for one in saga.report.compensations], len(saga.report.failed)]
        await ctx.wait(DAY)
        return result

    with nothing_left():
        finished = await run(handler)
    assert finished.result == ["sold out", [2, 1], 0]
    assert desk.done == ["book flight", "book hotel", "cancel hotel", "cancel flight"]


async def test_a_compensation_that_fails_does_not_stop_the_others(autojump_clock: MockClock) -> None:
    """``CompensationError`` is raised from the original error, and has the report; replay raises an equal one."""
    desk = Desk()
    seen: list[str] = []

    async def broken(ctx: DurableContext, what: str) -> None:
        await ctx.step(desk.fail, f"no refund for {what}", retry=no_retry())

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        try:
            async with ctx.saga() as saga:
                await saga.step(desk.book, "flight", compensate=desk.cancel)
                await saga.step(desk.book, "hotel", compensate=broken)
                raise KeyError("changed my mind")
        except CompensationError as error:
            (failed,) = error.report.failed
            seen.append(f"{error} | {error.__cause__!r} | {failed.error!r} | {failed.error.error_type}")
        await ctx.wait(DAY)
        return seen[-1]

    finished = await run(handler)
    assert "1 of 2 compensations failed; the first: no refund for hotel" in finished.result
    assert "KeyError('changed my mind')" in finished.result
    assert len(set(seen)) == 1
    assert len(seen) > 1
    assert desk.done[-1] == "cancel flight"


async def test_a_compensation_error_that_leaves_the_handler(autojump_clock: MockClock) -> None:
    """It fails the execution under its own name."""
    desk = Desk()

    async def broken(ctx: DurableContext, what: str) -> None:
        raise ValueError("broken")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.saga() as saga:
            await saga.step(desk.book, "hotel", compensate=broken)
            raise ValueError("original")

    assert (await run(handler)).error.type == "CompensationError"


async def test_nothing_is_undone_on_suspension(autojump_clock: MockClock) -> None:
    """The execution resumes, and the block with it."""
    desk = Desk()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.saga() as saga:
            await saga.step(desk.book, "hotel", compensate=desk.cancel)
            for _ in range(5):
                await ctx.wait(HOUR)
        return "done"

    assert (await run(handler)).result == "done"
    assert desk.done == ["book hotel"]


@pytest.mark.parametrize("raised", [InvocationError("again"), ExecutionError("for good")])
async def test_errors_that_end_more_than_the_block(raised: Exception, autojump_clock: MockClock) -> None:
    """A repeated invocation undoes nothing; an execution that fails for good undoes what it did."""
    desk = Desk()
    tries: list[int] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.saga() as saga:
            await saga.step(desk.book, "hotel", compensate=desk.cancel)
            tries.append(1)
            if len(tries) < 3:
                raise raised
        return "done"

    finished = await run(handler)
    if isinstance(raised, InvocationError):
        assert finished.result == "done"
        assert desk.done == ["book hotel"]
    else:
        assert finished.error.type == "ExecutionError"
        assert desk.done == ["book hotel", "cancel hotel"]


async def test_steps_at_once(autojump_clock: MockClock) -> None:
    """Numbers are given when the step is created, so ``ctx.all`` over steps of a saga has an order, too."""
    desk = Desk()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        with pytest.raises(ValueError, match="no"):
            async with ctx.saga() as saga:
                steps = [saga.step(desk.book, what, compensate=desk.cancel) for what in "abc"]
                assert await ctx.all(steps) == ["a", "b", "c"]
                raise ValueError("no")
        await ctx.wait(HOUR)

    finished = await run(handler)
    assert finished.status == "SUCCEEDED"
    assert desk.done[3:] == ["cancel c", "cancel b", "cancel a"]


async def test_other_operations_are_registered_with_add(autojump_clock: MockClock) -> None:
    """A child context, an invoke, a map: whatever has a record; its result goes to the compensation."""
    desk = Desk()

    async def child(ctx: DurableContext) -> str:
        return await ctx.step(desk.book, "from child")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        try:
            async with ctx.saga() as saga:
                value = await saga.add(ctx.run_in_child_context(child), compensate=desk.cancel)
                with pytest.raises(ValidationError, match="no record of its own"):
                    saga.add(ctx.run_in_child_context(child, virtual=True), compensate=desk.cancel)
                raise ValueError(value)
        except ValueError as error:
            return str(error)

    assert (await run(handler)).result == "from child"
    assert desk.done == ["book from child", "cancel from child"]


async def test_registering_from_elsewhere_is_refused(autojump_clock: MockClock) -> None:
    """Only code directly in the block registers: what a cut inner block did would be registered or not, by chance."""
    desk = Desk()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        outside = ctx.step(desk.book, "outside")
        async with ctx.saga() as saga:
            with pytest.raises(ValidationError, match="created in the saga's block"):
                saga.add(outside, compensate=desk.cancel)
            with pytest.raises(ValidationError, match="compensate"):
                saga.step(desk.book, "x", compensate=None)  # type: ignore[call-overload]
            async with ctx.move_on_after(HOUR):
                with pytest.raises(ContextUseError, match="directly in its block"):
                    saga.step(desk.book, "x", compensate=desk.cancel)
        with pytest.raises(ContextUseError, match="directly in its block"):
            saga.step(desk.book, "x", compensate=desk.cancel)
        return await outside

    assert (await run(handler)).result == "outside"


async def test_a_step_whose_end_was_on_its_way_is_undone(autojump_clock: MockClock) -> None:
    """Cut off while its end was being stored, a step has succeeded by the record; so it is undone."""
    desk = Desk()

    async def bad(ctx: DurableContext) -> None:
        await ctx.wait(Duration.seconds(9))
        await trio.sleep(0.5)
        raise ValueError("bad")

    async def book_slowly() -> str:
        await trio.sleep(9.5)
        return await desk.book("slow")

    async def child(ctx: DurableContext) -> None:
        async with ctx.saga() as saga:
            await saga.step(book_slowly, compensate=desk.cancel)
            await ctx.wait(DAY)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        try:
            async with ctx.open_nursery() as nursery:
                nursery.start_soon(child)
                nursery.start_soon(bad)
        except* ChildContextError:
            pass
        return "done"

    def slow_answers(inner: Any, invocation: int) -> Any:
        from support.clients import PassingClient

        class Slow(PassingClient):
            async def checkpoint(self, **request: Any) -> Any:
                response = await super().checkpoint(**request)
                await trio.sleep(1)
                return response

        return Slow(inner)

    finished = await run(handler, wrap=slow_answers)
    assert finished.result == "done"
    assert desk.done == ["book slow", "cancel slow"]


async def test_explicit_compensations(autojump_clock: MockClock) -> None:
    """``run_compensations`` undoes what was registered since the last time, and raises nothing."""
    desk = Desk()

    async def broken(ctx: DurableContext, what: str) -> None:
        raise ValueError(f"broken {what}")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        empty = await ctx.run_compensations()
        await ctx.step_with_compensation(desk.book, "a", compensate=desk.cancel)
        await ctx.step_with_compensation(desk.book, "b", compensate=broken)
        with pytest.raises(StepError):
            await ctx.step_with_compensation(desk.fail, "x", compensate=desk.cancel, retry=no_retry())
        report = await ctx.run_compensations(name="undo")
        again = await ctx.run_compensations()
        await ctx.wait(DAY)
        assert report == await ctx.run_compensations() or report.compensations
        (failed,) = report.failed
        return [
            len(empty.compensations),
            [one.step for one in report.compensations],
            str(failed.error),
            len(again.compensations),
        ]

    finished = await run(handler)
    assert finished.result == [0, [2, 1], "broken b", 0]
    assert desk.done == ["book a", "book b", "cancel a"]
    assert finished.named("undo").sub_type == "Saga"


async def test_a_changed_body_is_noticed(autojump_clock: MockClock) -> None:
    """A block that succeeds where it is recorded as undone, or the other way round, fails the execution."""
    for fails_first in (True, False):
        desk = Desk()
        runs: list[int] = []

        @durable_execution
        async def handler(
            event: Any,
            ctx: DurableContext,
            desk: Desk = desk,
            runs: list[int] = runs,
            first: bool = fails_first,
        ) -> Any:
            runs.append(1)
            try:
                async with ctx.saga() as saga:
                    await saga.step(desk.book, "hotel", compensate=desk.cancel)
                    if first is (len(runs) < 3):
                        raise ValueError("no")
            except ValueError:
                pass
            for _ in range(3):
                await ctx.wait(DAY)

        finished = await run(handler)
        assert finished.error.type == "NonDeterministicExecutionError", fails_first


async def test_failures_in_what_is_thrown_away_are_logged(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its compensations ran to the end; that one failed is nobody's outcome, but nobody overlooks it."""
    desk = Desk()

    async def broken(ctx: DurableContext, what: str) -> None:
        await ctx.wait(SECOND)
        raise ValueError("cannot undo")

    async def child(ctx: DurableContext) -> None:
        async with ctx.saga() as saga:
            await saga.step(desk.book, "a", compensate=desk.cancel)
            await saga.step(desk.book, "b", compensate=broken)
            await ctx.wait(DAY)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        await ctx.race([ctx.run_in_child_context(child), ctx.wait(HOUR)])
        await ctx.wait(HOUR)
        return "done"

    finished = await run(handler)
    assert finished.result == "done"
    assert desk.done == ["book a", "book b", "cancel a"]
    assert capsys.readouterr().out.count("compensations failed") == 1


async def test_a_plain_cancel_around_a_saga_is_refused(autojump_clock: MockClock) -> None:
    """It would be decided afresh on every replay; between operations, too."""
    desk = Desk()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        with trio.CancelScope() as scope:
            async with ctx.saga() as saga:
                await saga.step(desk.book, "a", compensate=desk.cancel)
                scope.cancel()
                await trio.lowlevel.checkpoint()
        return "went on"

    finished = await run(handler)
    assert finished.error.type == "ContextUseError"
    assert desk.done == ["book a"]
