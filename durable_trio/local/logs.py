"""What functions have printed, kept with the execution they did it for.

A log is for people. It belongs to the execution's data and goes with it, but nothing is decided by it, and it is no
part of the history. Lines are in the order in which they arrived.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio._protocol.opaque import is_place, marker_places, page_marker
from durable_trio._protocol.pages import page_size
from durable_trio._protocol.value_class import frozen_dataclass
from durable_trio.local.errors import InvalidParameterValue
from durable_trio.local.views import Page

if TYPE_CHECKING:
    from durable_trio.local.store import Store

__all__ = ["LogLine"]


@frozen_dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a function has printed.

    Attributes:
        at: when, in epoch milliseconds.
        text: the line, without its end.
        request_id: the invocation that printed it, if that is known.
        function_name: the function that printed it; another than the execution's own if it was called by it.
    """

    at: int
    text: str
    request_id: str | None = None
    function_name: str | None = None


def list_log(store: Store, execution_id: str, *, limit: int, marker: str) -> Page[LogLine]:
    """Return one page of an execution's log, in order of arrival."""
    after = 0
    if marker:
        places = marker_places(marker, "log")
        if places is None or not is_place(places[0]):
            raise InvalidParameterValue(f"marker is not one that this service gave: {marker!r:.100}")
        after = int(places[0])
    size = page_size(limit)
    found = store.log_lines(execution_id, after=after, count=size + 1)
    page = tuple(line for _, line in found[:size])
    return Page(page, page_marker("log", found[size - 1][0]) if len(found) > size else "")
