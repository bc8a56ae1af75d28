from __future__ import annotations

from typing import Any

import pytest
import trio.testing

from durable_trio import (
    CheckpointError,
    DurableContext,
    Duration,
    InvalidTokenError,
    OperationStatus,
    ThrottlingError,
    ValidationError,
    durable_execution,
    fixed_delay,
    no_retry,
)
from durable_trio._protocol.operation import OperationAction, OperationType, OperationUpdate
from durable_trio.clients import ServiceClient
from durable_trio.testing import FakeServiceClient

charged: list[Any] = []


def charge(order: str) -> str:
    """Note the effect."""
    charged.append(order)
    return f"receipt for {order}"


@durable_execution
async def orders(event: Any, ctx: DurableContext) -> Any:
    """Use one operation of each kind."""
    receipt = await ctx.step(charge, event["order"], name="charge", retry=no_retry())
    await ctx.wait(Duration.hours(1), name="cool-off")
    callback = await ctx.create_callback(name="approval")
    approved = await callback.result()
    price = await ctx.invoke("price", {}, name="price")
    return [receipt, approved, price]


@pytest.fixture(autouse=True)
def _nothing_charged() -> None:
    charged.clear()


def test_one_invocation_and_what_it_asked_for() -> None:
    """The first invocation runs the step and suspends at the wait; the client has seen every update."""
    client = FakeServiceClient({"order": "o-1"})

    assert client.invoke_sync(orders) == {"Status": "PENDING"}

    assert charged == ["o-1"]
    (start, succeed) = client.assert_recorded("charge", "START", "SUCCEED")
    assert (start.payload, succeed.payload) == (None, '"receipt for o-1"')
    client.assert_recorded("cool-off", OperationAction.START)
    assert [record.status for record in client.operations] == ["SUCCEEDED", "STARTED"]
    with pytest.raises(AssertionError, match="expected RETRY for 'charge'; sent:\n  charge: START"):
        client.assert_recorded("charge", "RETRY")
    assert repr(client).startswith("<FakeServiceClient 2 operations")


def test_what_was_recorded_before_is_replayed() -> None:
    """Operations of every kind are given in program order; nothing of them runs again."""
    client = FakeServiceClient({"order": "o-1"})
    client.given_step("charge", result="an old receipt")
    client.given_wait("cool-off")
    client.given_callback("approval", payload="yes")
    client.given_invoke("price", result=42)

    answer = client.invoke_sync(orders)

    assert answer == {"Status": "SUCCEEDED", "Result": '["an old receipt","yes",42]'}
    assert charged == []
    assert client.updates == []


def test_what_goes_on_or_has_failed_can_be_given() -> None:
    """A wait that runs parks, and a step's error is raised as it was recorded."""
    waiting = FakeServiceClient({"order": "o-1"})
    waiting.given_step("charge", result="receipt")
    waiting.given_wait("cool-off", is_over=False)
    assert waiting.invoke_sync(orders) == {"Status": "PENDING"}
    waiting.assert_recorded("cool-off")

    failed = FakeServiceClient({"order": "o-1"})
    failed.given_step("charge", error=ValueError("no money"))
    assert failed.invoke_sync(orders)["Error"]["ErrorMessage"] == "no money"

    unanswered = FakeServiceClient({"order": "o-1"})
    unanswered.given_callback("approval", status=OperationStatus.STARTED, position=3)
    unanswered.given_step("charge", result="receipt", position=1)
    unanswered.given_wait("cool-off", position=2)
    assert unanswered.invoke_sync(orders) == {"Status": "PENDING"}

    unanswered.given_callback("approval", error=PermissionError("not by me"), position=3)
    assert unanswered.invoke_sync(orders)["Error"]["ErrorType"] == "PermissionError"


def test_what_an_invocation_recorded_stays_for_the_next() -> None:
    """The state goes on from invocation to invocation; the test moves what the service would move."""
    client = FakeServiceClient({"order": "o-1"})
    client.invoke_sync(orders)
    client.given_wait("cool-off", position=2)

    assert client.invoke_sync(orders) == {"Status": "PENDING"}

    assert charged == ["o-1"]
    client.assert_recorded("approval", "START")
    client.given_callback("approval", payload="yes", position=3)
    client.given_invoke("price", result=1, position=4)
    assert client.invoke_sync(orders)["Status"] == "SUCCEEDED"


async def test_a_retry_is_recorded_with_its_delay(autojump_clock: trio.testing.MockClock) -> None:
    """Attempts are counted and the next one is dated, as the service would."""

    def fails() -> None:
        raise ConnectionError("no answer")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(fails, retry=fixed_delay(Duration.seconds(30), max_attempts=3))

    client = FakeServiceClient()
    assert await client.invoke(handler) == {"Status": "PENDING"}

    client.assert_recorded("fails", "START", "RETRY")
    (step,) = client.operations
    assert (step.status, getattr(step.details, "attempt", None)) == ("PENDING", 1)
    assert getattr(step.details, "next_attempt_at", 0) - step.started_at == 30_000


async def test_contexts_end_with_their_result(autojump_clock: trio.testing.MockClock) -> None:
    """A child context's result is kept, and replayed in the next invocation."""

    async def child(ctx: DurableContext) -> str:
        return await ctx.step(charge, "o-2", name="charge")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.run_in_child_context(child, name="child")

    client = FakeServiceClient()
    first = await client.invoke(handler)
    assert await client.invoke(handler) == first
    assert charged == ["o-2"]


@pytest.mark.parametrize("error", [ThrottlingError("slow down"), InvalidTokenError("spent")])
async def test_the_service_may_fail(error: Exception, autojump_clock: trio.testing.MockClock) -> None:
    """A scripted failure of a call reaches the runtime as the service's own would: the invocation raises."""
    client = FakeServiceClient({"order": "o-1"})
    client.errors = {1: error}

    with pytest.raises(type(error)):
        await client.invoke(orders)


async def test_a_withheld_token_ends_the_invocation(autojump_clock: trio.testing.MockClock) -> None:
    """An answer without a token means that another invocation has taken over."""
    client = FakeServiceClient({"order": "o-1"})
    client.withheld = {1}

    assert await client.invoke(orders, remaining=Duration.seconds(30)) == {"Status": "PENDING"}
    assert len(client.calls) == 1


async def test_illegal_actions_are_refused(autojump_clock: trio.testing.MockClock) -> None:
    """The fake obeys the table of the protocol; it does not take what the service would not."""
    client = FakeServiceClient()
    assert isinstance(client, ServiceClient)

    with pytest.raises(CheckpointError, match="WAIT CANCEL is not allowed for 'w': it is new"):
        await client.checkpoint(
            durable_execution_arn="arn",
            checkpoint_token="token",
            updates=[OperationUpdate("1", OperationType.WAIT, OperationAction.CANCEL, name="w")],
            client_token="c",
        )
    with pytest.raises(ValidationError, match="position must be a place in the program, from 1"):
        client.given_step(position=0)
