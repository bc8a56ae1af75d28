"""Lambda's Runtime API, for the workers of this service alone.

It hands out events with checkpoint tokens in them and takes results, so nobody else may use it. It listens on
loopback; the address that a worker is given contains a path of its own with 256 random bits, which only processes
of this user can read; and whatever a browser sends on behalf of a page is refused, whether it knows a path or not.
"""

from __future__ import annotations

import json
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NoReturn

from hypercorn import Config
from hypercorn.trio import serve
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from durable_trio._protocol.operation import ErrorObject
from durable_trio.local.workers.conversation import Answered, Failed, OutOfTurn

if TYPE_CHECKING:
    import trio
    from starlette.requests import Request

    from durable_trio.local.workers.conversation import Conversation, Invocation

_API: Final = "/{secret}/2018-06-01/runtime"

# 6 MB and a little for the envelope, the number in Lambda's own message about it.
MAX_RESPONSE_BYTES: Final = 6_291_556
_MAX_ERROR_BYTES: Final = 262_144
# awslambdaric tells an error in a header too, of up to 1 MiB.
_MAX_HEADER_BYTES: Final = 2_097_152
_MAX_STACK_LINES: Final = 20

# A browser adds one of these to whatever a page makes it send; Lambda's clients have no reason to.
_BROWSER_HEADERS: Final = ("origin", "sec-fetch-site", "sec-fetch-mode")


class RuntimeApi:
    """The Runtime API of every worker that has been ``admit``\\ ted.

    Attributes:
        address: host and port, once it has been started.
    """

    def __init__(self) -> None:
        self.address = ""
        self._conversations: dict[str, Conversation] = {}
        self._app = Starlette(
            routes=[
                Route(f"{_API}/invocation/next", self._next, methods=["GET"]),
                Route(f"{_API}/invocation/{{request_id}}/response", self._response, methods=["POST"]),
                Route(f"{_API}/invocation/{{request_id}}/error", self._error, methods=["POST"]),
                Route(f"{_API}/init/error", self._init_error, methods=["POST"]),
            ],
            exception_handlers={OutOfTurn: _refuse, HTTPException: _refuse_http},
        )

    def admit(self, secret: str, conversation: Conversation) -> None:
        """Answer the worker that knows *secret*, until it is ``dismiss``\\ ed."""
        self._conversations[secret] = conversation

    def dismiss(self, secret: str) -> None:
        """Do not answer that worker any more."""
        del self._conversations[secret]

    async def start(self, nursery: trio.Nursery) -> None:
        """Serve on a free port of the loopback interface until *nursery* is cancelled."""
        config = Config()
        config.bind = ["127.0.0.1:0"]
        config.accesslog = config.errorlog = None
        # Workers are killed, not asked to leave.
        config.graceful_timeout = 0
        config.keep_alive_timeout = 3600
        config.h11_max_incomplete_size = _MAX_HEADER_BYTES
        # hypercorn's types for ASGI are narrower than Starlette's.
        app: Any = self._app
        urls: list[str] = await nursery.start(partial(serve, app, config, mode="asgi"))
        self.address = urls[0].removeprefix("http://")

    async def _next(self, request: Request) -> Response:
        invocation = await self._conversation(request).next()
        return Response(invocation.payload, media_type="application/json", headers=_headers(invocation))

    async def _response(self, request: Request) -> Response:
        conversation, request_id = self._conversation(request), request.path_params["request_id"]
        body = await _read(request, MAX_RESPONSE_BYTES)
        if body is None:
            message = (
                f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes)."
            )
            conversation.answer(
                request_id, Failed(ErrorObject(message=message, type="Function.ResponseSizeTooLarge"))
            )
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
        try:
            outcome: Answered | Failed = Answered(body.decode())
        except UnicodeDecodeError as problem:
            message = f"The response is not UTF-8: {problem}"
            outcome = Failed(ErrorObject(message=message, type="Runtime.MarshalError"))
        conversation.answer(request_id, outcome)
        return _accepted()

    async def _error(self, request: Request) -> Response:
        conversation, request_id = self._conversation(request), request.path_params["request_id"]
        conversation.answer(request_id, Failed(await _read_error(request)))
        return _accepted()

    async def _init_error(self, request: Request) -> Response:
        conversation = self._conversation(request)
        conversation.fail_init(await _read_error(request))
        return _accepted()

    def _conversation(self, request: Request) -> Conversation:
        for header in _BROWSER_HEADERS:
            if header in request.headers:
                raise HTTPException(HTTPStatus.FORBIDDEN, "pages in a browser may not use the Runtime API")
        conversation = self._conversations.get(request.path_params["secret"])
        if conversation is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such worker")
        return conversation


def _headers(invocation: Invocation) -> dict[str, str]:
    headers = {
        "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
        "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_at),
        "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
        "Lambda-Runtime-Aws-Tenant-Id": invocation.tenant_id,
        "Lambda-Runtime-Client-Context": invocation.client_context,
        "Lambda-Runtime-Trace-Id": invocation.trace_id,
    }
    return {name: value for name, value in headers.items() if value is not None}


async def _read(request: Request, max_bytes: int) -> bytes | None:
    """Return the body; None if it has more than *max_bytes*. What is too much is read, and forgotten."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= max_bytes:
            chunks.append(chunk)
    return b"".join(chunks) if size <= max_bytes else None


async def _read_error(request: Request) -> ErrorObject:
    body = await _read(request, _MAX_ERROR_BYTES)
    kind = request.headers.get("lambda-runtime-function-error-type", "Unhandled")
    if body is None:
        return ErrorObject(message=f"The error has more than {_MAX_ERROR_BYTES} bytes", type=kind)
    try:
        members: Any = json.loads(body)
    except ValueError:
        members = None
    if not isinstance(members, dict):
        return ErrorObject(message=body.decode("utf-8", "replace"), type=kind)
    stack = members.get("stackTrace")
    lines = stack if isinstance(stack, list) else []
    return ErrorObject(
        message=str(members.get("errorMessage", "")),
        type=str(members.get("errorType") or kind),
        stack=tuple(str(line).rstrip("\n") for line in lines[-_MAX_STACK_LINES:]),
    )


def _accepted() -> Response:
    return JSONResponse({"status": "OK"}, HTTPStatus.ACCEPTED)


def _refusal(status: int, kind: str, message: str) -> Response:
    return JSONResponse({"errorType": kind, "errorMessage": message}, status)


async def _refuse(_request: Request, error: Exception) -> Response:
    if not isinstance(error, OutOfTurn):
        _unexpected(error)
    is_unknown = error.kind == "InvalidRequestID"
    return _refusal(HTTPStatus.BAD_REQUEST if is_unknown else HTTPStatus.FORBIDDEN, error.kind, str(error))


async def _refuse_http(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        _unexpected(error)
    return _refusal(error.status_code, HTTPStatus(error.status_code).phrase, error.detail)


def _unexpected(error: Exception) -> NoReturn:
    raise error
