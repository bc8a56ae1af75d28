"""Branches of different types, checked by mypy and pyright, which read this file; nothing here runs.

A ``type: ignore`` in here is a proof: both checkers report one that silences nothing, so the line must be an error.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import inspect
from functools import partial
from typing import assert_type

from durable_trio import BatchResult, Branch, CompletionConfig, DurableContext, NestingType, Operation
from durable_trio._runtime.parallel_options import ParallelOptions


async def number(ctx: DurableContext) -> int:
    """Be a branch."""
    return 1


async def text(ctx: DurableContext) -> str:
    """Be a branch."""
    return "a"


async def raw(ctx: DurableContext) -> bytes:
    """Be a branch."""
    return b""


async def flag(ctx: DurableContext) -> bool | None:
    """Be a branch."""
    return None


async def share(ctx: DurableContext) -> frozenset[str]:
    """Be a branch."""
    return frozenset()


async def nothing(ctx: DurableContext) -> None:
    """Be a branch."""


async def words(ctx: DurableContext) -> list[str]:
    """Be a branch."""
    return []


async def sizes(ctx: DurableContext) -> dict[str, int]:
    """Be a branch."""
    return {}


async def repeat(ctx: DurableContext, word: str, times: int) -> str:
    """Be a branch with arguments."""
    return word * times


def plain(ctx: DurableContext) -> int:
    """Be no branch: it is not async."""
    return 1


def count(batch: BatchResult[int | str]) -> str:
    """Be a summary of a batch of numbers and texts."""
    return str(batch.total_count)


def count_words(batch: BatchResult[str]) -> str:
    """Be a summary of a batch of texts."""
    return "".join(batch.results())


async def tuples_of_every_length(ctx: DurableContext) -> None:
    """Two to eight branches give the union of their types."""
    assert_type(ctx.parallel((number, text)), Operation[BatchResult[int | str]])
    two = await ctx.parallel((number, text))
    assert_type(two, BatchResult[int | str])
    assert_type(two.results(), list[int | str])
    assert_type(await ctx.parallel((number, text, raw)), BatchResult[int | str | bytes])
    assert_type(
        await ctx.parallel((number, text, raw, words)),
        BatchResult[int | str | bytes | list[str]],
    )
    assert_type(
        await ctx.parallel((number, text, raw, words, sizes)),
        BatchResult[int | str | bytes | list[str] | dict[str, int]],
    )
    assert_type(
        await ctx.parallel((number, text, raw, words, sizes, share)),
        BatchResult[int | str | bytes | list[str] | dict[str, int] | frozenset[str]],
    )
    assert_type(
        await ctx.parallel((number, text, raw, words, sizes, share, nothing)),
        BatchResult[int | str | bytes | list[str] | dict[str, int] | frozenset[str] | None],
    )
    assert_type(
        await ctx.parallel((number, text, raw, words, sizes, share, nothing, flag)),
        BatchResult[int | str | bytes | list[str] | dict[str, int] | frozenset[str] | bool | None],
    )


async def what_a_branch_may_be(ctx: DurableContext) -> None:
    """Functions, ``Branch`` and partials mix; one type stays one type; a list of one type, too."""
    assert_type(await ctx.parallel((number, Branch(text, name="t"))), BatchResult[int | str])
    assert_type(await ctx.parallel((Branch(repeat, "a", 3, name="aaa"), number)), BatchResult[str | int])
    assert_type(await ctx.parallel((partial(repeat, word="a", times=3), number)), BatchResult[str | int])
    assert_type(await ctx.parallel((text, text)), BatchResult[str])
    assert_type(await ctx.parallel([text, text]), BatchResult[str])
    assert_type(await ctx.parallel([Branch(text), Branch(repeat, "a", 3)]), BatchResult[str])


async def options(ctx: DurableContext) -> None:
    """Every option is known by name and type, for tuples as for lists."""
    assert_type(
        await ctx.parallel(
            (number, text),
            name="both",
            max_concurrency=1,
            completion=CompletionConfig.first_successful(),
            nesting=NestingType.FLAT,
            summary=count,
        ),
        BatchResult[int | str],
    )
    assert_type(await ctx.parallel([text], name="one", summary=count_words), BatchResult[str])


async def errors(ctx: DurableContext) -> None:
    """What is wrong is found by both checkers."""
    await ctx.parallel((number, text), max_concurency=1)  # type: ignore  # noqa: PGH003  # misspelt
    await ctx.parallel((number, text), max_concurrency="1")  # type: ignore  # noqa: PGH003  # not a number
    await ctx.parallel((number, plain))  # type: ignore  # noqa: PGH003  # not async
    await ctx.parallel((number, repeat))  # type: ignore  # noqa: PGH003  # wants arguments
    await ctx.parallel((number, "text"))  # type: ignore  # noqa: PGH003  # no function
    await ctx.parallel((number, text), summary=len)  # type: ignore  # noqa: PGH003  # not a text
    await ctx.parallel((number, text), summary=count_words)  # type: ignore  # noqa: PGH003  # of another type
    await ctx.parallel([Branch(repeat, "a", "3"), number])  # type: ignore  # noqa: PGH003  # not a number of times
    await ctx.parallel([Branch(repeat, "a")])  # type: ignore  # noqa: PGH003  # an argument is missing
    both: BatchResult[int] = await ctx.parallel((number, text))  # type: ignore  # noqa: PGH003  # has texts as well
    three: BatchResult[int | str] = await ctx.parallel((number, text, raw))  # type: ignore  # noqa: PGH003
    del both, three


def test_the_options_of_the_overloads_are_those_of_the_method() -> None:
    """``ParallelOptions`` names the keyword options of ``ctx.parallel``, all of them and no others."""
    parameters = inspect.signature(DurableContext.parallel).parameters.values()
    keywords = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    assert set(ParallelOptions.__annotations__) == keywords
