"""When the service has to look at which execution next.

The truth about timers is in the records; this queue says which of the executions that this service drives is due
first. An execution that has ended must leave it: the owner sleeps until the next entry, and on virtual time a
forgotten one would be where the clock jumps to.

The heap may hold entries that were moved or removed since; ``_due_at`` says which ones count.
"""

from __future__ import annotations

from heapq import heappop, heappush


class DueQueue:
    """Executions by the time of their next timer (epoch milliseconds)."""

    def __init__(self) -> None:
        self._due_at: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def __repr__(self) -> str:
        return f"<DueQueue {len(self._due_at)} executions, next at {self.next_at()}>"

    def put(self, execution_id: str, due_at: int | None) -> None:
        """Have an execution looked at when it is *due_at*, and not before; None: not at all."""
        if due_at is None:
            self._due_at.pop(execution_id, None)
        elif self._due_at.get(execution_id) != due_at:
            self._due_at[execution_id] = due_at
            heappush(self._heap, (due_at, execution_id))

    def next_at(self) -> int | None:
        """Return when the next look is due; None if there is nothing to wait for."""
        while self._heap:
            due_at, execution_id = self._heap[0]
            if self._due_at.get(execution_id) == due_at:
                return due_at
            heappop(self._heap)
        return None

    def due(self, now: int) -> list[str]:
        """Take out and return the executions to look at *now*, the longest due first."""
        found = []
        while (due_at := self.next_at()) is not None and due_at <= now:
            _, execution_id = heappop(self._heap)
            del self._due_at[execution_id]
            found.append(execution_id)
        return found
