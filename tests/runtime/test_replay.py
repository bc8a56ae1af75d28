"""Replay: what a second run must ask for, and what it says in the log."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
from support.crashes import Crash, Crashing
from support.runs import run
from trio.testing import MockClock

from durable_trio import (
    DurableContext,
    Duration,
    ReplayLogging,
    StepError,
    current_step,
    durable_execution,
    fixed_delay,
    no_retry,
)


async def give(value: Any) -> Any:
    """Return *value*."""
    return value


async def child(ctx: DurableContext, *_: Any) -> int:
    """Do a step in a context."""
    return await ctx.step(give, 1)


async def submit(callback_id: str) -> None:
    """Tell nobody."""


def messages(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the messages that were logged."""
    return [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()]


# --- other operations than recorded ------------------------------------------------------------------------

PROGRAMS: dict[str, Callable[[DurableContext], Any]] = {
    "step": lambda ctx: ctx.step(give, 1, name="first"),
    "other name": lambda ctx: ctx.step(give, 1, name="second"),
    "other subtype": lambda ctx: ctx.step(give, 1, name="first", sub_type="Special"),
    "wait": lambda ctx: ctx.wait(Duration.seconds(1), name="first"),
    "callback": lambda ctx: ctx.create_callback(name="first"),
    "child": lambda ctx: ctx.run_in_child_context(child, name="first"),
    "virtual": lambda ctx: ctx.run_in_child_context(child, name="first", virtual=True),
    "map": lambda ctx: ctx.map([1], child, name="first"),
    "wait for callback": lambda ctx: ctx.wait_for_callback(submit, name="first", timeout=Duration.seconds(5)),
}


@pytest.mark.parametrize("swallows", [False, True])
@pytest.mark.parametrize("now", PROGRAMS)
@pytest.mark.parametrize("then", [name for name in PROGRAMS if name != "virtual"])
async def test_another_operation_than_recorded(
    then: str, now: str, swallows: bool, autojump_clock: MockClock
) -> None:
    """Type, subtype and name must match the record; the difference is readable, and cannot be swallowed."""
    programs = [PROGRAMS[then], PROGRAMS[now]]

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        program = programs.pop(0) if len(programs) > 1 else programs[0]
        try:
            await program(ctx)
        except Exception as error:
            if not swallows or "does not match" not in str(error):
                raise
        await ctx.wait(Duration.hours(1))
        return "went on"

    finished = await run(handler)

    if then == now:
        assert finished.status in {"SUCCEEDED", "FAILED"}
        assert finished.description.error is None or finished.error.type == "Callback.Timeout"
        return
    assert finished.error.type == "NonDeterministicExecutionError"
    assert "recorded" in (finished.error.message or "")


async def test_what_stood_in_for_a_virtual_context_is_new(autojump_clock: MockClock) -> None:
    """A virtual context leaves no record at its own place: what takes its place runs, and no value is swapped."""
    programs = [PROGRAMS["virtual"], PROGRAMS["step"]]

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        value = await programs.pop(0)(ctx)
        await ctx.wait(Duration.seconds(1))
        return value

    finished = await run(handler)

    assert finished.result == 1
    assert finished.named("first").parent_id is None


async def test_another_parent_than_recorded(autojump_clock: MockClock) -> None:
    """An operation that moves into a virtual context gets another id; a record under that id must fit."""
    nested = [False, True]

    async def body(ctx: DurableContext) -> int:
        return await ctx.step(give, 1, name="moved")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        if nested.pop(0):
            await ctx.run_in_child_context(body)
        else:
            await ctx.run_in_child_context(body, virtual=True)
        await ctx.wait(Duration.seconds(1))

    finished = await run(handler)

    assert finished.error.type == "NonDeterministicExecutionError"
    assert "parent" in (finished.error.message or "")


async def test_one_operation_more_in_front(autojump_clock: MockClock) -> None:
    """An operation that is put in front of recorded ones takes the place of another: that fails."""
    runs: list[int] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        runs.append(1)
        if len(runs) > 1:
            await ctx.step(give, 0, name="new")
        await ctx.step(give, 1, name="old")
        await ctx.wait(Duration.seconds(1))

    finished = await run(handler)

    text = finished.error.message or ""
    assert finished.error.type == "NonDeterministicExecutionError"
    assert "name: recorded 'old', now 'new'" in text
    assert "new function version" in text or "new version" in text


async def test_one_operation_less(autojump_clock: MockClock) -> None:
    """Without an operation, the next one finds its record: that fails; leaving out the last ones does not."""
    runs: list[int] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        runs.append(1)
        if event == "first" and len(runs) > 1:
            await ctx.wait(Duration.seconds(1))
            return "skipped the first"
        await ctx.step(give, 1, name="first")
        if event == "last" and len(runs) > 1:
            return "skipped the last"
        await ctx.wait(Duration.seconds(1))
        return "done"

    assert (await run(handler, "first")).error.type == "NonDeterministicExecutionError"
    runs.clear()
    assert (await run(handler, "last")).result == "skipped the last"


async def test_in_a_branch_it_fails_everything(autojump_clock: MockClock) -> None:
    """Found in an item, a child or an arm of ``all``, the difference fails the execution, not the branch."""
    names = ["before", "after"]

    async def item(ctx: DurableContext, value: int, index: int) -> int:
        return await ctx.step(give, 1, name=names[0])

    async def waits(ctx: DurableContext, value: int, index: int) -> int:
        await item(ctx, value, index)
        await ctx.wait(Duration.seconds(5))
        return 1

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        try:
            batch = await ctx.map([1, 2], waits)
        finally:
            names[0] = "after"
        return batch.results()

    finished = await run(handler)

    assert finished.error.type == "NonDeterministicExecutionError"
    assert not finished.event_types.count("ContextFailed")


async def test_a_changed_default_name_only_warns(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Renaming a function must not break running executions: its operations go on, with a warning."""

    async def old() -> int:
        return 1

    async def new() -> int:
        return 2

    bodies = [old, new]

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        value = await ctx.step(bodies.pop(0))
        await ctx.wait(Duration.seconds(1))
        return value

    finished = await run(handler)

    assert finished.result == 1
    assert messages(capsys) == ["default name changed"]


# --- what is logged, and when -----------------------------------------------------------------------------


async def test_every_line_once_over_replays(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines before, between and after operations of every kind appear once, whatever is suspended."""
    attempts: list[int] = []

    async def flaky() -> int:
        attempts.append(1)
        if len(attempts) < 3:
            raise OSError("again")
        return 1

    async def inner(ctx: DurableContext) -> None:
        ctx.logger.info("inner 1")
        await ctx.wait(Duration.seconds(1))
        ctx.logger.info("inner 2")
        await ctx.step(give, 1)
        ctx.logger.info("inner 3")

    async def item(ctx: DurableContext, value: int, index: int) -> None:
        ctx.logger.info(f"item {index} before")
        if index:
            await ctx.wait(Duration.seconds(3))
        else:
            await ctx.step(give, 1)
        ctx.logger.info(f"item {index} after")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        log = ctx.logger
        log.info("start")
        await ctx.step(give, 1)
        log.info("after step")
        await ctx.wait(Duration.seconds(1))
        log.info("after wait")
        await ctx.run_in_child_context(inner)
        log.info("after child")
        await ctx.map([0, 1], item)
        log.info("after map")
        await ctx.all([ctx.wait(Duration.seconds(1)), ctx.step(give, 1)])
        log.info("after all")
        await ctx.step(give, 2)
        log.info("after step two")
        await ctx.step(flaky, retry=fixed_delay(Duration.seconds(1), max_attempts=5))
        log.info("after retries")
        await ctx.wait_for_callback(submit, name="ask")
        log.info("end")

    finished = await run(handler, answers={"ask create callback id": "yes"})

    assert finished.status == "SUCCEEDED", finished.description.error
    assert len(finished.invocations) >= 6
    lines = messages(capsys)
    assert sorted(lines) == sorted(set(lines))
    assert [line for line in lines if not line.startswith("item")] == [
        "start",
        "after step",
        "after wait",
        "inner 1",
        "inner 2",
        "inner 3",
        "after child",
        "after map",
        "after all",
        "after step two",
        "after retries",
        "end",
    ]
    assert {line for line in lines if line.startswith("item")} == {
        "item 0 before",
        "item 0 after",
        "item 1 before",
        "item 1 after",
    }


async def test_lines_around_a_callback_that_is_awaited_late(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """``create_callback``, a step, a line, then the result: each line once."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        callback = await ctx.create_callback(name="answer")
        ctx.logger.info("created")
        await ctx.step(give, callback.callback_id)
        ctx.logger.info("told")
        await callback.result()
        ctx.logger.info("answered")
        await callback.result()
        ctx.logger.info("answered again")
        await ctx.wait(Duration.seconds(1))
        ctx.logger.info("end")

    await run(handler, answers={"answer": "yes"})

    assert messages(capsys) == ["created", "told", "answered", "answered again", "end"]


async def test_lines_around_operations_created_early(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Operations that are created together and awaited in another order: each line once."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        wait, step, other = ctx.wait(Duration.seconds(5)), ctx.step(give, 1), ctx.wait(Duration.seconds(9))
        ctx.logger.info("created")
        await step
        ctx.logger.info("after step")
        await wait
        ctx.logger.info("after wait")
        await other
        ctx.logger.info("after other")

    await run(handler)

    assert messages(capsys) == ["created", "after step", "after wait", "after other"]


async def test_a_line_before_the_first_operation(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """A handler whose first operation suspends logs what comes before it once."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        ctx.logger.info("start")
        assert ctx.is_replaying is (len(capsys_runs) > 0)
        capsys_runs.append(1)
        await ctx.wait(Duration.seconds(1))
        assert ctx.is_replaying is False
        ctx.logger.info("end")

    capsys_runs: list[int] = []
    finished = await run(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert messages(capsys) == ["start", "end"]


async def test_lines_after_a_failure_that_was_handled(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Failed operations replay like others: lines after a failed step or ``all`` appear once."""

    async def fail() -> None:
        raise ValueError("no")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        for combined in (False, True):
            step = ctx.step(fail, retry=no_retry())
            try:
                await (ctx.all([step, ctx.wait(Duration.days(1))]) if combined else step)
            except StepError:
                ctx.logger.warning(f"failed, combined {combined}")
            await ctx.wait(Duration.seconds(1))
            ctx.logger.info(f"waited, combined {combined}")

    finished = await run(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert messages(capsys) == [
        "failed, combined False",
        "waited, combined False",
        "failed, combined True",
        "waited, combined True",
    ]


@pytest.mark.parametrize("call", range(1, 9))
@pytest.mark.parametrize("when", ["before", "after"])
async def test_at_least_once_over_crashes(
    call: int, when: Any, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a crash a line may come twice, but none is lost."""

    async def inner(ctx: DurableContext) -> None:
        ctx.logger.info("inner 1")
        await ctx.step(give, 1)
        ctx.logger.info("inner 2")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        ctx.logger.info("start")
        await ctx.step(give, 1)
        ctx.logger.info("after step")
        await ctx.all([ctx.step(give, 1), ctx.wait(Duration.seconds(1))])
        ctx.logger.info("after all")
        await ctx.run_in_child_context(inner)
        ctx.logger.info("after child")
        await ctx.wait(Duration.seconds(1))
        ctx.logger.info("end")

    finished = await run(Crashing(handler, Crash(call, when)))

    assert finished.status == "SUCCEEDED", finished.description.error
    lines = messages(capsys)
    assert list(dict.fromkeys(lines)) == [
        "start",
        "after step",
        "after all",
        "inner 1",
        "inner 2",
        "after child",
        "end",
    ]
    assert all(lines.count(line) <= 2 for line in lines)


@pytest.mark.parametrize(
    ("mode", "again"),
    [
        (ReplayLogging.SUPPRESS_ALL, []),
        (ReplayLogging.ERRORS_ONLY, ["error"]),
        (ReplayLogging.WARNINGS_AND_ERRORS, ["warning", "error"]),
        (ReplayLogging.ALLOW_ALL, ["info", "warning", "error"]),
    ],
)
async def test_replay_modes(
    mode: ReplayLogging, again: list[str], autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """The mode says what is let through while a context replays."""

    @durable_execution(replay_logging=mode)
    async def handler(event: Any, ctx: DurableContext) -> None:
        ctx.logger.info("info")
        ctx.logger.warning("warning")
        ctx.logger.error("error")
        await ctx.wait(Duration.seconds(1))

    await run(handler)

    assert messages(capsys) == ["info", "warning", "error", *again]


async def test_what_a_line_says(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    """A line is one JSON object with AWS's keys; binding more to a child's logger leaves its parent's alone."""

    async def body() -> None:
        current_step().logger.info("in step", order=7)

    async def inner(ctx: DurableContext) -> None:
        log = ctx.logger.bind(tenant="blue")
        log.info("in child")
        await ctx.step(body, name="charge")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.run_in_child_context(inner, name="inner")
        ctx.logger.info("at root")

    finished = await run(handler)

    lines = {line["message"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert set(lines) == {"in child", "in step", "at root"}
    assert all(
        line["executionArn"] and line["requestId"] and line["level"] == "INFO" for line in lines.values()
    )
    assert lines["in child"]["tenant"] == "blue"
    assert lines["in child"]["parentId"] == finished.named("inner").id
    assert "tenant" not in lines["at root"]
    assert "parentId" not in lines["at root"]
    step = lines["in step"]
    assert (step["operationName"], step["attempt"], step["order"]) == ("charge", 1, 7)
    assert step["operationId"] == finished.named("charge").id


async def test_the_level_comes_from_the_environment(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``AWS_LAMBDA_LOG_LEVEL`` says what is written at all."""
    monkeypatch.setenv("AWS_LAMBDA_LOG_LEVEL", "WARN")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        ctx.logger.info("info")
        ctx.logger.warning("warning")
        await trio.lowlevel.checkpoint()

    await run(handler)

    assert messages(capsys) == ["warning"]
