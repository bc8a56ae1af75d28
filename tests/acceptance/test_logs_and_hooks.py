"""Log lines and plugins."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

import pytest
from acceptance.kit import run

from durable_trio import DurableContext, Duration, ReplayLogging, current_step, durable_execution

HOOKS = [
    "on_invocation_start",
    "on_invocation_end",
    "on_operation_start",
    "on_operation_end",
    "on_operation_change",
    "on_operation_replay",
    "on_user_function_start",
    "on_user_function_end",
]


async def body() -> None:
    """Log in a step."""
    current_step().logger.info("in step")


async def child(ctx: DurableContext) -> None:
    """Log in a child context, with a field of its own."""
    ctx.logger.bind(own=1).info("in child")
    ctx.logger.info("child again")


async def program(event: Any, ctx: DurableContext) -> None:
    """Log everywhere."""
    ctx.logger.info("begun", order="o-1")
    ctx.logger.warning("careful")
    ctx.logger.error("wrong")
    await ctx.step(body)
    await ctx.run_in_child_context(child)
    await ctx.wait(Duration.hours(1))
    ctx.logger.info("over")


def lines_of(handler: Any) -> tuple[Any, list[dict[str, Any]]]:
    """Run *handler*; return the run and its log lines."""
    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        finished = run(handler)
    return finished, [json.loads(line) for line in written.getvalue().splitlines()]


def test_lines_are_json_with_the_keys_of_aws() -> None:
    """One object a line, each line once over replays; children's fields do not leak."""
    finished, lines = lines_of(durable_execution(program))
    assert [line["message"] for line in lines] == [
        "begun",
        "careful",
        "wrong",
        "in step",
        "in child",
        "child again",
        "over",
    ]
    begun, _, _, step, inside, again, over = lines
    assert {line["executionArn"] for line in lines} == {finished.arn}
    assert begun["requestId"] != over["requestId"]
    assert (begun["level"], begun["order"]) == ("INFO", "o-1")
    assert (step["operationName"], step["attempt"], step["operationId"]) == ("body", 1, finished["body"].id)
    assert inside["parentId"] == again["parentId"] == finished["child"].id
    assert "own" in inside
    assert "own" not in again
    assert "parentId" not in over


@pytest.mark.parametrize(
    ("mode", "again"),
    [
        (ReplayLogging.SUPPRESS_ALL, []),
        (ReplayLogging.ERRORS_ONLY, ["wrong"]),
        (ReplayLogging.WARNINGS_AND_ERRORS, ["careful", "wrong"]),
        (ReplayLogging.ALLOW_ALL, ["begun", "careful", "wrong"]),
    ],
)
def test_replay_modes(mode: ReplayLogging, again: list[str]) -> None:
    """What a context says again when it replays."""
    _, lines = lines_of(durable_execution(program, replay_logging=mode))
    assert [line["message"] for line in lines][6:] == [*again, "over"]


def test_the_level_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """``AWS_LAMBDA_LOG_LEVEL``."""
    monkeypatch.setenv("AWS_LAMBDA_LOG_LEVEL", "WARN")
    _, lines = lines_of(durable_execution(program))
    assert [line["message"] for line in lines] == ["careful", "wrong"]


def test_hooks_and_what_they_are_told() -> None:
    """One plugin object per invocation; every info has the ARN; ends are not told again on replay."""
    told: list[tuple[int, str, Any]] = []
    made: list[Any] = []

    class Plugin:
        def __init__(self, info: Any) -> None:
            made.append(info)
            self.number = len(made)

    for hook in HOOKS:
        setattr(Plugin, hook, lambda self, info, hook=hook: told.append((self.number, hook, info)))

    async def flaky() -> None:
        if current_step().attempt == 1:
            raise ValueError("again")

    @durable_execution(plugins=[Plugin])
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(flaky, name="f")
        await ctx.wait(Duration.hours(1), name="w")

    finished = run(handler)
    finished.assert_succeeded()
    assert {info.execution_arn for _, _, info in told} == {finished.arn}
    assert [info.is_first for info in made] == [True, False, False]
    assert [info.operation_count for info in made] == [0, 1, 2]
    assert len({info.request_id for info in made}) == 3
    ends = [
        (number, info.name, str(info.status)) for number, hook, info in told if hook == "on_operation_end"
    ]
    assert ends == [(2, "f", "SUCCEEDED"), (3, "w", "SUCCEEDED")]
    (start, *_) = [info for _, hook, info in told if hook == "on_operation_start"]
    assert (start.id, start.type, start.sub_type, start.parent_id) == (finished["f"].id, "STEP", "Step", None)
    assert (start.attempt, start.is_replayed, start.error) == (1, False, None)
    bodies = [info for _, hook, info in told if hook == "on_user_function_end"]
    assert [(info.attempt, str(info.outcome)) for info in bodies] == [(1, "FAILED"), (2, "SUCCEEDED")]


def test_errors_of_plugins_are_contained() -> None:
    """A hook that raises changes nothing, neither for the execution nor for other plugins."""
    told: list[str] = []

    class Broken:
        def __init__(self, info: Any) -> None:
            pass

        def on_operation_start(self, info: Any) -> None:
            raise RuntimeError("broken")

    class Sound:
        def __init__(self, info: Any) -> None:
            pass

        def on_operation_start(self, info: Any) -> None:
            told.append(info.name)

    @durable_execution(plugins=[Broken, Sound])
    async def handler(event: Any, ctx: DurableContext) -> str:
        await ctx.step(body, name="b")
        return "ok"

    finished, _ = lines_of(handler)
    assert finished.result == "ok"
    assert told == ["b"]


def test_a_logger_of_ones_own(caplog: pytest.LogCaptureFixture) -> None:
    """``logger=`` takes a ``logging.Logger``; the context's fields are bound to it."""
    import logging

    mine = logging.getLogger("acceptance")
    mine.setLevel("INFO")

    @durable_execution(logger=mine)
    async def handler(event: Any, ctx: DurableContext) -> None:
        ctx.logger.info("begun", order="o-1")
        await ctx.wait(Duration.hours(1))

    run(handler).assert_succeeded()
    (record,) = [record for record in caplog.records if record.name == "acceptance"]
    assert record.getMessage() == "begun"
    assert getattr(record, "order", None) == "o-1"
    assert getattr(record, "executionArn", None)
