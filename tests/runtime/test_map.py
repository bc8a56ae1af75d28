"""``ctx.map``: a sliding window of items, a decision that is recorded, and results that come back."""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from typing import Any

import pytest
import trio
from support.runs import run
from trio.testing import MockClock

from durable_trio import (
    BatchItem,
    BatchItemStatus,
    BatchResult,
    ChildContextError,
    CompletionConfig,
    CompletionReason,
    DurableContext,
    Duration,
    MapConfig,
    MapError,
    StepError,
    custom_serdes,
    durable_execution,
    no_retry,
    pass_through,
)

flavour: ContextVar[str] = ContextVar("flavour", default="none")


async def give(value: Any) -> Any:
    """Return *value*."""
    return value


async def fail_after(seconds: float, message: str = "failed") -> None:
    """Raise a ValueError after a while."""
    await trio.sleep(seconds)
    raise ValueError(message)


def shape(batch: BatchResult[Any]) -> Any:
    """Return everything that a program may look at in a batch."""
    return (
        [(i.index, str(i.status), i.result, repr(i.error), i.name) for i in batch],
        str(batch.completion_reason),
        str(batch.status),
    )


async def test_results_come_in_input_order(autojump_clock: MockClock) -> None:
    """Whoever ends first, results are in input order; on replay the bodies rest."""
    seen: list[Any] = []
    runs: list[int] = []

    async def item(ctx: DurableContext, value: str, index: int) -> str:
        runs.append(index)
        await ctx.step(trio.sleep, 3 - index)
        return value * 2

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[str]:
        batch = await ctx.map(["a", "b", "c"], item)
        seen.append(shape(batch))
        await ctx.wait(Duration.seconds(1))
        return batch.results()

    finished = await run(handler)

    assert finished.result == ["aa", "bb", "cc"]
    assert sorted(runs) == [0, 1, 2]
    assert seen == [seen[0]] * 2
    assert [entry[4] for entry in seen[0][0]] == ["map-item-0", "map-item-1", "map-item-2"]


@pytest.mark.parametrize(
    "completion",
    [
        None,
        CompletionConfig.all_completed(),
        CompletionConfig.first_successful(),
        CompletionConfig.with_min_successful(3),
    ],
)
async def test_an_empty_map_completes_at_once(completion: Any, autojump_clock: MockClock) -> None:
    """Nothing to do is done, under every config."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return (await ctx.map([], give, completion=completion)).to_json()  # type: ignore[arg-type]  # never called

    finished = await run(handler)

    assert finished.result == {"all": [], "completionReason": "ALL_COMPLETED"}


async def test_the_window_slides(autojump_clock: MockClock) -> None:
    """At most ``max_concurrency`` items are unfinished at a time; an item that ends lets the next one start."""
    running: set[int] = set()
    most: list[int] = []

    async def work(index: int) -> None:
        running.add(index)
        most.append(len(running))
        await trio.sleep(1 + index % 3)
        running.remove(index)

    async def item(ctx: DurableContext, value: int, index: int) -> int:
        await ctx.step(work, index)
        return value

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return (await ctx.map(range(20), item, max_concurrency=4)).results()

    finished = await run(handler)

    assert finished.result == list(range(20))
    assert max(most) == 4


async def test_a_suspended_item_keeps_its_slot(autojump_clock: MockClock) -> None:
    """An item that waits is unfinished: with two slots, two waits of an hour block the third item for an hour."""

    async def item(ctx: DurableContext, value: int, index: int) -> float:
        await ctx.wait(Duration.hours(1))
        return value

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return (await ctx.map([1, 2, 3], item, max_concurrency=2)).results()

    before = trio.current_time()
    finished = await run(handler)

    assert finished.result == [1, 2, 3]
    assert trio.current_time() - before == pytest.approx(7200, abs=2)
    assert len(finished.calls[0].updates) == 5  # START of the map, of two items and of their waits


@pytest.mark.parametrize(
    ("completion", "reason", "statuses"),
    [
        (None, "FAILURE_TOLERANCE_EXCEEDED", "FTTTT"),
        (CompletionConfig.all_successful(), "FAILURE_TOLERANCE_EXCEEDED", "FTTTT"),
        (CompletionConfig.all_completed(), "ALL_COMPLETED", "FFFSS"),
        (CompletionConfig.first_successful(), "MIN_SUCCESSFUL_REACHED", "FFFST"),
        (CompletionConfig.with_min_successful(2), "ALL_COMPLETED", "FFFSS"),
        (CompletionConfig.with_failure_tolerance(count=1), "FAILURE_TOLERANCE_EXCEEDED", "FFTTT"),
        (CompletionConfig.with_failure_tolerance(count=3), "ALL_COMPLETED", "FFFSS"),
        (CompletionConfig.with_failure_tolerance(percentage=20), "FAILURE_TOLERANCE_EXCEEDED", "FFTTT"),
        (CompletionConfig.with_failure_tolerance(percentage=60), "ALL_COMPLETED", "FFFSS"),
        (
            CompletionConfig(min_successful=1, tolerated_failure_count=2),
            "FAILURE_TOLERANCE_EXCEEDED",
            "FFFTT",
        ),
    ],
)
async def test_completion_rules(
    completion: Any, reason: str, statuses: str, autojump_clock: MockClock
) -> None:
    """Of five items the first three fail, one second after another, then two succeed."""
    seen: list[Any] = []

    async def item(ctx: DurableContext, value: int, index: int) -> int:
        if index < 3:
            await ctx.step(fail_after, index + 1, retry=no_retry())
        await ctx.step(trio.sleep, index + 1)
        return value

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        batch = await ctx.map(range(5), item, completion=completion)
        seen.append(shape(batch))
        await ctx.wait(Duration.minutes(1))
        letters = {"SUCCEEDED": "S", "FAILED": "F", "STARTED": "T"}
        return [batch.completion_reason, "".join(letters[i.status] for i in batch)]

    finished = await run(handler)

    assert finished.result == [reason, statuses]
    assert seen[0] == seen[1]


async def test_a_predicate_decides(autojump_clock: MockClock) -> None:
    """A predicate sees the progress after every item, and its word is the reason; tolerance is not looked at."""
    progress_seen: list[Any] = []

    def predicate(progress: Any) -> CompletionReason | None:
        progress_seen.append((progress.success_count, progress.failure_count, progress.started_count))
        assert progress.total_count == 4
        assert len(progress.statuses) == 4
        if progress.success_count + progress.failure_count == 2:
            return CompletionReason.CUSTOM_COMPLETION_SUCCEEDED
        return None

    async def item(ctx: DurableContext, value: int, index: int) -> int:
        if index == 0:
            await ctx.step(fail_after, 1, retry=no_retry())
        await ctx.step(trio.sleep, index + 1)
        return value

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        batch = await ctx.map(
            range(4), item, completion=CompletionConfig(predicate=predicate), max_concurrency=3
        )
        return [batch.completion_reason, batch.status, [i.status for i in batch]]

    finished = await run(handler)

    assert finished.result == [
        "CUSTOM_COMPLETION_SUCCEEDED",
        "SUCCEEDED",
        ["FAILED", "SUCCEEDED", "STARTED", "STARTED"],
    ]
    assert progress_seen == [(0, 0, 0), (0, 1, 2), (1, 1, 2)]


async def test_a_broken_predicate_fails_the_map(autojump_clock: MockClock) -> None:
    """An error of the predicate is the map's failure, the same on replay; a strange answer is refused by name."""
    seen: list[Any] = []

    async def item(ctx: DurableContext, value: int, index: int) -> None:
        await ctx.wait(Duration.seconds(5))

    def broken(progress: Any) -> None:
        if progress.started_count == 1:
            raise ZeroDivisionError("predicate")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        for predicate in (broken, lambda progress: CompletionReason.ALL_COMPLETED):
            try:
                await ctx.map([1, 2], item, completion=CompletionConfig(predicate=predicate))
            except ChildContextError as error:
                seen.append((error.error_type, error.message[:40]))
        await ctx.wait(Duration.seconds(1))
        return "done"

    finished = await run(handler)

    assert finished.result == "done"
    assert {entry[0] for entry in seen} == {"ZeroDivisionError", "ValidationError"}
    assert seen[-2:] == seen[-4:-2]


async def test_the_decision_cancels_losers_at_once(autojump_clock: MockClock) -> None:
    """When a map is decided, running steps of the others are cancelled; replay obeys the record."""
    stopped: list[int] = []
    runs: list[int] = []

    async def work(index: int) -> int:
        try:
            await trio.sleep(1 if index == 1 else 100)
        except trio.Cancelled:
            stopped.append(index)
            raise
        return index

    async def item(ctx: DurableContext, value: int, index: int) -> int:
        runs.append(index)
        if index == 2:
            await ctx.wait(Duration.days(1))
        return await ctx.step(work, index)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        batch = await ctx.map(
            [0, 1, 2, 3], item, completion=CompletionConfig.first_successful(), max_concurrency=3
        )
        await ctx.wait(Duration.days(3))
        return batch.to_json()

    before = trio.current_time()
    finished = await run(handler)

    assert stopped == [0]
    assert sorted(runs) == [0, 1, 2]
    assert finished.result == {
        "all": [
            {"index": 0, "status": "STARTED", "name": "map-item-0"},
            {"index": 1, "status": "SUCCEEDED", "result": 1, "name": "map-item-1"},
            {"index": 2, "status": "STARTED", "name": "map-item-2"},
        ],
        "completionReason": "MIN_SUCCESSFUL_REACHED",
    }
    assert trio.current_time() - before == pytest.approx(3 * 86_400 + 1, abs=1)


async def test_a_loser_that_gets_through_does_not_count(autojump_clock: MockClock) -> None:
    """A loser that swallows its cancellation and returns something is STARTED, on the first run and on replay."""
    seen: list[Any] = []

    async def stubborn() -> str:
        try:
            await trio.sleep(100)
        except trio.Cancelled:
            return "through"
        return "late"

    async def item(ctx: DurableContext, value: int, index: int) -> Any:
        if index == 0:
            return await ctx.step(trio.sleep, 1)
        try:
            return await ctx.step(stubborn)
        except BaseException:  # noqa: BLE001  # the misbehaviour under test
            return "swallowed"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        batch = await ctx.map([0, 1], item, completion=CompletionConfig.first_successful())
        seen.append(shape(batch))
        await ctx.wait(Duration.seconds(1))

    finished = await run(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert [entry[1] for entry in seen[0][0]] == ["SUCCEEDED", "STARTED"]
    assert seen == [seen[0]] * 2


async def test_a_loser_whose_cleanup_fails_does_not_matter(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Errors of losers that are being cancelled are no outcome, even in a group of a plain nursery's."""

    async def fails_cleaning_up() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise KeyError("clean-up")

    async def item(ctx: DurableContext, value: int, index: int) -> int:
        if index == 0:
            await ctx.step(trio.sleep, 1)
            return value
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails_cleaning_up)
            await ctx.wait(Duration.hours(1))
        return value

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        batch = await ctx.map([0, 1], item, completion=CompletionConfig.first_successful())
        return [i.status for i in batch]

    finished = await run(handler)

    assert finished.result == ["SUCCEEDED", "STARTED"]
    assert "KeyError('clean-up')" in capsys.readouterr().out


@pytest.mark.parametrize("early", [False, True])
async def test_a_batch_that_is_too_big_comes_back_from_its_items(
    early: bool, autojump_clock: MockClock
) -> None:
    """Over 262,144 bytes only the verdict is stored; replay takes the completed items from their own records."""
    seen: list[Any] = []
    steps: list[int] = []

    async def body(index: int) -> str:
        await trio.sleep(0 if index < 3 else 50)
        steps.append(index)
        return str(index) * 100_000

    async def item(ctx: DurableContext, value: int, index: int) -> str:
        return await ctx.step(body, index)

    completion = CompletionConfig.with_min_successful(3) if early else CompletionConfig.all_completed()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        batch = await ctx.map(
            range(4), item, name="big", completion=completion, summary=lambda b: f"{len(b)} items"
        )
        seen.append(shape(batch))
        await ctx.wait(Duration.seconds(1))
        return [len(text) for text in batch.results()]

    finished = await run(handler)

    count = 3 if early else 4
    assert finished.result == [100_000] * count
    assert sorted(steps) == list(range(count))
    assert seen == [seen[0]] * 2
    details: Any = finished.named("big").details
    stored = json.loads(details.result)
    assert details.replay_children is True
    assert stored["type"] == "MapResult"
    assert stored["totalCount"] == 4
    assert stored["startedIndexes"] == ([3] if early else [])
    assert stored["summary"] == "4 items"
    assert len(details.result) < 500


async def test_an_item_that_is_too_big_itself(autojump_clock: MockClock) -> None:
    """An item over the limit runs its body again on replay, over its finished steps."""
    runs: list[str] = []

    async def body() -> str:
        runs.append("step")
        return "x" * 200_000

    async def item(ctx: DurableContext, value: int, index: int) -> str:
        runs.append("item")
        return await ctx.step(body) + "y" * 100_000

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        batch = await ctx.map([1], item)
        await ctx.wait(Duration.seconds(1))
        return len(batch.results()[0])

    finished = await run(handler)

    assert finished.result == 300_000
    assert runs == ["item", "step", "item"]


async def test_the_stored_form_is_readable(autojump_clock: MockClock) -> None:
    """A batch is stored as JSON that people and other languages can read, item results included."""

    async def item(ctx: DurableContext, value: Any, index: int) -> Any:
        if value is None:
            raise LookupError("nothing")
        return {"value": value}

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        batch = await ctx.map(
            [1, None],
            item,
            name="lines",
            completion=CompletionConfig.all_completed(),
            item_namer=lambda value, index: f"line {index}",
        )
        assert batch.has_failures

    finished = await run(handler)

    details: Any = finished.named("lines").details
    stored = json.loads(details.result)
    error = stored["all"][1].pop("error")
    assert stored == {
        "all": [
            {"index": 0, "status": "SUCCEEDED", "result": {"value": 1}, "name": "line 0"},
            {"index": 1, "status": "FAILED", "name": "line 1"},
        ],
        "completionReason": "ALL_COMPLETED",
    }
    assert (error["ErrorType"], error["ErrorMessage"]) == ("LookupError", "nothing")


async def test_serializers_do_not_leak_into_each_other(autojump_clock: MockClock) -> None:
    """``item_serdes`` is for items, ``serdes`` for the batch; steps in the items use neither."""
    asked: list[str] = []

    def dump_item(value: str) -> str:
        asked.append("item")
        return f"<{value}>"

    item_serdes = custom_serdes(dump_item, lambda text: text.strip("<>").upper())

    def dump(batch: BatchResult[str]) -> str:
        asked.append("batch")
        return json.dumps([i.result for i in batch])

    def load(text: str) -> BatchResult[str]:
        items = [
            BatchItem(n, BatchItemStatus.SUCCEEDED, result=f"loaded {result}")
            for n, result in enumerate(json.loads(text))
        ]
        return BatchResult(items, CompletionReason.ALL_COMPLETED)

    seen: list[Any] = []

    async def item(ctx: DurableContext, value: str, index: int) -> str:
        assert await ctx.step(give, {"a": 1}) == {"a": 1}
        return value

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        only_items = await ctx.map(["a"], item, name="items", item_serdes=item_serdes)
        both = await ctx.map(
            ["b"], item, config=MapConfig(item_serdes=item_serdes, serdes=custom_serdes(dump, load))
        )
        raw = await ctx.map(["c"], item, name="raw", item_serdes=pass_through())
        seen.append([only_items.results(), both.results(), raw.results()])
        await ctx.wait(Duration.seconds(1))

    finished = await run(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert seen == [[["A"], ["loaded B"], ["c"]]] * 2
    assert asked == ["item", "item", "batch"]
    details: Any = finished.named("raw").details
    assert json.loads(details.result)["all"][0]["payload"] == "c"


async def test_a_batch_serdes_has_to_give_a_batch(autojump_clock: MockClock) -> None:
    """A ``serdes`` whose ``deserialize`` returns something else is named in the error."""

    async def item(ctx: DurableContext, value: str, index: int) -> str:
        return value

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.map(["a"], item, serdes=custom_serdes(lambda batch: "[]", json.loads))

    finished = await run(handler)

    assert finished.error.type == "SerDesError"
    assert "BatchResult, not list" in (finished.error.message or "")


async def test_results_raise_when_tolerance_was_exceeded(autojump_clock: MockClock) -> None:
    """``results()`` raises a MapError that speaks for the first failure and holds them all; tolerated ones pass."""
    seen: list[Any] = []

    async def item(ctx: DurableContext, value: int, index: int) -> int:
        if value < 0:
            await ctx.step(fail_after, 0, f"item {index}", retry=no_retry())
        return value

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        tolerated = await ctx.map([1, -1], item, completion=CompletionConfig.all_completed())
        exceeded = await ctx.map([-1], item)
        with pytest.raises(MapError) as caught:
            exceeded.results()
        assert isinstance(caught.value.errors[0], ChildContextError)
        with pytest.raises(MapError, match="item 1"):
            tolerated.raise_if_failed()
        seen.append((str(caught.value), caught.value.error_type, len(caught.value.errors)))
        await ctx.wait(Duration.seconds(1))
        return tolerated.results()

    finished = await run(handler)

    assert finished.result == [1]
    assert seen == [("item 0", "ValueError", 1)] * 2


async def test_a_map_error_leaves_the_handler_with_its_cause(autojump_clock: MockClock) -> None:
    """An uncaught MapError fails the execution with the type of the first item's cause."""

    async def item(ctx: DurableContext, value: int, index: int) -> None:
        await ctx.step(fail_after, 0, "the cause", retry=no_retry())

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return (await ctx.map([1], item)).results()

    finished = await run(handler)

    assert (finished.error.type, finished.error.message) == ("ValueError", "the cause")


async def test_dropped_failures_are_warned_about(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A batch that is dropped with failures nobody looked at logs a warning, and only that one does."""

    async def item(ctx: DurableContext, value: int, index: int) -> None:
        raise ValueError("nobody looks")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        await ctx.map([1], item)
        looked_at = await ctx.map([1], item)
        assert looked_at.failure_count == 1
        return "done"

    with caplog.at_level(logging.WARNING, logger="durable_trio"):
        finished = await run(handler)

    assert finished.result == "done"
    assert len([record for record in caplog.records if "nobody looked at" in record.getMessage()]) == 1


async def test_items_inherit_the_owners_context_variables(autojump_clock: MockClock) -> None:
    """Every item sees the variables of the map's owner, also one that was started by the end of another."""

    async def item(ctx: DurableContext, value: int, index: int) -> str:
        before = flavour.get()
        flavour.set(f"item {index}")
        await ctx.step(trio.sleep, 1)
        return before

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        flavour.set("owner")
        return (await ctx.map(range(4), item, max_concurrency=1)).results()

    assert (await run(handler)).result == ["owner"] * 4


async def test_an_items_error_is_what_awaiting_it_would_raise(autojump_clock: MockClock) -> None:
    """``item.error`` has the same class, type, message, name and id on the first run and on replay."""
    seen: list[Any] = []

    async def item(ctx: DurableContext, value: int, index: int) -> None:
        await ctx.step(fail_after, 0, "why", retry=no_retry())

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        batch = await ctx.map([1], item)
        (error,) = batch.errors()
        assert isinstance(error, ChildContextError)
        assert not isinstance(error, StepError)
        assert error.__cause__ is None
        assert error.__context__ is None
        seen.append((error.error_type, error.message, error.operation_name, error.operation_id, error.stack))
        await ctx.wait(Duration.seconds(1))

    finished = await run(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert seen == [seen[0]] * 2
    assert seen[0][:3] == ("ValueError", "why", "map-item-0")


async def test_other_items_on_replay_are_found_out(autojump_clock: MockClock) -> None:
    """A map over fewer items than recorded fails as non-deterministic."""
    sizes = [3, 2]

    async def item(ctx: DurableContext, value: int, index: int) -> int:
        return value

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        await ctx.map(range(sizes.pop(0)), item)
        await ctx.wait(Duration.seconds(1))

    finished = await run(handler)

    assert finished.error.type == "NonDeterministicExecutionError"


async def test_a_map_of_many_items(autojump_clock: MockClock) -> None:
    """A thousand items that all wait take one suspension, and few requests."""

    async def item(ctx: DurableContext, value: int, index: int) -> int:
        await ctx.wait(Duration.hours(1))
        return value

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return sum((await ctx.map(range(1000), item)).results())

    finished = await run(handler)

    assert finished.result == sum(range(1000))
    assert finished.invocations == ["PENDING", "SUCCEEDED"]
    # 3,001 updates before the suspension ... in full requests
    assert len(finished.calls) <= 2001 / 250 + 1 + 1001 / 250 + 2
