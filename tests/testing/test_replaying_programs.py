"""Random programs replay their own histories: no false alarm, whatever they are made of."""

from __future__ import annotations

import os
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from trio.testing import MockClock

from durable_trio import Duration
from durable_trio.testing import DurableRunner, History, record, replay_history
from durable_trio.testing.programs import CALLBACKS, FUNCTIONS, Program, handler_for, programs

EXAMPLES = int(os.environ.get("DURABLE_TRIO_REPLAYED_PROGRAMS", "40"))
"""How many programs to try; more at night."""

_MOST_CALLBACKS = 40


async def recorded(handler: Any) -> History:
    """Run a program to its end, in the world that programs live in."""
    async with DurableRunner(handler, functions=FUNCTIONS) as runner:
        for name, answer in CALLBACKS.items():
            for index in range(_MOST_CALLBACKS):
                handle = runner.callback(name, index=index)
                if answer.error is not None:
                    handle.fail(str(answer.error.message), after=Duration.seconds(2))
                else:
                    handle.succeed(answer.result, after=Duration.seconds(2))
        return record(await runner.run())


@pytest.mark.slow
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs(max_leaves=12))
def test_a_program_replays_its_history(program: Program) -> None:
    """From every point, under more than one order of tasks."""
    handler = handler_for(program)

    async def main() -> None:
        history = await recorded(handler)
        for seed in (0, 1):
            await replay_history(handler, history, seed=seed, max_points=1_000)

    trio.run(main, clock=MockClock(autojump_threshold=0))
