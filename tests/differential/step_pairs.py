# ruff: noqa: D102 - a pair's docstring speaks for both of its halves
"""Steps: values, retries, failures, at-most-once, interruptions."""

from __future__ import annotations

from typing import Any

from aws_durable_execution_sdk_python import StepError
from aws_durable_execution_sdk_python import config as aws
from differential.pair import Pair, aws_boom, aws_retry, boom, one

import durable_trio
from durable_trio import DurableContext, Duration, StepSemantics, current_step, fixed_delay, no_retry


class StepsInARow(Pair):
    """Three steps and an unnamed value of each JSON kind."""

    def aws(self, event: Any, ctx: Any) -> Any:
        return [
            ctx.step(lambda _: 1, name="int"),
            ctx.step(lambda _: "text", name="str"),
            ctx.step(lambda _: None, name="none"),
        ]

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def value(of: Any) -> Any:
            return of

        return [
            await ctx.step(value, 1, name="int"),
            await ctx.step(value, "text", name="str"),
            await ctx.step(value, None, name="none"),
        ]


class StepThatRetries(Pair):
    """Two attempts fail, the third succeeds."""

    def aws(self, event: Any, ctx: Any) -> Any:
        def flaky(step: Any) -> int:
            if step.attempt < 3:
                raise ValueError(f"attempt {step.attempt}")
            return int(step.attempt)

        config = aws.StepConfig(retry_strategy=aws_retry(7, 5))
        return ctx.step(flaky, name="flaky", config=config)

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def flaky() -> int:
            attempt = current_step().attempt
            if attempt < 3:
                raise ValueError(f"attempt {attempt}")
            return attempt

        return await ctx.step(flaky, name="flaky", retry=fixed_delay(Duration.seconds(7), max_attempts=5))


class StepThatFails(Pair):
    """A step fails for good, and the handler goes on."""

    def aws(self, event: Any, ctx: Any) -> Any:
        config = aws.StepConfig(retry_strategy=aws_retry(2, 2))
        try:
            ctx.step(aws_boom, name="boom", config=config)
        except StepError:
            return ctx.step(lambda _: 1, name="after")

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        try:
            await ctx.step(boom, name="boom", retry=fixed_delay(Duration.seconds(2), max_attempts=2))
        except durable_trio.StepError:
            return await ctx.step(one, name="after")


class AtMostOnce(Pair):
    """An at-most-once step without trouble."""

    def aws(self, event: Any, ctx: Any) -> Any:
        config = aws.StepConfig(step_semantics=aws.StepSemantics.AT_MOST_ONCE_PER_RETRY)
        return ctx.step(lambda _: 1, name="charge", config=config)

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        return await ctx.step(one, name="charge", semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY)


class AtMostOnceInterrupted(Pair):
    """The end of an at-most-once step is lost: the next invocation records an interruption, and retries."""

    fails_at = ("charge", "SUCCEED")

    def aws(self, event: Any, ctx: Any) -> Any:
        config = aws.StepConfig(
            retry_strategy=aws_retry(3, 2), step_semantics=aws.StepSemantics.AT_MOST_ONCE_PER_RETRY
        )
        return ctx.step(lambda step: step.attempt, name="charge", config=config)

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def charge() -> int:
            return current_step().attempt

        return await ctx.step(
            charge,
            semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY,
            retry=fixed_delay(Duration.seconds(3), max_attempts=2),
        )


class AtLeastOnceInterrupted(Pair):
    """The end of an at-least-once step is lost: the next invocation runs it again."""

    fails_at = ("charge", "SUCCEED")

    def aws(self, event: Any, ctx: Any) -> Any:
        return ctx.step(lambda step: step.attempt, name="charge")

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def charge() -> int:
            return current_step().attempt

        return await ctx.step(charge)


class StepWithARecord(Pair):
    """A step whose value is an object; the handler returns it."""

    def aws(self, event: Any, ctx: Any) -> Any:
        return ctx.step(lambda _: {"order": 7, "lines": ["pen", "ink"]}, name="load")

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def load() -> dict[str, Any]:
            return {"order": 7, "lines": ["pen", "ink"]}

        return await ctx.step(load)


class HandlerFails(Pair):
    """A step's error leaves the handler."""

    def aws(self, event: Any, ctx: Any) -> Any:
        return ctx.step(aws_boom, name="boom", config=aws.StepConfig(retry_strategy=aws_retry(1, 1)))

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        return await ctx.step(boom, retry=no_retry())
