"""A recorded history: the life of one execution as a file, to be replayed for as long as the code lives.

The file is JSON for people: the events as ``GetDurableExecutionHistory`` has them, with instants as ISO 8601 text,
and around them what a replay needs and the events do not say::

    {
      "Format": "durable_trio.history",
      "Version": 1,
      "DurableExecutionArn": "arn:aws:lambda:...",
      "Redacted": false,
      "ReplayChildren": ["<ids of the contexts that were closed with ReplayChildren>"],
      "Events": [{"EventType": "ExecutionStarted", "EventId": 1, "EventTimestamp": "2026-01-01T00:00:00.000Z", ...}, ...]
    }

The version is that of the wrapping; a later version of this package reads every earlier one. ``History.load`` reads
plain answers of the service as well (``{"Events": [...]}``, from the AWS CLI, boto3 or ``durable-trio history
--json``). Those do not tell the ARN, which ``ctx.uuid()``, ``ctx.random()`` and idempotency keys are made from:
give it, if the handler uses them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from durable_trio._protocol.history import EventType, HistoryEvent, decode_event, encode_event
from durable_trio._protocol.wire import Dialect, WireError
from durable_trio.testing.histories_state import inferred_replay_children, operations_after

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from durable_trio._protocol.operation import ErrorObject, OperationRecord

__all__ = ["History", "HistoryFormatError"]

FORMAT: Final = "durable_trio.history"
VERSION: Final = 1

_INSTANTS: Final = ("ScheduledEndTimestamp", "StartTimestamp", "EndTimestamp")
_ENDS: Final[Mapping[EventType, str]] = {
    EventType.EXECUTION_SUCCEEDED: "SUCCEEDED",
    EventType.EXECUTION_FAILED: "FAILED",
    EventType.EXECUTION_TIMED_OUT: "TIMED_OUT",
    EventType.EXECUTION_STOPPED: "STOPPED",
}
_KNOWN_EVENTS: Final = frozenset(type_.value for type_ in EventType)
# Events about the execution as a whole may come that this version does not know; they change no operation.
_HARMLESS_PREFIXES: Final = ("Execution", "Invocation")
_UNKNOWN_ARN: Final = (
    "arn:aws:lambda:us-east-1:000000000000:function:unknown:$LATEST/durable-execution/unknown"
)


class HistoryFormatError(ValueError):
    """The file is no history, or lacks what a replay needs; the message says what."""


@dataclass(frozen=True, slots=True)
class History:
    """The recorded life of one execution.

    Attributes:
        events: what happened, in order.
        execution_arn: of which execution; of an unknown function if the source did not tell.
        replay_children: ids of the contexts that were closed with ``ReplayChildren``.
        is_redacted: payloads have been changed since they were recorded, so a replay compares no results.
    """

    events: tuple[HistoryEvent, ...]
    execution_arn: str
    replay_children: frozenset[str] = field(default_factory=frozenset)
    is_redacted: bool = False

    def __post_init__(self) -> None:
        if not self.events or self.events[0].type is not EventType.EXECUTION_STARTED:
            first = self.events[0].type.value if self.events else "nothing"
            raise HistoryFormatError(f"a history must begin with ExecutionStarted, not with {first}")

    def __repr__(self) -> str:
        return f"<History of {self.name!r}, {self.status}, {len(self.events)} events>"

    # --- reading ------------------------------------------------------------------------------------------

    @property
    def execution_id(self) -> str:
        """The id of the EXECUTION operation: the last segment of the ARN."""
        return self.execution_arn.rpartition("/")[2]

    @property
    def name(self) -> str:
        """The execution's name."""
        return self.execution_arn.split("/")[-2] if "/" in self.execution_arn else self.execution_arn

    @property
    def status(self) -> str:
        """``SUCCEEDED``, ``FAILED``, ``TIMED_OUT``, ``STOPPED``, or ``RUNNING`` if the history is not at its end."""
        return "RUNNING" if self._end is None else _ENDS[self._end.type]

    @property
    def result(self) -> str | None:
        """The text of the result, if it SUCCEEDED."""
        return None if self._end is None else self._end.details.result

    @property
    def error(self) -> ErrorObject | None:
        """Why it did not succeed, if it has ended."""
        return None if self._end is None else self._end.details.error

    @property
    def _end(self) -> HistoryEvent | None:
        return next((event for event in reversed(self.events) if event.type in _ENDS), None)

    def operations(self, until: int | None = None) -> dict[str, OperationRecord]:
        """Return the operations as they stood after the event with id *until* (None: after all), by id."""
        events = self.events if until is None else [event for event in self.events if event.event_id <= until]
        return operations_after(events, execution_id=self.execution_id, replay_children=self.replay_children)

    # --- files --------------------------------------------------------------------------------------------

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, execution_arn: str | None = None) -> History:
        """Read a history from a file.

        Args:
            path: a file of ours, or an answer of ``GetDurableExecutionHistory`` as JSON (taken with
                ``IncludeExecutionData``), from which ``NextMarker`` has been followed.
            execution_arn: of which execution, where the file does not tell.

        Raises:
            HistoryFormatError: it is no history, is of a later version, or lacks data.
            OSError: it cannot be read.
        """
        try:
            document = json.loads(Path(path).read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as problem:
            raise HistoryFormatError(f"{path} is not JSON: {problem}") from problem
        try:
            return cls.from_document(document, execution_arn=execution_arn)
        except HistoryFormatError as problem:
            raise HistoryFormatError(f"{path}: {problem}") from problem

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the history to a file, over what was there. Raises ``OSError``."""
        text = json.dumps(self.to_document(), indent=2, ensure_ascii=False)
        Path(path).write_text(text + "\n", encoding="utf-8")

    def to_document(self) -> dict[str, Any]:
        """Return what ``save`` writes: JSON values."""
        return {
            "Format": FORMAT,
            "Version": VERSION,
            "DurableExecutionArn": self.execution_arn,
            "Redacted": self.is_redacted,
            "ReplayChildren": sorted(self.replay_children),
            "Events": [_with_text_instants(encode_event(event, Dialect.API)) for event in self.events],
        }

    @classmethod
    def from_document(cls, document: Any, *, execution_arn: str | None = None) -> History:
        """Read what ``to_document`` returns, or an answer of the service (boto3's, too): a dict or a list of events.

        Raises:
            HistoryFormatError: as for ``load``.
        """
        if isinstance(document, list):
            document = {"Events": document}
        if not isinstance(document, dict) or not isinstance(document.get("Events"), list):
            raise HistoryFormatError('this is no history: there is no list "Events"')
        if document.get("NextMarker"):
            raise HistoryFormatError("this is one page of a history: read on with its NextMarker")
        is_own = document.get("Format") == FORMAT
        if is_own and document.get("Version") != VERSION:
            raise HistoryFormatError(f"version must be {VERSION}, not {document.get('Version')!r}")
        events = tuple(sorted(_decoded(document["Events"]), key=lambda event: event.event_id))
        told = document.get("ReplayChildren")
        return cls(
            events=events,
            execution_arn=str(execution_arn or document.get("DurableExecutionArn") or _unknown_arn(events)),
            replay_children=inferred_replay_children(events) if told is None else frozenset(map(str, told)),
            is_redacted=bool(document.get("Redacted", False)),
        )


def _unknown_arn(events: tuple[HistoryEvent, ...]) -> str:
    return f"{_UNKNOWN_ARN}/{(events[0].id if events else None) or 'unknown'}"


# --- the wire --------------------------------------------------------------------------------------------


def _decoded(wires: list[Any]) -> Iterable[HistoryEvent]:
    for wire in wires:
        if not isinstance(wire, dict):
            raise HistoryFormatError(f"an event must be an object, not {type(wire).__name__}")
        type_ = str(wire.get("EventType"))
        if type_ not in _KNOWN_EVENTS and type_.startswith(_HARMLESS_PREFIXES):
            continue
        _check_has_data(wire, wire.get(f"{type_}Details"))
        try:
            yield decode_event(_with_datetimes(wire), Dialect.API)
        except WireError as problem:
            raise HistoryFormatError(str(problem)) from problem


def _check_has_data(wire: dict[str, Any], details: Any) -> None:
    for member, value in details.items() if isinstance(details, dict) else ():
        if isinstance(value, dict) and value.get("Truncated"):
            raise HistoryFormatError(
                f"the {member} of event {wire.get('EventId')} ({wire.get('EventType')}) was left out or cut:"
                " get the history with IncludeExecutionData"
            )


def _with_datetimes(wire: dict[str, Any]) -> dict[str, Any]:
    return _mapped_instants(
        wire, lambda value: datetime.fromisoformat(value) if isinstance(value, str) else value
    )


def _with_text_instants(wire: dict[str, Any]) -> dict[str, Any]:
    return _mapped_instants(wire, _instant_text)


def _instant_text(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    at = datetime.fromtimestamp(milliseconds // 1000, UTC).replace(microsecond=milliseconds % 1000 * 1000)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _mapped_instants(wire: dict[str, Any], convert: Any) -> dict[str, Any]:
    mapped = dict(wire)
    try:
        if "EventTimestamp" in mapped:
            mapped["EventTimestamp"] = convert(mapped["EventTimestamp"])
        member = f"{wire.get('EventType')}Details"
        if isinstance(mapped.get(member), dict):
            mapped[member] = {
                key: convert(value) if key in _INSTANTS else value for key, value in mapped[member].items()
            }
    except ValueError as problem:
        raise HistoryFormatError(
            f"event {wire.get('EventId')} has an impossible instant: {problem}"
        ) from problem
    return mapped


def redacted_copy(history: History, events: Iterable[HistoryEvent]) -> History:
    """Return *history* with other *events* in place of its own, marked as redacted."""
    return replace(history, events=tuple(events), is_redacted=True)
