"""A failure is the same failure on the first run and on every replay, whatever failed."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest
import trio
from support.runs import FUNCTION, driven
from trio.testing import MockClock

from durable_trio import (
    Branch,
    CompletionConfig,
    DurableContext,
    Duration,
    ErrorObject,
    NestingType,
    OperationError,
    ValidationError,
    durable_error,
    durable_execution,
    fixed_delay,
    no_retry,
)

SECOND = Duration.seconds(1)


@durable_error
class OutOfInk(Exception):
    """Raised as itself, with what it was made from."""

    def __init__(self, colour: str, *, left: int) -> None:
        super().__init__(f"{colour}: {left} left")
        self.colour = colour
        self.left = left


async def boom(*_: Any) -> Any:
    """Fail with an ordinary exception."""
    raise KeyError("o-1")


async def no_ink(*_: Any) -> Any:
    """Fail with a registered exception."""
    raise OutOfInk("blue", left=2)


async def group(*_: Any) -> Any:
    """Fail with a group of both."""
    raise ExceptionGroup("several", [KeyError("a"), ExceptionGroup("inner", [OutOfInk("red", left=0)])])


async def unstorable(*_: Any) -> Any:
    """Return what no serializer takes."""
    return object()


async def huge(*_: Any) -> Any:
    """Return what is too big to send."""
    return "x" * 1_000_000


async def long_message(*_: Any) -> Any:
    """Fail with more text than the service takes."""
    raise ValueError("ü" * 2_000_000)


async def too_slow(*_: Any) -> Any:
    """Never end."""
    await trio.sleep_forever()


BODIES = {"exception": boom, "registered": no_ink, "group": group, "long message": long_message}

Failing = Callable[[DurableContext, Any], Awaitable[Any]]


async def in_step(ctx: DurableContext, body: Any) -> Any:
    """Fail in a step."""
    await ctx.step(body, retry=no_retry())


async def after_retries(ctx: DurableContext, body: Any) -> Any:
    """Fail in a step, after another attempt."""
    await ctx.step(body, retry=fixed_delay(SECOND, max_attempts=2))


async def in_child(ctx: DurableContext, body: Any) -> Any:
    """Fail in a child context's own code."""
    await ctx.run_in_child_context(body, name="child")


async def in_step_in_child(ctx: DurableContext, body: Any) -> Any:
    """Fail in a step of a child of a child."""

    async def inner(child: DurableContext) -> Any:
        await child.step(body, retry=no_retry())

    async def outer(child: DurableContext) -> Any:
        await child.run_in_child_context(inner)

    await ctx.run_in_child_context(outer)


async def in_virtual_child(ctx: DurableContext, body: Any) -> Any:
    """Fail in a step of a context without a record of its own."""

    async def inner(child: DurableContext) -> Any:
        await child.step(body, retry=no_retry())

    await ctx.run_in_child_context(inner, virtual=True)


async def in_mapped_child(ctx: DurableContext, body: Any) -> Any:
    """Fail in a child whose errors are mapped to a registered one."""
    await ctx.run_in_child_context(body, error_mapper=lambda error: OutOfInk(str(error)[:20], left=1))


async def in_item(ctx: DurableContext, body: Any) -> Any:
    """Fail in an item, whose error the batch holds."""
    batch = await ctx.map([1, 2], body, completion=CompletionConfig.all_completed())
    raise batch.errors()[1]


async def in_flat_item(ctx: DurableContext, body: Any) -> Any:
    """Fail in an item without a record of its own."""
    completion = CompletionConfig.all_completed()
    batch = await ctx.map([1, 2], body, completion=completion, nesting=NestingType.FLAT)
    raise batch.errors()[1]


async def in_results(ctx: DurableContext, body: Any) -> Any:
    """Ask a failed batch for its results."""
    (await ctx.map([1, 2], body)).results()


async def in_branch(ctx: DurableContext, body: Any) -> Any:
    """Fail in a branch."""
    batch = await ctx.parallel([Branch(body, name="only")])
    raise batch.errors()[0]


async def in_all(ctx: DurableContext, body: Any) -> Any:
    """Fail in one of two operations, the other of which goes on for long."""
    await ctx.all([ctx.wait(Duration.days(1)), ctx.step(body, retry=no_retry())])


async def in_condition(ctx: DurableContext, body: Any) -> Any:
    """Fail in a look."""
    await ctx.wait_for_condition(body, initial_state=1, until=lambda _: True)


async def in_submitter(ctx: DurableContext, body: Any) -> Any:
    """Fail to tell anybody about a callback."""
    await ctx.wait_for_callback(body, retry=no_retry())


async def in_invoke(ctx: DurableContext, body: Any) -> Any:
    """Fail in another function."""
    kind = next(name for name, candidate in BODIES.items() if candidate is body)
    await ctx.invoke("other", kind)


PLACES: list[Failing] = [
    in_step,
    after_retries,
    in_child,
    in_step_in_child,
    in_virtual_child,
    in_mapped_child,
    in_item,
    in_flat_item,
    in_results,
    in_branch,
    in_all,
    in_condition,
    in_submitter,
    in_invoke,
]


async def unstorable_step(ctx: DurableContext, _: Any) -> Any:
    """Store what cannot be stored."""
    await ctx.step(unstorable)


async def unstorable_child(ctx: DurableContext, _: Any) -> Any:
    """The same from a child context."""
    body: Any = unstorable
    await ctx.run_in_child_context(body)


async def unstorable_item(ctx: DurableContext, _: Any) -> Any:
    """The same from an item."""
    raise (await ctx.map([1], unstorable)).errors()[0]


async def too_big(ctx: DurableContext, _: Any) -> Any:
    """Store what is too big."""
    await ctx.step(huge)


async def slow_step(ctx: DurableContext, _: Any) -> Any:
    """Take too long."""
    await ctx.step(too_slow, timeout=SECOND, retry=no_retry())


async def condition_given_up(ctx: DurableContext, _: Any) -> Any:
    """Give up on a condition."""
    await ctx.wait_for_condition(too_calm, initial_state=1, wait_strategy=lambda *_: None)


async def too_calm(state: Any) -> Any:
    """Change nothing."""
    return state


async def callback_fails(ctx: DurableContext, _: Any) -> Any:
    """Be answered with a failure."""
    await (await ctx.create_callback(name="no")).result()


async def callback_times_out(ctx: DurableContext, _: Any) -> Any:
    """Be answered by nobody."""
    await (await ctx.create_callback(timeout=SECOND)).result()


async def waited_callback_fails(ctx: DurableContext, _: Any) -> Any:
    """Be answered with a failure, in the composed operation."""
    await ctx.wait_for_callback(too_calm, name="no")


async def waited_callback_times_out(ctx: DurableContext, _: Any) -> Any:
    """Be answered by nobody, in the composed operation."""
    await ctx.wait_for_callback(too_calm, heartbeat_timeout=SECOND)


async def bad_argument(ctx: DurableContext, _: Any) -> Any:
    """Give an operation a wrong argument."""
    ctx.wait(Duration.seconds(0))


OWN_FAILURES: list[Failing] = [
    unstorable_step,
    unstorable_child,
    unstorable_item,
    too_big,
    slow_step,
    condition_given_up,
    callback_fails,
    callback_times_out,
    waited_callback_fails,
    waited_callback_times_out,
    bad_argument,
]


class Seen(NamedTuple):
    """All that a program can see of an error."""

    type: type[BaseException]
    text: str
    args: tuple[Any, ...]
    attributes: str
    notes: str
    cause: BaseException | None

    @classmethod
    def of(cls, error: Exception) -> Seen:
        """Look at *error*."""
        attributes = {key: value for key, value in vars(error).items() if not key.startswith("__")}
        if isinstance(attributes.get("errors"), tuple):  # a MapError's: look into them
            attributes["errors"] = tuple(Seen.of(inner) for inner in attributes["errors"])
        notes = "\n".join(getattr(error, "__notes__", ()))
        cause = error.__cause__ if not isinstance(error.__cause__, OperationError | OutOfInk) else None
        return cls(type(error), str(error), error.args, repr(sorted(attributes.items())), notes, cause)


CASES: list[tuple[Failing, Any]] = [(place, body) for place in PLACES for body in BODIES.values()]
CASES += [(failure, None) for failure in OWN_FAILURES]


def name_of(value: Any) -> str:
    """Return what to call a parameter."""
    return getattr(value, "__name__", "itself")


@pytest.mark.parametrize(("place", "body"), CASES, ids=name_of)
async def test_a_failure_is_the_same_on_replay(place: Failing, body: Any, autojump_clock: MockClock) -> None:
    """Class, message, type name, data, stack, ids, notes: all as on the first run, and no cause that replay lacks."""
    seen: list[Seen] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        try:
            await place(ctx, body)
        except Exception as error:  # noqa: BLE001  # whatever it is
            seen.append(Seen.of(error))
        await ctx.wait(SECOND)
        await ctx.wait(SECOND)
        return len(seen)

    @durable_execution
    async def other(kind: str, ctx: DurableContext) -> None:
        await BODIES[kind]()

    async with driven(handler) as driver:
        driver.service.register("other", other.invoke)
        started = await driver.service.start_execution(FUNCTION, json.dumps(None), name="run")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_say_no, driver.service, started.arn)
            done = await driver.finish(started.arn)
            nursery.cancel_scope.cancel()

    assert done.result >= 3, "it was not replayed"
    assert [later for later in seen if later != seen[0]] == []
    assert seen[0].cause is None
    if body is no_ink and place not in (in_results, in_submitter):
        assert seen[0].type is OutOfInk
    if place is bad_argument:
        assert seen[0].type is ValidationError


async def _say_no(service: Any, arn: str) -> None:
    """Answer callbacks called "no" with a failure."""
    while True:
        await trio.sleep(1)
        for operation in await service.operations(arn):
            is_open = operation.type == "CALLBACK" and operation.status == "STARTED"
            if is_open and operation.name.startswith("no"):
                error = ErrorObject("not approved", "Refused", '{"by": "ann"}', ("line 1",))
                await service.callback_fail(operation.details.callback_id, error)
