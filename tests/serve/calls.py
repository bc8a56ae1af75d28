"""Invocations for worker pools, and what a host prints."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from durable_trio.local.workers.conversation import Answered, Failed, Invocation, Outcome
from durable_trio.local.workers.functions import WorkerFunction
from durable_trio.local.workers.host import WorkerHost, open_worker_host
from durable_trio.local.workers.pool import WorkerPool

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENDPOINT = "http://127.0.0.1:1"


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is true outside this process, where nothing tells us."""
    with trio.fail_after(20):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.01)


def invocation(event: Any, **members: Any) -> Callable[[], Invocation]:
    """Return what makes an invocation with *event* that has a minute."""
    defaults: dict[str, Any] = {"request_id": str(uuid.uuid4()), "function_arn": "arn:function", **members}
    return lambda: Invocation(
        payload=json.dumps(event), deadline_at=round((time.time() + 60) * 1000), **defaults
    )


def value(outcome: Outcome) -> Any:
    """Return what the function answered."""
    assert isinstance(outcome, Answered), outcome
    return json.loads(outcome.payload)


def failure(outcome: Outcome | None) -> tuple[str | None, str | None]:
    """Return type and message of what went wrong."""
    assert isinstance(outcome, Failed), outcome
    return outcome.error.type, outcome.error.message


def function(handler: str, **options: Any) -> WorkerFunction:
    """Return one of ``lambda_functions``."""
    defaults = {"name": handler, "module": "lambda_functions", "attribute": handler, "directory": HERE}
    return WorkerFunction(**{**defaults, **options})


@dataclass
class Stage:
    """A host, and the lines that its workers printed: the request id and the text of each."""

    host: WorkerHost
    lines: list[tuple[str | None, str]] = field(default_factory=list)

    def pool(self, handler: str, **options: Any) -> WorkerPool:
        """Return a pool for one of ``lambda_functions``."""
        return self.host.pool(function(handler, **options))


@asynccontextmanager
async def open_stage(**options: Any) -> AsyncIterator[Stage]:
    """Run a host whose workers are told ``ENDPOINT``."""
    lines: list[tuple[str | None, str]] = []

    def on_line(_function: WorkerFunction, about: Invocation | None, text: str) -> None:
        lines.append((None if about is None else about.request_id, text))

    async with open_worker_host("eu-central-1", on_line=on_line, **options) as host:
        host.announce(ENDPOINT)
        yield Stage(host, lines)
