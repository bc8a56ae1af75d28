"""Functions that are not durable: called by chained invokes, in this process."""

from __future__ import annotations

import functools
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from local.functions import (
    Function,
    calls,
    error_of,
    run_caller,
)

from durable_trio._protocol.history import EventType
from durable_trio.local import (
    FunctionConfig,
    InvalidParameterValue,
    open_local_service,
)

if TYPE_CHECKING:
    from pathlib import Path


DAY = 86_400
sleep = trio.sleep  # to be called by a plain function, and awaited by the service


def nested(depth: int) -> Any:
    """Return lists in lists."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def add(event: dict[str, int], context: Any) -> dict[str, Any]:
    """Answer with what it was called with, and how."""
    return {"event": event, "tenant": context.tenant_id, "thread": threading.current_thread().name}


async def test_a_chained_invoke_of_a_plain_function(autojump_clock: trio.testing.MockClock) -> None:
    """A function that is not durable is called with the payload, in a thread; its answer is the result."""
    async with open_local_service() as service:
        service.register_plain("f", add)
        ended = await run_caller(service, tenant_id="acme")

        result = json.loads(ended.result or "")
        assert result["event"] == {"a": 1}
        assert result["tenant"] == "acme"
        assert result["thread"] != threading.current_thread().name
        events = (await service.history(ended.arn)).items
        (started,) = [event for event in events if event.type is EventType.CHAINED_INVOKE_STARTED]
        assert started.details.executed_version == "$LATEST"
        assert started.details.durable_execution_arn is None
        # Its call is no execution.
        assert [summary.arn for summary in (await service.list_executions()).items] == [ended.arn]


async def test_async_functions_that_are_not_durable(autojump_clock: trio.testing.MockClock) -> None:
    """Coroutine functions, partials of them and objects that are called so run in the service's own loop."""
    here = threading.current_thread().name

    async def f(event: Any, context: Any) -> str:
        await trio.sleep(1)
        return threading.current_thread().name

    class Callable:
        async def __call__(self, event: Any, context: Any) -> str:
            return await f(event, context)

    async with open_local_service() as service:
        for name, target in (
            ("f", f),
            ("g", functools.partial(f)),
            ("h", Callable()),
            ("i", lambda event, context: f(event, context)),
        ):
            service.register_plain(name, target)
            service.register("caller", Function(calls(name)), replace=True)
            execution = await service.start_execution("caller", "null")
            assert json.loads((await service.wait_closed(execution.arn)).result or "") == here


@pytest.mark.parametrize(
    ("target", "type_"),
    [
        (lambda event, context: 1 / 0, "ZeroDivisionError"),
        (lambda event, context: object(), "Runtime.MarshalError"),
        (lambda event, context: nested(100_000), "Runtime.MarshalError"),
        (lambda event, context: "x" * 7_000_000, "Function.ResponseSizeTooLarge"),
        (lambda event, context: "x" * 1_100_000, "Function.ResponseSizeTooLarge"),
    ],
)
async def test_plain_functions_that_fail(
    target: Any, type_: str, autojump_clock: trio.testing.MockClock
) -> None:
    """The chained invoke fails with the function's error; it is not called again."""
    count = 0

    def counted(event: Any, context: Any) -> Any:
        nonlocal count
        count += 1
        return target(event, context)

    async with open_local_service() as service:
        service.register_plain("f", counted)
        ended = await run_caller(service)

        assert error_of(ended).type == type_
        assert count == 1


@pytest.mark.parametrize("payload", ["no json", "[" * 100_000])
async def test_a_payload_that_is_no_json(payload: str, autojump_clock: trio.testing.MockClock) -> None:
    """A chained invoke may send any text; a function that is not durable cannot be called with it."""
    async with open_local_service() as service:
        service.register_plain("f", add)
        ended = await run_caller(service, payload=payload)

        assert error_of(ended).type == "Runtime.UnmarshalError"


async def test_a_plain_function_that_takes_too_long(autojump_clock: trio.testing.MockClock) -> None:
    """It is cut off, and the chained invoke fails with Lambda's error."""
    async with open_local_service() as service:
        service.register_plain("f", lambda event, context: sleep(100), timeout_seconds=10)
        ended = await run_caller(service)

        assert error_of(ended).type == "Sandbox.Timedout"
        assert error_of(ended).message == "Task timed out after 10 seconds"


async def test_a_plain_call_survives_the_process(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """A call that was cut off by the end of its process is made again by who takes the caller over."""
    file = tmp_path / "service.sqlite"
    async with open_local_service(file) as service:
        clock = service.clock
        service.register_plain("f", lambda event, context: sleep(DAY))
        service.register("caller", Function(calls("f")))
        execution = await service.start_execution("caller", "null")
        await trio.sleep(5)

    async with open_local_service(file, clock=clock) as service:
        service.register_plain("f", lambda event, context: "answer")
        service.register("caller", Function(calls("f")))
        assert [summary.arn for summary in await service.take_over_all()] == [execution.arn]
        assert (await service.wait_closed(execution.arn)).result == '"answer"'
        await service.until_idle()
        assert service._ledger.store.unfinished() == []


async def test_a_plain_function_has_no_executions() -> None:
    """It can be invoked, but no execution of it can be started."""
    async with open_local_service() as service:
        service.register_plain("f", add)
        with pytest.raises(InvalidParameterValue, match="'f' is not durable"):
            await service.start_execution("f", "null")


async def test_a_call_that_outlives_its_time(autojump_clock: trio.testing.MockClock) -> None:
    """A plain call whose execution time-out comes first is over for its caller then, whatever it answers later."""
    ended = trio.Event()

    async def f(event: Any, context: Any) -> None:
        await trio.sleep(10)
        ended.set()

    config = FunctionConfig(execution_timeout_seconds=5)
    async with open_local_service() as service:
        service.register_plain("f", f, config=config)
        caller = await run_caller(service)

        assert error_of(caller).type == "ChainedInvoke.Timeout"
        await ended.wait()
        await service.until_idle()
        assert service._ledger.store.unfinished() == []
