"""The program that shows what the API is like, as it is spelled there: every operation with its options."""

from __future__ import annotations

from typing import Any

from acceptance.kit import run

from durable_trio import DurableContext, Duration, StepSemantics, durable_execution, exponential_backoff

told: list[tuple[str, dict[str, Any]]] = []


async def validate(order_id: str) -> dict[str, Any]:
    """Look an order up."""
    return {"id": order_id, "lines": ["pen", "ink"]}


def charge(order: dict[str, Any]) -> str:
    """Charge a customer, in a thread."""
    return f"receipt for {order['id']}"


async def ask_for_approval(callback_id: str, order: dict[str, Any]) -> None:
    """Tell somebody."""
    told.append((callback_id, order))


async def pack_line(ctx: DurableContext, line: str, index: int) -> str:
    """Pack a line."""
    await ctx.wait(Duration.minutes(1))
    return f"{index}: {line}"


@durable_execution
async def handler(event: dict[str, str], ctx: DurableContext) -> dict[str, Any]:
    """Fulfil an order."""
    order = await ctx.step(validate, event["order_id"])
    receipt = await ctx.step(
        charge,
        order,
        name="charge",
        retry=exponential_backoff(max_attempts=5),
        semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY,
    )
    await ctx.wait(Duration.hours(1), name="cool-off")
    approval = await ctx.wait_for_callback(ask_for_approval, order, timeout=Duration.days(2))
    batch = await ctx.map(order["lines"], pack_line, max_concurrency=100)
    return {"packed": batch.results(), "receipt": receipt, "approval": approval}


def test_an_order() -> None:
    """It runs to its end over an hour of waiting and a human's answer; names are the functions' names."""
    told.clear()
    finished = run(handler, {"order_id": "o-1"}, answers={"ask_for_approval": "yes"})
    assert finished.result == {
        "packed": ["0: pen", "1: ink"],
        "receipt": "receipt for o-1",
        "approval": "yes",
    }
    finished.assert_operations(["validate", "charge", "cool-off", "ask_for_approval", "pack_line"])
    assert told == [(finished["ask_for_approval"].callback_id, {"id": "o-1", "lines": ["pen", "ink"]})]
    assert [str(one.status) for one in finished.invocations] == ["PENDING"] * 3 + ["SUCCEEDED"]
