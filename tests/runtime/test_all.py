"""``ctx.all``: several operations at once, one verdict that is recorded."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import trio
from support.runs import run
from trio.testing import MockClock

from durable_trio import (
    ChildContextError,
    ContextUseError,
    DurableContext,
    Duration,
    OperationCancelledError,
    StepError,
    ValidationError,
    durable_error,
    durable_execution,
    fixed_delay,
    no_retry,
)


@durable_error
class OutOfMilk(Exception):
    """A business error of these tests."""


async def give(value: Any) -> Any:
    """Return *value*."""
    return value


async def slow(seconds: float, value: Any) -> Any:
    """Return *value* after a while."""
    await trio.sleep(seconds)
    return value


async def fail(seconds: float, message: str) -> None:
    """Raise a ValueError after a while."""
    await trio.sleep(seconds)
    raise ValueError(message)


async def test_values_come_in_the_order_given(autojump_clock: MockClock) -> None:
    """Operations run at once; a tuple gives a tuple, anything else a list, nothing gives an empty list."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        before = trio.current_time()
        pair = await ctx.all((ctx.step(slow, 5, "a"), ctx.step(slow, 1, "b")))
        many = await ctx.all(ctx.step(slow, 3, n) for n in range(3))
        none: list[Any] = await ctx.all([])
        assert isinstance(pair, tuple)
        assert trio.current_time() - before == pytest.approx(8, abs=0.5)
        return [list(pair), many, none]

    assert (await run(handler)).result == [["a", "b"], [0, 1, 2], []]


async def test_success_records_nothing_of_its_own(autojump_clock: MockClock) -> None:
    """When everything succeeds the operations' own records are enough, and they travel together."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.all([ctx.step(give, 1), ctx.step(give, 2)])

    finished = await run(handler)

    (call,) = finished.calls
    assert sorted(str(update.action) for update in call.updates) == ["START", "START", "SUCCEED", "SUCCEED"]
    assert finished.event_types.count("ContextStarted") == 0


async def test_ids_after_it_do_not_depend_on_its_outcome(autojump_clock: MockClock) -> None:
    """``all`` takes an id whether or not it records anything, so what follows keeps its place."""
    ids: list[list[str]] = []

    async def either(will_fail: bool) -> None:
        if will_fail:
            raise ValueError("no")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        with contextlib.suppress(StepError):
            await ctx.all([ctx.step(either, event, retry=no_retry()), ctx.step(give, 1)])
        after = ctx.step(give, 2)
        ids.append([after.id])
        await after
        await ctx.wait(Duration.seconds(1))

    await run(handler, True)
    await run(handler, False)

    assert len(ids) == 4
    assert all(entry == ids[0] for entry in ids)


async def test_the_first_failure_is_raised_and_recorded(autojump_clock: MockClock) -> None:
    """The first failure cancels the others; replay raises the same error and runs none of them again."""
    seen: list[Any] = []
    cut: list[str] = []

    async def loser() -> None:
        try:
            await trio.sleep(50)
        finally:
            cut.append("loser")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.all(
                [
                    ctx.step(loser),
                    ctx.step(fail, 2, "second", retry=no_retry()),
                    ctx.step(fail, 1, "first", name="culprit", retry=no_retry()),
                    ctx.wait(Duration.days(3)),
                ]
            )
        except StepError as error:
            seen.append((str(error), error.error_type, error.operation_name, error.operation_id))
        await ctx.wait(Duration.seconds(1))
        return "went on"

    before = trio.current_time()
    finished = await run(handler)

    assert finished.result == "went on"
    assert trio.current_time() - before < 5
    assert seen == [seen[0]] * 2
    assert seen[0][:3] == ("first", "ValueError", "culprit")
    assert cut == ["loser"]
    verdict = next(call for call in finished.calls if "CONTEXT" in str(call))
    assert [str(u.action) for u in verdict.updates if u.type == "CONTEXT"] == ["START", "FAIL"]


async def test_a_failure_after_a_suspension_is_a_verdict_too(autojump_clock: MockClock) -> None:
    """A branch that fails in a later invocation decides then; replay after that obeys."""
    seen: list[str] = []
    runs: list[str] = []

    async def late(ctx: DurableContext) -> None:
        runs.append("late")
        await ctx.wait(Duration.hours(1))
        raise ValueError("an hour later")

    async def longer(ctx: DurableContext) -> None:
        runs.append("longer")
        await ctx.wait(Duration.days(1))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.all([ctx.run_in_child_context(late), ctx.run_in_child_context(longer)])
        except ChildContextError as error:
            seen.append(str(error))
        await ctx.wait(Duration.seconds(1))
        return "done"

    before = trio.current_time()
    finished = await run(handler)

    assert finished.result == "done"
    assert trio.current_time() - before < 4000
    assert seen == ["an hour later"] * 2
    assert sorted(runs) == ["late", "late", "longer", "longer"]


async def test_registered_errors_come_out_as_themselves(autojump_clock: MockClock) -> None:
    """A ``@durable_error`` decides an ``all`` as itself, on the first run and on replay."""
    seen: list[Any] = []

    async def sold_out() -> None:
        raise OutOfMilk("two cartons")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.all([ctx.step(sold_out, retry=no_retry()), ctx.wait(Duration.days(1))])
        except OutOfMilk as error:
            seen.append(error.args)
        await ctx.wait(Duration.seconds(1))

    assert (await run(handler)).status == "SUCCEEDED"
    assert seen == [("two cartons",)] * 2


async def test_a_virtual_context_may_decide(autojump_clock: MockClock) -> None:
    """The error of a virtual context, which has no record, decides an ``all`` the same way on replay."""
    seen: list[type[Exception]] = []

    async def virtual(ctx: DurableContext) -> None:
        await ctx.step(give, 1)
        raise LookupError("virtual")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.all([ctx.run_in_child_context(virtual, virtual=True), ctx.wait(Duration.days(1))])
        except LookupError as error:
            seen.append(type(error))
        await ctx.wait(Duration.seconds(1))

    finished = await run(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert seen == [LookupError] * 2


async def test_losers_may_be_asked_again(autojump_clock: MockClock) -> None:
    """A wait that lost may be awaited again, an ended operation gives its outcome, a cut one says so.

    All of it the same on the first run and on replay.
    """
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        wait, done = ctx.wait(Duration.hours(1)), ctx.step(give, "done")
        cut, culprit = ctx.step(slow, 60, "cut"), ctx.step(fail, 1, "no", retry=no_retry())
        answers: list[Any] = []
        try:
            await ctx.all([wait, done, cut, culprit])
        except StepError as error:
            answers.append(str(error))
        try:
            await culprit
        except StepError as error:
            answers.append(str(error))
        answers.append(await done)
        try:
            await cut
        except OperationCancelledError as error:
            answers.append(str(error))
        seen.append(answers)
        await wait
        return "an hour later"

    before = trio.current_time()
    finished = await run(handler)

    assert finished.result == "an hour later"
    assert trio.current_time() - before == pytest.approx(3600, abs=2)
    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert seen[0][:3] == ["no", "no", "done"]
    assert "was cancelled" in seen[0][3]


async def test_unrecorded_losers_may_be_asked_again(autojump_clock: MockClock) -> None:
    """An inner ``all`` that had succeeded when the outer one failed gives its values, on replay as well."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        inner = ctx.all([ctx.step(give, 1), ctx.step(give, 2)])
        with pytest.raises(StepError):
            await ctx.all([inner, ctx.step(fail, 1, "no", retry=no_retry())])
        seen.append(await inner)
        await ctx.wait(Duration.seconds(1))

    finished = await run(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert seen == [[1, 2]] * 2


async def test_nested_alls(autojump_clock: MockClock) -> None:
    """An ``all`` in an ``all``: the innermost first failure comes out, without a group, first and on replay."""
    seen: list[str] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        inner = ctx.all([ctx.step(fail, 1, "inner", retry=no_retry()), ctx.wait(Duration.days(1))])
        try:
            await ctx.all([inner, ctx.step(slow, 30, 1)])
        except StepError as error:
            seen.append(str(error))
        await ctx.wait(Duration.seconds(1))

    finished = await run(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert seen == ["inner"] * 2


async def test_a_suspended_operation_is_neither(autojump_clock: MockClock) -> None:
    """Waits and retries of some operations suspend the whole; nothing is decided by that."""
    attempts: list[int] = []

    async def flaky() -> str:
        attempts.append(1)
        if len(attempts) < 3:
            raise OSError("again")
        return "third time"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.all(
            [
                ctx.wait(Duration.minutes(1)),
                ctx.step(flaky, retry=fixed_delay(Duration.minutes(10), max_attempts=5)),
                ctx.step(give, 3),
            ]
        )

    finished = await run(handler)

    assert finished.result == [None, "third time", 3]
    assert len(attempts) == 3


async def test_cleanup_errors_of_losers_are_no_outcome(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a loser's clean-up raises, even beside ``Cancelled`` in a group, does not replace the first failure."""

    async def fails_cleaning_up() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise KeyError("clean-up")

    async def messy(ctx: DurableContext) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails_cleaning_up)
            await ctx.wait(Duration.hours(1))

    async def messy_body() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails_cleaning_up)
            nursery.start_soon(fails_cleaning_up)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.all(
            [
                ctx.run_in_child_context(messy),
                ctx.step(messy_body),
                ctx.step(fail, 1, "the first", retry=no_retry()),
            ]
        )

    finished = await run(handler)

    assert (finished.error.type, finished.error.message) == ("ValueError", "the first")
    assert "KeyError('clean-up')" in capsys.readouterr().out


async def test_what_all_refuses(autojump_clock: MockClock) -> None:
    """Anything but unawaited operations of this very context is refused when ``all`` is called."""
    messages: list[str] = []

    async def child(ctx: DurableContext, parent: DurableContext, foreign: Any) -> None:
        with pytest.raises(ContextUseError) as refused:
            ctx.all([foreign])
        messages.append(str(refused.value))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        step = ctx.step(give, 1)
        with pytest.raises(ContextUseError, match="given to"):
            ctx.all([step, step])
        coroutine = give(1)
        mistake: Any = [coroutine]
        with pytest.raises(ValidationError, match="without awaiting"):
            ctx.all(mistake)
        coroutine.close()
        await ctx.run_in_child_context(child, ctx, ctx.step(give, 2))
        assert await step == 1  # what was refused changed nothing

    finished = await run(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert "another context" in messages[0]
