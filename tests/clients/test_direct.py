"""Calls without boto3 are the calls that boto3 would make, and their answers mean what they mean to boto3."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from clients.fake_lambda import Answer, FakeLambda, refusal
from clients.test_aws import set_aws_environment
from hypothesis import example, given
from hypothesis import strategies as st

from durable_trio.clients._boto import read_refusal
from durable_trio.clients._direct import DirectLambda
from durable_trio.clients._rest import CHECKPOINT, GET_STATE, Refusal, read_answer
from durable_trio.clients._service import LambdaService
from durable_trio.clients._settings import Keys, Origin, Settings, plain_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:orders:$LATEST/durable-execution/order-1/e2f1"
KEYS = Keys("AKIDEXAMPLE", "secret/with+signs", "token==")
ANSWER = {"CheckpointToken": "dG8=", "NewExecutionState": {"Operations": []}, "Operations": []}
TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)


def direct(url: str, **options: Any) -> DirectLambda:
    """Return a client of the endpoint at *url*."""
    environment = {
        "AWS_ACCESS_KEY_ID": KEYS.access_key,
        "AWS_SECRET_ACCESS_KEY": KEYS.secret_key,
        "AWS_SESSION_TOKEN": KEYS.token,
    }
    settings = plain_settings(environment, region_name="eu-central-1", endpoint_url=url)
    assert settings is not None
    return DirectLambda(settings, **{"connect_seconds": 3, "read_seconds": 10} | options)


class Both:
    """boto3's client and the direct one, of one endpoint."""

    def __init__(self, fake: FakeLambda) -> None:
        self.fake = fake
        self.direct = direct(fake.url)
        self.boto = boto3.session.Session().client(
            "lambda",
            region_name="eu-central-1",
            endpoint_url=fake.url,
            aws_access_key_id=KEYS.access_key,
            aws_secret_access_key=KEYS.secret_key,
            aws_session_token=KEYS.token,
            config=Config(retries={"total_max_attempts": 1, "mode": "standard"}),
        )

    def requests(self, method: str, members: Mapping[str, Any]) -> tuple[Any, Any]:
        """Make the call both ways, and return the two requests: boto3's first."""
        self.fake.requests.clear()
        self.fake.answers = [Answer(200, ANSWER)]
        getattr(self.boto, method)(**members)
        self.direct.call(method, members)
        return self.fake.requests[0], self.fake.requests[1]


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    """The two clients, made once: boto3's takes a while."""
    with FakeLambda() as fake:
        both = Both(fake)
        yield both
        both.boto.close()


# --- requests --------------------------------------------------------------------------------------------

UPDATES = st.lists(
    st.fixed_dictionaries(
        {"Id": TEXT, "Type": st.just("STEP"), "Action": st.just("SUCCEED")},
        optional={
            "Payload": TEXT,
            "Error": st.fixed_dictionaries({"ErrorMessage": TEXT, "StackTrace": st.lists(TEXT, max_size=2)}),
            "StepOptions": st.fixed_dictionaries({"NextAttemptDelaySeconds": st.integers(1, 31_622_400)}),
        },
    ),
    max_size=3,
)


@given(arn=TEXT, token=TEXT, updates=UPDATES)
@example(arn=ARN, token="dG9rZW4=", updates=[])
def test_a_checkpoint_is_the_request_that_boto3_makes(
    both: Both, arn: str, token: str, updates: list[dict[str, Any]]
) -> None:
    """Verb, path and members are the same, whatever characters they hold."""
    members = {"DurableExecutionArn": arn, "CheckpointToken": token, "Updates": updates, "ClientToken": "c-1"}

    expected, request = both.requests(CHECKPOINT, members)

    assert (request.method, request.path, request.body) == (expected.method, expected.path, expected.body)
    assert request.headers["Content-Type"] == expected.headers["Content-Type"]


@given(arn=TEXT, token=TEXT, marker=TEXT, most=st.integers(0, 1000))
@example(arn=ARN, token="dG9rZW4=", marker="a b+c/d=~*'()é", most=1000)
def test_reading_the_state_is_the_request_that_boto3_makes(
    both: Both, arn: str, token: str, marker: str, most: int
) -> None:
    """Verb, path and query are the same, byte for byte."""
    members = {"DurableExecutionArn": arn, "CheckpointToken": token, "MaxItems": most, "Marker": marker}

    expected, request = both.requests(GET_STATE, members)

    assert (request.method, request.path, request.body) == (expected.method, expected.path, expected.body)
    assert "Content-Type" not in request.headers


def test_the_headers_that_matter_are_those_of_boto3(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """Host, session token, the trace for recursion detection; what is signed, for whom, in which scope."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "orders")
    monkeypatch.setenv(
        "_X_AMZN_TRACE_ID", "Root=1-5759e988;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a:0|b ü"
    )

    expected, request = both.requests(CHECKPOINT, {"DurableExecutionArn": ARN, "CheckpointToken": "dG8="})

    for name in ("Host", "X-Amz-Security-Token", "X-Amzn-Trace-Id", "Accept-Encoding"):
        assert request.headers[name] == expected.headers[name], name
    assert (
        request.headers["Authorization"].split(", Signature")[0]
        == (expected.headers["Authorization"].split(", Signature")[0])
    )
    assert request.headers["User-Agent"].startswith("durable_trio ")


def test_the_signature_is_the_one_that_boto3_makes(both: Both) -> None:
    """In the same second, the same request: nothing that boto3 signs is missing, and nothing is signed beyond it."""
    members = {"DurableExecutionArn": ARN, "CheckpointToken": "a b+c/d=~*'()é", "MaxItems": 7}
    while True:
        expected, request = both.requests(GET_STATE, members)
        if request.headers["X-Amz-Date"] == expected.headers["X-Amz-Date"]:
            break

    assert request.headers["Authorization"] == expected.headers["Authorization"]


@pytest.mark.parametrize("has_session", [True, False])
def test_credentials_that_last_have_no_session_token(has_session: bool) -> None:
    """Then there is no such header, and none is signed."""
    environment = {**ON_LAMBDA, "AWS_SESSION_TOKEN": "token" if has_session else ""}
    with FakeLambda() as fake:
        settings = plain_settings(environment, region_name=None, endpoint_url=fake.url)
        assert settings is not None
        call(DirectLambda(settings, connect_seconds=3, read_seconds=10))

        headers = fake.requests[0].headers
        assert headers.get("X-Amz-Security-Token", "") == environment["AWS_SESSION_TOKEN"]
        assert ("x-amz-security-token" in headers["Authorization"]) is has_session


@pytest.mark.parametrize("name", ["DurableExecutionArn", "CheckpointToken", "ClientToken"])
@pytest.mark.parametrize("value", ["", 5])
def test_what_boto3_refuses_to_send_is_not_sent(both: Both, name: str, value: Any) -> None:
    """Empty or not text: the refusal has boto3's code and boto3's words."""
    from botocore.exceptions import ParamValidationError

    members = {"DurableExecutionArn": ARN, "CheckpointToken": "dG8=", "ClientToken": "c"} | {name: value}
    both.fake.requests.clear()
    with pytest.raises(ParamValidationError) as caught:
        both.boto.checkpoint_durable_execution(**members)

    refused = both.direct.call(CHECKPOINT, members)

    assert isinstance(refused, Refusal)
    assert refused.code == "ParamValidationError"
    assert refused.message == str(caught.value)
    assert both.fake.requests == []


def test_no_repr_tells_a_secret() -> None:
    """Keys and settings may end up in a log: only the key's id is there."""
    text = repr(Settings(Origin("https", "h", 443), "eu-west-1", KEYS))

    assert KEYS.access_key in text
    assert KEYS.secret_key not in text
    assert KEYS.token not in text


# --- answers ---------------------------------------------------------------------------------------------

CODES = ["ResourceNotFoundException", "a.b#Spent", "Late:http://internal/", "x#Y:z"]
MESSAGES = st.none() | st.tuples(st.sampled_from(["message", "Message"]), st.sampled_from(["spent", "a: b"]))
TYPES = st.none() | st.tuples(st.sampled_from(["code", "Code", "__type"]), st.sampled_from(CODES))
JSON_BODY = st.builds(lambda *members: json.dumps(dict(filter(None, members))).encode(), MESSAGES, TYPES)


@given(
    status=st.sampled_from([301, 400, 403, 404, 413, 429, 500, 502, 503, 599]),
    header=st.none() | st.sampled_from(CODES),
    body=JSON_BODY | st.sampled_from([b"", b"<html>no</html>", b" <html> no", b"plain text", b"{", b"[]x"]),
)
def test_a_refusal_says_what_botocore_reads_in_it(
    both: Both, status: int, header: str | None, body: bytes
) -> None:
    """Code, message and status, of the service's refusals and of a proxy's."""
    both.fake.answers = [Answer(status, body, {"x-amzn-ErrorType": header} if header else {})]
    members = {"DurableExecutionArn": ARN, "CheckpointToken": "dG8="}
    with pytest.raises(ClientError) as caught:
        both.boto.checkpoint_durable_execution(**members)

    assert both.direct.call(CHECKPOINT, members) == read_refusal(caught.value.response)


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 200_000, b"[1]", b"null", b"\xff", b'"CheckpointToken"'])
def test_an_answer_that_is_no_object_has_no_members_that_count(body: bytes) -> None:
    """Then nobody takes it for an answer with a withheld token."""
    members = read_answer(200, {}, body)

    assert not isinstance(members, Refusal)
    assert {"CheckpointToken", "NewExecutionState", "Operations"}.isdisjoint(members)


def test_retry_after_is_read() -> None:
    """In seconds; a date is not read."""
    refused = read_answer(429, {"retry-after": "7"}, b"{}")
    dated = read_answer(429, {"retry-after": "Fri, 20 Nov 2026 20:00:00 GMT"}, b"{}")

    assert isinstance(refused, Refusal)
    assert isinstance(dated, Refusal)
    assert (refused.retry_after_seconds, dated.retry_after_seconds) == (7, 0)


# --- connections -----------------------------------------------------------------------------------------


def call(client: DirectLambda) -> Any:
    """Make a call that needs no more than its arguments."""
    return client.call(CHECKPOINT, {"DurableExecutionArn": ARN, "CheckpointToken": "dG8="})


def test_calls_one_after_another_share_a_connection() -> None:
    """The port of the caller stays the same."""
    with FakeLambda() as fake:
        fake.answers = [Answer(200, ANSWER), refusal(400, "X", "x"), Answer(200, ANSWER)]
        client = direct(fake.url)
        for _ in range(3):
            call(client)

        assert len({request.port for request in fake.requests}) == 1


def test_calls_at_the_same_time_have_a_connection_each() -> None:
    """Two threads never write to one connection."""
    with FakeLambda() as fake:
        hold = threading.Event()
        fake.answers = [Answer(200, ANSWER, hold=hold)]
        client = direct(fake.url)
        threads = [threading.Thread(target=call, args=(client,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        while len(fake.requests) < 3:
            time.sleep(0.01)
        hold.set()
        for thread in threads:
            thread.join()

        assert len({request.port for request in fake.requests}) == 3


@pytest.mark.parametrize("says_so", [True, False])
def test_a_connection_that_was_closed_while_idle_is_not_used(says_so: bool) -> None:
    """As after a freeze: the next call opens another one, and nothing is lost."""
    with FakeLambda() as fake:
        closing = Answer(200, ANSWER, {"Connection": "close"} if says_so else {}, closes=True)
        fake.answers = [closing, Answer(200, ANSWER)]
        client = direct(fake.url)
        call(client)
        fake.is_closed.wait(10)

        assert call(client) == ANSWER
        assert len({request.port for request in fake.requests}) == 2


def test_a_connection_that_was_idle_for_too_long_is_not_used() -> None:
    """A router may have forgotten it: then nothing would come back, not even a refusal."""
    with FakeLambda() as fake:
        fake.answers = [Answer(200, ANSWER)]
        client = direct(fake.url, most_idle_seconds=-1)  # longer than that it was idle at once

        assert [call(client), call(client)] == [ANSWER, ANSWER]
        assert len({request.port for request in fake.requests}) == 2


def test_a_refusal_before_the_whole_request_was_read_is_heard() -> None:
    """The service may close its ear: its answer counts, not the broken pipe."""
    with FakeLambda() as fake:
        fake.answers = [Answer(413, {"message": "too large"}, {"x-amzn-ErrorType": "TooLarge"}, is_deaf=True)]
        client = direct(fake.url)

        refused = client.call(
            CHECKPOINT,
            {
                "DurableExecutionArn": ARN,
                "CheckpointToken": "dG8=",
                "Updates": [{"Payload": "x" * 5_000_000}],
            },
        )

    assert isinstance(refused, Refusal)
    # The kernel may have thrown the answer away, with the rest of the request.
    assert refused.code in ("TooLarge", "ConnectionClosedError")


def test_a_host_that_is_not_there_is_a_refusal_without_a_status() -> None:
    """As boto3 names it."""
    refused = call(direct("http://does-not-exist.invalid"))

    assert (refused.code, refused.status) == ("EndpointConnectionError", None)
    assert "http://does-not-exist.invalid" in refused.message


CERTIFICATE = Path(__file__).with_name("localhost.pem")  # for localhost, by itself, for a hundred years


def test_tls_is_spoken_with_whom_the_bundle_vouches_for() -> None:
    """The certificates to trust are those of ``AWS_CA_BUNDLE``; the connection is kept, as any other."""
    with FakeLambda(certificate=CERTIFICATE) as fake:
        fake.answers = [Answer(200, ANSWER)]
        environment = {**ON_LAMBDA, "AWS_ENDPOINT_URL": fake.url, "AWS_CA_BUNDLE": str(CERTIFICATE)}
        settings = plain_settings(environment, region_name=None, endpoint_url=None)
        assert settings is not None
        client = DirectLambda(settings, connect_seconds=3, read_seconds=10)

        assert [call(client), call(client)] == [ANSWER, ANSWER]
        assert len({request.port for request in fake.requests}) == 1


def test_tls_is_not_spoken_with_strangers() -> None:
    """A certificate that nobody vouches for is refused before anything is sent."""
    with FakeLambda(certificate=CERTIFICATE) as fake:
        refused = call(direct(fake.url))

    assert (refused.code, refused.status) == ("SSLError", None)
    assert "CERTIFICATE_VERIFY_FAILED" in refused.message
    assert fake.requests == []


def test_tls_is_not_spoken_with_who_has_another_name() -> None:
    """A certificate that is trusted, but not for this host, is refused before anything is sent."""
    with FakeLambda(certificate=CERTIFICATE) as fake:
        url = fake.url.replace("localhost", "127.0.0.1")
        environment = {**ON_LAMBDA, "AWS_ENDPOINT_URL": url, "AWS_CA_BUNDLE": str(CERTIFICATE)}
        settings = plain_settings(environment, region_name=None, endpoint_url=None)
        assert settings is not None
        refused = call(DirectLambda(settings, connect_seconds=3, read_seconds=10))

    assert (refused.code, refused.status) == ("SSLError", None)
    assert fake.requests == []


def test_an_endpoint_without_tls_is_not_taken_for_one_with_it() -> None:
    """Plain HTTP where TLS is expected: nothing is sent."""
    with FakeLambda() as fake:
        refused = call(direct(fake.url.replace("http:", "https:")))

    assert (refused.code, refused.status) == ("SSLError", None)
    assert fake.requests == []


# --- settings --------------------------------------------------------------------------------------------

ON_LAMBDA = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "token",
    "AWS_REGION": "eu-west-1",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
    "AWS_LAMBDA_FUNCTION_NAME": "orders",
    "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
    "AWS_XRAY_DAEMON_ADDRESS": "169.254.79.129:2000",
    "PATH": "/var/lang/bin",
    "_X_AMZN_TRACE_ID": "Root=1",
}


def settings_of(**changes: str) -> Settings | None:
    """Return what is made of Lambda's environment with *changes*; an empty value unsets."""
    environment = {name: value for name, value in {**ON_LAMBDA, **changes}.items() if value}
    return plain_settings(environment, region_name=None, endpoint_url=None)


def test_lambdas_own_environment_is_enough() -> None:
    """Region and keys come from it, and the endpoint is the region's."""
    assert settings_of() == Settings(
        Origin("https", "lambda.eu-west-1.amazonaws.com", 443), "eu-west-1", Keys("key", "secret", "token")
    )


def test_the_endpoint_of_every_region_is_the_one_that_botocore_has() -> None:
    """For all regions of the usual partition; those of others are left to boto3."""
    session = boto3.session.Session()
    regions = session.get_available_regions("lambda")
    assert len(regions) > 20
    for region in regions:
        settings = settings_of(AWS_REGION=region, AWS_DEFAULT_REGION=region)
        assert settings is not None, region
        boto = session.client("lambda", region_name=region, endpoint_url=None)
        boto.close()
        assert str(settings.origin) == boto.meta.endpoint_url
    for partition in set(session.get_available_partitions()) - {"aws"}:
        for region in session.get_available_regions("lambda", partition):
            assert settings_of(AWS_REGION=region, AWS_DEFAULT_REGION=region) is None, region


def test_every_setting_of_botocore_is_read_or_left_to_boto3() -> None:
    """A variable that botocore reads is either known to make no difference, or makes the client boto3's."""
    from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES

    harmless = {
        "AWS_DEFAULT_REGION",  # read
        "AWS_CA_BUNDLE",  # read
        "AWS_CONFIG_FILE",  # the caller sees whether there is one
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_RETRY_MODE",  # boto3's retries are off
        "AWS_MAX_ATTEMPTS",
        "BOTOCORE_TCP_KEEPALIVE",  # the client's connections are kept alive
    }
    names: set[str] = set()
    for _, variables, *_ in BOTOCORE_DEFAUT_SESSION_VARIABLES.values():
        names.update([variables] if isinstance(variables, str) else variables or [])

    left = {name for name in names if settings_of(**{name: "us-east-2"}) is None}

    assert names - left == harmless


@pytest.mark.parametrize(
    "changes",
    [
        {"AWS_PROFILE": "production"},
        {"AWS_SECURITY_TOKEN": "old"},
        {"AWS_CREDENTIAL_EXPIRATION": "2030-01-01T00:00:00Z"},
        {"AWS_SOMETHING_NEW": "x"},
        {"HTTPS_PROXY": "http://proxy:3128"},
        {"https_proxy": "http://proxy:3128"},
        {"all_proxy": "http://proxy:3128"},
        {"AWS_ACCESS_KEY_ID": ""},
        {"AWS_SECRET_ACCESS_KEY": ""},
        {"AWS_ACCESS_KEY_ID": "a b"},
        {"AWS_SESSION_TOKEN": "a\nX-Evil: 1"},
        {"AWS_REGION": "", "AWS_DEFAULT_REGION": ""},
        {"AWS_DEFAULT_REGION": "cn-north-1"},
        {"AWS_DEFAULT_REGION": "us-gov-west-1"},
        {"AWS_ENDPOINT_URL": "http://user:password@host"},
        {"AWS_ENDPOINT_URL": "http://host/path"},
        {"AWS_ENDPOINT_URL": "http://[::1]:80"},
        {"AWS_ENDPOINT_URL": "http://host:65536"},
        {"AWS_ENDPOINT_URL": "ftp://host"},
        {"AWS_ENDPOINT_URL": "http://" + "a" * 64},
    ],
)
def test_anything_unusual_is_left_to_boto3(changes: dict[str, str]) -> None:
    """No settings: the caller asks boto3."""
    assert settings_of(**changes) is None


@pytest.mark.parametrize(
    ("changes", "origin"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:3001"}, "http://127.0.0.1:3001"),
        ({"AWS_ENDPOINT_URL": "http://a/", "AWS_ENDPOINT_URL_LAMBDA": "https://b:443"}, "https://b"),
        ({"AWS_ENDPOINT_URL_S3": "http://elsewhere"}, "https://lambda.eu-west-1.amazonaws.com"),
        ({"AWS_DEFAULT_REGION": "us-east-2"}, "https://lambda.us-east-2.amazonaws.com"),
        (
            {"AWS_DEFAULT_REGION": "moon-1", "AWS_ENDPOINT_URL": "http://localhost:8000"},
            "http://localhost:8000",
        ),
        ({"NO_PROXY": "localhost"}, "https://lambda.eu-west-1.amazonaws.com"),
    ],
)
def test_the_endpoint_is_where_boto3_would_look_for_it(changes: dict[str, str], origin: str) -> None:
    """Lambda's variable comes before the one for all services, and both before AWS."""
    settings = settings_of(**changes)

    assert settings is not None
    assert str(settings.origin) == origin


def test_the_environment_of_this_process_is_not_looked_at() -> None:
    """Settings are decided from arguments only."""
    before = dict(os.environ)
    assert plain_settings({}, region_name="eu-west-1", endpoint_url=None) is None
    assert dict(os.environ) == before


@pytest.mark.parametrize("name", ["empty.pem", "missing.pem"])
def test_a_bundle_without_certificates_is_a_refusal(tmp_path: Path, name: str) -> None:
    """As boto3 has it: preparing needs no certificates, and the call says that they cannot be read."""
    (tmp_path / "empty.pem").write_text("")
    with FakeLambda(certificate=CERTIFICATE) as fake:
        environment = {**ON_LAMBDA, "AWS_ENDPOINT_URL": fake.url, "AWS_CA_BUNDLE": str(tmp_path / name)}
        settings = plain_settings(environment, region_name=None, endpoint_url=None)
        assert settings is not None

        refused = call(DirectLambda(settings, connect_seconds=1, read_seconds=1))

        assert refused == Refusal(refused.message, "SSLError")
        assert fake.requests == []


@pytest.mark.parametrize(
    ("place", "variable", "way"),
    [
        (".aws/config", None, "Boto3/"),
        (".aws/credentials", None, "Boto3/"),
        ("elsewhere", "AWS_CONFIG_FILE", "Boto3/"),
        ("elsewhere", "AWS_SHARED_CREDENTIALS_FILE", "Boto3/"),
        ("elsewhere", None, "durable_trio "),
        (None, "AWS_CONFIG_FILE", "durable_trio "),
    ],
)
def test_files_of_settings_are_for_boto3_to_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str | None, variable: str | None, way: str
) -> None:
    """A file where boto3 looks for one leaves the calls to it; a variable that names none does not."""
    set_aws_environment(monkeypatch, "direct")
    monkeypatch.delenv("AWS_CONFIG_FILE")
    monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE")
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / (place or "missing")
    if place is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    if variable is not None:
        monkeypatch.setenv(variable, str(path))
    with FakeLambda() as fake:
        fake.answers = [Answer(200, ANSWER)]
        service = LambdaService(region_name=None, endpoint_url=fake.url, connect_seconds=3, read_seconds=3)
        answer = service.call(CHECKPOINT, {"DurableExecutionArn": ARN, "CheckpointToken": "dG8="})

        assert not isinstance(answer, Refusal)
        assert fake.requests[0].headers["User-Agent"].startswith(way)


def test_on_lambda_the_client_is_prepared_while_the_function_loads() -> None:
    """What takes long is done when the handler is made; no connection is, and boto3 is not needed."""
    code = (
        "import sys\n"
        "from durable_trio import durable_execution\n"
        "def loaded(): return [m for m in ('botocore.auth', 'durable_trio.clients.aws', 'boto3') if m in sys.modules]\n"
        "before = loaded()\n"
        "async def fn(event, ctx): ...\n"
        "durable_execution(fn)\n"
        "print(before, loaded())"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = [
        subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        ).stdout.strip()
        for env in (environment, {**environment, **ON_LAMBDA})
    ]

    assert done == ["[] []", "[] ['botocore.auth', 'durable_trio.clients.aws']"]
