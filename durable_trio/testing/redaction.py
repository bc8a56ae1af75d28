"""Taking secrets out of a recorded history, so that it can be kept with the code.

A redactor is called for every text that came from a program: it returns what is to stand in its place. What is
structure stays as it is: ids, names, types, instants, error types, attempts. So a redacted history still replays, as
long as the handler does not take another way because of a changed value; whether that holds, a replay tells. Results
that the handler computes from changed values differ from the recorded ones, so a redacted history is marked, and its
replay compares no results.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from durable_trio.exceptions import ValidationError
from durable_trio.testing.histories import History, redacted_copy

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._protocol.history import HistoryEvent
    from durable_trio._protocol.operation import ErrorObject

__all__ = ["PayloadPlace", "mask_members", "redact_history"]

MASK: Final = "***"

_VERDICTS: Final = frozenset({"All", "Any", "Cut", "Deadline", "Nursery", "Race", "Restart", "Saga"})
"""Contexts whose payload is the runtime's own: what it decided, which a replay obeys."""


@dataclass(frozen=True, slots=True)
class PayloadPlace:
    """Where a text of a history stands.

    Attributes:
        kind: ``"input"``, ``"result"``, ``"error message"`` or ``"error data"``.
        event_type: of the event, such as ``"StepSucceeded"``.
        operation_id, operation_name, sub_type: of the operation; None where the event is about the execution.
    """

    kind: str
    event_type: str
    operation_id: str | None
    operation_name: str | None
    sub_type: str | None


Redactor: TypeAlias = "Callable[[str, PayloadPlace], str]"
"""Called with a payload's text and its place; returns the text to keep."""


def redact_history(history: History, redact: Redactor) -> History:
    """Return *history* with every text of a program's passed through *redact*, and without stack traces.

    Raises:
        ValidationError: *redact* returned something that is not text.
    """
    return redacted_copy(history, [_redacted(event, redact) for event in history.events])


def _redacted(event: HistoryEvent, redact: Redactor) -> HistoryEvent:
    details = event.details
    if event.sub_type in _VERDICTS:
        return event

    def text(kind: str, payload: str | None) -> str | None:
        if payload is None:
            return None
        place = PayloadPlace(kind, event.type.value, event.id, event.name, event.sub_type)
        kept = redact(payload, place)
        if not isinstance(kept, str):
            raise ValidationError(f"a redactor must return text, not {kept!r}, for the {kind} of {place}")
        return kept

    def error(recorded: ErrorObject | None) -> ErrorObject | None:
        if recorded is None:
            return None
        return replace(
            recorded,
            message=text("error message", recorded.message),
            data=_error_data(recorded.data, lambda data: text("error data", data)),
            stack=(),
        )

    return replace(
        event,
        details=replace(
            details,
            input=text("input", details.input),
            result=text("result", details.result),
            error=error(details.error),
        ),
    )


def _error_data(data: str | None, redact: Callable[[str | None], str | None]) -> str | None:
    """Redact an error's data; around that of a failed attempt is what was decided about it, which stays."""
    try:
        decision = json.loads(data or "")
    except ValueError:
        return redact(data)
    if not isinstance(decision, dict) or "retryAfterSeconds" not in decision:
        return redact(data)
    own = decision.get("data")
    return json.dumps({**decision, "data": redact(own)} if isinstance(own, str) else decision)


def mask_members(*names: str) -> Redactor:
    """Return a redactor that replaces the values of JSON members called *names*, at any depth.

    Text (a datetime and the like, too) becomes ``"***"``, a number 0; true, false and null stay, and of a list or an
    object everything inside is replaced. Texts that are not JSON (error messages among them) stay as they are.

    Raises:
        ValidationError: no name is given.
    """
    if not names:
        raise ValidationError("mask_members needs the names of the members to mask")
    masked = frozenset(names)

    def redact(payload: str, place: PayloadPlace) -> str:
        del place
        try:
            value = json.loads(payload)
        except ValueError:
            return payload
        changed = _masked(value, masked, inside=False)
        if changed == value:
            return payload
        # White space in front says how a payload was written.
        mark = payload[: len(payload) - len(payload.lstrip())]
        return mark + json.dumps(changed, separators=(",", ":"), ensure_ascii=False)

    return redact


def _masked(value: Any, names: frozenset[str], *, inside: bool) -> Any:
    match value:
        case dict() if inside and len(value) == 1 and next(iter(value)).startswith("$"):
            return MASK  # a tagged value (a datetime, say): its text must be one of its kind
        case dict():
            return {key: _masked(each, names, inside=inside or key in names) for key, each in value.items()}
        case list():
            return [_masked(each, names, inside=inside) for each in value]
        case bool() | None:
            return value
        case str() if inside:
            return MASK
        case int() | float() if inside:
            return 0
        case _:
            return value
