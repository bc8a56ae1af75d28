"""``record``, ``replay`` and ``diff``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.terminals import WORKFLOWS, Terminal

CHANGED = """
from durable_trio import durable_execution

def shout(text):
    return text.upper()

@durable_execution
async def greet(event, ctx):
    print("replaying")
    return {"greeting": await ctx.step(shout, "x", name="whisper")}

@durable_execution
async def in_set_order(event, ctx):
    names = {f"name-{number}" for number in range(20)}
    return sorted([await ctx.step(shout, name, name=name) for name in names])

def redact(payload, place):
    return payload.replace("ada", "***").replace("ADA", "***")

nothing = 7
"""


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """A file with other workflows."""
    path = tmp_path / "changed.py"
    path.write_text(CHANGED)
    return path


@pytest.fixture
def history(terminal: Terminal, tmp_path: Path) -> Path:
    """The recorded history of ``greet``."""
    terminal.run("greet", "--name", "demo", "--input-json", '{"name":"ada"}')
    path = tmp_path / "demo.json"
    result = terminal("record", "demo", str(path))
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{path}: SUCCEEDED, 5 events\n"
    return path


def test_record_writes_a_file_once(terminal: Terminal, history: Path) -> None:
    """Unless it is forced to replace it; an unknown execution is exit code 3."""
    assert json.loads(history.read_text())["Format"] == "durable_trio.history"

    assert terminal("record", "demo", str(history)).exit_code == 2
    assert terminal.json("record", "demo", str(history), "--force")["Events"] == 5
    assert terminal("record", "other", str(history), "--force").exit_code == 3
    assert terminal("record", "demo", str(history / "x" / "y.json")).exit_code == 2


def test_record_can_redact(terminal: Terminal, history: Path, changed: Path) -> None:
    """A function of the user's sees every payload."""
    result = terminal("record", "demo", str(history), "--force", "--redact", f"{changed}:redact")

    assert result.exit_code == 0, result.stderr
    assert "ada" not in history.read_text().lower()
    assert json.loads(history.read_text())["Redacted"] is True
    assert (
        terminal("record", "demo", str(history), "--force", "--redact", f"{changed}:nothing").exit_code == 2
    )


def replay(terminal: Terminal, *arguments: str) -> tuple[int, str, str]:
    """Run ``replay``, which has no database."""
    from click.testing import CliRunner

    from durable_trio.cli.main import commands

    result = CliRunner().invoke(commands, ["replay", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_replay_of_unchanged_code(terminal: Terminal, history: Path) -> None:
    """Exit code 0, and how much was replayed."""
    code, stdout, _ = replay(terminal, str(history), f"{WORKFLOWS}:greet")
    assert (code, stdout) == (0, f"{history} replays: 1 operations, replayed from 2 points\n")

    code, stdout, _ = replay(terminal, str(history), f"{WORKFLOWS}:greet", "--json", "--seed", "3")
    assert code == 0
    assert json.loads(stdout)["Replays"] is True


def test_replay_reads_what_history_prints(terminal: Terminal, history: Path, tmp_path: Path) -> None:
    """The service's own JSON will do."""
    (tmp_path / "aws.json").write_text(terminal("history", "demo", "--json").stdout)

    assert replay(terminal, str(tmp_path / "aws.json"), f"{WORKFLOWS}:greet")[0] == 0


def test_replay_of_changed_code(terminal: Terminal, history: Path, changed: Path) -> None:
    """Exit code 1, the difference and the line on stderr; what the handler prints is no part of stdout."""
    code, stdout, stderr = replay(terminal, str(history), f"{changed}:greet")
    assert (code, stdout) == (1, "")
    assert "name: recorded 'shout', now 'whisper'" in stderr
    assert f"{changed}:10 in greet" in stderr

    code, stdout, _ = replay(terminal, str(history), f"{changed}:greet", "--json")
    document = json.loads(stdout)
    assert code == 1
    assert document["Replays"] is False
    assert document["OperationName"] == "whisper"
    assert (document["File"], document["Line"]) == (str(changed), 10)


def test_replay_refuses_what_it_cannot_read(terminal: Terminal, history: Path, changed: Path) -> None:
    """No file, no history, no handler: one line, exit code 2."""
    for arguments in (
        ("missing.json", f"{WORKFLOWS}:greet"),
        (str(changed), f"{WORKFLOWS}:greet"),
        (str(history), f"{WORKFLOWS}:not_durable"),
        (str(history), f"{WORKFLOWS}:nowhere"),
    ):
        code, stdout, stderr = replay(terminal, *arguments)
        assert (code, stdout) == (2, "")
        assert stderr.startswith("Error: ")
        assert stderr.count("\n") == 1


@pytest.mark.slow
def test_hash_seeds_find_the_order_of_a_set(terminal: Terminal, changed: Path, tmp_path: Path) -> None:
    """The history replays in one process, and not in another."""
    assert terminal("run", f"{changed}:in_set_order", "--name", "sets").exit_code == 0
    history = tmp_path / "sets.json"
    assert terminal("record", "sets", str(history)).exit_code == 0

    code, _, stderr = replay(terminal, str(history), f"{changed}:in_set_order", "--hash-seeds", "2")

    assert code == 1
    assert "name: recorded 'name-" in stderr


@pytest.mark.slow
def test_hash_seeds_let_a_sound_handler_pass(terminal: Terminal, history: Path) -> None:
    """Other processes replay it as well."""
    assert replay(terminal, str(history), f"{WORKFLOWS}:greet", "--hash-seeds", "1")[0] == 0


def test_diff_of_the_same(terminal: Terminal, history: Path) -> None:
    """An execution and its recorded history are the same: exit code 0."""
    result = terminal("diff", str(history), "demo")
    assert (result.exit_code, result.stdout) == (0, "the same: 1 operations\n")
    assert terminal.json("diff", "demo", str(history)) == {"Same": True, "Differences": []}
    assert "shout  Step" in terminal("diff", "demo", "demo", "--full").stdout


def test_diff_of_others(terminal: Terminal, history: Path, changed: Path) -> None:
    """Operations are aligned by id; what differs is told, member by member; exit code 1."""
    terminal.run("greet", "--name", "other", "--input-json", '{"name":"bob"}')
    terminal.run("fails", "--name", "bad")
    terminal("run", f"{changed}:in_set_order", "--name", "longer")

    result = terminal("diff", str(history), "other")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "~ execution  Execution",
        '    result: {"greeting":"ADA"} -> {"greeting":"BOB"}',
        '    input: {"name":"ada"} -> {"name":"bob"}',
        "~ shout  Step",
        '    result: "ADA" -> "BOB"',
    ]
    shown = terminal("diff", str(history), "bad").stdout
    assert "    status: SUCCEEDED -> FAILED" in shown
    assert "    error: none -> ValueError: no such order" in shown
    longer = json.loads(terminal("diff", "demo", "longer", "--json").stdout)["Differences"]
    assert [each["Change"] for each in longer].count("ONLY_SECOND") == 19
    shorter = json.loads(terminal("diff", "longer", "demo", "--json").stdout)["Differences"]
    assert [each["Change"] for each in shorter].count("ONLY_FIRST") == 19


def test_diff_refuses_what_is_not_there(terminal: Terminal, history: Path) -> None:
    """Neither a file nor an execution: exit code 3."""
    assert terminal("diff", str(history), "nobody").exit_code == 3
    assert terminal("diff", "nowhere.json", "demo").exit_code == 3
