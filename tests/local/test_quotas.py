"""How much an execution may hold, and how it is read in portions."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio
import trio.lowlevel
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from local.functions import (
    CHAINED,
    PENDING,
    START,
    STEP,
    SUCCEED,
    Call,
    Function,
    returns_at_once,
    start_callback,
    start_step,
    succeed_step,
    succeeded,
)
from protocol.service_side import started_service, update

from durable_trio import DurableContext, Duration, durable_execution
from durable_trio._protocol.operation import (
    ChainedInvokeOptions,
    OperationRecord,
    OperationType,
    OperationUpdate,
)
from durable_trio._protocol.pages import PageLimits, changes_page, fits, state_page
from durable_trio.exceptions import CheckpointError, GetStateError, ValidationError
from durable_trio.local import (
    ExecutionStatus,
    InvalidParameterValue,
    InvocationType,
    LocalSettings,
    Quotas,
    open_local_service,
)

MIB = 1024 * 1024


async def refusal_of(
    update_: OperationUpdate, quotas: Quotas | None = None, *, is_event: bool = False
) -> str:
    """Return why an update is refused; empty if it is not."""
    messages: list[str] = []

    async def body(call: Call) -> Any:
        try:
            await call.checkpoint(update_)
            messages.append("")
        except CheckpointError as error:
            assert not error.is_retryable
            messages.append(str(error))
        return succeeded()

    settings = LocalSettings() if quotas is None else LocalSettings(quotas=quotas)
    async with open_local_service(settings=settings) as service:
        service.register("f", Function(body))
        kind = InvocationType.EVENT if is_event else InvocationType.REQUEST_RESPONSE
        await service.invoke("f", invocation_type=kind)
        await service.until_idle()
    return messages[0]


def chained(payload: str) -> OperationUpdate:
    """Return the START of a chained invoke of nothing."""
    return OperationUpdate("inv", CHAINED, START, payload=payload, options=ChainedInvokeOptions("nobody"))


def ended(payload: str) -> OperationUpdate:
    """Return the end of the execution."""
    return OperationUpdate("execution", OperationType.EXECUTION, SUCCEED, payload=payload)


async def test_payloads_of_operations(autojump_clock: trio.testing.MockClock) -> None:
    """1 MiB for an operation or a chained invoke, counted in bytes; the message names both sizes."""
    for make in (lambda text: succeed_step(payload=text), chained):
        assert await refusal_of(make("x" * MIB)) == ""
        assert f"must be at most {MIB} bytes, not {MIB + 1}" in await refusal_of(make("x" * (MIB + 1)))
        assert await refusal_of(make("é" * (MIB // 2))) == ""
        assert f"not {MIB + 2}" in await refusal_of(make("é" * (MIB // 2 + 1)))
    assert "of STEP operation 'step' must be at most 10 bytes" in await refusal_of(
        succeed_step(payload="x" * 11), Quotas(operation_payload_bytes=10)
    )


async def test_results_of_executions(autojump_clock: trio.testing.MockClock) -> None:
    """6 MiB where the caller waits, 1 MiB where not."""
    assert await refusal_of(ended("x" * 6 * MIB)) == ""
    assert await refusal_of(ended("x" * MIB), is_event=True) == ""
    assert f"must be at most {MIB} bytes" in await refusal_of(ended("x" * (MIB + 1)), is_event=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"operation_payload_bytes": 0}, "operation_payload_bytes must be 1 to 6291456, not 0"),
        ({"synchronous_payload_bytes": 6_291_457}, "synchronous_payload_bytes must be 1 to 6291456"),
        ({"max_operations": 0}, "max_operations must be at least 1, not 0"),
        ({"warn_operations": -1}, "warn_operations must be at least 1, not -1"),
        ({"max_synchronous_seconds": 0}, "max_synchronous_seconds must be 1 to 31622400, not 0"),
    ],
)
def test_quotas_out_of_range(options: dict[str, Any], message: str) -> None:
    """Each mistake is named with its value and what is allowed."""
    with pytest.raises(ValueError, match=message):
        Quotas(**options)


@pytest.mark.parametrize("value", [0, 1001])
def test_page_sizes_out_of_range(value: int) -> None:
    """A page of an answer has 1 to 1000 operations."""
    with pytest.raises(ValidationError, match=f"response_operations must be 1 to 1000, not {value}"):
        LocalSettings(response_operations=value)


async def test_the_number_of_operations(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A checkpoint that would make too many operations is refused whole; from a number on, a warning is logged."""
    refusals: list[str] = []

    async def body(call: Call) -> Any:
        for number in range(4):
            await call.checkpoint(start_step(f"a-{number}"), succeed_step(f"a-{number}"))
        try:
            await call.checkpoint(start_step("b"), start_step("c"))
        except CheckpointError as error:
            refusals.append(str(error))
        await call.checkpoint(start_step("b"))
        await call.checkpoint(succeed_step("b"))
        return succeeded()

    quotas = Quotas(max_operations=5, warn_operations=3)
    async with open_local_service(settings=LocalSettings(quotas=quotas)) as service:
        service.register("f", Function(body))
        with caplog.at_level(logging.WARNING, "durable_trio.local"):
            execution = await service.start_execution("f", "null")
            assert (await service.wait_closed(execution.arn)).status is ExecutionStatus.SUCCEEDED
        assert refusals == ["an execution may have at most 5 operations"]
        assert [record.getMessage() for record in caplog.records] == [
            f"execution {execution.arn} has more than 3 operations"
        ]


async def test_answers_are_read_page_by_page(autojump_clock: trio.testing.MockClock) -> None:
    """What a checkpoint is answered with comes in portions; the rest is read with the new token, in order of change."""
    count = 25
    pages: list[list[str]] = []

    async def body(call: Call) -> Any:
        if call.status("callback-0") is None:
            updates = [start_callback(id_=f"callback-{number}") for number in range(count)]
            await read_all(call, updates)
            ids.extend(call.callback_id(f"callback-{number}") for number in range(count))
            asked.set()
            await answered.wait()
            pages.clear()
            await read_all(call, [])
            assert {call.status(f"callback-{n}") for n in range(count)} == {"SUCCEEDED"}
            return succeeded()
        return PENDING

    async def read_all(call: Call, updates: list[OperationUpdate]) -> None:
        assert call.token is not None
        arn = call.invocation.durable_execution_arn
        response = await call.client.checkpoint(
            durable_execution_arn=arn,
            checkpoint_token=call.token,
            updates=updates,
            client_token=str(len(pages)),
        )
        assert response.checkpoint_token is not None
        call.token = response.checkpoint_token
        operations, marker = list(response.operations), response.next_marker
        pages.append([operation.id for operation in operations])
        while marker:
            page = await call.client.get_state(
                durable_execution_arn=arn, checkpoint_token=call.token, marker=marker, max_items=7
            )
            operations += page.operations
            pages.append([operation.id for operation in page.operations])
            marker = page.next_marker
        call.operations |= {operation.id: operation for operation in operations}

    ids: list[str] = []
    asked, answered = trio.Event(), trio.Event()
    async with open_local_service(settings=LocalSettings(response_operations=10)) as service:
        service.register("f", Function(body))
        execution = await service.start_execution("f", "null")
        await asked.wait()
        assert [len(page) for page in pages] == [10, 7, 7, 1]
        for id_ in reversed(ids):
            await service.callback_succeed(id_, "1")
        answered.set()
        assert (await service.wait_closed(execution.arn)).status is ExecutionStatus.SUCCEEDED
        assert [len(page) for page in pages] == [10, 7, 7, 1]
        assert [id_ for page in pages for id_ in page] == [
            f"callback-{number}" for number in reversed(range(count))
        ]


async def test_big_answers_are_read_page_by_page(autojump_clock: trio.testing.MockClock) -> None:
    """A page has a size in bytes as well."""
    lengths: list[int] = []

    async def body(call: Call) -> Any:
        assert call.token is not None
        arn = call.invocation.durable_execution_arn
        updates = [
            OperationUpdate(f"s-{n}", STEP, SUCCEED, payload='"' + "x" * 100_000 + '"') for n in range(10)
        ]
        response = await call.client.checkpoint(
            durable_execution_arn=arn, checkpoint_token=call.token, updates=updates, client_token="c"
        )
        assert response.checkpoint_token is not None
        lengths.append(len(response.operations))
        marker = response.next_marker
        while marker:
            page = await call.client.get_state(
                durable_execution_arn=arn,
                checkpoint_token=response.checkpoint_token,
                marker=marker,
                max_items=0,
            )
            lengths.append(len(page.operations))
            marker = page.next_marker
        with pytest.raises(GetStateError, match="Marker is not one"):
            await call.client.get_state(
                durable_execution_arn=arn,
                checkpoint_token=response.checkpoint_token,
                marker="nonsense",
                max_items=0,
            )
        return succeeded()

    async with open_local_service(settings=LocalSettings(page_bytes=350_000)) as service:
        service.register("f", Function(body))
        assert (await service.invoke("f")).function_error is None
    assert lengths == [3, 3, 3, 1]


@given(
    batches=st.lists(st.lists(st.integers(0, 15), min_size=1, max_size=10), min_size=1, max_size=8),
    size=st.integers(1, 5),
)
def test_pages_of_changes_leave_nothing_out(batches: list[list[int]], size: int) -> None:
    """However operations change between two pages, the last state of each that changed has been read at the end."""
    service, page_limits = started_service(), PageLimits(size)
    first_change, marker = service.record.change_number, None
    seen: dict[str, OperationRecord] = {}

    def read(marker: str | None) -> str:
        page = (
            changes_page(service.record, first_change, page_limits)
            if marker is None
            else state_page(service.record, marker, page_limits)
        )
        assert len(page.operations) <= size
        seen.update((operation.id, operation) for operation in page.operations)
        return page.next_marker

    for batch in batches:
        for number in batch:
            id_ = f"s-{number}"
            if service.record.operation(id_) is None:
                service.checkpoint(update(STEP, START, id_))
            elif service.status(id_) == "STARTED":
                service.checkpoint(update(STEP, SUCCEED, id_, payload="1"))
        marker = read(marker)
        if not marker:
            break
    while marker:
        marker = read(marker)

    changed = service.record.changed_after(first_change)
    assert seen == {entry.operation.id: entry.operation for entry in changed}


@given(payload=st.text(max_size=200), count=st.integers(0, 10), most=st.integers(1, 30_000))
def test_what_certainly_fits_does(payload: str, count: int, most: int) -> None:
    """The quick look never says that operations fit when they do not."""
    service = started_service(
        *(update(STEP, SUCCEED, f"s-{number}", payload=payload) for number in range(count))
    )
    operations = [entry.operation for entry in service.record.entries()]
    page_limits = PageLimits(100, most)

    if fits(operations, page_limits):
        assert changes_page(service.record, 0, page_limits).next_marker == ""


async def test_starting_is_limited_as_well() -> None:
    """The input of an execution is checked where it is started."""
    settings = LocalSettings(quotas=Quotas(synchronous_payload_bytes=10))
    async with open_local_service(settings=settings) as service:
        service.register("f", Function(returns_at_once))
        with pytest.raises(InvalidParameterValue, match="input_payload must be at most 10 bytes, not 12"):
            await service.start_execution("f", '"0123456789"')


@pytest.mark.parametrize("size", [1, 7])
async def test_a_handler_reads_page_by_page(size: int, autojump_clock: trio.testing.MockClock) -> None:
    """A real handler gets along with pages of any size, of its state and of the answers to its checkpoints."""

    async def item(ctx: DurableContext, number: int, index: int) -> int:
        value = await ctx.step(lambda: number, name="first")
        await ctx.wait(Duration.minutes(1 + index % 3))
        return await ctx.step(lambda: value * 2, name="second")

    @durable_execution
    async def handler(event: None, ctx: DurableContext) -> int:
        return sum((await ctx.map(range(20), item)).results())

    settings = LocalSettings(page_operations=size, response_operations=size)
    async with open_local_service(settings=settings) as service:
        service.register("f", handler.invoke)
        assert (await service.invoke("f", "null")).payload == "380"
