"""Live changes of an execution, for those who watch it.

A watcher gets every change in order, none lost: its channel has no bound, because the service must never wait for
somebody who looks on. What another process changes is told too, as far as it can be seen in the file: operations and
the end, but not the invocations of that process.
"""

from __future__ import annotations

import math
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias

import trio

from durable_trio._protocol.effects import (
    ExecutionClosed,
    InvocationEnded,
    InvocationStarted,
    OperationChanged,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from durable_trio._protocol.effects import (
        Effect,
    )
    from durable_trio._protocol.execution_record import (
        ExecutionRecord,
    )

__all__ = ["Change", "ExecutionClosed", "InvocationEnded", "InvocationStarted", "OperationChanged"]

Change: TypeAlias = OperationChanged | InvocationStarted | InvocationEnded | ExecutionClosed


class _Feed:
    """The watchers of one execution, and how far they have been told."""

    def __init__(self) -> None:
        self.channels: list[trio.MemorySendChannel[Change]] = []
        self.ends: list[trio.Event] = []
        self.told_change: int | None = None
        self.told_end = False


class Feeds:
    """Who watches which execution."""

    def __init__(self) -> None:
        self._feeds: dict[str, _Feed] = {}
        self.is_closed = False

    def __contains__(self, execution_id: str) -> bool:
        return execution_id in self._feeds

    def watched(self) -> list[str]:
        """Return the ids of the executions that somebody watches."""
        return list(self._feeds)

    @contextmanager
    def subscribe(self, execution_id: str) -> Iterator[trio.MemoryReceiveChannel[Change]]:
        """Give a channel that receives every change from now on."""
        send, receive = trio.open_memory_channel[Change](math.inf)
        feed = self._feeds.setdefault(execution_id, _Feed())
        feed.channels.append(send)
        try:
            with send, receive:
                yield receive
        finally:
            feed.channels.remove(send)
            self._drop(execution_id, feed)

    @contextmanager
    def until_closed(self, execution_id: str) -> Iterator[trio.Event]:
        """Give an event that is set when the execution ends, or the service does. Changes before that wake nobody."""
        ended = trio.Event()
        feed = self._feeds.setdefault(execution_id, _Feed())
        feed.ends.append(ended)
        try:
            yield ended
        finally:
            feed.ends.remove(ended)
            self._drop(execution_id, feed)

    def _drop(self, execution_id: str, feed: _Feed) -> None:
        if not feed.channels and not feed.ends:
            del self._feeds[execution_id]

    def close(self) -> None:
        """End every watcher's channel, and wake who waits for an end."""
        self.is_closed = True
        for feed in self._feeds.values():
            for channel in feed.channels:
                channel.close()
            for ended in feed.ends:
                ended.set()

    def missed(self, record: ExecutionRecord) -> list[Effect]:
        """Return what another process changed since the watchers were last told something."""
        feed = self._feeds.get(record.id)
        if feed is None or feed.told_change is None:
            return []
        missed: list[Effect] = [
            OperationChanged(entry.operation) for entry in record.changed_after(feed.told_change)
        ]
        if record.status.is_closed and not feed.told_end:
            missed.append(ExecutionClosed(record.status))
        return missed

    def publish(self, record: ExecutionRecord, effects: Sequence[Effect]) -> None:
        """Tell the watchers of an execution what has been committed."""
        feed = self._feeds.get(record.id)
        if feed is None:
            return
        for channel in feed.channels:
            # A watcher may hang up before its block ends.
            with suppress(trio.BrokenResourceError):
                for effect in effects:
                    if isinstance(effect, Change):
                        channel.send_nowait(effect)
        feed.told_change = record.change_number
        feed.told_end = record.status.is_closed
        if feed.told_end:
            for ended in feed.ends:
                ended.set()
