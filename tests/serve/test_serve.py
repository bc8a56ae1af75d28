"""The command, in a process of its own, with boto3 as its user."""

from __future__ import annotations

import http.client
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from serve.calls import HERE, ROOT
from serve.servers import Server, answer_callback, ended, free_port, history, invoke, start, wait_for

pytestmark = pytest.mark.slow

OURS = ("ours", "chat", "slow", "month")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """A function that starts a server with these arguments; it is killed with the test."""
    servers: list[Server] = []

    def begin(*arguments: str) -> Server:
        server = Server(tmp_path, arguments)
        servers.append(server)
        server.start()
        return server

    yield begin
    for server in servers:
        if server.process is not None:
            server.kill()


def function(name: str) -> str:
    """Return the argument for one of ``our_functions``."""
    return f"{name}=our_functions.py:{name}"


def test_both_sdks_in_one_workflow(serve: Callable[..., Server]) -> None:
    """A function of AWS's SDK with steps, waits, a map and a callback calls one of ours, which calls one of theirs."""
    pytest.importorskip("aws_durable_execution_sdk_python")
    server = serve(
        *(f"{name}=aws_functions.py:{name}" for name in ("tour", "leaf", "fails")),
        function("ours"),
        *("--plain", function("plain")),
    )
    client = server.client()
    arn = start(client, "tour", {"n": 4})
    answer_callback(client, arn, "approval", b"granted")
    found = ended(client, arn)

    assert found["Status"] == "SUCCEEDED", found
    assert json.loads(found["Result"]) == {
        "doubled": 8,
        "items": [10, 21, 32],
        "approval": "granted",
        "ours": {
            "items": [8, 2],
            "leaf": {"leaf": {"from": "ours"}},
            "plain": {"plain": 6, "version": "$LATEST"},
            "failure": "ValueError: no luck",
        },
    }
    kinds = [event["EventType"] for event in history(client, arn)]
    assert kinds.count("ChainedInvokeSucceeded") == 1
    assert kinds[0], kinds[-1] == ("ExecutionStarted", "ExecutionSucceeded")


def test_a_plain_function_answers_at_once(serve: Callable[..., Server]) -> None:
    """Invoke returns its answer, or its error, as Lambda does."""
    client = serve("--plain", function("plain")).client()
    well = invoke(client, "plain", {"n": 1})
    failed = invoke(client, "plain", "boom")

    assert (well["StatusCode"], well["Payload"]) == (200, {"plain": 2, "version": "$LATEST"})
    assert "FunctionError" not in well
    assert failed["FunctionError"] == "Unhandled"
    assert failed["Payload"]["errorType"] == "ValueError"
    assert failed["Payload"]["errorMessage"] == "boom"
    assert "raise ValueError" in "".join(failed["Payload"]["stackTrace"])


def test_what_functions_print_is_shown_and_kept(serve: Callable[..., Server]) -> None:
    """Each line has the function's and the execution's name in front, and is kept with the execution."""
    server = serve(function("chat"))
    arn = start(server.client(), "chat", None, DurableExecutionName="talk-1")
    ended(server.client(), arn)
    wait_for(lambda: "chat/talk-1 | after the wait" in server.printed, "the line")

    assert "chat/talk-1 | before the wait" in server.printed
    logs = subprocess.run(
        [sys.executable, "-m", "durable_trio", "logs", "talk-1", "--endpoint-url", server.url],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    told = [line[line.index("the wait") - 7 :].strip() for line in logs.stdout.splitlines()]
    # Printed by the first invocation, and by the second one again on its way to the rest.
    assert told == ["before the wait", "before the wait", "after the wait"]


def test_a_process_whose_time_is_over_is_killed(serve: Callable[..., Server], tmp_path: Path) -> None:
    """The invocation failed with Lambda's error; it is made again, in another process."""
    (tmp_path / "functions.toml").write_text(
        f'[functions.slow]\nhandler = "{HERE}/our_functions.py:slow"\ntimeout = 2\n'
    )
    server = serve("--config", str(tmp_path / "functions.toml"))
    client = server.client()
    arn = start(client, "slow", {"mark": str(tmp_path / "mark")})
    found = ended(client, arn)

    assert json.loads(found["Result"]) == "second try"
    errors = [
        event["InvocationCompletedDetails"]["Error"]["Payload"]["ErrorType"]
        for event in history(client, arn)
        if "Error" in event.get("InvocationCompletedDetails", {})
    ]
    assert errors == ["Sandbox.Timedout"]
    pid = int((tmp_path / "mark").read_text())
    assert pid not in server.worker_pids()
    wait_for(lambda: "Task timed out after 2.00 seconds" in server.printed, "the line about it")


@pytest.mark.parametrize("how", ["Ctrl-C", "kill -9"])
def test_the_next_start_goes_on(serve: Callable[..., Server], how: str) -> None:
    """Whatever ends the server: executions go on with the next one, and nothing is done twice."""
    server = serve(function("chat"))
    arn = start(server.client(), "chat", None)
    if how == "Ctrl-C":
        assert server.stop() == 0
        assert "Stopped. Start it again" in server.printed
    else:
        server.kill()
    server.start()
    wait_for(lambda: "1 unfinished execution goes on" in server.printed, "the line about it")
    found = ended(server.client(), arn)

    assert json.loads(found["Result"]) == "told"
    with sqlite3.connect(server.folder / "db.sqlite") as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()


def test_ctrl_c_in_the_middle_of_an_invocation_is_no_failure(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    """The invocation counts as interrupted, which uses up none of its retries."""
    server = serve(function("slow"))
    arn = start(server.client(), "slow", {"mark": str(tmp_path / "mark")})
    pid = int(wait_for(lambda: (tmp_path / "mark").exists() and (tmp_path / "mark").read_text(), "the step"))
    assert server.stop() == 0
    wait_for(lambda: not Path(f"/proc/{pid}").exists() or not alive(pid), "the worker's end")
    server.start()
    found = ended(server.client(), arn)

    assert json.loads(found["Result"]) == "second try"
    completed = [e for e in history(server.client(), arn) if e["EventType"] == "InvocationCompleted"]
    (interrupted, _) = [event["InvocationCompletedDetails"] for event in completed]
    assert interrupted["Error"]["Payload"]["ErrorMessage"] == "The process that ran the invocation ended"


def alive(pid: int) -> bool:
    """Tell whether a process runs, and is no zombie."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and ") Z " not in status.read_text()


def test_a_name_of_the_machine_may_be_allowed(serve: Callable[..., Server]) -> None:
    """Clients in containers call it so; any other name may be a web page's."""
    server = serve(function("ours"), "--allow-host", "durable.internal")
    for name, status in (("durable.internal", 200), ("evil.example", 403)):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("GET", "/", headers={"Host": f"{name}:{server.port}"})
        assert connection.getresponse().status == status
        connection.close()


def test_virtual_time_makes_a_month_short(serve: Callable[..., Server]) -> None:
    """Waits and a callback's time-out of a month are over within seconds, and in order."""
    server = serve(function("month"), "--virtual-time")
    client = server.client()
    arn = start(client, "month", None)
    found = ended(client, arn, seconds=30)

    assert json.loads(found["Result"]) == "CallbackTimeoutError"
    days = (found["EndTimestamp"] - found["StartTimestamp"]).total_seconds() / 86_400
    assert 30 <= days < 30.01
    instants = [event["EventTimestamp"] for event in history(client, arn)]
    assert instants == sorted(instants)


def test_speed_makes_time_run_faster(serve: Callable[..., Server]) -> None:
    """A month at a million times the speed takes seconds."""
    server = serve(function("month"), "--speed", "1000000")
    arn = start(server.client(), "month", None)
    found = ended(server.client(), arn, seconds=30)

    assert (found["EndTimestamp"] - found["StartTimestamp"]).days >= 30


def test_new_code_is_used(serve: Callable[..., Server], tmp_path: Path) -> None:
    """With ``--reload`` the next invocation runs what was saved; a mistake is told, and can be mended."""
    pytest.importorskip("watchfiles")
    code = tmp_path / "code" / "app.py"
    code.parent.mkdir()
    code.write_text("def handler(event, context):\n    return 'old'\n")
    server = serve("--plain", f"app={code}:handler", "--reload")
    client = server.client()
    assert invoke(client, "app", None)["Payload"] == "old"

    save_and_wait(server, code, "return 'new'")
    assert invoke(client, "app", None)["Payload"] == "new"
    save_and_wait(server, code, "return oh no")
    assert invoke(client, "app", None)["Payload"]["errorType"] == "Runtime.UserCodeSyntaxError"
    save_and_wait(server, code, "return 'mended'")
    assert invoke(client, "app", None)["Payload"] == "mended"


def save_and_wait(server: Server, code: Path, text: str) -> None:
    """Save a handler that does *text*, and wait until the server has noticed."""
    before = server.printed.count("new invocations run the new code")
    code.write_text(f"def handler(event, context):\n    {text}\n")
    wait_for(lambda: server.printed.count("new invocations run the new code") > before, "the change")


def test_a_mistake_in_the_code_is_told_at_the_start(serve: Callable[..., Server]) -> None:
    """Without waiting for an invocation; the server goes on."""
    server = serve("nothing=our_functions.py:nothing", function("chat"))
    wait_for(
        lambda: (
            "nothing cannot be loaded: Runtime.HandlerNotFound: Handler 'nothing' missing" in server.printed
        ),
        "the mistake",
    )
    assert server.stop() == 0


def test_a_port_that_is_taken_is_told(serve: Callable[..., Server], tmp_path: Path) -> None:
    """In one line."""
    server = serve(function("chat"))
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "durable_trio", "serve", str(HERE / "our_functions.py:chat")),
            *("--port", str(server.port), "--db", str(tmp_path / "other.sqlite")),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )

    assert ended.returncode == 2
    assert str(server.port) in ended.stderr
    assert "Traceback" not in ended.stderr


def test_nobody_reading_what_is_printed_does_not_stop_it(tmp_path: Path) -> None:
    """A pipe that is full, like a terminal that is stopped, leaves the service at work; Ctrl-C still ends it."""
    (tmp_path / "loud.py").write_text(
        "def handler(event, context):\n    for _ in range(5000): print('x' * 100)\n    return 'done'\n"
    )
    port = free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "durable_trio", "serve", "--plain", f"loud={tmp_path}/loud.py:handler"),
            *("--port", str(port), "--db", str(tmp_path / "db.sqlite")),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"durable-trio serves")
        client = Server(tmp_path, (), port=port).client()
        answers: list[Any] = [invoke(client, "loud", None)["Payload"] for _ in range(3)]
        assert answers == ["done"] * 3
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.communicate()
