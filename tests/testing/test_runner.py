from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
import trio
import trio.testing

from durable_trio import (
    ConfigurationError,
    DurableContext,
    Duration,
    ValidationError,
    durable_execution,
)
from durable_trio.local import InvalidParameterValue
from durable_trio.testing import DurableRunner, Execution, ExecutionStuckError, RunnerFactory

DAY_SECONDS = 86_400


@durable_execution
async def waits_a_day(event: Any, ctx: DurableContext) -> str:
    """Suspend once."""
    await ctx.wait(Duration.days(1), name="sleep")
    return f"done with {event}"


@durable_execution
async def never_answered(event: Any, ctx: DurableContext) -> str:
    """Wait for somebody who never comes."""
    callback = await ctx.create_callback(name="approval")
    return str(await callback.result())


async def test_a_wait_suspends_and_resumes(durable_runner: RunnerFactory) -> None:
    """A wait ends the invocation, and the next one continues after it."""
    run = await durable_runner.run(waits_a_day, "this")

    assert run.result == "done with this"
    assert [invocation.status for invocation in run.invocations] == ["PENDING", "SUCCEEDED"]
    assert run.duration_seconds == DAY_SECONDS


def test_a_run_needs_no_trio_run_of_ones_own() -> None:
    """``run_sync`` makes its own run, in virtual time."""
    assert DurableRunner(waits_a_day).run_sync("that").result == "done with that"


async def test_run_sync_is_refused_inside_a_trio_run(durable_runner: RunnerFactory) -> None:
    """Inside a Trio run, the error names what to use."""
    with pytest.raises(ConfigurationError, match="use 'async with' and run"):
        DurableRunner(waits_a_day).run_sync()


async def test_an_execution_that_waits_for_nothing_is_stuck(durable_runner: RunnerFactory) -> None:
    """What nobody will ever answer is an error that says what the execution waits for, and no endless wait."""
    async with durable_runner(never_answered) as runner:
        runner.callback("aproval").succeed("a typo")
        with pytest.raises(ExecutionStuckError) as raised:
            await runner.run()

    assert "approval: Callback STARTED" in str(raised.value)
    assert "callback 'aproval', succeed: not given" in str(raised.value)
    assert raised.value.result.status == "TIMED_OUT"


async def test_a_time_out_of_the_execution_that_is_meant_is_a_result(durable_runner: RunnerFactory) -> None:
    """With an ``execution_timeout`` of its own, an execution times out as it would at the service."""
    run = await durable_runner.run(never_answered, execution_timeout=Duration.hours(2))

    assert run.status == "TIMED_OUT"
    assert run.duration_seconds == 7200
    with pytest.raises(AssertionError, match="has not succeeded: TIMED_OUT"):
        run.assert_succeeded()


async def test_a_stopped_execution_is_a_result(durable_runner: RunnerFactory) -> None:
    """``stop`` ends an execution by force, with an error of the test's."""
    async with durable_runner(waits_a_day) as runner:
        execution = await runner.start()
        await execution.until_suspended()
        await execution.stop("enough")
        run = await execution.result()

    assert run.status == "STOPPED"
    assert run.error is not None
    assert run.error.message == "enough"


async def test_several_executions_run_at_once(durable_runner: RunnerFactory) -> None:
    """A runner may start any number of executions; each result has its own invocations, calls and logs."""
    async with durable_runner(waits_a_day) as runner:
        executions = [await runner.start(number, name=f"run-{number}") for number in range(3)]
        await runner.until_suspended()
        results = [await execution.result() for execution in executions]

    assert [run.result for run in results] == ["done with 0", "done with 1", "done with 2"]
    assert [len(run.invocations) for run in results] == [2, 2, 2]
    assert all(call.execution_arn == run.arn for run in results for call in run.calls)


async def test_starting_again_by_name_gives_the_same_execution(durable_runner: RunnerFactory) -> None:
    """A name and an event are idempotent, as at the service."""
    async with durable_runner(waits_a_day) as runner:
        first = await runner.start("x", name="once")
        again = await runner.start("x", name="once")

        assert again.arn == first.arn
        assert len(runner.executions) == 1
        assert isinstance(runner.executions[0], Execution)
        with pytest.raises(InvalidParameterValue):
            await runner.start("x", name="not a name")


async def test_runs_are_repeatable(durable_runner: RunnerFactory) -> None:
    """By default ids and ARNs are the same in every run, so replay-safe values are, too."""

    @durable_execution
    async def draws(event: Any, ctx: DurableContext) -> str:
        return str(ctx.uuid())

    first, second = [await durable_runner.run(draws) for _ in range(2)]

    assert first.arn == second.arn
    assert first == second


async def test_the_bodys_own_error_leaves_as_itself(durable_runner: RunnerFactory) -> None:
    """An assertion that fails inside ``async with`` is not wrapped in a group."""
    with pytest.raises(AssertionError, match="my own"):  # noqa: PT012  # the whole block is under test
        async with durable_runner(waits_a_day) as runner:
            await runner.start()
            raise AssertionError("my own")


async def test_closing_cuts_off_what_runs(durable_runner: RunnerFactory) -> None:
    """At the end of the block nothing is left, whatever was under way."""

    @durable_execution
    async def never(event: Any, ctx: DurableContext) -> None:
        await trio.sleep_forever()

    async with durable_runner(never) as runner:
        await runner.start()
        await trio.testing.wait_all_tasks_blocked()

    assert repr(runner).endswith("used>")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"invocation_timeout": Duration.seconds(0)}, "invocation_timeout must be above 0"),
        ({"invocation_timeout": Duration.minutes(16)}, "at most 15 minutes"),
        ({"execution_timeout": Duration.seconds(0)}, "execution_timeout must be 1 second to 366 days"),
        ({"execution_timeout": Duration.seconds(1.5)}, "whole seconds"),
        ({"start_at": datetime(2030, 1, 1)}, "start_at must be a datetime with a time zone"),
        ({"functions": {"f": 3}}, "function 'f' must be a durable handler or a function"),
        ({"functions": {"f": lambda: 1}}, "function 'f' must take"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    """A wrong option is named with its value before anything runs."""
    with pytest.raises(ValidationError, match=message):
        DurableRunner(waits_a_day, **options)


@pytest.mark.parametrize("option", ["invocation_timeout", "execution_timeout"])
def test_bare_numbers_are_no_durations(option: str) -> None:
    """Durations have units, here as everywhere."""
    with pytest.raises(TypeError, match=option):
        DurableRunner(waits_a_day, **{option: 5})  # type: ignore[arg-type]


def test_what_is_no_handler_is_refused() -> None:
    """The constructor says what a handler is."""
    with pytest.raises(ConfigurationError, match="made by @durable_execution"):
        DurableRunner("handler")


async def test_a_runner_is_used_once_and_open(durable_runner: RunnerFactory) -> None:
    """Outside of its block, and a second time, a runner says what is wrong."""
    runner = durable_runner(waits_a_day)
    assert repr(runner).endswith("not open yet>")
    for use in (runner.start, runner.until_suspended, runner.callback("x").created):
        with pytest.raises(ConfigurationError, match="enter the runner first"):
            await use()
    async with runner:
        assert repr(runner).endswith("open>")
        assert "1 functions" in repr(runner.service)
        with pytest.raises(ValidationError, match="duration must not be negative"):
            await runner.advance_time(timedelta(seconds=-1))
    with pytest.raises(ConfigurationError, match="good for one use"):
        async with runner:
            pass


async def test_a_plain_function_of_the_envelope_can_be_run(durable_runner: RunnerFactory) -> None:
    """Anything that takes an invocation and answers it can be driven, also without this SDK's runtime."""

    async def by_hand(event: dict[str, Any], lambda_context: Any, *, client: Any) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        return {"Status": "SUCCEEDED", "Result": '"by hand"'}

    assert (await durable_runner.run(by_hand)).result == "by hand"


def test_a_runner_needs_trio() -> None:
    """Under asyncio, or outside of any run, the error says where it can be opened and what else there is."""

    async def main() -> None:
        async with DurableRunner(waits_a_day):
            pass

    for run in (asyncio.run, lambda main: main.send(None)):
        with pytest.raises(ConfigurationError, match=r"runs on Trio .* run_sync"):
            run(main())
