"""What a worker's process finds in its environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from serve.calls import function

from durable_trio.exceptions import ValidationError
from durable_trio.local.workers.environment import Surroundings, worker_environment

SURROUNDINGS = Surroundings("http://127.0.0.1:9014", "eu-central-1")


def environment(inherited: dict[str, str] | None = None, **options: Any) -> dict[str, str]:
    """Return the environment of a worker."""
    return worker_environment(
        function("answer", **options),
        SURROUNDINGS,
        runtime_api="127.0.0.1:1/x",
        log_stream="stream",
        inherited=inherited or {},
    )


def test_lambdas_variables_are_there() -> None:
    """All that AWS documents and that means something here."""
    found = environment(name="orders", timeout_seconds=3, memory_limit_in_mb=256, directory=Path("/code"))

    assert (
        found.items()
        >= {
            "_HANDLER": "lambda_functions.answer",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ENDPOINT_URL_LAMBDA": "http://127.0.0.1:9014",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_FUNCTION_NAME": "orders",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": "3",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/orders",
            "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
            "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1/x",
            "AWS_REGION": "eu-central-1",
            "LAMBDA_TASK_ROOT": "/code",
            "TZ": ":UTC",
        }.items()
    )


def test_the_users_own_aws_settings_stay_outside() -> None:
    """No function reaches a real account by accident: neither by variables nor by files."""
    mine = {"AWS_PROFILE": "production", "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SESSION_TOKEN": "t", "HOME": "/me"}
    found = environment(mine)

    assert found["AWS_ACCESS_KEY_ID"] == found["AWS_SECRET_ACCESS_KEY"] == "local"
    assert found["AWS_SHARED_CREDENTIALS_FILE"] == found["AWS_CONFIG_FILE"] == os.devnull
    assert found["HOME"] == "/me"
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN"} & found.keys()


@pytest.mark.parametrize("own", [{"AWS_PROFILE": "dev"}, {"AWS_ACCESS_KEY_ID": "a"}])
def test_a_function_may_have_credentials_of_its_own(own: dict[str, str]) -> None:
    """Who names a profile or keys gets them, and nothing that gets in their way."""
    found = environment(environment=own)

    assert found.items() >= own.items()
    assert not {"AWS_SECRET_ACCESS_KEY", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"} & found.keys()
    assert found["AWS_ENDPOINT_URL_LAMBDA"] == SURROUNDINGS.endpoint_url


def test_a_functions_variables_go_over_everything() -> None:
    """Also over ours: another endpoint may be meant."""
    found = environment({"A": "outer", "B": "outer"}, environment={"A": "own", "AWS_REGION": "here"})

    assert (found["A"], found["B"], found["AWS_REGION"]) == ("own", "outer", "here")


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "127.0.0.1,localhost"), ({"no_proxy": ".corp"}, ".corp,127.0.0.1,localhost")],
)
def test_the_service_is_not_behind_a_proxy(given: dict[str, str], expected: str) -> None:
    """A proxy for the outside world must not be asked for this machine."""
    found = environment({"HTTP_PROXY": "http://proxy:3128", **given})

    assert found["NO_PROXY"] == found["no_proxy"] == expected
    assert found["HTTP_PROXY"] == "http://proxy:3128"


def test_json_logs_begin_at_info_as_on_lambda() -> None:
    """With the format ``Text`` there is no level, with ``JSON`` it is INFO, and may be set."""
    assert "AWS_LAMBDA_LOG_LEVEL" not in environment()
    assert environment(log_format="JSON")["AWS_LAMBDA_LOG_LEVEL"] == "INFO"
    own = {"AWS_LAMBDA_LOG_LEVEL": "DEBUG"}
    assert environment(log_format="JSON", environment=own)["AWS_LAMBDA_LOG_LEVEL"] == "DEBUG"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_workers": 0}, "max_workers must be at least 1, not 0"),
        ({"init_seconds": 0}, "init_seconds must be more than 0, not 0"),
        ({"runtime": "node"}, "runtime must be one of auto, awslambdaric, builtin, not 'node'"),
        ({"log_format": "xml"}, "log_format must be one of Text, JSON, not 'xml'"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    """The message names the argument, the value and the range."""
    with pytest.raises(ValidationError, match=message):
        function("answer", **options)
