"""Functions that run elsewhere, behind Lambda's Invoke API: a container with the Runtime Interface Emulator, SAM.

boto3 makes the call, in a thread; it may take as long as the function may. Nothing is repeated: whether to invoke
again is for the service to say.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import trio

from durable_trio._protocol.operation import ErrorObject
from durable_trio.exceptions import ValidationError
from durable_trio.local.calls import FunctionError

if TYPE_CHECKING:
    from durable_trio.local.calls import FunctionCall

_URL: Final = re.compile(
    r"(?P<base>https?://[^/?#\s]+)/?(?:2015-03-31/functions/(?P<name>[^/?#\s]+)/invocations/?)?"
)
_MAX_THREADS: Final = 1_000
_CONNECT_SECONDS: Final = 10
# The service's own limit comes first.
_EXTRA_SECONDS: Final = 30
_DUMMY_CREDENTIALS: Final = "local"


@dataclass(frozen=True, slots=True)
class InvokeUrl:
    """Where a function is invoked: *base* is the endpoint, *name* the function's name there, None for its own."""

    base: str
    name: str | None = None

    @classmethod
    def parse(cls, text: str) -> InvokeUrl:
        """Read ``http://HOST:PORT``, with ``/2015-03-31/functions/NAME/invocations`` or without.

        Raises:
            ValidationError: it is neither.
        """
        match = _URL.fullmatch(text)
        if match is None:
            raise ValidationError(
                "url must be http://HOST:PORT or http://HOST:PORT/2015-03-31/functions/NAME/invocations, "
                f"not {text!r}"
            )
        return cls(match["base"], match["name"])


class EndpointTarget:
    """Invokes a function at *url*: what ``register_remote`` takes.

    Args:
        url: see ``InvokeUrl.parse``.
        region: what requests are signed for.

    Raises:
        ValidationError: *url* is none.
    """

    def __init__(self, url: str, *, region: str) -> None:
        self._url = InvokeUrl.parse(url)
        self._region = region
        self._threads = trio.CapacityLimiter(_MAX_THREADS)
        self._lock = threading.Lock()
        self._client: Any = None

    async def __call__(self, payload: str, call: FunctionCall, /) -> str:
        """Invoke the function once and return its answer.

        If cancelled, the request is left to itself: nobody waits for the answer, but the function may go on.

        Raises:
            FunctionError: the function failed, or the endpoint refused or was not reached.
        """
        call.began()
        answer = await trio.to_thread.run_sync(
            self._invoke, payload, call, abandon_on_cancel=True, limiter=self._threads
        )
        if isinstance(answer, ErrorObject):
            raise FunctionError(answer)
        return answer

    def _invoke(self, payload: str, call: FunctionCall) -> str | ErrorObject:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._connected(call).invoke(
                FunctionName=self._url.name or call.function.name,
                InvocationType="RequestResponse",
                Payload=payload.encode(),
                **_options(call),
            )
            text = answer["Payload"].read().decode("utf-8", "replace")
        except ClientError as error:
            told = error.response.get("Error", {})
            return ErrorObject(message=told.get("Message") or str(error), type=told.get("Code") or "Unknown")
        except BotoCoreError as error:
            return ErrorObject(message=str(error), type=type(error).__name__)
        return read_answer(text, is_error="FunctionError" in answer)

    def _connected(self, call: FunctionCall) -> Any:
        import boto3.session
        from botocore.config import Config

        with self._lock:
            if self._client is None:
                self._client = boto3.session.Session().client(
                    "lambda",
                    endpoint_url=self._url.base,
                    region_name=self._region,
                    aws_access_key_id=_DUMMY_CREDENTIALS,
                    aws_secret_access_key=_DUMMY_CREDENTIALS,
                    config=Config(
                        retries={"total_max_attempts": 1},
                        connect_timeout=_CONNECT_SECONDS,
                        read_timeout=call.function.config.timeout_seconds + _EXTRA_SECONDS,
                        max_pool_connections=_MAX_THREADS,
                        # It is on this machine, or near: no proxy knows the way.
                        proxies={},
                    ),
                )
            return self._client


def read_answer(text: str, *, is_error: bool) -> str | ErrorObject:
    """Tell an answer from an error.

    The emulator does not mark errors as Lambda does. What nothing but an error has is a message and a type, at
    the top; a durable function's answer has a status there.
    """
    try:
        value: Any = json.loads(text)
    except ValueError:
        value = None
    members = value if isinstance(value, dict) else {}
    if not is_error and not ({"errorMessage", "errorType"} <= members.keys() and "Status" not in members):
        return text
    stack = members.get("stackTrace")
    return ErrorObject(
        message=str(members.get("errorMessage", text)),
        type=str(members.get("errorType", "Unhandled")),
        stack=tuple(str(line) for line in stack) if isinstance(stack, list) else (),
    )


def _options(call: FunctionCall) -> dict[str, str]:
    options = {}
    if call.tenant_id is not None:
        options["TenantId"] = call.tenant_id
    if call.client_context is not None:
        options["ClientContext"] = base64.b64encode(call.client_context.encode()).decode()
    return options
