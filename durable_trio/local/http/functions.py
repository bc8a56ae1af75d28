"""Functions: ListFunctions, GetFunction, GetFunctionConfiguration, as far as a local function has what they tell."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from durable_trio.local.http.answers import Answer, json_answer
from durable_trio.local.http.reading import ApiRequest, refuse

if TYPE_CHECKING:
    from durable_trio.local.function_config import FunctionDescription
    from durable_trio.local.service import LocalService

_DEFAULT_PAGE: Final = 50
_MAX_PAGE: Final = 10_000


async def list_all(service: LocalService, request: ApiRequest) -> Answer:
    """Return a page of the functions, by ARN. The marker is the last one of the page before."""
    limit = request.whole("MaxItems", _DEFAULT_PAGE)
    if not 1 <= limit <= _MAX_PAGE:
        refuse(f"MaxItems must be 1 to {_MAX_PAGE}, not {limit}")
    marker = request.text("Marker") or ""
    # By ARN: versions of one function are functions of their own here.
    after = (each for each in service.functions() if each.qualified_arn > marker)
    functions = sorted(after, key=lambda each: each.qualified_arn)
    wire: dict[str, Any] = {"Functions": [_configuration(each) for each in functions[:limit]]}
    if len(functions) > limit:
        wire["NextMarker"] = functions[limit - 1].qualified_arn
    return json_answer(wire)


async def get(service: LocalService, request: ApiRequest) -> Answer:
    """Describe a function. There is no code to be loaded down, so ``Code`` is empty."""
    description = _find(service, request)
    wire: dict[str, Any] = {"Configuration": _configuration(description), "Code": {}, "Tags": {}}
    if description.config.concurrency is not None:
        wire["Concurrency"] = {"ReservedConcurrentExecutions": description.config.concurrency}
    return json_answer(wire)


async def get_configuration(service: LocalService, request: ApiRequest) -> Answer:
    """Return a function's configuration."""
    return json_answer(_configuration(_find(service, request)))


def _find(service: LocalService, request: ApiRequest) -> FunctionDescription:
    return service.function(*request.function())


def _configuration(function: FunctionDescription) -> dict[str, Any]:
    config = function.config
    changed = datetime.fromtimestamp(function.registered_at / 1000, UTC)
    wire: dict[str, Any] = {
        "FunctionName": function.name,
        "FunctionArn": function.arn,
        "Version": function.version,
        "Handler": config.handler,
        "Description": config.description,
        # AWS has whole seconds, from 1; ours may be less.
        "Timeout": max(1, round(config.timeout_seconds)),
        "LastModified": f"{changed:%Y-%m-%dT%H:%M:%S}.{function.registered_at % 1000:03}+0000",
        "PackageType": "Zip",
        "State": "Active",
        "LastUpdateStatus": "Successful",
    }
    if config.memory_limit_in_mb is not None:
        wire["MemorySize"] = config.memory_limit_in_mb
    if config.environment:
        wire["Environment"] = {"Variables": dict(config.environment)}
    if function.is_durable:
        wire["DurableConfig"] = {
            "ExecutionTimeout": config.execution_timeout_seconds,
            "RetentionPeriodInDays": config.retention_days,
        }
    return wire
