"""Sizes at limit - 1, limit and limit + 1: requests, results and errors as the SDK sends them.

What is too big for one way is sent another way, or fails with an error that says so; the service never has to refuse it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.runs import Run, run

from durable_trio import (
    DurableContext,
    Duration,
    StepError,
    durable_execution,
    no_retry,
)
from durable_trio._protocol import limits
from durable_trio._protocol.batching import MAX_UPDATE_BYTES
from durable_trio._protocol.operation import ContextDetails, OperationAction, OperationType
from durable_trio._protocol.wire import encode_error, encode_update

if TYPE_CHECKING:
    from trio.testing import MockClock


# --- requests --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "calls"), [(249, [249]), (250, [250]), (251, [250, 1])])
async def test_updates_of_a_request(count: int, calls: list[int], autojump_clock: MockClock) -> None:
    """What is asked for at once goes in one request of at most 250 updates."""

    @durable_execution
    async def handler(event: int, ctx: DurableContext) -> None:
        await ctx.all([ctx.wait(Duration.hours(1)) for _ in range(event)])

    finished = await run(handler, count)
    assert finished.status == "SUCCEEDED"
    assert [len(call.updates) for call in finished.calls if call.updates] == calls


def request_bytes(call: Any) -> int:
    """Return the size of a checkpoint request with the longest token and client token there may be."""
    members = {
        "CheckpointToken": "t" * limits.MAX_TOKEN_LENGTH,
        "Updates": [encode_update(update) for update in call.updates],
        "ClientToken": "c" * 64,
    }
    return len(json.dumps(members).encode())


async def run_step_of(excess: int) -> Run:
    """Run a step whose SUCCEED is *excess* bytes larger than the largest update that can be sent."""

    async def big(size: int) -> str:
        return "x" * size

    @durable_execution
    async def handler(event: int, ctx: DurableContext) -> str:
        try:
            return str(len(await ctx.step(big, event)))
        except StepError as error:
            return str(error.error_type)

    empty = await run(handler, 0)
    (succeed,) = [u for call in empty.calls for u in call.updates if u.action is OperationAction.SUCCEED]
    encoded_bytes = len(json.dumps(encode_update(succeed))) + len(", ")
    return await run(handler, MAX_UPDATE_BYTES - encoded_bytes + excess)


@pytest.mark.parametrize("excess", [-1, 0])
async def test_the_largest_update_fills_a_request(excess: int, autojump_clock: MockClock) -> None:
    """A request has at most 768,000 bytes, and the largest update that is let through makes full use of them."""
    finished = await run_step_of(excess)
    assert int(finished.result) > 760_000
    assert max(map(request_bytes, finished.calls)) in range(768_000 - 4 + excess, 768_000 + 1)


async def test_an_update_too_big_for_a_request_fails_its_step(autojump_clock: MockClock) -> None:
    """One byte more, and the step fails with a clear error, before anything of that size is sent."""
    finished = await run_step_of(1)
    assert finished.result == "SizeLimitError"
    assert max(map(request_bytes, finished.calls)) < 10_000


async def test_small_updates_share_a_request_up_to_its_size(autojump_clock: MockClock) -> None:
    """Ten results of 200,000 bytes go in requests that hold at most three of them."""

    async def big() -> str:
        return "x" * 200_000

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> int:
        return len(await ctx.all([ctx.step(big) for _ in range(10)]))

    finished = await run(handler)
    assert finished.result == 10
    assert max(map(request_bytes, finished.calls)) <= 768_000
    assert max(sum(u.action == "SUCCEED" for u in call.updates) for call in finished.calls) == 3


# --- results ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "replays"), [(262_143, False), (262_144, False), (262_145, True)])
@pytest.mark.parametrize("width", [1, 2], ids=["ascii", "half accents"])
async def test_result_of_a_context(size: int, replays: bool, width: int, autojump_clock: MockClock) -> None:
    """A context's result is stored up to 262,144 bytes of its text; beyond, its children are replayed."""
    accents = 0 if width == 1 else 50_000
    finished = await run_body_returning("é" * accents + "x" * (size - 2 - 2 * accents))

    details = finished.named("body").details
    assert isinstance(details, ContextDetails)
    assert details.replay_children is replays
    assert len((details.result or "").encode()) == (0 if replays else size)


@pytest.mark.parametrize("character", ["é", "\x01"])
async def test_result_of_a_context_that_fits_no_request(character: str, autojump_clock: MockClock) -> None:
    """A result below the limit that takes more than a request when it is encoded is replayed, too."""
    finished = await run_body_returning(character * 130_000)
    details = finished.named("body").details
    assert isinstance(details, ContextDetails)
    assert details.replay_children


async def run_body_returning(value: str) -> Run:
    """Run a child context with this result, and replay it."""
    bodies: list[int] = []

    async def body(ctx: DurableContext) -> str:
        bodies.append(1)
        return value

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> bool:
        first = await ctx.run_in_child_context(body)
        await ctx.wait(Duration.hours(1))
        return first == value

    finished = await run(handler)
    details = finished.named("body").details
    assert isinstance(details, ContextDetails)
    assert len(bodies) == (2 if details.replay_children else 1)
    assert finished.result is True
    return finished


@pytest.mark.parametrize(("excess", "replays"), [(-1, False), (0, False), (1, True)])
async def test_record_of_a_batch(excess: int, replays: bool, autojump_clock: MockClock) -> None:
    """A map's record is stored up to 262,144 bytes; beyond, only its verdict is."""

    async def item(ctx: DurableContext, size: int, index: int) -> str:
        return "x" * size

    @durable_execution
    async def handler(event: int, ctx: DurableContext) -> int:
        batch = await ctx.map([event], item, name="batch")
        await ctx.wait(Duration.hours(1))
        return sum(map(len, batch.results()))

    def details_of(finished: Run) -> ContextDetails:
        details = finished.named("batch").details
        assert isinstance(details, ContextDetails)
        return details

    empty = len((details_of(await run(handler, 0)).result or "").encode())
    size = 262_144 - empty + excess
    finished = await run(handler, size)
    assert details_of(finished).replay_children is replays
    assert finished.result == size


@pytest.mark.parametrize(("excess", "checkpointed"), [(-1, False), (0, False), (1, True)])
@pytest.mark.parametrize("character", ["x", '"'])
async def test_result_of_an_execution(
    excess: int, checkpointed: bool, character: str, autojump_clock: MockClock
) -> None:
    """A response of 6 MiB less 50 bytes, as encoded, is returned; a longer one is checkpointed first."""
    # The result is a JSON text of its own: a quote takes two characters there, and four in the response.
    width = len(json.dumps(json.dumps(character))) - len(json.dumps(json.dumps("")))
    room = limits.MAX_RESPONSE_BYTES + excess - len(json.dumps({"Status": "SUCCEEDED", "Result": '""'}))
    value = character * (room // width) + "x" * (room % width)

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> str:
        return value

    finished = await run(handler)
    updates = [update for call in finished.calls for update in call.updates]
    assert [update.type for update in updates] == [OperationType.EXECUTION] * checkpointed
    assert (finished.answers[-1]["Result"] == "") is checkpointed
    assert finished.result == value


@pytest.mark.parametrize(("excess", "status"), [(-1, "SUCCEEDED"), (0, "SUCCEEDED"), (1, "FAILED")])
async def test_largest_result_of_an_execution(excess: int, status: str, autojump_clock: MockClock) -> None:
    """A result of 6 MiB can be checkpointed; with one byte more the execution fails, and says why."""

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> str:
        return "x" * (6 * 1_048_576 - 2 + excess)

    finished = await run(handler)
    assert finished.status == status
    if status == "FAILED":
        assert finished.error.type == "SizeLimitError"


# --- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("excess", "is_cut"), [(-1, False), (0, False), (1, True)])
async def test_size_of_an_error(excess: int, is_cut: bool, autojump_clock: MockClock) -> None:
    """An error is recorded whole up to 32,768 bytes; beyond, its stack goes first."""

    async def fail(size: int) -> None:
        raise ValueError("m" * size)

    @durable_execution
    async def handler(event: int, ctx: DurableContext) -> int:
        try:
            await ctx.step(fail, event, retry=no_retry())
        except StepError as error:
            return len(error.message)
        return -1

    async def recorded(size: int) -> Any:
        finished = await run(handler, size)
        assert finished.result == size
        (update,) = [u for call in finished.calls for u in call.updates if u.action is OperationAction.FAIL]
        assert update.error is not None
        return update.error

    def bytes_of(error: Any) -> int:
        return len(json.dumps(encode_error(error)))

    size = 32_768 - bytes_of(await recorded(0)) + excess
    error = await recorded(size)
    assert bytes_of(error) <= 32_768
    assert (not error.stack) is is_cut
    if not is_cut:
        assert bytes_of(error) == 32_768 + excess


async def test_a_message_too_big_for_an_error_is_cut(autojump_clock: MockClock) -> None:
    """A message that is too big by itself is cut, and says so."""

    @durable_execution
    async def handler(event: object, ctx: DurableContext) -> None:
        raise ValueError("é" * 100_000)

    finished = await run(handler)
    assert finished.error.message.endswith("[cut]")
    assert len(json.dumps(encode_error(finished.error))) <= 32_768
