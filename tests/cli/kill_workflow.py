"""The example, with a log of every step body that was run: who, which attempt, when.

The log is what the process did; the execution's history is what the service acknowledged. Comparing the two
tells whether anything was done twice that must not be.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from order_fulfilment import handler
from orders.desk import Desk

from durable_trio import current_step

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["handler"]

LOG = Path(os.environ["KILL_LOG"])


def _log() -> None:
    step = current_step()
    entry = {"id": step.operation_id, "name": step.name, "attempt": step.attempt, "at": time.time() * 1000}
    with LOG.open("a") as log:
        log.write(json.dumps(entry) + "\n")


def _logged(body: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(body):

        @functools.wraps(body)
        async def logged_async(*args: Any) -> Any:
            _log()
            return await body(*args)

        return logged_async

    @functools.wraps(body)
    def logged(*args: Any) -> Any:
        _log()
        return body(*args)

    return logged


for name in ("check", "price", "ask_for_approval", "charge", "pack", "write_manifest", "write_invoices"):
    setattr(Desk, name, _logged(getattr(Desk, name)))
