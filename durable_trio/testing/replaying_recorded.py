"""What a whole history says, asked while a part of it is replayed.

A replay from some point in the middle goes over what was recorded by then, and runs on to where it has to wait. So
it asks for operations that the history has further on, and those must be the same ones. It may also ask for
some that the history never has: then the code is new, *unless* the operation could have been cut off before it was
recorded. Where something is decided early (a batch that has enough, a lost race, a deadline, a failed nursery)
what the losers got to is a matter of timing. ``may_be_cut`` knows these places, and nothing is said about them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from durable_trio._protocol.completion import CompletionReason
from durable_trio._protocol.ids import operation_id
from durable_trio._protocol.operation import ContextDetails, OperationAction, OperationStatus, OperationType
from durable_trio.testing.histories_state import same_payload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from durable_trio._protocol.operation import ErrorObject, OperationRecord, OperationUpdate
    from durable_trio._protocol.replay import Identity
    from durable_trio.testing.histories import History

_DECIDED_BESIDE: Final = frozenset({"All", "Any", "Cut", "Race"})
"""Recorded beside the operations that they decide about (Cut: about the block that it is in)."""
_UNCUT: Final[Mapping[str, Mapping[str, object]]] = {
    "Deadline": {"timed_out": False},
    "Nursery": {"failed": None},
}
"""Blocks that may cut off what is in them, and what they record if they did not."""
_COMPARED: Final = frozenset(
    {"MapIteration", "ParallelBranch", "Retry", "RunInChildContext", "WaitForCallback"}
)
"""Contexts whose outcome follows from the operations in them, whatever the timing."""


class Recorded:
    """The operations of a whole history, as they stood at its end.

    Attributes:
        operations: by id.
        is_finished: the handler returned or raised; it cannot have had more to ask for.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self.operations = history.operations()
        self.is_finished = history.status in ("SUCCEEDED", "FAILED")
        self._decided_beside = {
            record.parent_id for record in self.operations.values() if record.sub_type in _DECIDED_BESIDE
        }

    def may_be_cut(self, parent_id: str | None) -> bool:
        """Tell whether an operation of this context may be missing from the record, or from a replay."""
        while parent_id is not None:
            parent = self.operations.get(parent_id)
            if parent is None or _may_cut(parent) or parent_id in self._decided_beside:
                return True
            parent_id = parent.parent_id
        return None in self._decided_beside

    def depends_on_timing(self, known: Mapping[str, OperationRecord]) -> bool:
        """Tell whether something that the history decides early is still open in *known*.

        Then a replay from there may decide it another way, and come to another outcome.
        """
        return any(
            _is_open(record.id, known) and self._is_decided_by_timing(record, known)
            for record in self.operations.values()
            if record.status.is_terminal
        )

    def _is_decided_by_timing(self, record: OperationRecord, known: Mapping[str, OperationRecord]) -> bool:
        if record.sub_type in _DECIDED_BESIDE:
            return True
        if record.sub_type in ("Map", "Parallel"):
            return not _counts_every_item(record)
        # A deadline that was met is met again, as long as its time is not over.
        is_over = record.sub_type == "Deadline" and not _is_open(operation_id(record.id, 0), known)
        return _may_cut(record) or is_over

    def is_wait_of_deadline(self, record: OperationRecord) -> bool:
        """Tell whether *record* is the wait inside a deadline, which no operation of the program's stands for."""
        parent = self.operations.get(record.parent_id or "")
        return (
            parent is not None and parent.sub_type == "Deadline" and record.id == operation_id(parent.id, 0)
        )

    def siblings_named(self, identity: Identity) -> bool:
        """Tell whether an operation of this kind and name is recorded beside it, at another place."""
        return identity.name is not None and any(
            record.parent_id == identity.parent_id
            and record.name == identity.name
            and record.sub_type == identity.sub_type
            and record.id != identity.id
            for record in self.operations.values()
        )

    def closing_difference(self, update: OperationUpdate) -> str | None:
        """Say how the end of a context differs from the recorded one; None if it does not, or nothing can be said."""
        record = self.operations.get(update.id)
        if record is None or not record.status.is_terminal or not isinstance(record.details, ContextDetails):
            return None
        if not self._is_compared(record):
            return None
        now = OperationStatus.FAILED if update.error is not None else OperationStatus.SUCCEEDED
        if record.status is not now:
            return f"recorded {_ending(record.status, record.details.result, record.details.error)}, now" + (
                f" {_ending(now, update.payload, update.error)}"
            )
        if update.error is not None:
            return self.error_difference(record.details.error, update.error)
        if record.details.replay_children:
            return None  # the payload is a summary, which the program may word as it likes
        return self.payload_difference(record.details.result, update.payload)

    def _is_compared(self, record: OperationRecord) -> bool:
        return record.type is OperationType.CONTEXT and (
            record.sub_type in _COMPARED or _counts_every_item(record)
        )

    def payload_difference(self, recorded: str | None, now: str | None) -> str | None:
        """Compare two payloads as JSON if they are; None if they agree, or the recorded one was redacted."""
        if self.history.is_redacted or (recorded or "") == (now or "") or same_payload(recorded, now):
            return None
        return f"recorded {_shown(recorded)}\nnow      {_shown(now)}"

    def error_difference(self, recorded: ErrorObject | None, now: ErrorObject | None) -> str | None:
        """Compare the types and messages of two errors; only the types, if the history was redacted."""
        was = (_bare(recorded.type) if recorded else None, recorded.message if recorded else None)
        is_now = (_bare(now.type) if now else None, now.message if now else None)
        if was == is_now or (self.history.is_redacted and was[0] == is_now[0]):
            return None
        return f"recorded {was[0]}: {_shown(was[1])}\nnow      {is_now[0]}: {_shown(is_now[1])}"


def _is_open(operation_id: str, known: Mapping[str, OperationRecord]) -> bool:
    record = known.get(operation_id)
    return record is None or not record.status.is_terminal


def _may_cut(record: OperationRecord) -> bool:
    """Tell whether what is in this context may have been cut off: by a batch always, by a block if it says so."""
    if record.sub_type in ("Map", "Parallel"):
        return True
    uncut = _UNCUT.get(record.sub_type or "")
    return uncut is not None and not _says(record, uncut)


def _says(record: OperationRecord, verdict: Mapping[str, object]) -> bool:
    payload = record.details.result if isinstance(record.details, ContextDetails) else None
    try:
        value = json.loads(payload or "")
    except ValueError:
        return False
    return isinstance(value, dict) and all(key in value and value[key] == is_ for key, is_ in verdict.items())


def is_decided_early(update: OperationUpdate) -> bool:
    """Tell whether *update* closes a batch that, as far as can be seen, did not wait for every item."""
    return (
        update.action is OperationAction.SUCCEED
        and update.sub_type in ("Map", "Parallel")
        and CompletionReason.ALL_COMPLETED not in (update.payload or "")
    )


def _counts_every_item(record: OperationRecord) -> bool:
    """Tell whether a batch went through all its items, so that its result is no matter of timing."""
    payload = record.details.result if isinstance(record.details, ContextDetails) else None
    return record.sub_type in ("Map", "Parallel") and CompletionReason.ALL_COMPLETED in (payload or "")


def _ending(status: OperationStatus, payload: str | None, error: ErrorObject | None) -> str:
    if status is OperationStatus.SUCCEEDED:
        return f"success with {_shown(payload)}"
    return f"{error.type}: {_shown(error.message)}" if error else str(status)


def _bare(type_: str | None) -> str | None:
    """Return an error's type without its module: AWS's SDK records its own errors with theirs."""
    return type_ and type_.rpartition(".")[2]


def _shown(text: str | None, most: int = 500) -> str:
    if text is None:
        return "nothing"
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"
