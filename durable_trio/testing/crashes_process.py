"""An invocation as a process that can be killed.

Lambda's processes die without a word: no ``finally`` block gets anything done, nothing reaches the service any more.
In one Python process that can only be played. From the moment of death

- everything of the invocation is cancelled at once, worker threads are joined;
- calls of its client get no further (``Process.gate``), effects it notes do not count (``EffectLog``), and whatever it
  answers or raises, the service sees an invocation that crashed.

So ``finally`` blocks of the user's do run, but nobody hears of it. What they do to plain Python objects that the test
shares with the workflow does stay.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

current_process: ContextVar[Process | None] = ContextVar("durable_trio_current_process", default=None)
"""The process that the running code belongs to; None outside the explorer and the simulator."""


class Killed(Exception):  # noqa: N818  # what happened, not what is wrong
    """What the service sees of an invocation whose process was killed."""


class Process:
    """One invocation, until it is over or killed."""

    def __init__(self) -> None:
        self.is_dead = False
        self._scope = trio.CancelScope()

    def __repr__(self) -> str:
        return f"<Process {'killed' if self.is_dead else 'alive'}>"

    def kill(self) -> None:
        """End everything of the invocation at once."""
        self.is_dead = True
        self._scope.cancel("killed")

    async def die(self) -> None:
        """Kill the process that the caller is part of: never returns."""
        self.kill()
        await trio.sleep_forever()

    async def gate(self) -> None:
        """Let only the living pass: everyone else waits for the end of the cancellation."""
        if self.is_dead:
            await trio.sleep_forever()

    async def run(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Run the invocation *call* as this process and return its answer.

        Raises:
            Killed: it was killed on the way, whatever it answered or raised then.
        """
        token = current_process.set(self)
        answer: Any = None
        try:
            with self._scope:
                answer = await call()
        except Exception:
            if not self.is_dead:
                raise
        finally:
            current_process.reset(token)
        if self.is_dead:
            raise Killed("the process of this invocation was killed")
        return answer
