"""The execution as one invocation knows it.

The state starts as the pages that the service handed over and grows with every checkpoint response. It is
merged idempotently, because responses repeat operations; a terminal operation never changes again, so a late
repetition of an older status is dropped.

``is_settled`` answers a question that logging asks: had the *previous* invocation seen this operation in its
present, terminal status? Then the code after it has run before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio._protocol import lifecycle
from durable_trio._protocol.operation import (
    DETAILS,
    ContextDetails,
    ContextOptions,
    ErrorObject,
    ExecutionDetails,
    OperationAction,
    OperationDetails,
    OperationRecord,
    OperationType,
    OperationUpdate,
    StepDetails,
    StepOptions,
    SubType,
    WaitDetails,
    WaitOptions,
)
from durable_trio._protocol.value_class import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Set


class ExecutionState:
    """Every operation that this invocation knows, by id."""

    __slots__ = (
        "_abandoned",
        "_changed",
        "_operations",
        "_parents",
        "_updated_between",
        "durable_execution_arn",
        "execution_id",
        "open_sagas",
    )

    def __init__(self, durable_execution_arn: str, *, updated_operation_ids: Set[str] = frozenset()) -> None:
        self.durable_execution_arn = durable_execution_arn
        self.execution_id = durable_execution_arn.rpartition("/")[2]
        self._operations: dict[str, OperationRecord] = {}
        self._updated_between = updated_operation_ids
        self._changed: set[str] = set()
        self._parents: set[str | None] = set()
        self._abandoned: set[str] = set()
        self.open_sagas: list[OperationRecord] = []
        """The sagas that were open when the invocation began."""

    def load(self, records: Iterable[OperationRecord]) -> None:
        """Take in a page of the state as it was when the invocation began."""
        for record in records:
            self._operations[record.id] = record
            if record.type is not OperationType.EXECUTION:
                self._parents.add(record.parent_id)
                if record.sub_type == SubType.SAGA and not record.status.is_terminal:
                    self.open_sagas.append(record)

    def had_children(self, parent_id: str | None) -> bool:
        """Tell whether earlier invocations had recorded operations of this context (None: the root)."""
        return parent_id in self._parents

    def merge(self, records: Iterable[OperationRecord]) -> list[str]:
        """Take in operations of a checkpoint response; return the ids whose record has changed."""
        changed = []
        operations = self._operations
        for record in records:
            known = operations.get(record.id)
            if known is not None and (known.status.is_terminal or known == record):
                continue
            operations[record.id] = record
            changed.append(record.id)
        self._changed.update(changed)
        return changed

    def apply(self, update: OperationUpdate, now: int) -> None:
        """Record *update* as the service will, for a response that does not repeat it."""
        known = self._operations.get(update.id)
        status = lifecycle.next_status(update.type, known.status if known else None, update.action)
        if status is None:
            return
        record = known or OperationRecord(
            id=update.id,
            type=update.type,
            status=status,
            started_at=now,
            parent_id=update.parent_id,
            name=update.name,
            sub_type=update.sub_type,
        )
        self.merge(
            [
                replace(
                    record,
                    status=status,
                    ended_at=now if status.is_terminal else None,
                    details=_details_after(record.details, update, now),
                )
            ]
        )

    def get(self, operation_id: str) -> OperationRecord | None:
        """Return the record under *operation_id*, or None."""
        return self._operations.get(operation_id)

    def is_terminal(self, operation_id: str) -> bool:
        """Tell whether the operation is known to have ended."""
        record = self._operations.get(operation_id)
        return record is not None and record.status.is_terminal

    def records(self) -> list[OperationRecord]:
        """Return every operation as it stands."""
        return list(self._operations.values())

    def was_updated(self, operation_id: str) -> bool:
        """Tell whether the operation changed between the previous invocation and this one."""
        return operation_id in self._updated_between

    def is_anything_pending(self, *, soon: bool = False) -> bool:
        """Tell whether the service has an operation by which it will wake the execution.

        With *soon*, only a step's retry counts: a wait or a callback may take months. What was abandoned does not
        count: the service will move it, but nobody waits for that.
        """
        return any(
            lifecycle.is_waiting_for_service(record.type, record.status)
            and (record.type is OperationType.STEP or not soon)
            and not self._is_abandoned(record)
            for record in self._operations.values()
        )

    def abandon(self, operation_id: str) -> None:
        """Note that nobody waits for this operation, and for what is in it, any more."""
        self._abandoned.add(operation_id)

    def reclaim(self, operation_id: str) -> None:
        """Note that somebody waits for an abandoned operation after all."""
        self._abandoned.discard(operation_id)

    def _is_abandoned(self, record: OperationRecord) -> bool:
        return bool(self._abandoned) and any(id_ in self._abandoned for id_ in self._way_up(record))

    def _way_up(self, record: OperationRecord) -> Iterator[str]:
        """Yield the ids of the operation and of what is around it, innermost first."""
        above: OperationRecord | None = record
        while above is not None:
            yield above.id
            above = None if above.parent_id is None else self._operations.get(above.parent_id)

    def latest_end_at(self, operation_id: str) -> int | None:
        """Return when the operation ended; if it has not, the latest end of what is recorded inside it; None if none."""
        record = self._operations.get(operation_id)
        if record is not None and record.status.is_terminal:
            return record.ended_at
        ends = (
            inner.ended_at
            for inner in self._operations.values()
            if inner.ended_at is not None and operation_id in self._way_up(inner)
        )
        return max(ends, default=None)

    def __len__(self) -> int:
        return len(self._operations)

    @property
    def execution(self) -> OperationRecord | None:
        """The EXECUTION operation: the one that carries the input."""
        record = self._operations.get(self.execution_id)
        return record if record is not None and record.type is OperationType.EXECUTION else None

    @property
    def input_payload(self) -> str | None:
        """The input as the caller sent it; None if there was none."""
        execution = self.execution
        if execution is None or not isinstance(execution.details, ExecutionDetails):
            return None
        return execution.details.input_payload

    @property
    def was_resumed(self) -> bool:
        """Tell whether something completed since the previous invocation suspended.

        False on the first invocation, and on one that follows a crash with nothing new.
        """
        return bool(self._updated_between)

    def is_settled(self, operation_id: str) -> bool:
        """Tell whether the previous invocation had already seen this operation in its terminal status."""
        record = self._operations.get(operation_id)
        return (
            record is not None
            and record.status.is_terminal
            and operation_id not in self._updated_between
            and operation_id not in self._changed
        )


def _details_after(details: OperationDetails | None, update: OperationUpdate, now: int) -> OperationDetails:
    error: ErrorObject | None = update.error
    match update.type:
        case OperationType.STEP:
            before = details if isinstance(details, StepDetails) else StepDetails()
            if update.action is OperationAction.START:
                return replace(before, next_attempt_at=None)
            delay = (
                update.options.next_attempt_delay_seconds if isinstance(update.options, StepOptions) else None
            )
            return StepDetails(
                attempt=before.attempt + 1,
                next_attempt_at=None if delay is None else now + delay * 1000,
                result=update.payload,
                error=error,
            )
        case OperationType.CONTEXT:
            replay_children = isinstance(update.options, ContextOptions) and update.options.replay_children
            return ContextDetails(result=update.payload, error=error, replay_children=replay_children)
        case OperationType.WAIT if isinstance(update.options, WaitOptions):
            return WaitDetails(scheduled_end_at=now + update.options.wait_seconds * 1000)
        case _:
            return details if details is not None else DETAILS[update.type]()
