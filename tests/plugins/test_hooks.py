"""What plugins are told, when, and in which task."""

# ruff: noqa: D102  # what a hook is for, Plugin says

from __future__ import annotations

import json
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
import trio
from support.crashes import Crash, Crashing
from support.runs import Handler, run
from trio.testing import MockClock

from durable_trio import (
    DurableContext,
    Duration,
    NestingType,
    StepError,
    durable_execution,
    fixed_delay,
    no_retry,
)
from durable_trio.plugins import (
    InvocationEndInfo,
    InvocationInfo,
    OperationInfo,
    Plugin,
    UserFunctionEndInfo,
    UserFunctionInfo,
)

SECOND = Duration.seconds(1)


class Diary:
    """Makes plugins that write everything into one list, over all invocations of an execution."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.infos: list[Any] = []

    def __call__(self, info: InvocationInfo) -> Plugin:
        return Writer(self)

    def about(self, name: str) -> list[str]:
        """Return what was written about the operation called *name*."""
        return [line.removesuffix(f" {name}") for line in self.lines if line.endswith(f" {name}")]


class Writer(Plugin):
    """Writes a line for each thing it is told."""

    def __init__(self, diary: Diary) -> None:
        self._diary = diary

    def _write(self, line: str, info: Any) -> None:
        self._diary.lines.append(line)
        self._diary.infos.append(info)

    def on_invocation_start(self, info: InvocationInfo) -> None:
        self._write("invocation", info)

    def on_invocation_end(self, info: InvocationEndInfo) -> None:
        self._write(f"invocation {info.status}", info)

    def on_operation_start(self, info: OperationInfo) -> None:
        self._write(f"start {info.name}", info)

    def on_operation_replay(self, info: OperationInfo) -> None:
        self._write(f"replay {info.status} {info.name}", info)

    def on_operation_change(self, info: OperationInfo) -> None:
        self._write(f"change {info.status} {info.name}", info)

    def on_operation_end(self, info: OperationInfo) -> None:
        self._write(f"end {info.status} {info.name}", info)

    def on_user_function_start(self, info: UserFunctionInfo) -> None:
        self._write(f"run {info.attempt} {info.name}", info)

    def on_user_function_end(self, info: UserFunctionEndInfo) -> None:
        self._write(f"ran {info.outcome} {info.name}", info)


async def one() -> int:
    """Return 1."""
    return 1


async def fail() -> None:
    """Fail."""
    raise OSError("no")


async def test_a_step_from_start_to_end(autojump_clock: MockClock) -> None:
    """Hooks nest: the invocation around the operation, its START before its body, its end after."""
    diary = Diary()

    @durable_execution(plugins=[diary])
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(one, name="a")

    finished = await run(handler)

    assert diary.lines == [
        "invocation",
        "start a",
        "run 1 a",
        "ran SUCCEEDED a",
        "end SUCCEEDED a",
        "invocation SUCCEEDED",
    ]
    record = finished.named("a")
    assert all(info.execution_arn == finished.description.arn for info in diary.infos)
    end = diary.infos[4]
    assert (end.id, end.started_at, end.ended_at) == (record.id, record.started_at, record.ended_at)
    assert (end.attempt, end.is_replayed, end.error) == (1, False, None)


async def test_retries_suspensions_and_what_ends_outside(autojump_clock: MockClock) -> None:
    """A retry is a change, not an end; what has ended is not told again; a wait's end is told at the next start."""
    diary = Diary()

    @durable_execution(plugins=[diary])
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(one, name="a")
        with pytest.raises(StepError):
            await ctx.step(fail, name="b", retry=fixed_delay(SECOND, max_attempts=2))
        await ctx.wait(SECOND, name="w")

    await run(handler)

    assert diary.about("a") == ["start", "run 1", "ran SUCCEEDED", "end SUCCEEDED"]
    assert diary.about("b") == [
        "start",
        "run 1",
        "ran FAILED",
        "change PENDING",
        "change READY",
        "replay READY",
        "run 2",
        "ran FAILED",
        "end FAILED",
    ]
    assert diary.about("w") == ["start", "end SUCCEEDED"]
    assert diary.lines[-3:] == ["invocation", "end SUCCEEDED w", "invocation SUCCEEDED"]
    last = diary.infos[-3]
    assert not last.is_first
    assert [operation.name for operation in last.updated_operations] == ["w"]
    assert last.operation_count == 3
    failed = diary.infos[diary.lines.index("end FAILED b")]
    assert (failed.attempt, failed.error.type, failed.error.message) == (2, "OSError", "no")


async def test_contexts_and_their_bodies(autojump_clock: MockClock) -> None:
    """A context's body is told each time it runs; whether it runs over recorded operations is in the info."""
    diary = Diary()

    async def child(ctx: DurableContext) -> None:
        await ctx.step(one, name="inside")
        await ctx.wait(SECOND)

    @durable_execution(plugins=[diary])
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.run_in_child_context(child, name="c")

    finished = await run(handler)

    assert diary.about("c") == [
        "start",
        "run None",
        "ran SUSPENDED",
        "replay STARTED",
        "run None",
        "ran SUCCEEDED",
        "end SUCCEEDED",
    ]
    runs = [info for line, info in zip(diary.lines, diary.infos, strict=True) if line == "run None c"]
    assert [(info.is_replayed, info.is_replaying_children) for info in runs] == [(False, False), (True, True)]
    assert diary.infos[diary.lines.index("start inside")].parent_id == finished.named("c").id


@pytest.mark.parametrize("nesting", list(NestingType))
async def test_every_end_is_told_once(nesting: NestingType, autojump_clock: MockClock) -> None:
    """Whatever the operations: each record that has ended was started and ended once, in that order."""
    diary = Diary()

    async def item(ctx: DurableContext, item: int, index: int) -> int:
        await ctx.wait(SECOND, name=f"wait {index}")
        return await ctx.step(one, name=f"step {index}")

    @durable_execution(plugins=[diary])
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.map(range(5), item, nesting=nesting, max_concurrency=2)
        with pytest.raises(StepError):
            await ctx.all([ctx.step(fail, retry=no_retry(), name="f"), ctx.wait(SECOND, name="slow")])

    finished = await run(handler)

    told = list(zip(diary.lines, diary.infos, strict=True))
    for record in finished.operations:
        if record.type == "EXECUTION":
            continue
        mine = [line.split(" ")[0] for line, info in told if getattr(info, "id", None) == record.id]
        assert mine.count("start") == 1
        assert mine.count("end") == record.status.is_terminal
        assert mine.index("start") == 0


async def test_hooks_of_a_body_run_in_its_task(autojump_clock: MockClock) -> None:
    """What the start hook puts into a context variable, the body sees, in a worker thread as well."""
    variable: ContextVar[str] = ContextVar("variable", default="nothing")

    class Setting(Plugin):
        def on_user_function_start(self, info: UserFunctionInfo) -> None:
            variable.set(f"body of {info.name}")

    def plain() -> str:
        return variable.get()

    async def child(ctx: DurableContext) -> str:
        return variable.get()

    @durable_execution(plugins=[lambda info: Setting()])
    async def handler(event: Any, ctx: DurableContext) -> list[str]:
        return [await ctx.run_in_child_context(child, name="c"), await ctx.step(plain, name="s")]

    assert (await run(handler)).result == ["body of c", "body of s"]


async def test_a_plugin_that_fails_changes_nothing(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every hook raises, the execution is what it would be, others are told, and each hook's failure is one line."""

    class Faulty:
        def __getattr__(self, name: str) -> Callable[[Any], None]:
            if not name.startswith("on_"):
                raise AttributeError(name)

            def hook(info: Any) -> None:
                raise RuntimeError(name)

            return hook

    def unborn(info: InvocationInfo) -> Plugin:
        raise RuntimeError("unborn")

    async def body(ctx: DurableContext) -> int:
        await ctx.step(one, name="a")
        await ctx.step(one, name="b")
        return 3

    alone, beside = Diary(), Diary()
    first = durable_execution(plugins=[alone])(_calling(body))
    second = durable_execution(plugins=[lambda info: Faulty(), unborn, beside])(_calling(body))

    expected, finished = await run(first), await run(second)

    assert finished.result == expected.result
    assert finished.event_types == expected.event_types
    assert beside.lines == alone.lines
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["hook"] for line in lines if line["message"] == "a plugin failed"] == [
        "on_invocation_start",
        "on_operation_start",
        "on_user_function_start",
        "on_user_function_end",
        "on_operation_end",
        "on_invocation_end",
    ]
    assert [line["error"] for line in lines if "created" in line["message"]] == ["RuntimeError('unborn')"]


def _calling(body: Any) -> Any:
    async def handler(event: Any, ctx: DurableContext) -> int:
        return int(await ctx.run_in_child_context(body, virtual=True))

    return handler


async def test_async_hooks_are_refused(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    """A hook that would have to be awaited is not called, and that is said."""

    class Async:
        async def on_invocation_start(self, info: InvocationInfo) -> None:
            raise AssertionError("called")

    @durable_execution(plugins=[lambda info: Async()])
    async def handler(event: Any, ctx: DurableContext) -> None:
        await trio.lowlevel.checkpoint()

    await run(handler)

    assert "must be a plain function" in capsys.readouterr().out


async def test_how_an_invocation_ends(autojump_clock: MockClock) -> None:
    """FAILED has the recorded error; PENDING none; after a crash the same operation is told again."""
    diary = Diary()

    @durable_execution(plugins=[diary])
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(one, name="a")
        await ctx.wait(SECOND)
        raise ValueError("bad order")

    await run(handler)

    assert [line for line in diary.lines if line.startswith("invocation ")] == [
        "invocation PENDING",
        "invocation FAILED",
    ]
    assert diary.infos[-1].error.type == "ValueError"
    assert diary.infos[-1].ended_at >= diary.infos[-1].execution_started_at


async def test_a_crash_tells_a_body_again(autojump_clock: MockClock) -> None:
    """An invocation that is killed is told as RAISED where that is possible, and its step runs again as a replay."""
    diary = Diary()

    @durable_execution(plugins=[diary])
    async def handler(event: Any, ctx: DurableContext) -> int:
        return await ctx.step(one, name="a")

    crashing: Handler = Crashing(handler, Crash(1, "before"))
    assert (await run(crashing)).result == 1

    assert diary.lines.count("invocation RAISED") == 1
    assert diary.about("a").count("end SUCCEEDED") == 1
    assert diary.about("a").count("run 1") == 2


async def test_bodies_that_are_cut(autojump_clock: MockClock) -> None:
    """A body that lost is CANCELLED; one that took too long has failed."""
    diary = Diary()

    async def slow() -> None:
        await trio.sleep(60)

    async def child(ctx: DurableContext) -> None:
        await ctx.step(slow, name="slow")

    @durable_execution(plugins=[diary])
    async def handler(event: Any, ctx: DurableContext) -> None:
        with pytest.raises(StepError):
            await ctx.all(
                [
                    ctx.run_in_child_context(child, name="loser"),
                    ctx.step(slow, name="late", timeout=SECOND, retry=no_retry()),
                ]
            )

    await run(handler)

    assert diary.about("late")[-2:] == ["ran FAILED", "end FAILED"]
    assert diary.about("slow")[-1] == "ran CANCELLED"
    assert diary.about("loser")[-1] == "ran CANCELLED"


async def test_a_result_too_big_to_store_runs_its_body_again(autojump_clock: MockClock) -> None:
    """Its body is told as replaying; the context, which has ended, is not told again."""
    diary = Diary()

    async def child(ctx: DurableContext) -> str:
        return await ctx.step(one, name="s") * "x" * 300_000

    @durable_execution(plugins=[diary])
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.run_in_child_context(child, name="big")
        await ctx.wait(SECOND)

    await run(handler)

    first, again = ["run None", "ran SUCCEEDED"], ["run None", "ran SUCCEEDED"]
    assert diary.about("big") == ["start", *first, "end SUCCEEDED", *again]
    assert diary.about("s") == ["start", "run 1", "ran SUCCEEDED", "end SUCCEEDED"]


async def test_a_callback_is_told_from_both_sides(autojump_clock: MockClock) -> None:
    """Its start where it is created, its end when the answer is known; the runtime's own body around it is not told."""
    diary = Diary()

    async def submit(callback_id: str) -> None:
        assert callback_id

    @durable_execution(plugins=[diary])
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.wait_for_callback(submit, name="ask")

    await run(handler, answers={"ask create callback id": '"yes"'})

    assert diary.about("ask create callback id") == ["start", "end SUCCEEDED"]
    assert diary.about("ask submitter") == ["start", "run 1", "ran SUCCEEDED", "end SUCCEEDED"]
    assert diary.about("ask") == ["start", "replay STARTED", "end SUCCEEDED"]
