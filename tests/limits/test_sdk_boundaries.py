"""The service's limits at limit - 1, limit and limit + 1: what the SDK asks for, and what it refuses or goes round.

Whatever the SDK lets through is really sent: the local service, which is strict, has to take it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import trio
from support.runs import driven, run

from durable_trio import (
    DurableContext,
    Duration,
    StepError,
    ValidationError,
    WaitDecision,
    durable_execution,
)
from durable_trio._protocol.operation import OperationAction, OperationRecord

if TYPE_CHECKING:
    from trio.testing import MockClock

YEAR_AND_A_DAY = 31_622_400

Make = Callable[[DurableContext, Any], Awaitable[Any]]


async def _nothing(*_: object) -> None:
    """Be the body of anything."""


nothing: Any = _nothing


async def operations_of(make: Make, value: object) -> list[OperationRecord] | str:
    """Run ``make(ctx, value)`` for a second: the recorded operations, or why it was refused."""

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> str:
        try:
            await make(ctx, value)
        except ValidationError as error:
            return str(error)
        return ""

    async with driven(handler) as driver:
        started = await driver.service.start_execution("function-under-test", "null")
        with trio.move_on_after(1):
            finished = await driver.finish(started.arn)
            if finished.status == "SUCCEEDED" and finished.result:
                assert len(finished.operations) == 1, "it was refused, and something was recorded"
                return str(finished.result)
        return (await driver.service.operations(started.arn))[1:]


# --- arguments -------------------------------------------------------------------------------------------


def durations(least: int, most: int) -> list[tuple[object, bool]]:
    """Return durations around both ends of a range in seconds; fractions are rounded up."""
    return [
        (Duration.seconds(least - 1) if least else timedelta(seconds=-1), False),
        (Duration.seconds(least), True),
        (timedelta(seconds=least + 0.25), True),
        (Duration.seconds(most - 1), True),
        (timedelta(seconds=most - 0.5), True),
        (Duration.seconds(most), True),
        (timedelta(seconds=most + 0.5), False),
        (Duration.seconds(most + 1), False),
    ]


def texts(most: int) -> list[tuple[object, bool]]:
    """Return texts around both ends of a length."""
    return [("", False), ("t", True), ("t" * (most - 1), True), ("t" * most, True), ("t" * (most + 1), False)]


NAMED: dict[str, Make] = {
    "step": lambda ctx, name: ctx.step(nothing, name=name),
    "wait": lambda ctx, name: ctx.wait(Duration.hours(1), name=name),
    "create_callback": lambda ctx, name: ctx.create_callback(name=name),
    "wait_for_callback": lambda ctx, name: ctx.wait_for_callback(nothing, name=name),
    "wait_for_condition": lambda ctx, name: ctx.wait_for_condition(
        nothing, initial_state=None, until=lambda _: True, name=name
    ),
    "invoke": lambda ctx, name: ctx.invoke("nobody", name=name),
    "run_in_child_context": lambda ctx, name: ctx.run_in_child_context(nothing, name=name),
    "map": lambda ctx, name: ctx.map([1], nothing, name=name),
    "parallel": lambda ctx, name: ctx.parallel([nothing], name=name),
    "item_namer": lambda ctx, name: ctx.map([1], nothing, item_namer=lambda _item, _index: name),
}

ARGUMENTS: dict[str, tuple[Make, list[tuple[object, bool]]]] = {
    "wait": (lambda ctx, value: ctx.wait(value), durations(1, YEAR_AND_A_DAY)),
    "callback timeout": (lambda ctx, value: ctx.create_callback(timeout=value), durations(0, 99_999_999)),
    "heartbeat timeout": (
        lambda ctx, value: ctx.create_callback(heartbeat_timeout=value),
        durations(0, 99_999_999),
    ),
    "sub_type": (lambda ctx, value: ctx.step(nothing, sub_type=value), texts(32)),
    "tenant_id": (lambda ctx, value: ctx.invoke("nobody", tenant_id=value), texts(256)),
    "function_name": (lambda ctx, value: ctx.invoke(value), texts(256)),
} | {f"name of {what}": (make, texts(256)) for what, make in NAMED.items()}


@pytest.mark.parametrize(
    ("make", "value", "allowed"),
    [
        pytest.param(make, value, allowed, id=f"{what}-{number}")
        for what, (make, values) in ARGUMENTS.items()
        for number, (value, allowed) in enumerate(values)
    ],
)
async def test_arguments(make: Make, value: object, allowed: bool, autojump_clock: MockClock) -> None:
    """An argument within its range is sent and taken; out of range it is refused before anything is recorded.

    An invoke of a function that does not exist fails; what counts here is that it could be asked for.
    """
    found = await operations_of(make, value)

    if allowed:
        assert isinstance(found, list), found
        assert found
    else:
        assert isinstance(found, str), found
        assert "must be" in found


@pytest.mark.parametrize(
    ("delay", "recorded"),
    [(0, 1), (1, 1), (YEAR_AND_A_DAY - 1, YEAR_AND_A_DAY - 1), (YEAR_AND_A_DAY, YEAR_AND_A_DAY)],
)
async def test_delays_that_are_asked_for(delay: int, recorded: int, autojump_clock: MockClock) -> None:
    """A retry or a poll is delayed by 1 second at least and by 366 days at most."""
    sent: list[int] = []

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> None:
        await ctx.all(
            [
                ctx.step(_boom, retry=lambda _error, _attempt: Duration.seconds(delay)),
                ctx.wait_for_condition(
                    nothing,
                    initial_state=None,
                    wait_strategy=lambda _state, _attempt: WaitDecision.after(Duration.seconds(delay)),
                ),
            ]
        )

    async with driven(handler) as driver:
        await driver.service.start_execution("function-under-test", "null")
        with trio.move_on_after(0.9):
            await trio.sleep_forever()
        sent += [
            getattr(update.options, "next_attempt_delay_seconds", 0)
            for call in driver.calls
            for update in call.updates
            if update.action is OperationAction.RETRY
        ]
    assert sent == [recorded, recorded]


async def _boom() -> None:
    raise ValueError("boom")


async def test_a_delay_beyond_the_limit_fails_the_step(autojump_clock: MockClock) -> None:
    """A strategy that asks for more than 366 days has its step fail, with the range in the message."""

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> str:
        try:
            await ctx.step(_boom, retry=lambda _error, _attempt: Duration.seconds(YEAR_AND_A_DAY + 1))
        except StepError as error:
            return f"{error.error_type}: {error}"
        return "no error"

    finished = await run(handler)
    assert finished.result.startswith("ValidationError: ")
    assert "31,622,400" in finished.result


async def test_derived_names_fit(autojump_clock: MockClock) -> None:
    """A name made from a name of 256 characters is cut to 256."""
    found = await operations_of(lambda ctx, name: ctx.wait_for_callback(nothing, name=name), "n" * 256)
    assert isinstance(found, list)
    assert {len(operation.name or "") for operation in found} == {256}
