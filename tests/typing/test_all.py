"""Operations of different types in ``ctx.all``, checked by mypy and pyright, which read this file; nothing here runs.

A ``type: ignore`` in here is a proof: both checkers report one that silences nothing, so the line must be an error.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from typing import assert_type

from durable_trio import DurableContext, Operation


async def lengths(
    ctx: DurableContext, i: Operation[int], s: Operation[str], b: Operation[bytes], n: Operation[None]
) -> None:
    """A tuple of two to eight operations gives the tuple of their values; any other iterable gives a list."""
    assert_type(await ctx.all((i, s)), tuple[int, str])
    assert_type(await ctx.all((i, s, b)), tuple[int, str, bytes])
    assert_type(await ctx.all((i, s, b, n)), tuple[int, str, bytes, None])
    assert_type(await ctx.all((i, s, b, n, i)), tuple[int, str, bytes, None, int])
    assert_type(await ctx.all((i, s, b, n, i, s)), tuple[int, str, bytes, None, int, str])
    assert_type(await ctx.all((i, s, b, n, i, s, b)), tuple[int, str, bytes, None, int, str, bytes])
    assert_type(await ctx.all((i, s, b, n, i, s, b, n)), tuple[int, str, bytes, None, int, str, bytes, None])
    assert_type(await ctx.all([i, i]), list[int])
    number, text = await ctx.all((i, s))
    assert_type(number, int)
    assert_type(text, str)


async def errors(ctx: DurableContext, i: Operation[int], s: Operation[str]) -> None:
    """What is wrong is found by both checkers."""
    await ctx.all((await i, s))  # type: ignore  # noqa: PGH003  # a value, no operation
    await ctx.all(i)  # type: ignore  # noqa: PGH003  # not an iterable
    text, number = await ctx.all((i, s))
    text.upper()  # type: ignore  # noqa: PGH003  # it is the number
    del number
