"""How a log line looks."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.runs import run
from trio.testing import MockClock

from durable_trio import DurableContext, StepError, current_step, durable_execution, fixed_delay, no_retry
from durable_trio._runtime.log_lines import error_fields, rendered
from durable_trio.duration import Duration


class Terminal:
    """A standard output that says it is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        """Keep *text*."""
        self.text += text

    def flush(self) -> None:
        """Do nothing."""

    def isatty(self) -> bool:
        """Claim to be one."""
        return True


def put_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal in the place of standard output, without colours; the test itself has to do it."""
    made = Terminal()
    monkeypatch.setattr(sys, "stdout", made)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("DURABLE_TRIO_LOG_FORMAT", raising=False)
    return made


@durable_execution
async def handler(event: Any, ctx: DurableContext) -> None:
    """Log at the root and in a step that is tried twice."""

    async def body() -> None:
        current_step().logger.warning("gateway slow", order=7)
        if current_step().attempt == 1:
            raise OSError("again")

    ctx.logger.info("begin")
    await ctx.step(body, name="charge", retry=fixed_delay(Duration.seconds(1)))


async def test_json_is_the_default(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line, with AWS's keys, its level names and UTC timestamps with milliseconds."""
    await run(handler)

    first, second, third = map(json.loads, capsys.readouterr().out.splitlines())
    assert set(first) == {"timestamp", "level", "message", "executionArn", "requestId"}
    assert set(second) - set(first) == {"operationId", "operationName", "attempt", "order"}
    assert (second["level"], second["attempt"], third["attempt"]) == ("WARNING", 1, 2)
    assert first["timestamp"].endswith("Z")
    assert len(first["timestamp"]) == len("2026-11-20T12:00:00.000Z")


async def test_text_if_lambda_is_set_to_text(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``DURABLE_TRIO_LOG_FORMAT=Text`` gives one line of words, the fields as ``key=value``."""
    monkeypatch.setenv("DURABLE_TRIO_LOG_FORMAT", "Text")
    await run(handler)

    line = capsys.readouterr().out.splitlines()[1]
    assert " WARNING gateway slow executionArn=" in line
    assert line.endswith("operationName=charge attempt=1 order=7")


async def test_pretty_on_a_terminal(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person sees time, level, message, own fields and the step; not the ids, which are the same all over."""
    terminal = put_terminal(monkeypatch)
    await run(handler)

    first, second, third = terminal.text.splitlines()
    assert first.split(" ", 1)[1] == "INFO    begin"
    assert second.split(" ", 1)[1] == "WARNING gateway slow order=7 [charge]"
    assert third.endswith("[charge #2]")


def test_json_on_a_terminal_if_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable decides, whatever standard output is."""
    put_terminal(monkeypatch)
    monkeypatch.setenv("DURABLE_TRIO_LOG_FORMAT", "JSON")

    assert json.loads(rendered(logging.INFO, "x", {}))["message"] == "x"


def test_terminals_are_not_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control characters in what is logged are shown, not obeyed; our own colours are the only escapes."""
    put_terminal(monkeypatch)
    line = rendered(logging.INFO, "a\x1b[2Jb\nc", {"x": "\x07"})
    assert line.isprintable()

    monkeypatch.delenv("NO_COLOR")
    assert "\x1b[32mINFO" in rendered(logging.INFO, "x", {})


async def test_exceptions(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    """``logger.exception`` and ``exc_info=`` give type, message and stack under AWS's keys."""

    async def fail() -> None:
        raise ValueError("bad")

    @durable_execution
    async def failing(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.step(fail, retry=no_retry())
        except StepError as error:
            ctx.logger.exception("caught")
            ctx.logger.warning("again", exc_info=error)
            ctx.logger.warning("none", exc_info=False)

    await run(failing)

    first, second, third = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["level"], first["errorType"], first["errorMessage"]) == ("ERROR", "StepError", "bad")
    assert first["stackTrace"] == second["stackTrace"]
    assert "exc_info" not in third
    assert "errorType" not in third


def test_outside_of_an_exception_there_is_none() -> None:
    """``exc_info=True`` without an exception, and an empty tuple, add nothing."""
    assert error_fields(True) == error_fields((None, None, None)) == error_fields(None) == {}


odd = st.none() | st.text() | st.floats() | st.binary() | st.builds(object)


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.text(), odd | st.lists(odd) | st.dictionaries(st.tuples(st.integers()) | st.text(), odd)
    ),
    st.text() | st.integers(),
    st.sampled_from(["JSON", "Text", "", "odd"]),
)
def test_no_line_raises(fields: dict[str, Any], message: Any, form: str) -> None:
    """Whatever is logged, there is one line (a traceback apart), and as JSON it is an object."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DURABLE_TRIO_LOG_FORMAT", form)
        line = rendered(logging.INFO, message, fields)

    if form == "Text":
        assert "\n" not in line
    else:
        assert len(line.splitlines()) == 1
        assert isinstance(json.loads(line), dict)


def test_cycles_are_shown() -> None:
    """What refers to itself is written as its repr."""
    cycle: list[Any] = []
    cycle.append(cycle)

    assert json.loads(rendered(logging.INFO, "x", {"cycle": cycle}))["cycle"] == "[[...]]"


class Broken:
    """Something that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


@pytest.mark.parametrize("form", ["JSON", "Text"])
def test_what_cannot_be_shown_is_said_so(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value whose ``str`` and ``repr`` raise costs nobody the line."""
    monkeypatch.setenv("DURABLE_TRIO_LOG_FORMAT", form)

    assert "<Broken whose repr fails: RuntimeError>" in rendered(logging.INFO, Broken(), {"x": Broken()})
