"""Durable functions of AWS's own SDK, as Lambda runs them: nothing here knows of durable_trio."""

from __future__ import annotations

from typing import Any

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import CallbackConfig, Duration


@durable_execution
def tour(event: Any, context: DurableContext) -> Any:
    """Do one of each, and call a function of the other SDK, which calls back into this one."""
    doubled = context.step(lambda _: event["n"] * 2, name="double")
    context.wait(Duration.from_seconds(1), name="cool-off")

    def item(child: DurableContext, x: int, index: int, items: Any) -> int:
        value: int = child.step(lambda _: x * 10, name="times ten")
        child.wait(Duration.from_seconds(1), name="item wait")
        return value + index

    items: list[int] = context.map([1, 2, 3], item, name="items").get_results()
    callback = context.create_callback(
        name="approval", config=CallbackConfig(timeout=Duration.from_seconds(60))
    )
    approval = callback.result()
    theirs: Any = context.invoke("ours", {"n": doubled}, name="other SDK")
    return {"doubled": doubled, "items": items, "approval": approval, "ours": theirs}


@durable_execution
def leaf(event: Any, context: DurableContext) -> Any:
    """Wait a little, and answer."""
    context.wait(Duration.from_seconds(1), name="leaf wait")
    return {"leaf": event}


@durable_execution
def child(event: Any, context: DurableContext) -> Any:
    """Do what ``load_functions.child`` does."""
    context.wait(Duration.from_seconds(1))
    return context.step(lambda _: f"child {event['number']}", name="say")


@durable_execution
def fails(event: Any, context: DurableContext) -> Any:
    """Fail for good."""
    raise ValueError(f"no {event}")
