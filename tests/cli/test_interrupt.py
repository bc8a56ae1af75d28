from __future__ import annotations

import signal

import pytest
from cli.terminals import WORKFLOWS, Terminal, read_until


@pytest.mark.parametrize(("signal_number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_says_how_to_resume(
    terminal: Terminal, signal_number: signal.Signals, code: int
) -> None:
    """Ctrl-C and SIGTERM stop the driving, not the execution."""
    process = terminal.start("run", f"{WORKFLOWS}:sleeps", "--name", "demo")
    read_until(process, "wait nap STARTED")
    process.send_signal(signal_number)
    _, err = process.communicate(timeout=10)

    assert process.returncode == code
    assert err.startswith("Interrupted. Nothing recorded is lost; resume with: ")
    assert err.rstrip().endswith(f"run {WORKFLOWS}:sleeps --name demo --db {terminal.db}")
    assert terminal.json("show", "demo")["Status"] == "RUNNING"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_execution_is_resumed(terminal: Terminal, how: signal.Signals) -> None:
    """The same name goes on where it was, however the first process ended; finished steps are not repeated."""
    process = terminal.start("run", f"{WORKFLOWS}:asks", "--name", "demo")
    read_until(process, "waits for an answer")
    process.send_signal(how)
    process.communicate(timeout=10)

    result = terminal.run("asks", "--name", "demo", "--answer", 'approval={"by": "me"}')
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("execution demo resumed; ")
    assert "asked: " not in result.stdout
    assert result.stdout.endswith('result {"answer":{"by":"me"}}\n')


def test_a_resumed_execution_says_again_how_to_answer(terminal: Terminal) -> None:
    """Nothing is invoked, since nothing has changed; what it waits for is said all the same."""
    for _ in range(2):
        process = terminal.start("run", f"{WORKFLOWS}:asks", "--name", "demo")
        assert "durable-trio callback succeed" in read_until(process, "waits for an answer").replace(
            "python -m durable_trio", "durable-trio"
        )
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)


def test_an_execution_is_driven_by_one_process(terminal: Terminal) -> None:
    """A second one is told so, in one line; the first goes on."""
    process = terminal.start("run", f"{WORKFLOWS}:asks", "--name", "demo")
    read_until(process, "waits for an answer")
    result = terminal.run("asks", "--name", "demo")

    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert process.poll() is None
