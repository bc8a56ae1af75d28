"""Finding functions."""

from __future__ import annotations

import pytest
from support.endpoints import in_thread, served
from support.http_workflows import echo, greet, register_all

from durable_trio.local.function_config import FunctionConfig


async def test_functions_are_listed_by_name() -> None:
    """Page by page, the durable ones marked by their DurableConfig."""
    async with served() as endpoint:
        register_all(endpoint.service)
        pages = await in_thread(
            lambda: list(
                endpoint.boto.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})
            )
        )

    functions = [function for page in pages for function in page["Functions"]]
    assert [len(page["Functions"]) for page in pages] == [2, 2, 2]
    assert [each["FunctionName"] for each in functions] == [
        "approve",
        "count",
        "echo",
        "fail",
        "greet",
        "nap",
    ]
    assert [each["FunctionName"] for each in functions if "DurableConfig" not in each] == ["echo"]


async def test_a_function_tells_its_configuration() -> None:
    """As much of it as a local function has."""
    config = FunctionConfig(
        timeout_seconds=30,
        memory_limit_in_mb=256,
        concurrency=5,
        execution_timeout_seconds=3_600,
        retention_days=7,
        description="Greets.",
        handler="app.greet",
        environment={"STAGE": "local"},
    )
    async with served() as endpoint:
        endpoint.service.register("greet", greet.invoke, config=config)
        answer = await endpoint.call("get_function", FunctionName="greet")
        alone = await endpoint.call("get_function_configuration", FunctionName="greet", Qualifier="$LATEST")

    found = answer["Configuration"]
    assert found["FunctionArn"].startswith("arn:aws:lambda:us-east-1:123456789012:function:greet")
    assert (found["Timeout"], found["MemorySize"], found["Handler"]) == (30, 256, "app.greet")
    assert found["Description"] == "Greets."
    assert found["Environment"] == {"Variables": {"STAGE": "local"}}
    assert found["DurableConfig"] == {"ExecutionTimeout": 3_600, "RetentionPeriodInDays": 7}
    assert found["State"] == "Active"
    assert answer["Concurrency"] == {"ReservedConcurrentExecutions": 5}
    assert {key: alone[key] for key in found} == found


async def test_a_plain_function_has_no_durable_config() -> None:
    """By that one tells whether a function is durable."""
    async with served() as endpoint:
        endpoint.service.register_plain("echo", echo)
        answer = await endpoint.call("get_function", FunctionName="echo")

    assert "DurableConfig" not in answer["Configuration"]


async def test_an_unknown_function_is_not_found() -> None:
    """Neither is an unknown version of a known one."""
    async with served() as endpoint:
        endpoint.service.register_plain("echo", echo, config=FunctionConfig(aliases=()))
        for call in ("get_function", "get_function_configuration"):
            with pytest.raises(endpoint.boto.exceptions.ResourceNotFoundException):
                await endpoint.call(call, FunctionName="nobody")
            with pytest.raises(endpoint.boto.exceptions.ResourceNotFoundException):
                await endpoint.call(call, FunctionName="echo", Qualifier="7")
