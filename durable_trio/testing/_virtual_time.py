"""Time that moves only when nothing can run. There are two hosts.

**Under Trio's ``MockClock``** (the ``durable_runner`` fixture, ``run_sync`` and pytest-trio's ``autojump_clock``) all time
of the Trio run is virtual: the waits of the service, and every ``trio.sleep`` in a step, too. The clock jumps when all
tasks are blocked. A task that waits for a worker thread is blocked as far as Trio can see, although it is at work; so
a guard (``ThreadGuard``) looks whether any task of the run waits for a thread, whoever started it, and keeps the clock
from jumping until the thread is done. What nobody can see from here is other work outside of Trio: another process, a
server at the other end of a socket. ``hold_time`` keeps time still for that.

**Under any other clock** Trio's time is real, and only the service's own moves: it jumps to its next timer when no
invocation is in flight, and only while somebody waits for the runner (``driving``); so a test that does real work
between two calls of the runner loses no time by it. A ``trio.sleep`` in a step takes as long as it says.
"""

from __future__ import annotations

import gc
import math
import threading
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio
import trio.testing

from durable_trio.clock import Clock, VirtualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from types import CodeType

    from durable_trio.local import LocalService

_LOOK_AGAIN_SECONDS: Final = 0.001  # of real time


class HostTime(Protocol):
    """How time is moved in this Trio run."""

    is_service_virtual: bool
    """Whether the service has to move its time by itself."""

    def make_clock(self, epoch_at: int | None) -> Clock:
        """Return the clock of the service, which says *epoch_at* now (None: the system's time)."""
        ...

    def adopted(self) -> AbstractAsyncContextManager[None]:
        """Have the Trio run's clock jump, if it can; be around the service and everything in it."""
        ...

    def running(self, service: LocalService, nursery: trio.Nursery) -> AbstractContextManager[None]:
        """Do what is needed while a runner is open; tasks for it may be started in *nursery*."""
        ...

    def driving(self) -> AbstractContextManager[None]:
        """Let time move in the block, if nothing can run."""
        ...

    async def advance(self, service: LocalService, seconds: float) -> None:
        """Let exactly *seconds* pass, and everything that is due in them happen."""
        ...


def host_time() -> HostTime:
    """Return how time is moved in this Trio run."""
    clock = trio.lowlevel.current_clock()
    return _TrioTime(clock) if isinstance(clock, trio.testing.MockClock) else _ServiceTime()


class _TrioTime:
    """All time of the Trio run is virtual."""

    is_service_virtual = False

    def __init__(self, clock: trio.testing.MockClock) -> None:
        self._clock = clock

    def make_clock(self, epoch_at: int | None) -> Clock:
        return Clock(epoch_at)

    @asynccontextmanager
    async def adopted(self) -> AsyncIterator[None]:
        clock = self._clock
        jumped_after = clock.autojump_threshold
        if jumped_after == math.inf:
            clock.autojump_threshold = 0
        try:
            yield
        finally:
            clock.autojump_threshold = jumped_after

    @contextmanager
    def running(self, service: LocalService, nursery: trio.Nursery) -> Iterator[None]:
        guard = ThreadGuard(self._clock)
        nursery.start_soon(guard.run, name="virtual time's thread guard")
        trio.lowlevel.add_instrument(guard)
        try:
            yield
        finally:
            trio.lowlevel.remove_instrument(guard)

    @contextmanager
    def driving(self) -> Iterator[None]:
        yield

    async def advance(self, service: LocalService, seconds: float) -> None:
        await service.clock.sleep_until(service.clock.now() + math.ceil(seconds * 1000))
        await settle()


class _ServiceTime:
    """Trio's time is real; the service's moves while somebody drives."""

    is_service_virtual = True

    def __init__(self) -> None:
        self._service: LocalService | None = None
        self._drivers = 0
        self._hold = ExitStack()

    def make_clock(self, epoch_at: int | None) -> Clock:
        return VirtualClock(epoch_at)

    def adopted(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    @contextmanager
    def running(self, service: LocalService, nursery: trio.Nursery) -> Iterator[None]:
        self._service = service
        self._hold.enter_context(service.hold_time())
        with self._hold:
            yield

    @contextmanager
    def driving(self) -> Iterator[None]:
        assert self._service is not None  # noqa: S101  # a runner drives only while it is open
        self._drivers += 1
        if self._drivers == 1:
            self._hold.close()
        try:
            yield
        finally:
            self._drivers -= 1
            if self._drivers == 0:
                self._hold.enter_context(self._service.hold_time())

    async def advance(self, service: LocalService, seconds: float) -> None:
        await service.advance(seconds)


# --- threads -----------------------------------------------------------------------------------------------


class ThreadGuard(trio.abc.Instrument):
    """Keeps a jumping ``MockClock`` from jumping while a task of the run waits for a worker thread.

    Trio asks instruments after it has looked for I/O and before it lets the clock jump. If there is a thread at
    work then, the guard's own task is made runnable, which is a reason not to jump; and while that task waits
    for the run to become idle, in short naps of real time, nothing jumps either.

    Looking into a task takes some microseconds, and there may be thousands of tasks, and of jumps. Only those that
    have run since the last look are looked at, and those that waited for a thread then: no other can have begun to.
    """

    def __init__(self, clock: trio.testing.MockClock) -> None:
        self._clock = clock
        self._parked: trio.lowlevel.Task | None = None
        self._to_look_at = set(_all_tasks())

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Note that *task* has run."""
        self._to_look_at.add(task)

    def after_io_wait(self, timeout: float) -> None:
        """Wake the guard's task if the clock is about to jump over a thread's work."""
        # From the cheapest question to the dearest: this is asked at every turn of the run loop.
        if self._parked is None or self._clock.autojump_threshold == math.inf:
            return
        if trio.lowlevel.current_statistics().tasks_runnable or not self._is_a_thread_at_work():
            return
        parked, self._parked = self._parked, None
        trio.lowlevel.reschedule(parked)

    async def run(self) -> None:
        """Be the guard's task, until cancelled."""
        while True:
            self._parked = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._unpark)
            while self._is_a_thread_at_work():
                await trio.testing.wait_all_tasks_blocked(_LOOK_AGAIN_SECONDS)

    def _is_a_thread_at_work(self) -> bool:
        if threading.active_count() < 2:
            self._to_look_at.clear()
            return False
        self._to_look_at = {task for task in self._to_look_at if _awaits(task.coro, _THREAD_CODE)}
        return bool(self._to_look_at)

    def _unpark(self, _raise_cancel: Any) -> trio.lowlevel.Abort:
        self._parked = None
        return trio.lowlevel.Abort.SUCCEEDED


_THREAD_CODE: Final = trio.to_thread.run_sync.__code__


def _all_tasks() -> Iterator[trio.lowlevel.Task]:
    """Yield every task of this Trio run."""
    root = trio.lowlevel.current_root_task()
    tasks = [] if root is None else [root]
    while tasks:
        task = tasks.pop()
        yield task
        for nursery in task.child_nurseries:
            tasks.extend(nursery.child_tasks)


def is_a_thread_at_work() -> bool:
    """Tell whether a task of this Trio run waits for ``trio.to_thread.run_sync`` (anyio's is the same)."""
    return threading.active_count() > 1 and any(_awaits(task.coro, _THREAD_CODE) for task in _all_tasks())


def _awaits(awaited: Any, code: CodeType) -> bool:
    """Tell whether a coroutine is, or awaits at any depth, a call of the function with *code*.

    ``Task.iter_await_frames`` ends at the first object with an ``__await__`` of its own that hands on another's, as
    ``Operation`` does; here, what such an object refers to is followed.
    """
    while awaited is not None:
        for frame, following in _MEMBERS:
            if hasattr(awaited, frame):
                if getattr(getattr(awaited, frame), "f_code", None) is code:
                    return True
                awaited = getattr(awaited, following)
                break
        else:
            inside = (
                other for other in gc.get_referents(awaited) if any(hasattr(other, f) for f, _ in _MEMBERS)
            )
            awaited = next(inside, None)
    return False


_MEMBERS: Final = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))


async def settle() -> None:
    """Return when every other task is blocked and no thread is at work. On virtual time, no time passes."""
    await trio.testing.wait_all_tasks_blocked()
    while is_a_thread_at_work():
        await trio.testing.wait_all_tasks_blocked(_LOOK_AGAIN_SECONDS)
