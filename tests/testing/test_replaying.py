"""Recorded histories replayed over the code of today."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from testing.histories_support import recorded

from durable_trio import (
    CompletionConfig,
    ConfigurationError,
    DurableContext,
    Duration,
    InvocationError,
    NestingType,
    StepError,
    StepSemantics,
    ValidationError,
    durable_execution,
    fixed_delay,
    no_retry,
)
from durable_trio.testing.histories import History
from durable_trio.testing.replaying import (
    ReplayDivergenceError,
    ReplayReport,
    replay_history,
    replay_history_sync,
)
from durable_trio.testing.replaying_points import default_max_points

BODIES: list[str] = []
"""The bodies that ran."""


async def reserve(order: str) -> str:
    """Reserve."""
    BODIES.append("reserve")
    return f"reserved {order}"


async def charge(order: str) -> str:
    """Charge."""
    BODIES.append("charge")
    return f"charged {order}"


async def label(child: DurableContext, item: str, index: int) -> str:
    """Label an item, in two steps."""
    text: str = await child.step(reserve, item)
    await child.wait(Duration.seconds(5))
    return await child.step(charge, f"{index} {text}")


async def shipping(child: DurableContext, order: str) -> list[str]:
    """Ship, in a child context."""
    await child.step(reserve, order)
    batch = await child.map(["a", "b"], label, name="labels")
    return batch.results()


@durable_execution
async def order(event: Any, ctx: DurableContext) -> dict[str, Any]:
    """The workflow under test, as it was when it was recorded."""
    first = await ctx.step(reserve, event["id"])
    await ctx.wait(Duration.hours(1), name="cool off")
    shipped = await ctx.run_in_child_context(shipping, event["id"], name="shipping")
    last = await ctx.step(charge, event["id"], semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY)
    return {"first": first, "shipped": shipped, "last": last, "at": ctx.now().isoformat()}


async def history_of_order() -> History:
    """Return the history of one order."""
    return await recorded(order, {"id": "o1"})


async def diverges(handler: Any, history: History) -> ReplayDivergenceError:
    """Return how *handler* differs; fails the test if it does not."""
    with pytest.raises(ReplayDivergenceError) as caught:
        await replay_history(handler, history)
    return caught.value


# --- what agrees -----------------------------------------------------------------------------------------


async def test_unchanged_code_replays(autojump_clock: trio.testing.MockClock) -> None:
    """A handler replays its own history, from every point, and no body of a step runs."""
    history = await history_of_order()
    BODIES.clear()

    report = await replay_history(order, history)

    assert BODIES == []
    labels = [point.label for point in report.points]
    assert labels[0] == "the start of invocation 1"
    assert labels[-1] == "the end"
    assert "the moment before RunInChildContext 'shipping' was closed" in labels
    assert report.left_out == 0
    assert report.operations == 14


def test_replays_without_a_trio_run(tmp_path: Path) -> None:
    """The sync spelling makes a Trio run of its own, and reads a file."""

    async def keep() -> None:
        (await history_of_order()).save(tmp_path / "order.json")

    trio.run(keep, clock=trio.testing.MockClock(autojump_threshold=0))

    report = replay_history_sync(order, tmp_path / "order.json")

    assert isinstance(report, ReplayReport)
    assert str(report).startswith("14 operations, replayed from ")


@pytest.mark.parametrize("seed", range(5))
async def test_seeds_change_nothing(seed: int, autojump_clock: trio.testing.MockClock) -> None:
    """A replay gives the same whatever Trio's order of tasks."""
    await replay_history(order, await history_of_order(), seed=seed)


@durable_execution
async def everything(event: Any, ctx: DurableContext) -> Any:
    """Uses each kind of operation that there is, failing ones too."""

    async def flaky() -> str:
        BODIES.append("flaky")
        if len([body for body in BODIES if body == "flaky"]) < 3:
            raise ValueError("not yet")
        return "at last"

    async def broken() -> None:
        raise ValueError("never")

    async def poll(state: int) -> int:
        return state + 1

    async def submit(callback_id: str) -> None:
        BODIES.append(callback_id)

    async def virtual(child: DurableContext) -> str:
        return await child.step(reserve, "virtual")

    async def big(child: DurableContext) -> str:
        text: str = await child.step(lambda: "x" * 300_000, name="big step")
        return text + text

    async def plain(child: DurableContext, item: int, index: int) -> int:
        await child.wait(Duration.seconds(item))
        await child.step(reserve, str(index))
        return item

    first = await ctx.step(flaky, retry=fixed_delay(Duration.seconds(3), max_attempts=5))
    try:
        await ctx.step(broken, retry=no_retry())
    except StepError as error:
        first += str(error)
    polled = await ctx.wait_for_condition(
        poll, initial_state=0, until=lambda state: state > 3, interval=Duration.seconds(2)
    )
    answer = await ctx.wait_for_callback(submit, name="approval", timeout=Duration.hours(1))
    early = await ctx.map(
        [1, 50, 2], plain, name="early", completion=CompletionConfig(min_successful=2), max_concurrency=3
    )
    flat = await ctx.map([1, 2], plain, name="flat", nesting=NestingType.FLAT)
    both = await ctx.all([ctx.step(reserve, "1"), ctx.run_in_child_context(virtual, virtual=True)])
    try:
        await ctx.all([ctx.step(broken, retry=no_retry(), name="b1"), ctx.wait(Duration.hours(1))])
    except StepError as error:
        first += str(error)
    size = len(await ctx.run_in_child_context(big))
    random = ctx.random().random()
    return [first, polled, answer, early.success_count, flat.results(), both, size, str(ctx.uuid()), random]


async def test_every_operation_replays(autojump_clock: trio.testing.MockClock) -> None:
    """Retries, polls, callbacks, early decisions, flat items, big results: all replay from every point."""
    BODIES.clear()
    history = await recorded(everything, answers={"approval create callback id": '"yes"'})
    assert history.status == "SUCCEEDED", history.error
    BODIES.clear()

    report = await replay_history(everything, history)

    assert BODIES == []
    assert len(report.points) > 15


async def test_a_failed_execution_replays(autojump_clock: trio.testing.MockClock) -> None:
    """A handler that failed has to fail again, with the same error."""

    @durable_execution
    async def fails(event: Any, ctx: DurableContext) -> None:
        await ctx.wait(Duration.seconds(1))
        raise LookupError(f"no {event}")

    history = await recorded(fails, "stock")
    await replay_history(fails, history)

    @durable_execution
    async def fails_otherwise(event: Any, ctx: DurableContext) -> None:
        await ctx.wait(Duration.seconds(1))
        raise LookupError("nothing")

    error = await diverges(fails_otherwise, history)
    assert "failed with another error" in error.difference
    assert "no stock" in error.difference


async def test_an_unfinished_history_replays(autojump_clock: trio.testing.MockClock) -> None:
    """What has not ended in the history stays so: the replay comes to rest there."""
    history = await history_of_order()
    for until in range(1, len(history.events)):
        await replay_history(order, History(history.events[:until], history.execution_arn))
    assert History(history.events[:5], history.execution_arn).status == "RUNNING"


async def test_max_points_keeps_the_end(autojump_clock: trio.testing.MockClock) -> None:
    """With fewer points the end is still replayed, and the report says what was left out."""
    report = await replay_history(order, await history_of_order(), max_points=1)

    assert [point.label for point in report.points] == ["the end"]
    assert report.left_out > 5
    assert "left out" in str(report)


async def test_a_long_history_is_replayed_from_fewer_points(autojump_clock: trio.testing.MockClock) -> None:
    """By default a replay goes over about 100,000 operations in all; at least 1 point may be asked for."""

    @durable_execution
    async def long(event: Any, ctx: DurableContext) -> None:
        async def item(child: DurableContext, value: int, index: int) -> None:
            await child.run_in_child_context(nothing)

        async def nothing(child: DurableContext) -> None:
            await trio.lowlevel.checkpoint()

        await ctx.map(list(range(1000)), item)

    history = await recorded(long)

    assert default_max_points(history) == 49
    assert default_max_points(await history_of_order()) == 200
    report = await replay_history(long, history, max_points=2)
    assert len(report.points) == 2
    with pytest.raises(ValidationError, match="max_points must be at least 1, not 0"):
        await replay_history(long, history, max_points=0)
    with pytest.raises(ConfigurationError, match="handler must be made by @durable_execution"):
        await replay_history(item_of_nothing, history)  # type: ignore[arg-type]  # the mistake under test


async def item_of_nothing(event: Any, ctx: DurableContext) -> None:
    """Lack the decorator."""


@pytest.mark.parametrize("how", ["complete", "fail", "big", "big failure"])
async def test_executions_that_end_by_an_update_replay(
    how: str, autojump_clock: trio.testing.MockClock
) -> None:
    """What ends early, or is too big for an answer, is compared with the update that ended it."""
    word = ["x"]

    @durable_execution
    async def ends(event: Any, ctx: DurableContext) -> str:
        await ctx.step(reserve, "1")
        if how == "complete":
            await ctx.complete(word[0])
        if how == "fail":
            await ctx.fail(LookupError(word[0]))
        if how == "big failure":
            raise LookupError(word[0] * 7_000_000)
        return '"' * 3_000_000 + word[0]  # takes twice the room in the answer

    history = await recorded(ends)
    await replay_history(ends, history)

    word[0] = "y"
    if how != "big failure":  # what was cut off of the message is not compared
        assert "another" in (await diverges(ends, history)).difference


async def test_a_cancelled_wait_replays(autojump_clock: trio.testing.MockClock) -> None:
    """A wait that the program cancels is cancelled again, at every point."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        async with ctx.open_nursery() as nursery:
            wait = ctx.wait(Duration.days(9), name="long")
            nursery.start_soon(wait)
            await ctx.step(reserve, "1")
            await ctx.cancel_wait(wait)
        return "done"

    await replay_history(handler, await recorded(handler))


# --- what differs ----------------------------------------------------------------------------------------


def changed(body: Any) -> Any:
    """Return a handler that runs *body* instead."""
    return durable_execution(body)


async def test_a_renamed_step_is_found(autojump_clock: trio.testing.MockClock) -> None:
    """Another explicit name is a difference; the report names operation, line and both names."""
    history = await history_of_order()

    async def renamed(event: Any, ctx: DurableContext) -> Any:
        await ctx.step(reserve, event["id"])
        await ctx.wait(Duration.hours(1), name="cool down")

    error = await diverges(changed(renamed), history)

    assert "name: recorded 'cool off', now 'cool down'" in error.difference
    assert error.operation_name == "cool down"
    assert error.line is not None
    assert error.line.filename == __file__
    assert error.line.text == 'await ctx.wait(Duration.hours(1), name="cool down")'
    assert error.line.text in str(error)


async def test_an_added_operation_is_found(autojump_clock: trio.testing.MockClock) -> None:
    """An operation that the finished execution never had is new code."""
    history = await history_of_order()

    async def longer(event: Any, ctx: DurableContext) -> Any:
        result = await order.fn(event, ctx)
        await ctx.step(reserve, "one more", name="extra")
        return result

    error = await diverges(changed(longer), history)

    assert "step 'extra' is new" in error.difference
    assert error.line is not None
    assert 'name="extra"' in error.line.text


async def test_a_removed_operation_is_found(autojump_clock: trio.testing.MockClock) -> None:
    """An operation that was recorded, and is not asked for any more, is a difference."""
    history = await history_of_order()

    async def shorter(event: Any, ctx: DurableContext) -> Any:
        return await ctx.step(reserve, event["id"])

    error = await diverges(changed(shorter), history)

    assert "'cool off' is recorded, but was not asked for" in error.difference


async def test_two_steps_in_another_order_are_found(autojump_clock: trio.testing.MockClock) -> None:
    """Operations that changed places are pointed at as such."""

    @durable_execution
    async def pair(event: Any, ctx: DurableContext) -> list[str]:
        names = ["left", "right"] if event == "first" else ["right", "left"]
        return [await ctx.step(reserve, name, name=name) for name in names]

    history = await recorded(pair, "first")
    text = json.dumps(history.to_document()).replace('\\"first\\"', '\\"second\\"')

    error = await diverges(pair, History.from_document(json.loads(text)))

    assert "name: recorded 'left', now 'right'" in error.difference
    assert "the order has changed" in error.difference


async def test_a_change_inside_a_finished_context_is_found(autojump_clock: trio.testing.MockClock) -> None:
    """The bodies of contexts are replayed, too, although at the end their results stand for them."""

    @durable_execution
    async def outer(event: Any, ctx: DurableContext) -> Any:
        return await ctx.run_in_child_context(inner, name="inner")

    async def inner(child: DurableContext) -> str:
        await child.step(reserve, "1")
        await child.step(reserve, "2", name=names[0])
        return "done"

    names = ["one"]
    history = await recorded(outer)
    await replay_history(outer, history)

    names[0] = "two"
    error = await diverges(outer, history)

    assert "name: recorded 'one', now 'two'" in error.difference
    assert "before RunInChildContext 'inner' was closed" in str(error)


async def test_another_result_of_a_context_is_found(autojump_clock: trio.testing.MockClock) -> None:
    """A context that computes something else from the same records is a difference."""
    value = ["recorded"]

    async def inner(child: DurableContext) -> str:
        await child.step(reserve, "1")
        return value[0]

    @durable_execution
    async def outer(event: Any, ctx: DurableContext) -> Any:
        return await ctx.run_in_child_context(inner, name="inner")

    history = await recorded(outer)
    value[0] = "changed"

    error = await diverges(outer, history)

    assert (
        error.difference
        == 'RunInChildContext \'inner\' ends differently:\nrecorded "recorded"\nnow      "changed"'
    )


async def test_another_result_is_found(autojump_clock: trio.testing.MockClock) -> None:
    """A handler that returns something else from the same records is a difference."""
    history = await history_of_order()

    async def tweaked(event: Any, ctx: DurableContext) -> Any:
        return {**(await order.fn(event, ctx)), "version": 2}

    error = await diverges(changed(tweaked), history)

    assert error.difference.startswith("the handler returned another result:")
    assert error.point.is_end


async def test_an_end_of_another_kind_is_found(autojump_clock: trio.testing.MockClock) -> None:
    """Failing where it succeeded, succeeding where it failed, and not ending are differences."""
    mode = ["return"]

    @durable_execution
    async def ends(event: Any, ctx: DurableContext) -> str:
        await ctx.step(reserve, "1")
        if mode[0] == "fail":
            raise LookupError("gone")
        return "ok"

    returned = await recorded(ends)
    mode[0] = "fail"
    failed = await recorded(ends)

    error = await diverges(ends, returned)
    assert (
        error.difference == "the handler failed with LookupError: gone, but the recorded execution succeeded"
    )
    mode[0] = "return"
    error = await diverges(ends, failed)
    assert (
        error.difference
        == 'the handler returned "ok", but the recorded execution failed with LookupError: gone'
    )


async def test_an_invocation_that_raises_is_found(autojump_clock: trio.testing.MockClock) -> None:
    """At the end of a finished history an invocation must not be given back to Lambda."""
    history = await history_of_order()

    async def gives_back(event: Any, ctx: DurableContext) -> Any:
        result = await order.fn(event, ctx)
        raise InvocationError(f"try again: {result}")

    error = await diverges(changed(gives_back), history)

    assert error.difference.startswith("the invocation raised InvocationError(")
    assert error.point.is_end


async def test_a_handler_that_waits_for_ever_is_found(autojump_clock: trio.testing.MockClock) -> None:
    """A handler that awaits again what is over does end; one that awaits what never was recorded does not."""
    history = await history_of_order()

    async def waits(event: Any, ctx: DurableContext) -> Any:
        result = await order.fn(event, ctx)
        callback = await ctx.create_callback(name="never")
        return result, await callback.result()

    error = await diverges(changed(waits), history)

    assert "callback 'never' is new" in error.difference
    assert any("does not end" in other for other in error.others)


async def test_a_handler_that_blocks_is_found(autojump_clock: trio.testing.MockClock) -> None:
    """A replay that does not come to rest is given up."""
    history = await history_of_order()

    async def stuck(event: Any, ctx: DurableContext) -> None:
        await trio.sleep_forever()

    error = await diverges(changed(stuck), history)

    assert "did not come to rest within 60 seconds" in error.difference
