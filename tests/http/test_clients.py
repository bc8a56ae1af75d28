"""Real clients of the API: our own, over boto3, as a function on Lambda has it; and the AWS CLI."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import trio
from botocore.session import get_session
from support.endpoints import execution_path, in_thread, served, serving
from support.http_workflows import register_all

from durable_trio import DurableContext, Duration, durable_execution, no_retry
from durable_trio.clients.aws import AwsClient
from durable_trio.exceptions import InvalidTokenError, StepError
from durable_trio.local import ExecutionStatus, LocalSettings, open_local_service

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.model import Shape


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give boto3 what it asks for; nobody checks it."""
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ):
        monkeypatch.setenv(name, value)


@durable_execution
async def everything(event: Any, ctx: DurableContext) -> Any:
    """Use operations of every kind."""

    async def quick(number: int) -> int:
        return number

    async def branch(child: DurableContext, item: int, index: int) -> int:
        await child.wait(Duration.seconds(item + 1))
        return await child.step(quick, item)

    async def flaky() -> None:
        raise ValueError("again")

    with pytest.raises(StepError):
        await ctx.step(flaky, retry=no_retry())
    both = await ctx.map([1, 2], branch, name="both")
    many = await ctx.all([ctx.step(quick, number) for number in range(300)])
    chained = await ctx.invoke("greet", {"name": "ada"})
    return [both.results(), sum(many), chained]


async def test_a_function_runs_by_our_client_over_http() -> None:
    """From its first invocation to its last, with state that has to be read page by page."""
    async with served() as endpoint:
        client = AwsClient(endpoint_url=endpoint.url, region_name="us-east-1")

        async def invoke(event: Any, context: Any, /, *, client: Any, remote: AwsClient = client) -> Any:
            return await everything.invoke(event, context, client=remote)

        register_all(endpoint.service)
        endpoint.service.register("everything", invoke)
        with trio.fail_after(30):
            execution = await endpoint.service.start_execution("everything", "{}")
            ended = await endpoint.service.wait_closed(execution.arn)

    assert ended.status is ExecutionStatus.SUCCEEDED, ended.error
    assert json.loads(ended.result or "") == [[1, 2], sum(range(300)), "Hello, ADA"]
    assert ended.invocation_count >= 3


async def test_our_client_knows_a_spent_token() -> None:
    """By the code and the first words of the message, as on AWS: another invocation has taken over."""
    async with served() as endpoint:
        register_all(endpoint.service)
        arn = (await endpoint.service.start_execution("approve", "{}")).arn
        await endpoint.service.until_idle()
        client = AwsClient(endpoint_url=endpoint.url, region_name="us-east-1", max_attempts=1)
        with pytest.raises(InvalidTokenError):
            await client.get_state(
                durable_execution_arn=arn, checkpoint_token="dG9rZW4=", marker="", max_items=10
            )
        with pytest.raises(InvalidTokenError):
            await client.checkpoint(
                durable_execution_arn=arn, checkpoint_token="dG9rZW4=", updates=[], client_token="c"
            )


async def test_the_answer_to_a_big_checkpoint_comes_in_pages() -> None:
    """What changed is more than one answer holds: the rest is read with the new token."""
    async with open_local_service(settings=LocalSettings(response_operations=10)) as service:
        arns: list[str] = []
        pages: list[tuple[int, str]] = []
        async with serving(service) as endpoint:

            async def run(event: Any, context: Any, /, *, client: Any) -> Any:
                arns.append(event["DurableExecutionArn"])
                updates = [
                    {"Id": f"s{number}", "Type": "STEP", "Action": "SUCCEED", "Payload": "1", "Name": "n"}
                    for number in range(25)
                ]
                answer = await endpoint.call(
                    "checkpoint_durable_execution",
                    DurableExecutionArn=event["DurableExecutionArn"],
                    CheckpointToken=event["CheckpointToken"],
                    Updates=updates,
                )
                state = answer["NewExecutionState"]
                pages.append((len(state["Operations"]), state.get("NextMarker", "")))
                while pages[-1][1]:
                    state = await endpoint.call(
                        "get_durable_execution_state",
                        DurableExecutionArn=event["DurableExecutionArn"],
                        CheckpointToken=answer["CheckpointToken"],
                        Marker=pages[-1][1],
                        MaxItems=10,
                    )
                    pages.append((len(state["Operations"]), state.get("NextMarker", "")))
                return {"Status": "SUCCEEDED", "Result": "1"}

            service.register("run", run)
            ended = await service.wait_closed((await service.start_execution("run", "{}")).arn)

    assert ended.status is ExecutionStatus.SUCCEEDED, ended.error
    assert sum(count for count, _ in pages) >= 25
    assert len(pages) >= 3


@durable_execution
async def big(event: Any, ctx: DurableContext) -> None:
    """Leave many big results behind."""

    async def much() -> str:
        return "x" * 700_000

    for _ in range(event):
        await ctx.step(much)


async def test_a_page_of_big_events_is_a_short_one() -> None:
    """However many are asked for, no answer grows without end; together the pages have everything."""
    async with served() as endpoint:
        endpoint.service.register("big", big.invoke)
        arn = (await endpoint.service.start_execution("big", "25")).arn
        await endpoint.service.wait_closed(arn)
        answer = await endpoint.request("GET", execution_path(arn, "/history?MaxItems=1000"))
        pages = await in_thread(
            lambda: list(
                endpoint.boto.get_paginator("get_durable_execution_history").paginate(
                    DurableExecutionArn=arn, PaginationConfig={"PageSize": 1000}
                )
            )
        )

    assert 6_000_000 < len(answer.body) < 8_000_000
    assert len(pages) >= 3
    ids = [event["EventId"] for page in pages for event in page["Events"]]
    assert ids == list(range(1, len(ids) + 1))
    assert len(ids) >= 50


MODEL = get_session().get_service_model("lambda")


def unknown_members(value: Any, shape: Shape, path: str = "") -> list[str]:
    """Return the members that the service model does not have, and the required ones that are missing."""
    if shape.type_name == "structure":
        members, required = shape.members, shape.required_members  # type: ignore[attr-defined]
        found = [f"{path}.{name}" for name in value if name not in members]
        found += [f"{path}.{name} is missing" for name in required if name not in value]
        for name in members.keys() & value.keys():
            found += unknown_members(value[name], members[name], f"{path}.{name}")
        return found
    if shape.type_name == "list":
        return [each for item in value for each in unknown_members(item, shape.member, path)]  # type: ignore[attr-defined]
    enum = shape.metadata.get("enum")
    return [f"{path} is {value!r}"] if enum and value not in enum else []


async def test_answers_have_the_members_of_the_service_model() -> None:
    """Those that are required, and none that boto3 would throw away."""
    async with served(virtual_time=False) as endpoint:
        register_all(endpoint.service)
        service = endpoint.service
        arn = (await service.start_execution("approve", "{}")).arn
        await service.until_idle()
        await service.pause_execution(arn, reason="lunch")
        failed = (await service.start_execution("fail", "{}")).arn
        await service.wait_closed(failed)
        answers = [
            ("GetDurableExecution", await endpoint.request("GET", execution_path(arn))),
            ("GetDurableExecution", await endpoint.request("GET", execution_path(failed))),
            ("GetDurableExecutionHistory", await endpoint.request("GET", execution_path(arn, "/history"))),
            ("GetDurableExecutionHistory", await endpoint.request("GET", execution_path(failed, "/history"))),
            (
                "GetDurableExecutionHistory",
                await endpoint.request("GET", execution_path(arn, "/history?IncludeExecutionData=false")),
            ),
            (
                "ListDurableExecutionsByFunction",
                await endpoint.request("GET", "/2025-12-01/functions/fail/durable-executions"),
            ),
            ("ListFunctions", await endpoint.request("GET", "/2015-03-31/functions")),
            ("GetFunction", await endpoint.request("GET", "/2015-03-31/functions/greet")),
            ("StopDurableExecution", await endpoint.request("POST", execution_path(arn, "/stop"))),
            ("DeleteDurableExecution", await endpoint.request("DELETE", execution_path(arn))),
        ]

    for name, answer in answers:
        operation = MODEL.operation_model(name)
        assert answer.status == operation.http["responseCode"], (name, answer)
        assert operation.output_shape is not None
        assert unknown_members(answer.members, operation.output_shape) == [], name


@pytest.fixture
def aws_cli() -> str:
    """The AWS CLI, version 1, if there is one that knows durable executions (``AWS_CLI`` may say where)."""
    program = os.environ.get("AWS_CLI") or shutil.which("aws")
    if program is None:
        pytest.skip("there is no AWS CLI: pip install awscli in an environment of its own, and set AWS_CLI")
    command = [program, "lambda", "get-durable-execution", "help"]
    if subprocess.run(
        command, capture_output=True, check=False, env={**os.environ, "AWS_PAGER": ""}
    ).returncode:
        pytest.skip(f"{program} does not know durable executions")
    return program


def _knows(program: str, command: str) -> bool:
    words = [program, "lambda", command, "help"]
    environment = {**os.environ, "AWS_PAGER": ""}
    return not subprocess.run(words, capture_output=True, check=False, env=environment).returncode


@pytest.mark.slow
async def test_the_aws_cli_works_with_it(aws_cli: str) -> None:
    """A life of an execution in commands."""
    async with served(virtual_time=False) as endpoint:
        register_all(endpoint.service)
        run = _runner(aws_cli, endpoint.url)
        # Younger than the rest of the API.
        can_pause = _knows(aws_cli, "pause-durable-execution")
        await in_thread(lambda: _use_the_cli(run, can_pause=can_pause))


def _runner(program: str, url: str) -> Callable[..., Any]:
    def run(*words: str, fails_with: str | None = None) -> Any:
        command = [program, "lambda", *words, "--endpoint-url", url, "--output", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if fails_with is not None:
            assert done.returncode != 0
            assert fails_with in done.stderr
            return None
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else {}

    return run


def _use_the_cli(run: Callable[..., Any], *, can_pause: bool) -> None:
    invoke = (
        "invoke",
        "--function-name",
        "approve",
        "--durable-execution-name",
        "one",
        "--invocation-type",
        "Event",
    )
    arn = run(*invoke, "--payload", "{}", os.devnull)["DurableExecutionArn"]
    assert run(*invoke, "--payload", "{}", os.devnull)["DurableExecutionArn"] == arn
    run(*invoke, "--payload", "[]", os.devnull, fails_with="DurableExecutionAlreadyStartedException")
    execution = ("--durable-execution-arn", arn)
    listed = run("list-durable-executions-by-function", "--function-name", "approve", "--statuses", "RUNNING")
    assert [each["DurableExecutionArn"] for each in listed["DurableExecutions"]] == [arn]
    events = run("get-durable-execution-history", *execution, "--include-execution-data")["Events"]
    callback_id = next(
        event["CallbackStartedDetails"]["CallbackId"]
        for event in events
        if event["EventType"] == "CallbackStarted"
    )
    if can_pause:
        run("pause-durable-execution", *execution, "--reason", "lunch")
        assert run("get-durable-execution", *execution)["Status"] == "PAUSED"
    run("send-durable-execution-callback-success", "--callback-id", callback_id, "--result", "fine")
    if can_pause:
        run("resume-durable-execution", *execution)
    while (found := run("get-durable-execution", *execution))["Status"] == "RUNNING":
        pass
    assert json.loads(found["Result"]) == {"answer": "fine"}
    run("stop-durable-execution", *execution)
    run("get-durable-execution", "--durable-execution-arn", f"{arn}x", fails_with="ResourceNotFoundException")
