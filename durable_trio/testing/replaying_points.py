"""From where a history is replayed.

A running execution may meet new code at any moment: it is suspended, the code is deployed, and the next invocation
replays what there was by then. So a history is replayed not only from its end, but from each moment at which an
invocation began.

That leaves out the bodies of contexts that began and ended within one invocation: later, their result stands for
them. So a replay also starts from the moment before each context was closed, which is what an invocation would find
that follows a crash there.

These are moments that did occur, or could have: the records are those of the history's first events, in the
order in which the service applied them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from durable_trio._protocol.history import EventType
from durable_trio.testing.histories_state import closes_context, type_and_status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from durable_trio._protocol.history import HistoryEvent
    from durable_trio.testing.histories import History

MAX_POINTS: Final = 200
"""How many points a history is replayed from, unless told otherwise ..."""
MIN_POINTS: Final = 20
MAX_REPLAYED: Final = 100_000
"""... or fewer, but not less than ``MIN_POINTS``, if more operations than this would have to be replayed in all."""

# Recorded together with their START in one request, so there is no moment before their end.
_VERDICTS: Final = frozenset({"All", "Any", "Cut", "Race", "Restart"})

_BY_THE_SERVICE: Final = frozenset(
    {
        EventType.WAIT_SUCCEEDED,
        EventType.CALLBACK_SUCCEEDED,
        EventType.CALLBACK_FAILED,
        EventType.CALLBACK_TIMED_OUT,
        EventType.CHAINED_INVOKE_SUCCEEDED,
        EventType.CHAINED_INVOKE_FAILED,
        EventType.CHAINED_INVOKE_TIMED_OUT,
        EventType.CHAINED_INVOKE_STOPPED,
    }
)


@dataclass(frozen=True, slots=True)
class ReplayPoint:
    """A moment of a history.

    Attributes:
        after_event: the id of the last event that had happened.
        label: what moment that is, for people.
        is_end: nothing of the history comes after it, except the end of the execution.
    """

    after_event: int
    label: str
    is_end: bool = False

    def __str__(self) -> str:
        return f"{self.label} (after event {self.after_event})"


def default_max_points(history: History) -> int:
    """Return from how many points at most to replay *history*: a replay costs time for each of its operations."""
    affordable = MAX_REPLAYED // max(1, len(history.operations()))
    return max(MIN_POINTS, min(MAX_POINTS, affordable))


def replay_points(history: History, max_points: int = MAX_POINTS) -> tuple[list[ReplayPoint], int]:
    """Return at most *max_points* points, in the order of time, and how many were left out.

    The end is always among them. What is left out are contexts first, then invocations, evenly.
    """
    end = _end(history)
    invocations = [
        point for point in _invocation_points(history.events) if point.after_event < end.after_event
    ]
    taken = {end.after_event} | {point.after_event for point in invocations}
    contexts = [point for point in _context_points(history.events) if point.after_event not in taken]
    room = max_points - 1
    kept = _spread(invocations, room)
    kept += _spread(contexts, room - len(kept))
    left_out = len(invocations) + len(contexts) - len(kept)
    return [*sorted(kept, key=lambda point: point.after_event), end], left_out


def _spread(points: list[ReplayPoint], most: int) -> list[ReplayPoint]:
    if len(points) <= most:
        return list(points)
    return [points[index * len(points) // most] for index in range(most)] if most > 0 else []


def _end(history: History) -> ReplayPoint:
    """The last moment before the execution ended, or the latest one."""
    last = history.events[0]
    for event in history.events:
        about = type_and_status(event)
        if about is not None and not event.type.startswith("Execution"):
            last = event
    return ReplayPoint(last.event_id, "the end", is_end=True)


def _invocation_points(events: Sequence[HistoryEvent]) -> Iterator[ReplayPoint]:
    number = 1
    yield ReplayPoint(events[0].event_id, "the start of invocation 1")
    for index, event in enumerate(events):
        if event.type is not EventType.INVOCATION_COMPLETED:
            continue
        number += 1
        after = index
        while after + 1 < len(events) and events[after + 1].type in _BY_THE_SERVICE:
            after += 1
        yield ReplayPoint(events[after].event_id, f"the start of invocation {number}")


def _context_points(events: Sequence[HistoryEvent]) -> Iterator[ReplayPoint]:
    for index, event in enumerate(events):
        if closes_context(event) and event.sub_type not in _VERDICTS:
            title = f"{event.sub_type or 'context'} {event.name!r}" if event.name else f"a {event.sub_type}"
            yield ReplayPoint(events[index - 1].event_id, f"the moment before {title} was closed")
