from __future__ import annotations

import json
import logging
from typing import Any

import pytest
import structlog
from structlog.testing import CapturingLogger

from durable_trio import DurableContext, Duration, current_step, durable_execution
from durable_trio.testing import CapturedLog, RunnerFactory, RunResult


def work() -> None:
    """Log from a step."""
    current_step().logger.warning("in step", size=3)


async def talk(event: Any, ctx: DurableContext) -> None:
    """Log before and after a suspension, from a step, and an exception."""
    ctx.logger.info("begin", who=event)
    await ctx.step(work)
    await ctx.wait(Duration.days(1))
    try:
        raise ValueError("oops")
    except ValueError as error:
        ctx.logger.bind(extra=1).error("failed", exc_info=error)
    ctx.logger.debug("not by default")


def told(run: RunResult) -> list[tuple[str, str]]:
    """Return levels and messages."""
    return [(line.level, line.message) for line in run.logs]


LINES = [("INFO", "begin"), ("WARNING", "in step"), ("ERROR", "failed")]


async def test_lines_are_captured_once_and_still_written(
    durable_runner: RunnerFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    """What replays repeat is dropped before; standard output has the same lines as without a test."""
    run = await durable_runner.run(durable_execution(talk), "me")

    assert told(run) == LINES
    begin, step, failed = run.logs
    assert isinstance(begin, CapturedLog)
    assert begin.fields["who"] == "me"
    assert begin.execution_arn == run.arn
    assert (step.fields["operationName"], step.fields["size"]) == ("work", 3)
    assert (failed.fields["errorType"], failed.fields["extra"]) == ("ValueError", 1)
    assert failed.at - begin.at == 86_400_000
    written = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["level"], line["message"]) for line in written] == LINES


async def test_a_structlog_logger_of_ones_own(durable_runner: RunnerFactory) -> None:
    """Its processors still see every line, and its level decides what is one."""
    capturing = CapturingLogger()
    logger = structlog.wrap_logger(
        capturing,
        processors=[structlog.processors.KeyValueRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )

    run = await durable_runner.run(durable_execution(logger=logger)(talk), "me")

    assert told(run) == LINES[1:]
    assert len(capturing.calls) == 2


async def test_a_standard_logger_of_ones_own(
    durable_runner: RunnerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """Its handlers still see every record, with the place that it was made at."""
    logger = logging.getLogger("mine.testing")
    caplog.set_level("INFO", logger="mine.testing")

    run = await durable_runner.run(durable_execution(logger=logger)(talk), "me")

    assert told(run) == LINES
    assert run.logs[0].fields["who"] == "me"
    assert [record.funcName for record in caplog.records] == ["talk", "work", "talk"]


async def test_anything_that_logs_like_structlog(durable_runner: RunnerFactory) -> None:
    """A logger that only looks like structlog's is passed through as well."""

    class Plain:
        def __init__(self, lines: list[str]) -> None:
            self.lines = lines

        def bind(self, **fields: Any) -> Plain:
            return Plain(self.lines)

        def _log(self, message: str, *args: Any, **fields: Any) -> None:
            self.lines.append(message % args)

        debug = info = warning = error = _log

    lines: list[str] = []

    @durable_execution(logger=Plain(lines))
    async def handler(event: Any, ctx: DurableContext) -> None:
        ctx.logger.info("%s lines", 2)
        ctx.logger.error("end")

    run = await durable_runner.run(handler)

    assert told(run) == [("INFO", "2 lines"), ("ERROR", "end")]
    assert lines == ["2 lines", "end"]
