"""A stand-in for the Lambda endpoint: a real HTTP server on loopback that answers what a test has queued.

It knows nothing of durable executions. It records every request as it came over the wire, and answers with the
next of its answers; the last one is repeated.
"""

from __future__ import annotations

import json
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; *body* is JSON unless it is bytes. A *status* of 0 closes the connection unanswered.

    With *hold*, the answer is sent when that event is set. With *closes*, the connection is closed after it, whatever
    its headers say. One that *is_deaf* comes before the body was read, and closes the connection.
    """

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    hold: threading.Event | None = None
    closes: bool = False
    is_deaf: bool = False


@dataclass(frozen=True)
class Request:
    """One HTTP request, its path as it was sent; *port* is where it came from."""

    method: str
    path: str
    body: Any
    headers: dict[str, str]
    port: int = 0


def refusal(status: int, code: str, message: str, **headers: str) -> Answer:
    """Return an error as the service sends it."""
    return Answer(
        status,
        {"message": message},
        {"x-amzn-ErrorType": code} | {k.replace("_", "-"): v for k, v in headers.items()},
    )


class FakeLambda:
    """The server; use it in a ``with`` statement. With a *certificate* (a file with its key) it speaks TLS."""

    def __init__(self, *, certificate: Path | None = None) -> None:
        self.answers: list[Answer] = [Answer()]
        self.requests: list[Request] = []
        self.is_asked = threading.Event()
        self.is_closed = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler_class())
        self._server.daemon_threads = True
        self._scheme = "https" if certificate else "http"
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """Where the server listens."""
        host = "127.0.0.1" if self._scheme == "http" else "localhost"  # certificates are for names
        return f"{self._scheme}://{host}:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler_class(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one packet for an answer, or the next one waits for an acknowledgement

            def do_GET(self) -> None:
                self._answer(b"")

            def do_POST(self) -> None:
                is_deaf = fake.answers[0].is_deaf
                self._answer(b"" if is_deaf else self.rfile.read(int(self.headers["Content-Length"])))

            def _answer(self, body: bytes) -> None:
                fake.requests.append(
                    Request(
                        self.command,
                        self.path,
                        json.loads(body) if body else None,
                        dict(self.headers),
                        self.client_address[1],
                    )
                )
                answer = fake.answers.pop(0) if len(fake.answers) > 1 else fake.answers[0]
                fake.is_asked.set()
                if answer.hold is not None:
                    answer.hold.wait(30)
                if not answer.status:
                    self.close_connection = True
                    return
                content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in ({"Content-Type": "application/json"} | answer.headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                self.close_connection = self.close_connection or answer.closes or answer.is_deaf

            def finish(self) -> None:
                super().finish()
                self.connection.close()
                fake.is_closed.set()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
                """Be silent."""

        return Handler
