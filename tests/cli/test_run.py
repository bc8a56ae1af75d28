from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cli.terminals import Terminal


def test_run_prints_what_happens_and_the_result(terminal: Terminal) -> None:
    """Lines, one per change, then the outcome; exit code 0."""
    result = terminal.run("greet", "--name", "demo", "--input-json", '{"name": "ada"}')

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("execution demo started; resume it with: durable-trio run ")
    assert "step shout SUCCEEDED" in lines
    assert lines[-2:] == ["execution demo SUCCEEDED", 'result {"greeting":"ADA"}']


def test_input_comes_from_a_file_or_stdin(terminal: Terminal, tmp_path: Path) -> None:
    """``--input FILE`` and ``--input -``; without any input the handler gets {}."""
    path = tmp_path / "input.json"
    path.write_text('{ "name":\n"file" }')

    assert '"FILE"' in terminal.run("greet", "--input", str(path)).stdout
    assert '"STDIN"' in terminal.run("greet", "--input", "-", stdin='{"name": "stdin"}').stdout
    assert '"NOBODY"' in terminal.run("greet").stdout


def test_a_finished_execution_shows_its_result_again(terminal: Terminal) -> None:
    """The same name with the same input, or with none, runs nothing and answers from the record."""
    first = ("--name", "demo", "--input-json", '{"name": "ada"}')
    terminal.run("greet", *first)

    for options in (first, ("--name", "demo"), ("--name", "demo", "--input-json", '{"name":"ada"}')):
        result = terminal.run("greet", *options)
        assert result.exit_code == 0
        assert result.stdout.splitlines() == ["execution demo SUCCEEDED", 'result {"greeting":"ADA"}']


def test_json_is_one_document(terminal: Terminal) -> None:
    """stdout holds the document and nothing else, even if the handler prints; the rest is on stderr."""
    result = terminal.run("chatters", "--json")

    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["Status"] == "SUCCEEDED"
    assert document["Result"] == '"quiet"'
    assert document["DurableExecutionArn"].endswith(document["DurableExecutionArn"].rpartition("/")[2])
    assert document["StartTimestamp"] <= document["EndTimestamp"]
    assert "printed by the handler" in result.stderr
    assert "execution" in result.stderr


def test_a_failed_execution_exits_with_1(terminal: Terminal) -> None:
    """Its error is shown, in the document too; and again when it is looked at later."""
    for _ in range(2):
        result = terminal.run("fails", "--name", "demo")
        assert result.exit_code == 1
        assert "execution demo FAILED" in result.stdout
        assert "error ValueError: no such order" in result.stdout

    result = terminal.run("fails", "--name", "demo", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["Error"]["ErrorMessage"] == "no such order"


def test_answers_are_given(terminal: Terminal) -> None:
    """``--answer`` answers the callback of that name; callbacks of ``wait_for_callback`` by the whole's name."""
    result = terminal.run("asks", "--answer", 'approval={"approved": true}')

    assert result.exit_code == 0, result.output
    assert "callback approval answered by --answer" in result.stdout
    assert 'result {"answer":{"approved":true}}' in result.stdout

    result = terminal.run("asks_twice", "--answer", "first=1", "--answer", "second=2", "--answer", "third=3")
    assert result.stdout.splitlines()[-1] == "result [1,2]"
    assert result.stderr == "Warning: --answer third: no callback of that name was waiting\n"


def test_an_answer_may_be_a_failure(terminal: Terminal) -> None:
    """``NAME=!fail:MESSAGE`` fails the callback."""
    result = terminal.run("asks", "--answer", "approval=!fail:not today")

    assert result.exit_code == 1
    assert "not today" in result.stdout


def test_the_execution_may_have_a_time_limit(terminal: Terminal) -> None:
    """``--timeout`` limits the whole execution: it ends TIMED_OUT, which is a failure."""
    result = terminal.run("sleeps", "--timeout", "1s", "--name", "demo")

    assert result.exit_code == 1
    assert "execution demo TIMED_OUT" in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--input", "nowhere.json"], "cannot read --input nowhere.json"),
        (["--input-json", "{"], "--input-json is not JSON"),
        (["--input-json", "1", "--input", "-"], "two inputs"),
        (["--answer", "approval=yes"], "--answer approval is not JSON"),
        (["--timeout", "90"], "--timeout must be a whole number with a unit"),
        (["--timeout", "400d"], "timeout"),
        (["--name", "not a name"], "name"),
    ],
)
def test_wrong_options_are_one_line(terminal: Terminal, options: list[str], message: str) -> None:
    """A mistake is ``Error: ...`` on stderr, with exit code 2, and nothing has been started."""
    result = terminal.run("greet", *options)

    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_another_input_under_the_same_name_is_refused(terminal: Terminal) -> None:
    """Neither the finished execution nor a new one is meant; the user has to say which."""
    terminal.run("greet", "--name", "demo")
    result = terminal.run("greet", "--name", "demo", "--input-json", "[]")

    assert result.exit_code == 2
    assert result.stderr.startswith("Error: execution demo was started with another input; ")


def test_another_time_limit_under_the_same_name_is_refused(terminal: Terminal) -> None:
    """An option that could not be obeyed is not ignored."""
    terminal.run("greet", "--name", "demo", "--timeout", "2h")

    assert terminal.run("greet", "--name", "demo", "--timeout", "120m").exit_code == 0
    result = terminal.run("greet", "--name", "demo", "--timeout", "1h")
    assert result.exit_code == 2
    assert "was started with a time limit of 7200 s" in result.stderr


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        ("nowhere.py:handler", "there is no file nowhere.py"),
        ("no_such_module_at_all:handler", "No module named 'no_such_module_at_all'"),
        (f"{Path(__file__).with_name('workflows.py')}:not_durable", "decorate it with @durable_execution"),
        (f"{Path(__file__).with_name('workflows.py')}:missing", "has no 'missing'"),
    ],
)
def test_a_wrong_handler_is_one_line(terminal: Terminal, handler: str, message: str) -> None:
    """What cannot be run is said without a traceback, and no database is made."""
    result = terminal("run", handler)

    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not terminal.db.exists()


def test_a_handler_may_be_an_attribute_of_something(terminal: Terminal) -> None:
    """Dots lead from one object to the next."""
    assert terminal.run("Desk.handler").exit_code == 0
