"""The endpoint: where it listens, and the connections it has.

Hypercorn's protocol code serves each connection (``connection``). Its server around it is not used: there, what
goes wrong in one connection ends all of them, and their number has no limit.
"""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.utils import wrap_app

from durable_trio.exceptions import ConfigurationError
from durable_trio.local.http.connection import Connection
from durable_trio.local.http.routes import create_app
from durable_trio.local.http.settings import DEFAULT_PORT, HttpSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hypercorn.typing import ASGIFramework

    from durable_trio.local.service import LocalService

logger = logging.getLogger("durable_trio.local.http")


async def serve_http(
    service: LocalService,
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    settings: HttpSettings | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the API of *service* over HTTP until cancelled.

    There is no authentication: whoever can connect may do everything. Leave *host* on loopback unless the
    network is yours alone. Requests of web pages are refused (see ``guard``).

    On cancellation open requests are cut off. What they had asked for may be done or not; an execution that a
    client waits for goes on.

    Args:
        service: what is served; any number of endpoints may serve one service.
        host: the address to listen on, or a name of one.
        port: 0 for any that is free.
        settings: see ``HttpSettings``.
        task_status: reports the endpoint's URL once it listens (``url = await nursery.start(serve_http,
        service)``).

    Raises:
        ConfigurationError: it is not possible to listen there.
    """
    settings = settings if settings is not None else HttpSettings()
    connections = _Connections(service, settings)
    listeners = await _listen(host, port)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connections.cut_off_when_cancelled)
            await nursery.start(trio.serve_listeners, connections.serve, listeners)
            task_status.started(_url(host, listeners[0]))
    finally:
        for listener in listeners:
            listener.socket.close()


async def _listen(host: str, port: int) -> list[trio.SocketListener]:
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except (OSError, OverflowError) as problem:
        raise ConfigurationError(f"cannot listen on {host!r}, port {port}: {problem}") from problem


def _url(host: str, listener: trio.SocketListener) -> str:
    port = listener.socket.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Connections:
    """The connections of one endpoint."""

    def __init__(self, service: LocalService, settings: HttpSettings) -> None:
        self._settings = settings
        self._app = wrap_app(cast("ASGIFramework", create_app(service, settings)), 0, "asgi")
        self._config = _config()
        self._context = WorkerContext(None)
        self._open: set[trio.SocketStream] = set()

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection until it is closed."""
        if len(self._open) >= self._settings.max_connections:
            logger.warning("there are %d connections already, another one is closed", len(self._open))
            await stream.aclose()
            return
        connection = Connection(self._app, self._config, self._context, stream, self._settings)
        async with self._kept(stream):
            try:
                await connection.run()
            except Exception:
                logger.warning("a connection failed", exc_info=True)

    @asynccontextmanager
    async def _kept(self, stream: trio.SocketStream) -> AsyncIterator[None]:
        self._open.add(stream)
        try:
            yield
        finally:
            self._open.discard(stream)
            stream.socket.close()

    async def cut_off_when_cancelled(self) -> None:
        """Close the connections when the endpoint is cancelled, also under a send that is shielded."""
        try:
            await trio.sleep_forever()
        finally:
            for stream in self._open:
                stream.socket.close()


def _config() -> Config:
    config = Config()
    config.errorlog = logger
    config.accesslog = None
    config.include_server_header = False
    return config
