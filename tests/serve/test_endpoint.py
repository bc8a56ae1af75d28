"""Functions that run elsewhere, behind Lambda's Invoke API."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import trio
from serve.servers import free_port

from durable_trio.clock import Clock
from durable_trio.exceptions import ValidationError
from durable_trio.local.calls import FunctionCall, FunctionError
from durable_trio.local.function_config import FunctionConfig, FunctionDescription
from durable_trio.local.workers.endpoint import EndpointTarget, InvokeUrl, read_answer


class Elsewhere:
    """A server that speaks the Invoke API, and notes what it is asked."""

    def __init__(self) -> None:
        self.answer: tuple[int, dict[str, str], bytes] = (200, {}, b"null")
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.hold = threading.Event()
        self.hold.set()
        elsewhere = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                elsewhere.asked.append((self.path, dict(self.headers), body))
                elsewhere.hold.wait(20)
                status, headers, content = elsewhere.answer
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    """A function's endpoint that runs."""
    server = Elsewhere()
    thread = threading.Thread(target=server.server.serve_forever)
    thread.start()
    yield server
    server.hold.set()
    server.server.shutdown()
    server.server.server_close()
    thread.join()


def call(**members: Any) -> FunctionCall:
    """Return what the service tells about a call."""
    arn = "arn:aws:lambda:us-east-1:123456789012:function:orders"
    function = FunctionDescription(
        "orders", arn, "$LATEST", True, "remote", FunctionConfig(timeout_seconds=5), 0
    )
    defaults = {"request_id": "r", "durable_execution_arn": None, "tenant_id": None, "log_arn": None}
    return FunctionCall(clock=Clock(), function=function, **{**defaults, **members})


async def test_the_payload_goes_there_and_the_answer_comes_back(elsewhere: Elsewhere) -> None:
    """With the function's own name, unless the url has another; tenant and client context go along."""
    elsewhere.answer = (200, {}, '{"ü": 1}'.encode())
    own = EndpointTarget(elsewhere.url, region="eu-central-1")
    emulator = EndpointTarget(
        f"{elsewhere.url}/2015-03-31/functions/function/invocations", region="us-east-1"
    )

    assert await own('{"a": 1}', call(tenant_id="t1", client_context='{"custom": 1}')) == '{"ü": 1}'
    assert await emulator("2", call()) == '{"ü": 1}'

    (path, headers, body), (other_path, _, other_body) = elsewhere.asked
    assert (path, body) == ("/2015-03-31/functions/orders/invocations", b'{"a": 1}')
    assert (other_path, other_body) == ("/2015-03-31/functions/function/invocations", b"2")
    assert headers["X-Amz-Tenant-Id"] == "t1"
    assert json.loads(base64.b64decode(headers["X-Amz-Client-Context"])) == {"custom": 1}
    assert "/eu-central-1/lambda/aws4_request" in headers["Authorization"]


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (
            (200, {"X-Amz-Function-Error": "Unhandled"}, b'{"errorType": "E", "errorMessage": "m"}'),
            "E",
            "m",
        ),
        ((200, {"X-Amz-Function-Error": "Unhandled"}, b"what?"), "Unhandled", "what?"),
        (
            (404, {"x-amzn-ErrorType": "ResourceNotFoundException"}, b'{"Message": "no such function"}'),
            "ResourceNotFoundException",
            "no such function",
        ),
    ],
)
async def test_failures_are_told_apart(
    elsewhere: Elsewhere, answer: tuple[int, dict[str, str], bytes], kind: str, message: str
) -> None:
    """A function's error and an endpoint's refusal are the call's failure, by type and message."""
    elsewhere.answer = answer
    with pytest.raises(FunctionError) as raised:
        await EndpointTarget(elsewhere.url, region="us-east-1")("1", call())

    assert (raised.value.error.type, raised.value.error.message) == (kind, message)


async def test_nobody_there_is_a_failure() -> None:
    """The service tries again later."""
    with pytest.raises(FunctionError, match="Could not connect to the endpoint URL") as raised:
        await EndpointTarget(f"http://127.0.0.1:{free_port()}", region="us-east-1")("1", call())

    assert raised.value.error.type == "EndpointConnectionError"


async def test_a_cancelled_call_is_left_to_itself(elsewhere: Elsewhere) -> None:
    """The service does not wait for an answer that nobody wants."""
    elsewhere.hold.clear()
    with trio.fail_after(10), trio.move_on_after(0.2) as scope:
        await EndpointTarget(elsewhere.url, region="us-east-1")("1", call())

    assert scope.cancelled_caught


@pytest.mark.parametrize(
    ("text", "is_error"),
    [
        ('{"errorType": "E", "errorMessage": "m"}', True),
        ('{"errorType": "E", "errorMessage": "m", "requestId": "r", "stackTrace": ["s"]}', True),
        ('{"Status": "FAILED", "errorType": "E", "errorMessage": "m"}', False),
        ('{"Status": "PENDING"}', False),
        ('{"errorMessage": "m"}', False),
        ('"errorType errorMessage"', False),
    ],
)
def test_the_emulators_errors_are_recognised(text: str, is_error: bool) -> None:
    """It answers them like results; nothing else has their shape."""
    assert (read_answer(text, is_error=False) == text) is not is_error


def test_urls() -> None:
    """With the Invoke API's path or without; nothing else."""
    assert InvokeUrl.parse("http://localhost:9000/") == InvokeUrl("http://localhost:9000")
    full = "https://h/2015-03-31/functions/function/invocations"
    assert InvokeUrl.parse(full) == InvokeUrl("https://h", "function")
    for wrong in ("localhost:9000", "http://", "http://h/x", "http://h/2015-03-31/functions//invocations"):
        with pytest.raises(ValidationError, match="url must be http://HOST:PORT"):
            InvokeUrl.parse(wrong)
