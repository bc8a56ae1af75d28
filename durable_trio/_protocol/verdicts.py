"""What is recorded of constructs that run code of their owner inline: nurseries, deadlines, sagas.

Such code is replayed every time, so its context is always closed by SUCCEED with ``ReplayChildren`` and the verdict
as payload; what is to be raised follows from it.

    nursery    {"failed": null}
               {"failed": 1, "at": "<id>", "ended": [0, 1]}    child 1 failed first; 0 and 1 had ended by then
               {"failed": "body", "at": null, "ended": []}     the body itself raised
    deadline   {"timed_out": false, "at": null}
               {"timed_out": true, "at": "<id>"}
    saga       {"compensations": null}                         nothing had to be undone
               {"compensations": [{"step": 2, "id": "<id>", "name": "pay"}, {"step": 1, ..., "error": {...}}]}

``at`` is the operation at which the body was cut; null if it was not. When the body has awaited something under the
same id before (a callback's creation, then its result), ``nth`` counts how often.

These forms are stored by running executions. Treat them as a file format.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from durable_trio._protocol.value_class import frozen_dataclass as dataclass
from durable_trio._protocol.wire import WireError, decode_error, encode_error

if TYPE_CHECKING:
    from durable_trio._protocol.operation import ErrorObject

BODY = "body"
"""What ``failed`` says when the body of a nursery raised by itself."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place in the body of a construct: the (*nth* + 1)-th time that the operation *id* is awaited."""

    id: str
    nth: int = 0


@dataclass(frozen=True, slots=True)
class NurseryVerdict:
    """How a nursery ended. ``failed``: the index of a child, ``BODY``, or None; ``ended``: indexes of children."""

    failed: int | str | None
    at: Point | None = None
    ended: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class DeadlineVerdict:
    """Whether a deadline's body was cut, and where."""

    timed_out: bool
    at: Point | None = None


@dataclass(frozen=True, slots=True)
class CompensationRecord:
    """How the compensation of the *step*-th registered operation went; without an error it succeeded."""

    step: int
    operation_id: str
    name: str | None
    error: ErrorObject | None = None


# --- writing ---------------------------------------------------------------------------------------------


def encode_nursery(verdict: NurseryVerdict) -> str:
    """Write how a nursery ended."""
    if verdict.failed is None:
        return _text({"failed": None})
    return _text({"failed": verdict.failed, **_place(verdict.at), "ended": sorted(verdict.ended)})


def encode_deadline(verdict: DeadlineVerdict) -> str:
    """Write how a deadline ended."""
    return _text({"timed_out": verdict.timed_out, **_place(verdict.at)})


def encode_report(compensations: list[CompensationRecord] | None) -> str:
    """Write what a saga undid, in the order in which it did; None if nothing had to be."""
    return _text(
        {"compensations": None if compensations is None else [_undone(one) for one in compensations]}
    )


def _place(at: Point | None) -> dict[str, Any]:
    if at is None:
        return {"at": None}
    return {"at": at.id, "nth": at.nth} if at.nth else {"at": at.id}


def _undone(one: CompensationRecord) -> dict[str, Any]:
    wire: dict[str, Any] = {"step": one.step, "id": one.operation_id}
    if one.name is not None:
        wire["name"] = one.name
    if one.error is not None:
        wire["error"] = encode_error(one.error)
    return wire


def _text(wire: dict[str, Any]) -> str:
    return json.dumps(wire, separators=(",", ":"))


# --- reading ---------------------------------------------------------------------------------------------


def decode_nursery(text: str | None) -> NurseryVerdict:
    """Read how a nursery ended.

    Raises:
        WireError: it is no such record.
    """
    wire = _members(text, "nursery")
    failed = wire.get("failed", "")
    if failed is None:
        return NurseryVerdict(None)
    if failed != BODY and not _is_index(failed):
        raise WireError(f"failed must be an index, {BODY!r} or null, not {failed!r:.40}")
    ended = wire.get("ended")
    if not isinstance(ended, list) or not all(map(_is_index, ended)):
        raise WireError(f"ended must be a list of indexes, not {ended!r:.40}")
    return NurseryVerdict(failed, _point(wire), frozenset(ended))


def decode_deadline(text: str | None) -> DeadlineVerdict:
    """Read how a deadline ended.

    Raises:
        WireError: it is no such record.
    """
    wire = _members(text, "deadline")
    timed_out, at = wire.get("timed_out"), _point(wire)
    if not isinstance(timed_out, bool) or timed_out != (at is not None):
        raise WireError(f"timed_out must be a boolean that goes with at, not {timed_out!r:.40}")
    return DeadlineVerdict(timed_out, at)


def decode_report(text: str | None) -> list[CompensationRecord] | None:
    """Read what a saga undid.

    Raises:
        WireError: it is no such record.
    """
    undone = _members(text, "saga").get("compensations", "")
    if undone is None:
        return None
    if not isinstance(undone, list):
        raise WireError(f"compensations must be a list or null, not {undone!r:.40}")
    return [_compensation(one) for one in undone]


def _compensation(wire: Any) -> CompensationRecord:
    try:
        step, operation_id, name = wire["step"], wire["id"], wire.get("name")
        error = decode_error(wire.get("error"))
    except (LookupError, TypeError, AttributeError) as problem:
        raise WireError(f"a compensation is malformed: {problem!r}") from problem
    if not _is_index(step) or not isinstance(operation_id, str) or not isinstance(name, str | None):
        raise WireError(f"a compensation is malformed: {wire!r:.80}")
    return CompensationRecord(step, operation_id, name, error)


def _point(wire: dict[str, Any]) -> Point | None:
    at, nth = wire.get("at"), wire.get("nth", 0)
    if at is None:
        return None
    if not isinstance(at, str) or not _is_index(nth):
        raise WireError(f"at must be an operation's id or null, not {at!r:.40}")
    return Point(at, nth)


def _is_index(value: Any) -> bool:
    return type(value) is int and value >= 0


def _members(text: str | None, what: str) -> dict[str, Any]:
    try:
        wire = json.loads(text or "")
    except (ValueError, RecursionError) as problem:
        raise WireError(f"the payload is not the verdict of a {what}: {problem!r}") from problem
    if not isinstance(wire, dict):
        raise WireError(f"the payload is not the verdict of a {what}: {wire!r:.40}")
    return wire
