from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cli.terminals import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A terminal with an empty database; its processes are ended with the test."""
    terminal = Terminal(tmp_path / "executions.sqlite")
    yield terminal
    for process in terminal.processes:
        if process.poll() is None:
            process.kill()
        process.communicate()
