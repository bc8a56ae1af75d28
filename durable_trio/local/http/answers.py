"""What the endpoint answers: JSON, or a function's bytes; and errors as AWS's clients read them.

An error's class travels in ``x-amzn-ErrorType``. Lambda's model spells the member of the text ``message`` for
some errors and ``Message`` for others, so both are there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_MESSAGE: Final = 2_000

# Nothing of an answer is for a browser to keep, to guess the type of, or to show inside another page.
_STANDING_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; header names are lower-case."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers as ASGI wants them."""
        raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in self.headers.items()]
        raw.extend(_STANDING_HEADERS)
        if self.status != 204:
            raw.append((b"content-type", self.content_type.encode("ascii")))
            raw.append((b"content-length", str(len(self.body)).encode("ascii")))
        return raw


def json_answer(members: Mapping[str, Any], status: int = 200) -> Answer:
    """Return *members* as a JSON answer."""
    return Answer(status, json.dumps(members, separators=(",", ":"), allow_nan=False).encode("ascii"))


class HttpRefusal(Exception):  # noqa: N818  # it is one of the endpoint's answers, not a failure of it
    """A request is refused before it reaches the service.

    Attributes:
        status: the HTTP status.
        code: the error class that AWS's clients see.
        must_close: the request's body was not read to its end, so the connection cannot be used again.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        code: str = "InvalidParameterValueException",
        must_close: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.must_close = must_close
        self.headers = dict(headers or {})

    def answer(self) -> Answer:
        """Return what the client gets."""
        headers = self.headers | ({"connection": "close"} if self.must_close else {})
        return error_answer(self.status, self.code, str(self), headers=headers)


def error_answer(
    status: int,
    code: str,
    message: str,
    *,
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, str] | None = None,
) -> Answer:
    """Return an error. What a request has made us say too much of is cut short."""
    text = message if len(message) <= _MAX_MESSAGE else f"{message[:_MAX_MESSAGE]}..."
    wire = {
        "Type": "User" if status < 500 else "Service",
        "message": text,
        "Message": text,
        **(members or {}),
    }
    body = json.dumps(wire).encode("ascii")
    return Answer(status, body, headers={"x-amzn-errortype": code, **(headers or {})})
