"""The determinism sentinel: what it finds, and what it leaves alone."""

from __future__ import annotations

import datetime as dt
import os
import random
import secrets
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from time import time as now_seconds
from typing import Any
from uuid import uuid4

import pytest
import trio

from durable_trio import ConfigurationError, DurableContext, Duration, ValidationError, durable_execution
from durable_trio.testing import sentinel as sentinel_module
from durable_trio.testing._driver import driven
from durable_trio.testing.sentinel import (
    DeterminismSentinel,
    DeterminismWarning,
    NonDeterminismError,
)
from durable_trio.testing.sentinel_hooks import Hook, ProfileHook


@pytest.fixture(autouse=True, params=sorted({ProfileHook, Hook}, key=repr))
def hook(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Try each way of seeing calls that this version of Python has."""
    monkeypatch.setattr(sentinel_module, "Hook", request.param)


async def watched(handler: Any, *, allow: tuple[str, ...] = ()) -> DeterminismSentinel:
    """Run *handler* to its end under a sentinel."""
    sentinel = DeterminismSentinel(allow=allow)
    async with driven(handler, interposers=[sentinel.interpose]) as driver:
        started = await driver.service.start_execution("function-under-test", "{}", name="run")
        ended = await driver.service.wait_closed(started.arn)
        await driver.wait_rested()
    assert ended.status == "SUCCEEDED", ended.error
    return sentinel


def in_handler(call: Callable[[], Any]) -> Any:
    """Return a handler that calls *call* in its body."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        call()
        await ctx.step(plain, "x")

    return handler


def plain(text: str) -> str:
    """Be a step."""
    return text


@dataclass
class WithId:
    """A value that gets an id from a default."""

    id: uuid.UUID = field(default_factory=uuid.uuid4)


OWN = random.Random(7)

FOUND: list[tuple[str, Callable[[], Any]]] = [
    ("time.time", lambda: time.time()),
    ("time.time", lambda: now_seconds()),
    ("time.time_ns", lambda: time.time_ns()),
    ("time.monotonic", lambda: time.monotonic()),
    ("datetime.datetime.now", lambda: dt.datetime.now(dt.UTC)),
    ("datetime.datetime.today", lambda: datetime.today()),
    ("datetime.date.today", lambda: date.today()),
    ("uuid.uuid4", lambda: uuid.uuid4()),
    ("uuid.uuid4", lambda: uuid4()),
    ("uuid.uuid4", lambda: WithId()),
    ("uuid.uuid1", lambda: uuid.uuid1()),
    ("os.urandom", lambda: os.urandom(4)),
    ("random.random", lambda: random.random()),
    ("random.randint", lambda: random.randint(1, 6)),
    ("random.choice", lambda: random.choice("abc")),
    ("random.shuffle", lambda: random.shuffle([1, 2])),
    ("random.SystemRandom.random", lambda: random.SystemRandom().random()),
    ("random.SystemRandom.choice", lambda: secrets.choice("abc")),
    ("secrets.token_hex", lambda: secrets.token_hex()),
    ("trio.current_time", lambda: trio.current_time()),
]


@pytest.mark.parametrize(("name", "call"), FOUND, ids=[f"{name}-{i}" for i, (name, _) in enumerate(FOUND)])
async def test_a_call_in_a_handler_is_found(name: str, call: Callable[[], Any]) -> None:
    """However it was imported; with the file, the line, and the remedy."""
    sentinel = await watched(in_handler(call))

    assert [each.name for each in sentinel.calls] == [name]
    (found,) = sentinel.calls
    assert found.line.filename == __file__
    assert found.line.number == call.__code__.co_firstlineno
    assert "step" in found.remedy
    with pytest.raises(NonDeterminismError, match=name.replace(".", r"\.")) as caught:
        sentinel.check()
    assert caught.value.calls == (found,)


def test_every_suspect_has_a_test() -> None:
    """The table above covers every kind of call."""
    kinds = {name.partition(".")[0] for name, _ in FOUND}
    assert kinds == {"time", "datetime", "uuid", "os", "random", "secrets", "trio"}


async def test_calls_in_every_context_are_found(autojump_clock: trio.testing.MockClock) -> None:
    """In child contexts, items, virtual contexts, blocks, after waits, and in functions that they call."""

    async def child(ctx: DurableContext) -> None:
        await ctx.wait(Duration.seconds(1))
        random.random()

    async def item(ctx: DurableContext, value: int, index: int) -> None:
        uuid.uuid4()

    async def virtual(ctx: DurableContext) -> None:
        deeper()

    def deeper() -> None:
        os.urandom(1)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.wait(Duration.seconds(1))
        await ctx.run_in_child_context(child)
        await ctx.map([1, 2], item)
        await ctx.run_in_child_context(virtual, virtual=True)
        async with ctx.move_on_after(Duration.hours(1)):
            await ctx.wait(Duration.seconds(1))
            time.monotonic()
        async with ctx.open_nursery() as nursery:
            nursery.start_soon(actor)
        time.time()

    async def actor(ctx: DurableContext) -> None:
        time.time_ns()

    sentinel = await watched(handler)

    assert [call.name for call in sentinel.calls] == [
        "random.random",
        "uuid.uuid4",
        "os.urandom",
        "time.monotonic",
        "time.time_ns",
        "time.time",
    ]


async def test_nothing_else_is_found(autojump_clock: trio.testing.MockClock) -> None:
    """Steps, threads, strategies, generators with a seed, replay-safe values and libraries are left alone."""

    def in_thread() -> float:
        return time.time() + random.random()

    async def in_step() -> str:
        await trio.lowlevel.checkpoint()
        return str(uuid.uuid4())

    async def flaky() -> str:
        if random.random() < 2 and len(tries) < 2:
            tries.append(1)
            raise ValueError("again")
        return "ok"

    tries: list[int] = []

    def strategy(error: Exception, attempt: int) -> Duration:
        return Duration.seconds(random.randint(1, 2))

    class Stamped:
        """A serializer that stamps what it writes."""

        def serialize(self, value: Any, ctx: Any) -> str:
            return f"{value} {time.time()}"

        def deserialize(self, text: str, ctx: Any) -> Any:
            return text.partition(" ")[0]

    async def background() -> None:
        time.monotonic()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(in_thread)
        await ctx.step(in_step)
        await ctx.step(flaky, retry=strategy)
        await ctx.step(plain, "x", serdes=Stamped())
        ctx.random().randint(1, 6)
        ctx.uuid()
        ctx.now()
        OWN.random()
        OWN.choice("abc")
        uuid.uuid5(uuid.NAMESPACE_DNS, "x")
        datetime.fromtimestamp(0, dt.UTC)
        time.perf_counter()
        ctx.logger.info("a line with the time in it")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(background)

    sentinel = await watched(handler)

    assert sentinel.calls == []
    sentinel.check()


async def test_threads_of_the_users_own_are_left_alone() -> None:
    """What a plain worker thread does is not the body of a context."""

    def in_thread() -> float:
        return time.time() + random.random()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await trio.to_thread.run_sync(in_thread)

    assert (await watched(handler)).calls == []


async def test_calls_outside_of_watched_invocations_are_not_seen() -> None:
    """Neither those of the test, nor those of other tasks, nor those after the block; and the hook is off again."""
    sentinel = DeterminismSentinel()

    async def other() -> None:
        for _ in range(3):
            time.time()
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        with sentinel.watching():
            time.time()
            await trio.lowlevel.checkpoint()
            time.time()
    time.time()

    assert sentinel.calls == []
    assert sys.getprofile() is None


async def test_a_line_is_reported_once(autojump_clock: trio.testing.MockClock) -> None:
    """However often it runs, over however many invocations."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        for _ in range(3):
            time.time()
            await ctx.wait(Duration.seconds(1))

    assert len((await watched(handler)).calls) == 1


async def test_allowed_calls_pass() -> None:
    """``allow`` names calls that are let pass; an unknown name is refused."""
    sentinel = await watched(in_handler(time.time), allow=("time.time",))
    assert sentinel.calls == []

    with pytest.raises(
        ValidationError, match=r"allow must hold names of calls such as 'time.time', not time\.clock"
    ):
        DeterminismSentinel(allow=["time.clock"])


async def test_findings_can_be_warnings() -> None:
    """A warning is issued at the line of the call."""
    sentinel = await watched(in_handler(lambda: time.time()))

    with pytest.warns(
        DeterminismWarning, match=r"time\.time\(\) gives another value on every replay"
    ) as caught:
        sentinel.warn()
    assert caught[0].filename == __file__


def test_only_tasks_are_watched() -> None:
    """Outside of a Trio run there is nothing to watch."""
    with pytest.raises(RuntimeError), DeterminismSentinel().watching():
        pass


async def answer(invocation: Any, /) -> str:
    """Be the rest of an invocation."""
    return "answer"


async def stays_blind() -> None:
    """Check that a sentinel that cannot have its hook refuses to watch; a run goes on unwatched, and that is said."""
    anything: Any = None
    with pytest.raises(ConfigurationError, match="another profiler has it"), DeterminismSentinel().watching():
        pass
    sentinel = DeterminismSentinel()
    assert await sentinel.interpose(anything, answer) == "answer"
    with pytest.warns(DeterminismWarning, match="another profiler has it"):
        sentinel.warn()
    with pytest.raises(ConfigurationError, match="another profiler has it"):
        sentinel.check()


async def test_another_profiler_is_not_disturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a profiler has ``sys.setprofile``, the sentinel leaves it there."""
    monkeypatch.setattr(sentinel_module, "Hook", ProfileHook)

    def profiler(frame: Any, event: str, arg: Any) -> None:
        """See nothing."""

    sys.setprofile(profiler)
    try:
        await stays_blind()
        assert sys.getprofile() is profiler
    finally:
        sys.setprofile(None)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in Python 3.12")
async def test_other_monitors_are_not_disturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where other tools have every place of ``sys.monitoring``, they keep it; a sentinel gives its own back."""
    monkeypatch.setattr(sentinel_module, "Hook", Hook)
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]  # not before 3.12
    with DeterminismSentinel().watching(), DeterminismSentinel().watching():
        assert [monitoring.get_tool(number) is None for number in (3, 4)] == [True, False]
    for number in (3, 4):
        monitoring.use_tool_id(number, "another tool")
    try:
        await stays_blind()
    finally:
        for number in (3, 4):
            monitoring.free_tool_id(number)
