"""Strategies, predicates, namers, mappers and summaries are plain functions, called inline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from acceptance.kit import run

from durable_trio import (
    CompletionConfig,
    DurableContext,
    ValidationError,
    durable_execution,
)


async def answer(*args: Any) -> None:
    """Be async where a plain function is wanted."""


async def give(*args: Any) -> int:
    """Return one."""
    return 1


def test_async_functions_are_refused_where_plain_ones_are_called() -> None:
    """An async one would give a coroutine, which is true, and no delay: refused at the call, by name."""

    @durable_execution
    async def handler(event: Any, ctx: Any) -> None:
        starts: dict[str, Callable[[], Any]] = {
            "retry": lambda: ctx.step(give, retry=answer),
            "until": lambda: ctx.wait_for_condition(give, initial_state=0, until=answer),
            "wait_strategy": lambda: ctx.wait_for_condition(give, initial_state=0, wait_strategy=answer),
            "predicate": lambda: ctx.map([1], give, completion=CompletionConfig(predicate=answer)),  # type: ignore[arg-type]
            "item_namer": lambda: ctx.map([1], give, item_namer=answer),
            "item_retry": lambda: ctx.map([1], give, item_retry=answer),
            "summary": lambda: ctx.run_in_child_context(give, summary=answer),
            "error_mapper": lambda: ctx.run_in_child_context(give, error_mapper=answer),
        }
        for argument, start in starts.items():
            with pytest.raises(ValidationError, match="plain function") as caught:
                start()
            assert argument.removeprefix("item_") in str(caught.value)

    assert run(handler).calls == ()


def test_an_async_on_error_is_refused() -> None:
    """It would never run."""

    async def handler(event: Any, ctx: DurableContext) -> None:
        pass

    with pytest.raises(ValidationError, match="on_error must be a plain function"):
        durable_execution(handler, on_error=answer)  # type: ignore[arg-type]  # the mistake under test
