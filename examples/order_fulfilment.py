"""Fulfil a batch of orders: check, price, ask a human, charge, pack, ship, invoice.

    durable-trio run examples/order_fulfilment.py:handler --input examples/data/orders.json --name demo

This is ordinary async code, yet it can be killed at any moment, ``kill -9`` included. Start it again with the
same name and it goes on where it was: every step that had finished answers from its record, the payment that
was under way is known to be under way, and the wait has not started over.

While it waits for the approval, nothing of it needs to run. Answer from another terminal:

    durable-trio callback succeed --execution demo --callback approval --result '{"approved": true, "by": "me"}'
"""

from pathlib import Path

from orders.desk import WAREHOUSES, Desk
from orders.gateway import GatewayUnavailable
from orders.shapes import Approval, Batch, Bill, Line, Parcel, Receipt, Shipment, Summary

from durable_trio import (
    DurableContext,
    Duration,
    StepInterruptedError,
    StepSemantics,
    durable_execution,
    exponential_backoff,
)

ASK_AGAIN = exponential_backoff(
    max_attempts=10,
    initial_delay=Duration.seconds(1),
    max_delay=Duration.seconds(3),
    # Interrupted: the process died while it waited for the provider's answer. The idempotency key makes
    # it safe to ask again, and only the provider knows whether it has to do anything.
    retry_on=(GatewayUnavailable, StepInterruptedError),
)


@durable_execution
async def handler(batch: Batch, ctx: DurableContext) -> Summary:
    """Fulfil *batch*, and say what was done."""
    desk = Desk(folder_of(batch, ctx.execution_arn))

    checked = await ctx.step(desk.check, batch["lines"])
    accepted = set(checked["accepted"])
    lines = [line for line in batch["lines"] if line["line"] in accepted]
    bills = await ctx.step(desk.price, batch["batch"], lines)
    ctx.logger.info("priced", customers=len(bills), rejected=len(checked["rejected"]))

    # From here on it may take days. If nobody answers within two, CallbackTimeoutError is raised.
    approval = await ctx.wait_for_callback(
        desk.ask_for_approval, bills, name="approval", timeout=Duration.days(2), result_type=Approval
    )
    summary: Summary = {
        "batch": batch["batch"],
        "status": "refused",
        "decided_by": approval["by"],
        "lines": len(lines),
        "rejected": checked["rejected"],
        "paid_cents": 0,
        "shipments": [],
        "invoices": 0,
    }
    if not approval["approved"]:
        return summary

    async def charge(ctx: DurableContext, bill: Bill, index: int) -> Receipt:
        # At most once: an attempt that may have reached the provider is never repeated unnoticed.
        return await ctx.step(
            desk.charge, bill, retry=ASK_AGAIN, semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY
        )

    async def pack(ctx: DurableContext, line: Line, index: int) -> Parcel:
        return await ctx.step(desk.pack, line)

    payments = await ctx.map(
        bills, charge, name="payments", max_concurrency=8, item_namer=lambda bill, _: bill["customer"]
    )
    await ctx.wait(Duration.seconds(2), name="cool-off")
    packing = await ctx.map(
        lines, pack, name="packing", max_concurrency=48, item_namer=lambda line, _: f"line {line['line']}"
    )
    shipments = await ctx.run_in_child_context(ship, desk, packing.results(), name="shipping")
    invoices = await ctx.step(desk.write_invoices, bills, lines)

    return {
        **summary,
        "status": "fulfilled",
        "paid_cents": sum(receipt["cents"] for receipt in payments.results()),
        "shipments": shipments,
        "invoices": invoices,
    }


async def ship(ctx: DurableContext, desk: Desk, parcels: list[Parcel]) -> list[Shipment]:
    """Hand every warehouse's parcels to the carrier."""
    shipments = []
    for warehouse in WAREHOUSES:
        mine = [parcel for parcel in parcels if parcel["warehouse"] == warehouse]
        shipments.append(await ctx.step(desk.write_manifest, warehouse, mine, name=f"manifest {warehouse}"))
    return shipments


def folder_of(batch: Batch, execution_arn: str) -> Path:
    """Return the execution's own folder for papers: named after the execution, the same on every replay."""
    out = batch.get("out") or Path(__file__).parent / "out"
    return Path(out, execution_arn.split("/")[-2])
