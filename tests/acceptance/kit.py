"""Run a handler to its end, as a user's test would, and look at what was sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from durable_trio import Duration
from durable_trio.testing import DurableRunner, RunResult

__all__ = ["run", "sent"]


def run(
    handler: Any, event: Any = None, *, answers: Mapping[str, Any] | None = None, **options: Any
) -> RunResult:
    """Run *handler* in virtual time. *answers*: what each callback is answered with, a second after it is there."""
    runner = DurableRunner(handler, check_determinism=False, **options)
    for name, answer in (answers or {}).items():
        handle = runner.callback(name)
        if isinstance(answer, BaseException):
            handle.fail(answer, after=Duration.seconds(1))
        else:
            handle.succeed(answer, after=Duration.seconds(1))
    return runner.run_sync(event)


def sent(finished: RunResult, name: str) -> list[Any]:
    """Return the updates that were sent for the operations of this name (or subtype), in order."""
    return [
        update for call in finished.calls for update in call.updates if name in (update.name, update.sub_type)
    ]
