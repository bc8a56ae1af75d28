"""``ctx.all_settled``: every operation comes to its end, and says how."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from combinators.bodies import fail, give, slow
from support.runs import run
from trio.testing import MockClock

from durable_trio import DurableContext, Duration, Outcome, StepError, durable_execution, no_retry
from durable_trio._protocol.ids import operation_id


async def test_every_outcome_in_the_order_given(autojump_clock: MockClock) -> None:
    """A failure cancels nothing and is a value; the list is the same on replay."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        outcomes = await ctx.all_settled(
            [
                ctx.step(slow, 2, "late"),
                ctx.step(fail, 1, "no", retry=no_retry()),
                ctx.wait(Duration.minutes(1)),
            ]
        )
        seen.append([(outcome.succeeded, outcome.value, str(outcome.error)) for outcome in outcomes])
        assert outcomes[0].unwrap() == "late"
        with pytest.raises(StepError, match="no"):
            outcomes[1].unwrap()
        return outcomes

    finished = await run(handler)

    assert finished.result == [
        {"status": "SUCCEEDED", "value": "late"},
        {"status": "FAILED", "error": {"ErrorType": "ValueError", "ErrorMessage": "no"}},
        {"status": "SUCCEEDED", "value": None},
    ]
    assert seen == [[(True, "late", "None"), (False, None, "no"), (True, None, "None")]]


async def test_it_records_nothing_and_takes_one_id(autojump_clock: MockClock) -> None:
    """Its outcomes are its operations' records; it takes an id as every combinator does."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        empty: list[Any] = await ctx.all_settled([])
        both = await ctx.all_settled((ctx.step(give, 1), ctx.step(give, "b")))
        last = ctx.step(give, "last")
        await last
        return [empty, [outcome.value for outcome in both], last.id]

    finished = await run(handler)

    assert finished.result[:2] == [[], [1, "b"]]
    assert finished.event_types.count("ContextStarted") == 0
    # The fifth position: two combinators and two steps before it.
    assert finished.result[2] == operation_id(None, 5)


async def test_it_waits_for_the_slowest_over_any_number_of_suspensions(autojump_clock: MockClock) -> None:
    """Early failures change nothing about how long it takes."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        outcomes = await ctx.all_settled(
            [
                ctx.wait(Duration.hours(3)),
                ctx.step(fail, 1, "no", retry=no_retry()),
                ctx.wait(Duration.hours(1)),
            ]
        )
        return [outcome.succeeded for outcome in outcomes]

    before = trio.current_time()
    assert (await run(handler)).result == [True, False, True]
    assert trio.current_time() - before == pytest.approx(3 * 3600, abs=5)


def test_an_outcome_is_a_value() -> None:
    """Outcomes compare by value, and hold None as a value, too."""
    assert Outcome(1) == Outcome(1)
    assert Outcome(None).succeeded
    assert Outcome(None).unwrap() is None
    assert Outcome(1).to_json() == {"status": "SUCCEEDED", "value": 1}
    assert Outcome[int](error=KeyError("k")).to_json() == {
        "status": "FAILED",
        "error": {"ErrorType": "KeyError", "ErrorMessage": "'k'"},
    }
