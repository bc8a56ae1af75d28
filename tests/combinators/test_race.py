"""``ctx.race``: the first operation to end wins, and the record says so for ever."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from combinators.bodies import fail, give, slow
from combinators.late import Late
from support.runs import driven, run
from support.scheduling import seeded_scheduling
from trio.testing import MockClock

from durable_trio import (
    CallbackExternalError,
    CheckpointingMode,
    ChildContextError,
    ContextUseError,
    DurableContext,
    Duration,
    NestingType,
    Operation,
    OperationCancelledError,
    OperationError,
    StepError,
    ValidationError,
    durable_execution,
    fixed_delay,
    no_retry,
)


def callback_id_of(operation: Any) -> str:
    """Return the id by which a callback is answered."""
    return str(operation.details.callback_id)


async def test_the_first_to_end_wins_and_the_others_are_cancelled_at_once(autojump_clock: MockClock) -> None:
    """The loser's body is cancelled and joined; nobody waits for the hour that it would take."""
    cut: list[str] = []

    async def hour() -> str:
        try:
            await trio.sleep(3600)
        finally:
            cut.append("hour")
        return "late"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.race([ctx.step(hour), ctx.step(slow, 1, "quick"), ctx.wait(Duration.days(1))])

    before = trio.current_time()
    finished = await run(handler)

    assert finished.result == "quick"
    assert trio.current_time() - before < 5
    assert cut == ["hour"]


async def test_the_verdict_is_one_request_with_the_winners_position(autojump_clock: MockClock) -> None:
    """A context of subtype Race, sibling of its operations, takes the id after theirs; its payload is a position."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        operations = [ctx.step(slow, 60, "a"), ctx.step(slow, 1, "b")]
        race = ctx.race(operations)
        ids = [race.id, ctx.step(give, 0).id]
        await race
        return ids

    with pytest.warns(RuntimeWarning, match="never awaited"):
        finished = await run(handler)

    (verdict,) = [
        call for call in finished.calls if any(update.sub_type == "Race" for update in call.updates)
    ]
    updates = [update for update in verdict.updates if update.sub_type == "Race"]
    assert [(str(update.action), update.payload) for update in updates] == [("START", None), ("SUCCEED", "1")]
    assert updates[0].type == "CONTEXT"
    assert updates[0].parent_id is None
    assert updates[0].id == finished.result[0]
    # The third position at the root; what comes after the race takes the fourth.
    assert updates[0].id.startswith("6f760b9e9eac89f0")


async def test_replay_obeys_the_record(autojump_clock: MockClock) -> None:
    """Losers that have ended in the meantime change nothing: the recorded winner gives the value again."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        long, short = ctx.wait(Duration.seconds(30)), ctx.step(slow, 1, "step")
        seen.append(await ctx.race([long, short]))
        await ctx.wait(Duration.minutes(5))
        return "done"

    finished = await run(handler)

    assert finished.result == "done"
    assert len(seen) > 1
    assert set(seen) == {"step"}


async def test_a_failure_may_win(autojump_clock: MockClock) -> None:
    """A race whose winner failed raises that error, on the first run and on replay."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.race(
                [ctx.step(fail, 1, "no", name="culprit", retry=no_retry()), ctx.wait(Duration.days(1))]
            )
        except StepError as error:
            seen.append((str(error), error.error_type, error.operation_name))
        await ctx.wait(Duration.seconds(1))

    finished = await run(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert seen == [("no", "ValueError", "culprit")] * 2


async def test_a_suspended_operation_is_neither_success_nor_failure(autojump_clock: MockClock) -> None:
    """Retries and waits suspend a race; the first to come to its end wins it in a later invocation."""

    attempts: list[int] = []

    async def flaky() -> str:
        attempts.append(1)
        if len(attempts) < 3:
            raise OSError("again")
        return "third time"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.race(
            [
                ctx.wait(Duration.hours(1)),
                ctx.step(flaky, retry=fixed_delay(Duration.minutes(10), max_attempts=5)),
            ]
        )

    finished = await run(handler)

    assert finished.result == "third time"
    assert finished.invocations.count("PENDING") == 2


async def test_a_reminder_after_a_lost_wait_for_an_answer(autojump_clock: MockClock) -> None:
    """The pattern: race an answer with a day, remind, and wait for the answer after all."""
    steps: list[str] = []

    async def remind() -> None:
        steps.append("reminded")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        callback = await ctx.create_callback(name="approval")
        answer = await ctx.race([callback.result(), ctx.wait(Duration.days(1))])
        if answer is None:
            await ctx.step(remind)
            answer = await callback.result()
        return answer

    async with driven(handler) as driver:
        started = await driver.service.start_execution("function-under-test", "null", name="run")
        await trio.sleep(2 * 86_400)
        (callback,) = [o for o in await driver.service.operations(started.arn) if o.type == "CALLBACK"]
        await driver.service.callback_succeed(callback_id_of(callback), "yes")
        finished = await driver.finish(started.arn)

    assert finished.result == "yes"
    assert steps == ["reminded"]


async def test_an_answer_that_comes_in_time_wins(autojump_clock: MockClock) -> None:
    """The same race, answered: the wait is lost and does not keep the execution alive."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        callback = await ctx.create_callback(name="approval")
        return await ctx.race([callback.result(), ctx.wait(Duration.days(1))])

    before = trio.current_time()
    finished = await run(handler, answers={"approval": "yes"})

    assert finished.result == "yes"
    assert trio.current_time() - before < 60


async def test_a_callback_that_fails_wins_too(autojump_clock: MockClock) -> None:
    """Failing is an end, for whoever fails."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        callback = await ctx.create_callback(name="approval", timeout=Duration.seconds(10))
        try:
            await ctx.race([callback.result(), ctx.wait(Duration.days(1))])
        except OperationError as error:
            return [type(error).__name__, isinstance(error, CallbackExternalError)]

    assert (await run(handler)).result == ["CallbackTimeoutError", False]


async def test_what_lost_may_be_asked_again_or_says_that_it_was_cancelled(autojump_clock: MockClock) -> None:
    """A lost wait goes on, a lost step, child and map were cancelled; the same on the first run and on replay."""
    seen: list[Any] = []

    async def child(ctx: DurableContext) -> None:
        await ctx.wait(Duration.hours(2))

    async def item(ctx: DurableContext, value: int, index: int) -> None:
        await ctx.wait(Duration.hours(2))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        wait = ctx.wait(Duration.hours(1))
        losers: list[Any] = [
            ctx.step(slow, 60, 1),
            ctx.run_in_child_context(child),
            ctx.run_in_child_context(child, virtual=True),
            ctx.map([1], item),
            ctx.map([1], item, nesting=NestingType.FLAT),
            ctx.all([ctx.wait(Duration.hours(2))]),
            ctx.all_settled([ctx.wait(Duration.hours(2))]),
            ctx.race([ctx.wait(Duration.hours(2))]),
        ]
        answers: list[Any] = [await ctx.race([wait, *losers, ctx.step(slow, 1, "won")])]
        for loser in losers:
            with pytest.raises(OperationCancelledError, match="was cancelled"):
                await loser
        seen.append(answers)
        answers.append(str(ctx.now()))
        await wait
        return "an hour later"

    before = trio.current_time()
    finished = await run(handler)

    assert finished.result == "an hour later"
    assert trio.current_time() - before == pytest.approx(3600, abs=5)
    assert len(seen) >= 2
    assert all(answers == seen[0] for answers in seen)


async def test_who_is_given_again_races_again(autojump_clock: MockClock) -> None:
    """A lost wait may be given to the next race; a lost step may not."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        wait, step = ctx.wait(Duration.minutes(10)), ctx.step(slow, 100, 1)
        first = await ctx.race([wait, step, ctx.step(give, "first")])
        with pytest.raises(OperationCancelledError):
            ctx.race([wait, step])
        second: Any = await ctx.race([ctx.step(slow, 3600, "slow"), wait])
        return [first, second]

    before = trio.current_time()
    finished = await run(handler)

    assert finished.result == ["first", None], finished.description.error
    assert trio.current_time() - before == pytest.approx(600, abs=5)


async def test_what_ended_before_the_race_wins_without_starting_anything(autojump_clock: MockClock) -> None:
    """An operation whose outcome the program has already is first, and nothing else starts."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        one, two = ctx.step(give, "one"), ctx.step(give, "two")
        await two
        await one
        return await ctx.race([ctx.wait(Duration.days(1)), one, two])

    finished = await run(handler)

    assert finished.result == "one"
    assert "WaitStarted" not in finished.event_types


async def test_several_that_end_between_invocations_are_ranked_by_the_service(
    autojump_clock: MockClock,
) -> None:
    """When an invocation finds several ended, the earliest end wins, whatever the order given or Trio's."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        late = await ctx.create_callback(name="late")
        early = await ctx.create_callback(name="early")
        return await ctx.race([ctx.wait(Duration.days(9)), late.result(), early.result()])

    for _ in range(5):
        async with driven(Late(handler, 30.0)) as driver:
            started = await driver.service.start_execution("function-under-test", "null", name="run")
            await trio.sleep(10)
            waiting = {
                o.name: o for o in await driver.service.operations(started.arn) if o.type == "CALLBACK"
            }
            for name in ("early", "late"):
                await driver.service.callback_succeed(callback_id_of(waiting[name]), name)
                await trio.sleep(0.1)
            finished = await driver.finish(started.arn)
        assert finished.result == "early"


async def test_a_child_that_was_in_time_wins_on_a_late_resume(autojump_clock: MockClock) -> None:
    """Both a child's last wait and the rival wait are over on resume: what was over first counts."""

    async def child(ctx: DurableContext) -> str:
        await ctx.wait(Duration.seconds(5))
        return "child"

    async def nested(ctx: DurableContext) -> str:
        return await ctx.run_in_child_context(child)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        first = await ctx.race([ctx.wait(Duration.seconds(6)), ctx.run_in_child_context(nested)])
        second = await ctx.race(
            [ctx.wait(Duration.seconds(6)), ctx.run_in_child_context(child, virtual=True)]
        )
        third = await ctx.race([ctx.wait(Duration.seconds(4)), ctx.run_in_child_context(nested)])
        return [first, second, third]

    assert (await run(Late(handler, 20.0))).result == ["child", "child", None]


@pytest.mark.parametrize("mode", [CheckpointingMode.BATCHED, CheckpointingMode.OPTIMISTIC])
@pytest.mark.parametrize("place", ["direct", "child", "virtual", "map", "all"])
async def test_an_answer_that_was_in_time_wins_on_a_late_resume(
    autojump_clock: MockClock, place: str, mode: CheckpointingMode
) -> None:
    """What has to record an end of its own first is waited for, at any depth: its answer was in time."""

    async def submit(callback_id: str) -> None:
        pass

    async def child(ctx: DurableContext, *_: Any) -> Any:
        return await ctx.wait_for_callback(submit, name="ask")

    def contender(ctx: DurableContext) -> Operation[Any]:
        match place:
            case "direct":
                return ctx.wait_for_callback(submit, name="ask")
            case "map":
                return ctx.map([1], child)
            case "all":
                return ctx.all([ctx.wait_for_callback(submit, name="ask")])
            case _:
                return ctx.run_in_child_context(child, virtual=place == "virtual")

    @durable_execution(checkpointing=mode)
    async def handler(event: Any, ctx: DurableContext) -> Any:
        answer = await ctx.race([ctx.wait(Duration.seconds(10)), contender(ctx)])
        await ctx.wait(Duration.seconds(1))
        return answer if answer is None or isinstance(answer, str) else "yes"

    for seed in range(5):
        with seeded_scheduling(seed):
            finished = await run(Late(handler, 30.0), answers={"ask create callback id": "yes"})
        assert finished.result == "yes"


async def test_what_race_refuses(autojump_clock: MockClock) -> None:
    """An empty race would never end; what is no operation of this context does not belong in one."""

    async def child(ctx: DurableContext, foreign: Any) -> None:
        with pytest.raises(ContextUseError, match="another context"):
            ctx.race([foreign])

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        for combine in (ctx.race, ctx.any):
            with pytest.raises(ValidationError, match="at least one operation"):
                combine([])
            with pytest.raises(ValidationError, match="ordered iterable"):
                combine({ctx.wait(Duration.seconds(1))})
        await ctx.run_in_child_context(child, ctx.step(give, 1))

    with pytest.warns(RuntimeWarning, match="never awaited"):
        finished = await run(handler)
    assert finished.status == "SUCCEEDED", finished.description.error


async def test_an_error_without_a_record_is_held_by_the_verdict(autojump_clock: MockClock) -> None:
    """A winner that failed before anything of it could be recorded: the verdict is a failure, the same on replay."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.race([ctx.invoke("other", object()), ctx.wait(Duration.days(1))])
        except OperationError as error:
            seen.append((type(error), error.error_type))
        await ctx.wait(Duration.seconds(1))

    finished = await run(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert seen == [(OperationError, "SerDesError")] * 2


async def test_a_changed_race_is_not_determined(autojump_clock: MockClock) -> None:
    """A recorded winner that is not among the operations any more fails the execution."""
    runs: list[int] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        runs.append(1)
        one, two = ctx.wait(Duration.days(1)), ctx.step(give, 2)
        await ctx.race([one, two] if len(runs) == 1 else [one])
        await ctx.wait(Duration.seconds(1))
        await two

    assert (await run(handler)).error.type == "NonDeterministicExecutionError"


async def test_children_that_fail_win_with_their_own_error(autojump_clock: MockClock) -> None:
    """The failure of a child context is recorded under its own id; the verdict only points at it."""
    seen: list[Any] = []

    async def child(ctx: DurableContext) -> None:
        await ctx.step(slow, 1, None)
        raise LookupError("nothing there")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.race([ctx.run_in_child_context(child), ctx.wait(Duration.days(1))])
        except ChildContextError as error:
            seen.append((str(error), error.error_type))
        try:
            await ctx.race([ctx.run_in_child_context(child, virtual=True), ctx.wait(Duration.days(1))])
        except LookupError as error:
            seen.append(str(error))
        await ctx.wait(Duration.seconds(1))

    finished = await run(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert seen == [("nothing there", "LookupError"), "nothing there"] * 2
    assert [o.status for o in finished.operations if o.sub_type == "Race"] == ["SUCCEEDED", "SUCCEEDED"]
