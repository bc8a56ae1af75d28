"""The command line as tests use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from durable_trio.cli.main import commands

WORKFLOWS = Path(__file__).with_name("workflows.py")


@dataclass
class Terminal:
    """The command line on one database, in this process (call it) or in another (``start``)."""

    db: Path
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def __call__(self, *arguments: str, stdin: str | None = None) -> Result:
        """Run a command in this process."""
        return CliRunner().invoke(commands, [*arguments, "--db", str(self.db)], input=stdin)

    def run(self, handler: str, *options: str, stdin: str | None = None) -> Result:
        """Run one of the workflows in this process."""
        return self("run", f"{WORKFLOWS}:{handler}", *options, stdin=stdin)

    def json(self, *arguments: str) -> Any:
        """Run a command with ``--json``, which must succeed, and return the document."""
        result = self(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command in another process."""
        process = subprocess.Popen(
            [sys.executable, "-m", "durable_trio", *arguments, "--db", str(self.db)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )
        self.processes.append(process)
        return process


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Return the first line that *process* prints with *words* in it."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if words in line:
            return line
    assert process.stderr is not None
    raise AssertionError(f"{words!r} was never printed:\n{''.join(seen)}{process.stderr.read()}")
