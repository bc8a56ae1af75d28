"""Invoking functions, as Lambda's Invoke does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from local.functions import PENDING, Call, Function, returns_at_once, start_wait, succeeded, waits

from durable_trio._protocol.operation import ErrorObject
from durable_trio.local import (
    ExecutionAlreadyStarted,
    ExecutionStatus,
    FunctionCall,
    FunctionConfig,
    InvalidParameterValue,
    InvalidRequestContent,
    InvocationType,
    LocalSettings,
    Quotas,
    RequestTooLarge,
    ResourceNotFound,
    open_local_service,
)

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400
EVENT, DRY_RUN = InvocationType.EVENT, InvocationType.DRY_RUN


async def test_waiting_for_a_durable_function(autojump_clock: trio.testing.MockClock) -> None:
    """The caller waits for the end of the execution and gets its result."""
    async with open_local_service() as service:
        service.register("f", Function(waits(60)))
        result = await service.invoke("f", '{"a": 1}', name="one", tenant_id="acme")

        assert (result.status_code, result.payload, result.function_error) == (200, '"done"', None)
        assert result.executed_version == "$LATEST"
        description = await service.describe("one")
        assert result.durable_execution_arn == description.arn
        assert (description.input_payload, description.tenant_id) == ('{"a": 1}', "acme")
        assert description.execution_timeout_seconds == 900


@pytest.mark.parametrize(
    ("answer", "payload"),
    [
        (
            {
                "Status": "FAILED",
                "Error": {"ErrorType": "E", "ErrorMessage": "m", "ErrorData": "d", "StackTrace": ["s"]},
            },
            {"errorMessage": "m", "errorType": "E", "errorData": "d", "stackTrace": ["s"]},
        ),
        ({"Status": "FAILED", "Error": {}}, {"errorMessage": "The execution is FAILED"}),
    ],
)
async def test_a_durable_function_that_fails(
    answer: Any, payload: Any, autojump_clock: trio.testing.MockClock
) -> None:
    """Its error comes back in Lambda's form, and is marked."""

    async def body(call: Call) -> Any:
        return answer

    async with open_local_service() as service:
        service.register("f", Function(body))
        result = await service.invoke("f")

        assert (result.status_code, result.function_error) == (200, "Unhandled")
        assert json.loads(result.payload or "") == payload


async def test_an_execution_that_is_ended_by_force(autojump_clock: trio.testing.MockClock) -> None:
    """Stopped and timed out executions are failures for their caller."""
    async with open_local_service() as service, trio.open_nursery() as nursery:
        service.register("f", Function(waits(DAY)))
        result = await service.invoke("f")
        # A caller waits 15 minutes at most.
        assert json.loads(result.payload or "")["errorType"] == "Execution.Timeout"

        async def stop() -> None:
            await trio.sleep(10)
            await service.stop("one")

        nursery.start_soon(stop)
        result = await service.invoke("f", name="one")
        assert json.loads(result.payload or "") == {"errorMessage": "The execution is STOPPED"}
        assert result.function_error == "Unhandled"


async def test_a_result_of_nothing(autojump_clock: trio.testing.MockClock) -> None:
    """A function that answers without a result has answered null."""

    async def body(call: Call) -> Any:
        return {"Status": "SUCCEEDED"}

    async with open_local_service() as service:
        service.register("f", Function(body))
        assert (await service.invoke("f")).payload == "null"


async def test_hanging_up(autojump_clock: trio.testing.MockClock) -> None:
    """A caller that does not wait any longer does not end the execution."""
    async with open_local_service() as service:
        service.register("f", Function(waits(60)))
        with trio.move_on_after(1):
            await service.invoke("f", name="one")
        assert (await service.wait_closed("one")).status is ExecutionStatus.SUCCEEDED


async def test_events(autojump_clock: trio.testing.MockClock) -> None:
    """Nobody waits for an event; the caller is told the execution, which has the function's own time-out."""
    async with open_local_service() as service:
        service.register("f", Function(waits(DAY)), config=FunctionConfig(retention_days=3))
        result = await service.invoke("f", invocation_type=EVENT)

        assert (result.status_code, result.payload) == (202, None)
        assert result.durable_execution_arn is not None
        ended = await service.wait_closed(result.durable_execution_arn)
        assert ended.status is ExecutionStatus.SUCCEEDED
        assert ended.execution_timeout_seconds == 31_622_400
        assert ended.retention_days == 3


async def test_a_dry_run() -> None:
    """Everything is checked and nothing is done."""
    function = Function(returns_at_once)
    async with open_local_service() as service:
        service.register("f", function)
        result = await service.invoke("f", invocation_type=DRY_RUN)
        assert (result.status_code, result.durable_execution_arn) == (204, None)
        with pytest.raises(ResourceNotFound):
            await service.invoke("g", invocation_type=DRY_RUN)
        with pytest.raises(InvalidParameterValue, match="name must be"):
            await service.invoke("f", invocation_type=DRY_RUN, name="a b")
        await service.until_idle()
        assert function.calls == []


async def test_a_name_is_one_execution(autojump_clock: trio.testing.MockClock) -> None:
    """To invoke again by the same name and payload waits for the same execution; another payload is refused."""
    function = Function(waits(60))
    async with open_local_service() as service:
        service.register("f", function)
        first = await service.invoke("f", "1", name="one")
        assert await service.invoke("f", "1", name="one") == first
        event = await service.invoke("f", "1", name="one", invocation_type=EVENT)
        assert event.durable_execution_arn == first.durable_execution_arn
        with pytest.raises(ExecutionAlreadyStarted):
            await service.invoke("f", "2", name="one")
        assert len(function.calls) == 2


async def test_a_name_that_an_earlier_process_started(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """To invoke by the name of an execution that nobody drives has it go on."""
    file = tmp_path / "service.sqlite"
    async with open_local_service(file) as service:
        clock = service.clock
        service.register("f", Function(waits(60)))
        await service.start_execution("f", "1", name="one")
        await service.until_idle()
    async with open_local_service(file, clock=clock) as service:
        service.register("f", Function(waits(60)))
        assert (await service.invoke("f", "1", name="one")).payload == '"done"'


async def test_a_name_that_another_process_drives(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """It is left to the other process; its end is seen in the file."""
    file = tmp_path / "service.sqlite"
    async with (
        open_local_service(file) as one,
        open_local_service(file, clock=one.clock, watch_seconds=1) as other,
    ):
        for service in (one, other):
            service.register("f", Function(waits(60)))
        await one.start_execution("f", "1", name="one")
        assert (await other.invoke("f", "1", name="one")).payload == '"done"'


async def test_plain_functions(autojump_clock: trio.testing.MockClock) -> None:
    """A function that is not durable is simply called; there is no execution."""
    seen: list[Any] = []

    def f(event: Any, context: Any) -> Any:
        seen.append((event, context.tenant_id, context.client_context))
        if event == "fail":
            raise ValueError("no")
        return {"got": event}

    async with open_local_service() as service:
        service.register_plain("f", f)
        result = await service.invoke("f", '{"a": 1}', tenant_id="acme", client_context="{}")
        assert result.payload == '{"got": {"a": 1}}'
        assert result.durable_execution_arn is None
        failed = await service.invoke("f", '"fail"')
        assert failed.function_error == "Unhandled"
        error = json.loads(failed.payload or "")
        assert (error["errorType"], error["errorMessage"]) == ("ValueError", "no")
        assert any("raise ValueError" in line for line in error["stackTrace"])
        assert seen == [({"a": 1}, "acme", "{}"), ("fail", None, None)]
        with pytest.raises(InvalidParameterValue, match="'f' is not durable: name must be None, not 'one'"):
            await service.invoke("f", name="one")
        assert (await service.list_executions()).items == ()


async def test_plain_functions_called_by_events(autojump_clock: trio.testing.MockClock) -> None:
    """They are called later; one that fails is called twice more, after a minute and after two, as on Lambda."""
    times: list[float] = []

    async def f(event: Any, context: Any) -> None:
        times.append(trio.current_time())
        raise ValueError("no")

    async with open_local_service(settings=LocalSettings(random_seed=1)) as service:
        service.register_plain("f", f)
        result = await service.invoke("f", invocation_type=EVENT)
        assert (result.status_code, result.durable_execution_arn) == (202, None)
        await trio.sleep(DAY)

        assert len(times) == 3
        assert 30 <= times[1] - times[0] <= 60.1
        assert 60 <= times[2] - times[1] <= 120.1
        assert service._ledger.store.unfinished() == []
        assert (await service.list_executions()).items == ()


async def test_events_of_plain_functions_survive_the_process(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """What was accepted is done, by whoever comes next."""
    file = tmp_path / "service.sqlite"
    done = trio.Event()

    async def f(event: Any, context: Any) -> None:
        done.set()

    async def never(event: Any, context: Any) -> None:
        await trio.sleep_forever()

    async with open_local_service(file) as service:
        clock = service.clock
        service.register_plain("f", never)
        await service.invoke("f", invocation_type=EVENT)
    async with open_local_service(file, clock=clock) as service:
        service.register_plain("f", f)
        assert await service.take_over_all() == []  # what is taken over is no execution
        await done.wait()


async def test_hanging_up_on_a_plain_function(autojump_clock: trio.testing.MockClock) -> None:
    """The function runs on."""
    done = trio.Event()

    async def f(event: Any, context: Any) -> None:
        await trio.sleep(10)
        done.set()

    async with open_local_service() as service:
        service.register_plain("f", f, config=FunctionConfig(concurrency=1))
        with trio.move_on_after(1):
            await service.invoke("f")
        await service.invoke("f", invocation_type=EVENT)  # waits for its turn
        await done.wait()
        await service.until_idle()
        assert service._ledger.store.unfinished() == []


async def test_a_service_that_closes_under_a_call() -> None:
    """Who waits for a plain function when the service closes is told so."""
    from durable_trio.local import ServiceFailure

    async def f(event: Any, context: Any) -> None:
        await trio.sleep_forever()

    failures: list[str] = []

    async def call() -> None:
        try:
            await service.invoke("f")
        except ServiceFailure as failure:
            failures.append(str(failure))

    async with trio.open_nursery() as nursery, open_local_service() as service:
        service.register_plain("f", f)
        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
    assert failures == ["the local service was closed"]


@pytest.mark.parametrize(
    ("payload", "text"), [(b"", "{}"), (" ", "{}"), (b'{"\xc3\xa9": 1}', '{"é": 1}'), ("[1]", "[1]")]
)
async def test_payloads(payload: str | bytes, text: str, autojump_clock: trio.testing.MockClock) -> None:
    """JSON as text or UTF-8; nothing stands for an empty object."""
    async with open_local_service() as service:
        service.register("f", Function(returns_at_once))
        await service.invoke("f", payload, name="one")
        assert (await service.describe("one")).input_payload == text


@pytest.mark.parametrize("payload", ["{", "NaN", b"\xff", '"\ud800"', "[" * 100_000, "'a'"])
async def test_payloads_that_are_no_json(payload: str | bytes) -> None:
    """They are refused with Lambda's error."""
    async with open_local_service() as service:
        service.register("f", Function(returns_at_once))
        with pytest.raises(InvalidRequestContent, match="Could not parse request body into json"):
            await service.invoke("f", payload)


async def test_payloads_that_are_too_big(autojump_clock: trio.testing.MockClock) -> None:
    """6 MiB where the caller waits, 1 MiB where not; the quotas can be set."""
    async with open_local_service() as service:
        service.register("f", Function(returns_at_once))
        for size, type_ in ((6 * 1024 * 1024, InvocationType.REQUEST_RESPONSE), (1024 * 1024, EVENT)):
            fits = '"' + "x" * (size - 2) + '"'
            assert (await service.invoke("f", fits, invocation_type=type_)).status_code < 300
            with pytest.raises(
                RequestTooLarge, match=f"smaller than {size} bytes for the {type_} invocation"
            ):
                await service.invoke("f", fits[:-1] + 'x"', invocation_type=type_)
    quotas = Quotas(synchronous_payload_bytes=10)
    async with open_local_service(settings=LocalSettings(quotas=quotas)) as service:
        service.register("f", Function(returns_at_once))
        with pytest.raises(RequestTooLarge):
            await service.invoke("f", '"0123456789"')


async def test_a_caller_waits_no_longer_than_it_may(autojump_clock: trio.testing.MockClock) -> None:
    """The longest synchronous execution is a quota; a shorter time of the function's own holds."""

    async def body(call: Call) -> Any:
        if call.status("wait") is None:
            await call.checkpoint(start_wait(DAY))
            return PENDING
        return succeeded()

    quotas = Quotas(max_synchronous_seconds=30)
    async with open_local_service(settings=LocalSettings(quotas=quotas)) as service:
        service.register("f", Function(body))
        service.register("g", Function(body), config=FunctionConfig(execution_timeout_seconds=10))
        for name, seconds in (("f", 30), ("g", 10)):
            began = trio.current_time()
            assert (await service.invoke(name)).function_error == "Unhandled"
            assert trio.current_time() - began == pytest.approx(seconds, abs=0.1)


async def test_tenants_are_checked() -> None:
    """A tenant id has the service model's letters."""
    async with open_local_service() as service:
        service.register("f", Function(returns_at_once))
        for wrong in ("", "a;b", "x" * 257):
            with pytest.raises(InvalidParameterValue, match="tenant_id must be 1 to 256"):
                await service.invoke("f", tenant_id=wrong)


async def test_qualifiers(autojump_clock: trio.testing.MockClock) -> None:
    """The version that was meant is executed, and told."""

    async def elsewhere(payload: str, call: FunctionCall) -> str:
        return json.dumps(call.function.version)

    async with open_local_service() as service:
        for version, aliases in (("1", ("prod",)), ("2", ())):
            config = FunctionConfig(version=version, aliases=aliases)
            service.register_remote("f", elsewhere, is_durable=False, config=config)
        for name, qualifier, version in (("f", "2", "2"), ("f:prod", None, "1")):
            result = await service.invoke(name, qualifier=qualifier)
            assert (result.executed_version, result.payload) == (version, f'"{version}"')
        with pytest.raises(ResourceNotFound, match="LATEST"):
            await service.invoke("f")


def test_errors_without_words() -> None:
    """An error that says nothing is an empty message."""
    from durable_trio.local.invoking import error_payload

    assert json.loads(error_payload(ErrorObject())) == {"errorMessage": ""}
