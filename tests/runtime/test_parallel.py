"""``ctx.parallel``, flat branches, and maps over groups of items."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from support.runs import run

from durable_trio import (
    BatchItemStatus,
    BatchResult,
    Branch,
    CompletionConfig,
    CompletionReason,
    DurableContext,
    Duration,
    ItemBatcher,
    NestingType,
    ValidationError,
    durable_execution,
)


async def echo(value: Any) -> Any:
    """Give back what was given."""
    return value


async def a_branch(ctx: DurableContext) -> str:
    """Be a branch without a name."""
    return await ctx.step(echo, "first")


async def named(ctx: DurableContext, value: str) -> str:
    """Be a branch with an argument."""
    await ctx.wait(Duration.seconds(1))
    return await ctx.step(echo, value)


async def test_branches_are_functions_or_branch_objects(autojump_clock: trio.testing.MockClock) -> None:
    """Results come in order of the branches; a ``Branch`` has arguments and a name."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[str]:
        batch = await ctx.parallel([a_branch, Branch(named, "second", name="two")], name="both")
        return batch.results()

    finished = await run(handler)

    assert finished.result == ["first", "second"]
    branches = [o for o in finished.operations if o.sub_type == "ParallelBranch"]
    assert [branch.name for branch in branches] == ["parallel-branch-0", "two"]
    assert {branch.parent_id for branch in branches} == {finished.named("both").id}


@pytest.mark.parametrize("nesting", list(NestingType))
async def test_nesting_changes_records_not_results(
    autojump_clock: trio.testing.MockClock, nesting: NestingType
) -> None:
    """FLAT branches record nothing of their own, and their operations belong to the batch."""
    bodies: list[int] = []

    async def count(item: int) -> int:
        bodies.append(item)
        return item * 2

    async def item_body(ctx: DurableContext, item: int, index: int) -> int:
        first = await ctx.step(count, item)
        if index == 1:
            await ctx.wait(Duration.seconds(5))
        return await ctx.step(count, first)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[int]:
        batch = await ctx.map([1, 2, 3], item_body, nesting=nesting, name="m")
        await ctx.wait(Duration.seconds(1))
        return batch.results()

    finished = await run(handler)

    assert finished.result == [4, 8, 12]
    assert sorted(bodies) == [1, 2, 2, 3, 4, 6]
    contexts = [o for o in finished.operations if o.sub_type == "MapIteration"]
    assert len(contexts) == (3 if nesting is NestingType.NESTED else 0)
    if nesting is NestingType.FLAT:
        steps = [o for o in finished.operations if o.type == "STEP"]
        assert {step.parent_id for step in steps} == {finished.named("m").id}


@pytest.mark.parametrize("nesting", list(NestingType))
async def test_a_decision_is_obeyed_on_replay(
    autojump_clock: trio.testing.MockClock, nesting: NestingType
) -> None:
    """The first success decides at once; the loser, which would take ten minutes, stays STARTED for ever."""
    seen: list[Any] = []

    async def quick(ctx: DurableContext) -> str:
        await ctx.step(trio.sleep, 2, name="quick")
        return "quick"

    async def slow(ctx: DurableContext) -> str:
        await ctx.step(trio.sleep, 600, name="slow")
        return "slow"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        batch = await ctx.parallel(
            [slow, quick], nesting=nesting, completion=CompletionConfig.first_successful()
        )
        seen.append([(item.index, item.status, item.result) for item in batch])
        await ctx.wait(Duration.hours(2))
        return str(batch.completion_reason)

    finished = await run(handler)

    assert finished.result == CompletionReason.MIN_SUCCESSFUL_REACHED
    assert seen == [[(0, BatchItemStatus.STARTED, None), (1, BatchItemStatus.SUCCEEDED, "quick")]] * 2


@pytest.mark.parametrize("nesting", list(NestingType))
async def test_a_batch_too_big_to_store_comes_back_from_its_children(
    autojump_clock: trio.testing.MockClock, nesting: NestingType
) -> None:
    """Over 262,144 bytes only the verdict is stored; the items are replayed, and failures and losers stay."""
    seen: list[Any] = []

    async def big(ctx: DurableContext, item: int, index: int) -> str:
        if item == 1:
            raise ValueError("no")
        if item == 3:
            await ctx.wait(Duration.days(300))
        return await ctx.step(echo, str(item) * 150_000)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        batch = await ctx.map(
            [0, 1, 2, 3, 4],
            big,
            nesting=nesting,
            completion=CompletionConfig.with_min_successful(3),
            summary=lambda batch: f"{batch.success_count} done",
            name="m",
        )
        seen.append([(i.index, i.status, len(i.result or ""), str(i.error), i.name) for i in batch])
        await ctx.wait(Duration.seconds(1))
        return len(batch)

    finished = await run(handler)

    assert finished.result == 5
    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert [entry[1] for entry in seen[0]] == ["SUCCEEDED", "FAILED", "SUCCEEDED", "STARTED", "SUCCEEDED"]
    details: Any = finished.named("m").details
    assert details.replay_children
    assert '"startedIndexes":[3]' in details.result
    assert '"summary":"3 done"' in details.result


async def test_the_window_slides(autojump_clock: trio.testing.MockClock) -> None:
    """At most ``max_concurrency`` branches are unfinished at a time; a suspended one keeps its slot."""
    order: list[str] = []

    async def body(ctx: DurableContext, item: int, index: int) -> int:
        if not ctx.is_replaying:
            order.append(f"+{item}")
        await ctx.wait(Duration.seconds(10 if item == 0 else 1))
        order.append(f"-{item}")
        return item

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[int]:
        return (await ctx.map(range(4), body, max_concurrency=2)).results()

    finished = await run(handler)

    assert finished.result == [0, 1, 2, 3]
    assert set(order[:2]) == {"+0", "+1"}
    assert order[2:] == ["-1", "+2", "-2", "+3", "-3", "-0"]


async def test_every_item_of_a_group_is_processed(autojump_clock: trio.testing.MockClock) -> None:
    """``batch`` gives each branch a list and its start index; an item that is too big is a group by itself."""

    async def pack(ctx: DurableContext, items: list[str], start: int) -> list[str]:
        return [f"{start + offset}:{len(item)}" for offset, item in enumerate(items)]

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[list[str]]:
        batch: BatchResult[Any] = await ctx.map(
            ["a", "b", "c" * 100, "d", "e", "f"],
            pack,
            batch=ItemBatcher(max_items=2, max_bytes=20),
            item_namer=lambda items, start: f"from {start}",
        )
        assert [item.name for item in batch] == ["from 0", "from 2", "from 3", "from 5"]
        return batch.results()

    finished = await run(handler)

    assert finished.result == [["0:1", "1:1"], ["2:100"], ["3:1", "4:1"], ["5:1"]]


async def test_a_predicate_decides(autojump_clock: trio.testing.MockClock) -> None:
    """A custom predicate sees progress after each item, and its verdict stands above failures."""
    progress: list[tuple[int, int]] = []

    def enough(seen: Any) -> CompletionReason | None:
        progress.append((seen.success_count, seen.failure_count))
        if seen.failure_count + seen.success_count == 2:
            return CompletionReason.CUSTOM_COMPLETION_SUCCEEDED
        return None

    async def body(ctx: DurableContext, item: int, index: int) -> int:
        if item == 0:
            raise ValueError("no")
        return item

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[Any]:
        batch = await ctx.map(
            range(5), body, max_concurrency=1, completion=CompletionConfig(predicate=enough)
        )
        return [batch.status, batch.completion_reason, batch.total_count]

    finished = await run(handler)

    assert finished.result == ["SUCCEEDED", "CUSTOM_COMPLETION_SUCCEEDED", 2]
    assert progress == [(0, 0), (0, 1), (1, 1)]


async def test_bad_branches_are_refused(autojump_clock: trio.testing.MockClock) -> None:
    """Nothing is recorded of a parallel whose arguments make no sense."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        for branches in ("ab", {a_branch}, 5, [1]):
            with pytest.raises(ValidationError):
                ctx.parallel(branches)  # type: ignore[arg-type]
        with pytest.raises(ValidationError, match="max_concurrency must be at least 1"):
            ctx.parallel([a_branch], max_concurrency=0)
        with pytest.raises(ValidationError, match="min_successful must be at most"):
            ctx.parallel([a_branch], completion=CompletionConfig.with_min_successful(2))
        with pytest.raises(ValidationError, match="nesting must be one of"):
            ctx.parallel([a_branch], nesting="DEEP")  # type: ignore[call-overload]
        with pytest.raises(ValidationError, match="max_items must be at least 1"):
            ItemBatcher(max_items=0)

    finished = await run(handler)
    assert finished.status == "SUCCEEDED", finished.description
    assert finished.calls == []


async def test_a_batch_may_be_the_handlers_result(autojump_clock: trio.testing.MockClock) -> None:
    """A ``BatchResult`` leaves the handler as plain JSON, alone or inside something else."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return {"batch": await ctx.parallel([a_branch])}

    finished = await run(handler)

    assert finished.result == {
        "batch": {
            "all": [{"index": 0, "status": "SUCCEEDED", "result": "first", "name": "parallel-branch-0"}],
            "completionReason": "ALL_COMPLETED",
        }
    }
