"""Invocations that are killed at a chosen checkpoint call: for tests that drive the service themselves.

Tests that can be told by a handler alone use ``durable_trio.testing.explore_crashes``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from durable_trio.clients import CheckpointResponse, ServiceClient
from durable_trio.testing._driver import PassingClient
from durable_trio.testing.crashes_process import Killed, Process

__all__ = ["Crash", "Crashing", "Killed"]


@dataclass(frozen=True)
class Crash:
    """Kill the invocation around the *call*-th checkpoint call of the whole execution (from 1)."""

    call: int
    when: Literal["before", "after"]


class Crashing:
    """A handler whose invocation is killed once, at a chosen checkpoint call."""

    def __init__(self, handler: Any, crash: Crash) -> None:
        self._handler = handler
        self._crash = crash
        self.calls = 0
        self.has_crashed = False

    async def invoke(self, event: Any, lambda_context: Any, *, client: ServiceClient) -> Any:
        """Run one invocation, and maybe kill it."""
        process = Process()
        killer = _KillingClient(client, self, process)
        return await process.run(lambda: self._handler.invoke(event, lambda_context, client=killer))

    def is_now(self, when: str) -> bool:
        """Tell whether to kill at this point."""
        return not self.has_crashed and self.calls == self._crash.call and when == self._crash.when


class _KillingClient(PassingClient):
    def __init__(self, inner: ServiceClient, crashing: Crashing, process: Process) -> None:
        super().__init__(inner)
        self._crashing = crashing
        self._process = process

    async def checkpoint(self, **request: Any) -> CheckpointResponse:
        self._crashing.calls += 1
        await self._maybe_die("before")
        response = await self.inner.checkpoint(**request)
        await self._maybe_die("after")
        return response

    async def _maybe_die(self, when: str) -> None:
        if self._crashing.is_now(when):
            self._crashing.has_crashed = True
            await self._process.die()
