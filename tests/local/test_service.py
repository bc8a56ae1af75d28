"""Starting, finding and listing executions; chained invokes; group commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from local.functions import (
    PENDING,
    Call,
    Function,
    returns_at_once,
    start_step,
    succeed_step,
    succeeded,
    waits,
)

from durable_trio._protocol.operation import (
    ChainedInvokeDetails,
    ChainedInvokeOptions,
    ErrorObject,
    OperationAction,
    OperationType,
    OperationUpdate,
)
from durable_trio.clients import ServiceClient
from durable_trio.exceptions import ValidationError
from durable_trio.local import (
    ExecutionAlreadyStarted,
    ExecutionStatus,
    InvalidParameterValue,
    LocalService,
    LocalSettings,
    ResourceNotFound,
    open_local_service,
)

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400


# --- starting --------------------------------------------------------------------------------------------


async def test_starting_twice_is_starting_once(autojump_clock: trio.testing.MockClock) -> None:
    """The same name with the same payload is the same execution, also when it has ended."""
    function = Function(returns_at_once)
    async with open_local_service() as service:
        service.register("f", function)

        first = await service.start_execution("f", "1", name="order-7")
        again = await service.start_execution("f", "1", name="order-7")
        await service.wait_closed(first.arn)
        later = await service.start_execution("f", "1", name="order-7")

        assert first.arn == again.arn == later.arn
        assert later.status is ExecutionStatus.SUCCEEDED
        assert len(function.calls) == 1


async def test_a_name_stands_for_one_payload() -> None:
    """The same name with another payload is refused; another function may use the name."""
    async with open_local_service() as service:
        service.register("f", Function(returns_at_once))
        service.register("g", Function(returns_at_once))
        first = await service.start_execution("f", "1", name="order-7")

        with pytest.raises(ExecutionAlreadyStarted, match="'f' has an execution named 'order-7'") as refusal:
            await service.start_execution("f", "2", name="order-7")
        other = await service.start_execution("g", "2", name="order-7")

        assert (refusal.value.http_status, refusal.value.code) == (
            409,
            "DurableExecutionAlreadyStartedException",
        )
        assert other.arn != first.arn


async def test_names_are_made_up() -> None:
    """Without a name every start is another execution; the ARN holds function, name and id."""
    async with open_local_service() as service:
        service.register("f", Function(returns_at_once))

        one, two = await service.start_execution("f", "1"), await service.start_execution("f", "1")

        assert one.name != two.name
        prefix, name, _ = one.arn.rsplit("/", 2)
        assert prefix == "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST/durable-execution"
        assert name == one.name


async def test_a_seed_makes_ids_repeatable() -> None:
    """With a random seed, ids are the same from run to run."""
    arns = []
    for _ in range(2):
        async with open_local_service(settings=LocalSettings(random_seed=7)) as service:
            service.register("f", Function(returns_at_once))
            arns.append((await service.start_execution("f", "1")).arn)
    assert arns[0] == arns[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": ""}, "name must be 1 to 64"),
        ({"name": "a b"}, "name must be 1 to 64"),
        ({"name": "n" * 65}, "name must be 1 to 64"),
        ({"execution_timeout_seconds": 0}, "execution_timeout_seconds must be 1 to 31622400, not 0"),
        ({"execution_timeout_seconds": 31_622_401}, "execution_timeout_seconds must be 1 to 31622400"),
        ({"retention_days": 0}, "retention_days must be 1 to 90, not 0"),
        ({"retention_days": 91}, "retention_days must be 1 to 90, not 91"),
        ({"input_payload": "x" * 6_291_457}, "input_payload must be at most 6291456 bytes, not 6291457"),
    ],
)
async def test_starts_that_are_refused(arguments: dict[str, Any], message: str) -> None:
    """An argument out of range is refused by name, and nothing is started."""
    async with open_local_service() as service:
        service.register("f", Function(returns_at_once))

        with pytest.raises(InvalidParameterValue, match=message):
            await service.start_execution(**{"function_name": "f", "input_payload": "1", **arguments})
        assert (await service.list_executions()).items == ()


async def test_functions_must_be_registered() -> None:
    """Only what is registered can be started; names are checked, and taken once."""
    async with open_local_service() as service:
        service.register("f", Function(returns_at_once))

        with pytest.raises(ResourceNotFound, match="function 'g' is not registered"):
            await service.start_execution("g", "1")
        with pytest.raises(ValidationError, match="'f' is registered already"):
            service.register("f", Function(returns_at_once))
        with pytest.raises(ValidationError, match="function_name must be"):
            service.register("a:b", Function(returns_at_once))
        with pytest.raises(ValidationError, match="timeout_seconds must be more than 0"):
            service.register("g", Function(returns_at_once), timeout_seconds=0)


def test_settings_are_checked() -> None:
    """A setting out of range is refused by name."""
    out_of_range: list[dict[str, Any]] = [
        {"page_operations": 0},
        {"page_operations": 1001},
        {"page_bytes": 0},
        {"busy_timeout_seconds": -1},
        {"chained_start_seconds": -0.1},
    ]
    for bad in out_of_range:
        with pytest.raises(ValidationError, match=next(iter(bad))):
            LocalSettings(**bad)


# --- finding and listing ---------------------------------------------------------------------------------


async def test_an_execution_is_found_by_arn_id_and_name() -> None:
    """All three mean the same execution; a name that two functions use does not say which."""
    async with open_local_service() as service:
        service.register("f", Function(returns_at_once))
        service.register("g", Function(returns_at_once))
        execution = await service.start_execution("f", "1", name="mine")
        await service.start_execution("f", "1", name="shared")
        await service.start_execution("g", "1", name="shared")

        for text in (execution.arn, execution.arn.rpartition("/")[2], "mine"):
            assert (await service.describe(text)).arn == execution.arn
        with pytest.raises(InvalidParameterValue, match=r"several functions .* 'shared' \(f, g\)"):
            await service.describe("shared")
        for text in ("nobody", execution.arn[:-1] + "x", execution.arn.replace("mine", "yours")):
            with pytest.raises(ResourceNotFound, match="there is no execution"):
                await service.describe(text)


async def test_executions_are_listed(autojump_clock: trio.testing.MockClock) -> None:
    """Filters, both orders, and pages that hold every execution once."""
    async with open_local_service() as service:
        service.register("f", Function(returns_at_once))
        service.register("g", Function(waits(DAY)))
        started = []
        for number in range(7):
            await trio.sleep(1)
            started.append(await service.start_execution("f" if number % 2 else "g", "1", name=f"n{number}"))
        await trio.testing.wait_all_tasks_blocked()

        async def names(**filters: Any) -> list[str]:
            found, marker = [], ""
            while True:
                page = await service.list_executions(**filters, limit=2, marker=marker)
                found += [summary.name for summary in page.items]
                marker = page.next_marker
                if not marker:
                    return found

        everything = [f"n{number}" for number in range(7)]
        assert await names() == everything[::-1]
        assert await names(newest_first=False) == everything
        assert await names(function_name="f") == ["n5", "n3", "n1"]
        assert await names(statuses=[ExecutionStatus.RUNNING]) == ["n6", "n4", "n2", "n0"]
        assert await names(name="n3") == ["n3"]
        after, before = started[1].started_at, started[5].started_at
        assert await names(started_after=after, started_before=before) == ["n4", "n3", "n2"]


async def test_history_is_paged(autojump_clock: trio.testing.MockClock) -> None:
    """Events come in pages, in both orders; without data they are marked as truncated."""
    async with open_local_service() as service:
        service.register("f", Function(waits(1)))
        execution = await service.start_execution("f", '"in"')
        await service.wait_closed(execution.arn)

        for newest_first in (False, True):
            ids, marker = [], ""
            while True:
                page = await service.history(execution.arn, limit=4, newest_first=newest_first, marker=marker)
                ids += [event.event_id for event in page.items]
                marker = page.next_marker
                if not marker:
                    break
            assert ids == sorted(range(1, 7), reverse=newest_first)
        first = (await service.history(execution.arn, include_data=False, limit=1)).items[0]
        assert (first.details.input, first.is_truncated) == ("", True)


async def test_markers_and_limits_are_checked() -> None:
    """A marker of another listing, and a limit out of range, are refused."""
    async with open_local_service() as service:
        service.register("f", Function(returns_at_once))
        execution = await service.start_execution("f", "1")
        bad_arguments: list[dict[str, Any]] = [{"marker": "nonsense"}, {"limit": -1}, {"limit": 1001}]
        for bad in bad_arguments:
            with pytest.raises(InvalidParameterValue):
                await service.list_executions(**bad)
            with pytest.raises(InvalidParameterValue):
                await service.history(execution.arn, **bad)


async def test_the_client_is_a_service_client() -> None:
    """The runtime can use it, and finds the service's clock on it."""
    async with open_local_service() as service:
        client = service.client()

        assert isinstance(client, ServiceClient)
        assert client.clock is service.clock


# --- chained invokes -------------------------------------------------------------------------------------


def chain(target: str, payload: str = "1") -> OperationUpdate:
    """Start a chained invoke."""
    return OperationUpdate(
        "invoke",
        OperationType.CHAINED_INVOKE,
        OperationAction.START,
        payload=payload,
        options=ChainedInvokeOptions(target),
    )


def invokes(target: str) -> Function:
    """Make a function that invokes another one, and ends as that does."""

    async def body(call: Call) -> Any:
        if call.status("invoke") is None:
            await call.checkpoint(chain(target))
        operation = call.operations["invoke"]
        if not operation.status.is_terminal:
            return PENDING
        assert isinstance(operation.details, ChainedInvokeDetails)
        if operation.details.error is not None:
            return {"Status": "FAILED", "Error": {"ErrorType": operation.details.error.type}}
        return succeeded(operation.details.result or "null")

    return Function(body)


@pytest.mark.parametrize(
    "target", ["child", "child:$LATEST", "arn:aws:lambda:us-east-1:123456789012:function:child:live"]
)
async def test_a_chained_invoke_runs_the_other_function(
    target: str, autojump_clock: trio.testing.MockClock
) -> None:
    """The target becomes an execution of its own, whose result completes the operation."""
    child = Function(waits(DAY))
    async with open_local_service() as service:
        service.register("parent", invokes(target))
        service.register("child", child)
        execution = await service.start_execution("parent", "1")
        description = await service.wait_closed(execution.arn)

        assert description.result == '"done"'
        assert child.calls[0].invocation.operations[0].details.input_payload == "1"  # type: ignore[union-attr]
        (summary,) = (await service.list_executions(function_name="child")).items
        assert summary.status is ExecutionStatus.SUCCEEDED
        assert description.ended_at == description.started_at + DAY * 1000 + 100
        types = [event.type for event in (await service.history(execution.arn)).items]
        assert types == [
            "ExecutionStarted",
            "ChainedInvokeStarted",
            "InvocationCompleted",
            "ChainedInvokeSucceeded",
            "InvocationCompleted",
            "ExecutionSucceeded",
        ]


async def test_a_chained_invoke_of_an_unknown_function(autojump_clock: trio.testing.MockClock) -> None:
    """The operation has failed in the answer to its START."""
    async with open_local_service() as service:
        service.register("parent", invokes("nobody"))
        execution = await service.start_execution("parent", "1")
        description = await service.wait_closed(execution.arn)

        assert description.invocation_count == 1
        assert description.error == ErrorObject(type="ResourceNotFoundException")


async def test_a_chained_invoke_that_is_stopped(autojump_clock: trio.testing.MockClock) -> None:
    """The end of the other execution, whatever it is, wakes the one that waits for it."""
    async with open_local_service() as service:
        service.register("parent", invokes("child"))
        service.register("child", Function(waits(DAY)))
        execution = await service.start_execution("parent", "1")
        await trio.testing.wait_all_tasks_blocked()
        (child,) = (await service.list_executions(function_name="child")).items

        await service.stop(child.arn, ErrorObject("enough", "Operator"))
        description = await service.wait_closed(execution.arn)

        assert description.error == ErrorObject(type="Operator")


async def test_resuming_takes_the_chained_executions_along(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """To resume an execution is to drive what it waits for, at any depth."""

    async def run(service: LocalService) -> None:
        service.register("grandparent", invokes("parent"))
        service.register("parent", invokes("child"))
        service.register("child", Function(waits(DAY)))

    async with open_local_service(tmp_path / "db") as service:
        await run(service)
        execution = await service.start_execution("grandparent", "1")
        await trio.testing.wait_all_tasks_blocked()
        clock = service.clock

    async with open_local_service(tmp_path / "db", clock=clock) as service:
        await run(service)
        await service.take_over(execution.arn)
        assert (await service.wait_closed(execution.arn)).result == '"done"'


async def test_a_family_is_resumed_whole_or_not_at_all(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """If the function of a chained invoke is missing, nothing is taken over: another process may have it."""
    async with open_local_service(tmp_path / "db") as service:
        service.register("parent", invokes("child"))
        service.register("child", Function(waits(DAY)))
        execution = await service.start_execution("parent", "1")
        await trio.sleep(1)

    async with (
        open_local_service(tmp_path / "db") as lacking,
        open_local_service(tmp_path / "db") as complete,
    ):
        lacking.register("parent", invokes("child"))
        with pytest.raises(ResourceNotFound, match="function 'child' is not registered"):
            await lacking.take_over(execution.arn)
        complete.register("parent", invokes("child"))
        complete.register("child", Function(waits(DAY)))
        await complete.take_over(execution.arn)
        assert (await complete.wait_closed(execution.arn)).result == '"done"'


# --- group commit ----------------------------------------------------------------------------------------


async def test_requests_that_wait_together_share_a_commit(tmp_path: Path) -> None:
    """However many functions checkpoint at once, the disk is waited for once."""
    commits = 0
    ready = trio.Event()

    async def body(call: Call) -> Any:
        await ready.wait()
        await call.checkpoint(start_step(), succeed_step())
        return succeeded()

    async with open_local_service(tmp_path / "db") as service:
        service.register("f", Function(body))
        executions = [await service.start_execution("f", str(number)) for number in range(50)]
        await trio.testing.wait_all_tasks_blocked()

        def count(statement: str) -> None:
            nonlocal commits
            commits += statement == "COMMIT"

        service._ledger.store._connection.set_trace_callback(count)
        ready.set()
        await trio.testing.wait_all_tasks_blocked()
        service._ledger.store._connection.set_trace_callback(None)

        for execution in executions:
            assert (await service.describe(execution.arn)).status is ExecutionStatus.SUCCEEDED
    # One for the checkpoints and one for the ends, give or take what the scheduler makes of it.
    assert commits <= 10


async def test_a_refused_request_does_not_disturb_its_group(autojump_clock: trio.testing.MockClock) -> None:
    """Of requests that are served together, those that are right succeed."""
    async with open_local_service() as service:
        service.register("f", Function(returns_at_once))
        results: dict[str, str] = {}

        async def start(name: str, payload: str) -> None:
            try:
                results[payload] = (await service.start_execution("f", payload, name=name)).name
            except ExecutionAlreadyStarted:
                results[payload] = "refused"

        await service.start_execution("f", "0", name="taken")
        async with trio.open_nursery() as nursery:
            for number in range(1, 4):
                nursery.start_soon(start, "taken" if number == 2 else f"n{number}", str(number))

    assert results == {"1": "n1", "2": "refused", "3": "n3"}
