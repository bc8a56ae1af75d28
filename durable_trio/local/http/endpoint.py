"""One operation of the API as an ASGI application: take the request in, ask the service, answer.

Three things can end a request early, and each of them has an answer: a guard that refuses it, a body that is
too big or too slow, and a client that goes away, for which nothing more is done. What the service refuses comes
with its own error class. Anything else that is raised is a bug of ours: it is logged with its traceback, and
the client is only told that there was one.

**A refused body is still read.** A client that is sending does not listen; if the connection is closed on it,
it reports a broken pipe in place of the reason. So up to as much again as is allowed is read and thrown away
while the answer is on its way. (The server's queue of body pieces must be emptied anyway until the answer is
out: the same task that fills it takes our answer.)

**Time.** While a request is read and served, virtual time does not move by itself (``LocalService.hold_time``).
While a client waits for the end of an execution, it has to.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from durable_trio.exceptions import ValidationError
from durable_trio.local.errors import LocalServiceError, TooManyRequests
from durable_trio.local.http.answers import Answer, HttpRefusal, error_answer
from durable_trio.local.http.guard import why_refused
from durable_trio.local.http.reading import ApiRequest, read_query

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.types import Receive, Scope, Send

    from durable_trio.local.http.settings import HttpSettings
    from durable_trio.local.service import LocalService

logger = logging.getLogger("durable_trio.local.http")


class ClientGoneError(Exception):
    """The client closed its connection before the answer was ready."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What one route does.

    Attributes:
        perform: asks the service.
        may_wait: it may take long; then the client's leaving ends it, and virtual time may move.
    """

    perform: Callable[[LocalService, ApiRequest], Awaitable[Answer]]
    may_wait: bool = False


class Endpoint:
    """The ASGI application of one operation."""

    def __init__(self, operation: Operation, service: LocalService, settings: HttpSettings) -> None:
        self._operation = operation
        self._service = service
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        body = _Body(receive, self._settings.max_body_bytes)
        try:
            answer = await self._answer(scope, body)
        except ClientGoneError:
            return
        if body.is_whole:
            await _send(answer, send)
        else:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(body.discard)
                await _send(answer, send)
                nursery.cancel_scope.cancel()

    async def _answer(self, scope: Scope, body: _Body) -> Answer:
        try:
            headers = _read_headers(scope)
            why = why_refused(headers, self._settings.allowed_hosts)
            if why is not None:
                raise HttpRefusal(why, status=403, code="AccessDeniedException", must_close=True)
            return await self._serve(scope, headers, body)
        except HttpRefusal as refusal:
            if not body.is_whole and not refusal.must_close:
                refusal.must_close = True
            return refusal.answer()
        except LocalServiceError as refusal:
            return _refused(refusal)
        except ValidationError as problem:
            return error_answer(400, "InvalidParameterValueException", str(problem))
        except ClientGoneError:
            raise
        except Exception:
            logger.exception("%s %r failed", scope["method"], scope["path"])
            return error_answer(500, "ServiceException", "the local service failed; its log says more")

    async def _serve(self, scope: Scope, headers: Mapping[str, str], body: _Body) -> Answer:
        with self._service.hold_time():
            request = ApiRequest(
                path=scope.get("path_params", {}),
                query=read_query(scope["query_string"]),
                headers=headers,
                body=await body.read(self._settings.body_seconds),
            )
            if not self._operation.may_wait:
                return await self._operation.perform(self._service, request)
        return await _unless_gone(body.wait_gone, lambda: self._operation.perform(self._service, request))


class _Body:
    """The body of a request, and what the client does after it."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self.is_whole = False

    async def read(self, seconds: float) -> bytes:
        """Return the whole body.

        Raises:
            HttpRefusal: it is too big, or does not arrive in *seconds*.
            ClientGoneError: the client is gone.
        """
        try:
            with trio.fail_after(seconds):
                return await self._read()
        except trio.TooSlowError:
            message = f"the body of the request did not arrive within {seconds:g} seconds"
            raise HttpRefusal(message, status=408, code="RequestTimeoutException", must_close=True) from None

    async def _read(self) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while not self.is_whole:
            piece = await self._next()
            size += len(piece)
            if size > self._limit:
                message = f"the body of the request must be at most {self._limit} bytes"
                raise HttpRefusal(message, status=413, code="RequestTooLargeException", must_close=True)
            pieces.append(piece)
        return b"".join(pieces)

    async def discard(self) -> None:
        """Throw the rest of the body away, but not without end."""
        left = self._limit
        while not self.is_whole and left > 0:
            try:
                left -= max(1, len(await self._next()))
            except ClientGoneError:
                return

    async def wait_gone(self) -> None:
        """Return when the client has closed its connection."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        self.is_whole = not message.get("more_body", False)
        return bytes(message.get("body", b""))


async def _unless_gone(
    wait_gone: Callable[[], Awaitable[None]], perform: Callable[[], Awaitable[Answer]]
) -> Answer:
    """Return what *perform* returns.

    Raises:
        ClientGoneError: the client was gone first.
    """
    answer: Answer | None = None
    problem: Exception | None = None

    async def work(scope: trio.CancelScope) -> None:
        nonlocal answer, problem
        try:
            answer = await perform()
        except Exception as error:  # noqa: BLE001  # not swallowed: raised below, outside of the nursery's group
            problem = error
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work, nursery.cancel_scope)
        await wait_gone()
        nursery.cancel_scope.cancel()
    if problem is not None:
        raise problem
    if answer is None:
        raise ClientGoneError
    return answer


def _read_headers(scope: Scope) -> dict[str, str]:
    """Return the headers by name. Of a name that comes twice, what was first counts; a second ``Host`` is refused."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name = raw_name.decode("latin-1").lower()
        if name in headers and name == "host":
            raise HttpRefusal("there are two Host headers", must_close=True)
        headers.setdefault(name, raw_value.decode("latin-1"))
    return headers


def _refused(refusal: LocalServiceError) -> Answer:
    if refusal.http_status >= 500:
        logger.warning("the local service failed: %s", refusal)
    if isinstance(refusal, TooManyRequests):
        return error_answer(
            refusal.http_status,
            refusal.code,
            str(refusal),
            headers={"retry-after": str(refusal.retry_after_seconds)},
            members={"Reason": refusal.reason},
        )
    return error_answer(refusal.http_status, refusal.code, str(refusal))


async def _send(answer: Answer, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.raw_headers()})
    await send({"type": "http.response.body", "body": answer.body})
