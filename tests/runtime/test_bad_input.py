"""Every bad argument of every public method: refused when the method is called, and nothing else happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from support.runs import run
from trio.testing import MockClock

from durable_trio import (
    CallbackConfig,
    CompletionConfig,
    ConfigurationError,
    DurableContext,
    DurableError,
    Duration,
    StepConfig,
    ValidationError,
    durable_execution,
)


async def body(*_: Any) -> None:
    """Do nothing."""


def plain(*_: Any) -> None:
    """Do nothing."""


def generator(*_: Any) -> Any:
    """Be no function that can run at once."""
    yield 1


async def async_generator(*_: Any) -> Any:
    """Be no function that can run at once."""
    yield 1


class NotSerdes:
    """Has neither method of a serializer."""


@dataclass(frozen=True)
class Bad:
    """A call, the error it gives, and what the message has to name."""

    call: Callable[[Any], Any]
    names: tuple[str, ...]
    error: type[Exception] = ValidationError


def giving(call: Callable[[Any, Any], Any], value: Any) -> Callable[[Any], Any]:
    """Return the call with *value* for its argument."""
    return lambda ctx: call(ctx, value)


def names(call: Callable[[Any, Any], Any]) -> list[Bad]:
    """Return the bad names, for a method that takes one."""
    return [
        Bad(giving(call, name), ("name", "1 to 256 printable ASCII", repr(name)))
        for name in ("", "x" * 257, "é", "tab\t", "line\n", 7, b"bytes", ["list"])
    ]


def functions(argument: str, call: Callable[[Any, Any], Any]) -> list[Bad]:
    """Return what is no function, for a method that takes one."""
    return [
        *(Bad(giving(call, fn), (argument, "callable")) for fn in (None, 7, "text", object())),
        *(
            Bad(giving(call, fn), (argument, "generator"), ConfigurationError)
            for fn in (generator, async_generator)
        ),
    ]


def configs(call: Callable[[Any, Any], Any], wanted: str) -> list[Bad]:
    """Return what is no config object, for a method that takes one."""
    other = CallbackConfig() if wanted != "CallbackConfig" else StepConfig()
    return [
        Bad(giving(call, value), ("config", wanted)) for value in (dict[str, int](), 7, other, StepConfig)
    ]


def serdes(argument: str, call: Callable[[Any, Any], Any]) -> list[Bad]:
    """Return what is no serializer, for a method that takes one."""
    return [
        Bad(giving(call, value), ("serdes", "serialize and deserialize"))
        for value in (NotSerdes(), "json", 7)
    ]


def durations(argument: str, call: Callable[[Any, Any], Any], text: str, *out_of_range: Any) -> list[Bad]:
    """Return what is no duration, and durations *out_of_range*, for a method that takes one."""
    return [
        *(
            Bad(giving(call, value), (argument, "Duration", "timedelta"), TypeError)
            for value in (5, 0.5, "5s")
        ),
        *(Bad(giving(call, value), (argument, text)) for value in out_of_range),
    ]


LONG = Duration.seconds(100_000_000)
CALLBACK_RANGE = "0 to 99,999,999 seconds"

STEP = [
    *functions("fn", lambda ctx, fn: ctx.step(fn)),
    *names(lambda ctx, name: ctx.step(body, name=name)),
    *configs(lambda ctx, config: ctx.step(body, config=config), "StepConfig"),
    *serdes("serdes", lambda ctx, value: ctx.step(body, serdes=value)),
    *serdes("serdes", lambda ctx, value: ctx.step(body, config=StepConfig(serdes=value))),
    *durations(
        "timeout",
        lambda ctx, value: ctx.step(body, timeout=value),
        "more than 0",
        Duration.seconds(0),
        timedelta(-1),
    ),
    Bad(lambda ctx: ctx.step(plain, timeout=Duration.seconds(1)), ("timeout", "plain function", "async")),
    Bad(lambda ctx: ctx.step(body, retry=3), ("retry", "callable", "3")),
    Bad(
        lambda ctx: ctx.step(body, semantics="EXACTLY_ONCE"),
        ("semantics", "AT_MOST_ONCE_PER_RETRY", "EXACTLY_ONCE"),
    ),
    Bad(lambda ctx: ctx.step(body, sub_type=""), ("sub_type", "1 to 32")),
    Bad(lambda ctx: ctx.step(body, sub_type="x" * 33), ("sub_type", "1 to 32")),
    Bad(lambda ctx: ctx.step(body, sub_type="no spaces"), ("sub_type", "no spaces")),
    Bad(lambda ctx: ctx.step(body, retries=3), ("retries",), TypeError),
]
WAIT = [
    *names(lambda ctx, name: ctx.wait(Duration.seconds(1), name=name)),
    *durations(
        "duration",
        lambda ctx, value: ctx.wait(value),
        "1 to 31,622,400 seconds",
        Duration.seconds(0),
        timedelta(seconds=-1),
        Duration.seconds(31_622_401),
    ),
]
CALLBACK = [
    *names(lambda ctx, name: ctx.create_callback(name=name)),
    *configs(lambda ctx, config: ctx.create_callback(config=config), "CallbackConfig"),
    *serdes("serdes", lambda ctx, value: ctx.create_callback(serdes=value)),
    *durations(
        "timeout", lambda ctx, value: ctx.create_callback(timeout=value), CALLBACK_RANGE, LONG, timedelta(-1)
    ),
    *durations(
        "heartbeat_timeout",
        lambda ctx, value: ctx.create_callback(heartbeat_timeout=value),
        CALLBACK_RANGE,
        LONG,
    ),
]
WAIT_FOR_CALLBACK = [
    *functions("submitter", lambda ctx, fn: ctx.wait_for_callback(fn)),
    *names(lambda ctx, name: ctx.wait_for_callback(body, name=name)),
    *configs(lambda ctx, config: ctx.wait_for_callback(body, config=config), "WaitForCallbackConfig"),
    *serdes("serdes", lambda ctx, value: ctx.wait_for_callback(body, serdes=value)),
    *durations(
        "timeout", lambda ctx, value: ctx.wait_for_callback(body, timeout=value), CALLBACK_RANGE, LONG
    ),
    *durations(
        "heartbeat_timeout",
        lambda ctx, value: ctx.wait_for_callback(body, heartbeat_timeout=value),
        CALLBACK_RANGE,
        LONG,
    ),
    Bad(lambda ctx: ctx.wait_for_callback(body, retry=3), ("retry", "callable", "3")),
]
CHILD = [
    *functions("fn", lambda ctx, fn: ctx.run_in_child_context(fn)),
    *names(lambda ctx, name: ctx.run_in_child_context(body, name=name)),
    *configs(lambda ctx, config: ctx.run_in_child_context(body, config=config), "ChildConfig"),
    *serdes("serdes", lambda ctx, value: ctx.run_in_child_context(body, serdes=value)),
    Bad(lambda ctx: ctx.run_in_child_context(body, summary="text"), ("summary", "callable", "text")),
    Bad(lambda ctx: ctx.run_in_child_context(body, error_mapper=7), ("error_mapper", "callable", "7")),
    Bad(lambda ctx: ctx.run_in_child_context(body, virtual=True, summary=str), ("summary", "virtual")),
]
MAP = [
    *functions("fn", lambda ctx, fn: ctx.map([1], fn)),
    *names(lambda ctx, name: ctx.map([1], body, name=name)),
    *configs(lambda ctx, config: ctx.map([1], body, config=config), "MapConfig"),
    *serdes("serdes", lambda ctx, value: ctx.map([1], body, serdes=value)),
    *serdes("item_serdes", lambda ctx, value: ctx.map([1], body, item_serdes=value)),
    *(
        Bad(giving(lambda ctx, items: ctx.map(items, body), items), ("items",))
        for items in (None, 7, "text", b"bytes", {1, 2}, frozenset({1}))
    ),
    Bad(lambda ctx: ctx.map([1], body, max_concurrency=0), ("max_concurrency", "at least 1", "0")),
    Bad(lambda ctx: ctx.map([1], body, max_concurrency=1.5), ("max_concurrency", "whole number", "1.5")),
    Bad(lambda ctx: ctx.map([1], body, max_concurrency=True), ("max_concurrency", "whole number", "True")),
    Bad(lambda ctx: ctx.map([1], body, completion="all"), ("completion", "CompletionConfig", "'all'")),
    Bad(
        lambda ctx: ctx.map([1, 2], body, completion=CompletionConfig.with_min_successful(3)),
        ("min_successful", "2", "3"),
    ),
    Bad(lambda ctx: ctx.map([1], body, item_namer="name"), ("item_namer", "callable", "'name'")),
    Bad(lambda ctx: ctx.map([1], body, item_namer=lambda item, index: ""), ("name", "1 to 256")),
    Bad(lambda ctx: ctx.map([1], body, item_namer=lambda item, index: None), ("item_namer", "None")),
    Bad(lambda ctx: ctx.map([1], body, summary=7), ("summary", "callable", "7")),
    Bad(lambda ctx: ctx.map([1], body, nesting="DEEP"), ("nesting", "DEEP", "FLAT")),
]
ALL = [
    Bad(lambda ctx: ctx.all([1]), ("ctx.all", "1", "without awaiting")),
    Bad(lambda ctx: ctx.all(["text"]), ("ctx.all", "text")),
    Bad(lambda ctx: ctx.all([ctx]), ("ctx.all",)),
    *(
        Bad(giving(lambda ctx, value: ctx.all(value), value), ("ctx.all", "ordered"))
        for value in (None, 7, "text", {1}, dict[str, int]())
    ),
]
COMPLETION = [
    Bad(lambda ctx: CompletionConfig(min_successful=0), ("min_successful", "at least 1", "0")),
    Bad(lambda ctx: CompletionConfig(min_successful=1.0), ("min_successful", "whole number")),  # type: ignore[arg-type]  # the mistake
    Bad(
        lambda ctx: CompletionConfig(tolerated_failure_count=-1),
        ("tolerated_failure_count", "at least 0", "-1"),
    ),
    Bad(
        lambda ctx: CompletionConfig(tolerated_failure_percentage=100.5),
        ("tolerated_failure_percentage", "0 to 100", "100.5"),
    ),
    Bad(
        lambda ctx: CompletionConfig(tolerated_failure_percentage=float("nan")),
        ("tolerated_failure_percentage", "0 to 100", "nan"),
    ),
    Bad(lambda ctx: CompletionConfig(predicate=7), ("predicate", "callable", "7")),  # type: ignore[arg-type]  # the mistake
    Bad(lambda ctx: CompletionConfig.with_failure_tolerance(), ("count=", "percentage=")),
]

TABLES = {
    "step": STEP,
    "wait": WAIT,
    "create_callback": CALLBACK,
    "wait_for_callback": WAIT_FOR_CALLBACK,
    "run_in_child_context": CHILD,
    "map": MAP,
    "all": ALL,
    "CompletionConfig": COMPLETION,
}


@pytest.mark.parametrize("method", TABLES)
async def test_bad_arguments(method: str, autojump_clock: MockClock) -> None:
    """The error has its class and names argument, value and range; no id is used and nothing is recorded."""
    problems: list[str] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        for number, bad in enumerate(TABLES[method]):
            try:
                bad.call(ctx)
            except bad.error as error:
                text = str(error)
                if bad.error is not TypeError and not isinstance(error, DurableError):
                    problems.append(f"{number}: {type(error).__name__} is not one of ours")
                problems.extend(
                    f"{number}: {name!r} is not in {text!r}" for name in bad.names if name not in text
                )
            except Exception as error:  # noqa: BLE001  # whatever it is, it is not what was expected
                problems.append(f"{number}: {bad.error.__name__} expected, got {error!r}")
            else:
                problems.append(f"{number}: accepted ({bad.names})")
        step = ctx.step(body, name="the first id")
        await step

    finished = await run(handler)

    assert problems == []
    first = "1ced8f5be2db23a6513eba4d819c73806424748a7bc6fa0d792cc1c7d1775a97"
    assert [(o.name, o.id) for o in finished.operations[1:]] == [("the first id", first)]
