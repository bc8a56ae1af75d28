"""Tells who keeps an otherwise parked invocation from suspending.

An actor that is blocked on a plain Trio thing (an Event, a channel, a sleep outside of a step) counts as running:
that may be real work. But it is also the most likely mistake: an event that will only be set by an operation
that waits for the service, a ``trio.sleep`` where a durable wait was meant. Nothing is wrong with the record, so
the invocation goes on; a warning names the task and the line, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from durable_trio._runtime.node import current_node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STALL_SECONDS: Final = 5.0
"""How long an invocation may stand like that before it is reported."""

_OURS: Final = ("/durable_trio/_runtime/", "/trio/_", "/outcome/_", "/contextlib.py", "/anyio/")


class StallWatch:
    """Asks, some time after an actor has parked, whether anything but plain blocking holds the invocation.

    *is_held* says so; *report* is called with where the blocked tasks stand, once.
    """

    def __init__(self, is_held: Callable[[], bool], report: Callable[[list[str]], None]) -> None:
        self._is_held = is_held
        self._report = report
        self._is_over = False
        self._handler: trio.lowlevel.Task | None = None
        self.at: float | None = None

    def watch(self, handler: trio.lowlevel.Task) -> None:
        """Say which task runs the handler."""
        self._handler = handler

    def note_parked(self) -> None:
        """Look again in a while: something has just happened."""
        if not self._is_over:
            self.at = trio.current_time() + STALL_SECONDS

    def look(self) -> None:
        """Report, if it is time to and the invocation is held."""
        if self.at is None or trio.current_time() < self.at:
            return
        self.at = None
        places = list(_blocked_places(self._handler)) if self._handler and self._is_held() else []
        if places:
            self._is_over = True
            self._report(places)


def _blocked_places(task: trio.lowlevel.Task) -> Iterator[str]:
    """Give the places where the bodies of contexts stand, at or below *task*, that are not in an operation."""
    node = task.context.get(current_node)
    if node is not None and node.owner is task and node.busy_with is None:
        yield f"{task.name} at {_place(task)}"
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from _blocked_places(child)


def _place(task: trio.lowlevel.Task) -> str:
    """Return the innermost line of the task that is neither ours nor Trio's."""
    place = "an unknown place"
    for frame, line in task.iter_await_frames():
        filename = frame.f_code.co_filename
        if not any(part in filename for part in _OURS):
            place = f"{filename}:{line} in {frame.f_code.co_name}"
    return place
