from __future__ import annotations

import contextlib
import json
import sqlite3

import pytest
from cli.terminals import WORKFLOWS, Terminal, read_until


def test_list_shows_the_newest_first(terminal: Terminal) -> None:
    """A table, or ListDurableExecutionsByFunction's items."""
    terminal.run("greet", "--name", "one")
    terminal.run("fails", "--name", "two")

    lines = terminal("list").stdout.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        ["FAILED", "two", "workflows-fails"],
        ["SUCCEEDED", "one", "workflows-greet"],
    ]
    found = terminal.json("list")["DurableExecutions"]
    assert [each["DurableExecutionName"] for each in found] == ["two", "one"]
    assert found[0]["FunctionArn"].endswith(":function:workflows-fails")


def test_list_filters(terminal: Terminal) -> None:
    """By status, by function, and no more than the limit."""
    for name in ("one", "two", "three"):
        terminal.run("greet", "--name", name)
    terminal.run("fails", "--name", "bad")

    def names(*options: str) -> list[str]:
        return [each["DurableExecutionName"] for each in terminal.json("list", *options)["DurableExecutions"]]

    assert names("--status", "failed") == ["bad"]
    assert names("--function", "workflows-greet") == ["three", "two", "one"]
    assert names("--limit", "2") == ["bad", "three"]
    assert names("--status", "RUNNING") == []


def test_show_finds_an_execution_by_name_id_and_arn(terminal: Terminal) -> None:
    """All three name the same one; its operations are shown as a tree."""
    terminal.run("greet", "--name", "demo")
    arn = terminal.json("show", "demo")["DurableExecutionArn"]

    for reference in ("demo", arn, arn.rpartition("/")[2]):
        assert terminal.json("show", reference)["DurableExecutionArn"] == arn
    shown = terminal("show", "demo").stdout
    assert "status      SUCCEEDED" in shown
    assert arn in shown
    assert "✓ shout  Step" in shown


def test_show_has_the_operations_as_aws_names_them(terminal: Terminal) -> None:
    """GetDurableExecution's members, and the operations."""
    terminal.run("greet", "--name", "demo", "--input-json", '{"name":"ada"}')
    document = terminal.json("show", "demo")

    assert document["InputPayload"] == '{"name":"ada"}'
    assert document["Result"] == '{"greeting":"ADA"}'
    assert [each["Type"] for each in document["Operations"]] == ["EXECUTION", "STEP"]


def test_history_tells_every_event(terminal: Terminal) -> None:
    """In order, numbered from 1; backwards with ``--reverse``."""
    terminal.run("greet", "--name", "demo")
    events = terminal.json("history", "demo")["Events"]

    assert [event["EventId"] for event in events] == list(range(1, len(events) + 1))
    kinds = [event["EventType"] for event in events]
    assert kinds[0] == "ExecutionStarted"
    assert {"StepStarted", "StepSucceeded", "ExecutionSucceeded", "InvocationCompleted"} <= set(kinds)
    assert terminal.json("history", "demo", "--reverse")["Events"] == events[::-1]
    table = terminal("history", "demo").stdout.splitlines()
    assert len(table) == len(events) + 1
    assert "StepSucceeded" in terminal("history", "demo").stdout


def test_stop_ends_an_execution_that_waits(terminal: Terminal) -> None:
    """From another terminal; the process that drives it notices, and exits with 1."""
    process = terminal.start("run", f"{WORKFLOWS}:sleeps", "--name", "demo")
    read_until(process, "wait nap STARTED")

    result = terminal("stop", "demo", "--error-type", "Wrong", "--error-message", "no more")
    assert result.stdout == "execution demo STOPPED\n"
    out, err = process.communicate(timeout=10)
    assert process.returncode == 1, err
    assert "error Wrong: no more" in out
    assert terminal.json("show", "demo")["Error"] == {"ErrorType": "Wrong", "ErrorMessage": "no more"}


def test_stop_leaves_a_finished_execution_alone(terminal: Terminal) -> None:
    """A quiet success that says how the execution ended."""
    terminal.run("greet", "--name", "demo")

    assert terminal("stop", "demo").stdout == "execution demo SUCCEEDED\n"
    assert "StopTimestamp" in terminal.json("stop", "demo")


@pytest.mark.parametrize("command", ["show", "history", "stop"])
def test_an_unknown_execution_is_not_found(terminal: Terminal, command: str) -> None:
    """One line, exit code 3."""
    terminal.run("greet")
    result = terminal(command, "nobody")

    assert result.exit_code == 3
    assert result.stderr.startswith("Error: ")
    assert "nobody" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [["list"], ["show", "x"], ["history", "x"], ["stop", "x"]])
def test_looking_never_makes_a_database(terminal: Terminal, command: list[str]) -> None:
    """Where there is no database there is nothing to be found."""
    result = terminal(*command)

    assert result.exit_code == 3
    assert "there is no database" in result.stderr
    assert not terminal.db.exists()


def test_a_name_that_two_functions_use_is_ambiguous(terminal: Terminal) -> None:
    """Names are unique per function only; the user has to say which one."""
    terminal.run("greet", "--name", "demo")
    terminal.run("fails", "--name", "demo")
    result = terminal("show", "demo")

    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_a_file_that_is_no_database_is_said(terminal: Terminal) -> None:
    """One line, not sqlite's traceback."""
    terminal.db.write_text("Dear diary, " * 100)
    result = terminal("list")

    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert terminal.run("greet").exit_code == 2


def test_a_database_of_a_newer_version_is_said(terminal: Terminal) -> None:
    """An old program must not touch what it does not understand."""
    terminal.run("greet")
    with contextlib.closing(sqlite3.connect(terminal.db)) as database:
        database.execute("PRAGMA user_version = 9999")
    result = terminal("list")

    assert result.exit_code == 2
    assert "9999" in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_database_may_come_from_the_environment(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``DURABLE_TRIO_DB`` is the default of ``--db``."""
    from click.testing import CliRunner

    from durable_trio.cli.main import commands

    terminal.run("greet", "--name", "demo")
    monkeypatch.setenv("DURABLE_TRIO_DB", str(terminal.db))
    result = CliRunner().invoke(commands, ["list", "--json"])

    assert json.loads(result.stdout)["DurableExecutions"][0]["DurableExecutionName"] == "demo"
