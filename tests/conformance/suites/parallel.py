"""Suite ``parallel``: branches, one after the other where their order is to be seen."""

from __future__ import annotations

import json
from typing import Any

from conformance.bodies import give
from conformance.suites.batches import fail, report, succeed

from durable_trio import Branch, CompletionConfig, DurableContext, custom_serdes, durable_execution


def returns(value: str) -> Branch[str]:
    """Return a branch that gives *value*."""
    return Branch(succeed, value)


@durable_execution
async def basic(event: None, ctx: DurableContext) -> list[str]:
    """8-1: two branches of one step each."""
    batch = await ctx.parallel(
        [lambda branch: branch.step(give, "task-1"), lambda branch: branch.step(give, "task-2")],
        name="parallel",
        max_concurrency=1,
    )
    return batch.results()


@durable_execution
async def named(event: None, ctx: DurableContext) -> list[str]:
    """8-3: branches with names."""
    batch = await ctx.parallel(
        [Branch(succeed, "one", name="first"), Branch(succeed, "two", name="second")],
        name="named",
        max_concurrency=1,
    )
    return batch.results()


@durable_execution
async def empty(event: None, ctx: DurableContext) -> list[str]:
    """8-5: no branches."""
    none: list[Branch[str]] = []
    batch = await ctx.parallel(none, name="empty")
    return batch.results()


@durable_execution
async def rethrown(event: None, ctx: DurableContext) -> None:
    """8-7: the first failure decides, and the handler wants it raised."""
    batch = await ctx.parallel(
        [Branch(fail), returns("never started")],
        name="throwing",
        max_concurrency=1,
        completion=CompletionConfig.with_failure_tolerance(count=0),
    )
    batch.raise_if_failed()


@durable_execution
async def tolerated(event: None, ctx: DurableContext) -> dict[str, Any]:
    """8-9: one failure is tolerated."""
    batch = await ctx.parallel(
        [returns("first"), Branch(fail), returns("third")],
        name="tolerated",
        max_concurrency=1,
        completion=CompletionConfig.with_failure_tolerance(count=1),
    )
    return report(batch, "completionReason", "status", "successCount", "failureCount", "totalCount")


@durable_execution
async def concurrent(event: None, ctx: DurableContext) -> list[str]:
    """8-11: two at a time; results in the order of the branches."""
    batch = await ctx.parallel(
        [returns("r0"), returns("r1"), returns("r2")], name="concurrent", max_concurrency=2
    )
    return batch.results()


@durable_execution
async def percentage_exceeded(event: None, ctx: DurableContext) -> dict[str, Any]:
    """8-13: two failures of four are more than a quarter."""
    batch = await ctx.parallel(
        [Branch(fail), Branch(fail), returns("never started"), returns("never started")],
        name="tolerated-pct",
        max_concurrency=1,
        completion=CompletionConfig.with_failure_tolerance(percentage=25),
    )
    return report(batch, "completionReason", "successCount", "failureCount", "totalCount")


@durable_execution
async def own_item_serdes(event: None, ctx: DurableContext) -> list[str]:
    """8-15: a serializer for what each branch returns."""
    wrapping = custom_serdes(
        lambda value: json.dumps({"wrapped": value}), lambda text: json.loads(text)["wrapped"]
    )
    batch = await ctx.parallel(
        [returns("x"), returns("y")], name="serde", max_concurrency=1, item_serdes=wrapping
    )
    return batch.results()


@durable_execution
async def minimum_not_reached(event: None, ctx: DurableContext) -> dict[str, Any]:
    """8-17: three successes are wanted, one branch fails, and all of them run."""
    batch = await ctx.parallel(
        [returns("first"), Branch(fail), returns("third")],
        name="min-not-reached",
        max_concurrency=1,
        completion=CompletionConfig.with_min_successful(3),
    )
    return report(batch, "completionReason", "status", "successCount", "failureCount", "totalCount")


@durable_execution
async def no_concurrency(event: None, ctx: DurableContext) -> list[str]:
    """8-19: no branch at a time is refused."""
    batch = await ctx.parallel([returns("x"), returns("y")], name="bad-concurrency", max_concurrency=0)
    return batch.results()


@durable_execution
async def nested(event: None, ctx: DurableContext) -> list[list[str]]:
    """8-21: branches in a branch."""

    async def inner(branch: DurableContext) -> list[str]:
        batch = await branch.parallel(
            [lambda arm: arm.step(give, "i1"), lambda arm: arm.step(give, "i2")],
            name="inner",
            max_concurrency=1,
        )
        return batch.results()

    outer = await ctx.parallel([inner], name="outer", max_concurrency=1)
    return outer.results()


HANDLERS = {
    "8-1": basic,
    "8-3": named,
    "8-5": empty,
    "8-7": rethrown,
    "8-9": tolerated,
    "8-11": concurrent,
    "8-13": percentage_exceeded,
    "8-15": own_item_serdes,
    "8-17": minimum_not_reached,
    "8-19": no_concurrency,
    "8-21": nested,
}
