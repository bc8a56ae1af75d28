"""Book a trip, and undo what was booked if it comes to nothing.

    durable-trio run examples/saga.py:handler --input-json '{"city": "Porto", "rooms": 0}' --name trip

Each booking says how it is undone. When a later one fails, or nobody confirms within an hour, the bookings are
cancelled in reverse order. Cancelling is durable itself: it may retry, and wait; killed half-way, it goes on where it
was.
"""

from typing import TypedDict

from durable_trio import (
    CallbackTimeoutError,
    DurableContext,
    Duration,
    StepError,
    durable_execution,
    fixed_delay,
    no_retry,
)


class Trip(TypedDict):
    """Where to go, and how many rooms are left there."""

    city: str
    rooms: int


async def book_flight(city: str) -> str:
    """Book a flight; return its number."""
    return f"flight to {city}"


async def book_hotel(city: str, rooms: int) -> str:
    """Book a room, if there is one."""
    if not rooms:
        raise LookupError(f"no room in {city}")
    return f"room in {city}"


async def cancel(ctx: DurableContext, booking: str) -> None:
    """Cancel a booking, when the desk is open."""
    await ctx.wait(Duration.seconds(1), name="until the desk opens")
    await ctx.step(
        tell_desk, f"cancel {booking}", retry=fixed_delay(Duration.seconds(5), max_attempts=10), name="cancel"
    )


async def tell_desk(text: str) -> None:
    """Say something to the booking desk."""
    print(text)


async def ask(callback_id: str) -> None:
    """Ask the traveller to confirm."""
    print(f"please confirm: {callback_id}")


@durable_execution
async def handler(event: Trip, ctx: DurableContext) -> dict[str, object]:
    """Book a flight and a room, and have them confirmed."""
    saga = ctx.saga(name="trip")
    try:
        async with saga:
            flight = await saga.step(book_flight, event["city"], compensate=cancel)
            hotel = await saga.step(
                book_hotel, event["city"], event["rooms"], compensate=cancel, retry=no_retry()
            )
            await ctx.wait_for_callback(ask, name="confirm", timeout=Duration.hours(1))
    except (StepError, CallbackTimeoutError) as error:
        undone = [] if saga.report is None else [one.name for one in saga.report.succeeded]
        return {"booked": [], "because": str(error), "undone": undone}
    return {"booked": [flight, hotel]}
