"""Take the first offer that comes, and then tell everybody how it went.

    durable-trio run examples/first_success.py:handler --input-json '["sold out", "slow", "quick"]'

``ctx.any`` passes over failures: it gives the value of the first operation that succeeds, and cancels the others.
``ctx.all_settled`` runs everything to its end, and gives the outcome of each.
"""

import trio

from durable_trio import DurableContext, Duration, durable_execution, fixed_delay, no_retry

PRICES = {"quick": 120, "slow": 95}


async def ask(supplier: str) -> dict[str, object]:
    """Ask a supplier for an offer; it may take an hour, or be in vain."""
    if supplier not in PRICES:
        raise LookupError(f"{supplier} has nothing to offer")
    await trio.sleep(3600 if supplier == "slow" else 1)
    return {"supplier": supplier, "cents": PRICES[supplier]}


async def tell(supplier: str, winner: str) -> str:
    """Tell a supplier who was chosen."""
    if supplier == "sold out":
        raise ConnectionError("nobody answers")
    return "yours" if supplier == winner else "not this time"


@durable_execution
async def handler(suppliers: list[str], ctx: DurableContext) -> dict[str, object]:
    """Order from the first supplier that makes an offer."""
    offers = [ctx.step(ask, supplier, name=f"ask {supplier}", retry=no_retry()) for supplier in suppliers]
    try:
        offer = await ctx.any(offers)
    except ExceptionGroup as nobody:
        return {"ordered": None, "why": [str(error) for error in nobody.exceptions]}

    patience = fixed_delay(Duration.seconds(5), max_attempts=2)
    told = await ctx.all_settled(
        [
            ctx.step(tell, supplier, str(offer["supplier"]), name=f"tell {supplier}", retry=patience)
            for supplier in suppliers
        ]
    )
    return {
        "ordered": offer,
        "told": {
            supplier: outcome.value if outcome.succeeded else f"failed: {outcome.error}"
            for supplier, outcome in zip(suppliers, told, strict=True)
        },
    }
