from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import boto3
import pytest
import trio
import trio.testing
from botocore.exceptions import ClientError

from durable_trio import (
    ConfigurationError,
    DurableContext,
    Duration,
    ValidationError,
    durable_execution,
    fixed_delay,
    no_retry,
)
from durable_trio.local import LocalService, open_local_service
from durable_trio.local.http import serve_http
from durable_trio.testing import CloudRunner, CloudTimeoutError, DurableRunner

tries: list[int] = []


def charge(order: str) -> dict[str, str]:
    """Fail the first time."""
    tries.append(1)
    if len(tries) == 1:
        raise ConnectionError("no answer")
    return {"receipt": order}


def ask(callback_id: str) -> None:
    """Ask somebody."""


async def pack(ctx: DurableContext, item: str, index: int) -> str:
    """Pack one item."""
    return await ctx.step(item.upper, name="pack")


@durable_execution
async def orders(event: Any, ctx: DurableContext) -> Any:
    """Use what leaves something in a history."""
    receipt = await ctx.step(charge, event["order"], retry=fixed_delay(Duration.seconds(1), max_attempts=2))
    packed = await ctx.map(["pen", "ink"], pack, name="packing")
    await ctx.wait(Duration.seconds(1), name="cool-off")
    approval = await ctx.wait_for_callback(ask, name="approval")
    return [receipt, packed.results(), approval]


@durable_execution
async def waits_for_ever(event: Any, ctx: DurableContext) -> None:
    """Wait for what never comes."""
    await ctx.wait(Duration.days(300))


@durable_execution
async def fails(event: Any, ctx: DurableContext) -> None:
    """Fail at once."""
    tries.clear()
    await ctx.step(charge, "x", retry=no_retry())


@asynccontextmanager
async def deployed(**handlers: Any) -> AsyncIterator[tuple[str, LocalService]]:
    """Deploy handlers: a local service of its own behind HTTP, reached by nothing but boto3."""
    tries.clear()
    async with open_local_service() as service, trio.open_nursery() as nursery:
        for name, handler in handlers.items():
            service.register(name, handler.invoke)
        yield await nursery.start(partial(serve_http, service, port=0)), service
        nursery.cancel_scope.cancel()


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)


async def test_the_same_result_as_of_a_local_run() -> None:
    """Everything that the history tells is in the result, and it equals a local run's, record for record."""
    async with deployed(orders=orders) as (url, _):
        runner = CloudRunner("orders:$LATEST", handler=orders, endpoint_url=url)
        execution = await runner.start({"order": "o-1"}, name="first")
        await execution.callback("approval").succeed("yes")
        run = await execution.result()

    assert run.result == [{"receipt": "o-1"}, ["PEN", "INK"], "yes"]
    run.assert_attempts("charge", 2)
    run.assert_operations(["charge", "packing", "cool-off", "approval"])
    assert run["packing/map-item-1/pack"].result == "INK"
    assert run["approval"].result == "yes"
    assert run.invocations[-1].status == "SUCCEEDED"
    assert {invocation.status for invocation in run.invocations[:-1]} == {"PENDING"}
    assert run.duration_seconds is not None
    assert run.duration_seconds >= 2
    assert str(run).startswith("orders SUCCEEDED")

    tries.clear()
    async with DurableRunner(orders) as local:
        local.callback("approval").succeed("yes")
        assert await local.run({"order": "o-1"}) == run


async def test_starting_again_by_name_is_the_same_execution() -> None:
    """A name makes a start idempotent, as everywhere."""
    async with deployed(orders=orders) as (url, _):
        runner = CloudRunner("orders:$LATEST", endpoint_url=url)
        first = await runner.start({"order": "o-1"}, name="once")
        assert (await runner.start({"order": "o-1"}, name="once")).arn == first.arn
        assert (await runner.start({"order": "o-1"})).arn != first.arn


async def test_a_failed_and_a_stopped_execution_are_results() -> None:
    """The error is the service's, with its type and message."""
    async with deployed(fails=fails, forever=waits_for_ever) as (url, _):
        run = await CloudRunner("fails:$LATEST", endpoint_url=url).run()
        assert run.assert_failed("ConnectionError").message == "no answer"

        execution = await CloudRunner("forever:$LATEST", endpoint_url=url).start()
        await execution.stop("enough")
        run = await execution.result()
        assert run.status == "STOPPED"
        assert run.error is not None
        assert run.error.message == "enough"


async def test_what_takes_too_long_is_stopped() -> None:
    """A test that gives up leaves nothing running, and shows how far it came."""
    async with deployed(forever=waits_for_ever) as (url, service):
        runner = CloudRunner("forever:$LATEST", endpoint_url=url, timeout=Duration.seconds(2))
        execution = await runner.start()
        with pytest.raises(CloudTimeoutError, match="the execution did not end in 2 s") as raised:
            await execution.result()

        assert raised.value.result.status == "STOPPED"
        assert (await service.describe(execution.arn)).status == "STOPPED"


async def test_a_callback_that_is_not_there() -> None:
    """Waiting for one ends with the execution, or with the test's patience."""
    async with deployed(fails=fails, forever=waits_for_ever) as (url, _):
        execution = await CloudRunner("fails:$LATEST", endpoint_url=url).start()
        with pytest.raises(
            AssertionError, match="no callback 'approval' was created before the execution ended"
        ):
            await execution.callback("approval").created()

        runner = CloudRunner("forever:$LATEST", endpoint_url=url, timeout=timedelta(seconds=1))
        with pytest.raises(CloudTimeoutError, match="no callback 'approval' was created in 1 s"):
            await (await runner.start()).callback("approval").created()


async def test_other_answers_and_their_refusal() -> None:
    """Heartbeats and failures go the same way; what AWS refuses is boto3's error."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        callback = await ctx.create_callback(name="work", heartbeat_timeout=Duration.minutes(1))
        return await callback.result()

    async with deployed(work=handler) as (url, _):
        client = boto3.client("lambda", endpoint_url=url)
        execution = await CloudRunner("work:$LATEST", client=client).start()
        work = execution.callback()
        await work.heartbeat()
        await work.fail(PermissionError("not by me"))
        run = await execution.result()
        assert run.assert_failed("PermissionError").message == "not by me"
        with pytest.raises(ClientError, match="CallbackTimeoutException"):
            await work.succeed({"too": "late"})


async def test_real_time_is_needed(autojump_clock: trio.testing.MockClock) -> None:
    """Under a virtual clock the runner would ask for ever; it says so instead."""
    with pytest.raises(ConfigurationError, match="runs in real time"):
        await CloudRunner("orders:$LATEST", endpoint_url="http://127.0.0.1:9").start()


def test_wrong_arguments_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is asked of AWS."""
    with pytest.raises(ValidationError, match="timeout must be above 0"):
        CloudRunner("orders", timeout=Duration.seconds(0))
    with pytest.raises(ValidationError, match="give either it, or region_name"):
        CloudRunner("orders", client=object(), region_name="us-east-1")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(ConfigurationError, match="no AWS region"):
        CloudRunner("orders")
