"""A local service over HTTP, and boto3 to ask it with, in the nursery of a test.

boto3 blocks, so its calls run in worker threads while the endpoint runs in the test's own Trio run, on a port of
its own.
"""

from __future__ import annotations

import http.client
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import boto3
import trio
from botocore.config import Config

from durable_trio.local import open_local_service
from durable_trio.local.http import HttpSettings, serve_http

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from durable_trio.local import LocalService


@dataclass(frozen=True)
class RawAnswer:
    """An HTTP answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def members(self) -> dict[str, Any]:
        """The body's JSON object."""
        members = json.loads(self.body)
        assert isinstance(members, dict)
        return members


@dataclass(frozen=True)
class Served:
    """A service, its URL, and a client of it."""

    service: LocalService
    url: str
    boto: Any

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    async def call(self, method: str, **members: Any) -> dict[str, Any]:
        """Call a method of boto3's client in a thread."""
        answer: dict[str, Any] = await in_thread(partial(getattr(self.boto, method), **members))
        return answer

    async def request(
        self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> RawAnswer:
        """Send one request as it is, and return the answer."""
        answer: RawAnswer = await in_thread(
            partial(_request, self.address, method, path, body, dict(headers or {}))
        )
        return answer

    async def connect(self) -> trio.SocketStream:
        """Return a connection of one's own."""
        return await trio.open_tcp_stream(*self.address)


async def in_thread(function: Callable[[], Any]) -> Any:
    """Run *function* in a thread; it is left behind if the test is cancelled."""
    return await trio.to_thread.run_sync(function, abandon_on_cancel=True)


def _request(
    address: tuple[str, int], method: str, path: str, body: bytes, headers: dict[str, str]
) -> RawAnswer:
    connection = http.client.HTTPConnection(*address, timeout=30)
    try:
        connection.request(method, path, body=body or None, headers=headers)
        answer = connection.getresponse()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return RawAnswer(answer.status, names, answer.read())
    finally:
        connection.close()


def boto_client(url: str, **config: Any) -> Any:
    """Return boto3's client of Lambda at *url*; it tries everything once."""
    return boto3.client(
        "lambda",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1, "mode": "standard"}, read_timeout=60, **config),
    )


@asynccontextmanager
async def serving(
    service: LocalService, settings: HttpSettings | None = None, *, port: int = 0
) -> AsyncIterator[Served]:
    """Serve *service* over HTTP while the block lasts."""
    async with trio.open_nursery() as nursery:
        url = await nursery.start(partial(serve_http, service, port=port, settings=settings))
        try:
            yield Served(service, url, await in_thread(lambda: boto_client(url)))
        finally:
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def served(settings: HttpSettings | None = None, *, virtual_time: bool = True) -> AsyncIterator[Served]:
    """Open a service in memory, whose time jumps when nothing can run, and serve it."""
    async with (
        open_local_service(virtual_time=virtual_time) as service,
        serving(service, settings) as endpoint,
    ):
        yield endpoint


def execution_path(arn: str, operation: str = "") -> str:
    """Return the path of an operation on an execution, as AWS's clients encode it."""
    return f"/2025-12-01/durable-executions/{quote(arn, safe='')}{operation}"
