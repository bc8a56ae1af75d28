"""Write an invoice, have it approved, send it after a while.

    durable-trio run examples/small/invoice.py:handler --name invoice-1 --input-json '{"cents": 1250}'

It then waits for an approval, which comes from another terminal:

    durable-trio callback succeed --execution invoice-1 --callback approval --result '"ok"'
"""

from durable_trio import (
    CallbackExternalError,
    DurableContext,
    Duration,
    durable_execution,
    json_serdes,
)


async def write(cents: int) -> str:
    """Write the invoice down."""
    return f"an invoice of {cents / 100:.2f}"


async def ask(callback_id: str, invoice: str) -> None:
    """Tell whoever approves invoices about this one; with *callback_id* they can answer."""


async def send(invoice: str) -> str:
    """Send the invoice."""
    return f"sent {invoice}"


@durable_execution
async def handler(event: dict[str, int], ctx: DurableContext) -> str:
    """Return what has become of the invoice."""
    invoice = await ctx.step(write, event["cents"])
    try:
        await ctx.wait_for_callback(
            ask, invoice, name="approval", timeout=Duration.days(2), serdes=json_serdes()
        )
    except CallbackExternalError as error:
        return f"not approved: {error}"
    await ctx.wait(Duration.seconds(3), name="cool-off")
    return await ctx.step(send, invoice)
