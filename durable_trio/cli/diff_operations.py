"""How two executions differ, operation by operation.

Operations are aligned by id: it says where in the program an operation stands, so two executions of one program
have the same ids where they went the same way. What is compared is what an operation is (type, subtype, name,
parent) and what became of it (status, attempts, result, error); instants and callback ids are never the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from durable_trio._protocol.operation import OperationRecord, OperationType, StepDetails
from durable_trio.testing.histories_state import same_payload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from durable_trio.testing.histories import History


class Change(StrEnum):
    """How an operation stands in the two executions."""

    SAME = "same"
    CHANGED = "changed"
    ONLY_FIRST = "only in the first"
    ONLY_SECOND = "only in the second"


@dataclass(frozen=True, slots=True)
class Difference:
    """One operation in both executions.

    Attributes:
        id: the operation's; None for the execution itself.
        path: the names of the contexts around it and its own.
        kind: its subtype, or its type.
        change: how it stands in the two.
        members: what differs, by name: the first's and the second's text.
    """

    id: str | None
    path: tuple[str, ...]
    kind: str
    change: Change
    members: Mapping[str, tuple[str | None, str | None]]


def differences(first: History, second: History) -> list[Difference]:
    """Compare two executions: the execution itself first, then the operations in the order of the first.

    An operation that only the second has stands where it began there.
    """
    one, other = first.operations(), second.operations()
    found = [_execution(first, second)]
    for id_ in _merged(list(one), list(other)):
        record, counterpart = one.get(id_), other.get(id_)
        either = record or counterpart
        if either is None or either.type is OperationType.EXECUTION:
            continue
        known = one if record is not None else other
        found.append(
            Difference(
                id_,
                _path(either, known),
                _kind(either),
                _change(record, counterpart),
                _members(record, counterpart),
            )
        )
    return found


def _execution(first: History, second: History) -> Difference:
    one = _outcome(first.status, None, first.result, first.error)
    other = _outcome(second.status, None, second.result, second.error)
    one["input"], other["input"] = _input(first), _input(second)
    changed = _changed(one, other)
    return Difference(None, ("execution",), "Execution", Change.CHANGED if changed else Change.SAME, changed)


def _input(history: History) -> str | None:
    return history.events[0].details.input


def _merged(one: list[str], other: list[str]) -> Iterator[str]:
    """Yield the ids of both, in the order of *one*; those that only *other* has come after their predecessor there."""
    known = set(one)
    following: dict[str | None, list[str]] = {}
    before: str | None = None
    for id_ in other:
        if id_ in known:
            before = id_
        else:
            following.setdefault(before, []).append(id_)
    yield from following.get(None, ())
    for id_ in one:
        yield id_
        yield from following.get(id_, ())


def _path(record: OperationRecord, known: Mapping[str, OperationRecord]) -> tuple[str, ...]:
    names = []
    at: OperationRecord | None = record
    while at is not None:
        names.append(at.name or _kind(at))
        at = known.get(at.parent_id) if at.parent_id else None
    return tuple(reversed(names))


def _kind(record: OperationRecord) -> str:
    return record.sub_type or record.type.value


def _change(one: OperationRecord | None, other: OperationRecord | None) -> Change:
    if other is None:
        return Change.ONLY_FIRST
    if one is None:
        return Change.ONLY_SECOND
    return Change.CHANGED if _members(one, other) else Change.SAME


def _members(
    one: OperationRecord | None, other: OperationRecord | None
) -> dict[str, tuple[str | None, str | None]]:
    if one is None or other is None:
        return {}
    return _changed(_facts(one), _facts(other))


def _facts(record: OperationRecord) -> dict[str, str | None]:
    details: Any = record.details
    attempts = str(details.attempt) if isinstance(details, StepDetails) else None
    return {
        "type": record.type.value,
        "subtype": record.sub_type,
        "name": record.name,
        "parent": record.parent_id,
        **_outcome(
            record.status, attempts, getattr(details, "result", None), getattr(details, "error", None)
        ),
    }


def _outcome(status: str, attempts: str | None, result: str | None, error: Any) -> dict[str, str | None]:
    return {
        "status": str(status),
        "attempts": attempts,
        "result": result,
        "error": None if error is None else f"{error.type}: {error.message}",
    }


def _changed(
    one: Mapping[str, str | None], other: Mapping[str, str | None]
) -> dict[str, tuple[str | None, str | None]]:
    return {
        key: (one[key], other[key])
        for key in one
        if one[key] != other[key] and not (key == "result" and same_payload(one[key], other[key]))
    }
