"""Functions: names, versions, aliases, and what is known about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from local.functions import (
    Function,
    returns_at_once,
    waits,
)

from durable_trio.exceptions import ValidationError
from durable_trio.local import (
    ExecutionStatus,
    FunctionCall,
    FunctionConfig,
    InvalidParameterValue,
    ResourceNotFound,
    open_local_service,
)

if TYPE_CHECKING:
    from pathlib import Path


DAY = 86_400
S = ExecutionStatus
CONTEXT_ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"


async def test_every_way_to_name_a_function() -> None:
    """By name, partial ARN and ARN, with a qualifier in it or beside it."""
    async with open_local_service() as service:
        service.register("f", Function(returns_at_once))
        for name in ("f", "123456789012:function:f", CONTEXT_ARN, "f:$LATEST", f"{CONTEXT_ARN}:$LATEST"):
            assert service.function(name).qualified_arn == f"{CONTEXT_ARN}:$LATEST"
        assert service.function("f", "$LATEST").name == "f"
        for wrong in ("", "a b", "f:", "arn:aws:sqs:us-east-1:123456789012:f", "f\n", "x" * 65):
            with pytest.raises(InvalidParameterValue, match="not the name or ARN of a function"):
                service.function(wrong)
        with pytest.raises(InvalidParameterValue, match="the qualifier '2' contradicts"):
            service.function("f:1", "2")


async def test_versions_and_aliases(autojump_clock: trio.testing.MockClock) -> None:
    """A qualifier is a version or an alias; without one it is $LATEST. Executions stay on their version."""
    one, two = Function(returns_at_once), Function(returns_at_once)
    async with open_local_service() as service:
        service.register("f", one, config=FunctionConfig(version="1", aliases=("prod", "blue")))
        service.register("f", two, config=FunctionConfig(aliases=()))
        for qualifier, version in (
            (None, "$LATEST"),
            ("$LATEST", "$LATEST"),
            ("1", "1"),
            ("prod", "1"),
            ("blue", "1"),
        ):
            assert service.function("f", qualifier).version == version
        for unknown in ("2", "green"):
            with pytest.raises(ResourceNotFound, match=f"no version or alias '{unknown}'"):
                service.function("f", unknown)

        execution = await service.start_execution("f", "null", qualifier="prod")
        assert execution.function_arn == f"{CONTEXT_ARN}:1"
        assert ":function:f:1/durable-execution/" in execution.arn
        await service.wait_closed(execution.arn)
        assert (len(one.calls), len(two.calls)) == (1, 0)
        assert one.calls[0].context.function_version == "1"
        assert one.calls[0].context.invoked_function_arn == f"{CONTEXT_ARN}:1"
        other = await service.start_execution("f", "null")
        for qualifier, arn in (("1", execution.arn), ("prod", execution.arn), ("$LATEST", other.arn)):
            page = await service.list_executions(function_name="f", qualifier=qualifier)
            assert [summary.arn for summary in page.items] == [arn]
        with pytest.raises(InvalidParameterValue, match="an alias needs a function_name"):
            await service.list_executions(qualifier="prod")


async def test_who_does_not_care_about_versions() -> None:
    """A function that is registered once, without aliases, answers to any qualifier."""
    async with open_local_service() as service:
        service.register("f", Function(returns_at_once))
        assert service.function("f", "prod").version == "$LATEST"
        service.register("g", Function(returns_at_once), config=FunctionConfig(version="7"))
        assert service.function("g").version == "7"


async def test_an_execution_waits_for_its_own_version(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Another version of the function is no substitute."""
    file = tmp_path / "service.sqlite"
    async with open_local_service(file) as service:
        clock = service.clock
        service.register("f", Function(waits(60)), config=FunctionConfig(version="1"))
        execution = await service.start_execution("f", "null")
        await service.until_idle()
    async with open_local_service(file, clock=clock) as service:
        service.register("f", Function(waits(60)), config=FunctionConfig(version="2"))
        with pytest.raises(ResourceNotFound, match="in version 1"):
            await service.take_over(execution.arn)
        assert await service.take_over_all() == []


async def test_what_is_known_about_functions(autojump_clock: trio.testing.MockClock) -> None:
    """All versions of all functions are told, in order."""

    async def elsewhere(payload: str, call: FunctionCall) -> str:
        return payload

    config = FunctionConfig(version="3", description="adds", handler="app.add", environment={"A": "1"})
    async with open_local_service() as service:
        service.register("g", Function(returns_at_once), timeout_seconds=3)
        service.register_plain("f", lambda event, context: event)
        service.register_remote("f", elsewhere, config=config)
        described = service.functions()

        assert [(d.name, d.version, d.is_durable, d.kind) for d in described] == [
            ("f", "$LATEST", False, "in-process"),
            ("f", "3", True, "remote"),
            ("g", "$LATEST", True, "in-process"),
        ]
        assert described[1].config is config
        assert described[2].config.timeout_seconds == 3
        assert described[2].registered_at == service.clock.now()
        assert "3 functions" in repr(service)
        service.unregister("f", "3")
        service.unregister("f")
        with pytest.raises(ResourceNotFound):
            service.unregister("f")
        with pytest.raises(ResourceNotFound):
            service.function("f")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout_seconds": 0}, "timeout_seconds must be more than 0, not 0"),
        ({"timeout_seconds": float("nan")}, "timeout_seconds must be more than 0"),
        ({"concurrency": 0}, "concurrency must be at least 1, not 0"),
        ({"memory_limit_in_mb": 0}, "memory_limit_in_mb must be at least 1, not 0"),
        ({"execution_timeout_seconds": 31_622_401}, "execution_timeout_seconds must be 1 to 31622400"),
        ({"retention_days": 91}, "retention_days must be 1 to 90, not 91"),
        ({"version": "one"}, "version must be \\$LATEST or a number, not 'one'"),
        ({"aliases": ("1",)}, "aliases must be 1 to 128 of .* and no number, not '1'"),
    ],
)
def test_settings_out_of_range(options: dict[str, Any], message: str) -> None:
    """Each mistake is named with its value and what is allowed."""
    with pytest.raises(ValidationError, match=message):
        FunctionConfig(**options)


async def test_registering_what_is_there() -> None:
    """A version is registered once, unless it is to be replaced; time-out and config exclude each other."""
    async with open_local_service() as service:
        service.register("f", Function(returns_at_once))
        with pytest.raises(ValidationError, match=r"'f' is registered already$"):
            service.register("f", Function(returns_at_once))
        service.register("f", Function(returns_at_once), config=FunctionConfig(version="1"))
        with pytest.raises(ValidationError, match="'f' is registered already in version 1"):
            service.register("f", Function(returns_at_once), config=FunctionConfig(version="1"))
        with pytest.raises(ValidationError, match="timeout_seconds and config exclude each other"):
            service.register("g", Function(returns_at_once), timeout_seconds=1, config=FunctionConfig())


async def test_replacing_a_function(autojump_clock: trio.testing.MockClock) -> None:
    """An execution goes on with the code that is registered when it is invoked."""
    first, second = Function(waits(60)), Function(waits(60))
    async with open_local_service() as service:
        service.register("f", first)
        execution = await service.start_execution("f", "null")
        await service.until_idle()
        service.register("f", second, replace=True)
        await service.wait_closed(execution.arn)

        assert (len(first.calls), len(second.calls)) == (1, 1)


async def test_a_function_that_is_away_for_a_while(autojump_clock: trio.testing.MockClock) -> None:
    """What becomes due while a function is not registered waits until it is again."""
    async with open_local_service() as service:
        service.register("f", Function(waits(60)))
        execution = await service.start_execution("f", "null")
        await service.until_idle()
        service.unregister("f")
        await trio.sleep(DAY)
        await service.describe(execution.arn)
        assert "1 waiting" in repr(service._dispatcher)
        service.register("f", Function(waits(60)))
        assert (await service.wait_closed(execution.arn)).status is S.SUCCEEDED
