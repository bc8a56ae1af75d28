"""Lambda's Runtime API over HTTP, spoken by hand."""

from __future__ import annotations

import http.client
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import trio
from serve.calls import invocation

from durable_trio._protocol.operation import ErrorObject
from durable_trio.local.workers.conversation import Answered, Conversation, Failed, Outcome
from durable_trio.local.workers.runtime_api import MAX_RESPONSE_BYTES, RuntimeApi

SECRET = "a-secret"
BASE = f"/{SECRET}/2018-06-01/runtime"


@dataclass
class Reply:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def error(self) -> Any:
        """The error type."""
        return json.loads(self.body)["errorType"]


class Scene:
    """One worker that is admitted, and a client to speak for it."""

    def __init__(self, api: RuntimeApi) -> None:
        self.api = api
        self.idle = trio.Event()
        self.conversation = Conversation(on_idle=lambda: self.idle.set(), on_answer=lambda: None)
        self.outcomes: list[Outcome] = []
        api.admit(SECRET, self.conversation)

    async def send(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Reply:
        """Send one request."""

        def call() -> Reply:
            connection = http.client.HTTPConnection(self.api.address, timeout=20)
            try:
                connection.request(method, path, body, headers or {})
                response = connection.getresponse()
                return Reply(response.status, response.msg, response.read())
            finally:
                connection.close()

        return await trio.to_thread.run_sync(call)

    async def work(self, nursery: trio.Nursery, request_id: str, **members: Any) -> Reply:
        """Ask for work and be given an invocation, whose outcome is noted."""

        async def give() -> None:
            await self.idle.wait()
            call = invocation({"n": 1}, request_id=request_id, **members)()
            self.outcomes.append(await self.conversation.give(call))

        self.idle = trio.Event()
        nursery.start_soon(give)
        return await self.send("GET", f"{BASE}/invocation/next")


@asynccontextmanager
async def open_scene() -> AsyncIterator[Scene]:
    """Serve the API."""
    async with trio.open_nursery() as nursery:
        api = RuntimeApi()
        await api.start(nursery)
        yield Scene(api)
        nursery.cancel_scope.cancel()


async def test_an_invocation_comes_with_its_headers() -> None:
    """``next`` answers with the event, and says the rest in headers; ``response`` is the outcome."""
    async with open_scene() as scene, trio.open_nursery() as nursery:
        told = await scene.work(nursery, "r1", tenant_id="t", trace_id="Root=1", client_context='{"a":1}')
        answered = await scene.send("POST", f"{BASE}/invocation/r1/response", '{"ü": 1}'.encode())

    assert (told.status, json.loads(told.body)) == (200, {"n": 1})
    assert told.headers["Lambda-Runtime-Aws-Request-Id"] == "r1"
    assert told.headers["Lambda-Runtime-Invoked-Function-Arn"] == "arn:function"
    assert told.headers["Lambda-Runtime-Aws-Tenant-Id"] == "t"
    assert told.headers["Lambda-Runtime-Trace-Id"] == "Root=1"
    assert json.loads(told.headers["Lambda-Runtime-Client-Context"]) == {"a": 1}
    assert told.headers["Lambda-Runtime-Deadline-Ms"].isdigit()
    assert answered.status == 202
    assert scene.outcomes == [Answered('{"ü": 1}')]


@pytest.mark.parametrize(
    ("body", "headers", "error"),
    [
        (
            json.dumps({"errorMessage": "no", "errorType": "Refused", "stackTrace": ["line\n"]}).encode(),
            {},
            ErrorObject(message="no", type="Refused", stack=("line",)),
        ),
        (
            b"not JSON",
            {"Lambda-Runtime-Function-Error-Type": "Odd"},
            ErrorObject(message="not JSON", type="Odd"),
        ),
        (b"[]", {}, ErrorObject(message="[]", type="Unhandled")),
        (b'{"stackTrace": 1}', {}, ErrorObject(message="", type="Unhandled")),
        (b"x" * 262_145, {}, ErrorObject(message="The error has more than 262144 bytes", type="Unhandled")),
    ],
)
async def test_an_error_may_come_in_any_shape(
    body: bytes, headers: dict[str, str], error: ErrorObject
) -> None:
    """What a runtime says about an error is taken as far as it can be understood."""
    async with open_scene() as scene, trio.open_nursery() as nursery:
        await scene.work(nursery, "r1")
        reply = await scene.send("POST", f"{BASE}/invocation/r1/error", body, headers)

    assert reply.status == 202
    assert scene.outcomes == [Failed(error)]


async def test_an_answer_may_not_be_too_big() -> None:
    """One byte more than Lambda takes is refused, and is the invocation's failure; one byte less is not."""
    async with open_scene() as scene:
        for size, status in ((MAX_RESPONSE_BYTES, 202), (MAX_RESPONSE_BYTES + 1, 413)):
            async with trio.open_nursery() as nursery:
                await scene.work(nursery, "r")
                reply = await scene.send("POST", f"{BASE}/invocation/r/response", b"1" * size)
            assert reply.status == status

    assert isinstance(scene.outcomes[0], Answered)
    assert isinstance(scene.outcomes[1], Failed)
    assert scene.outcomes[1].error.type == "Function.ResponseSizeTooLarge"


async def test_an_answer_has_to_be_text() -> None:
    """Bytes that are no UTF-8 are the function's failure, not ours."""
    async with open_scene() as scene, trio.open_nursery() as nursery:
        await scene.work(nursery, "r")
        await scene.send("POST", f"{BASE}/invocation/r/response", b"\xff")

    assert isinstance(scene.outcomes[0], Failed)
    assert scene.outcomes[0].error.type == "Runtime.MarshalError"


async def test_what_does_not_fit_is_refused() -> None:
    """Refusals are JSON with Lambda's error types, and change nothing."""
    async with open_scene() as scene, trio.open_nursery() as nursery:
        early = await scene.send("POST", f"{BASE}/invocation/r1/response", b"1")
        await scene.work(nursery, "r1")
        other = await scene.send("POST", f"{BASE}/invocation/r2/response", b"1")
        again = await scene.send("GET", f"{BASE}/invocation/next")
        init = await scene.send("POST", f"{BASE}/init/error", b"{}")
        await scene.send("POST", f"{BASE}/invocation/r1/response", b"2")
        twice = await scene.send("POST", f"{BASE}/invocation/r1/response", b"3")

    assert [(reply.status, reply.error) for reply in (early, other, again, init, twice)] == [
        (400, "InvalidRequestID"),
        (400, "InvalidRequestID"),
        (403, "InvalidStateTransition"),
        (403, "InvalidStateTransition"),
        (403, "InvalidStateTransition"),
    ]
    assert scene.outcomes == [Answered("2")]


async def test_init_errors_end_the_conversation() -> None:
    """A worker that cannot load its function says so before it asks for work."""
    async with open_scene() as scene:
        body = b'{"errorMessage": "no module", "errorType": "Runtime.ImportModuleError"}'
        reply = await scene.send("POST", f"{BASE}/init/error", body)

    assert reply.status == 202
    assert scene.conversation.ending == ErrorObject(message="no module", type="Runtime.ImportModuleError")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/2018-06-01/runtime/invocation/next", {}, 404),
        ("GET", "/guess/2018-06-01/runtime/invocation/next", {}, 404),
        ("POST", f"{BASE}/invocation/next", {}, 405),
        ("GET", "/", {}, 404),
        ("GET", f"{BASE}/invocation/next", {"Origin": "https://evil.example"}, 403),
        ("GET", f"{BASE}/invocation/next", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("POST", f"{BASE}/invocation/r/response", {"Sec-Fetch-Mode": "no-cors"}, 403),
    ],
)
async def test_strangers_get_nothing(method: str, path: str, headers: dict[str, str], status: int) -> None:
    """Who does not know a worker's path, or speaks for a web page, is refused, in JSON."""
    async with open_scene() as scene:
        reply = await scene.send(method, path, headers=headers)

    assert (reply.status, set(json.loads(reply.body))) == (status, {"errorType", "errorMessage"})
    assert not scene.conversation.started.is_set()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET " + b"/" * 3_000_000,
    ],
    ids=["bytes", "no path", "negative length", "endless line"],
)
async def test_garbage_does_not_disturb_anybody(garbage: bytes) -> None:
    """Whoever sends what is no HTTP is cut off, or refused; a worker's request is answered as ever."""
    async with open_scene() as scene, trio.open_nursery() as nursery:
        host, _, port = scene.api.address.partition(":")
        with trio.fail_after(20):
            stream = await trio.open_tcp_stream(host, int(port))
            async with stream:
                try:
                    await stream.send_all(garbage)
                    answer = b"".join([chunk async for chunk in stream])
                except trio.BrokenResourceError:
                    answer = b""
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
        assert b"Traceback" not in answer
        told = await scene.work(nursery, "r1")
        await scene.send("POST", f"{BASE}/invocation/r1/response", b"1")

    assert told.status == 200


async def test_a_dismissed_worker_is_a_stranger() -> None:
    """Its path leads nowhere any more."""
    async with open_scene() as scene:
        scene.api.dismiss(SECRET)
        reply = await scene.send("GET", f"{BASE}/invocation/next")

    assert reply.status == 404


async def test_it_listens_on_loopback_only() -> None:
    """Nobody on the network can connect."""
    async with open_scene() as scene:
        assert scene.api.address.startswith("127.0.0.1:")
