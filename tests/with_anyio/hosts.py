"""What the tests here need around a handler: an HTTP server, and a service for handlers that are called."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio
from support.clients import FakeService

from durable_trio._protocol.envelope import InvocationInput, encode_invocation
from durable_trio._protocol.operation import ExecutionDetails, OperationRecord, OperationStatus, OperationType


def event(payload: str, *, name: str = "run") -> dict[str, Any]:
    """Return the event of the first invocation of an execution with this input."""
    execution = OperationRecord(
        name, OperationType.EXECUTION, OperationStatus.STARTED, 1, details=ExecutionDetails(payload)
    )
    arn = f"arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST/durable-execution/{name}/{name}"
    return encode_invocation(InvocationInput(arn, "token", (execution,)))


class ServicePerRun:
    """A service in memory for one execution per Trio run: made when asked, since its clock needs the run."""

    def __init__(self) -> None:
        self._made: trio.lowlevel.RunVar[FakeService] = trio.lowlevel.RunVar("service of this run")

    async def checkpoint(self, **request: Any) -> Any:
        """Pass it on to the service of the run."""
        try:
            service = self._made.get()
        except LookupError:
            service = FakeService()
            self._made.set(service)
        return await service.checkpoint(**request)

    async def get_state(self, **request: Any) -> Any:
        """Say that there is nothing to page through."""
        raise AssertionError("the event has no marker")


@dataclass
class Server:
    """An HTTP server that runs: it answers with the path, and holds ``/slow`` back for ever."""

    url: str
    paths: list[str] = field(default_factory=list)
    connections: int = 0
    hung_up: trio.Event = field(default_factory=trio.Event)
    """Set when a client goes away in the middle of ``/slow``."""


@asynccontextmanager
async def http_server() -> AsyncIterator[Server]:
    """Run a small HTTP server on this machine."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server = Server(f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}")
        nursery.start_soon(trio.serve_listeners, functools.partial(_converse, server), listeners)
        yield server
        nursery.cancel_scope.cancel()


async def _converse(server: Server, stream: trio.SocketStream) -> None:
    server.connections += 1
    received = b""
    async with stream:
        async for data in stream:
            received += data
            while b"\r\n\r\n" in received:
                request, _, received = received.partition(b"\r\n\r\n")
                path = request.split()[1].decode()
                server.paths.append(path)
                if path == "/slow":
                    await stream.receive_some()
                    server.hung_up.set()
                    return
                await stream.send_all(
                    b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(path), path.encode())
                )
