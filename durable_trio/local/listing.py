"""Lists of executions and of history events, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durable_trio._protocol.opaque import is_place, marker_places, page_marker
from durable_trio._protocol.pages import page_size
from durable_trio.local.errors import InvalidParameterValue
from durable_trio.local.views import ExecutionSummary, Page, summarize

if TYPE_CHECKING:
    from collections.abc import Collection

    from durable_trio._protocol.execution_status import (
        ExecutionStatus,
    )
    from durable_trio._protocol.history import HistoryEvent
    from durable_trio.local.store import Store


def list_executions(
    store: Store,
    *,
    function_name: str | None,
    name: str | None,
    version: str | None,
    statuses: Collection[ExecutionStatus],
    started_after: int | None,
    started_before: int | None,
    newest_first: bool,
    limit: int,
    marker: str,
) -> Page[ExecutionSummary]:
    """Return one page of the executions that match, by the time they were started."""
    conditions = ["is_durable"]
    values: list[Any] = []
    for condition, value in (
        ("function_name = ?", function_name),
        ("name = ?", name),
        ("arn LIKE ?", None if version is None else f"%:{version}/durable-execution/%"),
        ("started_at > ?", started_after),
        ("started_at < ?", started_before),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    if statuses:
        conditions.append(f"status IN ({', '.join('?' * len(statuses))})")
        values.extend(status.value for status in statuses)
    if marker:
        started_at, execution_id = _places(marker, "executions", 2)
        conditions.append(f"(started_at, id) {'<' if newest_first else '>'} (?, ?)")
        values.extend((int(started_at), execution_id))
    size = page_size(limit)
    found = store.select(conditions, values, newest_first=newest_first, count=size + 1)
    page = tuple(summarize(stored.record) for stored in found[:size])
    if len(found) <= size:
        return Page(page)
    last = found[size - 1].record
    return Page(page, page_marker("executions", last.identity.started_at, last.id))


def list_events(
    store: Store, execution_id: str, *, newest_first: bool, limit: int, marker: str
) -> Page[HistoryEvent]:
    """Return one page of an execution's history. It may be shorter than *limit* if its events are big."""
    after = _LAST if newest_first else 0
    if marker:
        after = int(_places(marker, "events", 1)[0])
    page, has_more = store.events(
        execution_id,
        after=after,
        newest_first=newest_first,
        count=page_size(limit),
        max_bytes=_MAX_HISTORY_PAGE_BYTES,
    )
    return Page(tuple(page), page_marker("events", page[-1].event_id) if has_more else "")


# What Lambda answers at most. A thousand results of a mebibyte each would be a gibibyte.
_MAX_HISTORY_PAGE_BYTES = 6 * 1024 * 1024
_LAST = 2**62


def _places(marker: str, kind: str, count: int) -> list[str]:
    places = marker_places(marker, kind, count)
    if places is None or not is_place(places[0]):
        raise InvalidParameterValue(f"marker is not one that this service gave: {marker!r:.100}")
    return places
