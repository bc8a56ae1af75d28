from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import trio
from clients.fake_lambda import Answer, FakeLambda, refusal

from durable_trio._protocol.operation import (
    CallbackDetails,
    ErrorObject,
    OperationAction,
    OperationRecord,
    OperationStatus,
    OperationType,
    OperationUpdate,
    StepDetails,
    StepOptions,
    WaitDetails,
)
from durable_trio.clients import CheckpointResponse, ServiceClient, StatePage
from durable_trio.clients.aws import AwsClient
from durable_trio.duration import Duration
from durable_trio.exceptions import (
    CheckpointError,
    ConfigurationError,
    GetStateError,
    InvalidTokenError,
    ServiceError,
    ThrottlingError,
    ValidationError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:orders:$LATEST/durable-execution/order-1/e2f1"
ENCODED_ARN = (
    "arn%3Aaws%3Alambda%3Aeu-central-1%3A123456789012%3Afunction%3Aorders%3A%24LATEST"
    "%2Fdurable-execution%2Forder-1%2Fe2f1"
)
UPDATE = OperationUpdate(id="a1", type=OperationType.STEP, action=OperationAction.START, name="charge")
OK = Answer(200, {"CheckpointToken": "bmV4dA==", "NewExecutionState": {"Operations": []}})


WAYS = ["direct", "boto3"]


def set_aws_environment(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Let the client find what the tests set, and nothing of the machine's; *way* is how it then makes its calls."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent/config")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "dummy")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "dummy")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "9")
    if way == "boto3":  # a setting that is boto3's to know
        monkeypatch.setenv("AWS_STS_REGIONAL_ENDPOINTS", "regional")


@pytest.fixture(params=WAYS)
def aws_environment(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> pytest.MonkeyPatch:
    """An environment with a region and dummy credentials, to be changed further; the rules hold for both ways."""
    set_aws_environment(monkeypatch, request.param)
    return monkeypatch


@pytest.fixture
def service(aws_environment: pytest.MonkeyPatch) -> Iterator[FakeLambda]:
    """The fake endpoint, where clients look for Lambda."""
    with FakeLambda() as fake:
        aws_environment.setenv("AWS_ENDPOINT_URL_LAMBDA", fake.url)
        yield fake


@pytest.fixture(scope="module", params=WAYS)
def connected(request: pytest.FixtureRequest) -> Iterator[tuple[FakeLambda, AwsClient]]:
    """A fake endpoint and a client that has used it: making boto3's client is most of a test's time."""
    with FakeLambda() as fake, pytest.MonkeyPatch.context() as monkeypatch:
        set_aws_environment(monkeypatch, request.param)
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", fake.url)
        fake.answers = [OK]
        client = AwsClient()
        trio.run(checkpoint, client)
        yield fake, client


async def checkpoint(client: AwsClient, *updates: OperationUpdate) -> CheckpointResponse:
    """Call ``checkpoint`` with the arguments that matter."""
    return await client.checkpoint(
        durable_execution_arn=ARN, checkpoint_token="dG9rZW4=", updates=updates, client_token="client-1"
    )


async def get_state(client: AwsClient, marker: str = "") -> StatePage:
    """Call ``get_state`` with the arguments that matter."""
    return await client.get_state(
        durable_execution_arn=ARN, checkpoint_token="dG9rZW4=", marker=marker, max_items=1000
    )


# --- requests and answers --------------------------------------------------------------------------------


async def test_a_checkpoint_is_one_request_with_the_arn_as_one_path_segment(service: FakeLambda) -> None:
    """A checkpoint is one POST; the ARN is percent-encoded, its slashes too."""
    service.answers = [OK]
    retry = OperationUpdate(
        id="a2",
        type=OperationType.STEP,
        action=OperationAction.RETRY,
        error=ErrorObject(message="boom", type="ValueError"),
        options=StepOptions(next_attempt_delay_seconds=5),
    )

    answer = await checkpoint(AwsClient(), UPDATE, retry)

    assert answer == CheckpointResponse(checkpoint_token="bmV4dA==")
    [request] = service.requests
    assert request.method == "POST"
    assert request.path == f"/2025-12-01/durable-executions/{ENCODED_ARN}/checkpoint"
    assert request.body == {
        "CheckpointToken": "dG9rZW4=",
        "ClientToken": "client-1",
        "Updates": [
            {"Id": "a1", "Type": "STEP", "Action": "START", "Name": "charge"},
            {
                "Id": "a2",
                "Type": "STEP",
                "Action": "RETRY",
                "Error": {"ErrorMessage": "boom", "ErrorType": "ValueError"},
                "StepOptions": {"NextAttemptDelaySeconds": 5},
            },
        ],
    }
    assert "durable_trio" in request.headers["User-Agent"]


async def test_an_empty_checkpoint_is_sent(service: FakeLambda) -> None:
    """A checkpoint without updates is legal: it asks what has changed."""
    service.answers = [OK]

    await checkpoint(AwsClient())

    assert service.requests[0].body["Updates"] == []


async def test_operations_of_an_answer_are_decoded_with_their_instants(service: FakeLambda) -> None:
    """An answer's epoch seconds become the integer milliseconds that the event has for the same instant."""
    service.answers = [
        Answer(
            200,
            {
                "CheckpointToken": "bmV4dA==",
                "NewExecutionState": {
                    "Operations": [
                        {
                            "Id": "w",
                            "Type": "WAIT",
                            "Status": "STARTED",
                            "StartTimestamp": 1795177539.553,
                            "WaitDetails": {"ScheduledEndTimestamp": 1795263939.001},
                        },
                        {
                            "Id": "c",
                            "Type": "CALLBACK",
                            "Status": "SUCCEEDED",
                            "StartTimestamp": 1795177539,
                            "EndTimestamp": 1795177540.999,
                            "CallbackDetails": {"CallbackId": "aWQ=", "Result": "ü"},
                        },
                    ],
                    "NextMarker": "more",
                },
            },
        )
    ]

    answer = await checkpoint(AwsClient())

    assert answer.next_marker == "more"
    assert answer.operations == (
        OperationRecord(
            id="w",
            type=OperationType.WAIT,
            status=OperationStatus.STARTED,
            started_at=1795177539553,
            details=WaitDetails(scheduled_end_at=1795263939001),
        ),
        OperationRecord(
            id="c",
            type=OperationType.CALLBACK,
            status=OperationStatus.SUCCEEDED,
            started_at=1795177539000,
            ended_at=1795177540999,
            details=CallbackDetails(callback_id="aWQ=", result="ü"),
        ),
    )


async def test_a_withheld_token_is_none(service: FakeLambda) -> None:
    """An answer without a token says that this invocation may not checkpoint any more."""
    service.answers = [Answer(200, {"NewExecutionState": {"Operations": []}})]

    assert (await checkpoint(AwsClient())).checkpoint_token is None


async def test_state_is_read_page_by_page(service: FakeLambda) -> None:
    """The first page is asked for without a marker, the next one with the marker of the first."""
    step = {
        "Id": "s",
        "Type": "STEP",
        "Status": "READY",
        "StartTimestamp": 1.5,
        "StepDetails": {"Attempt": 1},
    }
    service.answers = [
        Answer(200, {"Operations": [step], "NextMarker": "m/1"}),
        Answer(200, {"Operations": []}),
    ]
    client = AwsClient()

    first = await get_state(client)
    second = await get_state(client, first.next_marker)

    record = OperationRecord(
        id="s",
        type=OperationType.STEP,
        status=OperationStatus.READY,
        started_at=1500,
        details=StepDetails(attempt=1),
    )
    assert [(tuple(page.operations), page.next_marker) for page in (first, second)] == [
        ((record,), "m/1"),
        ((), ""),
    ]
    path = f"/2025-12-01/durable-executions/{ENCODED_ARN}/state?CheckpointToken=dG9rZW4%3D"
    assert [request.path for request in service.requests] == [
        f"{path}&MaxItems=1000",
        f"{path}&MaxItems=1000&Marker=m%2F1",
    ]


async def test_an_answer_that_cannot_be_read_is_not_retryable(service: FakeLambda) -> None:
    """An operation of an unknown status is refused by name: another invocation would read it again."""
    operation = {"Id": "s", "Type": "STEP", "Status": "SLEEPING", "StartTimestamp": 1}
    service.answers = [
        Answer(200, {"CheckpointToken": "dA==", "NewExecutionState": {"Operations": [operation]}})
    ]

    with pytest.raises(CheckpointError, match=r"Status must be one of .*'SLEEPING'") as caught:
        await checkpoint(AwsClient())

    assert not caught.value.is_retryable


async def test_the_client_is_a_service_client(aws_environment: pytest.MonkeyPatch) -> None:
    """The client has the shape that the runtime asks for, and says in its repr where it points."""
    client = AwsClient(region_name="eu-west-1")

    assert isinstance(client, ServiceClient)
    assert repr(client) == "<AwsClient eu-west-1, not used yet>"


# --- refusals --------------------------------------------------------------------------------------------

REFUSALS = [
    pytest.param(
        refusal(429, "TooManyRequestsException", "slow down"), ThrottlingError, True, 5, id="throttled"
    ),
    pytest.param(refusal(500, "ServiceException", "oops"), ServiceError, True, 5, id="service"),
    pytest.param(refusal(503, "Whatever", "oops"), ServiceError, True, 5, id="unavailable"),
    pytest.param(
        Answer(502, b"<html>bad gateway</html>", {"Content-Type": "text/html"}),
        ServiceError,
        True,
        5,
        id="html",
    ),
    pytest.param(
        refusal(400, "InvalidParameterValueException", "Invalid checkpoint token: spent"),
        InvalidTokenError,
        True,
        1,
        id="stale-token",
    ),
    pytest.param(
        refusal(400, "InvalidParameterValueException", "INVALID CHECKPOINT TOKEN"),
        InvalidTokenError,
        True,
        1,
        id="stale-token-in-capitals",
    ),
    pytest.param(
        refusal(400, "InvalidParameterValueException", "the Invalid checkpoint token is not first"),
        ServiceError,
        False,
        1,
        id="invalid",
    ),
    pytest.param(refusal(404, "ResourceNotFoundException", "gone"), ServiceError, False, 1, id="not-found"),
    pytest.param(refusal(403, "AccessDeniedException", "no"), ServiceError, False, 1, id="denied"),
    pytest.param(refusal(413, "RequestTooLargeException", "big"), ServiceError, False, 1, id="too-large"),
    *(
        pytest.param(refusal(502, code, "the key"), ServiceError, False, 1, id=code)
        for code in (
            "KMSAccessDeniedException",
            "KMSDisabledException",
            "KMSInvalidStateException",
            "KMSNotFoundException",
        )
    ),
    pytest.param(Answer(0), ServiceError, True, 5, id="connection-closed"),
]


@pytest.mark.parametrize("call", [checkpoint, get_state])
@pytest.mark.parametrize(("answer", "error_type", "is_retryable", "attempts"), REFUSALS)
async def test_every_refusal_has_one_meaning(
    connected: tuple[FakeLambda, AwsClient],
    autojump_clock: trio.testing.MockClock,
    call: Any,
    answer: Answer,
    error_type: type[ServiceError],
    is_retryable: bool,
    attempts: int,
) -> None:
    """A refusal is repeated only if that may help, and says whether a new invocation may succeed."""
    service, client = connected
    service.answers = [answer]
    service.requests.clear()
    if error_type is ServiceError:
        error_type = CheckpointError if call is checkpoint else GetStateError

    with pytest.raises(ServiceError) as caught:
        await call(client)

    assert type(caught.value) is error_type
    assert caught.value.is_retryable is is_retryable
    assert len(service.requests) == attempts
    assert caught.value.code


async def test_an_error_tells_the_call_the_status_the_code_and_the_message(service: FakeLambda) -> None:
    """The error's text is enough to look the refusal up."""
    service.answers = [refusal(404, "ResourceNotFoundException", "no such execution")]

    with pytest.raises(CheckpointError) as caught:
        await checkpoint(AwsClient())

    assert caught.value.code == "ResourceNotFoundException"
    assert str(caught.value) == (
        "checkpoint_durable_execution failed: no such execution (HTTP 404, ResourceNotFoundException)"
    )


async def test_nobody_listening_is_a_retryable_error(
    aws_environment: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """A service that cannot be reached fails the invocation, not the execution."""
    with FakeLambda() as fake:
        url = fake.url

    with pytest.raises(CheckpointError, match=r"after 5 attempts.*no usable answer") as caught:
        await checkpoint(AwsClient(endpoint_url=url))

    assert caught.value.is_retryable


async def test_a_silent_service_is_a_retryable_error(service: FakeLambda) -> None:
    """A service that takes a request and never answers is given up after ``read_timeout``."""
    hold = threading.Event()
    service.answers = [Answer(OK.status, OK.body, hold=hold)]
    try:
        with pytest.raises(CheckpointError, match="Read timeout") as caught:
            await checkpoint(AwsClient(read_timeout=Duration.seconds(0.1), max_attempts=1))
    finally:
        hold.set()

    assert caught.value.is_retryable
    assert caught.value.code == "ReadTimeoutError"


async def test_a_request_that_breaks_the_service_model_is_not_sent(service: FakeLambda) -> None:
    """What boto3 refuses to send is an error of the execution, with boto3's words."""
    with pytest.raises(CheckpointError, match=r"(?s)Parameter validation failed.*CheckpointToken") as caught:
        await AwsClient().checkpoint(
            durable_execution_arn=ARN, checkpoint_token="", updates=[], client_token="client-1"
        )

    assert not caught.value.is_retryable
    assert service.requests == []


# --- repeating -------------------------------------------------------------------------------------------


async def test_a_lost_answer_is_asked_for_with_the_same_tokens(
    service: FakeLambda, autojump_clock: trio.testing.MockClock
) -> None:
    """A repeated checkpoint is the same request, byte for byte: the service can tell that it has it already."""
    service.answers = [Answer(0), refusal(500, "ServiceException", "oops"), Answer(200, b"{not json"), OK]

    answer = await checkpoint(AwsClient(), UPDATE)

    assert answer.checkpoint_token == "bmV4dA=="
    assert len(service.requests) == 4
    assert [request.body for request in service.requests] == [service.requests[0].body] * 4
    assert service.requests[0].body["ClientToken"] == "client-1"


async def test_retry_after_is_waited_for(service: FakeLambda, autojump_clock: trio.testing.MockClock) -> None:
    """The service says how long to stay away, and the client does."""
    service.answers = [refusal(429, "TooManyRequestsException", "slow", Retry_After="7"), OK]
    started = trio.current_time()

    await checkpoint(AwsClient())

    assert trio.current_time() - started >= 7


async def test_retry_after_beyond_the_time_allowed_gives_up_at_once(
    service: FakeLambda, autojump_clock: trio.testing.MockClock
) -> None:
    """An invocation does not wait for longer than ``retry_for``."""
    service.answers = [refusal(429, "TooManyRequestsException", "slow", Retry_After="11")]
    started = trio.current_time()

    with pytest.raises(ThrottlingError):
        await checkpoint(AwsClient())

    assert len(service.requests) == 1
    assert trio.current_time() == started


@pytest.mark.parametrize("max_attempts", [1, 2])
async def test_the_number_of_attempts_is_the_callers(
    service: FakeLambda, autojump_clock: trio.testing.MockClock, max_attempts: int
) -> None:
    """boto3 does not repeat on top of the client, whatever ``AWS_MAX_ATTEMPTS`` says."""
    service.answers = [refusal(500, "ServiceException", "oops")]

    with pytest.raises(CheckpointError):
        await checkpoint(AwsClient(max_attempts=max_attempts))

    assert len(service.requests) == max_attempts


async def test_repeating_stays_within_the_time_allowed(
    service: FakeLambda, autojump_clock: trio.testing.MockClock
) -> None:
    """However many attempts are allowed, all of it ends within ``retry_for``."""
    service.answers = [refusal(500, "ServiceException", "oops")]
    started = trio.current_time()

    with pytest.raises(CheckpointError):
        await checkpoint(AwsClient(max_attempts=1000, retry_for=Duration.seconds(20)))

    assert trio.current_time() - started <= 20
    assert len(service.requests) > 4


async def test_a_cancelled_call_is_abandoned_and_the_client_stays_usable(service: FakeLambda) -> None:
    """Cancellation does not wait for the service; the next call works."""
    hold = threading.Event()
    service.answers = [Answer(OK.status, OK.body, hold=hold), OK]
    client = AwsClient()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(checkpoint, client)
            await trio.to_thread.run_sync(service.is_asked.wait)
            nursery.cancel_scope.cancel()

        assert (await checkpoint(client)).checkpoint_token == "bmV4dA=="
    finally:
        hold.set()


def test_one_client_serves_many_trio_runs(service: FakeLambda) -> None:
    """A client made outside Trio is used by one run after the other, as in a warm Lambda function."""
    service.answers = [OK]
    client = AwsClient()

    for _ in range(3):
        assert trio.run(checkpoint, client).checkpoint_token == "bmV4dA=="

    assert repr(client) == "<AwsClient the usual region, connected>"


# --- settings --------------------------------------------------------------------------------------------


async def test_a_missing_region_is_a_clear_error(
    service: FakeLambda, aws_environment: pytest.MonkeyPatch
) -> None:
    """Without a region anywhere, the error names the variables and the argument."""
    aws_environment.delenv("AWS_DEFAULT_REGION")

    with pytest.raises(ConfigurationError, match=r"AWS_REGION.*region_name="):
        await checkpoint(AwsClient())


async def test_the_region_that_lambda_sets_is_enough(
    service: FakeLambda, aws_environment: pytest.MonkeyPatch
) -> None:
    """``AWS_REGION`` counts when nothing else names a region, and signs the request."""
    aws_environment.delenv("AWS_DEFAULT_REGION")
    aws_environment.setenv("AWS_REGION", "us-west-2")
    service.answers = [OK]

    await checkpoint(AwsClient())

    assert "/us-west-2/lambda/aws4_request" in service.requests[0].headers["Authorization"]


async def test_missing_credentials_are_a_clear_error(
    service: FakeLambda, aws_environment: pytest.MonkeyPatch
) -> None:
    """Without credentials nothing is sent or repeated, and the program is told."""
    aws_environment.delenv("AWS_ACCESS_KEY_ID")
    aws_environment.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(ConfigurationError, match="no AWS credentials"):
        await checkpoint(AwsClient())

    assert service.requests == []


@pytest.mark.parametrize(
    ("arguments", "error_type", "message"),
    [
        ({"max_attempts": 0}, ValidationError, "max_attempts must be .* at least 1, not 0"),
        ({"max_attempts": True}, ValidationError, "max_attempts must be .* not True"),
        ({"retry_for": 10}, TypeError, "retry_for must be a Duration or a timedelta, not int"),
        ({"read_timeout": Duration()}, ValidationError, "read_timeout must be above 0 seconds"),
        (
            {"boto3_client": object()},
            ConfigurationError,
            "boto3_client has no checkpoint_durable_execution: .* 1.43 or newer",
        ),
        (
            {"boto3_client": object(), "region_name": "eu-west-1"},
            ValidationError,
            "region_name belongs to boto3_client",
        ),
        (
            {"boto3_client": object(), "read_timeout": Duration.seconds(1)},
            ValidationError,
            "read_timeout belongs to boto3_client",
        ),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], error_type: type[Exception], message: str) -> None:
    """A wrong argument is refused by name when the client is made."""
    with pytest.raises(error_type, match=message):
        AwsClient(**arguments)


async def test_a_client_of_boto3s_may_be_given(aws_environment: pytest.MonkeyPatch) -> None:
    """With a client of the program's own, it is that client that asks, where it asks."""
    with FakeLambda() as fake:
        fake.answers = [OK]
        boto = boto3.client("lambda", endpoint_url=fake.url)
        client = AwsClient(boto3_client=boto)
        try:
            assert repr(client) == f"<AwsClient {fake.url}, not used yet>"

            assert (await checkpoint(client)).checkpoint_token == "bmV4dA=="

            assert fake.requests[0].headers["User-Agent"].startswith("Boto3/")
        finally:
            boto.close()


def test_the_module_loads_without_boto3() -> None:
    """Importing the client, and making one, costs no boto3."""
    code = (
        "import sys; from durable_trio.clients.aws import AwsClient; AwsClient(); "
        "sys.exit(any(m.split('.')[0] in ('boto3', 'botocore') for m in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
