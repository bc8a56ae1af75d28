"""The synchronous side of the AWS client without boto3: botocore's signer and connections, called in a worker thread.

For an environment in which nothing is boto3's to decide (``_settings``): then neither a session nor the model of all
services has to be loaded. botocore signs (``SigV4Auth``) and sends (``URLLib3Session``): its pool drops a connection that the
other side has closed, as happens while Lambda has the process frozen. Nothing is repeated here: that is for
``aws``, which has the tokens. Importing this module takes long; only ``_service`` does, when this way is chosen.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session

from durable_trio.clients._rest import MAX_CALLS_AT_ONCE, Refusal, Request, read_answer, to_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.awsrequest import AWSPreparedRequest
    from botocore.credentials import ReadOnlyCredentials

    from durable_trio.clients._settings import Settings

# What botocore sets with ``tcp_keepalive``; giving any replaces urllib3's own, which is the first.
_SOCKET_OPTIONS: Final = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
]
# Routers forget a connection that is idle for 350 seconds (AWS's NAT gateways and endpoints), and tell nobody.
_MOST_IDLE_SECONDS: Final = 240.0

_TRACE_CHARACTERS: Final = "-=;:+&[]{}\"',"  # AWS's header for recursion detection leaves them as they are


class DirectLambda:
    """Lambda over HTTP; may be used by several threads at a time.

    Args:
        connect_seconds: how long connecting may take.
        read_seconds: how long the service may stay silent.
        most_idle_seconds: if there was no call for longer, connections are made anew.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        connect_seconds: float,
        read_seconds: float,
        most_idle_seconds: float = _MOST_IDLE_SECONDS,
    ) -> None:
        self._origin = settings.origin
        # The signer reads three attributes; botocore's own class for them would double what is imported.
        keys = cast("ReadOnlyCredentials", settings.keys)
        self._signer = SigV4Auth(keys, "lambda", settings.region_name)
        options: dict[str, Any] = {  # botocore's stubs know the types of the defaults only
            "verify": settings.ca_bundle or True,
            "timeout": (connect_seconds, read_seconds),
            "max_pool_connections": MAX_CALLS_AT_ONCE,
            "socket_options": _SOCKET_OPTIONS,
        }
        self._session = URLLib3Session(**options)
        self._most_idle_seconds = most_idle_seconds
        self._used_at_seconds = time.time()
        self._user_agent = _user_agent()

    def call(self, method: str, members: Mapping[str, Any]) -> Mapping[str, Any] | Refusal:
        """Call the service once; *method* and *members* are boto3's."""
        request = to_request(method, members)
        if isinstance(request, Refusal):
            return request
        # By the system's time: other clocks may stand still while the process is frozen.
        if abs(time.time() - self._used_at_seconds) > self._most_idle_seconds:
            self._session.close()  # only its idle connections: it goes on with new ones
        try:
            response = self._session.send(self._signed(request))
        except BotoCoreError as error:
            return Refusal(message=str(error), code=type(error).__name__)
        self._used_at_seconds = time.time()
        return read_answer(response.status_code, response.headers, response.content)

    def _signed(self, request: Request) -> AWSPreparedRequest:
        headers = {"User-Agent": self._user_agent}
        if request.body:
            headers["Content-Type"] = "application/json"
        trace = os.environ.get("_X_AMZN_TRACE_ID")
        if trace and "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
            headers["X-Amzn-Trace-Id"] = quote(trace, safe=_TRACE_CHARACTERS)
        url = f"{self._origin}{request.target}"
        unsigned = AWSRequest(method=request.verb, url=url, headers=headers, data=request.body)
        self._signer.add_auth(unsigned)
        return unsigned.prepare()


def _user_agent() -> str:
    major, minor, micro = sys.version_info[:3]
    where = os.environ.get("AWS_EXECUTION_ENV")
    environment = f" exec-env/{quote(where)}" if where else ""
    return f"durable_trio lang/python#{major}.{minor}.{micro}{environment}"
