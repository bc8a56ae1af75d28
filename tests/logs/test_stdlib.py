"""Records that libraries make with ``logging`` inside durable code."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from support.runs import run
from trio.testing import MockClock

from durable_trio import DurableContext, Duration, ReplayLogging, durable_execution
from durable_trio.log import DurableFilter, enrich_logging

SECOND = Duration.seconds(1)
library = logging.getLogger("app.library")


@pytest.fixture(autouse=True)
def app() -> Iterator[logging.Logger]:
    """Set up the logger ``app`` by one call."""
    logger = logging.getLogger("app")
    enrich_logging(logger)
    yield logger
    logger.handlers.clear()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return what was written, decoded."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def plain() -> None:
    """Log in a worker thread."""
    library.info("in a thread of %s", "a step")


def flow(mode: ReplayLogging = ReplayLogging.SUPPRESS_ALL) -> Any:
    """Return a handler that logs everywhere."""

    async def task() -> None:
        library.info("in a task")

    async def item(ctx: DurableContext, item: int, index: int) -> None:
        library.info(f"item {index}")
        await ctx.wait(SECOND)
        library.info(f"item {index} after")

    @durable_execution(replay_logging=mode)
    async def handler(event: Any, ctx: DurableContext) -> None:
        library.warning("begin", extra={"order": 7})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(task)
        await ctx.step(plain, name="charge")
        await ctx.map(range(2), item)
        library.info("end")

    return handler


async def test_records_are_enriched_and_written_once(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the handler, its tasks, its threads, steps and items: one line each, with the fields of the place."""
    finished = await run(flow())

    written = lines(capsys)
    assert sorted(line["message"] for line in written) == [
        "begin",
        "end",
        "in a task",
        "in a thread of a step",
        "item 0",
        "item 0 after",
        "item 1",
        "item 1 after",
    ]
    by_message = {line["message"]: line for line in written}
    assert all(line["executionArn"] == finished.description.arn for line in written)
    assert all(line["logger"] == "app.library" for line in written)
    assert (by_message["begin"]["order"], by_message["begin"]["level"]) == (7, "WARNING")
    in_step = by_message["in a thread of a step"]
    assert (in_step["operationName"], in_step["attempt"]) == ("charge", 1)
    items = {record.id for record in finished.operations if record.sub_type == "MapIteration"}
    assert {by_message["item 0"]["parentId"], by_message["item 1"]["parentId"]} == items
    assert "operationId" not in by_message["item 0"]


async def test_modes_apply(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    """ALLOW_ALL lets replays log again; WARNINGS_AND_ERRORS just the warning."""
    await run(flow(ReplayLogging.WARNINGS_AND_ERRORS))
    assert [line["message"] for line in lines(capsys)].count("begin") == 2

    await run(flow(ReplayLogging.ALLOW_ALL))
    messages = [line["message"] for line in lines(capsys)]
    assert messages.count("in a task") == 2
    assert messages.count("in a thread of a step") == 1


def test_outside_of_durable_code_records_pass(capsys: pytest.CaptureFixture[str]) -> None:
    """A record of nobody's has no fields of ours."""
    library.info("outside")

    (line,) = lines(capsys)
    assert set(line) == {"timestamp", "level", "message", "logger"}


def test_levels_and_exceptions(capsys: pytest.CaptureFixture[str]) -> None:
    """A handler of ours takes its level from the environment, by default INFO; a record's exception is in the line."""
    library.debug("hidden")
    try:
        raise ValueError("bad")
    except ValueError:
        library.exception("caught")

    (line,) = lines(capsys)
    assert (line["errorType"], line["errorMessage"]) == ("ValueError", "bad")
    assert line["stackTrace"][-1] == "ValueError: bad"


def test_enriching_again_changes_nothing(app: logging.Logger) -> None:
    """One handler, one filter; and handlers that are there already keep their formatter."""
    enrich_logging(app)
    assert [len(handler.filters) for handler in app.handlers] == [1]

    other = logging.getLogger("app.other")
    own = logging.NullHandler()
    other.addHandler(own)
    enrich_logging(other)
    assert other.handlers == [own]
    assert own.formatter is None
    assert isinstance(own.filters[0], DurableFilter)
    other.handlers.clear()
