"""Our client of the Runtime API, in this process: what its processes do is tested in ``test_pool``."""

from __future__ import annotations

import io
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
from serve.calls import HERE, invocation

from durable_trio.local.workers import bootstrap
from durable_trio.local.workers.conversation import Answered, Conversation, Failed, Outcome
from durable_trio.local.workers.runtime_api import RuntimeApi


@pytest.fixture
def lambda_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that a worker has."""
    for name in ("NAME", "VERSION", "MEMORY_SIZE"):
        monkeypatch.setenv(f"AWS_LAMBDA_FUNCTION_{name}", name)
    for name in ("GROUP", "STREAM"):
        monkeypatch.setenv(f"AWS_LAMBDA_LOG_{name}_NAME", name)
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "old")


@pytest.mark.usefixtures("lambda_variables")
async def test_invocations_are_served_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    """An answer, an error, and an answer that is too big: each is told, and the next one is asked for."""

    def handler(event: Any, context: Any) -> Any:
        if event == "raise":
            raise ValueError("no")
        if event == "big":
            return "x" * 6_291_556
        context.log("logged\n")
        client = context.client_context.custom if context.client_context else None
        return [event, context.tenant_id, client, context.identity.cognito_identity_id]

    outcomes: list[Outcome] = []
    async with trio.open_nursery() as nursery:
        api = RuntimeApi()
        await api.start(nursery)
        idle = trio.Event()
        conversation = Conversation(on_idle=lambda: idle.set(), on_answer=lambda: None)
        api.admit("secret", conversation)
        runtime = bootstrap.PlainRuntime(f"{api.address}/secret")
        for event in ("well", "raise", "big"):
            idle = trio.Event()
            async with trio.open_nursery() as one:
                one.start_soon(trio.to_thread.run_sync, runtime._serve_one, handler)
                await idle.wait()
                call = invocation(event, tenant_id="t", client_context='{"custom": 1}', trace_id="Root=1")
                outcomes.append(await conversation.give(call()))
        runtime._connection.close()
        nursery.cancel_scope.cancel()

    assert outcomes[0] == Answered('["well", "t", 1, null]')
    assert [outcome.error.type for outcome in outcomes[1:] if isinstance(outcome, Failed)] == [
        "ValueError",
        "Function.ResponseSizeTooLarge",
    ]
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["logged", "[ERROR] ValueError: no"]


def test_functions_are_loaded_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``MODULE.FUNCTION``; what goes wrong has Lambda's error types."""
    monkeypatch.setattr(sys, "path", [str(HERE), str(tmp_path), *sys.path])
    (tmp_path / "syntax_error_here.py").write_text("def (:")

    assert bootstrap.load("lambda_functions.answer").__name__ == "answer"
    for handler, kind in {
        "no_module_of_this_name.f": "Runtime.ImportModuleError",
        "lambda_functions.nothing": "Runtime.HandlerNotFound",
        "syntax_error_here.f": "Runtime.UserCodeSyntaxError",
    }.items():
        with pytest.raises(bootstrap.LoadError) as raised:
            bootstrap.load(handler)
        assert bootstrap.describe(raised.value, "r")["errorType"] == kind


@pytest.mark.parametrize("form", ["Text", "JSON"])
def test_log_lines(form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Lambda's text has tabs between level, time, request and message; its JSON has the rest as members."""
    monkeypatch.setenv("AWS_LAMBDA_LOG_FORMAT", form)
    monkeypatch.setenv("AWS_LAMBDA_LOG_LEVEL", "TRACE")
    monkeypatch.setattr(bootstrap._REQUEST, "id", "r")
    monkeypatch.setattr(logging.Formatter, "converter", logging.Formatter.converter)
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = list(root.handlers), root.level
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        bootstrap._set_up_logging()
        try:
            logging.getLogger("lines_of_the_bootstrap").debug("hello %s", "you", extra={"order": 1})
            try:
                raise ValueError("bad")
            except ValueError:
                logging.getLogger("lines_of_the_bootstrap").exception("went wrong")
            bootstrap._log_error({"errorType": "E", "errorMessage": "m", "stackTrace": ["a\n"]})
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)
    lines = stream.getvalue().splitlines()

    if form == "Text":
        level_name, _, request_id, message = lines[0].split("\t")
        assert (level_name, request_id, message) == ("[DEBUG]", "r", "hello you")
        assert "ValueError: bad" in lines
        assert lines[-2:] == ["[ERROR] E: m", "a"]
        return
    first, second, third = (json.loads(line) for line in lines)
    assert (first["message"], first["order"], first["requestId"]) == ("hello you", 1, "r")
    assert (second["errorType"], second["errorMessage"]) == ("ValueError", "bad")
    assert third == {"level": "ERROR", "errorType": "E", "errorMessage": "m", "stackTrace": ["a\n"]}
