"""The workers of one function.

An invocation takes the worker that became idle last: its caches are warm, and the others may end. Without an idle
one it waits in a queue, in order, and a new worker is started unless enough of them are on the way; it gets
whichever is idle first. A worker that says that it cannot load the function fails the invocation at the head of the
queue, as on Lambda; the service calls again later. One that dies while it starts, and says nothing, may have been
killed by somebody: another one is tried, once, as Lambda does.

Starting a process takes a second of processor time. Only a few start at the same time, over all functions: a crowd
of them would be slower for everybody, and no invocation would begin before all of them had.
"""

from __future__ import annotations

import math
import os
from collections import deque
from typing import TYPE_CHECKING, Final

import trio

from durable_trio.local.workers.conversation import Failed, Phase
from durable_trio.local.workers.environment import worker_environment
from durable_trio.local.workers.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio.local.workers.conversation import Invocation, Outcome
    from durable_trio.local.workers.environment import Endpoint
    from durable_trio.local.workers.functions import WorkerFunction
    from durable_trio.local.workers.runtime_api import RuntimeApi

# A worker that has answered asks for work within a millisecond, unless something holds it up.
_GRACE_SECONDS: Final = 0.5


class _Waiter:
    """An invocation without a worker, and what it gets."""

    def __init__(self) -> None:
        self.served = trio.Event()
        self.got: Worker | Failed | None = None
        self.deaths = 0
        """How many workers have died on the way to it."""

    def serve(self, got: Worker | Failed) -> None:
        self.got = got
        self.served.set()


class WorkerPool:
    """Runs invocations of *function* in worker processes. See ``WorkerHost.pool``."""

    def __init__(
        self,
        function: WorkerFunction,
        endpoint: Endpoint,
        api: RuntimeApi,
        nursery: trio.Nursery,
        starts: trio.CapacityLimiter,
        on_line: Callable[[WorkerFunction, Invocation | None, str], None],
    ) -> None:
        self.function = function
        self._endpoint = endpoint
        self._api = api
        self._nursery = nursery
        self._starts = starts
        self._on_line = on_line
        self._workers: set[Worker] = set()
        self._idle: list[Worker] = []
        self._waiting: deque[_Waiter] = deque()
        self._starting = 0
        self._places = function.max_workers
        self._is_closing = False

    def __repr__(self) -> str:
        return (
            f"<WorkerPool of {self.function.name}, {len(self._workers)} workers, {len(self._idle)} idle, "
            f"{len(self._waiting)} waiting>"
        )

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that run."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    async def invoke(self, make_invocation: Callable[[], Invocation]) -> Outcome:
        """Run an invocation in a worker and return what became of it.

        Waits for a worker. Cancelled while one works on it, that process is killed. Once the pool is closing,
        this only returns what a function has answered, and waits to be cancelled otherwise.

        Args:
            make_invocation: called when there is a worker: the invocation's time starts then.
        """
        got = await self._take()
        while isinstance(got, Worker) and not got.is_idle:
            got = await self._take()  # it has died on the way here
        outcome = got if isinstance(got, Failed) else await got.run(make_invocation())
        if self._is_closing and isinstance(outcome, Failed):
            # The process was killed by us, and that is no failure of the function: nothing is said about the
            # invocation, which counts as interrupted when the service is opened again.
            await trio.sleep_forever()
        return outcome

    async def check(self) -> Failed | None:
        """Start a worker, unless there is an idle one, and say why the function cannot be loaded, if so."""
        got = await self._take()
        if isinstance(got, Failed):
            return got
        self._offer(got)
        return None

    def close(self) -> None:
        """Take notice that the processes are about to be killed."""
        self._is_closing = True

    def retire(self) -> None:
        """Give no more work to the workers that there are now: those that work finish, the others end."""
        for worker in self._workers:
            worker.is_retired = True
            if worker in self._idle or not worker.conversation.started.is_set():
                worker.kill()
        self._idle.clear()

    def reap(self, idle_since: float) -> None:
        """End the workers that have been idle since before *idle_since* (Trio's time)."""
        for worker in [worker for worker in self._idle if worker.idle_since < idle_since]:
            self._idle.remove(worker)
            worker.kill()

    # --- who gets which worker ---------------------------------------------------------------------------

    async def _take(self) -> Worker | Failed:
        if self._idle:
            await trio.lowlevel.checkpoint_if_cancelled()
            return self._idle.pop()
        waiter = _Waiter()
        self._waiting.append(waiter)
        try:
            with trio.move_on_after(_GRACE_SECONDS if self._start_enough() else math.inf):
                await waiter.served.wait()
            if not waiter.served.is_set():
                self._start_enough(is_patient=False)
            await waiter.served.wait()
        except trio.Cancelled:
            if waiter.got is None:
                self._waiting.remove(waiter)
            elif isinstance(waiter.got, Worker):
                self._offer(waiter.got)
            raise
        assert waiter.got is not None  # noqa: S101  # set together with the event
        return waiter.got

    def _offer(self, worker: Worker) -> None:
        """Find work for a worker that asks for it."""
        if worker.is_retired or not worker.is_idle:
            worker.kill()
        elif self._waiting:
            self._waiting.popleft().serve(worker)
        else:
            self._idle.append(worker)

    # --- workers come and go -----------------------------------------------------------------------------

    def _start_enough(self, *, is_patient: bool = True) -> bool:
        """Start a worker for everybody who waits; a patient one counts on those that have just answered.

        Tell whether somebody has to be patient.
        """
        answered = sum(worker.conversation.phase is Phase.ANSWERED for worker in self._workers)
        expected = answered if is_patient else 0
        while self._starting + expected < len(self._waiting) and self._places > 0:
            self._places -= 1
            self._starting += 1
            self._nursery.start_soon(self._employ, name=f"worker of {self.function.name}")
        return self._starting < len(self._waiting) and self._places > 0

    async def _employ(self) -> None:
        """Start a worker, if it is still wanted when its turn comes, and look after it until it ends."""
        async with trio.open_nursery() as nursery:
            async with self._starts:
                if self._waiting:
                    worker = Worker(self.function, on_idle=self._offer, on_line=self._line)
                    nursery.start_soon(self._live, worker)
                    await worker.conversation.started.wait()
            self._starting -= 1
        self._places += 1
        self._start_enough(is_patient=False)

    async def _live(self, worker: Worker) -> None:
        surroundings = await self._endpoint.surroundings()
        self._workers.add(worker)
        self._api.admit(worker.secret, worker.conversation)
        try:
            await worker.live(
                worker_environment(
                    self.function,
                    surroundings,
                    runtime_api=f"{self._api.address}/{worker.secret}",
                    log_stream=worker.log_stream,
                    inherited=os.environ,
                )
            )
        finally:
            self._api.dismiss(worker.secret)
            self._workers.remove(worker)
            if worker in self._idle:
                self._idle.remove(worker)
        self._mourn(worker)

    def _mourn(self, worker: Worker) -> None:
        """A worker that never asked for work has failed somebody."""
        ending = worker.conversation.ending
        if worker.has_asked or worker.is_retired or ending is None or not self._waiting:
            return
        self._waiting[0].deaths += 1
        if worker.has_said_why or self._waiting[0].deaths > 1:
            self._waiting.popleft().serve(Failed(ending))

    def _line(self, invocation: Invocation | None, text: str) -> None:
        self._on_line(self.function, invocation, text)
