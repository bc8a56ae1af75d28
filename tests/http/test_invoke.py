"""Invoke, in all its kinds."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import trio
from support.endpoints import served
from support.http_workflows import register_all
from trio.testing import wait_all_tasks_blocked

from durable_trio.local import ExecutionStatus
from durable_trio.local.function_config import FunctionConfig
from durable_trio.local.logs import LogLine


async def test_a_synchronous_invoke_waits_for_the_end() -> None:
    """Through every suspension; the answer is the result, with the execution's ARN and the version."""
    async with served() as endpoint:
        register_all(endpoint.service)
        answer = await endpoint.call("invoke", FunctionName="nap", Payload=b'{"minutes": 14}')

        assert answer["StatusCode"] == 200
        assert answer["Payload"].read() == b'"rested"'
        assert "FunctionError" not in answer
        assert answer["ExecutedVersion"] == "$LATEST"
        found = await endpoint.service.describe(answer["DurableExecutionArn"])
        assert found.status is ExecutionStatus.SUCCEEDED
        assert found.ended_at is not None
        assert found.ended_at - found.started_at >= 14 * 60_000


async def test_the_failure_of_a_function_is_an_answer() -> None:
    """Status 200, a header that says so, and the error as the payload."""
    async with served() as endpoint:
        register_all(endpoint.service)
        answer = await endpoint.call("invoke", FunctionName="fail")

    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    payload = json.loads(answer["Payload"].read())
    assert payload["errorType"] == "ValueError"
    assert payload["errorMessage"] == "no good"


async def test_an_event_is_only_accepted() -> None:
    """202 without a body; the execution goes on by itself."""
    async with served() as endpoint:
        register_all(endpoint.service)
        answer = await endpoint.call(
            "invoke", FunctionName="greet", InvocationType="Event", Payload=b'{"name": "ada"}'
        )

        assert answer["StatusCode"] == 202
        assert answer["Payload"].read() == b""
        ended = await endpoint.service.wait_closed(answer["DurableExecutionArn"])
    assert ended.result == '"Hello, ADA"'


async def test_a_dry_run_only_looks() -> None:
    """204 if the function could be invoked, and nothing is started."""
    async with served() as endpoint:
        register_all(endpoint.service)
        answer = await endpoint.call("invoke", FunctionName="greet", InvocationType="DryRun")

        assert answer["StatusCode"] == 204
        assert answer["Payload"].read() == b""
        assert (await endpoint.service.list_executions()).items == ()
        with pytest.raises(endpoint.boto.exceptions.ResourceNotFoundException):
            await endpoint.call("invoke", FunctionName="nobody", InvocationType="DryRun")


@pytest.mark.parametrize(
    ("name", "qualifier"),
    [
        ("greet", None),
        ("greet", "$LATEST"),
        ("greet:$LATEST", None),
        ("greet:$LATEST", "$LATEST"),
        ("123456789012:function:greet", None),
        ("arn:aws:lambda:us-east-1:123456789012:function:greet", None),
        ("arn:aws:lambda:us-east-1:123456789012:function:greet:$LATEST", None),
    ],
)
async def test_a_function_has_many_names(name: str, qualifier: str | None) -> None:
    """Its name, parts of its ARN, the whole of it; with a qualifier or without."""
    async with served() as endpoint:
        register_all(endpoint.service)
        given = {} if qualifier is None else {"Qualifier": qualifier}
        answer = await endpoint.call("invoke", FunctionName=name, Payload=b'{"name": "ada"}', **given)

    assert answer["Payload"].read() == b'"Hello, ADA"'


async def test_an_unknown_function_is_not_found() -> None:
    """As any resource."""
    async with served() as endpoint:
        for how in ("RequestResponse", "Event"):
            with pytest.raises(endpoint.boto.exceptions.ResourceNotFoundException):
                await endpoint.call("invoke", FunctionName="nobody", InvocationType=how)
        with pytest.raises(endpoint.boto.exceptions.ResourceNotFoundException):
            await endpoint.call("list_durable_executions_by_function", FunctionName="nobody")


async def test_a_payload_that_is_no_json_is_refused() -> None:
    """Before anything is started."""
    async with served() as endpoint:
        register_all(endpoint.service)
        for payload in (b"{", b"\xff", b"NaN"):
            with pytest.raises(endpoint.boto.exceptions.InvalidRequestContentException):
                await endpoint.call("invoke", FunctionName="greet", Payload=payload)
        assert (await endpoint.service.list_executions()).items == ()


async def test_a_payload_has_a_limit() -> None:
    """1 MiB for an event, 6 MiB otherwise."""
    async with served() as endpoint:
        register_all(endpoint.service)
        for how, size in (("Event", 1_048_577), ("RequestResponse", 6 * 1_048_576 + 1)):
            payload = b'"' + b"x" * (size - 2) + b'"'
            with pytest.raises(endpoint.boto.exceptions.RequestTooLargeException):
                await endpoint.call("invoke", FunctionName="echo", InvocationType=how, Payload=payload)


async def test_a_plain_function_answers_its_bytes() -> None:
    """A function that is not durable has no execution; text of any language comes back whole."""
    async with served() as endpoint:
        register_all(endpoint.service)
        payload = json.dumps({"name": "Ærøskøbing 🌞"}, ensure_ascii=False).encode()
        answer = await endpoint.call("invoke", FunctionName="echo", Payload=payload)

    assert json.loads(answer["Payload"].read()) == {"name": "Ærøskøbing 🌞"}
    assert "DurableExecutionArn" not in answer


async def test_a_tenant_and_a_context_reach_the_function() -> None:
    """By their headers."""
    seen: list[Any] = []

    async with served() as endpoint:

        async def look(payload: str, call: Any, /) -> str:
            seen.append((call.tenant_id, call.client_context))
            return "null"

        endpoint.service.register_remote("look", look, is_durable=False)
        context = base64.b64encode(b'{"custom": {"a": 1}}').decode()
        await endpoint.call("invoke", FunctionName="look", TenantId="blue", ClientContext=context)

    assert [tenant for tenant, _ in seen] == ["blue"]
    assert seen[0][1] == context


async def test_the_end_of_the_log_comes_with_the_answer() -> None:
    """The last 4 KiB, if asked for."""
    async with served() as endpoint:
        register_all(endpoint.service)
        started = await endpoint.call(
            "invoke", FunctionName="greet", Payload=b'{"name": "a"}', DurableExecutionName="x"
        )
        arn = started["DurableExecutionArn"]
        lines = [LogLine(at=1, text=f"line {number:05}") for number in range(3_000)]
        await endpoint.service.append_log_lines(arn, lines)
        answer = await endpoint.call(
            "invoke", FunctionName="greet", Payload=b'{"name": "a"}', DurableExecutionName="x", LogType="Tail"
        )

    assert "LogResult" not in started
    tail = base64.b64decode(answer["LogResult"])
    assert len(tail) == 4096
    assert tail.endswith(b"line 02998\nline 02999\n")


async def test_too_many_at_a_time_are_throttled() -> None:
    """As Lambda does, with the seconds to wait."""
    is_running, go_on = trio.Event(), trio.Event()

    async def slow(event: Any, context: Any) -> None:
        is_running.set()
        await go_on.wait()

    async with served() as endpoint, trio.open_nursery() as nursery:
        endpoint.service.register_plain("slow", slow, config=FunctionConfig(concurrency=1))
        nursery.start_soon(lambda: endpoint.call("invoke", FunctionName="slow"))
        await is_running.wait()
        with pytest.raises(endpoint.boto.exceptions.TooManyRequestsException) as caught:
            await endpoint.call("invoke", FunctionName="slow")
        go_on.set()

    assert int(caught.value.response["retryAfterSeconds"]) >= 1


async def test_a_client_that_leaves_only_stops_waiting() -> None:
    """The execution that it started goes on, and the endpoint keeps nothing of the call."""
    async with served(virtual_time=False) as endpoint:
        register_all(endpoint.service)
        stream = await endpoint.connect()
        await stream.send_all(
            b"POST /2015-03-31/functions/approve/invocations HTTP/1.1\r\nHost: localhost\r\n"
            b"X-Amz-Durable-Execution-Name: left\r\nContent-Length: 2\r\n\r\n{}"
        )
        with trio.fail_after(20):
            while not (page := await endpoint.service.list_executions(name="left")).items:
                await wait_all_tasks_blocked(0.01)
        await stream.aclose()
        found = await endpoint.service.operations(page.items[0].arn)
        while len(found) < 2:
            found = await endpoint.service.operations(page.items[0].arn)
        assert found[1].details is not None
        callback_id = getattr(found[1].details, "callback_id", "")
        await endpoint.service.callback_succeed(callback_id, "fine")
        with trio.fail_after(20):
            ended = await endpoint.service.wait_closed(page.items[0].arn)
    assert ended.result == '{"answer":"fine"}'


async def test_virtual_time_waits_for_a_request_that_is_on_its_way() -> None:
    """While a body arrives nothing times out; while a client waits for an execution's end, time has to move."""
    async with served() as endpoint, await endpoint.connect() as stream:
        register_all(endpoint.service)
        await stream.send_all(
            b"POST /2015-03-31/functions/echo/invocations HTTP/1.1\r\nHost: localhost\r\n"
            b"Connection: close\r\nContent-Length: 2\r\n\r\n{"
        )
        await wait_all_tasks_blocked(0.1)
        arn = (await endpoint.service.start_execution("nap", "{}")).arn
        await wait_all_tasks_blocked(0.1)
        assert (await endpoint.service.describe(arn)).status is ExecutionStatus.RUNNING
        await stream.send_all(b"}")
        with trio.fail_after(10):
            ended = await endpoint.service.wait_closed(arn)
    assert ended.status is ExecutionStatus.SUCCEEDED
