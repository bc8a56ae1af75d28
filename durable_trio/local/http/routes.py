"""Which request is which operation.

Paths and methods are those of Lambda's REST API (botocore's model ``lambda/2015-03-31``). An execution's ARN
may come with its slashes encoded, as AWS's clients send it, or as they are: the server decodes them either way,
and an ARN has exactly two.

Whatever is not an operation is answered with JSON and a status below 500. AWS's clients repeat what failed with
500, and hide the mistake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.routing import Match, Route, Router

from durable_trio.local.http import callbacks, checkpoints, executions, functions, invoking
from durable_trio.local.http.answers import Answer, HttpRefusal, json_answer
from durable_trio.local.http.endpoint import Endpoint, Operation
from durable_trio.local.http.reading import refuse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from durable_trio.local.http.reading import ApiRequest
    from durable_trio.local.http.settings import HttpSettings
    from durable_trio.local.service import LocalService

_EXECUTIONS: Final = "/2025-12-01/durable-executions"
_EXECUTION: Final = _EXECUTIONS + "/{function}/durable-execution/{name}/{id}"
_CALLBACK: Final = "/2025-12-01/durable-execution-callbacks/{callback:path}"
_FUNCTIONS: Final = "/2015-03-31/functions"
LOGS_PREFIX: Final = "/durable-trio/executions"
"""Where an execution's log is, which AWS's API does not have: below this, ``/{arn}/logs``."""


async def _root(_service: LocalService, _request: ApiRequest) -> Answer:
    return json_answer({"Service": "durable_trio local durable execution service"})


# The order is that of how often they are asked for: routes are tried one after the other.
OPERATIONS: Final = (
    ("POST", _EXECUTION + "/checkpoint", Operation(checkpoints.checkpoint)),
    ("GET", _EXECUTION + "/state", Operation(checkpoints.get_state)),
    ("POST", _FUNCTIONS + "/{function}/invocations", Operation(invoking.invoke, may_wait=True)),
    ("GET", _EXECUTION, Operation(executions.get)),
    ("DELETE", _EXECUTION, Operation(executions.delete)),
    ("GET", _EXECUTION + "/history", Operation(executions.history)),
    ("POST", _EXECUTION + "/stop", Operation(executions.stop)),
    ("POST", _EXECUTION + "/pause", Operation(executions.pause)),
    ("POST", _EXECUTION + "/resume", Operation(executions.resume)),
    ("POST", _CALLBACK + "/succeed", Operation(callbacks.succeed)),
    ("POST", _CALLBACK + "/fail", Operation(callbacks.fail)),
    ("POST", _CALLBACK + "/heartbeat", Operation(callbacks.heartbeat)),
    ("GET", "/2025-12-01/functions/{function}/durable-executions", Operation(executions.list_by_function)),
    ("GET", _FUNCTIONS, Operation(functions.list_all)),
    ("GET", _FUNCTIONS + "/", Operation(functions.list_all)),
    ("GET", _FUNCTIONS + "/{function}", Operation(functions.get)),
    ("GET", _FUNCTIONS + "/{function}/configuration", Operation(functions.get_configuration)),
    (
        "GET",
        LOGS_PREFIX + "/{function}/durable-execution/{name}/{id}/logs",
        Operation(executions.logs),
    ),
    ("GET", "/", Operation(_root)),
)


def create_app(service: LocalService, settings: HttpSettings) -> ASGIApp:
    """Return the API of *service* as an ASGI application. It has to run on Trio."""
    routes = [
        Route(path, Endpoint(operation, service, settings), methods=[method])
        for method, path, operation in OPERATIONS
    ]
    # The last route is for what the router itself would answer, in plain text, if a path is right and a method is
    # not; the default for what has no path at all.
    unknown = _Unknown(routes, service, settings)
    return Router([*routes, Route("/{path:path}", unknown)], redirect_slashes=False, default=unknown)


class _Unknown:
    """Answers what is no operation: 400, 404 or 405."""

    def __init__(self, routes: list[Route], service: LocalService, settings: HttpSettings) -> None:
        self._routes = routes
        self._endpoint = Endpoint(Operation(self._refuse), service, settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # Nobody listens to web sockets; the server answers 403 if they are not accepted.
            await send({"type": "websocket.close"})
            return
        what = {"path": scope["path"], "method": scope["method"]}
        await self._endpoint({**scope, "path_params": what}, receive, send)

    async def _refuse(self, _service: LocalService, request: ApiRequest) -> Answer:
        path, method = request.path["path"], request.path["method"]
        scope = {"type": "http", "path": path, "method": method, "root_path": "", "headers": []}
        matching = [route for route in self._routes if route.matches(scope)[0] is not Match.NONE]
        if matching:
            allowed = ", ".join(sorted({method for route in matching for method in route.methods or ()}))
            message = f"{method} is not allowed here, only {allowed}"
            raise HttpRefusal(
                message, status=405, code="MethodNotAllowedException", headers={"allow": allowed}
            )
        if path.startswith(f"{_EXECUTIONS}/"):
            refuse(f"this is not an operation on the ARN of a durable execution: {method} {path!r:.300}")
        raise HttpRefusal(
            f"there is no operation {method} {path!r:.300}", status=404, code="UnknownOperationException"
        )
