from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from durable_trio.cli.main import commands


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["run"],
        ["list"],
        ["show"],
        ["history"],
        ["logs"],
        ["invoke"],
        ["pause"],
        ["resume"],
        ["stop"],
        ["record"],
        ["replay"],
        ["diff"],
        ["delete"],
        ["callback"],
        ["callback", "succeed"],
        ["callback", "fail"],
        ["callback", "heartbeat"],
    ],
)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    """``--help`` shows how the command is used."""
    result = CliRunner().invoke(commands, [*command, "--help"])

    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert " ".join(["durable-trio", *command]) in result.stdout


def test_without_the_extra_it_says_what_to_install() -> None:
    """Missing packages are one line and exit code 2."""
    script = "import sys; sys.modules['click'] = None\nfrom durable_trio.cli import main\nmain()"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert result.returncode == 2
    assert result.stderr == "durable-trio needs more packages: pip install 'durable_trio[local]'\n"
    assert result.stdout == ""


def test_the_module_can_be_run() -> None:
    """``python -m durable_trio`` is the same program."""
    result = subprocess.run(
        [sys.executable, "-m", "durable_trio", "--help"], capture_output=True, text=True, check=False
    )

    assert result.returncode == 0
    assert "durable-trio" in result.stdout
