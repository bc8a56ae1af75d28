"""Functions in worker processes, put together with a local service."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import trio

from durable_trio.local.function_config import FunctionConfig
from durable_trio.local.logs import LogLine
from durable_trio.local.workers.host import DEFAULT_IDLE_SECONDS, open_worker_host
from durable_trio.local.workers.logs import LogKeeper
from durable_trio.local.workers.target import WorkerTarget

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from durable_trio.local import LocalService
    from durable_trio.local.workers.conversation import Invocation
    from durable_trio.local.workers.functions import WorkerFunction
    from durable_trio.local.workers.host import WorkerHost
    from durable_trio.local.workers.pool import WorkerPool


@dataclass(frozen=True, slots=True)
class PrintedLine:
    """A line that a worker printed. *execution_arn* and *request_id* are None for what no invocation is about."""

    function_name: str
    text: str
    execution_arn: str | None = None
    request_id: str | None = None


class Workers:
    """Runs functions of a service in worker processes. Made by ``open_workers``."""

    def __init__(
        self, service: LocalService, keeper: LogKeeper, on_line: Callable[[PrintedLine], None]
    ) -> None:
        self._service = service
        self._keeper = keeper
        self._on_line = on_line
        self._host: WorkerHost | None = None

    def __repr__(self) -> str:
        return f"<Workers {self._host!r}, {self._keeper!r}>"

    @property
    def host(self) -> WorkerHost:
        """The processes."""
        assert self._host is not None  # noqa: S101  # set before anybody has this object
        return self._host

    def register(
        self, function: WorkerFunction, *, is_durable: bool = True, config: FunctionConfig | None = None
    ) -> WorkerPool:
        """Make a function known to the service; invocations of it run in workers from now on.

        Args:
            function: the handler and its process; also says the time-out, memory size and environment.
            is_durable: whether it is a durable function; if not, it is called with the bare payload.
            config: everything else about it.

        Raises:
            ValidationError: see ``LocalService.register_remote``.
        """
        pool = self.host.pool(function)
        config = replace(
            config if config is not None else FunctionConfig(),
            timeout_seconds=function.timeout_seconds,
            memory_limit_in_mb=function.memory_limit_in_mb,
            capacity=function.max_workers,
            handler=f"{function.module}.{function.attribute}",
            environment=function.environment,
        )
        target = WorkerTarget(pool, lambda invocation: self._timed_out(function, invocation))
        self._service.register_remote(function.name, target, is_durable=is_durable, config=config)
        return pool

    def line(self, function: WorkerFunction, invocation: Invocation | None, text: str) -> None:
        """Take a line that a worker of *function* printed: keep it, and pass it on."""
        arn = None if invocation is None else invocation.log_arn
        request_id = None if invocation is None else invocation.request_id
        if arn is not None:
            # The time of the log is the system's, as in the lines themselves; the service's may be virtual.
            at = round(time.time() * 1000)
            self._keeper.keep(arn, LogLine(at, text, request_id, function.name))
        self._on_line(PrintedLine(function.name, text, arn, request_id))

    def _timed_out(self, function: WorkerFunction, invocation: Invocation) -> None:
        self.line(
            function,
            invocation,
            f"RequestId: {invocation.request_id} Task timed out after {function.timeout_seconds:.2f} seconds",
        )


@asynccontextmanager
async def open_workers(
    service: LocalService,
    *,
    region: str = "us-east-1",
    on_line: Callable[[PrintedLine], None] | None = None,
    idle_seconds: float = DEFAULT_IDLE_SECONDS,
) -> AsyncIterator[Workers]:
    """Run functions of *service* in worker processes while the block lasts.

    Register the functions, then ``host.announce`` the URL at which the service is served: no worker is started
    before that. On the way out all processes are killed; the service counts their invocations as interrupted.

    Args:
        service: whose functions they are.
        region: the AWS region that the workers are told.
        on_line: called with everything that a worker prints; must not block.
        idle_seconds: see ``open_worker_host``.

    Raises:
        ConfigurationError: this is no POSIX system.
        ValidationError: *idle_seconds* is not positive.
    """
    keeper = LogKeeper(service)
    workers = Workers(service, keeper, on_line if on_line is not None else _ignore)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        async with open_worker_host(region, on_line=workers.line, idle_seconds=idle_seconds) as host:
            workers._host = host
            yield workers
        nursery.cancel_scope.cancel()


def _ignore(_line: PrintedLine) -> None:
    """Whoever does not want the lines still has them in the service."""
