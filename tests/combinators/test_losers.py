"""Losers, cancelled at every point of their lives: nothing hangs, nothing is left, replay says the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
from combinators.bodies import give, slow
from support.clients import Script
from support.leaks import nothing_left
from support.runs import FUNCTION, driven, run
from trio.testing import MockClock

from durable_trio import (
    DurableContext,
    DurableError,
    Duration,
    NestingType,
    Operation,
    StepSemantics,
    durable_execution,
    fixed_delay,
    no_retry,
)

RETRY = fixed_delay(Duration.seconds(2), max_attempts=3)


async def flaky() -> str:
    """Take a while, and fail for good in the end."""
    await trio.sleep(0.5)
    raise OSError("again")


async def body(ctx: DurableContext, *_: Any) -> str:
    """Do a step, wait, and do another one."""
    await ctx.step(slow, 0.5, 1)
    await ctx.wait(Duration.seconds(2))
    return str(await ctx.step(give, "body"))


async def submit(callback_id: str) -> None:
    """Hand a callback's id to nobody."""


async def count(state: int) -> int:
    """Poll something."""
    return state + 1


def plain() -> str:
    """Be a body in a worker thread."""
    return "plain"


AT_MOST_ONCE = StepSemantics.AT_MOST_ONCE_PER_RETRY


async def answered(ctx: DurableContext) -> str:
    """Wait for a callback that times out, in a race of its own."""
    callback = await ctx.create_callback(timeout=Duration.seconds(4))
    return str(await ctx.race([ctx.wait(Duration.seconds(9)), callback.result()]))


LOSERS: dict[str, Callable[[DurableContext], Operation[Any]]] = {
    "step": lambda ctx: ctx.step(slow, 1, "step"),
    "step that retries": lambda ctx: ctx.step(flaky, retry=RETRY),
    "at-most-once step": lambda ctx: ctx.step(slow, 1, "once", semantics=AT_MOST_ONCE, retry=no_retry()),
    "step in a thread": lambda ctx: ctx.step(plain),
    "wait": lambda ctx: ctx.wait(Duration.seconds(2)),
    "create callback": lambda ctx: ctx.create_callback(name="cb"),
    "wait for callback": lambda ctx: ctx.wait_for_callback(submit, timeout=Duration.seconds(4)),
    "condition": lambda ctx: ctx.wait_for_condition(
        count, initial_state=0, until=lambda state: state > 2, interval=Duration.seconds(1)
    ),
    "invoke": lambda ctx: ctx.invoke("other", 1),
    "child": lambda ctx: ctx.run_in_child_context(body),
    "virtual child": lambda ctx: ctx.run_in_child_context(body, virtual=True),
    "map": lambda ctx: ctx.map([1, 2], body),
    "flat map": lambda ctx: ctx.map([1, 2], body, nesting=NestingType.FLAT),
    "parallel": lambda ctx: ctx.parallel([body, body]),
    "retry": lambda ctx: ctx.retry(body),
    "all": lambda ctx: ctx.all([ctx.step(slow, 1, 1), ctx.wait(Duration.seconds(2))]),
    "failing all": lambda ctx: ctx.all([ctx.step(flaky, retry=no_retry()), ctx.wait(Duration.seconds(9))]),
    "all_settled": lambda ctx: ctx.all_settled([ctx.step(slow, 1, 1), ctx.wait(Duration.seconds(2))]),
    "race": lambda ctx: ctx.race([ctx.run_in_child_context(body), ctx.wait(Duration.seconds(9))]),
    "callback in a race": lambda ctx: ctx.run_in_child_context(answered),
    "any": lambda ctx: ctx.any([ctx.step(flaky, retry=no_retry()), ctx.run_in_child_context(body)]),
}
# How long the rival takes, in eighths of a second; a call to the service takes one second. So the loser is cut before
# its START is sent, while that is in flight, in its body, parked, with its end in flight, and after its end.
MOMENTS = range(0, 60, 3)


@pytest.mark.parametrize("kind", LOSERS)
async def test_a_loser_cut_at_any_point(autojump_clock: MockClock, kind: str) -> None:
    """Whoever wins: what the race gives and what awaiting the loser gives is the same on every replay."""
    winners = set()
    for eighths in MOMENTS:
        winner, answers = await raced(kind, eighths / 8)
        winners.add(winner)
        assert len(answers) >= 2, eighths
        assert all(answer == answers[0] for answer in answers), (eighths, answers)
    assert "rival" in winners


async def raced(kind: str, seconds: float) -> tuple[str, list[Any]]:
    """Race an operation with a step that takes *seconds*; return who won, and what each run of the code saw."""
    answers: list[Any] = []
    # A thread takes no virtual time: it may end with the quickest rival, and a tie goes to the first of the two.
    order = ("rival", "loser") if kind == "step in a thread" else ("loser", "rival")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        loser = LOSERS[kind](ctx)
        by_name = {"loser": loser, "rival": ctx.step(slow, seconds, "rival")}
        first = await told(ctx.race([by_name[name] for name in order]))
        again = await told(loser)
        answers.append([first, again, str(ctx.now())])
        await ctx.wait(Duration.seconds(1))
        return first

    @durable_execution
    async def other(event: Any, ctx: DurableContext) -> str:
        await ctx.wait(Duration.seconds(2))
        return "other"

    with nothing_left():
        async with driven(handler, wrap=Script(delays=dict.fromkeys(range(1, 99), 1.0))) as driver:
            driver.service.register("other", other.invoke)
            started = await driver.service.start_execution(FUNCTION, "null", name="run")
            with trio.fail_after(300):
                finished = await driver.finish(started.arn)
    assert finished.status == "SUCCEEDED", (kind, seconds, finished.description.error)
    (verdict,) = [o for o in finished.operations if o.sub_type == "Race" and o.parent_id is None][-1:]
    assert verdict.status == "SUCCEEDED"
    return order[json.loads(verdict.details.result or "")], answers  # type: ignore[union-attr]


async def told(operation: Operation[Any]) -> str:
    """Await an operation, and tell how it ended."""
    try:
        return repr(await operation)
    except (DurableError, ExceptionGroup) as error:
        return f"{type(error).__name__}: {error}"


async def test_what_lost_is_not_pending_for_us(autojump_clock: MockClock) -> None:
    """At the end of an invocation's time, a lost step's retry does not pass for what will wake the execution.

    The work that is left is taken up by another invocation at once, not when that retry is due.
    """
    runs: list[int] = []

    async def hopeless() -> None:
        raise OSError("again")

    async def long() -> str:
        runs.append(1)
        await trio.sleep(30 if len(runs) == 1 else 1)
        return "through"

    async def begun(ctx: DurableContext) -> None:
        await ctx.step(hopeless, retry=fixed_delay(Duration.hours(5), max_attempts=3))

    async def late(ctx: DurableContext) -> str:
        await trio.sleep(19)  # past the margin before the end of the invocation's 20 seconds
        return str(await ctx.step(long))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        await ctx.race([ctx.run_in_child_context(begun), ctx.step(slow, 2, None)])
        return await ctx.run_in_child_context(late)

    before = trio.current_time()
    finished = await run(handler, timeout_seconds=20)
    assert finished.status in ("SUCCEEDED", "FAILED")
    assert trio.current_time() - before < 3600
    assert "raised" in finished.invocations
