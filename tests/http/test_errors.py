"""Every refusal is one that boto3 raises as a class of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.session import get_session
from support.endpoints import execution_path, in_thread, served, serving
from support.http_workflows import register_all

from durable_trio.local import open_local_service
from durable_trio.local.errors import LocalServiceError, TooManyRequests
from durable_trio.local.http.settings import HttpSettings

if TYPE_CHECKING:
    from botocore.model import OperationModel

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST/durable-execution/name/id"
KMS = ("KMSAccessDeniedException", "KMSDisabledException", "KMSInvalidStateException", "KMSNotFoundException")
CALLBACK = "Y2FsbGJhY2s6aWQ="

# What boto3 has to send for each call of the API.
REQUESTS: dict[str, dict[str, Any]] = {
    "CheckpointDurableExecution": {"DurableExecutionArn": ARN, "CheckpointToken": "dG9rZW4=", "Updates": []},
    "GetDurableExecutionState": {"DurableExecutionArn": ARN, "CheckpointToken": "dG9rZW4="},
    "GetDurableExecution": {"DurableExecutionArn": ARN},
    "GetDurableExecutionHistory": {"DurableExecutionArn": ARN},
    "StopDurableExecution": {"DurableExecutionArn": ARN},
    "PauseDurableExecution": {"DurableExecutionArn": ARN},
    "ResumeDurableExecution": {"DurableExecutionArn": ARN},
    "DeleteDurableExecution": {"DurableExecutionArn": ARN},
    "ListDurableExecutionsByFunction": {"FunctionName": "f"},
    "SendDurableExecutionCallbackSuccess": {"CallbackId": CALLBACK, "Result": b"1"},
    "SendDurableExecutionCallbackFailure": {"CallbackId": CALLBACK},
    "SendDurableExecutionCallbackHeartbeat": {"CallbackId": CALLBACK},
    "Invoke": {"FunctionName": "f"},
    "GetFunction": {"FunctionName": "f"},
}
MODEL = get_session().get_service_model("lambda")
METHODS = {
    "CheckpointDurableExecution": "checkpoint",
    "GetDurableExecutionState": "get_state",
    "GetDurableExecution": "describe",
    "GetDurableExecutionHistory": "history",
    "StopDurableExecution": "stop",
    "PauseDurableExecution": "pause_execution",
    "ResumeDurableExecution": "resume_execution",
    "DeleteDurableExecution": "delete_execution",
    "ListDurableExecutionsByFunction": "list_executions",
    "SendDurableExecutionCallbackSuccess": "callback_succeed",
    "SendDurableExecutionCallbackFailure": "callback_fail",
    "SendDurableExecutionCallbackHeartbeat": "callback_heartbeat",
    "Invoke": "invoke",
    "GetFunction": "function",
}
# The errors of a local service, and those that only AWS has: a client must see all alike.
CODES = (
    "InvalidParameterValueException",
    "CallbackTimeoutException",
    "ResourceNotFoundException",
    "ResourceConflictException",
    "DurableExecutionAlreadyStartedException",
    "TooManyRequestsException",
    "ServiceException",
    *KMS,
)


def snake(name: str) -> str:
    """Return boto3's name of an operation."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def modelled(operation: OperationModel) -> set[str]:
    """Return the errors that the model knows of an operation."""
    return {shape.name for shape in operation.error_shapes}


def refusal(code: str) -> LocalServiceError:
    """Return an error of the service with *code*."""
    if code == "TooManyRequestsException":
        return TooManyRequests("slowly", retry_after_seconds=7)
    status = MODEL.shape_for(code).metadata["error"]["httpStatusCode"]
    error = type(code, (LocalServiceError,), {"code": code, "http_status": status})("no")
    assert isinstance(error, LocalServiceError)
    return error


class Refusing:
    """A service that refuses everything that it is asked."""

    def __init__(self, service: Any, error: Exception) -> None:
        self._service = service
        self._error = error

    def __getattr__(self, name: str) -> Any:
        if name in METHODS.values():
            return self._refuse if name != "function" else self._refuse_at_once
        return getattr(self._service, name)

    async def _refuse(self, *_: object, **__: object) -> None:
        raise self._error

    def _refuse_at_once(self, *_: object) -> None:
        raise self._error


@pytest.mark.parametrize("code", CODES)
async def test_every_error_is_a_class_of_boto3s(code: str) -> None:
    """Whichever call the model knows an error for, boto3 raises its class, with the message and the status."""
    error = refusal(code)
    async with open_local_service() as service, serving(Refusing(service, error)) as endpoint:  # type: ignore[arg-type]
        for name, members in REQUESTS.items():
            if code not in modelled(MODEL.operation_model(name)):
                continue
            with pytest.raises(getattr(endpoint.boto.exceptions, code)) as caught:
                await endpoint.call(snake(name), **members)
            response = caught.value.response
            assert response["Error"] == {"Code": code, "Message": str(error)}
            assert response["ResponseMetadata"]["HTTPStatusCode"] == error.http_status
            assert response["Type"] == ("User" if error.http_status < 500 else "Service")


async def test_throttling_says_when_to_come_back() -> None:
    """As a header, which boto3 knows as ``retryAfterSeconds``; with the reason, if there is one."""
    error = TooManyRequests("slowly", retry_after_seconds=7)
    async with open_local_service() as service, serving(Refusing(service, error)) as endpoint:  # type: ignore[arg-type]
        with pytest.raises(endpoint.boto.exceptions.TooManyRequestsException) as caught:
            await endpoint.call("invoke", FunctionName="f")

    assert caught.value.response["retryAfterSeconds"] == "7"
    assert caught.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "7"


async def test_a_bug_is_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """What went wrong is in the log; the client is told that something did, and may try again."""
    error = RuntimeError("secret detail")
    async with open_local_service() as service, serving(Refusing(service, error)) as endpoint:  # type: ignore[arg-type]
        answer = await endpoint.request("GET", execution_path(ARN))

    assert answer.status == 500
    assert answer.headers["x-amzn-errortype"] == "ServiceException"
    assert b"secret" not in answer.body
    assert b"Traceback" not in answer.body
    assert "secret detail" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "UnknownOperationException"),
        ("POST", "/", 405, "MethodNotAllowedException"),
        ("GET", "/2015-03-31/functions/f/invocations", 405, "MethodNotAllowedException"),
        ("PUT", execution_path(ARN), 405, "MethodNotAllowedException"),
        ("POST", execution_path(ARN, "/checkpoints"), 400, "InvalidParameterValueException"),
        ("GET", "/2025-12-01/durable-executions/not-an-arn", 400, "InvalidParameterValueException"),
        ("GET", "/2025-12-01/durable-executions/", 400, "InvalidParameterValueException"),
        ("POST", "/2014-11-13/functions/f/invoke-async", 404, "UnknownOperationException"),
        ("GET", "/2025-12-01/durable-execution-callbacks/x/succeed", 405, "MethodNotAllowedException"),
        ("POST", "/2025-12-01/durable-execution-callbacks//succeed", 400, "InvalidParameterValueException"),
        ("GET", "//", 404, "UnknownOperationException"),
        ("GET", "/%2e%2e/etc/passwd", 404, "UnknownOperationException"),
    ],
)
async def test_what_is_no_operation_is_a_4xx_in_json(method: str, path: str, status: int, code: str) -> None:
    """boto3 repeats what is answered by 5xx, and cannot read HTML."""
    async with served() as endpoint:
        answer = await endpoint.request(method, path)

    assert (answer.status, answer.headers["x-amzn-errortype"]) == (status, code)
    assert answer.headers["content-type"] == "application/json"
    assert answer.members["message"]


@pytest.mark.parametrize(
    ("call", "members", "message"),
    [
        ("get_durable_execution", {"DurableExecutionArn": "x" * 1_000}, "ARN"),
        ("get_durable_execution", {"DurableExecutionArn": ARN.replace("$LATEST", "blue")}, "ARN"),
        ("get_durable_execution_history", {"DurableExecutionArn": ARN, "Marker": "nonsense"}, "arker"),
        ("send_durable_execution_callback_heartbeat", {"CallbackId": "not base64"}, "CallbackId"),
        ("list_durable_executions_by_function", {"FunctionName": "f!"}, "function"),
        ("list_durable_executions_by_function", {"FunctionName": "f", "Qualifier": "a b"}, "Qualifier"),
        ("list_durable_executions_by_function", {"FunctionName": "f", "Statuses": ["DONE"]}, "Statuses"),
        (
            "list_durable_executions_by_function",
            {"FunctionName": "f", "Statuses": ["RUNNING"] * 11},
            "Statuses",
        ),
        ("send_durable_execution_callback_success", {"CallbackId": "dA==", "Result": b"\xff"}, "UTF-8"),
        ("pause_durable_execution", {"DurableExecutionArn": ARN, "Reason": "x" * 1_025}, "Reason"),
        ("list_durable_executions_by_function", {"FunctionName": "f:1", "Qualifier": "2"}, "qualifier"),
        ("invoke", {"FunctionName": "greet", "InvocationType": "Later"}, "nvocation"),
        ("invoke", {"FunctionName": "greet", "LogType": "All"}, "log"),
        ("invoke", {"FunctionName": "greet", "TenantId": "a;b"}, "enant"),
        ("invoke", {"FunctionName": "greet", "ClientContext": "a" * 4_000}, "ontext"),
        ("invoke", {"FunctionName": "greet", "DurableExecutionName": "no spaces"}, "name"),
        (
            "checkpoint_durable_execution",
            {"DurableExecutionArn": ARN, "CheckpointToken": "no base64!"},
            "CheckpointToken",
        ),
    ],
)
async def test_a_bad_parameter_is_named(call: str, members: dict[str, Any], message: str) -> None:
    """What boto3 lets through and the service does not."""
    async with served() as endpoint:
        register_all(endpoint.service)
        arn = (await endpoint.service.start_execution("greet", '{"name": "ada"}')).arn
        if members.get("Marker"):
            members = members | {"DurableExecutionArn": arn}
        with pytest.raises(endpoint.boto.exceptions.InvalidParameterValueException) as caught:
            await endpoint.call(call, **members)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("MaxItems=many", "MaxItems"),
        ("MaxItems=1001", "MaxItems"),
        ("MaxItems=-1", "MaxItems"),
        ("MaxItems=99999999999999999999999", "MaxItems"),
        ("IncludeExecutionData=perhaps", "IncludeExecutionData"),
        ("&".join(f"a={n}" for n in range(200)), "query"),
    ],
)
async def test_a_bad_query_is_named(query: str, message: str) -> None:
    """A number, a truth value, and not too many of them."""
    async with served() as endpoint:
        answer = await endpoint.request("GET", execution_path(ARN, f"/history?{query}"))

    assert answer.status == 400
    assert message in answer.members["message"]


@pytest.mark.parametrize("at", ["yesterday", "2026-13-01T00:00:00Z", "1e9", ""])
async def test_a_bad_instant_is_named(at: str) -> None:
    """ISO 8601, as AWS's clients write it."""
    async with served() as endpoint:
        path = f"/2025-12-01/functions/f/durable-executions?StartedAfter={at}"
        answer = await endpoint.request("GET", path)

    assert answer.status == 400
    assert "StartedAfter" in answer.members["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"CheckpointToken": NaN}',
        b'{"CheckpointToken": "dA==", "ClientToken": "\\ud800"}',
        b"[" * 100_000,
        b'{"CheckpointToken": ' + b"9" * 10_000 + b"}",
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    """Also what Python's parser would take: NaN, and half of a surrogate pair, which cannot be stored."""
    async with served() as endpoint:
        answer = await endpoint.request("POST", execution_path(ARN, "/checkpoint"), body=body)

    assert answer.status == 400
    assert answer.headers["x-amzn-errortype"] == "SerializationException"


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"CheckpointToken": 7},
        {"CheckpointToken": "dA==", "Updates": {}},
        {"CheckpointToken": "dA==", "Updates": [7]},
        {"CheckpointToken": "dA==", "Updates": [{"Id": "a"}]},
        {"CheckpointToken": "dA==", "Updates": [{"Id": "a", "Type": "STEP", "Action": "GO"}]},
        {"CheckpointToken": "dA==", "Updates": [{"Id": "a", "Type": "STEP", "Action": "START", "Error": 1}]},
        {"CheckpointToken": "d" * 3_000},
        {"CheckpointToken": "dA==", "ClientToken": ["x"]},
    ],
)
async def test_a_malformed_checkpoint_is_refused(members: dict[str, Any]) -> None:
    """A member that is missing, or is of a wrong type."""
    async with served() as endpoint:
        answer = await endpoint.request(
            "POST", execution_path(ARN, "/checkpoint"), body=json.dumps(members).encode()
        )

    assert answer.status == 400
    assert answer.headers["x-amzn-errortype"] == "InvalidParameterValueException"


async def test_a_body_that_is_too_big_is_answered() -> None:
    """A client that is still sending gets its answer all the same, not a broken pipe."""
    async with served(HttpSettings(max_body_bytes=100_000)) as endpoint:
        with pytest.raises(endpoint.boto.exceptions.RequestTooLargeException):
            await endpoint.call("invoke", FunctionName="f", Payload=b" " * 190_000)
        huge = await in_thread(lambda: _send_huge(endpoint.boto))

    assert huge == "RequestTooLargeException"


def _send_huge(boto: Any) -> str:
    """Send far more than is read; what the client sees is the answer, or that nobody listens any more."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        boto.invoke(FunctionName="f", Payload=b" " * 5_000_000)
    except ClientError as error:
        return error.response.get("Error", {}).get("Code", "")
    except BotoCoreError:
        return "RequestTooLargeException"
    return "accepted"
