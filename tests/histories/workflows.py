"""The handlers whose histories are kept here. They are frozen: an execution of them must replay for ever.

Never change one. What a new version of this package must not break is here as it was recorded; to cover more, add
a handler and record it (``recording``).
"""

from __future__ import annotations

from typing import Any

from durable_trio import (
    Branch,
    CallbackExternalError,
    ChildContextError,
    CompletionConfig,
    DurableContext,
    DurableTimeoutError,
    Duration,
    InvokeError,
    NestingType,
    StepError,
    StepSemantics,
    durable_execution,
    fixed_delay,
    no_retry,
)


def note(value: Any) -> Any:
    """Be a step that gives its argument."""
    return value


def explode() -> None:
    """Be a step that fails."""
    raise ValueError("it is broken")


def tell(callback_id: str) -> None:
    """Be a submitter."""


TRIES: list[int] = []


def at_third() -> str:
    """Fail twice."""
    TRIES.append(1)
    if len(TRIES) < 3:
        raise ConnectionError(f"try {len(TRIES)}")
    return "connected"


@durable_execution
async def order(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    """Steps, a wait, a child context with a map in it, and replay-safe values."""

    async def pack(child: DurableContext, line: str, index: int) -> str:
        label: str = await child.step(note, f"{index}:{line}", name="label")
        await child.wait(Duration.seconds(30 + index), name="dry")
        return label

    async def ship(child: DurableContext, lines: list[str]) -> list[str]:
        await child.step(note, len(lines), name="count")
        batch = await child.map(lines, pack, name="pack", max_concurrency=2)
        return batch.results()

    receipt = await ctx.step(note, event["id"], name="charge", semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY)
    await ctx.wait(Duration.hours(1), name="cool-off")
    packed = await ctx.run_in_child_context(ship, event["lines"])
    return {
        "receipt": receipt,
        "packed": packed,
        "id": str(ctx.uuid()),
        "dice": ctx.random().randint(1, 6),
        "at": ctx.now().isoformat(),
    }


@durable_execution
async def troubles(event: Any, ctx: DurableContext) -> dict[str, Any]:
    """Retries, failures that are caught, a condition that is polled, a callback that is refused."""
    broken = called = ""
    connection = await ctx.step(at_third, retry=fixed_delay(Duration.seconds(5), max_attempts=5))
    try:
        await ctx.step(explode, retry=no_retry())
    except StepError as error:
        broken = str(error)
    polled = await ctx.wait_for_condition(
        lambda state: state * 2, initial_state=1, until=lambda state: state > 5, interval=Duration.minutes(1)
    )
    try:
        refused = await ctx.wait_for_callback(tell, name="approval", timeout=Duration.days(1))
    except CallbackExternalError as error:
        refused = str(error)
    try:
        called += await ctx.invoke("backend", {"n": 1}, name="good call")
        called += await ctx.invoke("backend", {"n": 0}, name="bad call")
    except InvokeError as error:
        called += str(error)
    return {
        "connection": connection,
        "broken": broken,
        "polled": polled,
        "refused": refused,
        "called": called,
    }


@durable_execution
async def crowds(event: Any, ctx: DurableContext) -> dict[str, Any]:
    """Batches that are decided early, flat ones, parallels, ``all`` with and without a failure, a virtual context."""

    async def sleeper(child: DurableContext, seconds: int, index: int) -> int:
        await child.wait(Duration.seconds(seconds))
        return await child.step(note, seconds)

    async def brittle(child: DurableContext, number: int, index: int) -> int:
        if number == 2:
            await child.step(explode, retry=no_retry())
        return number

    async def left(child: DurableContext) -> str:
        return await child.step(note, "left")

    async def right(child: DurableContext, text: str) -> str:
        await child.wait(Duration.seconds(9))
        return text

    failed = ""
    first_two = await ctx.map(
        [1, 500, 2, 600], sleeper, completion=CompletionConfig(min_successful=2), name="race"
    )
    flat = await ctx.map([3, 1, 2], sleeper, nesting=NestingType.FLAT, name="flat")
    tolerant = await ctx.map(
        [1, 2, 3], brittle, completion=CompletionConfig(tolerated_failure_count=3), name="tolerant"
    )
    sides = await ctx.parallel([left, Branch(right, "right", name="the right one")], name="sides")
    both = await ctx.all([ctx.step(note, 1), ctx.run_in_child_context(left, virtual=True)])
    try:
        await ctx.all([ctx.wait(Duration.hours(9)), ctx.step(explode, retry=no_retry())])
    except StepError as error:
        failed = str(error)
    return {
        "first_two": first_two.success_count,
        "flat": flat.results(),
        "tolerant": [tolerant.success_count, tolerant.failure_count],
        "sides": sides.results(),
        "both": list(both),
        "failed": failed,
    }


@durable_execution
async def bulky(event: Any, ctx: DurableContext) -> list[int]:
    """Results that are too big to be stored with their context."""

    async def big(child: DurableContext, size: int, index: int) -> str:
        stored: int = await child.step(note, size)
        return "x" * stored

    async def one(child: DurableContext) -> str:
        return await big(child, 300_000, 0)

    sizes = [len(await ctx.run_in_child_context(one, name="child"))]
    batch = await ctx.map([300_000, 10], big, name="map")
    await ctx.wait(Duration.seconds(1))
    return sizes + [len(text) for text in batch.results()]


@durable_execution
async def failing(event: Any, ctx: DurableContext) -> None:
    """Fails for good, in a child context."""

    async def child(child_ctx: DurableContext) -> None:
        await child_ctx.wait(Duration.seconds(3))
        await child_ctx.step(explode, retry=no_retry())

    await ctx.run_in_child_context(child)


@durable_execution
async def waiting(event: Any, ctx: DurableContext) -> Any:
    """Waits for an answer that has not come when it is recorded."""
    callback = await ctx.create_callback(name="answer", heartbeat_timeout=Duration.days(2))
    await ctx.step(note, "asked")
    return await callback.result()


def count() -> int:
    """Be a step that counts its runs."""
    TRIES.append(1)
    return len(TRIES)


# --- structured durability -------------------------------------------------------------------------------


async def nap(child: DurableContext, seconds: int) -> int:
    """Wait, and say how long."""
    await child.wait(Duration.seconds(seconds))
    slept: int = await child.step(note, seconds)
    return slept


async def fail_late(child: DurableContext) -> None:
    """Fail after a while."""
    await child.wait(Duration.seconds(4))
    await child.step(explode, retry=no_retry())


async def undo(child: DurableContext, value: Any) -> None:
    """Undo a step of a saga."""
    await child.wait(Duration.seconds(1))
    await child.step(note, f"undo {value}", name="undo")


@durable_execution
async def contests(event: Any, ctx: DurableContext) -> list[Any]:
    """``race``, ``any`` and ``all_settled``; a wait that lost is awaited again."""
    long = ctx.wait(Duration.hours(1), name="long")
    first = await ctx.race([long, ctx.run_in_child_context(nap, 5), ctx.run_in_child_context(nap, 7)])
    second = await ctx.any([ctx.step(explode, retry=no_retry()), ctx.run_in_child_context(nap, 3)])
    settled = await ctx.all_settled([ctx.step(explode, retry=no_retry()), ctx.step(note, 1)])
    await long
    return [first, second, len(settled)]


@durable_execution
async def limits(event: Any, ctx: DurableContext) -> list[Any]:
    """Deadlines that are met, that are not, and that raise; cleaning up behind a shield."""
    seen: list[Any] = []
    async with ctx.move_on_after(Duration.seconds(10)) as in_time:
        seen.append(await ctx.step(note, "in time"))
        await ctx.wait(Duration.seconds(3))
    async with ctx.move_on_after(Duration.seconds(10)) as too_late:
        await ctx.step(note, "begun")
        try:
            await ctx.wait(Duration.hours(1))
            await ctx.step(note, "never")
        finally:
            async with ctx.shield():
                seen.append(await ctx.step(note, "cleaned up"))
    try:
        async with ctx.fail_after(Duration.seconds(2)):
            await ctx.run_in_child_context(nap, 100)
    except DurableTimeoutError:
        seen.append("failed")
    return [*seen, in_time.timed_out, too_late.timed_out, await ctx.step(note, "last")]


@durable_execution
async def team(event: Any, ctx: DurableContext) -> list[Any]:
    """Nurseries: one whose children all end, and one with a child that fails."""
    handles: list[Any] = []
    async with ctx.open_nursery() as nursery:
        handles += [nursery.start_soon(nap, seconds) for seconds in (3, 1, 2)]
        await ctx.step(note, "meanwhile")
    values: list[Any] = [handle.value for handle in handles]
    try:
        async with ctx.open_nursery(name="doomed") as nursery:
            nursery.start_soon(nap, 1000)
            nursery.start_soon(fail_late)
            await ctx.wait(Duration.hours(5))
    except* ChildContextError:
        values.append("failed")
    return [*values, await ctx.step(note, "last")]


@durable_execution
async def trip(event: Any, ctx: DurableContext) -> list[Any]:
    """A saga that goes well, and one that is undone."""
    async with ctx.saga() as saga:
        await saga.step(note, "one", compensate=undo)
    try:
        async with ctx.saga(name="trip") as saga:
            await saga.step(note, "flight", name="flight", compensate=undo)
            await ctx.wait(Duration.seconds(5))
            await saga.step(note, "hotel", name="hotel", compensate=undo)
            await ctx.step(explode, retry=no_retry())
    except StepError as error:
        return [str(error), await ctx.step(note, "last")]
    return []


@durable_execution
async def stubborn(event: Any, ctx: DurableContext) -> list[Any]:
    """Blocks and items that are tried again."""

    async def block(child: DurableContext) -> str:
        before: int = await child.step(count)
        await child.wait(Duration.seconds(1))
        if before < 3:
            raise ConnectionError(f"attempt {before}")
        return "at last"

    async def item(child: DurableContext, number: int, index: int) -> int:
        tried: int = await child.step(count)
        if number == 1 and tried < 6:
            raise ConnectionError("item")
        return await child.run_in_child_context(nap, number)

    retry = fixed_delay(Duration.seconds(9), max_attempts=5)
    once = await ctx.retry(block, retry=retry, name="block")
    batch = await ctx.map([1, 2], item, item_retry=retry, name="items")
    return [once, batch.results()]
