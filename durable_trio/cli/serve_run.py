"""Serving until a signal comes: the service, its HTTP endpoint, and the workers, put together.

Functions are known before the endpoint listens, so that no client is told that one does not exist; and unfinished
executions are taken over once functions can reach the endpoint.
"""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import trio

from durable_trio.cli.errors import UserError, only_error
from durable_trio.cli.options import DEFAULT_DATABASE
from durable_trio.cli.serve_output import Printer, banner
from durable_trio.exceptions import ConfigurationError, ValidationError
from durable_trio.local import LocalSettings, open_local_service
from durable_trio.local.http import DEFAULT_PORT, HttpSettings, serve_http
from durable_trio.local.workers.endpoint import EndpointTarget
from durable_trio.local.workers.functions import WorkerFunction
from durable_trio.local.workers.registering import open_workers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from durable_trio.cli.serve_config import ServedFunction
    from durable_trio.local import LocalService
    from durable_trio.local.workers.pool import WorkerPool
    from durable_trio.local.workers.registering import Workers

_WATCH_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRequest:
    """What the user asked for."""

    functions: tuple[ServedFunction, ...]
    is_reloading: bool = False
    reload_folders: tuple[Path, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    db: Path = Path(DEFAULT_DATABASE)
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    region: str = "us-east-1"
    account: str = "123456789012"
    virtual_time: bool = False
    speed: float = 1.0

    @property
    def how_time_goes(self) -> str:
        """Say what is unusual about time."""
        if self.virtual_time:
            return "; time jumps to the next timer whenever nothing can run"
        return "" if self.speed == 1 else f"; time runs {self.speed:g} times faster whenever nothing can run"


def run_until_signal(request: ServeRequest) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Raises:
        UserError: it is not possible to listen there, or a function cannot be registered.
    """
    try:
        trio.run(_serve, request)
    except Exception as error:
        reason = only_error(error)
        if isinstance(reason, ConfigurationError | ValidationError):
            raise UserError(str(reason)) from error
        raise
    click.echo("Stopped. Start it again, and unfinished executions go on.", err=True)


async def _serve(request: ServeRequest) -> None:
    printer = Printer([function.name for function in request.functions])
    settings = LocalSettings(region=request.region, account=request.account)
    async with (
        _until_signal() as nursery,
        open_local_service(
            request.db,
            settings=settings,
            watch_seconds=_WATCH_SECONDS,
            virtual_time=request.virtual_time,
            speed=request.speed,
        ) as service,
        open_workers(service, region=request.region, on_line=printer.line) as workers,
    ):
        nursery.start_soon(printer.run)
        pools = _register(request, service, workers)
        url = await nursery.start(_serve_http, service, request)
        workers.host.announce(url)
        for line in banner(
            request.functions,
            url=url,
            db=str(request.db),
            region=request.region,
            how_time_goes=request.how_time_goes,
        ):
            printer.note(line)
        await _take_over(service, printer)
        for pool in pools:
            nursery.start_soon(_check, pool, printer)
        if request.is_reloading:
            nursery.start_soon(_reload, request, workers, printer)
        await trio.sleep_forever()


@asynccontextmanager
async def _until_signal() -> AsyncIterator[trio.Nursery]:
    """Cancel what is inside at the first signal; the second kills, which loses nothing either."""

    async def watch(scope: trio.CancelScope) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            await anext(signals)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, nursery.cancel_scope)
        yield nursery


def _register(request: ServeRequest, service: LocalService, workers: Workers) -> list[WorkerPool]:
    pools = []
    for function in request.functions:
        if isinstance(function.runs, WorkerFunction):
            pools.append(
                workers.register(function.runs, is_durable=function.is_durable, config=function.config)
            )
        else:
            service.register_remote(
                function.name,
                EndpointTarget(function.runs, region=request.region),
                is_durable=function.is_durable,
                config=function.config,
            )
    return pools


async def _serve_http(
    service: LocalService, request: ServeRequest, *, task_status: trio.TaskStatus[Any]
) -> None:
    settings = HttpSettings(allowed_hosts=request.allowed_hosts)
    await serve_http(
        service, host=request.host, port=request.port, settings=settings, task_status=task_status
    )


async def _take_over(service: LocalService, printer: Printer) -> None:
    taken = await service.take_over_all()
    if taken:
        printer.note(f"{len(taken)} unfinished execution{'s go' if len(taken) > 1 else ' goes'} on")


async def _check(pool: WorkerPool, printer: Printer) -> None:
    """Start one worker, so that a mistake in the code shows now and not with the first invocation."""
    failed = await pool.check()
    if failed is not None:
        printer.note(f"{pool.function.name} cannot be loaded: {failed.error.type}: {failed.error.message}")


async def _reload(request: ServeRequest, workers: Workers, printer: Printer) -> None:
    # Here, not above: it loads a compiled library that nothing else needs.
    from durable_trio.cli.serve_reload import watch_code

    def change(files: list[Path]) -> None:
        printer.note(f"{', '.join(file.name for file in files)} changed: new invocations run the new code")
        workers.host.retire()

    folders = {
        function.runs.directory for function in request.functions if not isinstance(function.runs, str)
    }
    await watch_code(folders | set(request.reload_folders), change)
