"""``ctx.wait_for_condition``: a reducer that looks again later."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from support.crashes import Crash, Crashing
from support.runs import run

from durable_trio import (
    DurableContext,
    Duration,
    ValidationError,
    WaitDecision,
    WaitForConditionError,
    custom_serdes,
    durable_execution,
    exponential_polling,
)


def count(state: int) -> int:
    """Count on."""
    return state + 1


async def test_the_state_goes_through_the_service(autojump_clock: trio.testing.MockClock) -> None:
    """Each look gets the state the last one left; the last state is the result; delays pass suspended."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        return await ctx.wait_for_condition(
            count, initial_state=5, until=lambda state: state >= event, interval=Duration.seconds(2)
        )

    finished = await run(handler, 8)

    assert finished.result == 8
    assert finished.invocations == ["PENDING", "PENDING", "SUCCEEDED"]
    assert [str(call) for call in finished.calls] == [
        "STEP START, STEP RETRY",
        "STEP START, STEP RETRY",
        "STEP START, STEP SUCCEED",
    ]
    assert [update.payload for call in finished.calls for update in call.updates if update.payload] == [
        "6",
        "7",
        "8",
    ]


async def test_a_strategy_decides_by_itself(autojump_clock: trio.testing.MockClock) -> None:
    """``wait_strategy`` may stop, name a delay in three ways, or give up with None."""
    asked: list[tuple[int, int]] = []

    def decide(state: int, attempt: int) -> Any:
        asked.append((state, attempt))
        return [WaitDecision.after(Duration.seconds(1)), Duration.seconds(3), WaitDecision.stop()][
            attempt - 1
        ]

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        return await ctx.wait_for_condition(count, initial_state=0, wait_strategy=decide)

    finished = await run(handler)

    assert finished.result == 3
    assert asked == [(1, 1), (2, 2), (3, 3)]


async def test_giving_up_is_an_error(autojump_clock: trio.testing.MockClock) -> None:
    """When the strategy gives up the operation fails, the same way on replay; met beats exhaustion."""
    seen: list[str] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        try:
            await ctx.wait_for_condition(
                count,
                initial_state=0,
                until=lambda state: state > 9,
                wait_strategy=exponential_polling(max_attempts=3),
                name="poll",
            )
        except WaitForConditionError as error:
            seen.append(f"{error.error_type}: {error}")
        last = await ctx.wait_for_condition(
            count,
            initial_state=0,
            until=lambda state: state == 3,
            wait_strategy=exponential_polling(max_attempts=3),
        )
        await ctx.wait(Duration.seconds(1))
        return last

    finished = await run(handler)

    assert finished.result == 3
    assert set(seen) == {"WaitForConditionError: the condition of 'poll' was not met in 3 attempts"}
    assert len(seen) == len(finished.invocations) - 2


async def test_a_failing_check_is_not_retried(autojump_clock: trio.testing.MockClock) -> None:
    """What the check raises fails the operation at once, with the original type."""

    async def broken(state: int) -> int:
        raise OSError("down")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.wait_for_condition(broken, initial_state=0, until=bool)
        except WaitForConditionError as error:
            return f"{error.error_type}: {error}"
        return "?"

    finished = await run(handler)

    assert finished.result == "OSError: down"
    assert finished.event_types.count("StepFailed") == 1


async def test_a_cut_off_look_starts_from_the_last_state(autojump_clock: trio.testing.MockClock) -> None:
    """After a crash in the second look, the second look is repeated with the first one's state."""
    serdes = custom_serdes(lambda state: "x" * state, len)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        return await ctx.wait_for_condition(
            count, initial_state=0, until=lambda s: s == 3, interval=Duration.seconds(1), serdes=serdes
        )

    for call in (1, 2, 3):
        for when in ("before", "after"):
            assert (await run(Crashing(handler, Crash(call, when)))).result == 3


async def test_what_decides_must_be_given() -> None:
    """Without ``until`` and ``wait_strategy`` nothing says when to stop; a delay has one source."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        with pytest.raises(ValidationError, match="until="):
            ctx.wait_for_condition(count, initial_state=0)
        with pytest.raises(ValidationError, match="interval and wait_strategy"):
            ctx.wait_for_condition(
                count,
                initial_state=0,
                interval=Duration.seconds(1),
                wait_strategy=lambda s, a: None,
            )
        with pytest.raises(TypeError, match="Duration"):
            ctx.wait_for_condition(count, initial_state=0, until=bool, interval=5)  # type: ignore[arg-type]

    finished = await run(handler)
    assert finished.status == "SUCCEEDED", finished.description
    assert finished.calls == []
