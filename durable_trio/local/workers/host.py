"""The worker processes of a service: all its pools, and the Runtime API between them."""

from __future__ import annotations

import math
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from durable_trio.exceptions import ConfigurationError, ValidationError
from durable_trio.local.workers.environment import Endpoint
from durable_trio.local.workers.pool import WorkerPool
from durable_trio.local.workers.runtime_api import RuntimeApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from durable_trio.local.workers.conversation import Invocation
    from durable_trio.local.workers.functions import WorkerFunction

# Nobody says how long Lambda keeps an idle environment; five minutes are enough to try things out.
DEFAULT_IDLE_SECONDS = 300.0


class WorkerHost:
    """Runs functions in worker processes. Made by ``open_worker_host``."""

    def __init__(
        self,
        endpoint: Endpoint,
        api: RuntimeApi,
        nursery: trio.Nursery,
        on_line: Callable[[WorkerFunction, Invocation | None, str], None],
    ) -> None:
        self._endpoint = endpoint
        self._api = api
        self._nursery = nursery
        self._on_line = on_line
        self._starts = trio.CapacityLimiter(max(2, os.cpu_count() or 1))
        self._pools: list[WorkerPool] = []

    def __repr__(self) -> str:
        return f"<WorkerHost {len(self._pools)} functions, {len(self.pids)} processes>"

    @property
    def pids(self) -> list[int]:
        """The ids of all processes that run."""
        return [pid for pool in self._pools for pid in pool.pids]

    def pool(self, function: WorkerFunction) -> WorkerPool:
        """Return a new pool of workers for *function*. No process is started before it is needed."""
        pool = WorkerPool(function, self._endpoint, self._api, self._nursery, self._starts, self._on_line)
        self._pools.append(pool)
        return pool

    def announce(self, endpoint_url: str) -> None:
        """Say where workers find the service; none is started before that."""
        self._endpoint.announce(endpoint_url)

    def retire(self) -> None:
        """Replace all workers, since the code has changed: those that work finish what they do."""
        for pool in self._pools:
            pool.retire()

    async def _reap(self, idle_seconds: float) -> None:
        while True:
            await trio.sleep(idle_seconds / 4)
            for pool in self._pools:
                pool.reap(trio.current_time() - idle_seconds)


@asynccontextmanager
async def open_worker_host(
    region: str,
    *,
    on_line: Callable[[WorkerFunction, Invocation | None, str], None],
    idle_seconds: float = DEFAULT_IDLE_SECONDS,
) -> AsyncIterator[WorkerHost]:
    """Run worker processes while the block lasts; on the way out all of them are killed.

    Args:
        region: the AWS region that the workers are told.
        on_line: called with each line that a worker prints and the invocation it has, or had last (None: none
            yet). It must not block.
        idle_seconds: how long a worker may be idle before it is ended, more than 0; ``math.inf`` for ever. The
            default is five minutes.

    Raises:
        ConfigurationError: this is no POSIX system.
        ValidationError: *idle_seconds* is not positive.
    """
    if not hasattr(os, "killpg"):
        raise ConfigurationError(f"worker processes need a POSIX system, and this is {os.name!r}")
    if not idle_seconds > 0:
        raise ValidationError(f"idle_seconds must be more than 0, not {idle_seconds!r}")
    api = RuntimeApi()
    async with trio.open_nursery() as servers:
        await api.start(servers)
        async with trio.open_nursery() as nursery:
            host = WorkerHost(Endpoint(region), api, nursery, on_line)
            if not math.isinf(idle_seconds):
                nursery.start_soon(host._reap, idle_seconds)
            try:
                yield host
            finally:
                for pool in host._pools:
                    pool.close()
            nursery.cancel_scope.cancel()
        servers.cancel_scope.cancel()
