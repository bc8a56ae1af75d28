"""Durable deadlines: what they cut, what they let through, and who decides."""

# what raises is the end of a block, and blocks stand one per line as users write them

# A block may be cut before it binds what is read after it; these tests know where it is.
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio
from scopes.hurried import HurriedService
from support.clients import PassingClient
from support.leaks import nothing_left
from support.runs import driven, run
from trio.testing import MockClock

from durable_trio import (
    ContextUseError,
    DurableContext,
    DurableTimeoutError,
    Duration,
    StepSemantics,
    ValidationError,
    durable_execution,
    fixed_delay,
    timestamp_from_execution,
)
from durable_trio._protocol.operation import CallbackDetails
from durable_trio.clock import Clock

SECOND = Duration.seconds(1)
TEN_SECONDS = Duration.seconds(10)
HOUR = Duration.hours(1)
DAY = Duration.days(1)


async def give(value: Any) -> Any:
    """Return *value*."""
    return value


async def slow(seconds: float) -> float:
    """Take *seconds*."""
    await trio.sleep(seconds)
    return seconds


async def test_three_seconds_of_waits_meet_ten_seconds(autojump_clock: MockClock) -> None:
    """A chain of three waits of a second wins against a deadline of ten, always."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.move_on_after(TEN_SECONDS) as deadline:
            for _ in range(3):
                await ctx.wait(SECOND)
        return deadline.timed_out

    assert (await run(handler)).result is False


async def test_work_wins_on_a_clock_that_hurries(autojump_clock: MockClock) -> None:
    """When deadline and waits are all over at once, it counts when they were due, not when that was written down."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.move_on_after(TEN_SECONDS) as met:
            for _ in range(3):
                await ctx.wait(SECOND)
        async with ctx.move_on_after(TEN_SECONDS) as missed:
            await ctx.wait(HOUR)
        return [met.timed_out, missed.timed_out]

    assert await HurriedService().run(handler) == [False, True]


async def test_a_clock_behind_the_services(autojump_clock: MockClock) -> None:
    """The service's word counts: a function whose clock lags a minute behind does not wait for it in vain."""

    class Lagging(Clock):
        """A minute behind."""

        def now(self) -> int:
            return super().now() - 60_000

    def lagging(inner: Any, invocation: int) -> Any:
        client = PassingClient(inner)
        client.clock = Lagging(inner.clock.now())
        return client

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.move_on_after(TEN_SECONDS) as deadline:
            callback = await ctx.create_callback()
            await callback.result()
        async with ctx.move_on_at(timestamp_from_execution(ctx) + timedelta(seconds=90)) as instant:
            callback = await ctx.create_callback()
            await callback.result()
        return [deadline.timed_out, instant.timed_out]

    assert (await run(handler, wrap=lagging)).result == [True, True]


async def test_the_services_timestamps_decide_on_resume(autojump_clock: MockClock) -> None:
    """What ended before the deadline is in time, even if nobody could look before both were over."""

    class Late:
        """Invoked late: a minute after its first invocation suspended, everything is over."""

        def __init__(self) -> None:
            self.invocations = 0

        async def invoke(self, event: Any, lambda_context: Any, *, client: Any) -> Any:
            self.invocations += 1
            if self.invocations == 2:
                await trio.sleep(60)
                raise RuntimeError("never got to the point; the next one does")
            return await handler.invoke(event, lambda_context, client=client)

    async def two_waits(ctx: DurableContext) -> str:
        await ctx.wait(Duration.seconds(5))
        return "in time inside"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        result: list[Any] = []
        async with ctx.move_on_after(TEN_SECONDS) as met:
            result.append(await ctx.run_in_child_context(two_waits))
        result.append(met.timed_out)
        return result

    assert (await run(Late())).result == ["in time inside", False]


async def test_work_in_time_goes_on_until_it_has_to_begin_something(autojump_clock: MockClock) -> None:
    """Resumed late, the finished wait counts; the next one would begin after the deadline, and is cut."""

    class Late:
        """Its second invocation dies late."""

        def __init__(self) -> None:
            self.invocations = 0

        async def invoke(self, event: Any, lambda_context: Any, *, client: Any) -> Any:
            self.invocations += 1
            if self.invocations == 2:
                await trio.sleep(60)
                raise RuntimeError("dies")
            return await handler.invoke(event, lambda_context, client=client)

    passed: list[str] = []

    async def child(ctx: DurableContext, name: str) -> None:
        await ctx.wait(Duration.seconds(5))
        passed.append(f"{name} first")
        await ctx.wait(SECOND)
        passed.append(f"{name} second")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.move_on_after(TEN_SECONDS) as deadline:
            await ctx.all([ctx.run_in_child_context(child, "a"), ctx.run_in_child_context(child, "b")])
        return [deadline.timed_out, sorted(set(passed))]

    assert (await run(Late())).result == [True, ["a first", "b first"]]


async def test_a_tie_goes_to_the_body(autojump_clock: MockClock) -> None:
    """A wait that ends at the same instant as the deadline is in time."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.move_on_after(TEN_SECONDS) as deadline:
            # Started in one request with the deadline's own wait it would be; so it is given less.
            await ctx.wait(Duration.seconds(9))
        return deadline.timed_out

    assert (await run(handler)).result is False


async def test_a_step_in_flight_is_cancelled(autojump_clock: MockClock) -> None:
    """A step that is running when the time is over stops at once, at-most-once or not; its end is not recorded."""
    cancelled: list[float] = []

    async def body() -> None:
        try:
            await trio.sleep(600)
        except trio.Cancelled:
            cancelled.append(trio.current_time())
            raise

    for semantics in StepSemantics:
        cancelled.clear()

        @durable_execution
        async def handler(event: Any, ctx: DurableContext, semantics: StepSemantics = semantics) -> Any:
            before = trio.current_time()
            async with ctx.move_on_after(TEN_SECONDS) as deadline:
                await ctx.step(body, semantics=semantics)
            assert trio.current_time() - before < 11
            await ctx.wait(HOUR)
            return deadline.timed_out

        finished = await run(handler)
        assert finished.result is True
        assert len(cancelled) == 1
        assert finished.named("body").status == "STARTED"


async def test_a_retry_that_is_pending_is_cut(autojump_clock: MockClock) -> None:
    """A step that waits for its next attempt is an unfinished operation like any other."""

    async def fail() -> None:
        raise OSError("again")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.move_on_after(TEN_SECONDS) as deadline:
            await ctx.step(fail, retry=fixed_delay(HOUR))
        await ctx.wait(DAY)
        return deadline.timed_out

    finished = await run(handler)
    assert finished.result is True
    assert finished.named("fail").status in {"PENDING", "READY"}


async def test_what_is_no_durable_operation_is_not_interrupted(autojump_clock: MockClock) -> None:
    """A body that gets through has won, however late: the deadline is never delivered at the exit."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.move_on_after(SECOND) as at_the_end:
            await ctx.step(give, 1)
            await trio.sleep(30)
        async with ctx.move_on_after(SECOND) as in_between:
            await trio.sleep(30)
            await ctx.step(give, 2, name="never")
        return [at_the_end.timed_out, in_between.timed_out]

    finished = await run(handler)
    assert finished.result == [False, True]
    assert [o for o in finished.operations if o.name == "never"] == []


async def test_fail_after_raises_a_timeout_that_trio_users_know(autojump_clock: MockClock) -> None:
    """``DurableTimeoutError`` is a ``trio.TooSlowError``; the same on the first run and on replay."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        try:
            async with ctx.fail_after(TEN_SECONDS, name="limit"):
                await ctx.wait(HOUR)
        except trio.TooSlowError as error:
            assert isinstance(error, DurableTimeoutError)
            message = str(error)
        await ctx.wait(SECOND)
        async with ctx.fail_after(TEN_SECONDS):
            await ctx.step(give, 1)
        return message

    finished = await run(handler)
    assert finished.result == "the durable deadline of 10 s has passed"
    assert finished.named("limit").sub_type == "Deadline"


async def test_an_error_of_the_body_leaves_a_deadline_as_it_is(autojump_clock: MockClock) -> None:
    """Exceptions pass through, also those of clean-up code after the cut; both are in the record as decided."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        result = []
        for seconds in (3600, 1):
            try:
                async with ctx.fail_after(TEN_SECONDS) as deadline:
                    try:
                        await ctx.wait(Duration.seconds(seconds))
                    finally:
                        raise ValueError("clean-up")
            except ValueError as error:
                result.append([str(error), deadline.timed_out])
            await ctx.wait(HOUR)
        return result

    assert (await run(handler)).result == [["clean-up", True], ["clean-up", False]]


async def test_deadlines_at_an_instant(autojump_clock: MockClock) -> None:
    """The ``_at`` forms end at an instant; one that is past cuts the first operation that is not recorded."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        start = timestamp_from_execution(ctx)
        async with ctx.move_on_at(start + timedelta(seconds=10)) as met:
            await ctx.wait(Duration.seconds(8))
        async with ctx.move_on_at(start + timedelta(seconds=10)) as missed:
            await ctx.wait(Duration.seconds(8))
        passed = ctx.now() - start
        async with ctx.move_on_at(start + timedelta(seconds=5)) as past:
            await ctx.step(give, 1, name="never")
        try:
            async with ctx.fail_at(start + timedelta(seconds=5)):
                await ctx.wait(HOUR)
        except DurableTimeoutError as error:
            message = str(error)
        return [met.timed_out, missed.timed_out, past.timed_out, round(passed.total_seconds()), message[:27]]

    finished = await run(handler)
    assert finished.result == [False, True, True, 10, "the durable deadline at 202"]
    assert [o for o in finished.operations if o.name == "never"] == []


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda ctx: ctx.move_on_after(10), TypeError, "Duration"),
        (lambda ctx: ctx.fail_after(Duration.seconds(0)), ValidationError, "1 to 31,622,400"),
        (lambda ctx: ctx.move_on_at(datetime(2030, 1, 1)), ValidationError, "time zone"),
        (lambda ctx: ctx.fail_at("tomorrow"), TypeError, "datetime"),
        (lambda ctx: ctx.move_on_after(SECOND, name=""), ValidationError, "name"),
    ],
)
async def test_wrong_arguments_are_refused_at_once(
    wrong: Any, error: type[Exception], message: str, autojump_clock: MockClock
) -> None:
    """Before an id is taken: the operations after it have the ids that they have without it."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        with pytest.raises(error, match=message):
            wrong(ctx)
        await ctx.step(give, 1)

    finished = await run(handler)
    assert [o.id[:6] for o in finished.operations[1:]] == ["1ced8f"]


async def test_a_deadline_too_far_away_is_refused_on_entry(autojump_clock: MockClock) -> None:
    """How far away an instant is shows when the block is entered; nothing is recorded of it."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        with pytest.raises(ValidationError, match="366 days"):
            async with ctx.move_on_at(datetime(2999, 1, 1, tzinfo=UTC)):
                pass

    assert len((await run(handler)).operations) == 1


async def test_nested_deadlines(autojump_clock: MockClock) -> None:
    """The outer one cuts through the inner one; what was cut from outside has not timed out itself."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        result: list[Any] = []
        async with ctx.move_on_after(HOUR) as outer:
            async with ctx.move_on_after(TEN_SECONDS) as inner:
                await ctx.wait(DAY)
            result.append(inner.timed_out)
            await ctx.step(give, "between")
            async with ctx.move_on_after(DAY) as inner:
                await ctx.wait(Duration.days(2))
            result.append("never")
        result += [inner.timed_out, outer.timed_out]
        await ctx.wait(Duration.days(3))
        return result

    assert (await run(handler)).result == [True, False, True]


async def test_the_outermost_of_two_that_are_over_wins(autojump_clock: MockClock) -> None:
    """When both are over at the same operation, the outer block is left."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.move_on_after(TEN_SECONDS) as outer:
            async with ctx.move_on_after(TEN_SECONDS) as inner:
                await trio.sleep(60)
                await ctx.wait(SECOND)
            await ctx.step(give, "never", name="never")
        await ctx.wait(HOUR)
        return [outer.timed_out, inner.timed_out]

    finished = await run(handler)
    assert finished.result == [True, False]
    assert [o for o in finished.operations if o.name == "never"] == []


async def test_a_callback_may_be_awaited_again_after_the_deadline(autojump_clock: MockClock) -> None:
    """A callback that was created inside outlives the block: remind, and go on waiting."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.move_on_after(Duration.seconds(10)) as deadline:
            callback = await ctx.create_callback(name="approval")
            await callback.result()
        if deadline.timed_out:
            await ctx.step(give, "remind", name="remind")
            async with ctx.move_on_after(HOUR) as second:
                answer = await callback.result()
        return [answer, second.timed_out]

    async def answer_late() -> Any:
        async with driven(handler) as driver:
            started = await driver.service.start_execution("function-under-test", "null", name="run")
            await trio.sleep(60)
            (callback,) = [
                o for o in await driver.service.operations(started.arn) if o.type.value == "CALLBACK"
            ]
            assert isinstance(callback.details, CallbackDetails)
            assert callback.details.callback_id is not None
            await driver.service.callback_succeed(callback.details.callback_id, "yes")
            return await driver.finish(started.arn)

    finished = await answer_late()
    assert finished.result == ["yes", False]
    deadline = next(o for o in finished.operations if o.sub_type == "Deadline")
    # The same id is awaited twice: once to create it, once for its result. The cut was at the second.
    assert '"nth":1' in deadline.details.result


async def test_a_deadline_that_was_met_keeps_nothing_alive(autojump_clock: MockClock) -> None:
    """The execution ends when the handler does, although the deadline's wait still runs."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.move_on_after(Duration.days(30)):
            await ctx.step(give, 1)
        return "done"

    before = trio.current_time()
    with nothing_left():
        finished = await run(handler)
    assert finished.result == "done"
    assert trio.current_time() - before < 60
    assert finished.invocations == ["SUCCEEDED"]


async def test_the_time_goes_on_with_the_deadline(autojump_clock: MockClock) -> None:
    """After a cut ``ctx.now()`` is not earlier than the deadline, and the same on replay."""
    seen: set[str] = set()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        start = ctx.now()
        async with ctx.move_on_after(TEN_SECONDS):
            await ctx.wait(HOUR)
        assert ctx.now() - start >= timedelta(seconds=10)
        seen.add(str(ctx.now()))
        await ctx.wait(HOUR)
        return str(ctx.now() - start > timedelta(hours=1))

    assert (await run(handler)).result == "True"
    assert len(seen) == 1


async def test_ids_after_a_block_do_not_depend_on_it(autojump_clock: MockClock) -> None:
    """Operations and replay-safe values inside have a namespace of their own."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        before = str(ctx.uuid())
        async with ctx.move_on_after(TEN_SECONDS):
            inside = str(ctx.uuid())
            await ctx.step(give, 1)
            await ctx.wait(HOUR)
        after = str(ctx.uuid())
        await ctx.step(give, 2, name="after")
        await ctx.wait(HOUR)
        assert len({before, inside, after}) == 3
        return [before, inside, after]

    finished = await run(handler)
    assert finished.named("after").id.startswith("c5faca")  # the root's second position
    assert (await run(handler)).result[0] != finished.result[0]  # of another execution


async def test_another_verdict_than_recorded_fails_the_execution(autojump_clock: MockClock) -> None:
    """A body that does not come to the operation at which it was cut is not the one that was recorded."""
    runs: list[int] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        runs.append(1)
        async with ctx.move_on_after(TEN_SECONDS):
            if len(runs) < 3:
                await ctx.wait(HOUR)
        await ctx.wait(HOUR)

    finished = await run(handler)
    assert finished.error.type == "NonDeterministicExecutionError"
    assert "cut off at operation" in finished.error.message


async def test_a_deadline_is_entered_once_and_where_it_was_made(autojump_clock: MockClock) -> None:
    """A block belongs to the place where it was made, and is used up by being left."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        deadline = ctx.fail_after(HOUR)
        async with ctx.move_on_after(HOUR):
            with pytest.raises(ContextUseError, match="outside"):
                await deadline.__aenter__()
        async with deadline:
            outside = ctx.step(give, 1)
        with pytest.raises(ContextUseError, match="ended"):
            await outside
        with pytest.raises(ContextUseError, match="once"):
            await deadline.__aenter__()
        before = ctx.step(give, 2)
        async with ctx.move_on_after(HOUR):
            with pytest.raises(ContextUseError, match="outside"):
                await before
        return await before

    assert (await run(handler)).result == 2


async def test_lines_are_logged_once(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    """Before, in and after a block: every line once over the replays, whichever logger it goes to."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        log = ctx.logger
        log.info("before")
        async with ctx.move_on_after(TEN_SECONDS):
            log.info("entered")
            await ctx.wait(SECOND)
            log.info("outer logger inside")
            ctx.logger.info("inner logger")
            await ctx.wait(HOUR)
        log.info("after")
        await ctx.wait(HOUR)
        ctx.logger.info("end")

    await run(handler)
    lines = capsys.readouterr().out
    for message in ("before", "entered", "outer logger inside", "inner logger", "after", "end"):
        assert lines.count(f'"message":"{message}"') + lines.count(f'"message": "{message}"') == 1, message
