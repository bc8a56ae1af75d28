"""Runs that repeat: Trio's scheduler seeded, time virtual, and nothing of the test's around them.

The explorer and the simulator run a workflow hundreds of times and compare. So each time has to start from the
same place: a Trio run of its own, in which

- Trio's order of tasks is a function of a *seed* (Trio shuffles the tasks that are ready on purpose);
- the jitter of retry delays is a function of the seed, too;
- time is virtual, starts at 2026-01-01 in every run, and moves only when no task can run and no worker thread is
  at work.

``run_isolated`` makes one such run, in the calling thread. In a Trio run that exists already that is not possible
(Trio runs do not nest), so ``in_isolation`` moves the lot to a worker thread, and keeps the caller's virtual time
still meanwhile. It follows that a workflow under test must not share Trio objects (events, channels, nurseries)
with the test: what both need has to be a plain value. Context variables are inherited.

What stays up to chance: the order in which worker threads end, and whatever the user's code asks chance for.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio
import trio._core._run as trio_run
from trio.testing import MockClock

from durable_trio import retries
from durable_trio.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

T = TypeVar("T")

_THREAD_POLL_SECONDS: Final = 0.001

_one_at_a_time: Final = threading.Lock()

EPOCH_AT: Final = 1_767_225_600_000
"""When every isolated run begins, by the service's clock: 2026-01-01T00:00:00Z."""


@contextmanager
def seeded_scheduling(seed: int) -> Iterator[None]:
    """Make Trio's order of tasks a function of *seed*, in the whole process, while the block lasts.

    May be entered inside a Trio run: it counts from the next round of the scheduler on.
    """
    before = trio_run._ALLOW_DETERMINISTIC_SCHEDULING  # the switch that hypothesis uses, too
    state = trio_run._r.getstate()
    trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    trio_run._r.seed(seed)
    try:
        yield
    finally:
        trio_run._ALLOW_DETERMINISTIC_SCHEDULING = before  # type: ignore[misc]
        trio_run._r.setstate(state)


@contextmanager
def _seeded_jitter(seed: int) -> Iterator[None]:
    """Make the jitter of our retry strategies a function of *seed*."""
    source = retries._SYSTEM_RANDOM
    source.random = Random(seed).random  # type: ignore[method-assign]  # noqa: S311  # repeatable on purpose
    try:
        yield
    finally:
        del source.random  # the class's own again


def run_isolated(main: Callable[[], Awaitable[T]], *, seed: int = 0) -> T:
    """Run *main* in a Trio run of its own, in virtual time, and return its result or raise its error.

    Must be called where no Trio run is: see ``in_isolation``. Runs of several threads wait for each other: what is
    seeded belongs to the process.
    """
    with _one_at_a_time, seeded_scheduling(seed), _seeded_jitter(seed):
        return trio.run(main, clock=_thread_aware_clock())


def _thread_aware_clock() -> MockClock:
    """Return a virtual clock that stands still while worker threads are at work.

    ``MockClock`` jumps as soon as every task is blocked, and a task that waits for a thread is. Seen are the threads
    of Trio's default limiter; the bodies of steps, which have a limiter of their own, hold the clock by themselves.
    """
    clock: Any = MockClock(autojump_threshold=0)
    jump = clock._autojump  # the class is final: there is no other way in

    def jump_if_idle() -> None:
        if trio.to_thread.current_default_thread_limiter().borrowed_tokens > 0:
            clock.autojump_threshold = _THREAD_POLL_SECONDS
            return
        clock.autojump_threshold = 0
        jump()

    clock._autojump = jump_if_idle
    return clock  # type: ignore[no-any-return]


async def in_isolation(work: Callable[[], T]) -> T:
    """Call *work*, which makes isolated runs, in a worker thread, with the caller's virtual time kept still.

    *work* is to call ``check_cancelled`` now and then: if the caller is cancelled, that is where it ends.
    """
    with Clock().held():
        return await trio.to_thread.run_sync(work)


def check_cancelled() -> None:
    """Raise ``trio.Cancelled`` if the task that waits for this thread is cancelled; outside one do nothing."""
    try:
        trio.from_thread.check_cancelled()
    except RuntimeError:
        return  # no thread of Trio's: the calling thread is nobody's to cancel
