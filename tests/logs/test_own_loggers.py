"""Loggers that users bring: structlog's and the standard library's."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import CapturingLogger
from support.runs import run
from trio.testing import MockClock

from durable_trio import (
    DurableContext,
    Duration,
    ReplayLogging,
    ValidationError,
    current_step,
    durable_execution,
)

SECOND = Duration.seconds(1)


class Records(logging.Handler):
    """Keeps records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep *record*."""
        self.records.append(record)


@pytest.fixture
def records() -> Iterator[Records]:
    """Give the handler of the logger ``mine``, which takes everything."""
    handler = Records()
    logger = logging.getLogger("mine")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def flow(logger: Any, mode: ReplayLogging = ReplayLogging.SUPPRESS_ALL) -> Any:
    """Return a handler that logs before and after a suspension, and in a step and a child context."""

    async def body() -> None:
        current_step().logger.info("in step")

    async def child(ctx: DurableContext) -> None:
        ctx.logger.bind(tenant="blue").warning("in child")

    @durable_execution(logger=logger, replay_logging=mode)
    async def handler(event: Any, ctx: DurableContext) -> None:
        ctx.logger.info("begin", order=7)
        await ctx.step(body, name="charge")
        await ctx.run_in_child_context(child, name="c")
        ctx.logger.warning("before wait")
        await ctx.wait(SECOND)
        ctx.logger.debug("end")

    return handler


async def test_a_structlog_logger(autojump_clock: MockClock) -> None:
    """Its processors, level and destination are used; each line is written once, with our fields bound."""
    capturing = CapturingLogger()
    logger = structlog.wrap_logger(capturing, processors=[], wrapper_class=structlog.BoundLogger)

    finished = await run(flow(logger))

    written = [(call.kwargs["event"], call.kwargs) for call in capturing.calls]
    assert [event for event, _ in written] == ["begin", "in step", "in child", "before wait", "end"]
    assert all(fields["executionArn"] == finished.description.arn for _, fields in written)
    assert [fields.get("tenant") for _, fields in written] == [None, None, "blue", None, None]
    assert (written[1][1]["operationName"], written[1][1]["attempt"]) == ("charge", 1)


async def test_a_stdlib_logger(autojump_clock: MockClock, records: Records) -> None:
    """Records are made by it, once each, with our fields and the keywords as attributes."""
    finished = await run(flow(logging.getLogger("mine")))

    made = records.records
    assert [record.getMessage() for record in made] == [
        "begin",
        "in step",
        "in child",
        "before wait",
        "end",
    ]
    assert {record.executionArn for record in made} == {finished.description.arn}
    assert (made[0].order, made[1].operationName, made[2].tenant) == (7, "charge", "blue")
    assert made[0].funcName == "handler"


@pytest.mark.parametrize("kind", ["structlog", "stdlib"])
async def test_modes_apply_to_them(kind: str, autojump_clock: MockClock, records: Records) -> None:
    """With WARNINGS_AND_ERRORS a replayed warning is written again, and what is below is not."""
    capturing = CapturingLogger()
    structured = structlog.wrap_logger(capturing, processors=[], wrapper_class=structlog.BoundLogger)
    logger = structured if kind == "structlog" else logging.getLogger("mine")

    await run(flow(logger, ReplayLogging.WARNINGS_AND_ERRORS))

    messages = [call.kwargs["event"] for call in capturing.calls]
    messages += [record.getMessage() for record in records.records]
    assert messages == ["begin", "in step", "in child", "before wait", "before wait", "end"]


async def test_levels_by_number_and_binding(autojump_clock: MockClock) -> None:
    """``log(level, ...)`` passes the gate as well, and bound loggers stay behind it."""
    lines: list[str] = []

    def keep(_logger: Any, method: str, event: Any) -> Any:
        lines.append(f"{method} {event['event']} {event.get('x')}")
        raise structlog.DropEvent

    logger = structlog.wrap_logger(
        CapturingLogger(), processors=[keep], wrapper_class=structlog.make_filtering_bound_logger(0)
    )

    @durable_execution(logger=logger)
    async def handler(event: Any, ctx: DurableContext) -> None:
        log = ctx.logger.bind(x=1)
        log.log(logging.WARNING, "number")
        log.unbind("x").info("unbound")
        await ctx.wait(SECOND)

    await run(handler)

    assert lines == ["warning number 1", "info unbound None"]


async def test_the_runtime_uses_it_too(autojump_clock: MockClock, records: Records) -> None:
    """What the runtime has to say goes to the user's logger; fields that records cannot take are renamed."""

    def complain(error: Exception) -> None:
        raise RuntimeError("hook")

    @durable_execution(logger=logging.getLogger("mine"), on_error=complain)
    async def handler(event: Any, ctx: DurableContext) -> None:
        ctx.logger.info("collides", name="x", thread="y")
        raise ValueError("bad")

    await run(handler)

    collides, failed = records.records
    assert (collides.name, collides.name_, collides.thread_) == ("mine", "x", "y")
    assert (failed.getMessage(), failed.error) == ("on_error failed", "RuntimeError('hook')")


@pytest.mark.parametrize("logger", ["mine", 7, logging, logging.Logger, object()])
def test_other_things_are_refused(logger: Any) -> None:
    """Anything that is no logger is refused where the handler is defined."""
    with pytest.raises(ValidationError, match=r"structlog logger or a logging\.Logger"):
        durable_execution(logger=logger)
