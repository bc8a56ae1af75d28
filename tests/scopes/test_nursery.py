"""Durable nurseries: children, values, failures, and who may start what."""

# ruff: noqa: SIM117  # what raises is the end of a block, and blocks stand one per line as users write them

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
    ContextUseError,
    DurableContext,
    Duration,
    NurseryHandle,
    OperationCancelledError,
    OperationStatus,
    StepError,
    ValidationError,
    durable_error,
    durable_execution,
    no_retry,
)

SECOND = Duration.seconds(1)
HOUR = Duration.hours(1)
DAY = Duration.days(1)


@durable_error
class SoldOut(Exception):
    """A business error of these tests."""


async def give(value: Any) -> Any:
    """Return *value*."""
    return value


async def fail(message: str = "broken") -> None:
    """Raise a ValueError."""
    raise ValueError(message)


async def after(ctx: DurableContext, seconds: int, value: Any = None) -> Any:
    """Wait, and return what a step gives."""
    await ctx.wait(Duration.seconds(seconds))
    return await ctx.step(give, value)


async def fail_after(ctx: DurableContext, seconds: int, message: str = "broken") -> None:
    """Wait and fail."""
    await ctx.wait(Duration.seconds(seconds))
    await ctx.step(fail, message, retry=no_retry())


async def test_values_are_there_after_the_block(autojump_clock: MockClock) -> None:
    """Children run at once; the block ends when they all have; handles know value, status, name, id and index."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        before = trio.current_time()
        async with ctx.open_nursery() as nursery:
            slow = nursery.start_soon(after, 5, "slow")
            quick = nursery.start_soon(after, 1, "quick", name="quick one")
            step = nursery.start_soon(ctx.step(give, "step"))
        assert trio.current_time() - before < 30
        assert [slow.index, quick.index, step.index] == [0, 1, 2]
        assert quick.status is OperationStatus.SUCCEEDED
        assert quick.error is None
        assert [slow.name, quick.name, step.name] == ["after", "quick one", "give"]
        assert len({slow.id, quick.id, step.id}) == 3
        return [slow.value, quick.value, step.value]

    with nothing_left():
        assert (await run(handler)).result == ["slow", "quick", "step"]


async def test_a_handle_is_awaited_in_the_body(autojump_clock: MockClock) -> None:
    """``await handle`` waits for that child alone, as often as one likes, also in a block inside the body."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.open_nursery() as nursery:
            quick = nursery.start_soon(after, 1, 1)
            slow = nursery.start_soon(after, 7200, 2)
            first = await quick
            assert await quick == first
            async with ctx.move_on_after(HOUR) as deadline:
                await slow
            async with ctx.move_on_after(Duration.hours(3)):
                second = await slow
        return [first, second, deadline.timed_out, slow.value]

    assert (await run(handler)).result == [1, 2, True, 2]


async def test_ids_are_taken_in_program_order(autojump_clock: MockClock) -> None:
    """Operations of the body and children count together from 1, whatever ends first."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.open_nursery() as nursery:
            handles = [nursery.start_soon(after, 9)]
            await ctx.step(give, 1)
            handles.append(nursery.start_soon(after, 1))
        return [handle.id for handle in handles]

    finished = await run(handler)
    first, second = finished.result
    (step,) = [
        o for o in finished.operations if o.name == "give" and o.parent_id and o.parent_id[:6] == "1ced8f"
    ]
    assert [first[:6], step.id[:6], second[:6]] == ["974bfc", "9d8bc6", "1285fe"]


async def test_one_failure_cancels_the_others(autojump_clock: MockClock) -> None:
    """The group holds the error that awaiting the child would raise; the body is cut at its operation."""
    after_cut: list[str] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        caught = []
        try:
            async with ctx.open_nursery() as nursery:
                done = nursery.start_soon(after, 1, "done")
                lost = nursery.start_soon(after, 3600)
                bad = nursery.start_soon(fail_after, 5)
                await ctx.wait(DAY)
                after_cut.append("went on")
        except* ChildContextError as group:
            caught = [(error.error_type, str(error)) for error in group.exceptions]  # type: ignore[union-attr]
        await ctx.wait(DAY)
        assert isinstance(bad.error, ChildContextError)
        with pytest.raises(OperationCancelledError):
            _ = lost.value
        with pytest.raises(ChildContextError):
            _ = bad.value
        return [caught, done.value, [done.status, lost.status, bad.status]]

    before = trio.current_time()
    finished = await run(handler)
    assert finished.result == [[["ValueError", "broken"]], "done", ["SUCCEEDED", "CANCELLED", "FAILED"]]
    assert trio.current_time() - before < 90_000
    assert not after_cut


async def test_what_was_lost_does_not_begin_again(autojump_clock: MockClock) -> None:
    """After the verdict the record says who had ended; replay neither runs nor asks the others."""
    begun: list[str] = []

    async def endless() -> None:
        begun.append("step")
        await trio.sleep(600)

    async def child(ctx: DurableContext) -> None:
        begun.append("child")
        await ctx.step(give, 1)
        await ctx.wait(DAY)

    async def bad(ctx: DurableContext) -> None:
        await trio.sleep(5)
        raise ValueError("bad")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        try:
            async with ctx.open_nursery() as nursery:
                handles = [
                    nursery.start_soon(ctx.step(endless)),
                    nursery.start_soon(child),
                    nursery.start_soon(ctx.wait(HOUR)),
                    nursery.start_soon(bad),
                ]
        except* ChildContextError:
            pass
        for _ in range(3):
            await ctx.wait(DAY)
        return [handle.status for handle in handles]

    finished = await run(handler)
    assert finished.result == ["CANCELLED", "CANCELLED", "CANCELLED", "FAILED"]
    assert sorted(begun) == ["child", "step"]


async def test_a_failure_while_the_body_is_between_operations(autojump_clock: MockClock) -> None:
    """It is delivered at the next operation, or at the exit; plain code is not interrupted."""
    passed: list[str] = []

    async def bad(ctx: DurableContext) -> None:
        raise ValueError("at once")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        for is_awaiting in (True, False):
            try:
                async with ctx.open_nursery() as nursery:
                    nursery.start_soon(bad)
                    await trio.sleep(10)
                    passed.append("slept")
                    if is_awaiting:
                        await ctx.step(give, 1, name="never")
                        passed.append("never")
                    passed.append("left")
            except* ChildContextError:
                pass
        await ctx.wait(SECOND)

    finished = await run(handler)
    assert finished.status == "SUCCEEDED"
    assert set(passed) == {"slept", "left"}
    verdicts = [o.details.result for o in finished.operations if o.sub_type == "Nursery"]  # type: ignore[union-attr]
    assert '"at":"' in str(verdicts[0])
    assert verdicts[1] == '{"failed":0,"at":null,"ended":[0]}'


async def test_an_error_of_the_body_cancels_the_children(autojump_clock: MockClock) -> None:
    """It comes in a group, as Trio's does; registered errors come as themselves; replay raises the same."""

    async def selling(ctx: DurableContext) -> None:
        await ctx.step(sell, retry=no_retry())

    async def sell() -> None:
        raise SoldOut("none left")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        result: list[Any] = []
        try:
            async with ctx.open_nursery() as nursery:
                child = nursery.start_soon(after, 3600)
                await ctx.step(give, 1)
                raise KeyError("body")
        except* KeyError as group:
            result += [repr(group.exceptions[0]), child.status]
        try:
            async with ctx.open_nursery() as nursery:
                nursery.start_soon(selling)
        except* SoldOut as group:
            result.append(str(group.exceptions[0]))
        await ctx.wait(HOUR)
        return result

    assert (await run(handler)).result == ["KeyError('body')", "CANCELLED", "none left"]


async def test_a_failed_operation_of_the_body_fails_the_nursery(autojump_clock: MockClock) -> None:
    """An operation that the body awaits raises there, like everywhere."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        try:
            async with ctx.open_nursery() as nursery:
                child = nursery.start_soon(after, 3600)
                await ctx.step(fail, retry=no_retry())
        except* StepError as group:
            result = [str(group.exceptions[0]), child.status]
        return result

    finished = await run(handler)
    assert finished.result == ["broken", "CANCELLED"]


async def test_a_group_that_leaves_the_handler_names_the_leaves(autojump_clock: MockClock) -> None:
    """It is recorded as an ExceptionGroup, with the children's errors in its data."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.open_nursery() as nursery:
            nursery.start_soon(fail_after, 1, "this one")

    error = (await run(handler)).error
    assert error.type == "ExceptionGroup"
    assert error.message == "errors in a durable nursery"
    assert "this one" in error.data


async def test_children_open_their_own_nurseries(autojump_clock: MockClock) -> None:
    """A nursery cannot be used from its children, from another task, from a block in its body, or after it."""
    refused: list[str] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.open_nursery() as nursery:

            async def child(inner: DurableContext) -> int:
                with pytest.raises(ContextUseError, match="only the body of the nursery") as error:
                    nursery.start_soon(after, 1)
                refused.append(str(error.value))
                with pytest.raises(ContextUseError, match="only the body"):
                    await first
                async with inner.open_nursery() as own:
                    grand = own.start_soon(after, 1, "grandchild")
                return len(grand.value)

            first = nursery.start_soon(after, 1)
            second = nursery.start_soon(child)
            with pytest.raises(ContextUseError, match="before the nursery's block is left"):
                _ = second.status
            async with ctx.move_on_after(HOUR):
                with pytest.raises(ContextUseError, match="a block inside its body"):
                    nursery.start_soon(after, 1)
        with pytest.raises(ContextUseError, match="not open"):
            nursery.start_soon(after, 1)
        assert await first == first.value
        return second.value

    assert (await run(handler)).result == 10
    assert "ctx.open_nursery()" in refused[0]


async def test_wrong_arguments(autojump_clock: MockClock) -> None:
    """Refused at once, before an id is taken."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        outside = ctx.step(give, 1)
        async with ctx.open_nursery() as nursery:
            with pytest.raises(ValidationError, match="fn"):
                nursery.start_soon(5)  # type: ignore[call-overload]
            with pytest.raises(ValidationError, match="name"):
                nursery.start_soon(after, 1, name="\n")
            with pytest.raises(ContextUseError, match="another context"):
                nursery.start_soon(outside)
            step = ctx.step(give, 2)
            with pytest.raises(ValidationError, match="belong to a function"):
                nursery.start_soon(step, name="x")  # type: ignore[call-overload]
            handle = nursery.start_soon(step)
            with pytest.raises(ContextUseError, match="already"):
                nursery.start_soon(step)
        return [handle.value, handle.id[:6], await outside]

    assert (await run(handler)).result == [2, "9b9a56", 1]


async def test_an_unused_nursery_writes_nothing(autojump_clock: MockClock) -> None:
    """Neither does one that fails without having been used; its place is taken all the same."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.open_nursery():
            pass
        with pytest.raises(ExceptionGroup):
            async with ctx.open_nursery():
                raise ValueError("unused")
        await ctx.step(give, 1)
        await ctx.wait(SECOND)

    finished = await run(handler)
    assert [o.id[:6] for o in finished.operations[1:]] == ["6f760b", "e8e70d"]


async def test_a_wait_that_runs_in_the_background_can_be_cancelled(autojump_clock: MockClock) -> None:
    """``ctx.cancel_wait`` ends a wait that was started in the nursery."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        before = ctx.now()
        async with ctx.open_nursery() as nursery:
            wait = ctx.wait(DAY)
            nursery.start_soon(wait)
            await ctx.wait(SECOND)
            await ctx.cancel_wait(wait)
        await ctx.step(give, 1)
        return (ctx.now() - before).total_seconds() < 3600

    assert (await run(handler)).result is True


async def test_an_agent_that_fans_out_reads_and_fans_out_again(autojump_clock: MockClock) -> None:
    """How many children there are may depend on what the ones before have found."""

    async def explore(ctx: DurableContext, depth: int) -> int:
        return int(await after(ctx, 1 + depth, depth))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        found = [0]
        async with ctx.open_nursery() as nursery:
            for _ in range(3):
                handles = [nursery.start_soon(explore, depth + 1) for depth in found for _ in range(2)]
                found = [await handle for handle in handles]
                await ctx.step(give, len(found))
        return found

    finished = await run(handler)
    assert finished.result == [3] * 8
    assert len([o for o in finished.operations if o.sub_type == "RunInChildContext"]) == 14


async def test_handles_of_a_nursery_that_was_cut_have_no_values(autojump_clock: MockClock) -> None:
    """What had ended when something further out cut depends on timing; so nothing is known of any child."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.move_on_after(HOUR) as deadline:
            async with ctx.open_nursery() as nursery:
                done = nursery.start_soon(after, 1, 1)
                lost = nursery.start_soon(after, 86_400)
                value = await done
        await ctx.wait(DAY)
        return [value, deadline.timed_out, done.status, lost.status]

    assert (await run(handler)).result == [1, True, "CANCELLED", "CANCELLED"]


async def test_a_changed_body_is_noticed(autojump_clock: MockClock) -> None:
    """A body that goes another way than recorded fails the execution."""

    async def bad(ctx: DurableContext) -> None:
        raise ValueError("bad")

    changes: dict[str, Any] = {
        "no longer cut": (True, False),
        "now fails": (False, True),
    }
    for fails_first, fails_then in changes.values():
        runs: list[int] = []

        @durable_execution
        async def handler(
            event: Any,
            ctx: DurableContext,
            runs: list[int] = runs,
            ways: tuple[bool, bool] = (fails_first, fails_then),
        ) -> Any:
            runs.append(1)
            try:
                async with ctx.open_nursery() as nursery:
                    nursery.start_soon(after, 1)
                    if ways[len(runs) > 2]:
                        await ctx.step(give, 1)
                        raise ValueError("body")
                    await ctx.step(give, 1)
            except* ValueError:
                pass
            await ctx.wait(DAY)
            await ctx.wait(DAY)

        finished = await run(handler)
        assert finished.error.type == "NonDeterministicExecutionError", finished.error


async def test_a_hundred_children(autojump_clock: MockClock) -> None:
    """Nothing is special about many; they share their calls to the service."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        async with ctx.open_nursery() as nursery:
            handles = [nursery.start_soon(after, 1 + n % 3, n) for n in range(100)]
        return sum(handle.value for handle in handles)

    finished = await run(handler)
    assert finished.result == sum(range(100))
    assert len(finished.calls) < 25


async def test_any_operation_runs_as_a_child(autojump_clock: MockClock) -> None:
    """A callback's answer, a map, a race, a virtual context: what can be awaited can be started."""

    async def item(ctx: DurableContext, item: int, index: int) -> int:
        return int(await after(ctx, 1, item * 2))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        outer = await ctx.create_callback(name="outer")
        async with ctx.open_nursery() as nursery:
            inner = await ctx.create_callback(name="inner")
            answers = [nursery.start_soon(callback.result()) for callback in (outer, inner)]
            batch = nursery.start_soon(ctx.map([1, 2], item))
            race = nursery.start_soon(ctx.race([ctx.wait(HOUR), ctx.step(give, "first")]))
            virtual = nursery.start_soon(ctx.run_in_child_context(after, 1, "virtual", virtual=True))
            first = await answers[1]
            await ctx.wait(DAY)
        values = [answer.value for answer in answers]
        return [first, values, batch.value.results(), race.value, virtual.value]

    finished = await run(handler, answers={"outer": "o", "inner": "i"})
    assert finished.result == ["i", ["o", "i"], [2, 4], "first", "virtual"]


async def test_a_failure_of_what_has_no_record_of_its_own(autojump_clock: MockClock) -> None:
    """A virtual context that fails comes back from its operations, on every replay."""

    async def virtual(ctx: DurableContext) -> None:
        await fail_after(ctx, 2, "virtual")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        result: list[Any] = []
        try:
            async with ctx.open_nursery() as nursery:
                handles: list[NurseryHandle[Any]] = [
                    nursery.start_soon(ctx.run_in_child_context(virtual, virtual=True)),
                    nursery.start_soon(ctx.all([ctx.step(give, 1), ctx.wait(SECOND)])),
                    nursery.start_soon(after, 3600),
                ]
        except* StepError as group:
            result.append([str(error) for error in group.exceptions])
        for _ in range(2):
            await ctx.wait(DAY)
        return [*result, [handle.status for handle in handles], handles[1].value]

    finished = await run(handler)
    assert finished.result == [["virtual"], ["FAILED", "SUCCEEDED", "CANCELLED"], [1, None]]
