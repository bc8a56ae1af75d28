"""The end of an invocation's time, met in good order.

Lambda kills an invocation whose time is up, and the next one starts every interrupted body again: a step that
is longer than an invocation would loop for ever. So a margin before the end (5 seconds, or a fifth of the time
if that is less) the invocation is brought to rest:

1. Nothing new starts: whoever asks for a new operation is held back, and counts as parked.
2. Running bodies of steps are cancelled. Each records its attempt as failed, with the delay its strategy
   chooses, or as failed for good: attempts are used up. A body in a worker thread cannot be cancelled; it is
   abandoned, with a log line.
3. When everything is recorded the invocation suspends, whatever else still runs. It answers PENDING if the
   service has something to wake the execution by; else it raises, and Lambda invokes again.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from durable_trio._runtime.supervisor import Supervisor
    from durable_trio._runtime.writer import CheckpointWriter

DEFAULT_MARGIN_SECONDS: Final = 5.0
MAX_MARGIN_SHARE: Final = 0.2

REASON: Final = "the time of this invocation is up"


class Deadline:
    """Brings an invocation to rest before Lambda kills it.

    *remaining_seconds* is what Lambda leaves at the start (None: no limit is known, and nothing is done).
    """

    def __init__(
        self,
        remaining_seconds: float | None,
        margin_seconds: float | None,
        supervisor: Supervisor,
        writer: CheckpointWriter,
    ) -> None:
        self._supervisor = supervisor
        self._writer = writer
        self._margin_seconds = 0.0
        self._bodies: set[trio.CancelScope] = set()
        self._no_bodies = trio.Event()
        self.at: float | None = None
        self.has_passed = False
        if remaining_seconds is not None:
            if margin_seconds is None:
                margin_seconds = min(DEFAULT_MARGIN_SECONDS, MAX_MARGIN_SHARE * remaining_seconds)
            self._margin_seconds = margin_seconds
            self.at = trio.current_time() + max(0.0, remaining_seconds - margin_seconds)

    def watch_body(self, *, shield: bool = False) -> AbstractContextManager[trio.CancelScope | None]:
        """Return what to run a step's body in: it is cancelled when the time is up, even if shielded."""
        return nullcontext() if self.at is None else _Body(self, shield=shield)

    def add(self, scope: trio.CancelScope) -> None:
        """Take note of a body that runs."""
        self._bodies.add(scope)
        if self.has_passed:
            scope.cancel(REASON)

    def discard(self, scope: trio.CancelScope) -> None:
        """Take note of a body that has ended."""
        self._bodies.discard(scope)
        if not self._bodies:
            self._no_bodies.set()

    async def run(self) -> None:
        """Wait for the time to be up, bring the invocation to rest, and suspend it."""
        if self.at is None:
            return
        await trio.sleep_until(self.at)
        self.has_passed = True
        if self._bodies:
            for scope in list(self._bodies):
                scope.cancel(REASON)
            with trio.move_on_after(self._margin_seconds / 2):  # a body may shield itself
                await self._no_bodies.wait()
        # Bodies have ended; what their steps record about it is queued before the writer is next idle.
        await self._writer.drained()
        self._supervisor.suspend(REASON)


class _Body:
    """A cancel scope that the deadline knows about."""

    __slots__ = ("_deadline", "_scope")

    def __init__(self, deadline: Deadline, *, shield: bool) -> None:
        self._deadline = deadline
        self._scope = trio.CancelScope(shield=shield)

    def __enter__(self) -> trio.CancelScope:
        self._deadline.add(self._scope)
        return self._scope.__enter__()

    def __exit__(self, *exc_info: object) -> bool | None:
        self._deadline.discard(self._scope)
        return self._scope.__exit__(*exc_info)  # type: ignore[arg-type]  # passed through as given
