"""Bugs that workflows have, each beside what its author should have written."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import trio

from durable_trio import (
    DurableContext,
    Duration,
    StepSemantics,
    current_step,
    durable_execution,
    fixed_delay,
)
from durable_trio.testing.crashes import explore_crashes_sync
from durable_trio.testing.crashes_effects import EffectLog
from durable_trio.testing.simulation import simulate_sync

PATIENT = fixed_delay(Duration.seconds(1), max_attempts=9)

charges = EffectLog(at_most_once=["charge"], at_least_once=["mail"])
"""A gateway charges an order at most once, whatever happens; mails are sent at least once."""


class Gateway:
    """A payment gateway that knows an idempotency key again, as real ones do."""

    def __init__(self) -> None:
        self.keys: set[str] = set()

    def charge(self, order: str, key: str | None = None) -> None:
        """Charge, unless *key* has been seen."""
        if key is None or key not in self.keys:
            charges.note("charge", order)
        if key is not None:
            self.keys.add(key)

    def reset(self) -> None:
        """Forget everything."""
        self.keys.clear()

    def state(self) -> object:
        """Say what it knows."""
        return sorted(self.keys)


gateway = Gateway()


def crashed_everywhere(handler: Any) -> None:
    """Hunt with the explorer, the gateway in view."""
    explore_crashes_sync(handler, effects=charges, reset=gateway.reset, world=gateway.state)


def under_many_seeds(handler: Any) -> None:
    """Hunt with the simulator."""
    simulate_sync(handler, seeds=range(40), effects=charges, reset=gateway.reset)


@dataclass(frozen=True)
class BrokenWorkflow:
    """A workflow with a bug, one without, and the hunt that tells them apart."""

    name: str
    broken: Any
    sound: Any
    hunt: Callable[[Any], None] = field(default=crashed_everywhere)


async def give(value: Any) -> Any:
    """Return what is given."""
    return value


async def take_a_while(value: int) -> int:
    """Return what is given, after a second."""
    await trio.sleep(1)
    return value


# --- chance, time, order -------------------------------------------------------------------------------------


@durable_execution
async def draws_in_the_handler(event: Any, ctx: DurableContext) -> Any:
    """Draw a number outside of a step."""
    number = random.random()
    await ctx.step(give, 1)
    return number


@durable_execution
async def draws_in_a_step(event: Any, ctx: DurableContext) -> Any:
    """Draw a number that is the same on every replay."""
    number = ctx.random().random()
    await ctx.step(give, 1)
    return number


@durable_execution
async def looks_at_the_clock(event: Any, ctx: DurableContext) -> Any:
    """Ask for the time outside of a step."""
    began = time.perf_counter_ns()
    await ctx.wait(Duration.seconds(1))
    return await ctx.step(give, began) == began


@durable_execution
async def looks_at_the_record(event: Any, ctx: DurableContext) -> Any:
    """Ask for the time of what has been recorded."""
    began = str(ctx.now())
    await ctx.wait(Duration.seconds(1))
    return await ctx.step(give, began) == began


class Item:
    """Something with an identity, but no order."""

    def __init__(self, number: int) -> None:
        self.number = number
        # By default an object's hash is its address, which is another one in each process. So is this.
        self._hash = random.getrandbits(30)

    def __hash__(self) -> int:
        return self._hash


@durable_execution
async def iterates_a_set(event: Any, ctx: DurableContext) -> Any:
    """Do steps in the order of a set of objects."""
    return [
        await ctx.step(give, item.number, name=f"item {item.number}") for item in {Item(n) for n in range(6)}
    ]


@durable_execution
async def iterates_a_list(event: Any, ctx: DurableContext) -> Any:
    """Do steps in an order of one's own."""
    items = sorted({Item(n) for n in range(6)}, key=lambda item: item.number)
    return [await ctx.step(give, item.number, name=f"item {item.number}") for item in items]


@durable_execution
async def collects_by_arrival(event: Any, ctx: DurableContext) -> Any:
    """Collect what items come to in the order in which they get through."""
    found: list[int] = []

    async def item(child: DurableContext, value: int, index: int) -> None:
        found.append(await child.step(take_a_while, value))

    (await ctx.map([1, 2, 3], item)).raise_if_failed()
    return found


@durable_execution
async def collects_by_input(event: Any, ctx: DurableContext) -> Any:
    """Collect what items come to in the order of the input."""

    async def item(child: DurableContext, value: int, index: int) -> int:
        return await child.step(take_a_while, value)

    return (await ctx.map([1, 2, 3], item)).results()


# --- effects -------------------------------------------------------------------------------------------------


@durable_execution
async def charges_in_the_handler(event: Any, ctx: DurableContext) -> None:
    """Have an effect outside of any step."""
    gateway.charge("order")
    await ctx.wait(Duration.seconds(1))


@durable_execution
async def charges_in_a_plain_step(event: Any, ctx: DurableContext) -> None:
    """Have an effect that must not happen twice in a step that may run twice."""

    async def charge() -> None:
        gateway.charge("order")

    await ctx.step(charge)


@durable_execution
async def charges_with_a_key(event: Any, ctx: DurableContext) -> None:
    """Give the gateway a key by which it knows the charge again."""

    async def charge() -> None:
        gateway.charge("order", current_step().idempotency_key)

    await ctx.step(charge)


@durable_execution
async def charges_again_on_retry(event: Any, ctx: DurableContext) -> None:
    """Trust at-most-once, which holds for one attempt, with several attempts."""

    async def charge() -> None:
        gateway.charge("order")

    await ctx.step(charge, semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY, retry=PATIENT)


# --- memory --------------------------------------------------------------------------------------------------


@durable_execution
async def adds_up_in_memory(event: Any, ctx: DurableContext) -> int:
    """Keep in a variable what a step's body did."""
    total = 0

    async def add(value: int) -> None:
        nonlocal total
        total += value

    for value in (1, 2, 3):
        await ctx.step(add, value, name=f"add {value}")
    return total


@durable_execution
async def adds_up_results(event: Any, ctx: DurableContext) -> int:
    """Keep what steps return."""
    return sum([await ctx.step(give, value, name=f"add {value}") for value in (1, 2, 3)])


_calls = 0


@durable_execution
async def counts_in_a_global(event: Any, ctx: DurableContext) -> int:
    """Number things by a global of the process."""
    global _calls  # the bug
    _calls += 1
    number = _calls
    await ctx.wait(Duration.seconds(1))
    return int(await ctx.step(give, number)) - number


@durable_execution
async def counts_in_a_step(event: Any, ctx: DurableContext) -> int:
    """Number things once, and record it."""
    number = int(await ctx.step(give, 7))
    await ctx.wait(Duration.seconds(1))
    return int(await ctx.step(give, number)) - number


BROKEN_WORKFLOWS = [
    BrokenWorkflow("random in the handler", draws_in_the_handler, draws_in_a_step),
    BrokenWorkflow(
        "random in the handler, by seeds", draws_in_the_handler, draws_in_a_step, under_many_seeds
    ),
    BrokenWorkflow("the clock in the handler", looks_at_the_clock, looks_at_the_record),
    BrokenWorkflow("order of a set", iterates_a_set, iterates_a_list),
    BrokenWorkflow("order of arrival", collects_by_arrival, collects_by_input, under_many_seeds),
    BrokenWorkflow("effect outside of a step", charges_in_the_handler, charges_with_a_key),
    BrokenWorkflow("effect twice in a step that runs twice", charges_in_a_plain_step, charges_with_a_key),
    BrokenWorkflow("at most once, but with retries", charges_again_on_retry, charges_with_a_key),
    BrokenWorkflow("memory of what a body did", adds_up_in_memory, adds_up_results),
    BrokenWorkflow("memory of the process", counts_in_a_global, counts_in_a_step),
]
