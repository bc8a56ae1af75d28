"""Deleting executions whose retention is over.

It is done on the way, by whatever transaction comes next, in portions: a service that has nothing to do is not woken for
it (on virtual time, its clock would jump there), and one that has much to delete does not stand still. When the next execution expires is
looked up once and then kept up to date; an execution that another process ends in the meantime is found a day later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from durable_trio._protocol.execution_record import ExecutionRecord
    from durable_trio.local.store import Store

_DAY_MS: Final = 86_400_000
_MOST_AT_ONCE: Final = 100


class Retention:
    """Knows when the next execution is to be deleted."""

    def __init__(self) -> None:
        self._next_at: int | None = None

    def is_due(self, store: Store, now: int) -> bool:
        """Tell whether there is something to delete at *now*."""
        if self._next_at is None:
            self._look_up(store, now)
        return self._next_at is not None and self._next_at <= now

    def sweep(self, store: Store, now: int) -> list[str]:
        """Delete what has expired, or as much of it as one transaction should, and return the ids."""
        deleted = store.delete_expired(now, _MOST_AT_ONCE)
        self._look_up(store, now)
        return deleted

    def note_end(self, record: ExecutionRecord) -> None:
        """Take note that an execution has ended."""
        if record.ended_at is not None and self._next_at is not None:
            self._next_at = min(self._next_at, record.ended_at + record.identity.retention_days * _DAY_MS)

    def _look_up(self, store: Store, now: int) -> None:
        next_at = store.next_expiry_at()
        tomorrow = now + _DAY_MS
        self._next_at = tomorrow if next_at is None else min(next_at, tomorrow)
