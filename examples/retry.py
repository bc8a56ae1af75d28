"""Book a trip as a whole, as often as it takes; then deliver its papers, each with restarts of its own.

    durable-trio run examples/retry.py:handler --input-json '{"to": "Basel", "papers": ["ticket", "voucher"]}'

A step retries itself. ``ctx.retry`` tries a block of operations again, from its beginning, and forgets what the failed
attempt had got; between two attempts there is a durable wait. ``item_retry=`` does the same for the items of a map,
while the other items go on, and ``restart_intensity=`` limits how many restarts they have together.
"""

from collections import Counter
from typing import Any

from durable_trio import (
    DurableContext,
    Duration,
    RestartIntensity,
    StepError,
    durable_execution,
    fixed_delay,
    no_retry,
)

# The outside world, which changes its mind; only steps look at it.
requests: Counter[str] = Counter()


async def reserve(what: str, to: str) -> str:
    """Reserve something; the first two hotels that we ask are full."""
    requests[what] += 1
    if what == "hotel" and requests[what] < 3:
        raise LookupError(f"no hotel in {to}")
    return f"{what} {requests[what]} to {to}"


async def give_back(reservation: str) -> None:
    """Give a reservation back."""
    requests["given back"] += 1


async def carry(paper: str) -> int:
    """Carry a paper to the door; say how often we have been there with it."""
    requests[paper] += 1
    return requests[paper]


class FullyBookedError(Exception):
    """There was a train, but no hotel; the train has been given back."""


async def book(ctx: DurableContext, to: str) -> list[str]:
    """Book the whole trip, or nothing of it."""
    train = await ctx.step(reserve, "train", to, name="train")
    try:
        hotel = await ctx.step(reserve, "hotel", to, name="hotel", retry=no_retry())
    except StepError as error:
        await ctx.step(give_back, train)
        raise FullyBookedError(str(error)) from error
    return [train, hotel]


async def deliver(ctx: DurableContext, paper: str, index: int) -> str:
    """Deliver a paper; vouchers have to be signed for, and nobody is at home the first time."""
    visits = await ctx.step(carry, paper)
    if paper == "voucher" and visits == 1:
        raise LookupError("nobody at home")
    return f"{paper} after {visits} visits"


@durable_execution
async def handler(event: dict[str, Any], ctx: DurableContext) -> dict[str, object]:
    """Book a trip and deliver its papers."""
    hourly = fixed_delay(Duration.hours(1), max_attempts=5, retry_on=FullyBookedError)
    trip = await ctx.retry(book, event["to"], retry=hourly)

    delivered = await ctx.map(
        event["papers"],
        deliver,
        item_retry=fixed_delay(Duration.days(1), max_attempts=4),
        restart_intensity=RestartIntensity(max_restarts=5, within=Duration.days(7)),
    )
    return {"trip": trip, "delivered": delivered.results()}
