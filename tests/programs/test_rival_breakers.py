"""Eight programs that break asyncio implementations of durable functions, as rules that hold here.

1. Two pipelines at once never swap values. 2. Nothing of one invocation survives into the next. 3. A step beside a
wait runs once. 4. Task groups around durable operations show no stray group: ``test_task_groups``. 5. Reordered code
fails loudly. 6. A plain deadline around a durable operation neither loops nor lies: ``test_plain_deadlines``.
7. ``finally`` behaves as documented. 8. What the documentation shows runs: ``tests/docs``.
"""

from __future__ import annotations

import contextvars
import random
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import trio
from support.crashes import Crash, Crashing
from support.runs import run
from support.scheduling import seeded_scheduling

from durable_trio import (
    Branch,
    DurableContext,
    Duration,
    durable_execution,
)
from durable_trio._runtime.node import current_node
from durable_trio.step_context import _current_step

if TYPE_CHECKING:
    from trio.testing import MockClock

HOUR = Duration.hours(1)


async def give(value: Any) -> Any:
    """Return the value."""
    return value


# --- 1. pipelines ----------------------------------------------------------------------------------------


async def fetch(order: str, seconds: float) -> str:
    """Take a while, and say whose it is."""
    await trio.sleep(seconds)
    return f"fetched {order}"


async def pack(fetched: str, order: str, seconds: float) -> str:
    """Take a while, and say whose it is."""
    await trio.sleep(seconds)
    return f"{fetched}, packed {order}"


async def pipeline(ctx: DurableContext, order: str, seconds: tuple[float, float]) -> str:
    """Be two steps with a suspension between them."""
    fetched = await ctx.step(fetch, order, seconds[0])
    await ctx.wait(HOUR)
    return await ctx.step(pack, fetched, order, seconds[1])


@durable_execution
async def as_children(event: list[tuple[float, float]], ctx: DurableContext) -> list[str]:
    """Run two pipelines as child contexts under ctx.all."""
    return await ctx.all(
        [
            ctx.run_in_child_context(pipeline, "left", event[0]),
            ctx.run_in_child_context(pipeline, "right", event[1]),
        ]
    )


@durable_execution
async def as_branches(event: list[tuple[float, float]], ctx: DurableContext) -> list[str]:
    """Run two pipelines as branches of a parallel."""
    batch = await ctx.parallel([Branch(pipeline, "left", event[0]), Branch(pipeline, "right", event[1])])
    return batch.results()


@pytest.mark.parametrize("handler", [as_children, as_branches])
async def test_concurrent_pipelines_never_swap_values(handler: Any, autojump_clock: MockClock) -> None:
    """Whatever the order of events, the suspensions and the crashes, each pipeline gets its own values."""
    records = set()
    for seed in range(200):
        chance = random.Random(seed)
        seconds = [(chance.random(), chance.random()) for _ in range(2)]
        crash = Crash(call=1 + seed % 7, when=chance.choice(("before", "after")))
        with seeded_scheduling(seed):
            finished = await run(Crashing(handler, crash) if seed % 2 else handler, seconds)

        assert finished.result == [f"fetched {order}, packed {order}" for order in ("left", "right")], seed
        assert "PENDING" in finished.invocations, seed
        records.add(
            tuple(sorted((o.id, o.type, o.name or "", o.parent_id or "") for o in finished.operations[1:]))
        )
    assert len(records) == 1


# --- 2. nothing survives ---------------------------------------------------------------------------------


def all_tasks() -> set[trio.lowlevel.Task]:
    """Return every task of this run."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    found: set[trio.lowlevel.Task] = set()
    todo = [root]
    while todo:
        task = todo.pop()
        found.add(task)
        todo += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found


def mutable_globals() -> dict[str, str]:
    """Return what the modules of durable_trio hold that could change, as text."""
    return {
        f"{name}.{variable}": repr(value)
        for name, module in sys.modules.items()
        if name.startswith("durable_trio")
        for variable, value in vars(module).items()
        if isinstance(value, (dict, list, set)) and not variable.startswith("__")
    }


color: contextvars.ContextVar[str] = contextvars.ContextVar("color", default="white")


async def test_nothing_of_one_invocation_survives_into_the_next(autojump_clock: MockClock) -> None:
    """Tasks and thread calls have ended, variables are unset, and no module has changed."""
    seen: list[tuple[str, int, int]] = []
    in_threads = 0
    known: set[trio.lowlevel.Task] = set()
    before = mutable_globals()

    def in_a_thread() -> int:
        nonlocal in_threads
        in_threads += 1
        try:
            return threading.active_count()
        finally:
            in_threads -= 1

    async def branch(ctx: DurableContext, item: int, index: int) -> None:
        await ctx.step(in_a_thread)
        await ctx.wait(HOUR)

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> str:
        strangers = all_tasks() - known
        seen.append((color.get(), len(strangers), in_threads))
        color.set("red")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 0)
            await ctx.map([1, 2, 3], branch)
        await ctx.wait(HOUR)
        return color.get()

    class Watching:
        """Looks at the tasks before each invocation."""

        async def invoke(self, event: Any, lambda_context: Any, **client: Any) -> Any:
            known.clear()
            known.update(all_tasks())
            try:
                return await handler.invoke(event, lambda_context, **client)
            finally:
                # The runner may begin to watch the execution while its first invocation runs.
                assert {task.name for task in all_tasks() - known} <= {"runner's watch of an execution"}
                assert current_node.get() is None
                assert _current_step.get() is None

    finished = await run(Watching())

    assert finished.result == "red"
    assert len(seen) == 3
    # The standing tasks of the invocation itself are there before the handler is.
    assert {(name, threads) for name, _, threads in seen} == {("white", 0)}
    assert len({strangers for _, strangers, _ in seen}) == 1
    assert mutable_globals() == before


# --- 3. a step beside a wait -----------------------------------------------------------------------------


@pytest.mark.parametrize("step_seconds", [0, 10])
@pytest.mark.parametrize("wait_seconds", [1, 86_400])
@pytest.mark.parametrize("form", ["all", "parallel"])
async def test_a_step_beside_a_wait_runs_once(
    form: str, step_seconds: float, wait_seconds: int, autojump_clock: MockClock
) -> None:
    """Whichever of the two ends first, the body of the step runs once."""
    ran: Counter[str] = Counter()

    async def work() -> str:
        ran["work"] += 1
        await trio.sleep(step_seconds)
        return "worked"

    async def waiting(ctx: DurableContext) -> None:
        await ctx.wait(Duration.seconds(wait_seconds))

    async def working(ctx: DurableContext) -> str:
        return await ctx.step(work)

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> list[str | None]:
        if form == "all":
            return list(await ctx.all((ctx.step(work), ctx.wait(Duration.seconds(wait_seconds)))))
        branches: list[Any] = [working, waiting]
        return (await ctx.parallel(branches)).results()

    finished = await run(handler)

    assert finished.result == ["worked", None]
    assert ran == {"work": 1}


# --- 5. reordered code -----------------------------------------------------------------------------------


async def a() -> str:
    """Be one step."""
    return "a"


async def b() -> str:
    """Be another step."""
    return "b"


CHANGES: dict[str, list[str]] = {
    "swapped": ["b", "a", "wait"],
    "one put before": ["b", "a", "b", "wait"],
    "one taken away": ["b", "wait"],
    "another kind": ["wait", "b", "wait"],
    "a context around": ["child", "b", "wait"],
}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES.keys())
async def test_reordered_code_fails_loudly(changed: list[str], autojump_clock: MockClock) -> None:
    """Code that asks for something else than what is recorded fails the execution; no value is ever swapped."""
    program = ["a", "b", "wait"]

    async def child(ctx: DurableContext) -> str:
        return await ctx.step(a)

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> list[Any]:
        nonlocal program
        values: list[Any] = []
        running, program = program, changed
        for kind in running:
            match kind:
                case "a":
                    values.append(await ctx.step(a, name="a"))
                case "b":
                    values.append(await ctx.step(b, name="b"))
                case "child":
                    values.append(await ctx.run_in_child_context(child))
                case _:
                    await ctx.wait(HOUR)
        return values

    finished = await run(handler)
    assert finished.error.type == "NonDeterministicExecutionError"
    assert "recorded" in finished.error.message
    assert finished.invocations == ["PENDING", "FAILED"]


# --- 7. finally ------------------------------------------------------------------------------------------


async def test_finally_runs_on_every_suspension(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """It runs when the invocation suspends and again at the end; its exceptions then are logged, not outcomes."""
    ran: list[str] = []

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> str:
        suspended = True
        try:
            await ctx.wait(HOUR)
            suspended = False
        finally:
            ran.append("finally")
            if suspended:
                raise KeyError("clean-up")  # a broken clean-up is the subject
        return "done"

    finished = await run(handler)
    assert finished.result == "done"
    assert finished.invocations == ["PENDING", "SUCCEEDED"]
    assert ran == ["finally", "finally"]
    assert "KeyError('clean-up')" in capsys.readouterr().out


async def test_durable_clean_up_waits_for_the_real_end(autojump_clock: MockClock) -> None:
    """A durable operation in a ``finally`` is not done on suspension, and is done when the code really ends."""
    undone: list[str] = []

    async def undo() -> None:
        undone.append("undone")

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> str:
        try:
            await ctx.wait(HOUR)
            await ctx.wait(HOUR)
        finally:
            await ctx.step(undo)
        return "done"

    finished = await run(handler)
    assert finished.result == "done"
    assert finished.invocations == ["PENDING", "PENDING", "SUCCEEDED"]
    assert undone == ["undone"]


async def test_no_except_clause_swallows_a_suspension(autojump_clock: MockClock) -> None:
    """``except Exception`` around a wait never sees it; whoever swallows the cancellation still ends PENDING."""
    seen: list[str] = []

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> str:
        try:
            await ctx.wait(HOUR)
        except Exception as error:  # noqa: BLE001  # as above
            seen.append(repr(error))
        try:
            await ctx.wait(HOUR)
        except BaseException:  # noqa: BLE001  # as above
            return "swallowed"
        return "done"

    finished = await run(handler)
    assert finished.result == "done"
    assert finished.invocations == ["PENDING", "PENDING", "SUCCEEDED"]
    assert seen == []
