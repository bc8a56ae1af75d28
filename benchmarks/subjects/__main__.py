"""One measurement in a process of its own: ``python -m benchmarks.subjects SUBJECT WORKLOAD [--audit]``.

Prints one line of JSON.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import traceback
from typing import Any

from benchmarks.measuring import Measurement, first_invocation, import_ms, measure
from benchmarks.stub import Void
from benchmarks.work import Workload, from_members


def main() -> None:
    """Measure what the arguments name."""
    name, text = sys.argv[1:3]
    workload = from_members(json.loads(text))
    try:
        outcome = _outcome(name, workload, audit="--audit" in sys.argv[3:])
    except Void as reason:
        outcome = {"void": str(reason)}
    except Exception:  # noqa: BLE001 - a subject may fail in any way, and the others go on
        outcome = {"void": traceback.format_exc()}
    print(json.dumps(outcome))


def _outcome(name: str, workload: Workload, *, audit: bool) -> dict[str, Any]:
    started = time.perf_counter()
    subject = importlib.import_module(f"benchmarks.subjects.{name}")
    match workload.kind:
        case "import":
            return import_ms(subject.IMPORT)
        case "first_invocation":
            return first_invocation(started, subject.first_invocation())
        case "resume_virtual":
            measurement: Measurement = subject.resume_virtual(workload)
            return measurement.as_members()
        case "local_steps" | "local_map":
            measurement = subject.local(workload)
            return measurement.as_members()
        case _:
            return measure(subject, workload, audit=audit)


if __name__ == "__main__":
    main()
