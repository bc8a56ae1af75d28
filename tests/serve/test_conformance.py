"""AWS's conformance requirements, judged by a harness that knows nothing of us, over HTTP and in real time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conformance.stage import data_folder
from serve.calls import HERE, ROOT

HARNESS = data_folder().parent / "harness" / "run_conformance.py"

# Not 3-12: it gives a checkpoint one second of real time to arrive, which a busy machine does not keep.
# What the in-process suite cannot see: processes that die, answers from outside, invokes, and one of each other kind.
FEW = ("1-11", "1-17", "1-18", "2-3", "3-10", "4-1", "4-5", "4-9", "5-1", "5-5", "6-6", "7-9", "8-1", "9-15")


@pytest.mark.slow
@pytest.mark.skipif(not HARNESS.exists(), reason=f"no conformance harness at {HARNESS}")
def test_the_harness_is_content_with_service_and_sdk(tmp_path: Path) -> None:
    """Histories, results and logs are as AWS demands, without anything that the harness would have to add.

    A few requirements of each kind; all of them if ``DURABLE_TRIO_CONFORMANCE_ALL`` is set.
    """
    report = tmp_path / "report.json"
    chosen = () if os.environ.get("DURABLE_TRIO_CONFORMANCE_ALL") else ("--id", *FEW)
    run = subprocess.run(
        [
            *(sys.executable, str(HARNESS), "--requirements", str(data_folder())),
            *("--service", f"{HERE / 'conformance_service.py'}:OurService", "--raw-history"),
            *("--sdk", str(ROOT / "tests" / "conformance" / "handlers.py")),
            *("--sdk-python", sys.executable, "--sdk-path", str(ROOT)),
            *("--jobs", "6", "--report", str(report), "--verbose", *chosen),
        ],
        cwd=HARNESS.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    total = json.loads(report.read_text(encoding="utf-8"))["summary"]["TOTAL"]
    assert total["FAIL"] == total["SKIP"] == 0
    assert total["PASS"] >= len(FEW)
