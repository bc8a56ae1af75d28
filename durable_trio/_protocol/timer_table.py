"""The timers of one execution.

A timer is known by its kind and operation, so setting it again moves it. It keeps its period, because a
heartbeat starts it over. The timer that ends first is asked for one at a time, because ending one may stop or
start others; the service stamps what a timer ends with *its* instant, however late it looks.

The heap may hold entries of timers that were moved or cleared since; ``_due_at`` is the truth.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

from durable_trio._protocol.value_class import frozen_dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator


class TimerKind(StrEnum):
    """What happens when a timer ends."""

    __hash__ = str.__hash__  # that of enums is a Python function, and they are keys everywhere

    # In the order in which timers that are due in the same millisecond fire: what the function waits for
    # comes before the time-outs that would cut it short.
    WAIT_END = "1-wait-end"
    RETRY_READY = "2-retry-ready"
    INVOCATION_DUE = "3-invocation-due"
    CALLBACK_HEARTBEAT = "4-callback-heartbeat"
    CALLBACK_TIMEOUT = "5-callback-timeout"
    EXECUTION_TIMEOUT = "6-execution-timeout"


class TimerKey(NamedTuple):
    """Which timer of an execution; *operation_id* is empty for the execution's own."""

    kind: TimerKind
    operation_id: str = ""


@frozen_dataclass(frozen=True, slots=True)
class Timer:
    """A running timer: when it ends (epoch milliseconds) and how long it was set for."""

    key: TimerKey
    due_at: int
    period_seconds: float


@dataclass(slots=True)
class TimerTable:
    """The running timers of one execution."""

    _timers: dict[TimerKey, Timer] = field(default_factory=dict)
    _heap: list[tuple[int, TimerKey]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._timers)

    def __iter__(self) -> Iterator[Timer]:
        return iter(self._timers.values())

    def __contains__(self, key: TimerKey) -> bool:
        return key in self._timers

    def get(self, key: TimerKey) -> Timer | None:
        """Return the running timer *key*, if there is one."""
        return self._timers.get(key)

    def set(self, timer: Timer) -> None:
        """Start *timer*, in place of one with the same key."""
        self._timers[timer.key] = timer
        heappush(self._heap, (timer.due_at, timer.key))

    def clear(self, key: TimerKey) -> bool:
        """Stop a timer; tell whether it was running."""
        return self._timers.pop(key, None) is not None

    def next_due(self) -> Timer | None:
        """Return the timer that ends first."""
        while self._heap:
            due_at, key = self._heap[0]
            timer = self._timers.get(key)
            if timer is not None and timer.due_at == due_at:
                return timer
            heappop(self._heap)
        return None
