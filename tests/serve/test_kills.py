"""``kill -9`` of the server and of its workers in the middle of a mixed load, and what is left of it."""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from serve.calls import HERE
from serve.load_functions import expected
from serve.servers import Server, history, start

KILLS = int(os.environ.get("DURABLE_TRIO_KILLS", "4"))
SEED = int(os.environ.get("DURABLE_TRIO_SEED", "1"))
EXECUTIONS = int(os.environ.get("DURABLE_TRIO_EXECUTIONS", "100"))
PATIENCE_SECONDS = 600.0

CLOSING = {"Succeeded", "Failed", "TimedOut", "Stopped", "Cancelled"}


class Load:
    """Everything that clients do: start executions, answer their callbacks, and remember what was acknowledged."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.arns: dict[int, str] = {}
        self.client = server.client(max_pool_connections=20)
        self.is_over = threading.Event()

    def start_all(self) -> None:
        """Start all executions, each as often as it takes to be acknowledged."""
        with ThreadPoolExecutor(10) as threads:
            for number, arn in enumerate(threads.map(self._start, range(EXECUTIONS))):
                self.arns[number] = arn

    def _start(self, number: int) -> str:
        # The name makes it safe to ask again when the answer was lost.
        name = f"n{number}"
        arn: str = self._insist(
            lambda: start(self.client, "load", {"number": number}, DurableExecutionName=name)
        )
        return arn

    def answer_callbacks(self) -> None:
        """Answer each callback until that is acknowledged."""
        waiting = {number for number in range(EXECUTIONS) if number % 5 == 2}
        while waiting and not self.is_over.is_set():
            for number in sorted(waiting & self.arns.copy().keys()):
                callback_id = self._insist(lambda number=number: self._callback(number))
                if callback_id:
                    self._insist(lambda number=number, id_=callback_id: self._answer(id_, number))
                    waiting.remove(number)
            time.sleep(0.1)

    def _callback(self, number: int) -> str:
        for event in history(self.client, self.arns[number]):
            if event["EventType"] == "CallbackStarted":
                callback_id: str = event["CallbackStartedDetails"]["CallbackId"]
                return callback_id
        return ""

    def _answer(self, callback_id: str, number: int) -> None:
        # A second answer is refused: then the first one was taken, and only its acknowledgement was lost.
        with contextlib.suppress(self.client.exceptions.CallbackTimeoutException):
            self.client.send_durable_execution_callback_success(
                CallbackId=callback_id, Result=f"answer to {number}".encode()
            )

    def _insist(self, ask: Any) -> Any:
        while True:
            try:
                return ask()
            except (BotoCoreError, ClientError) as problem:
                if (
                    isinstance(problem, ClientError)
                    and problem.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500) < 500
                ):
                    raise
                if self.is_over.is_set():
                    raise
                time.sleep(0.1)

    def unfinished(self) -> int:
        """Return how many executions run."""
        pages = self.client.get_paginator("list_durable_executions_by_function").paginate(
            FunctionName="load", Statuses=["RUNNING"]
        )
        return sum(len(page["DurableExecutions"]) for page in pages)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with the load's functions."""
    monkeypatch.setenv("LOAD_FILE", str(tmp_path / "bodies.jsonl"))
    # The function that is invoked by another one is of AWS's SDK, where that is installed.
    children = "aws_functions" if find_spec("aws_durable_execution_sdk_python") else "load_functions"
    load, plain = (f"{name}={HERE}/load_functions.py:{name}" for name in ("load", "plain"))
    child = f"child={HERE}/{children}.py:child"
    server = Server(tmp_path, (load, child, "--plain", plain, "--workers", "4"))
    server.start()
    yield server
    if server.process is not None:
        server.kill()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds workers by /proc")
def test_kills_lose_nothing(server: Server) -> None:
    """However often server and workers are killed, nothing acknowledged is lost, and every execution ends as it should.

    ``DURABLE_TRIO_KILLS`` says how many kills there are, ``DURABLE_TRIO_EXECUTIONS`` how many executions, and
    ``DURABLE_TRIO_SEED`` when.
    """
    chance = random.Random(SEED)
    load = Load(server)
    deadline = time.monotonic() + PATIENCE_SECONDS
    with ThreadPoolExecutor(2) as threads:
        work = [threads.submit(load.start_all), threads.submit(load.answer_callbacks)]
        try:
            for number in range(KILLS):
                time.sleep(chance.uniform(0.3, 1.5))
                kill_something(server, chance, is_server=number % 2 == 0)
            while not work[0].done() or load.unfinished():
                assert time.monotonic() < deadline, f"{load.unfinished()} executions run still"
                for done in work:
                    if done.done():
                        done.result()
                time.sleep(0.2)
        finally:
            load.is_over.set()
        for done in work:
            done.result()

    bodies = [json.loads(line) for line in (server.folder / "bodies.jsonl").read_text().splitlines()]
    for number, arn in load.arns.items():
        check_execution(load.client, number, arn, [body for body in bodies if body["arn"] == arn])
    assert len(set(load.arns.values())) == EXECUTIONS
    check_database(server)


def kill_something(server: Server, chance: random.Random, *, is_server: bool) -> None:
    """Kill the server, which is started again, or one of its workers."""
    if is_server:
        server.kill()
        server.start()
        return
    # A plain function that is killed has failed, for good, as on Lambda; a durable one is invoked again.
    pids = [pid for pid in server.worker_pids() if "load_functions.plain" not in command_of(pid)]
    if pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(pids), signal.SIGKILL)


def command_of(pid: int) -> str:
    """Return the command line of a process, or nothing if it has just ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def check_execution(client: Any, number: int, arn: str, bodies: list[dict[str, Any]]) -> None:
    """The result is that of an undisturbed run, the history is whole, and no step ran again after its end."""
    found = client.get_durable_execution(DurableExecutionArn=arn)
    assert found["Status"] == "SUCCEEDED", found
    assert json.loads(found["Result"]) == expected(number)
    events = history(client, arn)
    check_history(events)
    ended_at = {
        event["Id"]: event["EventTimestamp"].timestamp() * 1000
        for event in events
        if event["EventType"] == "StepSucceeded"
    }
    again = [body for body in bodies if body["at"] > ended_at.get(body["id"], math.inf) + 1]
    assert again == []
    # None was passed over either.
    assert ended_at.keys() <= {body["id"] for body in bodies}


def check_history(events: list[dict[str, Any]]) -> None:
    """Numbered without a gap, in the order of time; each operation starts before it ends, and ends once."""
    assert [event["EventId"] for event in events] == list(range(1, len(events) + 1))
    instants = [event["EventTimestamp"] for event in events]
    assert instants == sorted(instants)
    assert events[0]["EventType"] == "ExecutionStarted"
    assert [e["EventType"] for e in events if e["EventType"].startswith("Execution")][1:] == [
        "ExecutionSucceeded"
    ]
    started, ended = set[str](), set[str]()
    for event in events:
        id_, kind = event.get("Id"), event["EventType"]
        if id_ is None or kind.startswith("Execution"):
            continue
        if kind.endswith("Started"):
            assert id_ not in ended, event
            started.add(id_)
        elif "NextAttemptDelaySeconds" not in event.get(f"{kind}Details", {}).get("RetryDetails", {}):
            assert id_ in started, event
            assert id_ not in ended, event
            ended.add(id_)
    assert started == ended


def check_database(server: Server) -> None:
    """The file is sound, once everything has ended, and after a last kill."""
    server.kill()
    with contextlib.closing(sqlite3.connect(server.folder / "db.sqlite")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
