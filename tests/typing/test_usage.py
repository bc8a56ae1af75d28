"""The user's types flow through operations: checked by mypy and pyright, which read this file."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypedDict, assert_type

from durable_trio import (
    BatchResult,
    Branch,
    DurableContext,
    Duration,
    ItemBatcher,
    Operation,
    durable_execution,
)


class Order(TypedDict):
    """What the functions below are about."""

    number: str
    cents: int


async def fetch(number: str) -> Order:
    """Be an async body."""
    return {"number": number, "cents": 100}


def charge(order: Order, *, tip: int = 0) -> int:
    """Be a plain body."""
    return order["cents"] + tip


async def pack(ctx: DurableContext, line: str, index: int) -> Order:
    """Be the body of a map."""
    return await ctx.step(fetch, f"{line}-{index}")


async def pack_group(ctx: DurableContext, lines: list[str], start: int) -> int:
    """Be the body of a map over groups."""
    return len(lines) + start


async def ship(ctx: DurableContext, order: Order) -> str:
    """Be the body of a child context."""
    return order["number"]


async def branch(ctx: DurableContext) -> str:
    """Be a branch."""
    return "a"


def more(state: int) -> int:
    """Be a check."""
    return state + 1


async def workflow(event: dict[str, str], ctx: DurableContext) -> str:
    """Use every operation; nothing here runs."""
    assert_type(ctx.step(fetch, "1"), Operation[Order])
    order = await ctx.step(fetch, "1")
    assert_type(order, Order)
    assert_type(await ctx.step(charge, order), int)
    assert_type(await ctx.wait(Duration.seconds(1)), None)
    assert_type(await ctx.run_in_child_context(ship, order), str)
    assert_type(await ctx.map(["a"], pack), BatchResult[Order])
    assert_type((await ctx.map(["a"], pack)).results(), list[Order])
    assert_type(await ctx.parallel([branch, branch]), BatchResult[str])
    assert_type(await ctx.parallel([Branch(branch, name="b")]), BatchResult[str])
    assert_type(await ctx.map(["a"], pack_group, batch=ItemBatcher()), BatchResult[int])
    assert_type(await ctx.wait_for_condition(more, initial_state=0, until=lambda n: n > 3), int)
    pair = await ctx.all((ctx.step(fetch, "1"), ctx.step(charge, order)))
    assert_type(pair, tuple[Order, int])
    assert_type(await ctx.all([ctx.step(fetch, "1"), ctx.step(fetch, "2")]), list[Order])
    callback = await ctx.create_callback()
    assert_type(callback.callback_id, str)
    return "done"


handler = durable_execution(workflow)


def unit_test(ctx: DurableContext) -> None:
    """Call the function that was decorated; nothing here runs."""
    assert_type(handler.fn({"order": "1"}, ctx), Awaitable[str])


def test_a_handler_keeps_the_signature_of_its_function() -> None:
    """``handler.fn`` is the function itself, for unit tests that bring a context of their own."""
    assert handler.fn is workflow
    wrapped: Any = handler
    assert wrapped.__name__ == "workflow"
