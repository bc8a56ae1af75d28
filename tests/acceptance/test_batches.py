"""Child contexts, maps, parallels and combinators."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
import trio
from acceptance.kit import run, sent

from durable_trio import (
    BatchItem,
    BatchItemStatus,
    BatchProgress,
    BatchResult,
    Branch,
    ChildConfig,
    ChildContextError,
    CompletionConfig,
    CompletionReason,
    DurableContext,
    Duration,
    ItemBatcher,
    MapConfig,
    MapError,
    NestingType,
    OperationCancelledError,
    Outcome,
    ParallelConfig,
    SerdesContext,
    SerDesError,
    StepError,
    ValidationError,
    aws_python_serdes,
    cbor_serdes,
    custom_serdes,
    durable_error,
    durable_execution,
    fixed_delay,
    json_serdes,
    map_summary,
    no_retry,
    parallel_summary,
)

BIG = 300_000


async def give(value: Any) -> Any:
    """Return *value*."""
    return value


async def fail(text: str = "no") -> None:
    """Raise a ValueError."""
    raise ValueError(text)


async def work(ctx: DurableContext, item: Any, index: int) -> Any:
    """Sleep for as many seconds as the item says, failing for negative ones."""
    await ctx.step(trio.sleep, abs(item), name="sleep")
    if item < 0:
        raise ValueError(f"item {index}")
    return item


# --- child contexts ----------------------------------------------------------------------------------------


def test_child_contexts() -> None:
    """CONTEXT RunInChildContext; operations inside have it as parent; failure is FAIL and ``ChildContextError``."""

    async def good(ctx: DurableContext, value: int) -> int:
        return await ctx.step(give, value)

    async def bad(ctx: DurableContext) -> None:
        raise LookupError("gone")

    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        value = await ctx.run_in_child_context(good, 5, name="ok")
        try:
            await ctx.run_in_child_context(bad)
        except ChildContextError as error:
            seen.append((error.error_type, str(error), error.operation_name))
        await ctx.wait(Duration.seconds(1))
        return value

    finished = run(handler)
    assert finished.result == 5
    assert seen == [("LookupError", "gone", "bad")] * 2
    assert [(str(u.action), u.payload) for u in sent(finished, "ok")] == [("START", None), ("SUCCEED", "5")]
    assert sent(finished, "ok")[-1].options.replay_children is False
    assert finished["give"].record.parent_id == finished["ok"].id
    assert [str(u.action) for u in sent(finished, "bad")] == ["START", "FAIL"]


def test_unnamed_children_of_lambdas() -> None:
    """An unnamed child context of a lambda is called ``child-context``."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.run_in_child_context(lambda child: child.step(give, 1))

    assert run(handler)[0].name == "child-context"


def test_virtual_children() -> None:
    """They write no operation of their own; what is inside belongs to the parent, with ids of their namespace."""

    async def body(ctx: DurableContext) -> int:
        return await ctx.step(give, 1)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        await ctx.run_in_child_context(body, virtual=True)
        return await ctx.run_in_child_context(body, config=ChildConfig(virtual=True))

    finished = run(handler)
    assert [o.kind for o in finished.operations] == ["Step", "Step"]
    assert {o.record.parent_id for o in finished.operations} == {None}
    assert finished[0].id == "974bfc6321e227b0ff101342eaf19b336f002dc6cc99c18f0941a7755cc20fc4"


class Mapped(Exception):
    """What an error mapper makes."""


def test_error_mappers() -> None:
    """``error_mapper`` is applied before FAIL: first run and replay see the mapped error."""

    async def bad(ctx: DurableContext) -> None:
        raise LookupError("gone")

    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.run_in_child_context(bad, error_mapper=lambda error: Mapped(f"mapped {error}"))
        except ChildContextError as error:
            seen.append((error.error_type, str(error)))
        await ctx.wait(Duration.seconds(1))

    finished = run(handler)
    finished.assert_succeeded()
    assert [(kind.rpartition(".")[2], text) for kind, text in seen] == [("Mapped", "mapped gone")] * 2


@pytest.mark.parametrize("text", ["x", "€"])
def test_big_results_are_replayed_from_the_children(text: str) -> None:
    """Over 262,144 encoded *bytes*: ``ReplayChildren: true`` and the summary; the body runs again on replay."""
    size = BIG // len(text.encode()) + 1
    bodies: list[int] = []
    steps: list[int] = []

    async def piece() -> str:
        steps.append(1)
        return text * (size // 2)

    async def big(ctx: DurableContext) -> str:
        bodies.append(1)
        return await ctx.step(piece) + await ctx.step(piece)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        value = await ctx.run_in_child_context(big, name="s", summary=lambda value: f"{len(value)} letters")
        other = await ctx.run_in_child_context(big, name="n")
        await ctx.wait(Duration.seconds(1))
        return len(value) + len(other)

    finished = run(handler)
    assert finished.result == 4 * (size // 2)
    assert len(bodies) == 4
    assert len(steps) == 4
    ends = [sent(finished, name)[-1] for name in "sn"]
    assert [(u.payload, u.options.replay_children) for u in ends] == [
        (f"{2 * (size // 2)} letters", True),
        ("", True),
    ]


# --- maps --------------------------------------------------------------------------------------------------


def test_maps_on_the_wire() -> None:
    """Subtypes Map and MapIteration, names ``map-item-{i}``, ids by 0-based index, parents."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        batch = await ctx.map([3, 1, 2], work)
        assert isinstance(batch, BatchResult)
        return batch.results()

    finished = run(handler)
    assert finished.result == [3, 1, 2]
    rows = [(o.kind, o.name) for o in finished.operations if o.kind != "Step"]
    assert rows == [("Map", "work")] + [("MapIteration", f"map-item-{i}") for i in range(3)]
    assert (
        finished["work/map-item-0"].id == "1712f93e2f51df042e2b933907d75accfe34a48fe4a42a24e0b08131bc72d591"
    )
    assert (
        finished["work/map-item-1"].id == "974bfc6321e227b0ff101342eaf19b336f002dc6cc99c18f0941a7755cc20fc4"
    )
    assert (
        finished["work/map-item-0/sleep"].id
        == "48550629202cb2d0e1bd4f07d826361bbd2defa71565264c01647fc2da0e9b1e"
    )
    stored = json.loads(finished["work"].payload or "")
    assert [item["result"] for item in stored["all"]] == [3, 1, 2]
    assert stored["completionReason"] == "ALL_COMPLETED"


def test_parallels_on_the_wire() -> None:
    """Subtypes Parallel and ParallelBranch, names ``parallel-branch-{i}`` unless named; arguments of branches."""

    async def plain(ctx: DurableContext) -> int:
        return 1

    async def with_arguments(ctx: DurableContext, a: int, b: int) -> int:
        return a + b

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        batch = await ctx.parallel([plain, Branch(with_arguments, 2, 3, name="sum"), Branch(plain)], name="p")
        return batch.results()

    finished = run(handler)
    assert finished.result == [1, 5, 1]
    assert [(o.kind, o.name) for o in finished.operations] == [
        ("Parallel", "p"),
        ("ParallelBranch", "parallel-branch-0"),
        ("ParallelBranch", "sum"),
        ("ParallelBranch", "parallel-branch-2"),
    ]


@pytest.mark.parametrize(
    "completion",
    [
        None,
        CompletionConfig(),
        CompletionConfig.all_completed(),
        CompletionConfig.with_failure_tolerance(count=0),
        CompletionConfig(predicate=lambda progress: None),
    ],
)
def test_empty_input(completion: CompletionConfig | None) -> None:
    """Empty input completes at once under every config."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        one = await ctx.map([], work, completion=completion)
        nothing: list[Branch[int]] = []
        two = await ctx.parallel(nothing, completion=completion)
        return [one.results(), two.results(), str(one.completion_reason), one.total_count, len(two.items)]

    assert run(handler).result == [[], [], "ALL_COMPLETED", 0, 0]


def test_min_successful_above_the_count_is_refused() -> None:
    """Up front, with the numbers. Empty input is no exception... it completes at once or is refused, by name."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        with pytest.raises(ValidationError, match="min_successful"):
            ctx.map([1, 2], work, completion=CompletionConfig.with_min_successful(3))

    run(handler).assert_succeeded()


@pytest.mark.parametrize(
    ("completion", "items", "reason", "statuses"),
    [
        (None, [1, -2, 3], "FAILURE_TOLERANCE_EXCEEDED", "SUCCEEDED FAILED STARTED"),
        (CompletionConfig.all_completed(), [1, -2, 3], "ALL_COMPLETED", "SUCCEEDED FAILED SUCCEEDED"),
        (
            CompletionConfig.first_successful(),
            [3, -1, 2],
            "MIN_SUCCESSFUL_REACHED",
            "STARTED FAILED SUCCEEDED",
        ),
        (
            CompletionConfig.with_min_successful(2),
            [1, 2, 9],
            "MIN_SUCCESSFUL_REACHED",
            "SUCCEEDED SUCCEEDED STARTED",
        ),
        (
            CompletionConfig.with_failure_tolerance(count=1),
            [-1, -2, 9],
            "FAILURE_TOLERANCE_EXCEEDED",
            "FAILED FAILED STARTED",
        ),
        (CompletionConfig.with_failure_tolerance(count=1), [-1, 2], "ALL_COMPLETED", "FAILED SUCCEEDED"),
        (
            CompletionConfig.with_failure_tolerance(percentage=50),
            [-1, -2, 3, 4],
            "ALL_COMPLETED",
            "FAILED FAILED SUCCEEDED SUCCEEDED",
        ),
        (
            CompletionConfig.with_failure_tolerance(percentage=49),
            [-1, -2, 3, 9],
            "FAILURE_TOLERANCE_EXCEEDED",
            "FAILED FAILED STARTED STARTED",
        ),
        (
            CompletionConfig(min_successful=1, tolerated_failure_count=0),
            [-1, 2],
            "FAILURE_TOLERANCE_EXCEEDED",
            "FAILED STARTED",
        ),
        (CompletionConfig.with_min_successful(2), [1, 2], "ALL_COMPLETED", "SUCCEEDED SUCCEEDED"),
    ],
)
def test_completion(completion: Any, items: list[int], reason: str, statuses: str) -> None:
    """When a batch is decided, and why; the same on replay."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        batch = await ctx.map(items, work, completion=completion)
        seen.append((str(batch.completion_reason), " ".join(item.status for item in batch)))
        assert [item.index for item in batch] == list(range(len(items)))
        await ctx.wait(Duration.seconds(1))

    run(handler).assert_succeeded()
    assert seen == [(reason, statuses)] * 2


def test_predicates() -> None:
    """``predicate(progress)`` sees counts, total and per-item status, and decides with a custom reason."""
    progresses: list[BatchProgress] = []

    def predicate(progress: BatchProgress) -> CompletionReason | None:
        progresses.append(progress)
        return CompletionReason.CUSTOM_COMPLETION_SUCCEEDED if progress.failure_count == 2 else None

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        batch = await ctx.map([-1, -2, 9], work, completion=CompletionConfig(predicate=predicate))
        return [str(batch.completion_reason), str(batch.status), batch.failure_count, batch.results()]

    assert run(handler).result == ["CUSTOM_COMPLETION_SUCCEEDED", "SUCCEEDED", 2, []]
    last = progresses[-1]
    assert (last.success_count, last.failure_count, last.started_count, last.total_count) == (0, 2, 1, 3)
    assert list(last.statuses) == ["FAILED", "FAILED", "STARTED"]


def test_never_started_items_are_absent() -> None:
    """With a window of one, items after the decision are not in the result."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        batch = await ctx.map([1, -1, 1, 1], work, max_concurrency=1)
        return [len(batch.items), batch.total_count, [item.index for item in batch.items]]

    assert run(handler).result == [2, 2, [0, 1]]


def test_what_a_batch_result_tells() -> None:
    """``results()`` raises beyond the tolerance; ``raise_if_failed`` for any; ``item.error`` is what awaiting raises."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        tolerated = await ctx.map([1, -1], work, completion=CompletionConfig.all_completed())
        assert tolerated.results() == [1]
        assert tolerated.has_failures
        with pytest.raises(MapError):
            tolerated.raise_if_failed()
        exceeded = await ctx.map(
            [-1, -1, 9], work, completion=CompletionConfig.with_failure_tolerance(count=1)
        )
        with pytest.raises(MapError, match=r"^item 0$") as caught:
            exceeded.results()
        assert [str(error) for error in caught.value.errors] == ["item 0", "item 1"]
        assert caught.value.error_type == "ValueError"
        assert isinstance(exceeded.failed()[0].error, ChildContextError)
        assert [item.status for item in exceeded.started()] == ["STARTED"]

    run(handler).assert_succeeded()


def test_flat_nesting() -> None:
    """FLAT: no context per item; operations carry the map's id as parent; same results."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        one = await ctx.map([1, 2], work, nesting=NestingType.FLAT, name="flat")
        two = await ctx.parallel(
            [Branch(work, 1, 0)], config=ParallelConfig(nesting=NestingType.FLAT, max_concurrency=1)
        )
        return one.results() + two.results()

    finished = run(handler)
    assert finished.result == [1, 2, 1]
    assert [o.kind for o in finished.operations] == ["Map", "Step", "Step", "Parallel", "Step"]
    assert {o.record.parent_id for o in finished.named("sleep")[:2]} == {finished["flat"].id}


def test_item_batching() -> None:
    """``fn(child_ctx, items, start_index)``; every item is processed; an over-size item is its own batch."""
    groups: list[Any] = []

    async def group(ctx: DurableContext, items: list[Any], start: int) -> int:
        groups.append((start, [len(i) if isinstance(i, str) else i for i in items]))
        return len(items)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        by_count = await ctx.map(range(250), group, batch=ItemBatcher())
        by_size = await ctx.map(
            ["a", "x" * 2000, "b", "c"], group, batch=ItemBatcher(max_items=10, max_bytes=1000)
        )
        return [by_count.results(), by_size.results()]

    assert run(handler).result == [[100, 100, 50], [1, 1, 2]]
    assert sorted(groups[3:]) == [(0, [1]), (1, [2000]), (2, [1, 1])]
    assert ItemBatcher() == ItemBatcher(max_items=100, max_bytes=262_144)


def test_item_namers_and_serdes() -> None:
    """``item_namer`` names items; ``item_serdes`` is for items, ``serdes`` for the batch; neither leaks."""
    shout = custom_serdes(lambda value: str(value).upper(), lambda text: text)
    inside: list[Any] = []

    async def item(ctx: DurableContext, value: str, index: int) -> str:
        inside.append(await ctx.step(give, value))
        return value

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        batch = await ctx.map(
            ["a", "b"],
            item,
            config=MapConfig(item_namer=lambda value, index: f"{value}-{index}", item_serdes=shout),
        )
        return batch.results()

    finished = run(handler)
    assert sorted(inside) == ["a", "b"]
    assert [o.name for o in finished.operations if o.kind == "MapIteration"] == ["a-0", "b-1"]
    assert finished.result == ["A", "B"]


def test_large_batches_and_their_summaries() -> None:
    """Over the limit: counts, the shorter index list and the summary; ready-made summaries see the result."""

    async def item(ctx: DurableContext, value: int, index: int) -> str:
        return await ctx.step(lambda: "x" * 100_000, name="piece")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        one = await ctx.map(range(4), item, name="m", summary=map_summary)
        two = await ctx.parallel([Branch(item, 0, 0)] * 4, name="p", summary=parallel_summary)
        await ctx.wait(Duration.seconds(1))
        return [len(text) for text in one.results() + two.results()]

    finished = run(handler)
    assert finished.result == [100_000] * 8
    for name, kind in (("m", "MapResult"), ("p", "ParallelResult")):
        stored = json.loads(finished[name].payload or "")
        assert stored["type"] == kind
        assert (stored["totalCount"], stored["successCount"], stored["failureCount"]) == (4, 4, 0)
        assert stored["startedIndexes"] == []
        assert (stored["completionReason"], stored["status"]) == ("ALL_COMPLETED", "SUCCEEDED")
        assert json.loads(stored["summary"]) == {
            "type": kind,
            "totalCount": 4,
            "successCount": 4,
            "failureCount": 0,
            "startedCount": 0,
            "completionReason": "ALL_COMPLETED",
            "status": "SUCCEEDED",
        }


def test_a_summary_does_not_count_as_looking_at_failures(caplog: pytest.LogCaptureFixture) -> None:
    """A batch that the program drops with failures unseen is warned of, whatever its summary looked at."""

    async def item(ctx: DurableContext, value: int, index: int) -> str:
        if value == 0:
            raise ValueError("no")
        return "x" * 150_000

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.map(range(3), item, summary=map_summary, completion=CompletionConfig.all_completed())

    run(handler).assert_succeeded()
    assert any("nobody looked at" in record.getMessage() for record in caplog.records)


def test_item_retry() -> None:
    """A failed branch is restarted durably; others go on; it fails when the strategy gives up."""
    tries: list[int] = []

    async def item(ctx: DurableContext, value: int, index: int) -> int:
        await ctx.step(give, value)
        if value == 1:
            tries.append(1)
            if len(tries) < 3:
                raise ConnectionError("again")
        return value

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return (await ctx.map([0, 1, 2], item, item_retry=fixed_delay(Duration.hours(1)))).results()

    finished = run(handler)
    assert finished.result == [0, 1, 2]
    assert (finished.duration_seconds or 0) > 7_190


# --- combinators -------------------------------------------------------------------------------------------


def test_all() -> None:
    """Results in order, tuple for tuple, list otherwise; empty is ``[]``; no operation on success."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        assert await ctx.all([]) == []
        pair = await ctx.all((ctx.step(give, 1), ctx.step(give, "a")))
        assert pair == (1, "a")
        return await ctx.all([ctx.step(give, n) for n in range(3)])

    finished = run(handler)
    assert finished.result == [0, 1, 2]
    assert {o.kind for o in finished.operations} == {"Step"}


def test_a_failing_all_records_its_verdict() -> None:
    """START and FAIL of a CONTEXT of subtype All in one request; the first failure; losers are cancelled."""
    seen: list[Any] = []

    async def slow() -> None:
        await trio.sleep(1000)
        seen.append("not cancelled")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        loser = ctx.step(slow)
        try:
            await ctx.all([loser, ctx.step(fail, retry=no_retry()), ctx.step(trio.sleep, 5)])
        except StepError as error:
            seen.append((error.error_type, error.operation_name))
        with pytest.raises(OperationCancelledError):
            await loser
        await ctx.wait(Duration.seconds(1))

    finished = run(handler)
    finished.assert_succeeded()
    assert seen == [("ValueError", "fail")] * 2
    assert [
        [str(u.action) for u in call.updates if u.sub_type == "All"]
        for call in finished.calls
        if "All" in {u.sub_type for u in call.updates}
    ] == [["START", "FAIL"]]
    assert finished["All"].record.parent_id is None


def test_any_and_race() -> None:
    """``any``: first success; ``race``: first end; empty is refused; every failure is an ``ExceptionGroup``."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        for combine in (ctx.any, ctx.race):
            with pytest.raises(ValidationError):
                combine([])
        first = await ctx.any([ctx.step(fail, retry=no_retry()), ctx.step(give, "ok")])
        with pytest.raises(ExceptionGroup) as group:
            await ctx.any([ctx.step(fail, text, retry=no_retry()) for text in ("a", "b")])
        assert [str(error) for error in group.value.exceptions] == ["a", "b"]
        with pytest.raises(StepError):
            await ctx.race([ctx.step(fail, retry=no_retry()), ctx.step(trio.sleep, 10)])
        return [first, await ctx.race([ctx.wait(Duration.days(1)), ctx.step(give, "fast")])]

    finished = run(handler)
    assert finished.result == ["ok", "fast"]
    for kind in ("Any", "Race"):
        (update, *_) = sent(finished, kind)
        assert update.type == "CONTEXT"
    assert all(json.loads(o.payload or "") is not None for o in finished.operations if o.kind == "Race")


def test_all_settled() -> None:
    """A list of ``Outcome``; a failure cancels nothing."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        good, bad = await ctx.all_settled([ctx.step(give, 1), ctx.step(fail, retry=no_retry())])
        assert isinstance(good, Outcome)
        assert isinstance(bad.error, StepError)
        return [good.value, str(bad.error), await ctx.all_settled([])]

    assert run(handler).result == [1, "no", []]


def test_awaited_again() -> None:
    """A finished operation gives the same outcome, a value or an error."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        good, bad = ctx.step(give, [1]), ctx.step(fail, retry=no_retry())
        values = [await good, await good]
        for _ in range(2):
            with pytest.raises(StepError):
                await bad
        return values

    finished = run(handler)
    assert finished.result == [[1], [1]]
    assert len(finished.operations) == 2


def test_losers() -> None:
    """A wait that lost may be awaited again; a child that lost raises ``OperationCancelledError``."""

    async def slow(ctx: DurableContext) -> None:
        await ctx.wait(Duration.days(1))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        wait = ctx.wait(Duration.minutes(1))
        child = ctx.run_in_child_context(slow)
        batch = ctx.map([1], lambda c, item, index: slow(c))
        await ctx.race([wait, child, batch, ctx.step(give, 1)])
        for loser in (child, batch):
            with pytest.raises(OperationCancelledError):
                await loser
        await wait
        return "ok"

    assert run(handler).result == "ok"


@durable_error
class Business(Exception):
    """A registered error."""


def test_registered_errors_of_items() -> None:
    """``item.error`` of a registered class is the class itself."""

    async def item(ctx: DurableContext, value: int, index: int) -> None:
        raise Business("no")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        batch = await ctx.map([1], item)
        return type(batch.failed()[0].error).__name__

    assert run(handler).result == "Business"


# --- retry -------------------------------------------------------------------------------------------------


def test_retry_of_a_block() -> None:
    """CONTEXT of subtype Retry; attempts are child contexts, waits between; ``strategy=`` and ``retry=``."""
    tries: list[int] = []

    async def block(ctx: DurableContext, value: int) -> int:
        tries.append(await ctx.step(give, value))
        if len(tries) % 3:
            raise LookupError("again")
        return value

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        strategy = fixed_delay(Duration.hours(1), max_attempts=3)
        return [
            await ctx.retry(block, 1, strategy=strategy, name="r"),
            await ctx.retry(block, 2, retry=strategy),
        ]

    finished = run(handler)
    assert finished.result == [1, 2]
    assert [o.kind for o in finished["r"].children] == ["RunInChildContext", "Wait"] * 2 + [
        "RunInChildContext"
    ]
    assert finished["r"].kind == "Retry"


def test_losers_that_are_pending_at_the_service_go_on() -> None:
    """A callback's result and an invoke may be awaited again after they lost; a parallel may not."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        callback = await ctx.create_callback(name="c")
        invoke = ctx.invoke("f", 1)
        arms = ctx.parallel([lambda child: child.wait(Duration.days(1))])
        first = await ctx.race([callback.result(), invoke, arms, ctx.step(give, 9)])
        with pytest.raises(OperationCancelledError):
            await arms
        return [first, await callback.result(), await invoke]

    finished = run(handler, answers={"c": "x"}, functions={"f": lambda event: event + 3})
    assert finished.result == [9, "x", 4]


@durable_error
class Broken(Exception):
    """A registered error with arguments."""

    def __init__(self, part: str, *, times: int = 1) -> None:
        super().__init__(f"{part} is broken")
        self.part = part
        self.times = times


@pytest.mark.parametrize(
    "serdes", [json_serdes(), cbor_serdes(), aws_python_serdes()], ids=["json", "cbor", "aws"]
)
def test_a_batch_result_is_a_value_that_can_be_stored(serdes: Any) -> None:
    """Returned from a child context or an item it comes back as one, with its items' results and errors."""
    seen: list[Any] = []

    async def item(ctx: DurableContext, value: int, index: int) -> Any:
        if value == 0:
            raise LookupError("gone")
        if value < 0:
            raise Broken("bolt", times=2)
        return (value, Decimal("1.5"))

    async def child(ctx: DurableContext) -> BatchResult[Any]:
        return await ctx.map([1, 0, -1], item, completion=CompletionConfig.all_completed())

    async def nested(ctx: DurableContext, value: int, index: int) -> BatchResult[Any]:
        return await ctx.map([value], item)

    @durable_execution(serdes=serdes)
    async def handler(event: Any, ctx: DurableContext) -> Any:
        batch = await ctx.run_in_child_context(child)
        inner = (await ctx.map([7], nested)).results()[0]
        lost, broken = batch.errors()
        assert isinstance(broken, Broken)
        seen.append(
            [
                batch.results(),
                [str(one.status) for one in batch],
                str(batch.completion_reason),
                (type(lost), str(lost), getattr(lost, "error_type", None)),
                (broken.part, broken.times),
                inner.results(),
            ]
        )
        await ctx.wait(Duration.seconds(1))
        return batch

    finished = run(handler)
    assert [one["status"] for one in finished.result["all"]] == ["SUCCEEDED", "FAILED", "FAILED"]
    assert (
        seen
        == [
            [
                [(1, Decimal("1.5"))],
                ["SUCCEEDED", "FAILED", "FAILED"],
                "ALL_COMPLETED",
                (ChildContextError, "gone", "LookupError"),
                ("bolt", 2),
                [(7, Decimal("1.5"))],
            ]
        ]
        * 2
    )


def test_the_stored_form_of_a_batch_is_readable() -> None:
    """Tagged JSON, with everything that is known of an item's error; what cannot be made again is refused."""
    context = SerdesContext("a", "b")
    error = ChildContextError(
        "no", error_type="ValueError", data="d", stack=["s"], operation_id="i", operation_name="n"
    )
    batch = BatchResult(
        [
            BatchItem(0, BatchItemStatus.SUCCEEDED, result=(1,), name="first"),
            BatchItem(1, BatchItemStatus.FAILED, error=error),
            BatchItem(2, BatchItemStatus.STARTED),
        ],
        CompletionReason.MIN_SUCCESSFUL_REACHED,
    )
    text = json_serdes().serialize({"batch": batch}, context)
    assert json.loads(text)["batch"]["$batch"]["all"][0] == {
        "index": 0,
        "status": "SUCCEEDED",
        "result": {"$tuple": [1]},
        "name": "first",
    }
    again = json_serdes().deserialize(text, context)["batch"]
    assert again == batch
    (back,) = again.errors()
    assert vars(back) == vars(error)
    assert again.items[0].result == (1,)
    assert again.items[0].name == "first"
    odd: BatchResult[Any] = BatchResult(
        [BatchItem(0, BatchItemStatus.FAILED, error=ValueError("x"))], CompletionReason.ALL_COMPLETED
    )
    with pytest.raises(SerDesError, match="durable_error"):
        json_serdes().serialize(odd, context)
    for bad in (
        "5",
        "{}",
        '{"all":[5],"completionReason":"ALL_COMPLETED"}',
        '{"all":[],"completionReason":"x"}',
    ):
        with pytest.raises(SerDesError, match="no batch"):
            json_serdes().deserialize(f'{{"$batch":{bad}}}', context)


@pytest.mark.parametrize("serdes", [json_serdes(), cbor_serdes()], ids=["json", "cbor"])
def test_outcomes_are_values_that_can_be_stored(serdes: Any) -> None:
    """A child context may return what ``all_settled`` gave; the same on replay."""
    seen: list[Any] = []

    async def child(ctx: DurableContext) -> Any:
        return await ctx.all_settled([ctx.step(give, (1,)), ctx.step(fail, retry=no_retry(), name="f")])

    @durable_execution(serdes=serdes)
    async def handler(event: Any, ctx: DurableContext) -> None:
        good, bad = await ctx.run_in_child_context(child)
        seen.append((good.value, good.succeeded, type(bad.error), str(bad.error), bad.error.operation_name))
        await ctx.wait(Duration.seconds(1))

    run(handler).assert_succeeded()
    assert seen == [((1,), True, StepError, "no", "f")] * 2
    with pytest.raises(SerDesError, match="no outcome"):
        json_serdes().deserialize('{"$outcome":{"status":"FAILED"}}', SerdesContext("a", "b"))
