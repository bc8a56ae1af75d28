from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cli.terminals import WORKFLOWS, Terminal, read_until

if TYPE_CHECKING:
    import subprocess


def start_asking(terminal: Terminal, handler: str = "asks") -> tuple[subprocess.Popen[str], str]:
    """Run a handler that waits for an answer; return its process and the callback's id."""
    process = terminal.start("run", f"{WORKFLOWS}:{handler}", "--name", "demo")
    hint = read_until(process, "waits for an answer: ")
    words = hint.split()
    return process, words[words.index("succeed") + 1]


def test_a_suspended_run_says_how_to_answer(terminal: Terminal) -> None:
    """The command it prints works from another terminal, and the run goes on."""
    process, id_ = start_asking(terminal)

    result = terminal("callback", "succeed", id_, "--result", '{"approved": true}')
    assert result.exit_code == 0, result.stderr
    out, err = process.communicate(timeout=10)
    assert process.returncode == 0, err
    assert 'result {"answer":{"approved":true}}' in out


def test_a_callback_is_found_by_its_name(terminal: Terminal) -> None:
    """``--execution`` and ``--callback`` are for humans, who do not remember ids."""
    process, _ = start_asking(terminal)

    result = terminal(
        "callback", "succeed", "--execution", "demo", "--callback", "approval", "--result", "{}"
    )
    assert result.exit_code == 0, result.stderr
    assert process.wait(timeout=10) == 0


def test_a_callback_may_fail(terminal: Terminal) -> None:
    """The handler gets the error, with its type and message."""
    process, id_ = start_asking(terminal)

    assert terminal.json("callback", "fail", id_, "--error-type", "Refused", "--error-message", "no") == {}
    out, _ = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "error Refused: no" in out


def test_a_heartbeat_leaves_a_callback_open(terminal: Terminal) -> None:
    """It says that somebody is at work; the answer comes later."""
    process, id_ = start_asking(terminal)

    assert terminal("callback", "heartbeat", id_).stdout == f"callback {id_} is alive\n"
    assert terminal.json("show", "demo")["Status"] == "RUNNING"
    assert terminal("callback", "succeed", id_, "--result", "{}").exit_code == 0
    assert process.wait(timeout=10) == 0


def test_a_callback_is_answered_once(terminal: Terminal) -> None:
    """The second answer is refused in one line."""
    process, id_ = start_asking(terminal)
    terminal("callback", "succeed", id_, "--result", "{}")
    process.communicate(timeout=10)
    result = terminal("callback", "succeed", id_, "--result", "{}")

    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1


def test_which_callback_must_be_clear(terminal: Terminal) -> None:
    """No such callback, several, or neither id nor name: each is said."""
    process, _ = start_asking(terminal, "asks_twice")

    several = terminal("callback", "succeed", "--execution", "demo")
    assert several.exit_code == 2
    assert "2 such callbacks" in several.stderr
    none = terminal("callback", "succeed", "--execution", "demo", "--callback", "third")
    assert none.exit_code == 3
    assert "it waits for first, second" in none.stderr
    for name in ("first", "second"):
        terminal("callback", "succeed", "--execution", "demo", "--callback", name, "--result", "1")
    out, _ = process.communicate(timeout=10)
    assert "result [1,1]" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["succeed"], "name the callback by its id"),
        (["succeed", "aWQ=", "--execution", "demo"], "name the callback by its id"),
        (["succeed", "aWQ=", "--callback", "approval"], "give --execution too"),
        (["succeed", "aWQ=", "--result", "yes"], "--result is not JSON"),
    ],
)
def test_wrong_options_are_one_line(terminal: Terminal, arguments: list[str], message: str) -> None:
    """Checked before the database is opened."""
    result = terminal("callback", *arguments)

    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_unknown_callback_is_not_found(terminal: Terminal) -> None:
    """One line, exit code 3."""
    terminal.run("greet")

    assert terminal("callback", "succeed", "bm9ib2R5").exit_code == 3
