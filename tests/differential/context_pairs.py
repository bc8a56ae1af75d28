# ruff: noqa: D102 - a pair's docstring speaks for both of its halves
"""Child contexts: nested, failing, with a large result, virtual."""

from __future__ import annotations

from typing import Any

from aws_durable_execution_sdk_python import ChildContextError
from aws_durable_execution_sdk_python import config as aws
from differential.pair import Pair, one

import durable_trio
from durable_trio import DurableContext, Duration

BIG = "x" * 300_000


class ChildContext(Pair):
    """A child context with a step, a wait, and a child context of its own."""

    def aws(self, event: Any, ctx: Any) -> Any:
        def inner(child: Any) -> Any:
            return child.step(lambda _: 2, name="two")

        def outer(child: Any) -> Any:
            first = child.step(lambda _: 1, name="one")
            child.wait(aws.Duration.from_minutes(1), name="pause")
            return [first, child.run_in_child_context(inner, name="inner")]

        return ctx.run_in_child_context(outer, name="outer")

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def two() -> int:
            return 2

        async def inner(child: DurableContext) -> int:
            return await child.step(two)

        async def outer(child: DurableContext) -> list[int]:
            first = await child.step(one)
            await child.wait(Duration.minutes(1), name="pause")
            return [first, await child.run_in_child_context(inner)]

        return await ctx.run_in_child_context(outer)


class ChildThatFails(Pair):
    """A child context whose own code fails, after a step."""

    def aws(self, event: Any, ctx: Any) -> Any:
        def body(child: Any) -> Any:
            child.step(lambda _: 1, name="one")
            raise ValueError("boom")

        try:
            ctx.run_in_child_context(body, name="body")
        except ChildContextError:
            return "failed"

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def body(child: DurableContext) -> None:
            await child.step(one)
            raise ValueError("boom")

        try:
            await ctx.run_in_child_context(body)
        except durable_trio.ChildContextError:
            return "failed"


class ChildWithALargeResult(Pair):
    """A result too big to be stored, asked for again by a replay."""

    def aws(self, event: Any, ctx: Any) -> Any:
        def body(child: Any) -> Any:
            return BIG + child.step(lambda _: "end", name="end")

        text = ctx.run_in_child_context(body, name="body")
        ctx.wait(aws.Duration.from_seconds(30))
        return len(text)

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def end() -> str:
            return "end"

        async def body(child: DurableContext) -> str:
            return BIG + await child.step(end)

        text = await ctx.run_in_child_context(body)
        await ctx.wait(Duration.seconds(30))
        return len(text)


class VirtualChild(Pair):
    """A child context that is only a namespace."""

    def aws(self, event: Any, ctx: Any) -> Any:
        def body(child: Any) -> Any:
            return child.step(lambda _: 1, name="one")

        first = ctx.run_in_child_context(body, name="body", config=aws.ChildConfig(is_virtual=True))
        return first + ctx.step(lambda _: 1, name="one more")

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def body(child: DurableContext) -> int:
            return await child.step(one)

        first = await ctx.run_in_child_context(body, virtual=True)
        return first + await ctx.step(one, name="one more")
