"""How a finished batch is written into its context's payload.

Normally the record holds every item, readable by people and by other languages:

    {"all": [{"index": 0, "status": "SUCCEEDED", "result": ...}, ...], "completionReason": "ALL_COMPLETED"}

An item's own payload goes in as it is under ``result`` when it is JSON; when a serializer of the user's made
it, it is text under ``payload``. ``typed`` says that it was written for a type, without tags. So the record is put together from payloads that exist already, and an item
comes back through the same serializer as on the first run.

When that is too big to store, the record only says what was decided: counts and one of two index lists,
whichever is shorter. The items themselves are then replayed from their own records, and those that were
still running stay that way, whatever became of them.

In an execution that is shared with AWS's Python SDK, the whole record is written as that SDK writes it
(``aws_values``); such a record is read in any execution, by its outermost tag.

These forms are stored by running executions. Treat them as a file format.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from durable_trio._protocol.completion import BatchItemStatus, CompletionReason
from durable_trio._protocol.json_values import TYPED_MARK
from durable_trio._protocol.value_class import frozen_dataclass as dataclass
from durable_trio._protocol.wire import WireError, decode_error, encode_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from durable_trio._protocol.operation import ErrorObject


MAX_ITEMS: Final = 1_000_000
"""More items than any execution can have operations for: a count beyond it is nonsense, and costs memory."""


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
        if payloads_are_json and item.payload.startswith(TYPED_MARK):
            text += ',"typed":true'
    if item.error is not None:
        text += f',"error":{json.dumps(encode_error(item.error), separators=(",", ":"))}'
    if item.name is not None:
        text += f',"name":{json.dumps(item.name)}'
    return text + "}"


def encode_aws_batch(batch: BatchRecord) -> str:
    """Write a whole batch as AWS's Python SDK does; the items' payloads are its, too.

    Raises:
        JsonValueError: an item's payload is not.
    """
    members = {
        "all": {"t": "l", "v": [_encode_aws_item(item) for item in batch.items]},
        "completionReason": {"t": "s", "v": batch.completion_reason.value},
    }
    from durable_trio._protocol import aws_values

    return json.dumps({"t": aws_values.BATCH_TAG, "v": members}, separators=(",", ":"))


def _encode_aws_item(item: ItemRecord) -> dict[str, Any]:
    from durable_trio._protocol import aws_values

    error = None if item.error is None else encode_error(item.error)
    members = {
        "index": {"t": "i", "v": item.index},
        "status": {"t": "s", "v": item.status.value},
        "result": aws_values.open_payload("null" if item.payload is None else item.payload),
        "error": aws_values.AwsWriter().value(error),
    }
    return {"t": "m", "v": members}


def decode_batch(text: str) -> BatchRecord:
    """Read a whole batch.

    Raises:
        WireError: it is not the record of one.
    """
    try:
        wire = json.loads(text)
        read_item: Callable[[dict[str, Any]], ItemRecord] = _decode_item
        if "t" in wire and _is_aws_batch(wire):
            wire, read_item = _aws_members(wire), _decode_aws_item
        items = tuple(read_item(item) for item in wire["all"])
        return BatchRecord(items, CompletionReason(wire["completionReason"]))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise WireError(f"the payload is not the record of a batch: {error!r}") from error


def _decode_item(wire: dict[str, Any]) -> ItemRecord:
    payload = wire.get("payload")
    if payload is None and "result" in wire:
        payload = json.dumps(wire["result"], ensure_ascii=False, separators=(",", ":"))
        if wire.get("typed"):
            payload = TYPED_MARK + payload
    return _item_record(wire, payload)


def _item_record(wire: dict[str, Any], payload: str | None) -> ItemRecord:
    index, name = wire["index"], wire.get("name")
    if type(index) is not int or index < 0:
        raise WireError(f"index must be a whole number from 0, not {index!r:.40}")
    for member, text in (("payload", payload), ("name", name)):
        if text is not None and not isinstance(text, str):
            raise WireError(f"{member} must be text, not {type(text).__name__}")
    return ItemRecord(index, BatchItemStatus(wire["status"]), payload, decode_error(wire.get("error")), name)


def _is_aws_batch(wire: dict[str, Any]) -> bool:
    from durable_trio._protocol import aws_values

    return bool(wire["t"] == aws_values.BATCH_TAG)


def _aws_members(envelope: dict[str, Any]) -> dict[str, Any]:
    """Return the members of AWS's record, each item still in its envelope."""
    members = envelope["v"]
    items, reason = members["all"], members["completionReason"]
    if items["t"] != "l" or reason["t"] != "s":
        raise WireError("its members have unknown tags")
    return {"all": items["v"], "completionReason": reason["v"]}


def _decode_aws_item(envelope: dict[str, Any]) -> ItemRecord:
    from durable_trio._protocol import aws_values

    members = dict(envelope["v"])
    result = members.pop("result", None)
    read = aws_values.read_envelope({"t": "m", "v": members}, _no_batch)
    has_result = result is not None and read["status"] == BatchItemStatus.SUCCEEDED.value
    return _item_record(read, aws_values.payload_of(result) if has_result else None)


def _no_batch(_: dict[str, Any]) -> Any:
    raise WireError("the record of a batch among an item's members")


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
        total = wire["totalCount"]
        if type(total) is not int or not 0 <= total <= MAX_ITEMS:
            raise WireError(f"totalCount must be a whole number up to {MAX_ITEMS:,}, not {total!r:.40}")
        everything = frozenset(range(total))
        if "startedIndexes" in wire:
            started = _indexes(wire["startedIndexes"], everything)
            completed = everything - started
        else:
            completed = _indexes(wire["completedIndexes"], everything)
            started = everything - completed
        return BatchVerdict(completed, started, CompletionReason(wire["completionReason"]))
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise WireError(f"the payload is not the verdict of a batch: {error!r}") from error


def _indexes(indexes: list[Any], everything: frozenset[int]) -> frozenset[int]:
    found = frozenset(indexes)
    if not found <= everything or not all(type(index) is int for index in found):
        raise WireError("it names items that are not there")
    return found
