"""Collect quotes for two hours, then take the best; without any, wait a day for somebody else's.

    durable-trio run examples/deadline.py:handler --input-json '{"part": "gear"}' --name quotes
    durable-trio callback succeed --execution quotes --callback quote-fox --result 120

The time limits run at the service, over any number of suspensions and restarts. A limit cuts the operation that the
block awaits; what had ended in time counts, however late that is seen.
"""

from durable_trio import (
    DurableContext,
    DurableTimeoutError,
    Duration,
    durable_execution,
)

SUPPLIERS = ("fox", "hare", "owl")


async def ask(supplier: str, part: str, callback_id: str) -> None:
    """Ask a supplier for a quote."""
    print(f"to {supplier}: what does a {part} cost? answer to {callback_id}")


async def order(supplier: str, price: int) -> str:
    """Order from a supplier."""
    return f"ordered from {supplier} for {price}"


@durable_execution
async def handler(event: dict[str, str], ctx: DurableContext) -> str:
    """Order a part from whoever quotes best in time."""
    quotes: dict[str, int] = {}
    async with ctx.move_on_after(Duration.hours(2), name="time to quote") as deadline:
        callbacks = {}
        for supplier in SUPPLIERS:
            callback = await ctx.create_callback(name=f"quote-{supplier}", result_type=int)
            await ctx.step(ask, supplier, event["part"], callback.callback_id, name=f"ask {supplier}")
            callbacks[supplier] = callback
        for supplier, callback in callbacks.items():
            quotes[supplier] = await callback.result()
    ctx.logger.info("quotes", count=len(quotes), all=not deadline.timed_out)

    if not quotes:
        try:
            async with ctx.fail_after(Duration.days(1), name="time to find another"):
                callback = await ctx.create_callback(name="quote-other", result_type=int)
                quotes["other"] = await callback.result()
        except DurableTimeoutError as error:
            return f"nothing ordered: {error}"

    best = min(quotes, key=lambda supplier: (quotes[supplier], supplier))
    return await ctx.step(order, best, quotes[best])
