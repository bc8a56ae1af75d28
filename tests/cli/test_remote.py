"""The commands against an endpoint: the same words as against the file, and what only an endpoint can do."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import trio
from click.testing import CliRunner, Result
from clients.fake_lambda import Answer, FakeLambda, refusal
from support.endpoints import Served, in_thread, serving
from support.http_workflows import register_all

from durable_trio import DurableContext, Duration, durable_execution, no_retry
from durable_trio._protocol.operation import OperationStatus, StepDetails
from durable_trio.cli.endpoint import Endpoint
from durable_trio.cli.errors import NotFoundError, UserError
from durable_trio.cli.main import commands
from durable_trio.cli.remote_service import _decoded, _operations
from durable_trio.local import ExecutionStatus, open_local_service
from durable_trio.local.logs import LogLine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass(frozen=True)
class Terminals:
    """Two terminals: one looks at the file, one at the endpoint that serves it."""

    endpoint: Served
    db: Path

    async def here(self, *arguments: str) -> Result:
        """Run a command on the file."""
        return await _run(*arguments, "--db", str(self.db))

    async def there(self, *arguments: str) -> Result:
        """Run a command at the endpoint."""
        return await _run(*arguments, "--endpoint-url", self.endpoint.url)

    async def json(self, *arguments: str) -> Any:
        """Run a command at the endpoint, which must succeed, and return its document."""
        result = await self.there(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)


async def _run(*arguments: str) -> Result:
    result: Result = await in_thread(lambda: CliRunner().invoke(commands, list(arguments)))
    return result


@asynccontextmanager
async def terminals(folder: Path) -> AsyncIterator[Terminals]:
    """Serve a file with some functions."""
    db = folder / "executions.sqlite"
    async with open_local_service(db) as service, serving(service) as endpoint:
        register_all(service)
        service.register("everything", everything.invoke)
        yield Terminals(endpoint, db)


@durable_execution
async def everything(event: Any, ctx: DurableContext) -> Any:
    """Use operations of every kind, and wait for an answer."""

    async def quick(number: int) -> int:
        return number

    async def branch(child: DurableContext, item: int, index: int) -> int:
        return await child.step(quick, item, name="quick")

    async def flaky(number: int) -> int:
        raise ValueError("again")

    await ctx.step(quick, 1, name="first")
    await ctx.map([1, 2], branch, name="both")
    await ctx.wait(Duration.seconds(1), name="a-second")
    await ctx.invoke("greet", {"name": "ada"}, name="chained")
    callback = await ctx.create_callback(name="approval", timeout=Duration.days(1))
    try:
        await ctx.step(flaky, 1, name="flaky", retry=no_retry())
    except Exception:  # noqa: BLE001
        return await callback.result()


async def parked(terminals: Terminals) -> str:
    """Start an execution that uses everything, and return its ARN when it waits for its answer."""
    service = terminals.endpoint.service
    arn = (await service.start_execution("everything", '{"n": 1}', name="demo")).arn
    with service.subscribe(arn) as changes, trio.fail_after(20):
        async for _ in changes:
            found = await service.operations(arn)
            is_parked = not (await service.describe(arn)).is_invoked
            if is_parked and any(each.name == "flaky" and each.status.is_terminal for each in found):
                return arn
    raise AssertionError("the service was closed")


LOOKING = (
    ["list"],
    ["list", "--json"],
    ["list", "--function", "everything"],
    ["list", "--status", "FAILED"],
    ["list", "--limit", "1"],
    ["show", "demo", "--json"],
    ["show", "demo", "--full"],
    ["history", "demo"],
    ["history", "demo", "--json"],
    ["history", "demo", "--reverse"],
    ["logs", "demo"],
    ["logs", "demo", "--json"],
)


async def test_an_endpoint_shows_what_the_file_shows(tmp_path: Path) -> None:
    """Every command that looks prints the same, whether it opens the file or asks who serves it."""
    async with terminals(tmp_path) as both:
        arn = await parked(both)
        await both.endpoint.service.append_log_lines(
            arn, [LogLine(at=1_795_177_539_000, text="hello", request_id="r", function_name="everything")]
        )
        for command in LOOKING:
            here, there = await both.here(*command), await both.there(*command)
            assert there.exit_code == 0, there.stderr
            assert here.exit_code == 0, here.stderr
            if "--json" in command:
                assert json.loads(there.stdout) == json.loads(here.stdout)
            else:
                assert there.stdout == here.stdout
        assert "hello" in (await both.there("logs", "demo")).stdout


async def test_a_callback_is_answered_at_an_endpoint(tmp_path: Path) -> None:
    """By its name in the execution, or by its id; a heartbeat leaves it open."""
    async with terminals(tmp_path) as both:
        arn = await parked(both)
        names = ("--execution", "demo", "--callback", "approval")
        assert (await both.there("callback", "heartbeat", *names)).exit_code == 0
        answered = await both.there("callback", "succeed", *names, "--result", '{"ok": true}')
        assert answered.exit_code == 0, answered.stderr
        ended = await both.endpoint.service.wait_closed(arn)
        assert json.loads(json.loads(ended.result or "")) == {"ok": True}
        id_ = answered.stdout.split()[1]
        again = await both.there("callback", "fail", id_, "--error-message", "late")

    assert again.exit_code == 2
    assert "CallbackTimeoutException" in again.stderr


async def test_an_execution_is_paused_resumed_stopped_and_deleted(tmp_path: Path) -> None:
    """At the endpoint and in the file alike, with the status that comes of it."""
    async with terminals(tmp_path) as both:
        arn = await parked(both)
        for terminal in (both.there, both.here):
            assert (await terminal("pause", arn, "--reason", "lunch")).stdout == "execution demo PAUSED\n"
            assert "paused for  lunch" in (await both.there("show", arn)).stdout
            refused = await terminal("pause", arn)
            assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
            assert (await terminal("resume", arn)).stdout == "execution demo RUNNING\n"
        assert (await both.there("delete", arn)).exit_code == 2
        stopped = await both.there("stop", "demo", "--error-type", "Wrong", "--error-message", "no more")
        assert stopped.stdout == "execution demo STOPPED\n"
        shown = await both.json("show", "demo")
        assert shown["Error"] == {"ErrorType": "Wrong", "ErrorMessage": "no more"}
        assert (await both.there("delete", "demo")).stdout == "execution demo deleted\n"
        assert (await both.here("show", arn)).exit_code == 3


async def test_a_function_is_invoked(tmp_path: Path) -> None:
    """Its result is on stdout; a failure is exit code 1; an event only says which execution it is."""
    async with terminals(tmp_path) as both:
        greeted = await both.there("invoke", "greet", "--input-json", '{"name": "ada"}', "--name", "one")
        assert (greeted.exit_code, greeted.stdout) == (0, '"Hello, ADA"\n')
        assert "durable-execution/one/" in greeted.stderr
        failed = await both.there("invoke", "fail")
        assert failed.exit_code == 1
        assert json.loads(failed.stdout)["errorType"] == "ValueError"
        event = await both.json("invoke", "greet", "--input-json", '{"name": "ada"}', "--event")
        assert event["StatusCode"] == 202
        ended = await both.endpoint.service.wait_closed(event["DurableExecutionArn"])
        assert ended.status is ExecutionStatus.SUCCEEDED
        assert (await both.there("invoke", "greet", "--dry-run")).exit_code == 0
        assert (await both.there("invoke", "nobody")).exit_code == 3
        assert (await both.there("invoke", "greet", "--dry-run", "--event")).exit_code == 2


async def test_a_file_has_no_functions(tmp_path: Path) -> None:
    """It says what to do about it."""
    async with terminals(tmp_path) as both:
        refused = await both.here("invoke", "greet")

    assert refused.exit_code == 2
    assert "--endpoint-url" in refused.stderr


async def test_an_execution_is_found_by_name(tmp_path: Path) -> None:
    """In any function; two of one name have to be told apart by their ARNs."""
    async with terminals(tmp_path) as both:
        service = both.endpoint.service
        await service.start_execution("greet", '{"name": "a"}', name="twice")
        await service.start_execution("nap", "{}", name="twice")
        ambiguous, missing = await both.there("show", "twice"), await both.there("show", "nobody")

    assert ambiguous.exit_code == 2
    assert ambiguous.stderr.count("arn:aws") == 2
    assert missing.exit_code == 3
    assert missing.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--endpoint-url", "http://127.0.0.1:9", "--db", "x"], "different places"),
        (["--endpoint-url", "http://127.0.0.1:9", "--aws"], "different places"),
        (["--aws", "--db", "x"], "different places"),
        (["--region", "eu-central-1"], "--aws"),
        (["--profile", "me"], "--aws"),
        (["--endpoint-url", "127.0.0.1:9"], "ndpoint"),
        (["--endpoint-url", "http://127.0.0.1:9"], "127.0.0.1:9"),
        (["--aws", "--profile", "no-such-profile"], "no-such-profile"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_place_that_is_none_is_one_line(options: list[str], message: str) -> None:
    """Options that contradict each other, an endpoint where nobody is, a profile that does not exist."""
    result = CliRunner().invoke(commands, ["list", *options])

    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_aws_needs_a_region_and_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where boto3 finds none, one line says so."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    without_region = CliRunner().invoke(commands, ["list", "--aws"])
    assert without_region.exit_code == 2
    assert "region" in without_region.stderr
    without_credentials = CliRunner().invoke(commands, ["list", "--aws", "--region", "eu-central-1"])
    assert without_credentials.exit_code == 2
    assert "credentials" in without_credentials.stderr


def test_logs_of_aws_are_in_cloudwatch() -> None:
    """The command that shows them is there to be copied."""
    arn = "arn:aws:lambda:eu-central-1:123456789012:function:orders:$LATEST/durable-execution/one/id"
    with pytest.raises(UserError, match="aws logs tail /aws/lambda/orders"):
        Endpoint(None, "eu-central-1").log_lines(arn)


async def test_the_endpoint_may_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``DURABLE_TRIO_ENDPOINT_URL`` is the default; a ``--db`` that is typed goes before it."""
    async with terminals(tmp_path) as both:
        await parked(both)
        monkeypatch.setenv("DURABLE_TRIO_ENDPOINT_URL", both.endpoint.url)
        there = await _run("list")
        assert there.exit_code == 0, there.stderr
        assert "demo" in there.stdout
        monkeypatch.setenv("DURABLE_TRIO_ENDPOINT_URL", "http://127.0.0.1:9")
        here = await _run("list", "--db", str(both.db))
    assert here.stdout == there.stdout


def test_an_event_of_a_later_version_is_left_out_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    """AWS may tell more than this program knows; what it does know is shown all the same."""
    events = [
        {"EventType": "ExecutionStarted", "EventId": 1, "EventTimestamp": 1.0, "ExecutionStartedDetails": {}},
        {"EventType": "ExecutionDreamt", "EventId": 2, "EventTimestamp": 2.0},
    ]
    assert [event.event_id for event in _decoded(events)] == [1]
    assert "event 2" in capsys.readouterr().err
    with pytest.raises(UserError, match="cannot be read"):
        list(_decoded([{"EventType": "StepStarted"}]))


def test_a_step_that_waits_for_its_retry_says_until_when() -> None:
    """The history tells the delay; once it is over the step is ready, of which no event tells."""
    events = list(
        _decoded(
            [
                {"EventType": "StepStarted", "EventId": 2, "EventTimestamp": 1.0, "Id": "a"},
                {
                    "EventType": "StepFailed",
                    "EventId": 3,
                    "EventTimestamp": 2.0,
                    "Id": "a",
                    "StepFailedDetails": {
                        "Error": {"Payload": {"ErrorType": "E"}},
                        "RetryDetails": {"CurrentAttempt": 1, "NextAttemptDelaySeconds": 10},
                    },
                },
            ]
        )
    )
    (waiting,) = _operations(events, "x/id", now=11_999)
    (ready,) = _operations(events, "x/id", now=12_000)
    assert isinstance(waiting.details, StepDetails)
    assert (waiting.status, waiting.details.next_attempt_at) == (OperationStatus.PENDING, 12_000)
    assert ready.status is OperationStatus.READY


@pytest.mark.parametrize(
    ("url", "is_local"),
    [
        ("http://127.0.0.1:9014", True),
        ("http://127.8.9.1", True),
        ("http://[::1]:9014", True),
        ("http://localhost:9014", True),
        ("https://api.localhost", True),
        ("https://lambda.eu-central-1.amazonaws.com", False),
        ("http://192.168.1.7:9014", False),
        ("http://localhost.evil.example", False),
        (None, False),
    ],
)
def test_made_up_credentials_are_for_this_machine_alone(url: str | None, is_local: bool) -> None:
    """Anywhere else boto3 has to find real ones."""
    assert Endpoint(url).is_local is is_local


def test_an_endpoint_that_is_not_ours_keeps_no_logs() -> None:
    """It answers our own route like any other that it does not know; the words say where to look instead."""
    arn = "arn:aws:lambda:eu-central-1:123456789012:function:orders:$LATEST/durable-execution/one/id"
    with FakeLambda() as fake:
        fake.answers = [refusal(403, "MissingAuthenticationTokenException", "no token")]
        with pytest.raises(UserError, match=r"keeps no logs.*aws logs tail /aws/lambda/orders"):
            Endpoint(fake.url).log_lines(arn)
        fake.answers = [Answer(200, b"<html>")]
        with pytest.raises(UserError, match=fake.url):
            Endpoint(fake.url).log_lines(arn)
        fake.answers = [refusal(404, "ResourceNotFoundException", "gone")]
        with pytest.raises(NotFoundError, match="orders"):
            Endpoint(fake.url).log_lines(arn)


def test_what_aws_refuses_is_one_line() -> None:
    """With the service's words and the class of its error."""
    with FakeLambda() as fake:
        fake.answers = [refusal(403, "AccessDeniedException", "User: you is not authorized")]
        result = CliRunner().invoke(commands, ["list", "--endpoint-url", fake.url])

    assert result.exit_code == 2
    assert "User: you is not authorized (AccessDeniedException)" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_region_and_a_profile_are_boto3s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The region is signed for, and the profile's credentials sign."""
    (tmp_path / "credentials").write_text(
        "[me]\naws_access_key_id = AKIDME\naws_secret_access_key = secret\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with FakeLambda() as fake:
        options = ["--endpoint-url", fake.url, "--region", "eu-central-1", "--profile", "me"]
        result = CliRunner().invoke(commands, ["list", *options])
        signature = fake.requests[0].headers["Authorization"]

    assert result.exit_code == 0, result.stderr
    assert "Credential=AKIDME/" in signature
    assert "/eu-central-1/lambda/" in signature


@pytest.mark.slow
def test_ctrl_c_ends_a_command_that_waits() -> None:
    """At once, with the shell's exit code for it; the execution that was asked for goes on."""
    hold = threading.Event()
    with FakeLambda() as fake:
        fake.answers = [Answer(200, hold=hold)]
        command = [sys.executable, "-m", "durable_trio", "invoke", "f", "--endpoint-url", fake.url]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert fake.is_asked.wait(30)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        hold.set()

    assert (process.returncode, said) == (130, "Interrupted.\n")
