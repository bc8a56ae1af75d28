"""Random programs of inline constructs: killed once anywhere, in any order of Trio's, they come to the same end.

What could be decided by timing is kept apart by minutes: short things take seconds, every failure happens at a
distance of its own (no two sums of them are alike), a deadline is over after half a day, and long things take days.
"""

# A block may be cut before it binds what is read after it; these tests know where it is.
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.crashes import Crash, Crashing
from support.leaks import nothing_left
from support.runs import Run, run
from support.scheduling import seeded_scheduling
from trio.testing import MockClock

from durable_trio import DurableContext, Duration, current_step, durable_execution

DAY = Duration.days(1)


@dataclass(frozen=True)
class Step:
    """A step with a value."""

    value: int


@dataclass(frozen=True)
class Short:
    """A wait of seconds."""

    seconds: int


@dataclass(frozen=True)
class Long:
    """A wait of days, which no deadline survives."""


@dataclass(frozen=True)
class Fail:
    """A failure, at a time of its own."""


@dataclass(frozen=True)
class Child:
    """A child context."""

    body: Sequence[Node]


@dataclass(frozen=True)
class Nursery:
    """Children, and a body that awaits the first one if *reads*."""

    children: Sequence[Sequence[Node]]
    body: Sequence[Node]
    reads: bool


@dataclass(frozen=True)
class Deadline:
    """A body with half a day."""

    body: Sequence[Node]


@dataclass(frozen=True)
class Saga:
    """Steps that can be undone, around a body."""

    steps: int
    body: Sequence[Node]


@dataclass(frozen=True)
class CleanUp:
    """A body with shielded clean-up."""

    body: Sequence[Node]


@dataclass(frozen=True)
class Catch:
    """A body whose errors are caught."""

    body: Sequence[Node]


@dataclass(frozen=True)
class Race:
    """A race between something short and a body that may take long."""

    body: Sequence[Node]


Node: TypeAlias = Step | Short | Long | Fail | Child | Nursery | Deadline | Saga | CleanUp | Catch | Race

leaves: st.SearchStrategy[Node] = st.one_of(
    st.builds(Step, st.integers(0, 9)), st.builds(Short, st.integers(1, 3)), st.builds(Long), st.builds(Fail)
)


def blocks(nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    """Return what is built of *nodes*."""
    bodies = st.lists(nodes, max_size=3)
    return st.one_of(
        st.builds(Child, bodies),
        st.builds(Nursery, st.lists(bodies, min_size=1, max_size=3), bodies, st.booleans()),
        st.builds(Deadline, bodies),
        st.builds(Saga, st.integers(1, 2), bodies),
        st.builds(CleanUp, bodies),
        st.builds(Catch, bodies),
        st.builds(Race, bodies),
    )


programs = st.recursive(leaves, blocks, max_leaves=9)


@dataclass
class Runner:
    """Runs one program; the failures' times are handed out by position in the program."""

    times: dict[int, int]
    undone: list[str] = field(default_factory=list)

    async def body(self, ctx: DurableContext, nodes: Sequence[Node]) -> list[Any]:
        """Run *nodes* one after another."""
        return [await self.node(ctx, node) for node in nodes]

    async def node(self, ctx: DurableContext, node: Node) -> Any:
        """Run one node, and return what was seen of it."""
        match node:
            case Step(value):
                return await ctx.step(give, value)
            case Short(seconds):
                await ctx.wait(Duration.seconds(seconds))
                return "short"
            case Long():
                await ctx.wait(DAY)
                return "long"
            case Fail():
                await ctx.wait(Duration.seconds(self.times[id(node)]))
                raise ValueError("failed")
            case Child(body):
                return await ctx.run_in_child_context(self.body, body)
            case Nursery():
                return await self.nursery(ctx, node)
            case Deadline(body):
                seen: list[Any] = []
                async with ctx.move_on_after(Duration.hours(12)) as deadline:
                    seen = await self.body(ctx, body)
                return [deadline.timed_out, seen]
            case Saga():
                return await self.saga(ctx, node)
            case CleanUp(body):
                try:
                    return await self.body(ctx, body)
                finally:
                    async with ctx.shield():
                        await ctx.step(give, "clean-up")
                        await ctx.wait(Duration.seconds(1))
            case Catch(body):
                try:
                    return await self.body(ctx, body)
                except Exception as error:  # noqa: BLE001  # whatever comes
                    return described(error)
            case Race(body):
                winner = await ctx.race(
                    [ctx.run_in_child_context(self.racer, body), ctx.wait(Duration.hours(78))]
                )
                return ["won", winner]

    async def racer(self, ctx: DurableContext, body: Sequence[Node]) -> list[Any]:
        """Run *body*, which may take longer than the other in the race."""
        seen = await self.body(ctx, body)
        await ctx.wait(DAY * 4)
        return seen

    async def nursery(self, ctx: DurableContext, node: Nursery) -> Any:
        """Run a nursery; return what came of it."""
        seen: list[Any] = []
        try:
            async with ctx.open_nursery() as nursery:
                handles = [nursery.start_soon(self.body, child) for child in node.children]
                seen += await self.body(ctx, node.body)
                if node.reads:
                    seen.append(await handles[0])
        except ExceptionGroup as group:
            return [described(group), [handle.status.value for handle in handles]]
        return [seen, [handle.value for handle in handles]]

    async def saga(self, ctx: DurableContext, node: Saga) -> Any:
        """Run a saga; return what was undone, if it failed."""
        async with ctx.saga() as saga:
            for step in range(node.steps):
                await saga.step(give, step, compensate=self.undo)
            return await self.body(ctx, node.body)

    async def undo(self, ctx: DurableContext, result: Any) -> None:
        """Undo a step, slowly."""
        await ctx.wait(Duration.seconds(1))
        self.undone.append(await ctx.step(named))


async def give(value: Any) -> Any:
    """Return *value*, after a moment."""
    await trio.sleep(0.01)
    return value


async def named() -> str:
    """Return the operation's id."""
    return current_step().operation_id


def described(error: BaseException) -> Any:
    """Return what there is to an error."""
    if isinstance(error, BaseExceptionGroup):
        return [described(inner) for inner in error.exceptions]
    return [type(error).__name__, str(error)]


def failures(node: Node) -> Iterator[Fail]:
    """Return the failures in a program."""
    match node:
        case Fail():
            yield node
        case Nursery(children, body):
            for part in itertools.chain(*children, body):
                yield from failures(part)
        case Child(body) | Deadline(body) | Saga(_, body) | CleanUp(body) | Catch(body) | Race(body):
            for part in body:
                yield from failures(part)
        case _:
            pass


def outcome(program: Node, crash: Crash | None, seed: int) -> tuple[Run, set[str], int]:
    """Run *program*; return what it left behind, what it undid, and its number of calls."""
    times = {id(fail): 60 * 2**index for index, fail in enumerate(failures(program))}
    runner = Runner(times)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        try:
            return await runner.node(ctx, program)
        except Exception as error:  # noqa: BLE001  # whatever comes
            return described(error)

    crashing = Crashing(handler, crash or Crash(0, "before"))

    async def main() -> Run:
        with trio.fail_after(100_000_000), nothing_left():
            return await run(crashing)

    with seeded_scheduling(seed):
        return trio.run(main, clock=MockClock(autojump_threshold=0)), set(runner.undone), crashing.calls


def constructs(finished: Run) -> list[tuple[Any, ...]]:
    """Return the record of what was decided, except in contexts that were thrown away: how far those got is chance."""
    records = {o.id: o for o in finished.operations}

    def is_kept(id_: str | None) -> bool:
        return id_ is None or (records[id_].status.value != "STARTED" and is_kept(records[id_].parent_id))

    return sorted(
        (o.id, o.sub_type, o.status.value, o.parent_id, getattr(o.details, "result", None))
        for o in finished.operations
        if o.sub_type in {"Nursery", "Deadline", "Saga", "Cut", "Compensation", "Race"} and is_kept(o.id)
    )


@given(program=programs.filter(lambda node: len(list(failures(node))) <= 7), data=st.data())
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    phases=[Phase.generate],
)
def test_random_programs_come_to_the_same_end(program: Node, data: st.DataObject) -> None:
    """The same result, the same decisions in the record, the same things undone."""
    seeds = st.integers(0, 2**32)
    reference, undone, calls = outcome(program, None, data.draw(seeds))
    assert reference.status == "SUCCEEDED", reference.description.error

    for _ in range(3):
        crash = Crash(
            data.draw(st.integers(1, max(1, calls))), data.draw(st.sampled_from(["before", "after"]))
        )
        again, undone_again, _ = outcome(program, crash, data.draw(seeds))
        assert again.status == "SUCCEEDED", again.description.error
        assert again.result == reference.result
        assert constructs(again) == constructs(reference)
        assert undone_again == undone
