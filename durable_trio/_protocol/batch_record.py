"""How a finished batch is written into its context's payload.

Normally the record holds every item, readable by people and by other languages:

    {"all": [{"index": 0, "status": "SUCCEEDED", "result": ...}, ...], "completionReason": "ALL_COMPLETED"}

An item's own payload goes in as it is under ``result`` when it is JSON; when a serializer of the user's made
it, it is text under ``payload``. So the record is put together from payloads that exist already, and an item
comes back through the same serializer as on the first run.

When that is too big to store, the record only says what was decided: counts and one of two index lists,
whichever is shorter. The items themselves are then replayed from their own records, and those that were
still running stay that way, whatever became of them.

These forms are stored by running executions. Treat them as a file format.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from durable_trio._protocol.completion import BatchItemStatus, CompletionReason
from durable_trio._protocol.wire import WireError, decode_error, encode_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable_trio._protocol.operation import ErrorObject


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """One item as it is recorded. ``payload`` is a payload's text, None where there was none."""

    index: int
    status: BatchItemStatus
    payload: str | None = None
    error: ErrorObject | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """A whole batch as it is recorded."""

    items: tuple[ItemRecord, ...]
    completion_reason: CompletionReason


@dataclass(frozen=True, slots=True)
class BatchVerdict:
    """What was decided about a batch whose items are recorded elsewhere."""

    completed: frozenset[int]
    started: frozenset[int]
    completion_reason: CompletionReason


def encode_batch(batch: BatchRecord, *, payloads_are_json: bool) -> str:
    """Write a whole batch."""
    items = ",".join([_encode_item(item, payloads_are_json=payloads_are_json) for item in batch.items])
    return f'{{"all":[{items}],"completionReason":"{batch.completion_reason.value}"}}'


def _encode_item(item: ItemRecord, *, payloads_are_json: bool) -> str:
    text = f'{{"index":{item.index},"status":"{item.status.value}"'
    if item.payload is not None:
        text += f',"result":{item.payload}' if payloads_are_json else f',"payload":{json.dumps(item.payload)}'
    if item.error is not None:
        text += f',"error":{json.dumps(encode_error(item.error), separators=(",", ":"))}'
    if item.name is not None:
        text += f',"name":{json.dumps(item.name)}'
    return text + "}"


def decode_batch(text: str) -> BatchRecord:
    """Read a whole batch.

    Raises:
        WireError: it is not the record of one.
    """
    try:
        wire = json.loads(text)
        items = tuple(_decode_item(item) for item in wire["all"])
        return BatchRecord(items, CompletionReason(wire["completionReason"]))
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise WireError(f"the payload is not the record of a batch: {error!r}") from error


def _decode_item(wire: dict[str, Any]) -> ItemRecord:
    payload = wire.get("payload")
    if payload is None and "result" in wire:
        payload = json.dumps(wire["result"], ensure_ascii=False, separators=(",", ":"))
    return ItemRecord(
        index=int(wire["index"]),
        status=BatchItemStatus(wire["status"]),
        payload=payload,
        error=decode_error(wire.get("error")),
        name=wire.get("name"),
    )


def encode_verdict(
    kind: str, items: Sequence[ItemRecord], reason: CompletionReason, summary: str | None
) -> str:
    """Write what was decided about a batch (*kind* Map or Parallel) that is too big to be written whole."""
    started = [item.index for item in items if item.status is BatchItemStatus.STARTED]
    completed = [item.index for item in items if item.status is not BatchItemStatus.STARTED]
    failed = sum(item.status is BatchItemStatus.FAILED for item in items)
    indexes = (
        {"startedIndexes": started} if len(started) <= len(completed) else {"completedIndexes": completed}
    )
    wire: dict[str, Any] = {
        "type": f"{kind}Result",
        "totalCount": len(items),
        "completionReason": reason.value,
        **indexes,
        "startedCount": len(started),
        "successCount": len(completed) - failed,
        "failureCount": failed,
        "status": "FAILED" if failed else "SUCCEEDED",
    }
    if summary is not None:
        wire["summary"] = summary
    return json.dumps(wire, separators=(",", ":"))


def decode_verdict(text: str) -> BatchVerdict:
    """Read what was decided about a batch.

    Items are started in input order, so the started and the completed ones together are the first
    ``totalCount``.

    Raises:
        WireError: it is not such a record.
    """
    try:
        wire = json.loads(text)
        everything = frozenset(range(int(wire["totalCount"])))
        if "startedIndexes" in wire:
            started = frozenset(int(index) for index in wire["startedIndexes"])
            completed = everything - started
        else:
            completed = frozenset(int(index) for index in wire["completedIndexes"])
            started = everything - completed
        return BatchVerdict(completed, started, CompletionReason(wire["completionReason"]))
    except (ValueError, LookupError, TypeError) as error:
        raise WireError(f"the payload is not the verdict of a batch: {error!r}") from error
