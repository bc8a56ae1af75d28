"""``item_retry``: branches of a batch restart durably; a budget may be shared."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import trio
from support.crashes import Crash, Crashing
from support.runs import run
from trio.testing import MockClock

from durable_trio import (
    Branch,
    CheckpointingMode,
    CompletionConfig,
    CompletionReason,
    DurableContext,
    Duration,
    MapConfig,
    NestingType,
    OperationError,
    RestartIntensity,
    ValidationError,
    durable_execution,
    fixed_delay,
)

HOURLY = fixed_delay(Duration.hours(1), max_attempts=3)


class Shop:
    """Packs orders; each order fails on as many first tries as it says."""

    def __init__(self) -> None:
        self.tries: Counter[str] = Counter()

    async def pack(self, order: str) -> int:
        """Try to pack an order."""
        self.tries[order] += 1
        return self.tries[order]

    async def item(self, ctx: DurableContext, order: tuple[str, int], index: int) -> str:
        """Be the function of a map."""
        name, failures = order
        tried = await ctx.step(self.pack, name)
        if tried <= failures:
            raise LookupError(f"{name} is out of stock")
        return f"{name} packed at {tried}"


@pytest.mark.parametrize("nesting", NestingType)
async def test_a_failed_item_restarts_while_the_others_go_on(
    autojump_clock: MockClock, nesting: NestingType
) -> None:
    """The restart is durable: the invocation suspends for the backoff, and the other items are done long before."""
    shop = Shop()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        batch = await ctx.map([("a", 0), ("b", 2), ("c", 0)], shop.item, item_retry=HOURLY, nesting=nesting)
        await ctx.wait(Duration.seconds(1))
        return [batch.results(), batch.completion_reason]

    before = trio.current_time()
    finished = await run(handler)

    assert finished.result == [["a packed at 1", "b packed at 3", "c packed at 1"], "ALL_COMPLETED"]
    assert trio.current_time() - before == pytest.approx(2 * 3600, abs=5)
    assert shop.tries == {"a": 1, "b": 3, "c": 1}


@pytest.mark.parametrize("nesting", NestingType)
async def test_where_attempts_are_recorded(autojump_clock: MockClock, nesting: NestingType) -> None:
    """Attempts and waits take turns in the item's namespace: in its context, or among the batch's operations."""
    shop = Shop()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        await ctx.map([("a", 1)], shop.item, item_retry=HOURLY, nesting=nesting, name="packing")

    finished = await run(handler)

    batch = finished.named("packing")
    attempts = [o for o in finished.operations if (o.name or "").startswith(("attempt-", "backoff-"))]
    assert [(o.name, o.status) for o in attempts] == [
        ("attempt-1", "FAILED"),
        ("backoff-1", "SUCCEEDED"),
        ("attempt-2", "SUCCEEDED"),
    ]
    parent = batch.id if nesting is NestingType.FLAT else finished.named("map-item-0").id
    assert {o.parent_id for o in attempts} == {parent}
    # The same namespace either way: the first position in the first branch of the batch at the root's first position.
    assert attempts[0].id.startswith("48550629202cb2d0")


async def test_an_item_counts_when_it_has_failed_for_good(autojump_clock: MockClock) -> None:
    """A restart is no failure to the completion rules; giving up is, with the last attempt's error."""
    shop = Shop()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        batch = await ctx.map([("a", 1), ("b", 9), ("c", 2)], shop.item, item_retry=HOURLY)
        await ctx.wait(Duration.seconds(1))
        (failed,) = batch.failed()
        assert isinstance(failed.error, OperationError)
        return [
            batch.completion_reason,
            failed.index,
            failed.error.error_type,
            str(failed.error),
            failed.error.data,
        ]

    finished = await run(handler)

    reason = CompletionReason.FAILURE_TOLERANCE_EXCEEDED
    assert finished.result == [reason, 1, "LookupError", "b is out of stock", None]


async def test_branches_of_a_parallel_restart(autojump_clock: MockClock) -> None:
    """Parallel takes the same options, a config object too; the strategy sees the live exception."""
    shop = Shop()

    async def branch(ctx: DurableContext, name: str, failures: int) -> str:
        return await shop.item(ctx, (name, failures), 0)

    retry = fixed_delay(Duration.hours(1), max_attempts=3, retry_on=LookupError)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        branches = [Branch(branch, "x", 1, name="x"), Branch(branch, "y", 0, name="y")]
        batch = await ctx.parallel(branches, item_retry=retry)
        other = await ctx.map([("z", 2)], shop.item, config=MapConfig(item_retry=retry))
        return batch.results() + other.results()

    assert (await run(handler)).result == ["x packed at 2", "y packed at 1", "z packed at 3"]


async def test_a_restarting_item_keeps_its_place(autojump_clock: MockClock) -> None:
    """With a concurrency of one the next item waits until the restarted one is through."""
    shop = Shop()
    order: list[str] = []

    async def item(ctx: DurableContext, value: tuple[str, int], index: int) -> str:
        order.append(value[0])
        return await shop.item(ctx, value, index)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        batch = await ctx.map([("a", 1), ("b", 0)], item, item_retry=HOURLY, max_concurrency=1)
        return batch.results()

    assert (await run(handler)).result == ["a packed at 2", "b packed at 1"]
    assert order == ["a", "a", "b"]


@pytest.mark.parametrize("nesting", NestingType)
async def test_a_shared_budget_of_restarts(autojump_clock: MockClock, nesting: NestingType) -> None:
    """All items together are restarted no more often than the intensity says, in any number of invocations."""
    shop = Shop()
    strategies: list[int] = []

    def strategy(error: Exception, attempt: int) -> Duration:
        strategies.append(attempt)
        return Duration.minutes(attempt)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        batch = await ctx.map(
            [("a", 1), ("b", 1), ("c", 9)],
            shop.item,
            name="packing",
            item_retry=strategy,
            restart_intensity=RestartIntensity(max_restarts=4),
            completion=CompletionConfig.all_completed(),
            nesting=nesting,
        )
        await ctx.wait(Duration.seconds(1))
        return [item.status for item in batch.items]

    finished = await run(handler)

    assert finished.result == ["SUCCEEDED", "SUCCEEDED", "FAILED"]
    assert shop.tries == {"a": 2, "b": 2, "c": 3}
    ledger = [o for o in finished.operations if o.sub_type == "Restart"]
    assert {o.parent_id for o in ledger} == {finished.named("packing").id}
    assert sorted(json.loads(o.details.result or "")["index"] for o in ledger) == [0, 1, 2, 2]  # type: ignore[union-attr]
    assert sorted(o.name or "" for o in ledger) == [
        "restart-0-1",
        "restart-1-1",
        "restart-2-1",
        "restart-2-2",
    ]


async def test_a_budget_over_time(autojump_clock: MockClock) -> None:
    """With ``within``, old restarts are forgotten: slow failures are restarted for ever, quick ones are not."""
    shop = Shop()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        results = []
        for name, minutes in (("slow", 10), ("quick", 1)):
            batch = await ctx.map(
                [(name, 6)],
                shop.item,
                item_retry=fixed_delay(Duration.minutes(minutes), max_attempts=99),
                restart_intensity=RestartIntensity(max_restarts=3, within=Duration.minutes(15)),
            )
            results.append(batch.status)
        return results

    assert (await run(handler)).result == ["SUCCEEDED", "FAILED"]
    assert shop.tries == {"slow": 7, "quick": 4}


@pytest.mark.parametrize("mode", CheckpointingMode)
@pytest.mark.parametrize("nesting", NestingType)
async def test_the_budget_survives_crashes(
    autojump_clock: MockClock, nesting: NestingType, mode: CheckpointingMode
) -> None:
    """Killed around any call, an execution restarts as often as without a crash: a grant counts once."""

    async def outcome(crash: Crash | None) -> Any:
        shop = Shop()

        @durable_execution(checkpointing=mode)
        async def handler(event: Any, ctx: DurableContext) -> Any:
            batch = await ctx.map(
                [("a", 1), ("b", 9)],
                shop.item,
                item_retry=lambda error, attempt: Duration.minutes(attempt),
                restart_intensity=RestartIntensity(max_restarts=3),
                completion=CompletionConfig.all_completed(),
                nesting=nesting,
            )
            return [item.status for item in batch.items]

        crashing = Crashing(handler, crash or Crash(0, "before"))
        finished = await run(crashing)
        granted = sum(o.sub_type == "Restart" for o in finished.operations)
        return finished.result, granted, crashing.calls

    result, granted, calls = await outcome(None)
    assert (result, granted) == (["SUCCEEDED", "FAILED"], 3)
    for call in range(1, calls + 1):
        for when in ("before", "after"):
            crashed = await outcome(Crash(call, when))
            assert crashed[:2] == (result, granted), (call, when)


async def test_what_is_refused(autojump_clock: MockClock) -> None:
    """A budget without restarts, a wrong one, a strategy that cannot be called."""
    shop = Shop()
    wrong: Any = 3
    with pytest.raises(ValidationError, match="max_restarts must be at least 1"):
        RestartIntensity(0)
    with pytest.raises(ValidationError, match="max_restarts must be a whole number"):
        RestartIntensity(None)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="within must be at least 1 second"):
        RestartIntensity(1, Duration.seconds(0))
    with pytest.raises(TypeError, match="bare number"):
        RestartIntensity(1, 60)  # type: ignore[arg-type]

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        with pytest.raises(ValidationError, match="give item_retry, too"):
            ctx.map([("a", 1)], shop.item, restart_intensity=RestartIntensity(1))
        with pytest.raises(ValidationError, match="must be a RestartIntensity"):
            ctx.parallel([], item_retry=HOURLY, restart_intensity=wrong)
        with pytest.raises(ValidationError, match="callable"):
            ctx.map([("a", 1)], shop.item, item_retry=wrong)

    finished = await run(handler)
    assert finished.status == "SUCCEEDED", finished.description.error
