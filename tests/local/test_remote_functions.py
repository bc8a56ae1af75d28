"""Functions that run elsewhere: JSON text there, JSON text back."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
import trio.testing
from local.functions import (
    Call,
    error_of,
    run_caller,
    waits,
)

from durable_trio._protocol.history import EventType
from durable_trio._protocol.operation import (
    ErrorObject,
)
from durable_trio.local import (
    ExecutionStatus,
    FunctionCall,
    FunctionConfig,
    FunctionError,
    open_local_service,
)

S = ExecutionStatus


async def test_a_durable_function_elsewhere(autojump_clock: trio.testing.MockClock) -> None:
    """It gets the invocation as JSON text, answers JSON text, and checkpoints by a road of its own."""
    seen: list[FunctionCall] = []

    async def elsewhere(payload: str, call: FunctionCall) -> str:
        seen.append(call)
        inner = Call(json.loads(payload), None, service.client())  # type: ignore[arg-type]
        return json.dumps(await waits(60)(inner))

    async with open_local_service() as service:
        service.register_remote("f", elsewhere, config=FunctionConfig(timeout_seconds=30))
        execution = await service.start_execution("f", "null", tenant_id="acme")
        assert (await service.wait_closed(execution.arn)).result == '"done"'

        assert len(seen) == 2
        assert seen[0].durable_execution_arn == seen[0].log_arn == execution.arn
        assert seen[0].tenant_id == "acme"
        assert seen[0].function.name == "f"
        assert seen[0].request_id != seen[1].request_id
        assert seen[0].request_id in repr(seen[0])


@pytest.mark.parametrize(
    ("answer", "type_"),
    [
        (FunctionError(ErrorObject("boom", "Runtime.ExitError")), "Runtime.ExitError"),
        (OSError("no connection"), "OSError"),
        ("no json", "Runtime.MarshalError"),
        ("[" * 100_000, "Runtime.MarshalError"),
        (json.dumps("x" * 7_000_000), "Function.ResponseSizeTooLarge"),
    ],
)
async def test_a_plain_function_elsewhere_that_fails(
    answer: Any, type_: str, autojump_clock: trio.testing.MockClock
) -> None:
    """What goes wrong there is the function's failure here."""

    async def elsewhere(payload: str, call: FunctionCall) -> str:
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, str)
        return answer

    async with open_local_service() as service:
        service.register_remote("f", elsewhere, is_durable=False)
        assert error_of(await run_caller(service)).type == type_


@pytest.mark.parametrize(
    ("answer", "type_"),
    [
        ("no json", "InvalidResponse"),
        ("[" * 100_000, "InvalidResponse"),
        ('{"Status": "MAYBE"}', "InvalidResponse"),
    ],
)
async def test_a_durable_function_elsewhere_that_answers_nonsense(
    answer: str, type_: str, autojump_clock: trio.testing.MockClock
) -> None:
    """An answer that is none fails the execution at once."""

    async def elsewhere(payload: str, call: FunctionCall) -> str:
        return answer

    async with open_local_service() as service:
        service.register_remote("f", elsewhere)
        execution = await service.start_execution("f", "null")
        error = (await service.wait_closed(execution.arn)).error
        assert error is not None
        assert error.type == type_


async def test_time_counts_from_where_the_code_begins(autojump_clock: trio.testing.MockClock) -> None:
    """A function that has to be started first says when it begins; its time limit counts from there, once."""
    left: list[float] = []

    async def elsewhere(payload: str, call: FunctionCall) -> str:
        await trio.sleep(9)  # a cold start
        call.began()
        left.append(call.remaining_seconds())
        await trio.sleep(5)
        call.began()
        left.append(call.remaining_seconds())
        await trio.sleep(100 if len(left) > 2 else 4)
        return '{"Status": "SUCCEEDED", "Result": "1"}'

    async with open_local_service() as service:
        service.register_remote("f", elsewhere, config=FunctionConfig(timeout_seconds=10))
        execution = await service.start_execution("f", "null")
        assert (await service.wait_closed(execution.arn)).status is S.SUCCEEDED
        assert left == [10, 5]
        started = trio.current_time()
        other = await service.start_execution("f", "null")
        with trio.move_on_after(20):
            await service.wait_closed(other.arn)
        completed = [
            event
            for event in (await service.history(other.arn)).items
            if event.type is EventType.INVOCATION_COMPLETED
        ]
        assert trio.current_time() - started == pytest.approx(20)
        assert completed[0].details.error == ErrorObject(
            "Task timed out after 10 seconds", "Sandbox.Timedout"
        )


async def test_a_function_elsewhere_is_cancelled_when_the_service_closes() -> None:
    """Leaving the service cancels the call, so that whoever makes it can end the function."""
    cancelled = trio.Event()

    async def elsewhere(payload: str, call: FunctionCall) -> str:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()
        raise AssertionError

    async with open_local_service() as service:
        service.register_remote("f", elsewhere)
        await service.start_execution("f", "null")
        await trio.testing.wait_all_tasks_blocked()
    assert cancelled.is_set()


async def test_stopping_does_not_cancel_the_function(autojump_clock: trio.testing.MockClock) -> None:
    """As on Lambda, an invocation of an execution that was stopped runs on; only its checkpoints are refused."""
    ended = trio.Event()

    async def elsewhere(payload: str, call: FunctionCall) -> str:
        await trio.sleep(60)
        ended.set()
        return '{"Status": "PENDING"}'

    async with open_local_service() as service:
        service.register_remote("f", elsewhere)
        execution = await service.start_execution("f", "null")
        await trio.sleep(1)
        await service.stop(execution.arn)
        await ended.wait()
        await service.until_idle()
        assert (await service.describe(execution.arn)).status is S.STOPPED
