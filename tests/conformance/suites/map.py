"""Suite ``map``: items, one after the other where their order is to be seen."""

from __future__ import annotations

from typing import Any

from conformance.bodies import give, greet
from conformance.suites.batches import fail, report, succeed

from durable_trio import (
    BatchItem,
    BatchItemStatus,
    BatchResult,
    CompletionConfig,
    CompletionReason,
    DurableContext,
    Duration,
    custom_serdes,
    durable_execution,
)


async def keep(ctx: DurableContext, item: str, index: int) -> str:
    """Return the item."""
    return await succeed(ctx, item)


async def upper(ctx: DurableContext, item: str, index: int) -> str:
    """Return the item in capitals."""
    return item.upper()


@durable_execution
async def basic(event: list[str], ctx: DurableContext) -> list[str]:
    """9-1: one step an item."""

    async def welcome(item_ctx: DurableContext, item: str, index: int) -> str:
        return await item_ctx.step(greet, item)

    batch = await ctx.map(event, welcome, name="map", max_concurrency=1)
    return batch.results()


@durable_execution
async def indexed(event: list[int], ctx: DurableContext) -> list[int]:
    """9-3: the function gets the item and its index."""

    async def add(item_ctx: DurableContext, item: int, index: int) -> int:
        return item + index

    batch = await ctx.map(event, add, name="indexed", max_concurrency=1)
    return batch.results()


@durable_execution
async def fail_fast(event: None, ctx: DurableContext) -> dict[str, Any]:
    """9-5: the first failure decides."""

    async def second_fails(item_ctx: DurableContext, item: str, index: int) -> str:
        return await fail(item_ctx) if index == 1 else "ok"

    batch = await ctx.map(
        ["i0", "i1", "i2"],
        second_fails,
        name="failfast",
        max_concurrency=1,
        completion=CompletionConfig.with_failure_tolerance(count=0),
    )
    return report(batch, "completionReason", "status", "successCount", "failureCount", "totalCount")


@durable_execution
async def minimum_reached(event: None, ctx: DurableContext) -> dict[str, Any]:
    """9-7: two successes of four items are enough."""
    batch = await ctx.map(
        ["i0", "i1", "i2", "i3"],
        keep,
        name="min-successful",
        max_concurrency=1,
        completion=CompletionConfig.with_min_successful(2),
    )
    return report(batch, "completionReason", "successCount", "totalCount")


@durable_execution
async def tolerance_exceeded(event: None, ctx: DurableContext) -> dict[str, Any]:
    """9-9: one failure is tolerated, two are not."""

    async def always_fails(item_ctx: DurableContext, item: str, index: int) -> str:
        return await fail(item_ctx)

    batch = await ctx.map(
        ["i0", "i1", "i2"],
        always_fails,
        name="tolerated-exceeded",
        max_concurrency=1,
        completion=CompletionConfig.with_failure_tolerance(count=1),
    )
    return report(batch, "completionReason", "successCount", "failureCount", "totalCount")


@durable_execution
async def concurrent(event: None, ctx: DurableContext) -> list[str]:
    """9-11: two at a time; results in the order of the items."""
    batch = await ctx.map(["r0", "r1", "r2"], keep, name="concurrent", max_concurrency=2)
    return batch.results()


@durable_execution
async def named_items(event: list[int], ctx: DurableContext) -> list[int]:
    """9-13: items have names."""

    async def tenfold(item_ctx: DurableContext, item: int, index: int) -> int:
        return item * 10

    batch = await ctx.map(
        event,
        tenfold,
        name="named-items",
        max_concurrency=1,
        item_namer=lambda item, index: f"item-{item}",
    )
    return batch.results()


@durable_execution
async def wait_inside(event: None, ctx: DurableContext) -> list[str]:
    """9-15: the second item waits; the first is not run again."""

    async def second_waits(item_ctx: DurableContext, item: str, index: int) -> str:
        if index == 1:
            await item_ctx.wait(Duration.seconds(1))
        return await item_ctx.step(give, item)

    batch = await ctx.map(["r0", "r1"], second_waits, name="suspend", max_concurrency=1)
    return batch.results()


@durable_execution
async def wait_after(event: None, ctx: DurableContext) -> list[str]:
    """9-17: a finished map is not run again after a wait."""
    batch = await ctx.map(["a", "b"], upper, name="then-wait", max_concurrency=1)
    await ctx.wait(Duration.seconds(1))
    return batch.results()


def write_batch(batch: BatchResult[str]) -> str:
    """Return the text that 9-19 wants to see."""
    return "OPSERDE:" + ",".join(batch.results())


def read_batch(text: str) -> BatchResult[str]:
    """Return the batch that was written."""
    values = text.removeprefix("OPSERDE:").split(",")
    items = [BatchItem(index, BatchItemStatus.SUCCEEDED, value) for index, value in enumerate(values)]
    return BatchResult(items, CompletionReason.ALL_COMPLETED)


@durable_execution
async def own_serdes(event: None, ctx: DurableContext) -> list[str]:
    """9-19: a serializer for the batch as a whole."""
    batch = await ctx.map(
        ["x", "y"], upper, name="op-serde", max_concurrency=1, serdes=custom_serdes(write_batch, read_batch)
    )
    return batch.results()


HANDLERS = {
    "9-1": basic,
    "9-3": indexed,
    "9-5": fail_fast,
    "9-7": minimum_reached,
    "9-9": tolerance_exceeded,
    "9-11": concurrent,
    "9-13": named_items,
    "9-15": wait_inside,
    "9-17": wait_after,
    "9-19": own_serdes,
}
