"""The type flows from the user's function to the awaited value, for mypy and pyright.

These tests run as well, but what they are about is seen by the type checkers: ``Any`` in a signature, as in
``dict[str, Any]``, must not make the result ``Any``.
"""

from __future__ import annotations

from typing import Any, assert_type

from acceptance.kit import run

from durable_trio import (
    BatchResult,
    Branch,
    DurableContext,
    DurableHandler,
    ItemBatcher,
    Outcome,
    durable_execution,
)

Order = dict[str, Any]


async def validate(order_id: str) -> Order:
    """Take text, give an order."""
    return {"id": order_id}


async def charge(order: Order) -> str:
    """Take an order, give a receipt."""
    return f"receipt for {order['id']}"


def weigh(order: Order) -> int:
    """Do so in a thread."""
    return len(order)


async def pack(ctx: DurableContext, order: Order, index: int) -> list[Any]:
    """Pack an item."""
    return [index]


async def pack_group(ctx: DurableContext, orders: list[Order], start: int) -> int:
    """Pack several."""
    return len(orders)


async def ship(ctx: DurableContext, order: Order) -> str:
    """Ship in a child context."""
    return "shipped"


async def undo(ctx: DurableContext, receipt: str) -> None:
    """Undo a charge."""


class Desk:
    """A handler as an object."""

    async def handle(self, event: Order, ctx: DurableContext) -> int:
        """Handle an event."""
        return 1


def test_types_of_results() -> None:
    """What each operation gives."""

    @durable_execution
    async def handler(event: Order, ctx: DurableContext) -> str:
        order = assert_type(await ctx.step(validate, "o"), Order)
        assert_type(await ctx.step(charge, order), str)
        assert_type(await ctx.step(weigh, order), int)
        assert_type(await ctx.step(lambda: charge(order), name="lambda"), str)
        assert_type(await ctx.run_in_child_context(ship, order), str)
        assert_type(await ctx.map([order], pack), BatchResult[list[Any]])
        assert_type(await ctx.map([order], pack_group, batch=ItemBatcher()), BatchResult[int])
        assert_type(await ctx.parallel([Branch(ship, order)]), BatchResult[str])
        assert_type(await ctx.all((ctx.step(charge, order), ctx.step(weigh, order))), tuple[str, int])
        assert_type(await ctx.all([ctx.step(charge, order)]), list[str])
        assert_type(await ctx.race((ctx.step(charge, order), ctx.step(weigh, order))), str | int)
        assert_type(await ctx.all_settled([ctx.step(charge, order)]), list[Outcome[str]])
        assert_type(await ctx.retry(ship, order), str)
        async with ctx.saga() as saga:
            assert_type(await saga.step(charge, order, compensate=undo), str)
        async with ctx.open_nursery() as nursery:
            child = nursery.start_soon(ship, order)
            step = nursery.start_soon(ctx.step(weigh, order))
        assert_type(child.value, str)
        assert_type(step.value, int)
        return "done"

    assert run(handler, {}).result == "done"


def test_types_of_handlers() -> None:
    """Objects with ``handle`` are handlers to type checkers, too."""
    handler = durable_execution(Desk())
    assert_type(handler, DurableHandler[[Any, DurableContext], int])
    assert run(handler, {}).result == 1
