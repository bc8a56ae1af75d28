"""``result_type=`` gives the awaited value its type: checked by mypy and pyright, which read this file."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, assert_type

from typed.shapes import Money, Order, Person, Visit

from durable_trio import (
    BatchResult,
    Callback,
    CallbackConfig,
    DurableContext,
    InvokeConfig,
    Operation,
    durable_execution,
    timestamp_from_execution,
)


async def submit(callback_id: str) -> None:
    """Be a submitter."""


async def pack(ctx: DurableContext, line: str, index: int) -> Money:
    """Be the body of a map."""
    raise NotImplementedError


async def workflow(event: Visit, ctx: DurableContext) -> Order | None:
    """Give types to what has none of its own; nothing here runs."""
    assert_type(ctx.invoke("f", result_type=Order), Operation[Order])
    assert_type(await ctx.invoke("f", {"a": 1}, result_type=list[Order]), list[Order])
    assert_type(ctx.invoke("f"), Operation[Any])
    assert_type(ctx.invoke("f", config=InvokeConfig(result_type=Order)), Operation[Any])
    callback = await ctx.create_callback(result_type=Person)
    assert_type(callback, Callback[Person])
    assert_type(await callback.result(), Person)
    assert_type(ctx.create_callback(), Operation[Callback[Any]])
    assert_type(ctx.create_callback(config=CallbackConfig()), Operation[Callback[Any]])
    assert_type(await ctx.wait_for_callback(submit, result_type=Visit), Visit)
    assert_type(ctx.wait_for_callback(submit), Operation[Any])
    assert_type(await ctx.map(["a"], pack, result_type=Money), BatchResult[Money])
    assert_type(timestamp_from_execution(ctx), datetime)
    return None


handler = durable_execution(input_type=Visit)(workflow)


def test_the_options_exist() -> None:
    """What the type checkers read is there at run time, too."""
    fn: Callable[..., Any] = handler.fn
    assert fn is workflow
