from __future__ import annotations

import pytest
import trio
from support.endpoints import served

from durable_trio.local.http import HttpSettings
from durable_trio.local.http.guard import why_refused


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:9014",
        "LOCALHOST",
        "localhost.",
        "api.localhost:80",
        "127.0.0.1",
        "127.0.0.1:9014",
        "[::1]",
        "[::1]:9014",
        "192.168.1.20:9014",
        "host.docker.internal:9014",
    ],
)
def test_a_name_of_this_machine_is_answered(host: str) -> None:
    """Localhost, an address (which nobody can rebind), or a name that was allowed."""
    assert why_refused({"host": host}, ("Host.docker.internal",)) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:9014",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "localhost:80:80",
        "[::1",
        "[::1]x",
        "[localhost.evil.example]",
        "notlocalhost",
        "localhost:http",
        "evil.example/localhost",
    ],
)
def test_any_other_name_may_be_rebound(host: str) -> None:
    """A page whose name resolves to this machine says its own name in ``Host``."""
    assert why_refused({"host": host}, ("host.docker.internal",)) is not None


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:3000", ""])
def test_no_page_has_its_home_here(origin: str) -> None:
    """A request with an Origin is a browser's; another port of this machine is another origin as well."""
    assert why_refused({"host": "localhost", "origin": origin}, ()) is not None


@pytest.mark.parametrize(
    ("site", "is_fine"), [("none", True), ("same-origin", True), ("same-site", False), ("cross-site", False)]
)
def test_what_a_page_embeds_is_not_answered(site: str, is_fine: bool) -> None:
    """Images and frames have no Origin, but say whose they are."""
    assert (why_refused({"host": "localhost", "sec-fetch-site": site}, ()) is None) is is_fine


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null", "Content-Type": "text/plain"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
async def test_a_web_page_cannot_drive_the_endpoint(headers: dict[str, str]) -> None:
    """Its requests are refused before they are looked at, and no answer allows it to read anything."""
    calls = []

    def work(event: object, context: object) -> None:
        calls.append(event)

    async with served() as endpoint:
        endpoint.service.register_plain("work", work)
        answer = await endpoint.request(
            "POST", "/2015-03-31/functions/work/invocations", body=b"{}", headers=headers
        )

        assert answer.status == 403
        assert answer.headers["x-amzn-errortype"] == "AccessDeniedException"
        assert not any(name.startswith("access-control-") for name in answer.headers)
    assert calls == []


async def test_a_preflight_is_refused() -> None:
    """A page asks beforehand whether it may send JSON; it may not."""
    async with served() as endpoint:
        answer = await endpoint.request(
            "OPTIONS",
            "/2015-03-31/functions/work/invocations",
            headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
        )

        assert answer.status == 403
        assert not any(name.startswith("access-control-") for name in answer.headers)


async def test_a_page_cannot_open_a_web_socket() -> None:
    """Nothing listens to web sockets here; the browser's upgrade is turned down."""
    async with served() as endpoint:
        stream = await endpoint.connect()
        await stream.send_all(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        with trio.fail_after(10):
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 403")
        await stream.aclose()


async def test_two_hosts_are_refused() -> None:
    """Whoever checks the first and uses the second would be fooled. (The server's parser says so itself.)"""
    async with served() as endpoint:
        stream = await endpoint.connect()
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        with trio.fail_after(10):
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 400")
        await stream.aclose()


async def test_further_names_may_be_allowed() -> None:
    """For clients in a container, say."""
    async with served(HttpSettings(allowed_hosts=("host.docker.internal",))) as endpoint:
        answer = await endpoint.request("GET", "/", headers={"Host": "host.docker.internal:9014"})

        assert answer.status == 200
