"""Serializers that fail, for now or for good, and classes that changed between deployments."""

from __future__ import annotations

from typing import Any

import pytest
from support.runs import run
from trio.testing import MockClock

from durable_trio import (
    DurableContext,
    Duration,
    RetryableSerDesError,
    SerDesError,
    custom_serdes,
    durable_error,
    durable_errors,
    durable_execution,
    no_retry,
)
from durable_trio._protocol import limits


class Disk:
    """A serializer that stores numbers, and fails when it is told to."""

    def __init__(self, failures: list[Exception | None]) -> None:
        self.failures = failures
        self.serdes = custom_serdes(str, self._read)

    def _read(self, text: str) -> int:
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        return int(text)


async def one(*_: Any) -> int:
    """Return 1."""
    return 1


async def in_step(ctx: DurableContext, disk: Disk) -> int:
    """Read a step's value."""
    return await ctx.step(one, serdes=disk.serdes)


async def in_item(ctx: DurableContext, disk: Disk) -> int:
    """Read an item's value."""
    body: Any = one
    return int((await ctx.map([1], body, item_serdes=disk.serdes)).results()[0])


async def in_child(ctx: DurableContext, disk: Disk) -> int:
    """Read a child's value."""
    body: Any = one
    return int(await ctx.run_in_child_context(body, serdes=disk.serdes))


@pytest.mark.parametrize("place", [in_step, in_item, in_child], ids=lambda place: place.__name__)
async def test_passing_trouble_on_replay_cannot_be_caught(place: Any, autojump_clock: MockClock) -> None:
    """The first run saw a value; a replay that sees an error would take another way, so the invocation is retried."""
    disk = Disk([None, RetryableSerDesError("the disk is busy"), RetryableSerDesError("the disk is busy")])

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            value = await place(ctx, disk)
        except Exception:  # noqa: BLE001  # the mistake under test
            return "another way"
        await ctx.wait(Duration.seconds(1))
        return f"got {value}"

    done = await run(handler)
    assert done.result == "got 1"
    assert done.invocations == ["PENDING", "raised", "raised", "SUCCEEDED"]


async def test_lasting_trouble_fails_the_operation_with_the_reason(autojump_clock: MockClock) -> None:
    """What the serializer raised is in the message; the caller of the execution sees ``SerDesError``."""
    disk = Disk([None, KeyError("gone")])

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        value = await in_step(ctx, disk)
        await ctx.wait(Duration.seconds(1))
        return value

    done = await run(handler)
    assert done.error.type == SerDesError.__name__
    assert "cannot deserialize '1': KeyError('gone')" in done.error.message


async def test_a_registered_class_that_changed_fails_with_what_to_do(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its constructor no longer takes what a running execution has recorded: no ``TypeError`` from nowhere."""
    monkeypatch.setattr(durable_errors, "_registry", {})

    class Refused(Exception):
        """As it was when the execution began."""

    durable_error(Refused)

    async def refuse() -> None:
        raise Refused("no", 7)

    def deploy() -> None:
        class Refused(Exception):
            """As it is now."""

            def __init__(self, *, reason: str) -> None:
                super().__init__(reason)

        Refused.__qualname__ = "test_a_registered_class.<locals>.Refused"
        monkeypatch.setattr(durable_errors, "_registry", {})
        durable_error(Refused)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.step(refuse, retry=no_retry())
        except Refused:
            deploy()
            await ctx.wait(Duration.seconds(1))

    done = await run(handler)
    assert done.error.type == "ConfigurationError"
    assert "Refused cannot be made again from what was recorded, ('no', 7): TypeError" in done.error.message
    assert "deploy the change as a new version" in done.error.message


async def test_stacks_and_messages_are_cut_to_what_the_service_takes(autojump_clock: MockClock) -> None:
    """The innermost frames of the user's own code are kept; a message too long ends in a mark."""

    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        raise ValueError("x" * 3_000_000 if levels == 0 else "")

    async def recursing() -> None:
        deep(100)

    async def failing() -> None:
        await inner()

    async def inner() -> None:
        raise ValueError("short")

    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        for body in (recursing, failing):
            try:
                await ctx.step(body, retry=no_retry())
            except Exception as error:  # noqa: BLE001  # looked at below
                seen.append(error)

    await run(handler)
    long, short = seen
    assert long.message.endswith(" ... [cut]")
    assert limits.MAX_ERROR_BYTES // 2 < len(long.message) <= limits.MAX_ERROR_BYTES
    assert [line.rpartition(" in ")[2] for line in short.stack] == ["failing", "inner"]
