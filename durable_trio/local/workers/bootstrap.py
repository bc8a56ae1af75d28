"""What runs first in a worker's process: loads the function, and serves its invocations.

Run as a file by the function's own interpreter, which may be that of another environment, of another age: it needs
nothing but the standard library. If ``awslambdaric``, the client that Lambda itself runs Python functions with, is
installed there, it does the work; otherwise ``PlainRuntime`` does, which behaves alike.

The process lives no longer than the service: its standard input is the reading end of a pipe that the service
holds open. When that ends, however it ended, the whole process group is killed, in the middle of whatever it does.

Usage: ``bootstrap.py MODULE.FUNCTION DIRECTORY RUNTIME``, RUNTIME being auto, awslambdaric or builtin.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from http.client import HTTPConnection
from typing import Any

API = "/2018-06-01/runtime"
RUNTIMES = ("auto", "awslambdaric", "builtin")


def main() -> None:
    """Serve invocations of the function that the command line names, until told to stop."""
    handler, directory, runtime = sys.argv[1:]
    _die_with_the_service()
    # As on Lambda, where the code's directory is read-only. Bytecode tells by second and size whether it is that of a
    # file: what is saved twice within a second might go on as it was.
    sys.dont_write_bytecode = True
    # In place of the directory of this file.
    sys.path[0] = directory
    sys.argv = [handler]
    # Only here it is known which Python this is.
    os.environ.setdefault("AWS_EXECUTION_ENV", "AWS_Lambda_python{}.{}".format(*sys.version_info))
    if runtime == "builtin" or (runtime == "auto" and not _has_awslambdaric()):
        PlainRuntime(os.environ["AWS_LAMBDA_RUNTIME_API"]).run(handler)
    else:
        _run_awslambdaric(handler)


def _die_with_the_service() -> None:
    lifeline = os.dup(0)
    os.set_inheritable(lifeline, False)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_wait_for_the_end, args=(lifeline,), daemon=True, name="lifeline").start()


def _wait_for_the_end(lifeline: int) -> None:
    while os.read(lifeline, 1):
        pass
    os.killpg(os.getpgid(0), signal.SIGKILL)


# --- Lambda's own client ---------------------------------------------------------------------------------


def _has_awslambdaric() -> bool:
    try:
        client = importlib.import_module("awslambdaric.lambda_runtime_client")
    except ImportError:
        return False
    # The compiled half is missing where it could not be built.
    return client.runtime_client is not None


def _run_awslambdaric(handler: str) -> None:
    bootstrap = importlib.import_module("awslambdaric.bootstrap")
    base: Any = importlib.import_module("awslambdaric.lambda_runtime_client").LambdaRuntimeClient
    address, _, path = os.environ["AWS_LAMBDA_RUNTIME_API"].partition("/")

    class Client(base):  # type: ignore[misc]  # the package has no types
        # The compiled half puts the address before the path as it is. This one reads it as host:port.
        def call_rapid(self, http_method: str, endpoint: str, *args: Any, **kwargs: Any) -> None:
            super().call_rapid(http_method, f"/{path}{endpoint}", *args, **kwargs)

    bootstrap.run(handler, Client(address))


# --- ours, where that one is not installed ---------------------------------------------------------------


class PlainRuntime:
    """Serves the invocations of one function by the Runtime API at *address*: host, port and a path."""

    def __init__(self, address: str) -> None:
        host, _, path = address.partition("/")
        self._path = f"/{path}{API}"
        self._connection = HTTPConnection(host)

    def run(self, handler: str) -> None:
        """Load the function *handler* and call it for ever."""
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a TextIOWrapper in a process
        _set_up_logging()
        try:
            function = load(handler)
        except Exception as error:  # noqa: BLE001  # the service has to know, whatever it is
            problem = describe(error, "")
            _log_error(problem)
            self._post("/init/error", problem)
            sys.exit(1)
        while True:
            self._serve_one(function)

    def _serve_one(self, function: Any) -> None:
        headers, body = self._call("GET", "/invocation/next", None)
        request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        _REQUEST.id = request_id
        if "Lambda-Runtime-Trace-Id" in headers:
            os.environ["_X_AMZN_TRACE_ID"] = headers["Lambda-Runtime-Trace-Id"]
        try:
            answer = json.dumps(function(json.loads(body), LambdaContext(headers)))
        except Exception as error:  # noqa: BLE001  # it is the invocation's outcome
            problem = describe(error, request_id)
            _log_error(problem)
            self._post(f"/invocation/{request_id}/error", problem)
        else:
            self._call("POST", f"/invocation/{request_id}/response", answer.encode())

    def _post(self, path: str, problem: dict[str, Any]) -> None:
        self._call("POST", path, json.dumps(problem).encode())

    def _call(self, method: str, path: str, body: bytes | None) -> tuple[Any, bytes]:
        self._connection.request(method, self._path + path, body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        content = response.read()
        # 413: the answer was too big. The invocation has failed by that; this process can go on.
        if response.status not in (200, 202, 413):
            raise RuntimeError(f"the Runtime API answered {response.status} to {path}: {content!r}")
        return response.headers, content


class LambdaContext:
    """The second argument of a Lambda handler."""

    def __init__(self, headers: Any) -> None:
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.tenant_id = headers.get("Lambda-Runtime-Aws-Tenant-Id")
        self.identity = ClientContext({"cognito_identity_id": None, "cognito_identity_pool_id": None})
        client_context = headers.get("Lambda-Runtime-Client-Context")
        self.client_context = client_context and ClientContext(json.loads(client_context))
        self._deadline_at = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self) -> int:
        """Return how many milliseconds are left until the invocation is cut off."""
        return max(0, self._deadline_at - int(time.time() * 1000))

    def log(self, message: object) -> None:
        """Write *message* to the log."""
        sys.stdout.write(str(message))


class ClientContext:
    """What the caller says about itself; absent members are None."""

    def __init__(self, members: dict[str, Any]) -> None:
        self.custom: Any = None
        self.env: Any = None
        self.client: Any = None
        self.__dict__.update(members)


class LoadError(Exception):
    """The function cannot be loaded; *kind* is the error type that Lambda reports for that."""

    def __init__(self, message: str, kind: str, stack: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.kind = kind
        self.stack = stack


def load(handler: str) -> Any:
    """Import the function that *handler* names, ``MODULE.FUNCTION``.

    Raises:
        LoadError: there is no such function, or its module cannot be imported.
        Exception: whatever the module raises when it is executed.
    """
    module_name, _, name = handler.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        message = f"Unable to import module '{module_name}': {error}"
        raise LoadError(message, "Runtime.ImportModuleError") from error
    except SyntaxError as error:
        where = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        message = f"Syntax error in module '{module_name}': {error}"
        raise LoadError(message, "Runtime.UserCodeSyntaxError", (where,)) from error
    if not hasattr(module, name):
        raise LoadError(f"Handler '{name}' missing on module '{module_name}'", "Runtime.HandlerNotFound")
    return getattr(module, name)


def describe(error: Exception, request_id: str) -> dict[str, Any]:
    """Return *error* as the Runtime API wants it."""
    if isinstance(error, LoadError):
        kind, stack = error.kind, list(error.stack)
    else:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
        kind, stack = type(error).__name__, traceback.format_list(frames)
    return {"errorMessage": str(error), "errorType": kind, "requestId": request_id, "stackTrace": stack}


# --- logging as Lambda sets it up ------------------------------------------------------------------------

_PLAIN_FIELDS = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


class _Request:
    id = ""


_REQUEST = _Request()


def _is_json() -> bool:
    return os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"


def _set_up_logging() -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonLines() if _is_json() else _TextLines())
    logging.Formatter.converter = time.gmtime
    root = logging.getLogger()
    root.addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper().replace("TRACE", "DEBUG")
    # An int for a name that exists; newer ways to ask do not exist for every interpreter.
    if isinstance(logging.getLevelName(level), int):
        root.setLevel(level)


class _TextLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z"
        text = super().format(record)
        return f"[{record.levelname}]\t{at}\t{_REQUEST.id}\t{text}"


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            "requestId": _REQUEST.id,
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["errorType"] = record.exc_info[0].__name__
            line["errorMessage"] = str(record.exc_info[1])
            line["stackTrace"] = traceback.format_tb(record.exc_info[2])
        extra = {key: value for key, value in vars(record).items() if key not in _PLAIN_FIELDS}
        return json.dumps({**extra, **line}, default=str)


def _log_error(problem: dict[str, Any]) -> None:
    if _is_json():
        print(json.dumps({"level": "ERROR", **problem}))
        return
    print(f"[ERROR] {problem['errorType']}: {problem['errorMessage']}")
    for line in "".join(problem["stackTrace"]).splitlines():
        print(line)


if __name__ == "__main__":
    main()
