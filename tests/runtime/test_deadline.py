"""Near the end of its time an invocation is brought to rest in good order."""

from __future__ import annotations

import threading
from typing import Any

import trio
import trio.testing
from support.runs import run

from durable_trio import (
    DurableContext,
    Duration,
    StepError,
    StepInterruptedError,
    durable_execution,
    fixed_delay,
    no_retry,
)


async def test_a_step_longer_than_the_invocation_uses_up_its_attempts(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Each cut-off run is recorded as a failed attempt; when they are used up, the step fails."""
    runs: list[float] = []
    seen: list[type[Exception]] = []

    async def endless() -> None:
        runs.append(trio.current_time())
        await trio.sleep(3_600)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.step(endless, retry=fixed_delay(Duration.seconds(10), max_attempts=3))
        except StepInterruptedError as error:
            seen.append(type(error))
        return "gave up"

    finished = await run(handler, timeout_seconds=60)

    assert finished.result == "gave up"
    assert len(runs) == 3
    assert set(seen) == {StepInterruptedError}
    assert "raised" not in finished.invocations[:2]
    assert [type_ for type_ in finished.event_types if type_ == "StepFailed"] == ["StepFailed"] * 3
    # 60 s less the margin of 5 s, and then the delay of 10 s, before the next one starts.
    assert round(runs[1] - runs[0]) == 65


async def test_the_margin_is_configurable(autojump_clock: trio.testing.MockClock) -> None:
    """``deadline_margin`` says how long before the end the steps are cut off."""
    runs: list[float] = []

    async def endless() -> None:
        runs.append(trio.current_time())
        await trio.sleep(3_600)

    @durable_execution(deadline_margin=Duration.seconds(20))
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(endless, retry=fixed_delay(Duration.seconds(1), max_attempts=2))

    finished = await run(handler, timeout_seconds=60)

    assert finished.error.type == "StepInterruptedError"
    assert round(runs[1] - runs[0]) == 41


async def test_nothing_new_starts_once_the_time_is_up(autojump_clock: trio.testing.MockClock) -> None:
    """Code that goes on after a cut step is held before its next operation, and the execution is resumed."""
    order: list[str] = []

    async def note(what: str) -> None:
        order.append(what)

    async def endless() -> None:
        order.append("endless")
        await trio.sleep(3_600)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.step(endless, retry=no_retry())
        except StepError:
            order.append("cut")
        await ctx.step(note, "next")
        return "done"

    finished = await run(handler, timeout_seconds=30)

    assert finished.result == "done"
    # Nothing was pending that would have woken the execution, so the first invocation raised.
    assert finished.invocations == ["raised", "SUCCEEDED"]
    assert order == ["endless", "cut", "cut", "next"]


async def test_parked_work_is_pending(autojump_clock: trio.testing.MockClock) -> None:
    """With a retry to wake it, a cut invocation answers PENDING, and other branches have lost nothing."""

    async def slow() -> str:
        await trio.sleep(3_600 if not trips else 1)
        return "slow"

    trips: list[int] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[Any]:
        if ctx.is_replaying:
            trips.append(1)
        return list(
            await ctx.all(
                [
                    ctx.step(slow, retry=fixed_delay(Duration.seconds(3))),
                    ctx.wait(Duration.seconds(500)),
                ]
            )
        )

    finished = await run(handler, timeout_seconds=60)

    assert finished.result == ["slow", None]
    assert finished.invocations[0] == "PENDING"
    assert finished.event_types.count("WaitStarted") == 1


async def test_a_thread_is_abandoned(autojump_clock: trio.testing.MockClock, capsys: Any) -> None:
    """A plain body cannot be cancelled: at the deadline it is left behind, with a log line."""
    release = threading.Event()
    runs: list[int] = []

    def blocking() -> str:
        runs.append(1)
        if len(runs) == 1:
            release.wait(20)
        return "done"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        return await ctx.step(blocking, retry=fixed_delay(Duration.seconds(1)))

    async def pass_time() -> None:
        # Virtual time stands still while a thread works: let it go by hand.
        await trio.testing.wait_all_tasks_blocked()
        while not runs:
            await trio.testing.wait_all_tasks_blocked(0.01)
        autojump_clock.jump(56)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pass_time)
        finished = await run(handler, timeout_seconds=60)
        release.set()

    assert finished.result == "done"
    assert finished.invocations == ["PENDING", "SUCCEEDED"]
    assert "abandoned" in capsys.readouterr().out
