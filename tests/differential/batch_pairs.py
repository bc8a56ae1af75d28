# ruff: noqa: D102 - a pair's docstring speaks for both of its halves
"""Maps and parallels: concurrency, completion, nesting, large results."""

from __future__ import annotations

from typing import Any

from aws_durable_execution_sdk_python import ParallelBranch
from aws_durable_execution_sdk_python import config as aws
from differential.pair import Pair, aws_boom, aws_retry, boom, one

from durable_trio import Branch, CompletionConfig, DurableContext, Duration, NestingType, no_retry

BIG = "x" * 100_000


async def double(ctx: DurableContext, item: int, index: int) -> int:
    """Be a map's item: one step."""

    async def twice() -> int:
        return item * 2

    return await ctx.step(twice, name="twice")


def aws_double(ctx: Any, item: int, index: int, items: Any) -> int:
    """Be a map's item: one step."""
    result: int = ctx.step(lambda _: item * 2, name="twice")
    return result


class Map(Pair):
    """A map, one context per item."""

    def aws(self, event: Any, ctx: Any) -> Any:
        return ctx.map([1, 2, 3], aws_double, name="doubles").get_results()

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        return (await ctx.map([1, 2, 3], double, name="doubles")).results()


class EmptyMap(Pair):
    """A map over nothing."""

    def aws(self, event: Any, ctx: Any) -> Any:
        return ctx.map([], aws_double, name="doubles").get_results()

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        return (await ctx.map([], double, name="doubles")).results()


class MapOneByOne(Pair):
    """A map whose items wait, one at a time, with names of their own."""

    def aws(self, event: Any, ctx: Any) -> Any:
        def item(child: Any, x: int, index: int, items: Any) -> int:
            child.wait(aws.Duration.from_seconds(10), name=f"wait-{index}")
            return x

        config: Any = aws.MapConfig(max_concurrency=1, item_namer=lambda x, _: f"item {x}")
        return ctx.map([1, 2, 3], item, name="slow", config=config).get_results()

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def item(child: DurableContext, x: int, index: int) -> int:
            await child.wait(Duration.seconds(10), name=f"wait-{index}")
            return x

        batch = await ctx.map(
            [1, 2, 3], item, name="slow", max_concurrency=1, item_namer=lambda x, _: f"item {x}"
        )
        return batch.results()


class MapThatTolerates(Pair):
    """A map with a failure, within what it tolerates."""

    def aws(self, event: Any, ctx: Any) -> Any:
        def item(child: Any, x: int, index: int, items: Any) -> int:
            config = aws.StepConfig(retry_strategy=aws_retry(1, 1))
            return int(child.step(aws_boom if x == 2 else (lambda _: x), name="step", config=config))

        config: Any = aws.MapConfig(completion_config=aws.CompletionConfig(tolerated_failure_count=1))
        batch = ctx.map([1, 2, 3], item, name="some", config=config)
        return [batch.success_count, batch.failure_count]

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def item(child: DurableContext, x: int, index: int) -> int:
            async def body() -> int:
                return await boom() if x == 2 else x

            return await child.step(body, name="step", retry=no_retry())

        completion = CompletionConfig.with_failure_tolerance(count=1)
        batch = await ctx.map([1, 2, 3], item, name="some", completion=completion)
        batch.errors()
        return [batch.success_count, batch.failure_count]


class MapThatGivesUp(Pair):
    """A map that is decided by its first failure, while another item waits."""

    def aws(self, event: Any, ctx: Any) -> Any:
        def item(child: Any, x: int, index: int, items: Any) -> int:
            child.wait(aws.Duration.from_seconds(x))
            raise ValueError("boom")

        batch = ctx.map([10, 1000], item, name="few")
        return [batch.failure_count, batch.started_count]

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def item(child: DurableContext, x: int, index: int) -> int:
            await child.wait(Duration.seconds(x))
            raise ValueError("boom")

        batch = await ctx.map([10, 1000], item, name="few")
        batch.errors()
        return [batch.failure_count, batch.started_count]


class FlatMap(Pair):
    """A map without contexts for its items."""

    def aws(self, event: Any, ctx: Any) -> Any:
        config: Any = aws.MapConfig(nesting_type=aws.NestingType.FLAT)
        return ctx.map([1, 2, 3], aws_double, name="doubles", config=config).get_results()

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        return (await ctx.map([1, 2, 3], double, name="doubles", nesting=NestingType.FLAT)).results()


class LargeMap(Pair):
    """A map whose record would be too big: only the verdict is stored."""

    def aws(self, event: Any, ctx: Any) -> Any:
        def item(child: Any, x: int, index: int, items: Any) -> str:
            return BIG + str(child.step(lambda _: x, name="step"))

        results = ctx.map([1, 2, 3], item, name="big").get_results()
        ctx.wait(aws.Duration.from_seconds(5))
        return sum(map(len, results))

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def item(child: DurableContext, x: int, index: int) -> str:
            async def body() -> int:
                return x

            return BIG + str(await child.step(body, name="step"))

        results = (await ctx.map([1, 2, 3], item, name="big")).results()
        await ctx.wait(Duration.seconds(5))
        return sum(map(len, results))


class Parallel(Pair):
    """Branches with and without names, one of which waits."""

    def aws(self, event: Any, ctx: Any) -> Any:
        def first(child: Any) -> Any:
            return child.step(lambda _: 1, name="one")

        def second(child: Any) -> Any:
            child.wait(aws.Duration.from_minutes(1), name="pause")
            return 2

        branches = [ParallelBranch(first, name="first branch"), second]
        return ctx.parallel(branches, name="both").get_results()

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def first(child: DurableContext) -> int:
            return await child.step(one)

        async def second(child: DurableContext) -> int:
            await child.wait(Duration.minutes(1), name="pause")
            return 2

        branches: list[Any] = [Branch(first, name="first branch"), second]
        return (await ctx.parallel(branches, name="both")).results()


class FlatParallel(Pair):
    """Branches without contexts of their own."""

    def aws(self, event: Any, ctx: Any) -> Any:
        def branch(child: Any) -> Any:
            return child.step(lambda _: 1, name="one")

        config = aws.ParallelConfig(nesting_type=aws.NestingType.FLAT)
        return ctx.parallel([branch, branch], name="flat", config=config).get_results()

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def branch(child: DurableContext) -> int:
            return await child.step(one)

        return (await ctx.parallel([branch, branch], name="flat", nesting=NestingType.FLAT)).results()


class FirstOfParallel(Pair):
    """One success is enough; the slower branch stays as it is."""

    def aws(self, event: Any, ctx: Any) -> Any:
        def branch(seconds: int) -> Any:
            def body(child: Any) -> int:
                child.wait(aws.Duration.from_seconds(seconds), name="wait")
                return seconds

            return body

        config = aws.ParallelConfig(completion_config=aws.CompletionConfig(min_successful=1))
        batch = ctx.parallel([branch(10), branch(86_400)], name="race", config=config)
        ctx.wait(aws.Duration.from_seconds(1))
        return batch.get_results()

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def branch(child: DurableContext, seconds: int) -> int:
            await child.wait(Duration.seconds(seconds), name="wait")
            return seconds

        completion = CompletionConfig.first_successful()
        branches = [Branch(branch, 10), Branch(branch, 86_400)]
        batch = await ctx.parallel(branches, name="race", completion=completion)
        await ctx.wait(Duration.seconds(1))
        return batch.results()
