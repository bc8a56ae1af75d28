# ruff: noqa: D102 - a pair's docstring speaks for both of its halves
"""Workflows in two spellings that suspend after every operation, so that the other SDK has to read what was stored.

Each returns what it saw, in plain JSON; both SDKs must see the same.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from aws_durable_execution_sdk_python import config as aws
from aws_durable_execution_sdk_python.waits import WaitForConditionConfig, WaitForConditionDecision
from differential.pair import PAIRS, Pair, aws_boom, aws_retry, boom

import durable_trio
from durable_trio import CompletionConfig, DurableContext, Duration, NestingType, WaitDecision, no_retry

VALUE: Any = {
    "order": "o-1",
    "lines": [1, 2.5, None, True, "ü"],
    "nested": {"t": "m", "v": [(1, "two"), []]},
    "at": datetime(2026, 3, 1, 12, tzinfo=UTC),
    "day": date(2026, 3, 1),
    "price": Decimal("19.90"),
    "id": UUID(int=7),
    "raw": b"\x00\xff",
    "empty": {},
}
_ALREADY = len(PAIRS)


class Steps(Pair):
    """Steps with values of every kind, a failed one, a retried one."""

    def aws(self, event: Any, ctx: Any) -> Any:
        values = []
        for index, value in enumerate([VALUE, [1, [2]], "text", None, (1, 2)]):
            values.append(ctx.step(lambda _, value=value: value, name=f"step {index}"))
            ctx.wait(aws.Duration.from_seconds(1))
        config = aws.StepConfig(retry_strategy=aws_retry(5, 2))
        failed: Any = None
        try:
            ctx.step(aws_boom, name="boom", config=config)
        except Exception as error:  # noqa: BLE001  # each SDK has its own classes
            failed = [type(error).__name__, str(error)]
        ctx.wait(aws.Duration.from_seconds(1))
        return [repr(values), failed]

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        values = []
        for index, value in enumerate([VALUE, [1, [2]], "text", None, (1, 2)]):

            async def body(value: Any = value) -> Any:
                return value

            values.append(await ctx.step(body, name=f"step {index}"))
            await ctx.wait(Duration.seconds(1))
        failed: Any = None
        try:
            retry = durable_trio.fixed_delay(Duration.seconds(5), max_attempts=2)
            await ctx.step(boom, name="boom", retry=retry)
        except Exception as error:  # noqa: BLE001  # each SDK has its own classes
            failed = [type(error).__name__, str(error)]
        await ctx.wait(Duration.seconds(1))
        return [repr(values), failed]


class Callbacks(Pair):
    """A callback, and one with its submitter."""

    answers: ClassVar[dict[str, str | None]] = {
        "approval": '{"by": "ann"}',
        "signature create callback id": "signed",
    }

    def aws(self, event: Any, ctx: Any) -> Any:
        callback = ctx.create_callback(name="approval")
        ctx.wait(aws.Duration.from_seconds(1))
        answer = callback.result()
        signed = ctx.wait_for_callback(lambda _id, _ctx: None, name="signature")
        ctx.wait(aws.Duration.from_seconds(1))
        return [answer, signed]

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def submit(callback_id: str) -> None:
            """Tell somebody."""

        callback = await ctx.create_callback(name="approval")
        await ctx.wait(Duration.seconds(1))
        answer = await callback.result()
        signed = await ctx.wait_for_callback(submit, name="signature")
        await ctx.wait(Duration.seconds(1))
        return [answer, signed]


class CallbackTooLate(Pair):
    """Nobody answers a callback with its submitter."""

    def aws(self, event: Any, ctx: Any) -> Any:
        config = aws.WaitForCallbackConfig(timeout=aws.Duration.from_minutes(5))
        failed = "not at all"
        try:
            ctx.wait_for_callback(lambda _id, _ctx: None, name="signature", config=config)
        except Exception:  # noqa: BLE001  # each SDK has its own classes
            failed = "CallbackError"
        ctx.wait(aws.Duration.from_seconds(1))
        return failed

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def submit(callback_id: str) -> None:
            """Tell somebody."""

        failed = "not at all"
        try:
            await ctx.wait_for_callback(submit, name="signature", timeout=Duration.minutes(5))
        except durable_trio.CallbackError:
            failed = "CallbackError"
        await ctx.wait(Duration.seconds(1))
        return failed


class Children(Pair):
    """A child context that suspends in the middle, with a value of every kind; one that fails; a large one."""

    def aws(self, event: Any, ctx: Any) -> Any:
        def body(child: Any) -> Any:
            first = child.step(lambda _: VALUE, name="first")
            child.wait(aws.Duration.from_seconds(1))
            return {"first": first, "second": child.step(lambda _: 2, name="second")}

        def failing(child: Any) -> Any:
            child.wait(aws.Duration.from_seconds(1))
            raise ValueError("no")

        def large(child: Any) -> Any:
            return child.step(lambda _: "x" * 200_000, name="big") * 2

        value = ctx.run_in_child_context(body, name="child")
        ctx.wait(aws.Duration.from_seconds(1))
        failed = "not at all"
        try:
            ctx.run_in_child_context(failing, name="failing")
        except Exception as error:  # noqa: BLE001  # each SDK has its own classes
            failed = str(error)
        ctx.wait(aws.Duration.from_seconds(1))
        size = len(ctx.run_in_child_context(large, name="large"))
        ctx.wait(aws.Duration.from_seconds(1))
        return [repr(value), failed, size]

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def value_of() -> Any:
            return VALUE

        async def two() -> int:
            return 2

        async def big() -> str:
            return "x" * 200_000

        async def body(child: DurableContext) -> Any:
            first = await child.step(value_of, name="first")
            await child.wait(Duration.seconds(1))
            return {"first": first, "second": await child.step(two, name="second")}

        async def failing(child: DurableContext) -> Any:
            await child.wait(Duration.seconds(1))
            raise ValueError("no")

        async def large(child: DurableContext) -> Any:
            return await child.step(big, name="big") * 2

        value = await ctx.run_in_child_context(body, name="child")
        await ctx.wait(Duration.seconds(1))
        failed = "not at all"
        try:
            await ctx.run_in_child_context(failing, name="failing")
        except durable_trio.ChildContextError as error:
            failed = str(error)
        await ctx.wait(Duration.seconds(1))
        size = len(await ctx.run_in_child_context(large, name="large"))
        await ctx.wait(Duration.seconds(1))
        return [repr(value), failed, size]


def _aws_items(nesting: Any) -> Any:
    def run(ctx: Any) -> Any:
        def item(child: Any, x: int, index: int, items: Any) -> Any:
            child.step(lambda _: x, name=f"step-{index}")
            child.wait(aws.Duration.from_seconds(x), name=f"wait-{index}")
            if x == 2:
                raise ValueError("two")
            return VALUE if x == 1 else x

        completion = aws.CompletionConfig(tolerated_failure_count=1)
        config: Any = aws.MapConfig(completion_config=completion, nesting_type=nesting)
        batch = ctx.map([1, 2, 3], item, name="items", config=config)
        ctx.wait(aws.Duration.from_seconds(1))
        errors = [f"{error.type}: {error.message}" for error in batch.get_errors()]
        statuses = [item.status.value for item in batch.all]
        return [repr(batch.get_results()), errors, statuses, batch.completion_reason.value]

    return run


async def _our_items(ctx: DurableContext, nesting: NestingType) -> Any:
    async def item(child: DurableContext, x: int, index: int) -> Any:
        async def body() -> int:
            return x

        await child.step(body, name=f"step-{index}")
        await child.wait(Duration.seconds(x), name=f"wait-{index}")
        if x == 2:
            raise ValueError("two")
        return VALUE if x == 1 else x

    completion = CompletionConfig(tolerated_failure_count=1)
    batch = await ctx.map([1, 2, 3], item, name="items", completion=completion, nesting=nesting)
    await ctx.wait(Duration.seconds(1))
    errors = [f"{getattr(error, 'error_type', None)}: {error}" for error in batch.errors()]
    statuses = [str(item.status) for item in batch]
    return [repr(batch.results()), errors, statuses, str(batch.completion_reason)]


class Map(Pair):
    """A map whose items wait, with a failure within what it tolerates."""

    def aws(self, event: Any, ctx: Any) -> Any:
        return _aws_items(aws.NestingType.NESTED)(ctx)

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        return await _our_items(ctx, NestingType.NESTED)


class FlatMap(Pair):
    """The same without contexts for the items."""

    def aws(self, event: Any, ctx: Any) -> Any:
        return _aws_items(aws.NestingType.FLAT)(ctx)

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        return await _our_items(ctx, NestingType.FLAT)


class LargeMap(Pair):
    """A map of which only the verdict is stored."""

    def aws(self, event: Any, ctx: Any) -> Any:
        def item(child: Any, x: int, index: int, items: Any) -> str:
            return str(child.step(lambda _: "y" * 120_000, name="step"))

        results = ctx.map([1, 2, 3], item, name="big").get_results()
        ctx.wait(aws.Duration.from_seconds(5))
        return [len(result) for result in results]

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def item(child: DurableContext, x: int, index: int) -> str:
            async def body() -> str:
                return "y" * 120_000

            return await child.step(body, name="step")

        results = (await ctx.map([1, 2, 3], item, name="big")).results()
        await ctx.wait(Duration.seconds(5))
        return [len(result) for result in results]


class Parallel(Pair):
    """The first of two branches wins; the other one stays as it is."""

    def aws(self, event: Any, ctx: Any) -> Any:
        def branch(seconds: int) -> Any:
            def body(child: Any) -> Any:
                child.wait(aws.Duration.from_seconds(seconds), name="wait")
                return {"seconds": seconds}

            return body

        config = aws.ParallelConfig(completion_config=aws.CompletionConfig(min_successful=1))
        batch = ctx.parallel([branch(10), branch(86_400)], name="race", config=config)
        ctx.wait(aws.Duration.from_seconds(1))
        statuses = [item.status.value for item in batch.all]
        return [batch.get_results(), statuses, batch.completion_reason.value]

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        def branch(seconds: int) -> Any:
            async def body(child: DurableContext) -> Any:
                await child.wait(Duration.seconds(seconds), name="wait")
                return {"seconds": seconds}

            return body

        completion = CompletionConfig.first_successful()
        batch = await ctx.parallel([branch(10), branch(86_400)], name="race", completion=completion)
        await ctx.wait(Duration.seconds(1))
        statuses = [str(item.status) for item in batch]
        return [batch.results(), statuses, str(batch.completion_reason)]


class Condition(Pair):
    """A condition whose state is handed on from look to look."""

    def aws(self, event: Any, ctx: Any) -> Any:
        def strategy(state: Any, attempt: int) -> Any:
            if state["n"] >= 4:
                return WaitForConditionDecision.stop_polling()
            return WaitForConditionDecision.continue_waiting(aws.Duration.from_seconds(9))

        config = WaitForConditionConfig(wait_strategy=strategy, initial_state={"n": 0})
        state = ctx.wait_for_condition(
            lambda state, _: {"n": state["n"] + 1, "pair": (state["n"], 1)}, config, name="poll"
        )
        ctx.wait(aws.Duration.from_seconds(1))
        return repr(state)

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def look(state: Any) -> Any:
            return {"n": state["n"] + 1, "pair": (state["n"], 1)}

        def strategy(state: Any, attempt: int) -> WaitDecision:
            return WaitDecision.stop() if state["n"] >= 4 else WaitDecision.after(Duration.seconds(9))

        state = await ctx.wait_for_condition(
            look, initial_state={"n": 0}, wait_strategy=strategy, name="poll"
        )
        await ctx.wait(Duration.seconds(1))
        return repr(state)


class Invoke(Pair):
    """A chained invoke."""

    def aws(self, event: Any, ctx: Any) -> Any:
        doubled = ctx.invoke("doubler:$LATEST", 21, name="double")
        ctx.wait(aws.Duration.from_seconds(1))
        return doubled

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        doubled = await ctx.invoke("doubler:$LATEST", 21, name="double")
        await ctx.wait(Duration.seconds(1))
        return doubled


class AtMostOnce(Pair):
    """An at-most-once step."""

    def aws(self, event: Any, ctx: Any) -> Any:
        config = aws.StepConfig(step_semantics=aws.StepSemantics.AT_MOST_ONCE_PER_RETRY)
        value = ctx.step(lambda _: VALUE["lines"], name="charge", config=config)
        ctx.wait(aws.Duration.from_seconds(1))
        return value

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        async def charge() -> Any:
            return VALUE["lines"]

        semantics = durable_trio.StepSemantics.AT_MOST_ONCE_PER_RETRY
        value = await ctx.step(charge, semantics=semantics, retry=no_retry())
        await ctx.wait(Duration.seconds(1))
        return value


WORKFLOWS = PAIRS[_ALREADY:]
"""The pairs of this module; they are no part of the differential tests."""
del PAIRS[_ALREADY:]
