"""How fast the local service is over HTTP, and AWS's local runner beside it: ``python -m benchmarks.http_service``.

Both services invoke the same function, which runs in this process behind Lambda's Invoke API and speaks the
envelope by hand over a kept connection: no SDK's time is measured. Three workloads:

- *steps*: checkpoints one after another, each with the START and the SUCCEED of one step; completed steps per second,
  by one execution and by five side by side;
- *fan-out*: checkpoints one after another, each with the START and the SUCCEED of 125 steps, which is what an SDK
  sends while a map runs;
- *waits*: how long after its due time the function hears that a wait of one second is over.

AWS's runner is ``aws-durable-execution-sdk-python-testing``, in an environment of its own: ``--runner-python PATH``.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WAITS: Final = 20
_SIDE_BY_SIDE: Final = 5
_STEPS_IN_A_REQUEST: Final = 125
_FUNCTIONS: Final = ("steps", "fan-out", "waits")
_ENVIRONMENT: Final = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "us-east-1",
}
_RUNNER: Final = "from aws_durable_execution_sdk_python_testing.cli import main; raise SystemExit(main())"

# --- the function ----------------------------------------------------------------------------------------


def steps(event: dict[str, Any], port: int) -> dict[str, str]:
    """Checkpoint many single steps, one after another."""
    return _checkpoint_steps(event, port, 1)


def fan_out(event: dict[str, Any], port: int) -> dict[str, str]:
    """Checkpoint many steps, as many in a request as it holds."""
    return _checkpoint_steps(event, port, _STEPS_IN_A_REQUEST)


def _checkpoint_steps(event: dict[str, Any], port: int, at_once: int) -> dict[str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    token, count = event["CheckpointToken"], _input(event)
    for first in range(0, count, at_once):
        updates = []
        for number in range(first, min(first + at_once, count)):
            step = {"Id": f"step-{number}", "Type": "STEP", "SubType": "Step", "Name": "step"}
            updates += [{**step, "Action": "START"}, {**step, "Action": "SUCCEED", "Payload": "1"}]
        token = _checkpoint(connection, event["DurableExecutionArn"], token, updates)["CheckpointToken"]
    connection.close()
    return {"Status": "SUCCEEDED", "Result": "1"}


def _input(event: dict[str, Any]) -> Any:
    return json.loads(event["InitialExecutionState"]["Operations"][0]["ExecutionDetails"]["InputPayload"])


def waits(event: dict[str, Any], port: int) -> dict[str, str]:
    """Wait for a second; then say how late that was heard of."""
    operations = event["InitialExecutionState"]["Operations"]
    for operation in operations:
        if operation["Type"] == "WAIT" and operation["Status"] == "SUCCEEDED":
            due_at = operation["WaitDetails"]["ScheduledEndTimestamp"]
            return {"Status": "SUCCEEDED", "Result": json.dumps(time.time() * 1000 - due_at)}
    if not any(operation["Type"] == "WAIT" for operation in operations):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        wait = {
            "Id": "wait",
            "Type": "WAIT",
            "SubType": "Wait",
            "Action": "START",
            "WaitOptions": {"WaitSeconds": 1},
        }
        _checkpoint(connection, event["DurableExecutionArn"], event["CheckpointToken"], [wait])
        connection.close()
    return {"Status": "PENDING"}


def _checkpoint(connection: http.client.HTTPConnection, arn: str, token: str, updates: list[Any]) -> Any:
    body = {"CheckpointToken": token, "ClientToken": str(uuid.uuid4()), "Updates": updates}
    path = f"/2025-12-01/durable-executions/{quote(arn, safe='')}/checkpoint"
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    members = json.loads(answer.read())
    assert answer.status == 200, members
    return members


@contextlib.contextmanager
def function_host(service_port: int, port: int) -> Iterator[None]:
    """Run the functions behind Lambda's Invoke API."""
    functions = {"steps": steps, "fan-out": fan_out, "waits": waits}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_POST(self) -> None:
            event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            function = functions[self.path.split("/")[3].partition("%3A")[0].partition(":")[0]]
            body = json.dumps(function(event, service_port)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


# --- the services ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Service:
    """A service that runs, and how to start an execution there."""

    port: int
    pid: int
    start: Callable[[int, str, int], str]

    def cpu_seconds(self) -> float:
        """Return how much processor time it has taken so far: what others on the machine do does not count."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def run(self, function: str, event: int = 0) -> Any:
        """Run one execution to its end, and return its result."""
        arn = self.start(self.port, function, event)
        while True:
            found = _call(self.port, f"/2025-12-01/durable-executions/{quote(arn, safe='')}")
            if found["Status"] != "RUNNING":
                assert found["Status"] == "SUCCEEDED", found
                return json.loads(found["Result"])
            time.sleep(0.05)


def _call(port: int, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers or {})
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # http, on loopback
        arn = answer.headers.get("X-Amz-Durable-Execution-Arn")
        return {"ExecutionArn": arn} if arn else json.load(answer)


def _start_ours(port: int, function: str, event: int) -> str:
    path = f"/2015-03-31/functions/{function}/invocations"
    answer = _call(port, path, event, {"X-Amz-Invocation-Type": "Event"})
    return str(answer["ExecutionArn"])


def _start_runners(port: int, function: str, event: int) -> str:
    body = {
        "AccountId": "123456789012",
        "FunctionName": function,
        "FunctionQualifier": "$LATEST",
        "ExecutionName": str(uuid.uuid4()),
        "ExecutionTimeoutSeconds": 300,
        "ExecutionRetentionPeriodDays": 7,
        "Input": json.dumps(event),
    }
    answer = _call(port, "/start-durable-execution", body, {"Content-Type": "application/json"})
    return str(answer["ExecutionArn"])


@contextlib.contextmanager
def _process(command: list[str], port: int, folder: Path) -> Iterator[int]:
    with (folder / "service.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # our own command
            command, stdout=log, stderr=log, env={**_ENVIRONMENT, "PYTHONPATH": str(Path.cwd())}
        )
    try:
        deadline = time.monotonic() + 60
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((folder / "service.log").read_text())
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)


def _answers(port: int) -> bool:
    try:
        _call(port, "/health")
    except urllib.error.HTTPError:
        return True
    except (OSError, http.client.HTTPException):
        return False
    return True


@contextlib.contextmanager
def ours() -> Iterator[Service]:
    """Run ``durable-trio serve`` on a new file."""
    port, host_port = _free_port(), _free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        urls = "".join(
            f'[functions.{function}]\nurl = "http://127.0.0.1:{host_port}/2015-03-31/functions/{function}/invocations"\n'
            for function in _FUNCTIONS
        )
        (folder / "functions.toml").write_text(urls)
        command = [sys.executable, "-m", "durable_trio", "serve", "--config", str(folder / "functions.toml")]
        command += ["--port", str(port), "--db", str(folder / "executions.sqlite")]
        with function_host(port, host_port), _process(command, port, folder) as pid:
            yield Service(port, pid, _start_ours)


@contextlib.contextmanager
def runners(python: str, store: str) -> Iterator[Service]:
    """Run AWS's local runner with one of its stores: ``memory``, or ``sqlite`` on a new file."""
    port, host_port = _free_port(), _free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = {"DurableConfig": {"ExecutionTimeout": 300, "RetentionPeriodInDays": 7}}
        (folder / "functions.json").write_text(json.dumps(dict.fromkeys(_FUNCTIONS, config)))
        command = [python, "-c", _RUNNER, "start-server", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--store-type", store, "--store-path", str(folder / "executions.db")]
        command += ["--log-level", "ERROR", "--lambda-endpoint", f"http://127.0.0.1:{host_port}"]
        command += [
            "--local-runner-endpoint",
            f"http://127.0.0.1:{port}",
            "--local-runner-region",
            "us-east-1",
        ]
        command += [
            "--invocation-timeout",
            "300",
            "--function-configs",
            f"file://{folder / 'functions.json'}",
        ]
        with function_host(port, host_port), _process(command, port, folder) as pid:
            yield Service(port, pid, _start_runners)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- measuring -------------------------------------------------------------------------------------------


def measure(name: str, service: Service, steps_each: int) -> None:
    """Run the workloads and print a line for each."""
    for function, side_by_side, each in (
        ("steps", 1, steps_each),
        ("steps", _SIDE_BY_SIDE, steps_each),
        ("fan-out", 1, 5 * steps_each),
        ("fan-out", _SIDE_BY_SIDE, 5 * steps_each),
    ):
        begun, cpu_before = time.perf_counter(), service.cpu_seconds()
        with ThreadPoolExecutor(side_by_side) as pool:
            list(pool.map(service.run, [function] * side_by_side, [each] * side_by_side))
        count = side_by_side * each
        per_second = count / (time.perf_counter() - begun)
        cpu_ms = (service.cpu_seconds() - cpu_before) / count * 1000
        click.echo(
            f"{name:<22} {function:8} {side_by_side} x {each:5}  {per_second:8.0f} steps/s  {cpu_ms:.2f} ms CPU/step"
        )
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        late = sorted(pool.map(service.run, ["waits"] * _WAITS))
    click.echo(
        f"{name:<22} {_WAITS} waits  late by {statistics.median(late):.1f} ms (median), {late[-1]:.1f} ms (most)"
    )


@click.command()
@click.option("--runner-python", metavar="PATH", help="An interpreter that has AWS's local runner.")
@click.option("--steps", "steps_each", default=1_000, show_default=True, help="So many in an execution.")
def main(runner_python: str | None, steps_each: int) -> None:
    """Measure, and print."""
    with ours() as service:
        measure("durable-trio", service, steps_each)
    if runner_python is not None:
        for store in ("sqlite", "memory"):
            with runners(runner_python, store) as service:
                measure(f"AWS's runner, {store}", service, steps_each)


if __name__ == "__main__":
    main()
