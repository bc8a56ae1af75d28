# ruff: noqa: D102 - a pair's docstring speaks for both of its halves
"""What waits for time or for somebody else: waits, callbacks, conditions, invokes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from aws_durable_execution_sdk_python import CallbackError, InvokeError, WaitForConditionError
from aws_durable_execution_sdk_python import config as aws
from aws_durable_execution_sdk_python.waits import WaitForConditionConfig, WaitForConditionDecision
from differential.pair import Pair, aws_retry, one

import durable_trio
from durable_trio import DurableContext, Duration, WaitDecision, fixed_delay


class Waits(Pair):
    """A named and an unnamed wait, with a step between them."""

    def aws(self, event: Any, ctx: Any) -> Any:
        ctx.wait(aws.Duration.from_hours(1), name="cool-off")
        value = ctx.step(lambda _: 1, name="one")
        ctx.wait(aws.Duration.from_seconds(1))
        return value

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        await ctx.wait(Duration.hours(1), name="cool-off")
        value = await ctx.step(one)
        await ctx.wait(Duration.seconds(1))
        return value


class CallbackAnswered(Pair):
    """A callback, created, announced in a step, and answered."""

    answers: ClassVar[dict[str, str | None]] = {"approval": '"yes"'}

    def aws(self, event: Any, ctx: Any) -> Any:
        config = aws.CallbackConfig(
            timeout=aws.Duration.from_days(2), heartbeat_timeout=aws.Duration.from_hours(1)
        )
        callback = ctx.create_callback(name="approval", config=config)
        ctx.step(lambda _: 1, name="announce")
        return callback.result()

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        callback = await ctx.create_callback(
            name="approval", timeout=Duration.days(2), heartbeat_timeout=Duration.hours(1)
        )
        await ctx.step(one, name="announce")
        return await callback.result()


class CallbackTimesOut(Pair):
    """Nobody answers a callback in time."""

    def aws(self, event: Any, ctx: Any) -> Any:
        config = aws.CallbackConfig(timeout=aws.Duration.from_minutes(5))
        callback = ctx.create_callback(name="approval", config=config)
        try:
            callback.result()
        except CallbackError:
            return "late"

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        callback = await ctx.create_callback(name="approval", timeout=timedelta(minutes=5))
        try:
            await callback.result()
        except durable_trio.CallbackError:
            return "late"


class WaitsForCallback(Pair):
    """A callback with its submitter."""

    answers: ClassVar[dict[str, str | None]] = {"approval create callback id": '"yes"'}

    def aws(self, event: Any, ctx: Any) -> Any:
        config = aws.WaitForCallbackConfig(timeout=aws.Duration.from_hours(3))
        return ctx.wait_for_callback(lambda _id, _ctx: None, name="approval", config=config)

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def submit(callback_id: str) -> None:
            """Tell somebody."""

        return await ctx.wait_for_callback(submit, name="approval", timeout=Duration.hours(3))


class SubmitterFails(Pair):
    """Nobody could be told about a callback."""

    def aws(self, event: Any, ctx: Any) -> Any:
        def submit(_id: str, _ctx: Any) -> None:
            raise ValueError("boom")

        config = aws.WaitForCallbackConfig(retry_strategy=aws_retry(4, 2))
        try:
            ctx.wait_for_callback(submit, name="approval", config=config)
        except CallbackError:
            return "nobody was told"

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def submit(callback_id: str) -> None:
            raise ValueError("boom")

        retry = fixed_delay(Duration.seconds(4), max_attempts=2)
        try:
            await ctx.wait_for_callback(submit, name="approval", retry=retry)
        except durable_trio.CallbackError:
            return "nobody was told"


class WaitsForCondition(Pair):
    """A condition that is met at the third look."""

    def aws(self, event: Any, ctx: Any) -> Any:
        def strategy(state: int, attempt: int) -> Any:
            if state >= 3:
                return WaitForConditionDecision.stop_polling()
            return WaitForConditionDecision.continue_waiting(aws.Duration.from_seconds(9))

        config = WaitForConditionConfig(wait_strategy=strategy, initial_state=0)
        return ctx.wait_for_condition(lambda state, _: state + 1, config, name="poll")

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def look(state: int) -> int:
            return state + 1

        def strategy(state: int, attempt: int) -> WaitDecision:
            return WaitDecision.stop() if state >= 3 else WaitDecision.after(Duration.seconds(9))

        return await ctx.wait_for_condition(look, initial_state=0, wait_strategy=strategy, name="poll")


class ConditionFails(Pair):
    """A look that fails fails the condition."""

    def aws(self, event: Any, ctx: Any) -> Any:
        def look(state: int, _: Any) -> int:
            raise ValueError("boom")

        config = WaitForConditionConfig(
            wait_strategy=lambda _state, _attempt: WaitForConditionDecision.stop_polling(), initial_state=0
        )
        try:
            ctx.wait_for_condition(look, config, name="poll")
        except WaitForConditionError:
            return "failed"

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def look(state: int) -> int:
            raise ValueError("boom")

        try:
            await ctx.wait_for_condition(look, initial_state=0, until=lambda _: True, name="poll")
        except durable_trio.WaitForConditionError:
            return "failed"


class Invokes(Pair):
    """Two chained invokes, one of which fails."""

    def aws(self, event: Any, ctx: Any) -> Any:
        doubled = ctx.invoke("doubler:$LATEST", 21, name="double")
        try:
            ctx.invoke("failing:$LATEST", {"a": 1}, config=aws.InvokeConfig(tenant_id="t-1"))
        except InvokeError:
            return doubled

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        doubled = await ctx.invoke("doubler:$LATEST", 21, name="double")
        try:
            await ctx.invoke("failing:$LATEST", {"a": 1}, tenant_id="t-1")
        except durable_trio.InvokeError:
            return doubled
