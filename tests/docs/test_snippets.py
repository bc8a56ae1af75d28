"""Every Python block of the documentation runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def python_blocks(page: Path) -> list[str]:
    """Return the fenced Python blocks of *page*, in order."""
    blocks: list[str] = []
    inside: list[str] | None = None
    for line in page.read_text(encoding="utf-8").splitlines():
        if line == "```python":
            inside = []
        elif line == "```" and inside is not None:
            blocks.append("\n".join(inside))
            inside = None
        elif inside is not None:
            inside.append(line)
    return blocks


@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page)], ids=lambda page: page.stem)
def test_the_python_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    """The blocks of a page, one after the other, are a program that runs without errors or warnings."""
    program = tmp_path / f"{page.stem.replace('-', '_').lower()}_snippets.py"
    program.write_text("\n\n".join(python_blocks(page)), encoding="utf-8")
    finished = subprocess.run(
        [sys.executable, "-W", "error", str(program)],
        capture_output=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr


def test_links_between_pages_lead_somewhere() -> None:
    """A relative link in the documentation names a file of the project."""
    import re

    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
