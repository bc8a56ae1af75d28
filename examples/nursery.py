"""An agent that researches a question: look things up at once, read what was found, look further.

    durable-trio run examples/nursery.py:handler --input-json '{"question": "tides"}' --name research

How many lookups there are, and of what, depends on what the earlier ones have found: a nursery takes children one by
one, while the code that starts them goes on. Each lookup is a durable context of its own. Kill the program at any
moment and start it again: what was found is not looked up again.
"""

from durable_trio import DurableContext, Duration, durable_execution

LIBRARY = {
    "tides": ["moon", "sun", "harbours"],
    "moon": ["orbit"],
    "sun": ["orbit"],
    "harbours": ["tide tables"],
    "orbit": [],
    "tide tables": [],
}


async def look_up(topic: str) -> list[str]:
    """Return what there is to read about *topic*, as further topics."""
    return LIBRARY[topic]


async def read(ctx: DurableContext, topic: str) -> list[str]:
    """Look *topic* up, politely."""
    await ctx.wait(Duration.seconds(1), name="be polite")
    return await ctx.step(look_up, topic)


async def summarize(topics: list[str]) -> str:
    """Say what was read."""
    return f"read about {', '.join(topics)}"


@durable_execution
async def handler(event: dict[str, str], ctx: DurableContext) -> str:
    """Read about a question and everything that it leads to."""
    seen: list[str] = []
    to_read = [event["question"]]
    async with ctx.open_nursery(name="research") as nursery:
        while to_read:
            seen += to_read
            lookups = [nursery.start_soon(read, topic, name=topic) for topic in to_read]
            found = [topic for lookup in lookups for topic in await lookup]
            # In the order in which it was found, without repetitions: a set would have an order by chance.
            to_read = [topic for topic in dict.fromkeys(found) if topic not in seen]
    return await ctx.step(summarize, seen)
