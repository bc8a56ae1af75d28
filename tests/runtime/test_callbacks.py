"""Callbacks: answers from the outside world, and what happens when there is none."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from support.runs import run
from trio.testing import MockClock

from durable_trio import (
    Callback,
    CallbackError,
    CallbackExternalError,
    CallbackSubmitterError,
    CallbackTimeoutError,
    ContextUseError,
    DurableContext,
    Duration,
    ErrorObject,
    current_step,
    durable_execution,
    fixed_delay,
    json_serdes,
    no_retry,
)
from durable_trio.testing import DurableRunner


def describe(error: Exception) -> tuple[Any, ...]:
    """Return everything that code may look at in a callback's error."""
    assert isinstance(error, CallbackError)
    return type(error), str(error), error.error_type, error.data, error.operation_name


async def test_the_answer_is_the_raw_text(autojump_clock: MockClock) -> None:
    """Without a serdes the result is what was sent, and it may be had again and again, on replay as well."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[Any]:
        callback = await ctx.create_callback(name="answer")
        first = await callback.result()
        await ctx.wait(Duration.seconds(1))
        result = callback.result()
        return [first, await callback.result(), await result, await result]

    finished = await run(handler, answers={"answer": '{"ok": true}'})

    assert finished.result == ['{"ok": true}'] * 4
    assert finished.invocations == ["PENDING", "PENDING", "SUCCEEDED"]


async def test_a_serdes_decodes_the_answer(autojump_clock: MockClock) -> None:
    """With a serdes the result is the decoded value, for both ways to wait."""

    async def submit(callback_id: str) -> None:
        return None

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[Any]:
        callback = await ctx.create_callback(name="one", serdes=json_serdes())
        one = await callback.result()
        other = await ctx.wait_for_callback(submit, name="two", serdes=json_serdes())
        await ctx.wait(Duration.seconds(1))
        return [one, other]

    finished = await run(handler, answers={"one": '{"a": [1]}', "two create callback id": "[2]"})

    assert finished.result == [{"a": [1]}, [2]]


@pytest.mark.parametrize("serdes", [None, json_serdes()])
async def test_an_answer_without_payload_is_none(serdes: Any, autojump_clock: MockClock) -> None:
    """A callback that is answered with nothing gives None; no serdes is asked."""

    async def submit(callback_id: str) -> None:
        return None

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[Any]:
        callback = await ctx.create_callback(name="one", serdes=serdes)
        one = await callback.result()
        other = await ctx.wait_for_callback(submit, name="two", serdes=serdes)
        await ctx.wait(Duration.seconds(1))
        return [one, other]

    finished = await run(handler, answers={"one": None, "two create callback id": None})

    assert finished.result == [None, None]


async def test_a_child_context_may_await_the_result(autojump_clock: MockClock) -> None:
    """The result may be awaited in contexts inside the one that created the callback, several at once."""

    async def child(ctx: DurableContext, callback: Callback[str], index: int) -> str:
        return f"{index}: {await callback.result()}"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[str]:
        callback = await ctx.create_callback(name="answer")
        return await ctx.all([ctx.run_in_child_context(child, callback, n) for n in range(2)])

    finished = await run(handler, answers={"answer": "yes"})

    assert finished.result == ["0: yes", "1: yes"]


async def test_no_other_context_may_await_the_result(autojump_clock: MockClock) -> None:
    """A callback of a context that has ended is nobody's any more."""
    leaked: list[Callback[str]] = []

    async def child(ctx: DurableContext) -> None:
        leaked.append(await ctx.create_callback(name="answer"))

    async def sibling(ctx: DurableContext) -> None:
        with pytest.raises(ContextUseError):
            await leaked[0].result()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        await ctx.run_in_child_context(child)
        with pytest.raises(ContextUseError):
            await leaked[0].result()
        await ctx.run_in_child_context(sibling)
        return "refused"

    assert (await run(handler)).result == "refused"


async def test_nobody_answers_for_two_days(autojump_clock: MockClock) -> None:
    """After its timeout a callback raises; the error is the same on replay."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        callback = await ctx.create_callback(name="approval", timeout=Duration.days(2))
        try:
            await callback.result()
        except CallbackTimeoutError as error:
            seen.append(describe(error))
        await ctx.wait(Duration.seconds(1))
        return "gave up"

    before = trio.current_time()
    finished = await run(handler)

    assert finished.result == "gave up"
    assert trio.current_time() - before == pytest.approx(2 * 86_400, abs=5)
    assert seen == [seen[0]] * 2
    assert seen[0][2] == "Callback.Timeout"


async def test_a_missing_heartbeat_ends_the_callback(autojump_clock: MockClock) -> None:
    """Each heartbeat buys the heartbeat timeout once more; then the callback times out."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        callback = await ctx.create_callback(name="approval", heartbeat_timeout=Duration.minutes(1))
        with pytest.raises(CallbackTimeoutError) as caught:
            await callback.result()
        seen.append(describe(caught.value))
        return "gave up"

    async with DurableRunner(handler) as runner:
        for count in range(1, 6):
            runner.callback("approval").heartbeat(after=Duration.seconds(50 * count))
        finished = await runner.run()

    assert finished.result == "gave up"
    assert finished.duration_seconds == 5 * 50 + 60
    assert seen[0][2] == "Callback.Heartbeat"


async def test_an_external_failure_is_raised(autojump_clock: MockClock) -> None:
    """The outside world's failure: its message is ``str(error)``, its type and data are attributes."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        callback = await ctx.create_callback(name="approval")
        with pytest.raises(CallbackExternalError) as caught:
            await callback.result()
        seen.append(describe(caught.value))
        await ctx.wait(Duration.seconds(1))
        return "refused"

    async with DurableRunner(handler) as runner:
        runner.callback("approval").fail(ErrorObject("not approved", "Refusal", "by the boss"))
        finished = await runner.run()

    assert finished.result == "refused"
    assert seen == [(CallbackExternalError, "not approved", "Refusal", "by the boss", "approval")] * 2


async def test_wait_for_callback_raises_the_same_on_replay(autojump_clock: MockClock) -> None:
    """Each kind of failure of ``wait_for_callback`` has one class and one set of attributes, ever."""
    seen: list[Any] = []

    async def submit(callback_id: str) -> None:
        return None

    async def broken(callback_id: str) -> None:
        raise OSError("no connection")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        with pytest.raises(CallbackExternalError) as failed:
            await ctx.wait_for_callback(submit, name="failed")
        with pytest.raises(CallbackTimeoutError) as late:
            await ctx.wait_for_callback(submit, name="late", timeout=Duration.hours(1))
        with pytest.raises(CallbackSubmitterError) as unsent:
            await ctx.wait_for_callback(broken, name="unsent", retry=no_retry())
        seen.append([describe(caught.value) for caught in (failed, late, unsent)])
        await ctx.wait(Duration.seconds(1))
        return "all failed"

    async with DurableRunner(handler) as runner:
        runner.callback("failed").fail(ErrorObject("no", "Refusal", "data"))
        finished = await runner.run()

    assert finished.result == "all failed"
    assert seen[0] == seen[-1]
    assert seen[0][0] == (CallbackExternalError, "no", "Refusal", "data", "failed")
    assert seen[0][1][:1] + seen[0][1][2:3] == (CallbackTimeoutError, "Callback.Timeout")
    assert seen[0][2] == (CallbackSubmitterError, "no connection", "OSError", None, "unsent")


async def test_the_submitter_is_retried_and_then_left_alone(autojump_clock: MockClock) -> None:
    """The submitter runs as a step with retries; once it is recorded it is never run again."""
    sent: list[tuple[str, str, int]] = []

    def submit(callback_id: str, to: str) -> None:
        sent.append((callback_id, to, current_step().attempt))
        if len(sent) < 3:
            raise OSError("again")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        answer = await ctx.wait_for_callback(
            submit, "boss", name="ask", retry=fixed_delay(Duration.seconds(9), max_attempts=3)
        )
        for _ in range(3):
            await ctx.wait(Duration.seconds(5))
        return str(answer)

    finished = await run(handler, answers={"ask create callback id": "yes"})

    assert finished.result == "yes"
    # The answer came while the submitter was being retried; the retries went on all the same.
    assert [(to, attempt) for _, to, attempt in sent] == [("boss", 1), ("boss", 2), ("boss", 3)]
    assert len({id_ for id_, _, _ in sent}) == 1


async def test_an_answer_during_the_submitter_is_not_lost(autojump_clock: MockClock) -> None:
    """Answered before its submitter is through, while the invocation runs, a callback needs no suspension."""

    async def submit(callback_id: str) -> None:
        await runner.callback().succeed("at once").given()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.wait_for_callback(submit)

    async with DurableRunner(handler) as runner:
        finished = await runner.run()

    assert finished.result == "at once"
    assert [invocation.status for invocation in finished.invocations] == ["SUCCEEDED"]


async def test_an_answer_while_another_branch_works(autojump_clock: MockClock) -> None:
    """An answer that arrives while the invocation runs resumes its branch in place, within the poll interval."""
    resumed: list[float] = []

    async def waiting(ctx: DurableContext) -> Any:
        callback = await ctx.create_callback(name="answer")
        text = await callback.result()
        resumed.append(trio.current_time())
        return text

    async def working(ctx: DurableContext) -> str:
        return await ctx.step(work)

    async def work() -> str:
        await trio.sleep(120)
        return "worked"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.all([ctx.run_in_child_context(waiting), ctx.run_in_child_context(working)])

    began = trio.current_time()
    async with DurableRunner(handler, check_determinism=False) as runner:
        runner.callback("answer").succeed("yes", after=Duration.seconds(20))
        finished = await runner.run()

    assert finished.result == ["yes", "worked"]
    assert [invocation.status for invocation in finished.invocations] == ["SUCCEEDED"]
    assert 20 <= resumed[0] - began <= 50
    # Growing intervals, not busy polling: 1, 2, 4, 8, 16, 30, 30, ... seconds.
    assert len(finished.calls) <= 14


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.02, 0.05, 0.1])
async def test_an_answer_that_races_with_suspension(delay: float, autojump_clock: MockClock) -> None:
    """However close to the suspension an answer comes, the execution is woken for it."""

    async def submit(callback_id: str) -> None:
        return None

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.wait_for_callback(submit, name="ask")

    async with DurableRunner(handler) as runner:
        runner.callback("ask").succeed("yes", after=Duration.seconds(delay))
        assert (await runner.run()).result == "yes"


async def test_callbacks_in_all(autojump_clock: MockClock) -> None:
    """Results of callbacks may be combined; each takes the answer as it comes."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        one = await ctx.create_callback(name="one")
        two = await ctx.create_callback(name="two")
        return await ctx.all([one.result(), two.result(), ctx.wait(Duration.hours(1))])

    finished = await run(handler, answers={"one": "1", "two": "2"})

    assert finished.result == ["1", "2", None]
