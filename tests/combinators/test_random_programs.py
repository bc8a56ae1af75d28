"""Random programs of combinators: whatever the code has once seen, it sees on every replay.

The oracle needs no model of who wins: each run of the handler notes what it sees, in order. What one run saw, each
later one must see again, and then perhaps more; whether the earlier one was suspended or killed makes no difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import trio
from combinators.late import Late
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.clients import Script
from support.crashes import Crash, Crashing
from support.leaks import nothing_left
from support.runs import run
from support.scheduling import seeded_scheduling
from trio.testing import MockClock

from durable_trio import (
    BatchResult,
    CheckpointingMode,
    CompletionConfig,
    ContextUseError,
    DurableContext,
    DurableError,
    Duration,
    NestingType,
    Operation,
    Outcome,
    durable_execution,
    fixed_delay,
    no_retry,
)


@dataclass(frozen=True)
class Step:
    """Takes some tenths of a second, and fails as often as it says."""

    tenths: int
    failures: int


@dataclass(frozen=True)
class Wait:
    """Waits some seconds."""

    seconds: int


@dataclass(frozen=True)
class Child:
    """Does things in a context: a child, a virtual one, or a block that is tried twice."""

    kind: str
    body: Sequence[Node]
    fails: bool


@dataclass(frozen=True)
class Items:
    """Does the same for two items."""

    body: Sequence[Node]
    flat: bool
    first: bool
    retried: bool


@dataclass(frozen=True)
class Combined:
    """Does things at once."""

    kind: str
    arms: Sequence[Node]


Node = Step | Wait | Child | Items | Combined
leaves = st.one_of(
    st.builds(Step, st.integers(0, 25), st.sampled_from([0, 0, 1, 9])),
    st.builds(Wait, st.sampled_from([1, 2, 3])),
)
nodes = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(
            Child, st.sampled_from(["child", "virtual", "retry"]), st.lists(inner, max_size=2), st.booleans()
        ),
        st.builds(Items, st.lists(inner, max_size=2), st.booleans(), st.booleans(), st.booleans()),
        st.builds(
            Combined,
            st.sampled_from(["all", "race", "any", "all_settled"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
    ),
    max_leaves=8,
)


@dataclass(frozen=True)
class Round:
    """One combinator of the handler's, and which of its operations are awaited afterwards."""

    combined: Combined
    again: Sequence[int]


rounds = st.builds(
    Round,
    st.builds(
        Combined,
        st.sampled_from(["race", "race", "any", "all", "all_settled"]),
        st.lists(nodes, min_size=1, max_size=3),
    ),
    st.lists(st.integers(0, 2), max_size=2),
)


async def step_body(tenths: int, failures: int, failed: dict[str, int], place: str) -> str:
    """Take a while; fail on the first *failures* calls at this place."""
    await trio.sleep(tenths / 10)
    if failures > failed.get(place, 0):
        failed[place] = failed.get(place, 0) + 1
        raise OSError(f"{place} failed")
    return place


class Program:
    """Random rounds as a handler that notes what it sees."""

    def __init__(self, given_rounds: Sequence[Round]) -> None:
        self.rounds = given_rounds
        self.seen: list[list[str]] = []
        self.failed: dict[str, int] = {}

    async def __call__(self, event: Any, ctx: DurableContext) -> list[str]:
        """Be the handler."""
        seen: list[str] = []
        self.seen.append(seen)
        for number, one in enumerate(self.rounds):
            arms = [self.operation(ctx, arm, f"{number}.{i}") for i, arm in enumerate(one.combined.arms)]
            combined: Operation[Any] = getattr(ctx, one.combined.kind)(arms)
            seen.append(await told(combined))
            for index in one.again:
                if index < len(arms):
                    seen.append(await told(arms[index]))
            seen.append(str(ctx.now()))
        await ctx.wait(Duration.seconds(1))
        return seen

    def operation(self, ctx: DurableContext, node: Node, place: str) -> Operation[Any]:
        """Return the operation that a node is."""
        retry = fixed_delay(Duration.seconds(1), max_attempts=2)
        match node:
            case Step(tenths, failures):
                strategy = no_retry() if failures > 1 else retry
                return ctx.step(step_body, tenths, failures, self.failed, place, retry=strategy)
            case Wait(seconds):
                return ctx.wait(Duration.seconds(seconds))
            case Child("retry", body, fails):
                return ctx.retry(self.sequence, body, fails, place, retry=retry)
            case Child(kind, body, fails):
                return ctx.run_in_child_context(self.sequence, body, fails, place, virtual=kind == "virtual")
            case Items(body, flat, first, retried):

                async def item(ctx: DurableContext, value: int, index: int) -> str:
                    return await self.sequence(ctx, body, value == 1, f"{place}[{index}]")

                return ctx.map(
                    [0, 1],
                    item,
                    nesting=NestingType.FLAT if flat else None,
                    completion=CompletionConfig.first_successful()
                    if first
                    else CompletionConfig.all_completed(),
                    item_retry=retry if retried else None,
                )
            case Combined(kind, arms):
                operations = [self.operation(ctx, arm, f"{place}.{i}") for i, arm in enumerate(arms)]
                combined: Operation[Any] = getattr(ctx, kind)(operations)
                return combined

    async def sequence(self, ctx: DurableContext, body: Sequence[Node], fails: bool, place: str) -> str:
        """Do things one after another; tell how they went."""
        parts = [await told(self.operation(ctx, part, f"{place}/{index}")) for index, part in enumerate(body)]
        if fails:
            raise LookupError(f"{place} fails after {parts}")
        return f"{place} {parts}"


async def told(operation: Operation[Any]) -> str:
    """Await an operation, and tell how it ended."""
    try:
        return shown(await operation)
    except (DurableError, LookupError, ExceptionGroup) as error:
        assert not isinstance(error, ContextUseError), error
        return shown(error)


def shown(value: Any) -> str:
    """Write a value or an error down, without ids."""
    match value:
        case BatchResult():
            return str([(item.status.value, shown(item.result), shown(item.error)) for item in value.items])
        case Outcome():
            return f"({shown(value.value)}, {shown(value.error)})"
        case list():
            return f"[{', '.join(map(shown, value))}]"
        case ExceptionGroup():
            return f"{value} {[shown(error) for error in value.exceptions]}"
        case Exception():
            text = str(value)
            return f"{type(value).__name__}: {'was cancelled' if 'was cancelled' in text else text}"
        case _:
            return repr(value)


@given(
    given_rounds=st.lists(rounds, min_size=1, max_size=3),
    seed=st.integers(0, 2**32),
    crash=st.one_of(st.none(), st.tuples(st.integers(1, 12), st.sampled_from(["before", "after"]))),
    call_seconds=st.sampled_from([0.0, 0.0, 0.7]),
    late_seconds=st.sampled_from([0.0, 0.0, 4.0]),
    mode=st.sampled_from([CheckpointingMode.BATCHED, CheckpointingMode.BATCHED, CheckpointingMode.EAGER]),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_was_seen_is_seen_again(
    given_rounds: list[Round],
    seed: int,
    crash: tuple[int, Any] | None,
    call_seconds: float,
    late_seconds: float,
    mode: CheckpointingMode,
) -> None:
    """Every run of the code sees what the runs before it saw, and the last one gives it as the result."""
    program = Program(given_rounds)

    async def main() -> None:
        handler: Any = durable_execution(program, checkpointing=mode)
        script = Script(delays=dict.fromkeys(range(1, 999), call_seconds))
        crashing = Crashing(Late(handler, late_seconds), Crash(*crash) if crash else Crash(0, "before"))
        with nothing_left(), trio.fail_after(3600):
            finished = await run(crashing, wrap=script)
        assert finished.status == "SUCCEEDED", finished.description.error
        *earlier, last = program.seen
        assert finished.result == last
        for seen in earlier:
            assert seen == last[: len(seen)]

    with seeded_scheduling(seed):
        trio.run(main, clock=MockClock(autojump_threshold=0))
