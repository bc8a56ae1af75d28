"""The environment of a worker's process: Lambda's variables, and the way to the local service.

The AWS SDKs in it find our endpoint for Lambda, and nothing of the user's own AWS settings: a function that is
tried on a laptop must not write to a production table by accident. Who wants that names a profile or keys in the
function's own environment, which goes over everything.

Source of the names: "Defined runtime environment variables",
https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html. ``AWS_LAMBDA_FUNCTION_TIMEOUT`` is not
among them; SAM's local Lambda sets it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Mapping

    from durable_trio.local.workers.functions import WorkerFunction

_CREDENTIALS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_NOT_A_SECRET: Final = "local"  # noqa: S105  # signs requests that nobody checks
_LOOPBACK: Final = "127.0.0.1,localhost"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all workers of a service have in common: where the service is, and what its ARNs say."""

    endpoint_url: str
    region: str


class Endpoint:
    """Where the service is, once that is known: functions are registered before the service listens."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._url: str | None = None
        self._is_known = trio.Event()

    def announce(self, url: str) -> None:
        """Say where it is; once."""
        self._url = url
        self._is_known.set()

    async def surroundings(self) -> Surroundings:
        """Wait until it is known, and return it."""
        await self._is_known.wait()
        assert self._url is not None  # noqa: S101  # set together with the event
        return Surroundings(self._url, self._region)


def worker_environment(
    function: WorkerFunction,
    surroundings: Surroundings,
    *,
    runtime_api: str,
    log_stream: str,
    inherited: Mapping[str, str],
) -> dict[str, str]:
    """Return the variables for a process.

    Args:
        function: what runs in it.
        surroundings: of all workers.
        runtime_api: host, port and path of the Runtime API.
        log_stream: names the process.
        inherited: the service's own variables; those of AWS are left out.
    """
    ours = {name: value for name, value in inherited.items() if not name.startswith("AWS_")}
    # ``python`` may be another one than ours.
    ours.pop("PYTHONHOME", None)
    ours |= _around_proxies(inherited)
    return {
        **ours,
        **_lambda_variables(function, runtime_api, log_stream),
        **_aws_settings(surroundings, function),
        **function.environment,
    }


def _lambda_variables(function: WorkerFunction, runtime_api: str, log_stream: str) -> dict[str, str]:
    variables = {
        "_HANDLER": f"{function.module}.{function.attribute}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_limit_in_mb),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_TIMEOUT": f"{function.timeout_seconds:g}",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_FORMAT": function.log_format,
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "LAMBDA_TASK_ROOT": str(function.directory),
        "TZ": ":UTC",
    }
    if function.log_format == "JSON":
        # The level that Lambda starts from with this format; with Text there is none.
        variables["AWS_LAMBDA_LOG_LEVEL"] = "INFO"
    return variables


def _aws_settings(surroundings: Surroundings, function: WorkerFunction) -> dict[str, str]:
    settings = {
        "AWS_DEFAULT_REGION": surroundings.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL_LAMBDA": surroundings.endpoint_url,
        "AWS_REGION": surroundings.region,
    }
    own = function.environment
    if "AWS_PROFILE" in own or "AWS_ACCESS_KEY_ID" in own:
        return settings
    # Files too: a profile called "default" would be found otherwise.
    files = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return settings | files | dict.fromkeys(_CREDENTIALS[:2], _NOT_A_SECRET)


def _around_proxies(inherited: Mapping[str, str]) -> dict[str, str]:
    """The service is on this machine: requests to it must not go to a proxy."""
    given = inherited.get("NO_PROXY") or inherited.get("no_proxy")
    hosts = f"{given},{_LOOPBACK}" if given else _LOOPBACK
    return {"NO_PROXY": hosts, "no_proxy": hosts}
