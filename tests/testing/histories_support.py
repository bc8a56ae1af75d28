"""Running a handler and keeping its history."""

from __future__ import annotations

from typing import Any

from support.runs import run

from durable_trio.testing.histories import History
from durable_trio.testing.histories_recording import history_of


async def recorded(handler: Any, event: Any = None, **options: Any) -> History:
    """Run *handler* to its end on the local service and return the history."""
    ran = await run(handler, event, **options)
    return history_of(ran.events, ran.operations, ran.description.arn)
