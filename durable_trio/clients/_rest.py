"""The service's two calls as HTTP requests, and what its answers mean. Pure: nothing is sent here.

The routes are REST-JSON, as botocore's model of Lambda (2015-03-31) has them: the ARN is one segment of the path,
percent-encoded with its slashes; a checkpoint's other members are the body, those of a state page the query. An answer
is a JSON object. Of a refusal the code is in a header or in the body, the message in the body. Where botocore has
a reading of its own, this is the same one: the tests compare the two.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from durable_trio._protocol.value_class import frozen_dataclass as dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

CHECKPOINT: Final = "checkpoint_durable_execution"
GET_STATE: Final = "get_durable_execution_state"

MAX_CALLS_AT_ONCE: Final = 4
"""Threads, and connections. The writer makes one call at a time; more only happens while calls of a cancelled invocation
die away."""

_ROOT: Final = "/2025-12-01/durable-executions/"
_UNRESERVED: Final = "-_.~"  # RFC 3986 2.3: what is never percent-encoded
# What the model wants at least one character of; the rest of its rules the service checks by itself.
_NEVER_EMPTY: Final = ("DurableExecutionArn", "CheckpointToken", "ClientToken")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What came back instead of an answer.

    Attributes:
        message: the service's words, or those of who could not reach it.
        code: the service's error code; if it was not heard, botocore's name for what happened.
        status: the HTTP status; None if the service was not heard.
        retry_after_seconds: how long the service asks to stay away.
    """

    message: str
    code: str
    status: int | None = None
    retry_after_seconds: float = 0


@dataclass(frozen=True, slots=True)
class Request:
    """A request without its origin: *target* is what stands in its first line."""

    verb: str
    target: str
    body: bytes = b""


def _encode(text: str) -> str:
    """Percent-encode *text* for a path segment or a query."""
    return quote(text, safe=_UNRESERVED)


def to_request(method: str, members: Mapping[str, Any]) -> Request | Refusal:
    """Return the request of boto3's *method*, or why it cannot be made."""
    for name in _NEVER_EMPTY:
        value = members.get(name, "-")
        if not isinstance(value, str) or not value:
            return _invalid(name, value)
    path = _path(members["DurableExecutionArn"])
    rest = {name: value for name, value in members.items() if name != "DurableExecutionArn"}
    if method == CHECKPOINT:
        body = json.dumps(rest, separators=(",", ":")).encode("ascii")
        return Request("POST", f"{path}/checkpoint", body)
    query = "&".join(f"{_encode(name)}={_encode(str(value))}" for name, value in rest.items())
    return Request("GET", f"{path}/state?{query}")


@lru_cache(8)  # an invocation makes all of its calls for one execution
def _path(arn: str) -> str:
    return _ROOT + _encode(arn)


def _invalid(name: str, value: object) -> Refusal:
    what = (
        f"Invalid length for parameter {name}, value: 0, valid min length: 1"
        if value == ""
        else f"Invalid type for parameter {name}, value: {value!r}, type: {type(value)}, valid types: {str}"
    )
    return Refusal(message=f"Parameter validation failed:\n{what}", code="ParamValidationError")


def read_answer(status: int, headers: Mapping[str, str], body: bytes) -> Mapping[str, Any] | Refusal:
    """Return the members of an answer, or what the refusal says; the names of *headers* are looked up in lower case.

    An answer that is no JSON object has no members. A status of 300 or more is a refusal.
    """
    members = _members(body)
    if status < 300:
        return members
    code, message = _code_and_message(status, headers, body, members)
    return Refusal(
        message=message or "no message",
        code=code or "no code",
        status=status,
        retry_after_seconds=retry_after_seconds(headers.get("retry-after", "")),
    )


def _code_and_message(
    status: int, headers: Mapping[str, str], body: bytes, members: Mapping[str, Any]
) -> tuple[str, str]:
    text = body.strip()
    if status >= 500 and (not text or text.startswith(b"<html>")):  # from a proxy or a load balancer
        from http import HTTPStatus

        known = status in HTTPStatus._value2member_map_
        return str(status), HTTPStatus(status).phrase if known else ""
    code = headers.get("x-amzn-errortype") or _first(members, "code", "Code", "__type") or str(status)
    # It is "Code", "Code:http://...", or "namespace#Code".
    return code.split(":", 1)[0].rsplit("#", 1)[-1], _first(members, "message", "Message")


def _first(members: Mapping[str, Any], *names: str) -> str:
    values = map(members.get, names)
    return next((value for value in values if isinstance(value, str) and value), "")


def _members(body: bytes) -> Mapping[str, Any]:
    if not body:
        return {}
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):  # also text that is not UTF-8
        return {"message": body.decode("utf-8", "replace")}
    return members if isinstance(members, dict) else {}


def retry_after_seconds(header: str) -> float:
    """Read a ``Retry-After`` header; 0 if there is none."""
    # The service's model has seconds here. A date would come from a proxy: the client's own backoff does for it.
    return float(header) if header.isascii() and header.isdigit() else 0
