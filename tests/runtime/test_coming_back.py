"""When the next call waits for the actors that the last answer has released, and when it does not."""

from __future__ import annotations

from typing import Any

import trio
from trio.testing import MockClock

from durable_trio import DurableContext, durable_execution
from durable_trio._protocol.operation import OperationType
from durable_trio._runtime.coming_back import OBSERVED_EVERY, ComingBack
from durable_trio.testing import FakeServiceClient


def observed(released: int, left: int, waiting: int) -> ComingBack:
    """Return what is known after one answer, and the round after it."""
    known = ComingBack()
    known.released(released, left=left)
    known.observe(waiting)
    return known


def test_nothing_is_assumed_before_it_is_observed() -> None:
    """A first call waits for whoever can run."""
    assert not ComingBack().may_be_missed(waiting=100)


def test_who_comes_back_is_waited_for() -> None:
    """If half of the released actors wait again once they have run, the next call is to have them."""
    known = observed(released=10, left=10, waiting=15)

    known.released(10, left=10)
    assert not known.may_be_missed(waiting=10)


def test_who_does_not_come_back_is_not_waited_for() -> None:
    """If most of them do not, whoever waits need not wait for them; except now and then, to observe it again."""
    known = observed(released=10, left=10, waiting=14)

    answers = []
    for _ in range(2 * OBSERVED_EVERY):
        known.released(10, left=10)
        answers.append(known.may_be_missed(waiting=10))
    assert answers.count(False) == 2


def test_the_many_are_not_missed_for_the_few() -> None:
    """A call for a few does not leave many behind: those would wait for a whole call more."""
    known = observed(released=10, left=2, waiting=2)

    known.released(10, left=4)
    assert not known.may_be_missed(waiting=4)


def test_what_was_observed_last_holds() -> None:
    """Steps that have become quick are noticed when it is observed again."""
    known = observed(released=10, left=10, waiting=10)

    known.released(10, left=10)
    known.observe(20)
    assert not known.may_be_missed(waiting=10)


async def run_branches(*bodies: list[float]) -> FakeServiceClient:
    """Run a branch for each list, with a step for each number: how many seconds its body takes; calls take 20 ms."""
    service = FakeServiceClient()
    service.seconds = 0.020

    async def branch(ctx: DurableContext, seconds: list[float], index: int) -> None:
        for each in seconds:
            await ctx.step(trio.sleep, each)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.map(bodies, branch)

    answer = await service.invoke(handler)
    assert answer["Status"] == "SUCCEEDED"
    return service


async def test_quick_branches_share_their_calls(autojump_clock: MockClock) -> None:
    """Branches that were apart for once come together again: one call takes a step of each."""
    service = await run_branches([0] * 20, [0.005] + [0] * 19)

    assert len(service.calls) <= 24


async def test_slow_branches_do_not_wait_for_each_other(autojump_clock: MockClock) -> None:
    """What waits when an answer comes is sent before the released branch has begun its next step."""
    service = await run_branches([0.010] * 40, [0.015] + [0.010] * 39)

    steps = [[update for update in call if update.type is OperationType.STEP] for call in service.calls[4:-4]]
    alone = [call for call in steps if len({update.id for update in call}) == 1]
    assert len(alone) >= len(steps) * 3 // 4
    assert len(service.calls) <= 84


async def test_slow_branches_that_become_quick_share_their_calls_again(autojump_clock: MockClock) -> None:
    """It is observed again while calls are sent at once."""
    service = await run_branches([0.010] * 10 + [0] * 60, [0.015] + [0.010] * 9 + [0] * 60)

    assert len(service.calls) <= 20 + 60 + 2 * OBSERVED_EVERY
