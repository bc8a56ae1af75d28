"""The recording service behind HTTP, for what only a real client shows: ``python -m benchmarks.endpoint``.

Prints its port, and serves one execution until it is killed.
"""

from __future__ import annotations

import json
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from benchmarks.stub import Service


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service = Service()

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not urlsplit(self.path).path.endswith("/checkpoint"):
            self.send_error(404)
            return
        self.service.receive(request)
        self._answer(self.service.answer(request))

    def _answer(self, members: dict[str, Any]) -> None:
        body = json.dumps(members, default=datetime.timestamp).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


def main() -> None:
    """Serve on a free port of loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
