"""Ask for an approval; remind after a day; give up after three.

    durable-trio run examples/race.py:handler --input-json '{"invoice": "i-7"}' --name asking
    durable-trio callback succeed --execution asking --callback approval --result ada

``ctx.race`` gives the outcome of whatever ends first. What lost the race may still be going on: the answer is
waited for again and again, and it counts whenever it comes. Nothing runs in the meantime.
"""

from durable_trio import CallbackTimeoutError, DurableContext, Duration, durable_execution


async def send(to: str, text: str) -> str:
    """Send a message."""
    print(f"to {to}: {text}")
    return text


@durable_execution
async def handler(event: dict[str, str], ctx: DurableContext) -> dict[str, object]:
    """Get an invoice approved."""
    approval = await ctx.create_callback(name="approval", timeout=Duration.days(3))
    await ctx.step(send, "the boss", f"please approve {event['invoice']}: {approval.callback_id}", name="ask")

    reminders = 0
    try:
        # The wait gives None, the answer is text.
        while (
            answer := await ctx.race((approval.result(), ctx.wait(Duration.days(1), name="a day")))
        ) is None:
            reminders += 1
            await ctx.step(send, "the boss", f"reminder {reminders}", name="remind")
    except CallbackTimeoutError:
        return {"approved_by": None, "reminders": reminders}
    return {"approved_by": answer, "reminders": reminders}
