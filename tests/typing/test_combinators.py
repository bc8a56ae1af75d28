"""Races, settled outcomes and retried blocks, checked by mypy and pyright, which read this file; nothing here runs.

A ``type: ignore`` in here is a proof: both checkers report one that silences nothing, so the line must be an error.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from typing import assert_type

from durable_trio import (
    Branch,
    DurableContext,
    Duration,
    Operation,
    Outcome,
    RestartIntensity,
    fixed_delay,
    no_retry,
)


async def first_of_several(
    ctx: DurableContext, i: Operation[int], s: Operation[str], b: Operation[bytes], n: Operation[None]
) -> None:
    """A tuple of two to eight operations gives the union of their types; any other iterable gives one type."""
    assert_type(await ctx.race((i, s)), int | str)
    assert_type(await ctx.race((i, s, b)), int | str | bytes)
    assert_type(await ctx.race((i, s, b, n)), int | str | bytes | None)
    assert_type(await ctx.race((i, s, b, n, i)), int | str | bytes | None)
    assert_type(await ctx.race((i, i, i, i, i, s)), int | str)
    assert_type(await ctx.race((i, i, i, i, i, i, s)), int | str)
    assert_type(await ctx.race((i, i, i, i, i, i, i, s)), int | str)
    assert_type(await ctx.race([i, i]), int)
    assert_type(await ctx.any((i, s)), int | str)
    assert_type(await ctx.any((i, s, b, n, i, s, b, n)), int | str | bytes | None)
    assert_type(await ctx.any([s, s]), str)
    answer = await ctx.race((s, ctx.wait(Duration.days(1))))
    answer.upper()  # type: ignore  # noqa: PGH003  # the wait may have won
    if answer is not None:
        assert_type(answer, str)


async def settled(ctx: DurableContext, i: Operation[int], s: Operation[str]) -> None:
    """Outcomes come as a list, of the union of the types; each unwraps to a value of it."""
    assert_type(await ctx.all_settled([i, i]), list[Outcome[int]])
    outcomes = await ctx.all_settled((i, s))
    assert_type(outcomes, list[Outcome[int | str]])
    assert_type(outcomes[0].unwrap(), int | str)
    assert_type(outcomes[0].value, int | str | None)
    assert_type(outcomes[0].error, Exception | None)


async def nested(ctx: DurableContext, i: Operation[int], s: Operation[str]) -> None:
    """Combinators are operations, too."""
    assert_type(await ctx.race((ctx.all((i, s)), ctx.any([i]))), tuple[int, str] | int)


async def block(ctx: DurableContext, order: str, times: int) -> float:
    """Be a block."""
    return float(times)


async def item(ctx: DurableContext, value: str, index: int) -> bytes:
    """Be the function of a map."""
    return value.encode()


async def retried(ctx: DurableContext) -> None:
    """A retried block gives what its function returns, and takes what its function takes."""
    assert_type(await ctx.retry(block, "o-1", 3, retry=no_retry()), float)
    assert_type(await ctx.retry(block, "o-1", 3, strategy=lambda error, attempt: None, name="b"), float)
    ctx.retry(block, "o-1")  # type: ignore  # noqa: PGH003  # an argument is missing
    ctx.retry(block, "o-1", "3")  # type: ignore  # noqa: PGH003  # a wrong one
    ctx.retry(block, "o-1", 3, retry=5)  # type: ignore  # noqa: PGH003  # no strategy
    batch = await ctx.map(
        ["a"], item, item_retry=fixed_delay(), restart_intensity=RestartIntensity(3, Duration.minutes(1))
    )
    assert_type(batch.results(), list[bytes])
    arms = await ctx.parallel((Branch(block, "o", 1), Branch(item, "v", 0)), item_retry=fixed_delay())
    assert_type(arms.results(), list[float | bytes])
