"""Random programs: however actors are nested, the count of the running ones stays right.

A program is a tree of operations. Its value is easy to compute without any runtime; a run has to come to the
same, whatever is suspended, in whatever order Trio wakes tasks, and wherever it is killed once on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.crashes import Crash, Crashing
from support.leaks import nothing_left
from support.runs import run
from support.scheduling import seeded_scheduling
from trio.testing import MockClock

from durable_trio import (
    CompletionConfig,
    DurableContext,
    Duration,
    NestingType,
    OperationError,
    StepSemantics,
    current_step,
    durable_execution,
    fixed_delay,
    no_retry,
)


class Failed(Exception):
    """A program that fails has no value."""


@dataclass(frozen=True)
class Step:
    """Takes its time, fails a few times first, and gives one."""

    seconds: float
    failures: int
    at_most_once: bool


@dataclass(frozen=True)
class Failing:
    """Fails after a while, for good."""

    seconds: float


@dataclass(frozen=True)
class Wait:
    """Waits and gives nothing."""

    seconds: int


@dataclass(frozen=True)
class Child:
    """Does things one after another in a context of its own."""

    body: Sequence[Node]
    virtual: bool


@dataclass(frozen=True)
class All:
    """Does things at once; gives ten if one of them fails."""

    arms: Sequence[Node]


@dataclass(frozen=True)
class Map:
    """Does each list of things at once; counts a hundred for each one that fails."""

    items: Sequence[Sequence[Node]]
    limit: int | None
    flat: bool


Node = Step | Failing | Wait | Child | All | Map

leaves = st.one_of(
    st.builds(Step, st.sampled_from([0.0, 0.3, 2.0]), st.sampled_from([0, 0, 0, 1, 2]), st.booleans()),
    st.builds(Failing, st.sampled_from([0.0, 1.0, 3.0])),
    st.builds(Wait, st.sampled_from([1, 2, 3600])),
)
programs = st.recursive(
    leaves,
    lambda nodes: st.one_of(
        st.builds(Child, st.lists(nodes, max_size=3), st.booleans()),
        st.builds(All, st.lists(nodes, max_size=4)),
        st.builds(
            Map,
            st.lists(st.lists(nodes, max_size=2), max_size=4),
            st.sampled_from([None, 1, 2]),
            st.booleans(),
        ),
    ),
    max_leaves=10,
)


def value_of(node: Node) -> int:
    """Compute what a program gives; raise if it fails."""
    match node:
        case Step():
            return 1
        case Wait():
            return 0
        case Failing():
            raise Failed
        case Child(body):
            return sum(value_of(part) for part in body)
        case All(arms):
            try:
                return sum([value_of(arm) for arm in arms])
            except Failed:
                return 10
        case Map(items):
            return sum(value_or(100, item) for item in items)


def value_or(default: int, body: Sequence[Node]) -> int:
    """Compute what a sequence of programs gives, or *default* if one fails."""
    try:
        return sum([value_of(part) for part in body])
    except Failed:
        return default


async def step_body(node: Step) -> int:
    """Take some time, and fail on the first attempts."""
    await trio.sleep(node.seconds)
    if current_step().attempt <= node.failures:
        raise OSError("again")
    return 1


async def failing_body(node: Failing) -> int:
    """Take some time and fail."""
    await trio.sleep(node.seconds)
    raise ValueError("for good")


async def sequence(ctx: DurableContext, body: Sequence[Node], *_: Any) -> int:
    """Do *body* one after another."""
    total = 0
    for part in body:
        total += await durable_value(ctx, part)
    return total


async def durable_value(ctx: DurableContext, node: Node) -> int:
    """Run a program on *ctx*."""
    match node:
        case All(arms):
            try:
                return sum([value or 0 for value in await ctx.all([operation(ctx, arm) for arm in arms])])
            except OperationError:
                return 10
        case Map(items, limit, flat):
            batch = await ctx.map(
                items,
                sequence,
                max_concurrency=limit,
                completion=CompletionConfig.all_completed(),
                nesting=NestingType.FLAT if flat else None,
            )
            return sum(batch.results()) + 100 * batch.failure_count
        case _:
            return await operation(ctx, node) or 0


def operation(ctx: DurableContext, node: Node) -> Any:
    """Return the operation that a program is; what takes several becomes a child context."""
    match node:
        case Step(_, _, at_most_once):
            semantics = StepSemantics.AT_MOST_ONCE_PER_RETRY if at_most_once else None
            return ctx.step(
                step_body, node, retry=fixed_delay(Duration.seconds(1), max_attempts=9), semantics=semantics
            )
        case Failing():
            return ctx.step(failing_body, node, retry=no_retry())
        case Wait(seconds):
            return ctx.wait(Duration.seconds(seconds))
        case Child(body, virtual):
            return ctx.run_in_child_context(sequence, body, virtual=virtual)
        case _:
            return ctx.run_in_child_context(durable_value, node)


@given(program=programs, seed=st.integers(0, 2**32), crash=st.one_of(st.none(), st.integers(1, 12)))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_random_programs_finish_with_their_value(program: Node, seed: int, crash: int | None) -> None:
    """Every program ends with its value, and whenever the handler ends exactly its own actor is counted."""
    counts: list[int] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        supervisor = ctx._node.invocation.supervisor
        try:
            return await durable_value(ctx, program)
        except OperationError:
            return -1
        finally:
            counts.append(supervisor.running)

    async def main() -> Any:
        driven: Any = (
            handler if crash is None else Crashing(handler, Crash(crash, "after" if seed % 2 else "before"))
        )
        with trio.fail_after(1_000_000), nothing_left():
            return await run(driven)

    with seeded_scheduling(seed):
        finished = trio.run(main, clock=MockClock(autojump_threshold=0))

    try:
        expected = value_of(program)
    except Failed:
        expected = -1
    assert finished.result == expected
    assert set(counts) == {1}
