"""The command line of ``serve``: what it takes, what it refuses, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from serve.calls import HERE
from serve.servers import free_port

from durable_trio.cli.main import commands
from durable_trio.cli.serve_run import ServeRequest, run_until_signal

CHAT = f"{HERE}/our_functions.py:chat"


def run(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(commands, ["serve", *arguments])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "there is nothing to serve: name a handler, like app.py:handler, or a --config"),
        (("our_functions.py",), "'our_functions.py' names no handler"),
        (("nothing.py:f",), "there is no file"),
        ((CHAT, "--virtual-time", "--speed", "2"), "choose one of them"),
        ((CHAT, "--speed", "-1"), "speed must be positive"),
        ((CHAT, "--reload-dir", "."), "--reload-dir has no effect without --reload"),
        ((f"chat={CHAT}", f"chat={CHAT}"), "'chat'"),
        ((f"a b={CHAT}",), "function_name must be 1 to 64"),
        ((CHAT, "--config", "nothing.toml"), "cannot read --config nothing.toml"),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    """What cannot be served is refused, with exit code 2."""
    result = run(*arguments, "--db", str(tmp_path / "db.sqlite"), "--port", "0")

    assert result.exit_code == 2, result.output
    (line,) = result.output.splitlines()
    assert message in line


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    """In one line, with the port in it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = run(CHAT, "--port", port, "--db", str(tmp_path / "db.sqlite"))

    assert result.exit_code == 2
    assert port in result.output.splitlines()[-1]


def test_help_names_the_defaults() -> None:
    """They are the ones that are used."""
    text = " ".join(run("--help").output.split())
    request = ServeRequest(functions=())

    for default in (request.host, request.port, request.db, request.region):
        assert f"default: {default}]" in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    """With exit code 0; the options of the command line go over the file's."""
    port = free_port()
    config = tmp_path / "functions.toml"
    config.write_text(
        '[service]\nport = 1\nregion = "eu-north-1"\n[functions.far]\nurl = "http://127.0.0.1:1"\n'
    )

    def end() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionError:
                time.sleep(0.01)
        else:
            return
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=end)
    thread.start()
    try:
        result = run(
            f"plain={HERE}/our_functions.py:plain",
            *("--config", str(config), "--port", str(port), "--db", str(tmp_path / "db.sqlite")),
            *("--workers", "2", "--virtual-time"),
        )
    finally:
        thread.join()

    assert result.exit_code == 0, result.output
    assert "Stopped. Start it again, and unfinished executions go on." in result.output
    with sqlite3.connect(tmp_path / "db.sqlite") as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()


def test_what_is_a_bug_is_seen_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors that the user can do nothing about leave as they are."""

    async def break_down(_request: ServeRequest) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("durable_trio.cli.serve_run._serve", break_down)
    with pytest.raises(RuntimeError, match="a bug"):
        run_until_signal(ServeRequest(functions=()))
