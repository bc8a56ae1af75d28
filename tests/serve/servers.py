"""``durable-trio serve`` in a process of its own, and boto3 to talk to it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3.session
from botocore.config import Config
from serve.calls import HERE, ROOT

PATIENCE_SECONDS = 60.0


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def wait_for(condition: Callable[[], Any], what: str, *, seconds: float = PATIENCE_SECONDS) -> Any:
    """Return what *condition* gives as soon as that is true."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.02)


@dataclass
class Server:
    """A server in *folder*, started with *arguments*; the port stays the same over restarts."""

    folder: Path
    arguments: tuple[str, ...]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def printed(self) -> str:
        """All that the servers in this folder have printed."""
        return (self.folder / "printed.txt").read_text(encoding="utf-8")

    def start(self) -> None:
        """Start it, and wait until it serves."""
        (self.folder / "printed.txt").touch()
        before = self.printed.count("durable-trio serves")
        with (self.folder / "printed.txt").open("ab") as printed:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "durable_trio", "serve", *self.arguments),
                    *("--port", str(self.port), "--db", str(self.folder / "db.sqlite")),
                ],
                stdout=printed,
                stderr=subprocess.STDOUT,
                cwd=HERE,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        wait_for(lambda: self._has_begun(before), "the server's start")

    def _has_begun(self, before: int) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.printed
        return self.printed.count("durable-trio serves") > before

    def stop(self) -> int:
        """End it by Ctrl-C, and return its exit code."""
        return self._end(signal.SIGINT)

    def kill(self) -> None:
        """``kill -9``."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(timeout=PATIENCE_SECONDS)
        self.process = None
        return code

    def client(self, **options: Any) -> Any:
        """Return boto3's client of Lambda."""
        return boto3.session.Session().client(
            "lambda",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(
                retries={"total_max_attempts": 1}, read_timeout=PATIENCE_SECONDS, proxies={}, **options
            ),
        )

    def worker_pids(self) -> list[int]:
        """Return the processes that it has started."""
        assert self.process is not None
        found = []
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            found += [int(pid) for pid in (task / "children").read_text().split()]
        return found


def invoke(client: Any, function: str, event: Any, **options: Any) -> dict[str, Any]:
    """Invoke a function; the answer's payload is read as JSON."""
    answer: dict[str, Any] = client.invoke(
        FunctionName=function, Payload=json.dumps(event).encode(), **options
    )
    text = answer["Payload"].read()
    return {**answer, "Payload": json.loads(text) if text else None}


def start(client: Any, function: str, event: Any, **options: Any) -> str:
    """Start an execution, and return its ARN."""
    answer = invoke(client, f"{function}:$LATEST", event, InvocationType="Event", **options)
    arn: str = answer["DurableExecutionArn"]
    return arn


def ended(client: Any, arn: str, *, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
    """Return an execution once it has ended."""

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = client.get_durable_execution(DurableExecutionArn=arn)
        return None if found["Status"] == "RUNNING" else found

    found: dict[str, Any] = wait_for(look, f"the end of {arn}", seconds=seconds)
    return found


def history(client: Any, arn: str) -> list[dict[str, Any]]:
    """Return all events of an execution."""
    pages = client.get_paginator("get_durable_execution_history").paginate(DurableExecutionArn=arn)
    return [event for page in pages for event in page["Events"]]


def answer_callback(client: Any, arn: str, name: str, result: bytes) -> None:
    """Answer a callback as soon as it is there."""

    def find() -> str | None:
        for event in history(client, arn):
            if event["EventType"] == "CallbackStarted" and event.get("Name") == name:
                callback_id: str = event["CallbackStartedDetails"]["CallbackId"]
                return callback_id
        return None

    callback_id = wait_for(find, f"callback {name}")
    client.send_durable_execution_callback_success(CallbackId=callback_id, Result=result)


def executions_of(text: str) -> list[str]:
    """Return the names of executions in what was printed."""
    return re.findall(r"/([\w-]+) \| ", text)
