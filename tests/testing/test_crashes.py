"""The crash explorer: what it finds, what it does not, and what it says."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from durable_trio import (
    DurableContext,
    Duration,
    InvocationError,
    StepInterruptedError,
    StepSemantics,
    ValidationError,
    current_step,
    durable_execution,
    fixed_delay,
    no_retry,
)
from durable_trio._protocol.operation import OperationRecord, OperationStatus, OperationType, StepDetails
from durable_trio.testing import (
    Answer,
    Crash,
    CrashedRun,
    CrashesFoundError,
    CrashPlan,
    EffectLog,
    explore_crashes,
    explore_crashes_sync,
    run_with_crashes,
    run_with_crashes_sync,
)
from durable_trio.testing.crashes_report import differences
from durable_trio.testing.simulation_world import Ending

AT_MOST_ONCE = StepSemantics.AT_MOST_ONCE_PER_RETRY
PATIENT = fixed_delay(Duration.seconds(1), max_attempts=9)


async def give(value: Any) -> Any:
    """Return what is given, after a while."""
    await trio.sleep(0.1)
    return value


async def at_once(value: Any) -> Any:
    """Return what is given."""
    return value


async def submit(callback_id: str) -> None:
    """Tell nobody."""


async def double(number: int) -> int:
    """Be the function that is invoked."""
    return 2 * number


@durable_execution
async def doubles(event: Any, ctx: DurableContext) -> int:
    """Be the durable function that is invoked."""
    return 2 * int(await ctx.step(give, event))


async def item(ctx: DurableContext, value: int, index: int) -> int:
    """Wait and do a step."""
    await ctx.wait(Duration.seconds(1 + index))
    return int(await ctx.step(give, value))


@durable_execution
async def rich(event: Any, ctx: DurableContext) -> Any:
    """Do a little of everything."""
    first = await ctx.step(give, 1)
    once = await ctx.step(give, 2, semantics=AT_MOST_ONCE, retry=PATIENT, name="once")
    batch = await ctx.map([3, 4], item)
    doubled = await ctx.invoke("double", 4)
    durably = await ctx.invoke("doubles", 5)
    callback = await ctx.create_callback(name="answer")
    asked = await ctx.wait_for_callback(submit, name="ask")
    return [first, once, *batch.results(), doubled, durably, await callback.result(), asked, str(ctx.uuid())]


async def test_a_sound_workflow_ends_the_same_wherever_it_is_killed(autojump_clock: MockClock) -> None:
    """Every operation there is, crashed around, in and after each call and body, twice: no difference."""
    began = trio.current_time()
    exploration = await explore_crashes(
        rich,
        callbacks={"answer": "yes", "ask": Answer.succeed({"ok": True}, after=Duration.hours(3))},
        functions={"double": double, "doubles": doubles},
    )

    assert exploration.is_complete
    assert exploration.failures == ()
    assert exploration.moments > exploration.states > 20
    assert exploration.runs >= exploration.states
    assert "no crash makes a difference" in str(exploration)
    assert trio.current_time() == began  # the caller's virtual time stands still meanwhile


def test_every_moment_gets_a_run_of_its_own_without_pruning() -> None:
    """``prune=False`` makes a run for each moment of the undisturbed run, and comes to the same."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        first = await ctx.step(give, event)
        await ctx.wait(Duration.seconds(5))
        return first

    pruned = explore_crashes_sync(handler, 7, crashes=1)
    every = explore_crashes_sync(handler, 7, crashes=1, prune=False)

    # Call and body and answer: START+SUCCEED, the wait, PENDING, the answer.
    assert every.runs == every.moments + 1
    assert pruned.moments == every.moments
    assert pruned.runs < every.runs


def test_what_is_found_can_be_pasted_into_a_test() -> None:
    """The message has the smallest plan as code; running that code finds the same, and a sound workflow passes it."""
    total = 0

    async def add(value: int) -> None:
        nonlocal total
        total += value

    @durable_execution
    async def adds_in_memory(event: Any, ctx: DurableContext) -> int:
        nonlocal total
        total = 0
        await ctx.step(add, event, name="first")
        await ctx.step(add, event, name="second")
        return total

    with pytest.raises(CrashesFoundError) as found:
        explore_crashes_sync(adds_in_memory, 5)

    failure = found.value.exploration.failures[0]
    assert len(failure.plan) == 1
    assert f"await run_with_crashes(handler, 5, {failure.plan!r})" in str(found.value)
    assert "it ends SUCCEEDED with 5; undisturbed it ends SUCCEEDED with 10" in str(found.value)
    assert "killed before checkpoint call 2 (STEP START 'second', STEP SUCCEED 'second')" in str(found.value)
    plan = eval(repr(failure.plan), {"CrashPlan": CrashPlan, "Crash": Crash})
    assert plan == failure.plan
    with pytest.raises(CrashesFoundError, match="it ends SUCCEEDED with 5"):
        run_with_crashes_sync(adds_in_memory, 5, plan)


@pytest.mark.parametrize(
    "crash",
    [
        Crash.before_call(1),
        Crash.after_call(1),
        Crash.before_body(1),
        Crash.in_body(1, 1),
        Crash.after_body(1),
        Crash.at_answer(1),
    ],
    ids=repr,
)
async def test_the_body_runs_as_often_as_the_moment_of_the_crash_says(crash: Crash) -> None:
    """A body that had its effect before the crash, and no record, has it again; any other has it once."""
    effects = EffectLog(at_least_once=["begun", "done"])

    async def body() -> str:
        effects.note("begun")
        await trio.sleep(1)
        effects.note("done")
        return "value"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.step(body)

    crashed = await run_with_crashes(handler, None, CrashPlan(crash), effects=effects)

    # The START of an at-least-once step is sent while its body runs: call 1 is in the body, too.
    in_the_body = {Crash.before_call(1), Crash.after_call(1), Crash.in_body(1, 1)}
    twice = {Crash.after_body(1)}
    assert crashed.status == "SUCCEEDED"
    assert crashed.result == "value"
    assert crashed.effects["done", None] == (2 if crash in twice else 1)
    assert crashed.effects["begun", None] == (2 if crash in twice | in_the_body else 1)
    assert len(crashed.about) == 1


async def test_the_dead_have_no_effects() -> None:
    """What a killed body does in ``finally``, and in its thread, is not noted and not recorded."""
    effects = EffectLog(at_least_once=["cleaned"])

    async def body() -> None:
        try:
            await trio.sleep(1)
        finally:
            effects.note("cleaned", current_step().attempt)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.step(body)
        finally:
            effects.note("cleaned", "handler")

    crashed = await run_with_crashes(handler, None, CrashPlan(Crash.in_body(1, 1)), effects=effects)

    assert crashed.effects == {("cleaned", 1): 1, ("cleaned", "handler"): 1}


def test_an_at_most_once_step_without_retries_fails_by_design_and_can_be_accepted() -> None:
    """Interrupted, it is a ``StepInterruptedError``: reported, unless ``accept`` says that this is right."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.step(give, 1, semantics=AT_MOST_ONCE, retry=no_retry())

    def is_interrupted(run: CrashedRun) -> bool:
        return run.error is not None and run.error.type == "StepInterruptedError"

    with pytest.raises(CrashesFoundError, match="StepInterruptedError"):
        explore_crashes_sync(handler)
    explore_crashes_sync(handler, accept=is_interrupted)


def test_effects_of_crashes_that_get_no_run_are_worked_out() -> None:
    """Two moments of one state differ in what happened before: the one that is wrong is found and run."""
    effects = EffectLog(at_most_once=["charge"])

    async def charge() -> None:
        effects.note("charge", "order")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.wait(Duration.seconds(1))
        await ctx.step(charge)

    # A world that never changes hides the effect from the states, but not from the log.
    with pytest.raises(CrashesFoundError, match="'charge' of 'order' happened 2 times"):
        explore_crashes_sync(handler, effects=effects, world=lambda: None)


def test_an_effect_that_a_crash_can_lose_is_found_without_a_run_of_its_own() -> None:
    """Of several moments of one state only the last gets a run; what the first one loses is worked out, and run then."""
    effects = EffectLog(at_least_once=["mail"])

    async def mail() -> None:
        effects.note("mail")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.step(mail, semantics=AT_MOST_ONCE, retry=no_retry())
        except StepInterruptedError:
            return "done"
        return "done"

    with pytest.raises(CrashesFoundError, match="'mail' never happened; at least once is declared") as found:
        explore_crashes_sync(handler, effects=effects, world=lambda: None, compare_record=False)

    (failure,) = found.value.exploration.failures
    assert failure.plan == CrashPlan(Crash.after_call(1))
    assert failure.result == "done"


def test_what_differs_is_listed_up_to_a_point() -> None:
    """Operations that differ are named with what they should be; a long list is cut."""

    def ending(results: int) -> Ending:
        operations = [
            OperationRecord(
                str(number),
                OperationType.STEP,
                OperationStatus.SUCCEEDED,
                0,
                name=f"step {number}",
                details=StepDetails(result=str(number % results)),
            )
            for number in range(10)
        ]
        return Ending("SUCCEEDED", "1", operations=tuple(operations))

    found = list(differences(ending(10), ending(1), compare_record=True))

    assert found[0] == "operation STEP 'step 1' SUCCEEDED (0) should be STEP 'step 1' SUCCEEDED (1)"
    assert found[-1] == "and 3 more operations differ"
    assert len(found) == 7
    assert list(differences(ending(10), ending(1), compare_record=False)) == []
    gone = list(differences(ending(10), Ending("SUCCEEDED", "1"), compare_record=True))
    assert gone[0] == "operation (none) should be STEP 'step 0' SUCCEEDED (0)"
    assert list(differences(ending(10), Ending("SUCCEEDED", "2" * 900), compare_record=True)) == [
        f"it ends SUCCEEDED with {'2' * 200}... (900 characters); undisturbed it ends SUCCEEDED with 1"
    ]


def test_a_run_with_crashes_knows_its_operations() -> None:
    """An operation is found by its name, if that is the name of one."""
    crashed = run_with_crashes_sync(doubles, 1, CrashPlan(Crash.at_answer(1)))

    assert crashed.named("give").status == "SUCCEEDED"
    with pytest.raises(LookupError, match="0 operations are named 'take', not 1"):
        crashed.named("take")


def test_the_tests_own_fakes_are_part_of_the_state() -> None:
    """A body that reads back what an earlier attempt wrote is found if ``world=`` shows what was written."""
    table: dict[str, int] = {}

    async def insert() -> int:
        if "row" in table:
            raise ValueError("duplicate key")
        table["row"] = 1
        return 1

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        await ctx.step(give, 0)
        return await ctx.step(insert, retry=no_retry())

    with pytest.raises(CrashesFoundError, match="duplicate key"):
        explore_crashes_sync(handler, reset=table.clear, world=lambda: sorted(table))


def test_a_second_crash_is_tried_where_the_first_one_led_to_something_new() -> None:
    """A workflow that bears one interruption of a step, and not two, is found with two crashes only."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        retry = fixed_delay(Duration.seconds(1), max_attempts=2)
        return await ctx.step(give, 1, semantics=AT_MOST_ONCE, retry=retry)

    explore_crashes_sync(handler, crashes=1)
    with pytest.raises(CrashesFoundError, match="StepInterruptedError") as found:
        explore_crashes_sync(handler, crashes=2)

    assert len(found.value.exploration.failures[0].plan) == 2


def test_a_workflow_that_fails_undisturbed_has_to_fail_the_same_way() -> None:
    """The error is compared as the result is; a retry of the invocation that the handler asks for is its own affair."""
    tries = 0

    @durable_execution
    async def fails(event: Any, ctx: DurableContext) -> Any:
        await ctx.step(give, 1)
        raise ValueError("no")

    @durable_execution
    async def asks_again(event: Any, ctx: DurableContext) -> Any:
        nonlocal tries
        await ctx.step(give, 1)
        tries += 1
        if tries == 1:
            raise InvocationError("once more")
        return "done"

    def reset() -> None:
        nonlocal tries
        tries = 0

    explore_crashes_sync(fails)
    explore_crashes_sync(asks_again, reset=reset, crashes=1)


def test_too_many_states_are_thinned_out_and_the_report_says_so() -> None:
    """With ``max_runs`` some states are left out, evenly; then nothing deeper is tried, and it is not complete."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return [await ctx.step(at_once, n, name=f"step {n}") for n in range(10)]

    exploration = explore_crashes_sync(handler, max_runs=6)

    assert exploration.runs == 6
    assert not exploration.is_complete
    assert exploration.states == 11
    assert "6 states were skipped" in str(exploration)


def test_a_workflow_that_never_ends_is_given_up() -> None:
    """An endless workflow is a finding, not a hang."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        while True:
            await ctx.step(give, 1)

    with pytest.raises(CrashesFoundError, match=r"does not end in \d+ calls"):
        explore_crashes_sync(handler, max_calls=50)


def test_log_lines_of_hundreds_of_runs_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    """The explorer is quiet; the run of one plan shows what the handler logs."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        ctx.logger.bind(order=7).info("hello")
        return await ctx.step(give, 1)

    explore_crashes_sync(handler)
    assert capsys.readouterr().out == ""

    run_with_crashes_sync(handler, None, CrashPlan(Crash.before_call(1)))
    assert "hello" in capsys.readouterr().out


@pytest.mark.parametrize("options", [{"crashes": 0}, {"max_runs": 1}, {"max_failures": 0}], ids=str)
def test_options_out_of_range_are_refused(options: dict[str, int]) -> None:
    """The message names the option, the least and the value."""
    (name,) = options
    with pytest.raises(ValidationError, match=f"{name} must be at least"):
        explore_crashes_sync(rich, **options)  # type: ignore[arg-type]


def test_plans_that_lead_nowhere_are_refused() -> None:
    """A plan with a moment that the workflow does not come to tests nothing, and says so."""
    with pytest.raises(ValidationError, match=r"Crash.before_call\(99\) was never reached"):
        run_with_crashes_sync(doubles, 1, CrashPlan(Crash.before_call(99)))
    with pytest.raises(ValidationError, match="number must be at least 1, not 0"):
        Crash.before_call(0)
    with pytest.raises(ValidationError, match="trio_checkpoint must be at least 1"):
        Crash.in_body(1, 0)


def test_effects_are_declared() -> None:
    """A name is declared once, as several names, before it is noted."""
    with pytest.raises(ValidationError, match=r"must be declared once, but \['a'\]"):
        EffectLog(at_most_once=["a"], exactly_once=["a"])
    with pytest.raises(ValidationError, match="at_most_once must be several names"):
        EffectLog(at_most_once="charge")
    log = EffectLog(exactly_once=["a"])
    with pytest.raises(ValidationError, match=r"name must be one of \['a'\], not 'b'"):
        log.note("b")
    log.note("a", 1)
    assert (log.count("a", 1), log.count("a"), log.notes(), repr(log)) == (
        1,
        0,
        (("a", 1),),
        "<EffectLog 1 effects>",
    )


async def test_a_cancelled_exploration_ends_after_its_run() -> None:
    """Cancelling takes effect between two runs: nothing is left running in a thread."""
    runs = 0

    def reset() -> None:
        nonlocal runs
        runs += 1
        if runs == 3:
            token.run_sync_soon(cancel)
            assert is_cancelled.wait(10)

    def cancel() -> None:
        scope.cancel()
        is_cancelled.set()

    is_cancelled = threading.Event()
    token = trio.lowlevel.current_trio_token()
    with trio.CancelScope() as scope:
        await explore_crashes(doubles, 1, reset=reset)

    assert scope.cancelled_caught
    assert runs == 3
