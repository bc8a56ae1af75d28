from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MEANT_TO_FAIL = "test_it_is_charged_once_whatever_crashes"
"""Shows what the explorer finds; the page checks the finding itself."""


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/testing.md"])
def test_the_tests_on_a_page_pass(page: str, tmp_path: Path) -> None:
    """What a page shows as tests are tests: pytest collects them, with the fixtures as users have them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = [block.partition("\n```")[0] for block in text.split("```python\n")[1:]]
    (tmp_path / "test_page.py").write_text("\n\n".join(blocks), encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\ntrio_mode = true\n", encoding="utf-8")
    finished = subprocess.run(
        [
            *[sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"],
            *["-p", "no:durable_trio", "-p", "durable_trio.testing.pytest_plugin", str(tmp_path)],
            *["-k", f"not {MEANT_TO_FAIL}"],
        ],
        capture_output=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert " passed" in finished.stdout
