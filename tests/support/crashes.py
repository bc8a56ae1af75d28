"""Invocations that are killed at a chosen checkpoint call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import trio

from durable_trio.clients import CheckpointResponse, ServiceClient, StatePage


class Killed(Exception):
    """What the service sees of an invocation whose process was killed."""


@dataclass(frozen=True)
class Crash:
    """Kill the invocation around the *call*-th checkpoint call of the whole execution (from 1)."""

    call: int
    when: Literal["before", "after"]


class Crashing:
    """A handler whose invocation is killed once, at a chosen checkpoint call.

    Killing is cancelling everything at once: nothing of the invocation gets another word to the service.
    """

    def __init__(self, handler: Any, crash: Crash) -> None:
        self._handler = handler
        self._crash = crash
        self.calls = 0
        self.has_crashed = False

    async def invoke(self, event: Any, lambda_context: Any, *, client: ServiceClient) -> Any:
        """Run one invocation, and maybe kill it."""
        with trio.CancelScope() as process:
            killer = _KillingClient(client, self, process)
            return await self._handler.invoke(event, lambda_context, client=killer)
        raise Killed

    def is_now(self, when: str) -> bool:
        """Tell whether to kill at this point."""
        return not self.has_crashed and self.calls == self._crash.call and when == self._crash.when


class _KillingClient:
    def __init__(self, inner: ServiceClient, crashing: Crashing, process: trio.CancelScope) -> None:
        self._inner = inner
        self._crashing = crashing
        self._process = process
        self.clock = getattr(inner, "clock", None)

    async def checkpoint(self, **request: Any) -> CheckpointResponse:
        self._crashing.calls += 1
        await self._maybe_die("before")
        response = await self._inner.checkpoint(**request)
        await self._maybe_die("after")
        return response

    async def get_state(self, **request: Any) -> StatePage:
        return await self._inner.get_state(**request)

    async def _maybe_die(self, when: str) -> None:
        if self._crashing.is_now(when):
            self._crashing.has_crashed = True
            self._process.cancel("killed")
            await trio.sleep_forever()
