from __future__ import annotations

import json
from typing import Any

import pytest

from durable_trio import (
    CallbackError,
    CallbackExternalError,
    DurableContext,
    Duration,
    SerDesError,
    ValidationError,
    durable_execution,
    json_serdes,
)
from durable_trio.local import CallbackTimeout
from durable_trio.testing import RunnerFactory

HOUR_MS = 3_600_000


def ask(callback_id: str) -> None:
    """Ask somebody for an approval."""


@durable_execution
async def approval(event: Any, ctx: DurableContext) -> Any:
    """Wait two days for an approval."""
    return await ctx.wait_for_callback(ask, name="approval", timeout=Duration.days(2))


async def test_an_answer_is_planned_before_the_run(durable_runner: RunnerFactory) -> None:
    """A handle may be taken before there is anything to answer; the answer comes at its virtual time."""
    runner = durable_runner(approval)
    planned = runner.callback("approval").succeed("yes", after=Duration.hours(3))

    async with runner:
        run = await runner.run()
        answer = await planned.given()

    assert run.result == "yes"
    assert answer.at is not None
    assert answer.at - run["approval"].started_at == 3 * HOUR_MS
    assert run.answers == (answer,)
    assert run["approval"].callback_id == answer.callback_id


async def test_a_callback_that_exists_is_answered_from_now_on(durable_runner: RunnerFactory) -> None:
    """``after`` counts from the call, if the callback was created before that."""
    async with durable_runner(approval) as runner:
        execution = await runner.start()
        callback = execution.callback("approval")
        callback_id = await callback.created()
        assert callback.callback_id == callback_id
        await runner.advance_time(Duration.hours(10))

        callback.succeed("late, but in time", after=Duration.hours(1))
        run = await execution.result()

    assert run.duration_seconds == 11 * 3600


async def test_a_failure_and_what_the_handler_sees(durable_runner: RunnerFactory) -> None:
    """An exception is reported by its type and message, as somebody outside would."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            return str(await ctx.wait_for_callback(ask, name="approval"))
        except CallbackExternalError as error:
            return f"{error.error_type}: {error}"

    async with durable_runner(handler) as runner:
        runner.callback("approval").fail(PermissionError("not by me"))
        assert (await runner.run()).result == "PermissionError: not by me"


async def test_an_answer_that_comes_too_late_is_refused(durable_runner: RunnerFactory) -> None:
    """After the callback has timed out, the service refuses; the answer and the table tell."""
    async with durable_runner(approval) as runner:
        planned = runner.callback("approval").succeed("yes", after=Duration.days(3))
        run = await runner.run()
        assert run.assert_failed("Callback.Timeout")
        with pytest.raises(CallbackTimeout):
            await planned.given()

    assert isinstance(planned.answer.refusal, CallbackTimeout)


async def test_a_second_answer_is_refused(durable_runner: RunnerFactory) -> None:
    """A duplicate does not count, and the run says so."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        answer = await ctx.wait_for_callback(ask, name="approval")
        await ctx.wait(Duration.days(1))
        return answer

    async with durable_runner(handler) as runner:
        runner.callback("approval").succeed("first")
        runner.callback("approval").succeed("second", after=Duration.hours(1))
        run = await runner.run()

    assert run.result == "first"
    assert [answer.refusal is None for answer in run.answers] == [True, False]
    assert "refused: callback 'approval', succeed: CallbackTimeout" in str(run)


async def test_an_answer_that_no_callback_was_there_for_is_shown(durable_runner: RunnerFactory) -> None:
    """A misspelt name does not go unnoticed: the table says that the answer was not given."""
    async with durable_runner(approval) as runner:
        runner.callback("approval").succeed("yes")
        runner.callback("aproval").succeed("yes")
        run = await runner.run()

    assert run.result == "yes"
    assert str(run).endswith("callback 'aproval', succeed: not given")


async def test_heartbeats_keep_a_callback_open(durable_runner: RunnerFactory) -> None:
    """A heartbeat starts the heartbeat time-out over, and only that."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        callback = await ctx.create_callback(name="work", heartbeat_timeout=Duration.hours(1))
        try:
            return str(await callback.result())
        except CallbackError as error:
            return error.error_type

    async with durable_runner(handler) as runner:
        work = runner.callback("work")
        for minutes in (50, 100, 150):
            work.heartbeat(after=Duration.minutes(minutes))
        execution = await runner.start()
        run = await execution.result()

    assert run.result == "Callback.Heartbeat"
    assert run.duration_seconds == 210 * 60


async def test_callbacks_of_one_name_are_told_apart(durable_runner: RunnerFactory) -> None:
    """By their order, or, where several are created at once, by the path of names around them."""

    async def item(ctx: DurableContext, name: str, index: int) -> Any:
        answers = []
        for _ in range(2):
            callback = await ctx.create_callback(name="sign")
            answers.append(await callback.result())
        return answers

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        batch = await ctx.map(["a", "b"], item, name="signatures", item_namer=lambda item, _: item)
        return batch.results()

    async with durable_runner(handler) as runner:
        for name in ("b", "a"):
            for index in range(2):
                runner.callback(f"signatures/{name}/sign", index=index).succeed(f"{name}{index}")
        run = await runner.run()

    assert run.result == [["a0", "a1"], ["b0", "b1"]]


async def test_any_callback_will_do_without_a_name(durable_runner: RunnerFactory) -> None:
    """A handle without a name is whatever callback comes first."""
    async with durable_runner(approval) as runner:
        runner.callback().succeed("whoever")
        assert (await runner.run()).result == "whoever"


async def test_values_are_sent_as_json_and_text_as_it_is(durable_runner: RunnerFactory) -> None:
    """A callback is text unless the handler says how to read it; None is no result."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        raw = await ctx.create_callback(name="raw")
        read = await ctx.create_callback(name="read", serdes=json_serdes())
        nothing = await ctx.create_callback(name="nothing")
        return [await raw.result(), await read.result(), await nothing.result()]

    async with durable_runner(handler) as runner:
        runner.callback("raw").succeed({"ok": True})
        runner.callback("read").succeed(json.dumps("text"))
        runner.callback("nothing").succeed()
        run = await runner.run()

    assert run.result == ['{"ok":true}', "text", None]
    assert run["raw"].result == '{"ok":true}'


async def test_waiting_for_a_callback_that_never_comes_is_an_error(durable_runner: RunnerFactory) -> None:
    """When every execution has ended, nobody can create it any more; the message says what there was."""
    async with durable_runner(approval) as runner:
        runner.callback("approval").succeed("yes")
        await runner.start()
        with pytest.raises(AssertionError, match=r"no callback 'other'.* there were: .*approval"):
            await runner.callback("other").created()


async def test_wrong_answers_are_refused_at_once(durable_runner: RunnerFactory) -> None:
    """What cannot be sent is an error where it is said, not in the background."""
    runner = durable_runner(approval)
    callback = runner.callback("approval")

    with pytest.raises(SerDesError):
        callback.succeed(object())
    with pytest.raises(ValidationError, match="after must not be negative"):
        callback.succeed("x", after=Duration.seconds(1).to_timedelta() * -1)
    with pytest.raises(TypeError, match="after"):
        callback.succeed("x", after=3)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="index must be a whole number from 0"):
        runner.callback("approval", index=-1)
    assert repr(callback) == "<CallbackHandle 'approval', not created>"
    assert repr(callback.succeed()) == "<PlannedAnswer callback 'approval', succeed: not given>"


async def test_a_callback_of_a_called_function_can_be_answered(durable_runner: RunnerFactory) -> None:
    """The runner's handles reach the executions that chained invokes have started, too."""

    @durable_execution
    async def parent(event: Any, ctx: DurableContext) -> Any:
        return await ctx.invoke("child", {})

    async with durable_runner(parent, functions={"child": approval}) as runner:
        runner.callback("approval").succeed("from outside")
        assert (await runner.run()).result == "from outside"
