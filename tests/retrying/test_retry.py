"""``ctx.retry``: a block of operations is tried again as a whole."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import trio
from support.runs import run
from trio.testing import MockClock

from durable_trio import (
    ChildContextError,
    DurableContext,
    Duration,
    InvocationError,
    RetryPresets,
    StepError,
    ValidationError,
    durable_error,
    durable_execution,
    fixed_delay,
    linear_backoff,
    no_retry,
)

MINUTELY = fixed_delay(Duration.minutes(1), max_attempts=4)


@durable_error
class ShelfIsEmpty(Exception):
    """A business error of these tests."""


async def give(value: Any) -> Any:
    """Return *value*."""
    return value


class Flaky:
    """A block that books, waits, and fails on its first attempts."""

    def __init__(self, failures: int, error: type[Exception] = OSError) -> None:
        self.failures = failures
        self.error = error
        self.booked: list[int] = []

    async def book(self, attempt: int) -> int:
        """Book something."""
        self.booked.append(attempt)
        return len(self.booked)

    async def __call__(self, ctx: DurableContext, name: str) -> str:
        """Be the block."""
        booked = await ctx.step(self.book, 1)
        await ctx.wait(Duration.seconds(5))
        if booked <= self.failures:
            raise self.error(f"attempt {booked}")
        return f"{name} at attempt {booked}"


async def test_a_block_runs_again_until_it_succeeds(autojump_clock: MockClock) -> None:
    """Each attempt is a new run of the whole block, and the delays between them are durable waits."""
    block = Flaky(2)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.retry(block, "booked", retry=MINUTELY)

    before = trio.current_time()
    finished = await run(handler)

    assert finished.result == "booked at attempt 3"
    assert len(block.booked) == 3
    assert trio.current_time() - before == pytest.approx(2 * 60 + 3 * 5, abs=2)


async def test_what_is_recorded(autojump_clock: MockClock) -> None:
    """A context of subtype Retry; attempts, as child contexts, and waits take turns on one counter inside it."""
    block = Flaky(1)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.retry(block, "ok", retry=MINUTELY, name="booking")

    finished = await run(handler)

    retry = finished.named("booking")
    assert (retry.type, retry.sub_type, retry.status) == ("CONTEXT", "Retry", "SUCCEEDED")
    assert retry.id.startswith("1ced8f5be2db23a6")  # the first position at the root
    inside = {o.id: o for o in finished.operations if o.parent_id == retry.id}
    # The first three positions inside it.
    assert [(o.name, o.type, o.sub_type, o.status) for o in inside.values()] == [
        ("attempt-1", "CONTEXT", "RunInChildContext", "FAILED"),
        ("backoff-1", "WAIT", "Wait", "SUCCEEDED"),
        ("attempt-2", "CONTEXT", "RunInChildContext", "SUCCEEDED"),
    ]
    first, second, _ = inside
    assert first.startswith("974bfc6321e227b0")
    assert second.startswith("9d8bc609108ec7b3")
    failure = inside[first].details.error  # type: ignore[union-attr]
    assert failure is not None
    assert (failure.type, failure.message) == ("OSError", "attempt 1")
    assert json.loads(failure.data or "") == {"retryAfterSeconds": 60}
    assert retry.details.result == '"ok at attempt 2"'  # type: ignore[union-attr]


async def test_the_last_attempts_error_is_the_blocks(autojump_clock: MockClock) -> None:
    """When the strategy gives up, the original type and message come out, the same on replay."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.retry(
                Flaky(9), "x", strategy=fixed_delay(timedelta(seconds=1), max_attempts=3), name="block"
            )
        except ChildContextError as error:
            seen.append((str(error), error.error_type, error.data, error.operation_name))
        await ctx.wait(Duration.seconds(1))

    finished = await run(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert set(seen) == {("attempt 1", "OSError", None, "block")}
    assert len(seen) > 1


async def test_a_registered_error_comes_out_as_itself(autojump_clock: MockClock) -> None:
    """Its arguments survive in the data of the attempt's record, next to the decision."""
    seen: list[Any] = []

    async def block(ctx: DurableContext) -> None:
        raise ShelfIsEmpty("milk", 2)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.retry(block, retry=fixed_delay(Duration.seconds(1), max_attempts=2))
        except ShelfIsEmpty as error:
            seen.append(error.args)
        await ctx.wait(Duration.seconds(1))

    assert (await run(handler)).status == "SUCCEEDED"
    assert seen == [("milk", 2)] * 2


async def test_the_strategy_sees_the_exception_that_was_raised(autojump_clock: MockClock) -> None:
    """Conditions match the block's own exception, once a failure, with the attempt's number; never on replay."""
    asked: list[Any] = []

    def strategy(error: Exception, attempt: int) -> Duration | None:
        asked.append((type(error).__name__, str(error), attempt))
        return Duration.seconds(attempt) if isinstance(error, OSError) else None

    failures = iter([OSError("first"), OSError("second"), KeyError("third")])

    async def effect() -> None:
        raise next(failures)

    async def block(ctx: DurableContext) -> None:
        try:
            await ctx.step(effect, retry=no_retry())
        except StepError as error:
            raise {"OSError": OSError, "KeyError": KeyError}[error.error_type](str(error)) from None

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        try:
            await ctx.retry(block, retry=strategy)
        except ChildContextError as error:
            return error.error_type
        return None

    finished = await run(handler)

    assert finished.result == "KeyError"
    assert asked == [("OSError", "first", 1), ("OSError", "second", 2), ("KeyError", "\"'third'\"", 3)]


async def test_a_changed_strategy_does_not_change_what_was_decided(autojump_clock: MockClock) -> None:
    """The recorded delay counts: a strategy that would now give up, or wait for longer, is not asked."""
    asked: list[int] = []

    def strategy(error: Exception, attempt: int) -> Duration | None:
        asked.append(attempt)
        return Duration.minutes(1) if len(asked) == 1 else None

    block = Flaky(1)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        value = await ctx.retry(block, "ok", retry=strategy)
        await ctx.wait(Duration.seconds(1))
        return value

    assert (await run(handler)).result == "ok at attempt 2"
    assert asked == [1]


async def test_the_default_strategy(autojump_clock: MockClock) -> None:
    """Without a strategy a block is tried as often as a step."""
    block = Flaky(99)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.retry(block, "x")

    assert (await run(handler)).error.type == "OSError"
    assert len(block.booked) == RetryPresets.default().max_attempts


async def test_a_strategy_that_fails_fails_the_block(autojump_clock: MockClock) -> None:
    """Its error is the block's; an answer that is no delay is such an error."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        seen = []
        for strategy in (lambda error, attempt: 1 / 0, lambda error, attempt: 5):
            try:
                await ctx.retry(Flaky(9), "x", retry=strategy)  # type: ignore[arg-type]
            except ChildContextError as error:
                seen.append(error.error_type)
        return seen

    assert (await run(handler)).result == ["ZeroDivisionError", "TypeError"]


async def test_what_is_never_tried_again(autojump_clock: MockClock) -> None:
    """A value that cannot be stored, and an error that ends the invocation, are no business of the strategy."""
    asked: list[int] = []

    def strategy(error: Exception, attempt: int) -> Duration:
        asked.append(attempt)
        return Duration.seconds(1)

    async def unstorable(ctx: DurableContext) -> object:
        return object()

    runs: list[int] = []

    async def interrupted(ctx: DurableContext) -> int:
        runs.append(1)
        if len(runs) == 1:
            raise InvocationError("once more")
        return 7

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        with pytest.raises(ChildContextError, match="cannot serialize"):
            await ctx.retry(unstorable, retry=strategy)
        return await ctx.retry(interrupted, retry=strategy)

    finished = await run(handler)

    assert finished.result == 7
    assert finished.invocations[0] == "raised"
    assert asked == []


async def test_big_results_are_replayed_from_the_last_attempt(autojump_clock: MockClock) -> None:
    """A result that is too big to keep is computed again over the finished operations, without their effects."""
    block = Flaky(1)

    async def big(ctx: DurableContext) -> str:
        return await block(ctx, "x" * 300_000)

    sizes: list[int] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        sizes.append(len(await ctx.retry(big, retry=MINUTELY)))
        await ctx.wait(Duration.seconds(1))

    assert (await run(handler)).status == "SUCCEEDED"
    assert len(sizes) == 2
    assert len(set(sizes)) == 1
    assert len(block.booked) == 2


async def test_blocks_nest(autojump_clock: MockClock) -> None:
    """A retried block in a retried block has its own attempts."""
    runs: list[str] = []

    async def inner(ctx: DurableContext) -> None:
        await ctx.step(give, 1)
        runs.append("inner")
        raise OSError("inner")

    async def outer(ctx: DurableContext) -> None:
        runs.append("outer")
        await ctx.retry(inner, retry=linear_backoff(2))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.retry(outer, retry=linear_backoff(2))

    finished = await run(handler)

    assert finished.error.type == "OSError"
    assert sum(o.sub_type == "Retry" for o in finished.operations) == 3
    assert sum(o.name == "attempt-2" and o.status == "FAILED" for o in finished.operations) == 3


async def test_what_retry_refuses(autojump_clock: MockClock) -> None:
    """Both names at once, a body that is not async, and things that cannot be called."""

    def plain(ctx: DurableContext) -> int:
        return 1

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        with pytest.raises(ValidationError, match="two names of one argument"):
            ctx.retry(Flaky(0), "x", retry=MINUTELY, strategy=MINUTELY)
        with pytest.raises(ValidationError, match="retry must be callable"):
            ctx.retry(Flaky(0), "x", retry=5)  # type: ignore[arg-type]
        with pytest.raises(ValidationError, match="fn must be callable"):
            ctx.retry("x")  # type: ignore[arg-type]
        with pytest.raises(ValidationError, match="summary must be callable"):
            ctx.retry(Flaky(0), "x", summary="no")  # type: ignore[arg-type]
        await ctx.retry(plain)  # type: ignore[arg-type]

    finished = await run(handler)

    assert finished.error.type == "ConfigurationError"
    assert "must be async" in (finished.error.message or "")
