"""Crash a workflow everywhere it can crash, and see that it makes no difference.

The rule: an execution whose invocations are killed at any moment ends as one that nobody disturbs. It has the same
result or error and the same record of operations; an at-most-once body runs once for an attempt at most, one that is
recorded as succeeded has run; and the effects of the test's own log are as declared.

``explore_crashes`` runs the workflow once undisturbed, and notes every moment at which it could be killed: around
each checkpoint call, before, in and after each body, and where an invocation has decided on its answer. Then it runs
it again for the crashes that matter.

**Which crashes matter.** A handler that has crashed starts over with nothing but the service's record. So two crashes
that leave the same record, and the same outside world, go on in the same way, and one of them will do. Before the
crash, runs of the same seed are alike. So what happens to the outside world in any other crash of the same state is
known without a run: what had happened by then, and what happens from that state on. Of the outside world the explorer
sees what the effect log notes. If bodies read back what they wrote (a fake gateway, a table), pass ``world=``, which
says what state that is in; or ``prune=False``, and every single moment gets a run of its own.

**Time** is virtual and starts over in each run, in a Trio run of its own in a worker thread: see ``simulation_host``
for what that means for the test (no shared Trio objects).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypedDict

from durable_trio.exceptions import ValidationError
from durable_trio.local import LocalSettings
from durable_trio.testing.crashes_exploring import Explorer, Judge
from durable_trio.testing.crashes_points import CrashPlan
from durable_trio.testing.crashes_report import CrashedRun, CrashesFoundError, CrashExploration
from durable_trio.testing.simulation_host import in_isolation
from durable_trio.testing.simulation_world import Scenario, callback_answers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Unpack

    from durable_trio.testing.crashes_effects import EffectLog

__all__ = ["explore_crashes", "explore_crashes_sync", "run_with_crashes", "run_with_crashes_sync"]


class CrashRunOptions(TypedDict, total=False):
    """Options of ``run_with_crashes``: see ``explore_crashes_sync``."""

    functions: Mapping[str, Any] | None
    callbacks: Mapping[str, Any] | None
    effects: EffectLog | None
    reset: Callable[[], object] | None
    accept: Callable[[CrashedRun], bool] | None
    compare_record: bool
    seed: int
    settings: LocalSettings | None
    timeout_seconds: float
    max_calls: int


class ExplorationOptions(CrashRunOptions, total=False):
    """Options of ``explore_crashes``: see ``explore_crashes_sync``."""

    world: Callable[[], object] | None
    crashes: int
    prune: bool
    max_runs: int
    max_failures: int


async def explore_crashes(
    handler: Any, event: Any = None, **options: Unpack[ExplorationOptions]
) -> CrashExploration:
    """Crash *handler* everywhere, and compare each run with the undisturbed one.

    Args:
        handler: a durable handler.
        event: its input, as JSON can hold it.
        options: those of ``explore_crashes_sync``.

    Returns:
        What was done, if no crash makes a difference.

    Raises:
        CrashesFoundError: one does; the message has the smallest plan as code, and what is wrong.
        ValidationError: an option is out of range.

    If cancelled, it ends after the run that it is in.
    """
    return await in_isolation(lambda: explore_crashes_sync(handler, event, **options))


def explore_crashes_sync(
    handler: Any,
    event: Any = None,
    *,
    functions: Mapping[str, Any] | None = None,
    callbacks: Mapping[str, Any] | None = None,
    effects: EffectLog | None = None,
    world: Callable[[], object] | None = None,
    reset: Callable[[], object] | None = None,
    accept: Callable[[CrashedRun], bool] | None = None,
    compare_record: bool = True,
    crashes: int = 2,
    prune: bool = True,
    max_runs: int = 1000,
    max_failures: int = 3,
    seed: int = 0,
    settings: LocalSettings | None = None,
    timeout_seconds: float = 900,
    max_calls: int = 20_000,
) -> CrashExploration:
    """Do what ``explore_crashes`` does, where no Trio run is.

    Args:
        handler: a durable handler.
        event: its input, as JSON can hold it.
        functions: what it invokes, by name: durable handlers, or plain functions of the payload, async or not.
        callbacks: how its callbacks are answered, by name: ``Answer``, or a value to succeed with.
        effects: the log that the workflow's bodies note their effects in.
        world: returns what state the test's own fakes are in (anything with a ``repr``).
        reset: called before each run, to put those fakes back to their start.
        accept: called with a run that ends otherwise than the undisturbed one; True: that is right as well. An
            at-most-once step without retries that is interrupted fails by design, for one.
        compare_record: also compare the operations that have ended; switch it off if timing decides what does.
        crashes: how many crashes a plan may have, at least 1. The second is tried only in states that no single
            crash has shown.
        prune: make one run for all crashes that leave the same state; see the module's text. With False, each moment
            of the undisturbed run gets one of its own.
        max_runs: how many runs to make at most, at least 2. If there are more states, they are thinned out evenly,
            and the report says so.
        max_failures: after how many failing plans to stop, at least 1.
        seed: of Trio's scheduler.
        settings: the local service's.
        timeout_seconds: how long one invocation may take, in virtual time.
        max_calls: after how many checkpoint calls or invocations the undisturbed run is given up as one that never
            ends.

    Returns, raises: see ``explore_crashes``.
    """
    for name, value, least in (
        ("crashes", crashes, 1),
        ("max_runs", max_runs, 2),
        ("max_failures", max_failures, 1),
    ):
        if value < least:
            raise ValidationError(f"{name} must be at least {least}, not {value}")
    scenario = Scenario(
        handler=handler,
        event=event,
        functions=functions or {},
        callbacks=callback_answers(callbacks),
        settings=settings or LocalSettings(),
        timeout_seconds=timeout_seconds,
        effects=effects,
        reset=reset,
        world=world,
    )
    judge = Judge(scenario, seed, accept, max_calls, compare_record=compare_record)
    exploration = Explorer(judge, crashes, max_runs, max_failures, prune=prune).explore()
    if exploration.failures:
        raise CrashesFoundError(exploration)
    return exploration


async def run_with_crashes(
    handler: Any, event: Any, plan: CrashPlan, **options: Unpack[CrashRunOptions]
) -> CrashedRun:
    """Run *handler* with the crashes of *plan*, once, and compare it with the undisturbed run.

    Args:
        handler: a durable handler.
        event: its input.
        plan: where to kill its invocations, as the explorer printed it.
        options: those of ``explore_crashes_sync``, without the last ones that say how to explore.

    Raises:
        CrashesFoundError: it makes a difference.
        ValidationError: the workflow does not come to a crash of the plan (any more).
    """
    return await in_isolation(lambda: run_with_crashes_sync(handler, event, plan, **options))


def run_with_crashes_sync(
    handler: Any,
    event: Any,
    plan: CrashPlan,
    *,
    functions: Mapping[str, Any] | None = None,
    callbacks: Mapping[str, Any] | None = None,
    effects: EffectLog | None = None,
    reset: Callable[[], object] | None = None,
    accept: Callable[[CrashedRun], bool] | None = None,
    compare_record: bool = True,
    seed: int = 0,
    settings: LocalSettings | None = None,
    timeout_seconds: float = 900,
    max_calls: int = 20_000,
) -> CrashedRun:
    """Do what ``run_with_crashes`` does, where no Trio run is."""
    scenario = Scenario(
        handler=handler,
        event=event,
        functions=functions or {},
        callbacks=callback_answers(callbacks),
        settings=settings or LocalSettings(),
        timeout_seconds=timeout_seconds,
        effects=effects,
        reset=reset,
        is_quiet=False,
    )
    judge = Judge(scenario, seed, accept, max_calls, compare_record=compare_record)
    began = time.perf_counter()
    judge.make_reference()
    crashed = judge.crashed_run(judge.run(CrashPlan(*plan)))
    if crashed.problems:
        seconds = time.perf_counter() - began
        raise CrashesFoundError(CrashExploration(1, 1, 2, 0, seconds, (crashed,), event))
    return crashed
