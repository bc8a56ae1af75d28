"""The simulator: seeds, faults, shrinking, and what it says."""

from __future__ import annotations

import inspect
import random
import time
from datetime import timedelta
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from durable_trio import (
    DurableContext,
    Duration,
    StepSemantics,
    ValidationError,
    durable_execution,
    fixed_delay,
)
from durable_trio._protocol.operation import OperationAction, OperationType, OperationUpdate
from durable_trio.testing import (
    Answer,
    EffectLog,
    Fault,
    FaultKind,
    Faults,
    SimulatedRun,
    SimulationFoundError,
    crashes,
    explore_crashes_sync,
    run_with_crashes_sync,
    run_with_faults,
    run_with_faults_sync,
    simulate,
    simulate_sync,
    simulation,
)
from durable_trio.testing.faults import DrawnFaults
from durable_trio.testing.shrinking import shrink
from durable_trio.testing.simulation_host import run_isolated
from durable_trio.testing.simulation_rules import ExecutionRules

PATIENT = fixed_delay(Duration.seconds(1), max_attempts=99)


async def give(value: Any) -> Any:
    """Return what is given, after a while."""
    await trio.sleep(0.1)
    return value


async def item(ctx: DurableContext, value: int, index: int) -> int:
    """Wait and do a step."""
    await ctx.wait(Duration.seconds(1 + index))
    return int(await ctx.step(give, value))


@durable_execution
async def rich(event: Any, ctx: DurableContext) -> Any:
    """Do a little of everything."""
    first = await ctx.step(give, event)
    once = await ctx.step(give, 2, semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY, retry=PATIENT)
    batch = await ctx.map([3, 4, 5], item, max_concurrency=2)
    callback = await ctx.create_callback(name="ask")
    await ctx.wait(Duration.hours(3))
    return [first, once, *batch.results(), await callback.result()]


RICH: dict[str, Any] = {"callbacks": {"ask": "yes"}}


@durable_execution
async def unlucky(event: Any, ctx: DurableContext) -> Any:
    """Draw a number outside of a step, after one: wrong as soon as an invocation is lost."""
    await ctx.step(give, 1)
    return [random.random(), await ctx.step(give, 2)]


async def test_a_sound_workflow_ends_the_same_under_every_seed(autojump_clock: MockClock) -> None:
    """A hundred seeds with hundreds of faults of every kind but one, and no difference."""
    began = trio.current_time()
    done = await simulate(rich, 1, **RICH)

    assert done.seeds == 100
    assert done.faults > 300
    assert done.failure is None
    assert "no seed makes a difference" in str(done)
    assert trio.current_time() == began


@pytest.mark.parametrize("kind", FaultKind)
def test_each_kind_of_fault_by_itself_makes_no_difference(kind: FaultKind) -> None:
    """Every kind does happen, and a sound workflow bears it."""
    # Pages are read only if there is more than one; steps of a tenth of a second get through in the shortest time.
    likely = {kind.value: 0.3} if kind is not FaultKind.FAILED_READ else {kind.value: 0.1, "small_pages": 1.0}
    done = simulate_sync(rich, 1, seeds=range(20), faults=Faults.only(**likely), **RICH)

    assert done.faults > 0


def test_a_failing_seed_is_shrunk_and_can_be_run_again() -> None:
    """Of all the faults of the seed those stay that it takes; the message has the code that fails again."""
    faults = Faults.only(server_error=0.3, delay=0.5, small_pages=1.0, duplicate=0.3)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        await ctx.step(give, 1)
        number = next(numbers)
        await ctx.step(give, 2)
        return number

    numbers = iter(range(1_000_000))

    def reset() -> None:
        nonlocal numbers
        numbers = iter(range(1_000_000))

    with pytest.raises(SimulationFoundError) as found:
        simulate_sync(handler, "event", faults=faults, reset=reset)

    failure = found.value.simulation.failure
    assert failure is not None
    assert [fault.kind for fault in failure.faults] == [FaultKind.SERVER_ERROR]
    assert failure.problems == ("it ends SUCCEEDED with 1; undisturbed it ends SUCCEEDED with 0",)
    call = f"run_with_faults(handler, 'event', {list(failure.faults)!r}, seed={failure.seed})"
    assert call in str(found.value)
    assert f"--durable-seed {failure.seed}" in str(found.value)
    with pytest.raises(SimulationFoundError, match="it ends SUCCEEDED with 1"):
        run_with_faults_sync(handler, "event", failure.faults, seed=failure.seed, reset=reset)


async def test_a_difference_that_does_not_repeat_is_reported_as_it_is() -> None:
    """Real randomness cannot be shrunk, but it is found."""
    with pytest.raises(SimulationFoundError, match="makes a difference"):
        await simulate(unlucky)


def test_the_seed_fixes_the_run() -> None:
    """The same seed draws the same faults and wakes tasks in the same order; another one does not."""

    def trace(seed: int) -> list[int]:
        order: list[int] = []

        async def note(number: int) -> None:
            for _ in range(3):
                await trio.lowlevel.checkpoint()
                order.append(number)

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                for number in range(5):
                    nursery.start_soon(note, number)

        run_isolated(main, seed=seed)
        return order

    def drawn(seed: int) -> list[Fault]:
        source = DrawnFaults(Faults(), seed)
        return [fault for number in range(1, 100) for fault in source.befalling("call", number)]

    assert trace(1) == trace(1)
    assert len({tuple(trace(seed)) for seed in range(10)}) > 5
    assert drawn(1) == drawn(1)
    assert len({tuple(drawn(seed)) for seed in range(10)}) == 10


async def test_simulations_side_by_side_do_not_disturb_each_other() -> None:
    """What is seeded belongs to the process: runs of two simulations take turns, and repeat as ever."""
    orders: dict[int, list[str]] = {1: [], 2: []}

    def handler_noting(number: int) -> Any:
        async def body(child: DurableContext, value: int, index: int) -> None:
            orders[number].append(f"{value}")
            await child.step(give, value)

        @durable_execution
        async def handler(event: Any, ctx: DurableContext) -> None:
            (await ctx.map(range(4), body)).raise_if_failed()

        return handler

    async def run(number: int) -> None:
        await simulate(handler_noting(number), seeds=range(10), faults=Faults.none())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, 1)
        nursery.start_soon(run, 2)

    assert orders[1] == orders[2]


async def test_faults_can_be_given_one_by_one() -> None:
    """``run_with_faults`` brings about just what is listed, and tells what has happened."""
    given_faults = [
        Fault("lost_for_good", 1),
        Fault("delay", 2, 61),
        Fault("duplicate_callback", 1, 1.0),
        Fault("crash", 99),
    ]
    run = await run_with_faults(rich, 1, given_faults, **RICH)

    assert run.status == "SUCCEEDED"
    assert run.result == [1, 2, 3, 4, 5, "yes"]
    assert sorted(run.faults) == sorted(given_faults[:3])  # nothing has a 99th invocation


def test_effects_are_checked_under_every_seed() -> None:
    """An effect that must not happen twice does, if a process dies between it and its record."""
    effects = EffectLog(exactly_once=["charge"])

    async def charge() -> None:
        effects.note("charge")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(charge)

    with pytest.raises(SimulationFoundError, match="effect 'charge' happened 2 times"):
        simulate_sync(handler, effects=effects, faults=Faults.only(server_error=0.2))


def test_a_different_end_can_be_accepted() -> None:
    """``accept`` says which other ends are right."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        callback = await ctx.create_callback(name="ask", timeout=Duration.minutes(1))
        return await callback.result()

    late = Faults.only(late_callback=1.0)

    def timed_out(run: SimulatedRun) -> bool:
        return run.error is not None and run.error.type == "Callback.Timeout"

    with pytest.raises(SimulationFoundError, match="Timeout"):
        simulate_sync(handler, faults=late, **RICH)
    simulate_sync(handler, faults=late, accept=timed_out, **RICH)


def test_short_invocations_use_up_attempts_and_get_done() -> None:
    """An invocation with little time is brought to rest; what it cut off is tried again in the next one."""

    async def work(value: int) -> int:
        await trio.sleep(5)
        return value

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return [await ctx.step(work, n, retry=PATIENT) for n in range(3)]

    done = simulate_sync(handler, seeds=range(20), faults=Faults.only(short_time=0.5))

    assert done.faults > 10


def test_a_workflow_that_never_ends_is_found_undisturbed() -> None:
    """An endless workflow is a finding, not a hang."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        while True:
            await ctx.step(give, 1)

    with pytest.raises(SimulationFoundError, match="undisturbed: it does not end"):
        simulate_sync(handler, max_calls=50)


def test_an_option_of_pytest_replaces_the_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``--durable-seed`` only those seeds are tried."""
    monkeypatch.setattr(simulation, "override_seeds", [7])

    assert simulate_sync(rich, 1, **RICH).seeds == 1


def test_what_is_out_of_range_is_refused() -> None:
    """Likelihoods, kinds, numbers, seeds: the message names the argument, the range and the value."""
    with pytest.raises(ValidationError, match="crash must be from 0 to 1, not 2"):
        Faults(crash=2)
    with pytest.raises(ValidationError, match="max_faults must not be negative, not -1"):
        Faults(max_faults=-1)
    with pytest.raises(ValidationError, match=r"kinds must be of .*, not \['earthquake'\]"):
        Faults.only(earthquake=1.0)
    with pytest.raises(ValidationError, match=r"kind must be one of .*, not 'earthquake'"):
        Fault("earthquake")
    with pytest.raises(ValidationError, match="number must be at least 1, not 0"):
        Fault(FaultKind.CRASH, 0)
    with pytest.raises(ValidationError, match="seconds must not be negative, not -1"):
        Fault(FaultKind.CRASH, 1, -1)
    with pytest.raises(ValidationError, match="seeds must hold at least one seed"):
        simulate_sync(rich, seeds=[])
    with pytest.raises(ValidationError, match="after must not be negative"):
        Answer.succeed(after=timedelta(seconds=-1))


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30), min_size=1, max_size=3))
def test_shrinking_leaves_what_it_takes(others: set[int], needed: set[int]) -> None:
    """Whatever is given, just the members stay that it takes to fail."""
    members = sorted(others | needed)

    assert shrink(members, lambda part: needed <= set(part)) == sorted(needed)


def test_shrinking_keeps_to_its_budget() -> None:
    """When the tries are spent, what is left still fails."""
    tries = 0

    def fails(part: list[int]) -> bool:
        nonlocal tries
        tries += 1
        return {3, 70} <= set(part)

    assert {3, 70} <= set(shrink(range(100), fails, max_tries=5))
    assert tries == 5


def test_virtual_time_stands_still_while_threads_work() -> None:
    """A plain function in a step and a thread of the user's own take no virtual time, whatever sleeps beside them."""

    def blocks() -> str:
        time.sleep(0.02)  # a real thread, that has to take real time for this
        return "done"

    async def in_a_thread() -> str:
        return await trio.to_thread.run_sync(blocks)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.all(
            [ctx.step(blocks, name="plain"), ctx.step(in_a_thread), ctx.step(trio.sleep, 600, name="sleep")]
        )

    async def main() -> float:
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 100)
            assert await in_a_thread() == "done"
            elapsed = trio.current_time() - began
            nursery.cancel_scope.cancel()
        return elapsed

    assert run_isolated(main) == 0
    assert run_with_faults_sync(handler, None, []).result == ["done", "done", None]


@pytest.mark.parametrize(
    ("options", "function"),
    [
        (crashes.ExplorationOptions, explore_crashes_sync),
        (crashes.CrashRunOptions, run_with_crashes_sync),
        (simulation.SimulationOptions, simulate_sync),
        (simulation.FaultyRunOptions, run_with_faults_sync),
    ],
    ids=lambda part: part.__name__,
)
def test_async_functions_take_the_options_of_the_others(options: Any, function: Any) -> None:
    """What type checkers let an async function take is just what the function without ``await`` takes."""
    parameters = inspect.signature(function).parameters.values()
    by_name = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}

    assert options.__optional_keys__ == by_name


def test_the_rules_of_what_is_sent() -> None:
    """Whoever calls twice at once, uses a token twice, or reports on a child too late, is told on."""

    def update(id_: str, action: OperationAction, parent: str | None = None) -> OperationUpdate:
        return OperationUpdate(id_, OperationType.CONTEXT, action, parent, name=id_)

    rules = ExecutionRules()
    calls = rules.for_invocation("arn")
    with calls.call(
        "1", [update("parent", OperationAction.START), update("child", OperationAction.START, "parent")]
    ):
        assert rules.problems == []
        with calls.call("2", []):
            assert rules.problems.pop() == "two checkpoint calls were in flight at once"
    with calls.call("1", []):
        assert rules.problems.pop() == "a checkpoint token was used twice"
    with pytest.raises(OSError, match="lost"), calls.call("3", [update("parent", OperationAction.SUCCEED)]):
        raise OSError("lost")  # nobody knows whether it is stored
    with calls.call("4", [update("parent", OperationAction.SUCCEED)]):
        assert rules.problems == []
    with calls.call("5", [update("child", OperationAction.SUCCEED, "parent")]):
        assert rules.problems.pop() == "CONTEXT SUCCEED of 'child' was sent after the end of its parent"
    with calls.call("6", [OperationUpdate("e", OperationType.EXECUTION, OperationAction.SUCCEED)] * 300):
        assert rules.problems[0] == "a checkpoint had 300 updates"
        assert rules.problems[-1] == "something was sent after the end of the execution"
