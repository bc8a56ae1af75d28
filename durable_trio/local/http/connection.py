"""One connection: Hypercorn's, where a server that lives for weeks needs it otherwise.

- It speaks HTTP/1.1 alone. Hypercorn would follow a client to HTTP/2, where a connection without a request is
  never idle, and lives for ever.
- It is over as soon as its client has left. Hypercorn keeps a task that waits for the connection to have been
  idle, a new one after each request; here that is the deadline of one scope.
- A client that does not read its answer is cut off after a while. Hypercorn shields its sends, so that not even
  closing the endpoint would end them.
- An answer is sent in one piece. Head and body one by one would wake the client twice.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import h11
import trio
from hypercorn.events import Closed, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.typing import ConnectionState

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypercorn.config import Config
    from hypercorn.events import Event
    from hypercorn.trio.worker_context import WorkerContext
    from hypercorn.typing import AppWrapper, H11SendableEvent, TaskGroup

    from durable_trio.local.http.settings import HttpSettings


class Connection(TCPServer):
    """One connection of the endpoint; ``run`` serves it until it is closed."""

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        stream: trio.SocketStream,
        settings: HttpSettings,
    ) -> None:
        # Hypercorn's annotation knows streams with TLS only.
        super().__init__(app, config, context, ConnectionState({}), cast("Any", stream))
        self._write_seconds = settings.write_seconds
        self._idle = _IdleTimer(settings.idle_seconds)
        # Used by the two methods that it has as well.
        self.idle_task = cast("Any", self._idle)

    async def _read_data(self) -> None:
        usual = self.protocol.protocol
        self.protocol.protocol = _Http1(
            usual.app,
            usual.config,
            usual.context,
            usual.task_group,
            usual.connection_state,
            False,
            usual.client,
            usual.server,
            usual.send,
        )
        with self._idle.scope:
            await super()._read_data()
        if self._idle.scope.cancelled_caught:
            await self.protocol.handle(Closed())

    async def protocol_send(self, event: Event) -> None:
        """Send what the protocol has to say, or take note of its state."""
        if isinstance(event, RawData):
            await self._send(event.data)
        elif isinstance(event, Updated):
            self._idle.set(is_idle=event.idle)
        else:
            await super().protocol_send(event)

    async def _send(self, data: bytes) -> None:
        deadline = trio.current_time() + self._write_seconds
        is_sent = False
        async with self.send_lock:
            # Shielded, so that a cancelled request is answered whole or not at all.
            with trio.CancelScope(deadline=deadline, shield=True):
                try:
                    await self.stream.send_all(data)
                    is_sent = True
                except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
                    pass  # The client has left, or is being left: the next lines are for that.
        if not is_sent:
            self.stream.socket.close()
            await self.protocol.handle(Closed())


class _IdleTimer:
    """Ends a connection by *scope* when it has been idle for long enough. In the place of Hypercorn's task."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.scope = trio.CancelScope()

    def set(self, *, is_idle: bool) -> None:
        """Begin to count, or stop it."""
        self.scope.deadline = trio.current_time() + self._seconds if is_idle else math.inf

    async def restart(self, _task_group: TaskGroup, _action: Callable[..., Any]) -> None:
        """Begin to count."""
        self.set(is_idle=True)

    async def stop(self) -> None:
        """Stop counting."""
        self.set(is_idle=False)


class _Http1(H11Protocol):
    _held = b""

    async def _check_protocol(self, event: h11.Request) -> None:
        """Stay with HTTP/1.1, whatever the client proposes."""

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        try:
            self._held += self.connection.send(event)
        except h11.LocalProtocolError:
            # Nothing can be said any more to a client that has broken the rules.
            if self.connection.their_state is not h11.ERROR:
                raise
            return
        if not isinstance(event, (h11.Response, h11.Data)):
            piece, self._held = self._held, b""
            await self.send(RawData(data=piece))
