"""One handler for each of AWS's conformance requirements, written as a user of durable_trio would write it.

``HANDLERS`` maps requirement ids to Lambda entry points, ``TARGETS`` holds the functions that some of them
invoke by name, ``NOT_IMPLEMENTED`` says why an id is missing. A conformance runner loads this file by its path.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

# Found by the line above when this file is loaded by its path.
from conformance.suites import (
    callback,
    child,
    invoke,
    map,  # noqa: A004  # named after its suite
    parallel,
    plugin,
    step,
    wait,
    wait_for_callback,
    wait_for_condition,
)

_SUITES = (step, wait, child, callback, invoke, wait_for_condition, wait_for_callback, parallel, map, plugin)

HANDLERS = {requirement: handler for suite in _SUITES for requirement, handler in suite.HANDLERS.items()}
TARGETS = invoke.TARGETS
NOT_IMPLEMENTED: dict[str, str] = {}
