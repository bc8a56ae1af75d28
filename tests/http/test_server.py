"""Connections: how they end, and what they may cost."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
from support.endpoints import execution_path, served, serving
from support.http_workflows import register_all
from trio.testing import wait_all_tasks_blocked

from durable_trio.exceptions import ConfigurationError, ValidationError
from durable_trio.local import open_local_service
from durable_trio.local.http import HttpSettings, serve_http

if TYPE_CHECKING:
    from typing import Any

HEAD = b" HTTP/1.1\r\nHost: localhost\r\n"


async def read_all(stream: trio.SocketStream, seconds: float = 10) -> bytes:
    """Read until the other side closes."""
    received = b""
    with trio.fail_after(seconds):
        while piece := await stream.receive_some():
            received += piece
    return received


async def test_a_port_that_is_taken_is_said() -> None:
    """In the words of a configuration error, that names the port."""
    async with open_local_service() as service, serving(service) as endpoint:
        port = endpoint.address[1]
        with pytest.raises(ConfigurationError, match=str(port)):
            await serve_http(service, port=port)
        with pytest.raises(ConfigurationError, match=r"no\.such\.host\.invalid"):
            await serve_http(service, host="no.such.host.invalid", port=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_body_bytes": 0},
        {"body_seconds": 0},
        {"write_seconds": -1},
        {"idle_seconds": float("nan")},
        {"max_connections": 0},
        {"allowed_hosts": "localhost"},
    ],
)
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    """Where they are made, by name."""
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        HttpSettings(**wrong)


async def test_it_listens_on_loopback_unless_told_otherwise() -> None:
    """Nobody else's machine can reach what asks for no credentials."""
    async with open_local_service() as service, serving(service) as endpoint:
        assert endpoint.url.startswith("http://127.0.0.1:")


async def test_ipv6_has_its_brackets() -> None:
    """The URL can be used as it is."""
    async with open_local_service() as service, trio.open_nursery() as nursery:
        try:
            url = await nursery.start(partial(serve_http, service, host="::1", port=0))
        except ConfigurationError:
            pytest.skip("this machine has no IPv6")
        assert url.startswith("http://[::1]:")
        nursery.cancel_scope.cancel()


async def test_a_connection_is_used_again() -> None:
    """Also after an error."""
    async with served() as endpoint:
        stream = await endpoint.connect()
        async with stream:
            for path in (b"/", b"/nothing"):
                await stream.send_all(b"GET " + path + HEAD + b"\r\n")
            await stream.send_all(b"GET /" + HEAD + b"Connection: close\r\n\r\n")
            answers = (await read_all(stream)).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200", b"404", b"200"]


@pytest.mark.parametrize(
    ("more", "body"),
    [
        (b"Content-Length: 2\r\n", b"{}"),
        (b"Transfer-Encoding: chunked\r\n", b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"),
        (b"Content-Length: 2\r\nExpect: 100-continue\r\n", b"{}"),
    ],
    ids=["length", "chunked", "expect"],
)
async def test_a_body_may_come_in_any_way_of_http(more: bytes, body: bytes) -> None:
    """With its length, in chunks, or after a question whether it is welcome."""
    async with served() as endpoint, await endpoint.connect() as stream:
        register_all(endpoint.service)
        path = b"/2015-03-31/functions/echo/invocations"
        await stream.send_all(b"POST " + path + HEAD + more + b"Connection: close\r\n\r\n")
        await stream.send_all(body)
        answer = await read_all(stream)

    head, _, said = answer.removeprefix(b"HTTP/1.1 100 \r\n").rpartition(b"\r\n\r\n")
    assert b"HTTP/1.1 200" in head
    assert said == b"{}"


async def test_an_answer_is_one_piece() -> None:
    """Head and body together: two packets would wake a client twice."""
    async with served() as endpoint, await endpoint.connect() as stream:
        await stream.send_all(b"GET /" + HEAD + b"\r\n")
        with trio.fail_after(10):
            assert (await stream.receive_some()).endswith(b"}")


async def test_an_idle_connection_is_closed() -> None:
    """One that says nothing, and one that never ends its headers."""
    async with served(HttpSettings(idle_seconds=0.1)) as endpoint:
        for said in (b"", b"GET / HTTP/1.1\r\nHost: loc"):
            async with await endpoint.connect() as stream:
                await stream.send_all(said)
                assert await read_all(stream) == b""


async def test_a_body_that_does_not_come_is_given_up() -> None:
    """However often a byte of it does; and the client is told."""
    async with served(HttpSettings(body_seconds=0.2)) as endpoint, trio.open_nursery() as nursery:
        stream = await endpoint.connect()
        await stream.send_all(
            b"POST /2015-03-31/functions/f/invocations" + HEAD + b"Content-Length: 999\r\n\r\n"
        )

        async def trickle() -> None:
            while True:
                await stream.send_all(b" ")
                await trio.sleep(0.02)

        nursery.start_soon(trickle)
        with trio.fail_after(10):
            answer = b""
            while b"RequestTimeoutException" not in answer:
                answer += await stream.receive_some()
        nursery.cancel_scope.cancel()
        await stream.aclose()

    assert answer.startswith(b"HTTP/1.1 408")


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    """After a while; what it did not read is kept in no memory for ever."""
    async with served(HttpSettings(write_seconds=0.2), virtual_time=False) as endpoint:
        register_all(endpoint.service)
        stream = await ask_for_much(endpoint)
        with trio.fail_after(20), pytest.raises(trio.BrokenResourceError):
            await send_until_refused(stream)
        await stream.aclose()


async def test_closing_does_not_wait_for_a_client_that_does_not_read() -> None:
    """Ctrl-C works, whatever the clients do."""
    with trio.fail_after(20):
        async with served(HttpSettings(write_seconds=3_600), virtual_time=False) as endpoint:
            register_all(endpoint.service)
            stream = await ask_for_much(endpoint)
            await wait_all_tasks_blocked(0.1)
    await stream.aclose()


async def send_until_refused(stream: trio.SocketStream) -> None:
    """Send now and then: that is what notices that the other side has gone."""
    while True:
        await stream.send_all(b"\r\n")
        await wait_all_tasks_blocked(0.05)


async def ask_for_much(endpoint: Any) -> trio.SocketStream:
    """Ask for megabytes, and do not read them."""
    payload = json.dumps({"name": "x" * 3_000_000})
    execution = await endpoint.service.start_execution("greet", payload)
    await endpoint.service.wait_closed(execution.arn)
    stream: trio.SocketStream = await endpoint.connect()
    path = execution_path(execution.arn, "/history").encode()
    await stream.send_all(b"GET " + path + HEAD + b"\r\n")
    return stream


async def test_connections_have_a_limit() -> None:
    """One too many is closed at once; when another one ends, there is room again."""
    async with served(HttpSettings(max_connections=2)) as endpoint:
        first, second = await endpoint.connect(), await endpoint.connect()
        third = await endpoint.connect()
        assert await read_all(third) == b""
        await first.aclose()
        await wait_all_tasks_blocked(0.05)
        fourth = await endpoint.connect()
        await fourth.send_all(b"GET /" + HEAD + b"Connection: close\r\n\r\n")
        assert (await read_all(fourth)).startswith(b"HTTP/1.1 200")
        for stream in (second, third, fourth):
            await stream.aclose()


async def test_what_goes_wrong_in_one_connection_ends_that_one(caplog: pytest.LogCaptureFixture) -> None:
    """Noise of every kind; the next client is served as if nothing had been."""
    noise = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 200,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x03\x01\x05\x00\x00\x00\x01\x82\x84\x86",
        b"GET /"
        + HEAD
        + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: !!\r\n\r\n",
        b"GET /" + HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"GET /" + b"a" * 100_000 + HEAD + b"\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\xff\xfe" + HEAD + b"\r\n",
        b"GET http://evil.example/" + HEAD + b"\r\n",
    ]
    async with served(HttpSettings(idle_seconds=0.2, body_seconds=0.2)) as endpoint:
        for said in noise:
            stream = await endpoint.connect()
            await stream.send_all(said)
            received = await read_all(stream)
            assert b"Traceback" not in received
            await stream.aclose()
        assert (await endpoint.request("GET", "/")).status == 200


async def test_one_connection_after_another_leaves_nothing_behind() -> None:
    """Clients that come, ask once and go, as command lines do, are forgotten at once."""
    async with served(HttpSettings(max_connections=5)) as endpoint:
        for _ in range(30):
            assert (await endpoint.request("GET", "/")).status == 200
            await wait_all_tasks_blocked()


async def test_the_arn_may_have_its_slashes_encoded_or_not() -> None:
    """AWS's clients encode them; people who type do not."""
    async with served() as endpoint:
        register_all(endpoint.service)
        arn = (await endpoint.service.start_execution("greet", '{"name": "ada"}')).arn
        for path in (execution_path(arn), f"/2025-12-01/durable-executions/{arn}"):
            answer = await endpoint.request("GET", path)
            assert answer.members["DurableExecutionArn"] == arn
            assert (await endpoint.request("GET", f"{path}/history")).status == 200


async def test_an_id_that_is_like_an_operation_is_an_id() -> None:
    """The ARN has exactly two slashes, so the path cannot be read in two ways."""
    async with served() as endpoint:
        register_all(endpoint.service)
        arn = (await endpoint.service.start_execution("greet", '{"name": "ada"}', name="history")).arn
        stem = arn.rpartition("/")[0]
        assert (await endpoint.request("GET", execution_path(f"{stem}/history"))).status == 404
        assert (await endpoint.request("GET", execution_path(stem))).status == 400
        assert (await endpoint.request("GET", execution_path(arn))).status == 200


async def test_answers_are_not_for_a_browser_to_keep() -> None:
    """Not to be stored, sniffed, or shown in another page."""
    async with served() as endpoint:
        for path in ("/", "/nothing"):
            headers = (await endpoint.request("GET", path)).headers
            assert headers["cache-control"] == "no-store"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cross-origin-resource-policy"] == "same-origin"
            assert "server" not in headers
