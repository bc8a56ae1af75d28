"""One execution as the service keeps it.

The record is a mutable object with one owner: copying ten thousand operations for every checkpoint is out of
the question. What keeps it sound instead is a rule that every operation on it follows: *validate everything
first, then apply*. A refused request leaves it untouched. The modules beside this one hold those operations:

- ``checkpointing``: what the function asks for (rules in ``checkpoint_rules``);
- ``service_moves``: what the service does on its own: timers, callbacks, chained invokes, stop;
- ``pausing``: pause and resume;
- ``invocation_rules``: when the function is called, and what its answer means;
- ``pages``: which operations a function is shown.

Changes are numbered. Every time an operation changes it gets the next change number, and ``shown_change`` is
the highest number that the current (or latest) invocation has been shown. Everything about visibility follows
from these two: what a checkpoint answers, what ``UpdatedOperationIds`` holds, and whether an invocation that
answers PENDING has missed something and has to be invoked again at once.

``take_changes`` hands over everything that happened since it was called last: rows for the store to write, and
effects for the service to perform once the write has been committed. Timers and a due invocation are no
effects but state: ``timers.next_due()`` and ``is_invocation_due``. State survives a crash between the commit and
the deed, so a service that reads a record back knows what is left to do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from durable_trio._protocol import value_class
from durable_trio._protocol.effects import Effect, ExecutionClosed, OperationChanged, StandingChanged
from durable_trio._protocol.execution_status import CLOSED_STATUSES, ExecutionStatus
from durable_trio._protocol.history import EventDetails, EventType, HistoryEvent, event_type
from durable_trio._protocol.operation import (
    ErrorObject,
    ExecutionDetails,
    OperationRecord,
    OperationStatus,
    OperationType,
)
from durable_trio._protocol.timer_table import Timer, TimerKey, TimerKind, TimerTable

if TYPE_CHECKING:
    from durable_trio._protocol.arns import ExecutionArn


@value_class.frozen_dataclass(frozen=True, slots=True)
class ParentOperation:
    """The chained invoke, in another execution, that started this one."""

    execution_id: str
    operation_id: str


@value_class.frozen_dataclass(frozen=True, slots=True)
class ExecutionIdentity:
    """What never changes about an execution."""

    arn: ExecutionArn
    started_at: int
    execution_timeout_seconds: int
    retention_days: int
    parent: ParentOperation | None = None
    tenant_id: str | None = None
    is_asynchronous: bool = False
    """Nobody waits for the result: other limits hold for its size."""
    is_durable: bool = True
    """Its function checkpoints. If not, this is one call of a function, kept so that it is not lost."""


@value_class.frozen_dataclass(frozen=True, slots=True)
class ActiveInvocation:
    """The invocation that runs now.

    ``has_progress`` tells whether it has recorded anything, ``is_withheld`` that a pause has taken its token away.
    """

    request_id: str
    number: int
    started_at: int
    has_progress: bool = False
    is_withheld: bool = False


@value_class.frozen_dataclass(frozen=True, slots=True)
class Pause:
    """That an execution is paused, or is to be.

    *timeout_left* is how many milliseconds of its time-out were left when it was, if that is paused too;
    *is_call_owed* that something has happened for which the function would have been called.
    """

    requested_at: int
    reason: str | None = None
    pauses_timeout: bool = True
    timeout_left: int | None = None
    is_call_owed: bool = False


@value_class.dataclass(frozen=True, slots=True)
class RememberedAnswer:
    """What a repeated checkpoint is answered with: the token after it, and the changes shown by it."""

    token_sequence: int
    client_token: str
    answered_at: int
    shown_before: int
    is_last: bool
    """There was no token in the answer: the checkpoint closed the execution, or found that it is to be paused."""


@dataclass(slots=True)
class Entry:
    """An operation, its place in start order, and the number of its latest change."""

    operation: OperationRecord
    position: int
    change: int


@dataclass(slots=True)
class Changes:
    """What happened to a record since it was last stored."""

    operations: dict[str, Entry] = field(default_factory=dict)
    events: list[HistoryEvent] = field(default_factory=list)
    timers: dict[TimerKey, Timer | None] = field(default_factory=dict)
    answers: list[RememberedAnswer] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.operations or self.events or self.timers or self.answers or self.effects)


@dataclass(slots=True, kw_only=True, repr=False)
class ExecutionRecord:
    """One execution: its standing, its operations, its timers."""

    identity: ExecutionIdentity
    status: ExecutionStatus = ExecutionStatus.RUNNING
    ended_at: int | None = None
    result: str | None = None
    error: ErrorObject | None = None

    token_sequence: int = 0
    change_number: int = 0
    shown_change: int = 0
    last_event_id: int = 0

    invocation_count: int = 0
    failures_in_row: int = 0
    invalid_pendings_in_row: int = 0
    is_invocation_due: bool = False
    active: ActiveInvocation | None = None
    pause: Pause | None = None
    requests: dict[str, int] = field(default_factory=dict)
    """When which request to pause or resume came, for as long as a repetition is recognised."""

    timers: TimerTable = field(default_factory=TimerTable)
    answers: dict[int, RememberedAnswer] = field(default_factory=dict)
    _entries: dict[str, Entry] = field(default_factory=dict)
    _order: list[Entry] = field(default_factory=list)
    _unseen: dict[str, Entry] = field(default_factory=dict)
    _changes: Changes = field(default_factory=Changes)

    def __repr__(self) -> str:
        return (
            f"<ExecutionRecord {self.identity.arn.name} {self.status}, {len(self._order)} operations, "
            f"{len(self._unseen)} unseen, {len(self.timers)} timers, token {self.token_sequence}>"
        )

    # --- reading -----------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The id of the execution and of its EXECUTION operation."""
        return self.identity.arn.id

    @property
    def execution_operation(self) -> OperationRecord:
        """The EXECUTION operation; it is the first in start order."""
        return self._order[0].operation

    def __len__(self) -> int:
        return len(self._order)

    def operation(self, operation_id: str) -> OperationRecord | None:
        """Return an operation by id."""
        entry = self._entries.get(operation_id)
        return None if entry is None else entry.operation

    def entries(self) -> list[Entry]:
        """Return every operation in start order. Not a copy: do not change it."""
        return self._order

    def unseen(self) -> list[Entry]:
        """Return the operations that changed since the invocation was last shown something, oldest first."""
        return list(self._unseen.values())

    def changed_after(self, change: int) -> list[Entry]:
        """Return the operations whose latest change is after number *change*, in order of change."""
        found = (entry for entry in self._order if entry.change > change)
        return sorted(found, key=lambda entry: entry.change)

    # --- changing: for the modules that hold the rules ---------------------------------------------------

    def put(self, operation: OperationRecord) -> None:
        """Create or replace an operation, as the next change."""
        self.change_number += 1
        entry = self._entries.get(operation.id)
        if entry is None:
            entry = Entry(operation, len(self._order), self.change_number)
            self._entries[operation.id] = entry
            self._order.append(entry)
        else:
            entry.operation = operation
            entry.change = self.change_number
        # Taken out first: unseen operations are kept in the order of their latest change.
        self._unseen.pop(operation.id, None)
        self._unseen[operation.id] = entry
        self._changes.operations[operation.id] = entry
        self._changes.effects.append(OperationChanged(operation))

    def mark_shown(self) -> None:
        """Note that the invocation has now been shown every change there is."""
        self.shown_change = self.change_number
        self._unseen.clear()

    def log(
        self, type_: EventType, at: int, operation: OperationRecord | None, details: EventDetails
    ) -> None:
        """Append an event to the history."""
        self.last_event_id += 1
        if operation is None:
            event = HistoryEvent(self.last_event_id, type_, at, details=details)
        else:
            event = HistoryEvent(
                self.last_event_id,
                type_,
                at,
                operation.id,
                operation.parent_id,
                operation.name,
                operation.sub_type,
                details,
            )
        self._changes.events.append(event)

    def set_timer(self, kind: TimerKind, due_at: int, period_seconds: float, operation_id: str = "") -> None:
        """Start a timer, in place of one of the same kind for the same operation."""
        timer = Timer(TimerKey(kind, operation_id), due_at, period_seconds)
        self.timers.set(timer)
        self._changes.timers[timer.key] = timer

    def clear_timer(self, kind: TimerKind, operation_id: str = "") -> None:
        """Stop a timer if it runs."""
        key = TimerKey(kind, operation_id)
        if self.timers.clear(key):
            self._changes.timers[key] = None

    def remember(self, answer: RememberedAnswer) -> None:
        """Keep the answer to a checkpoint, for when it is asked again."""
        self.answers[answer.token_sequence] = answer
        self._changes.answers.append(answer)

    def tell(self, effect: Effect) -> None:
        """Have the service do something once this is committed."""
        self._changes.effects.append(effect)

    def wake(self) -> None:
        """Ask for an invocation because something changed.

        Not while one is active: it is shown the change by its next checkpoint, or found to have missed it when
        it answers PENDING. And not while a timer runs that will ask, after a failed invocation for example.
        While the execution is paused, the invocation is owed.
        """
        is_timed = TimerKey(TimerKind.INVOCATION_DUE) in self.timers
        if self.active is not None or is_timed:
            return
        if self.status is ExecutionStatus.RUNNING:
            self.is_invocation_due = True
        elif self.pause is not None:
            self.pause = value_class.replace(self.pause, is_call_owed=True)

    def close(
        self,
        status: ExecutionStatus,
        at: int,
        *,
        result: str | None = None,
        error: ErrorObject | None = None,
    ) -> None:
        """End the execution. Its open operations stay as they are; nothing moves them any more."""
        self.status = status
        self.ended_at = at
        self.result = result
        self.error = error
        self.is_invocation_due = False
        self.pause = None
        # Every token handed out so far is spent.
        self.token_sequence += 1
        for timer in list(self.timers):
            self.clear_timer(timer.key.kind, timer.key.operation_id)
        ended = value_class.replace(self.execution_operation, status=CLOSED_STATUSES[status], ended_at=at)
        self.put(ended)
        self.log(
            event_type(OperationType.EXECUTION, ended.status),
            at,
            ended,
            EventDetails(result=result, error=error),
        )
        self.tell(ExecutionClosed(status))

    def changed(self) -> None:
        """Have the record's own standing stored, although nothing else about it has changed."""
        self.tell(StandingChanged(self.status))

    @property
    def has_changes(self) -> bool:
        """Whether anything has changed since ``take_changes`` was last called."""
        return bool(self._changes)

    def take_changes(self) -> Changes:
        """Return what changed since this was last called."""
        changes, self._changes = self._changes, Changes()
        return changes

    # --- coming back from the store ----------------------------------------------------------------------

    def restore(self, entry: Entry) -> None:
        """Put back a stored operation; they must come in start order."""
        self._entries[entry.operation.id] = entry
        self._order.append(entry)
        if entry.change > self.shown_change:
            self._unseen[entry.operation.id] = entry

    def restored(self) -> None:
        """Note that every stored operation is back."""
        by_change = sorted(self._unseen.values(), key=lambda entry: entry.change)
        self._unseen = {entry.operation.id: entry for entry in by_change}


def start_record(
    identity: ExecutionIdentity, input_payload: str, *, delay_seconds: float = 0
) -> ExecutionRecord:
    """Return the record of an execution that starts now; its first invocation is due after *delay_seconds*."""
    record = ExecutionRecord(identity=identity)
    now = identity.started_at
    operation = OperationRecord(
        id=record.id,
        type=OperationType.EXECUTION,
        status=OperationStatus.STARTED,
        started_at=now,
        name=identity.arn.name,
        details=ExecutionDetails(input_payload=input_payload),
    )
    record.put(operation)
    record.mark_shown()
    record.log(
        EventType.EXECUTION_STARTED,
        now,
        operation,
        EventDetails(input=input_payload, execution_timeout_seconds=identity.execution_timeout_seconds),
    )
    seconds = identity.execution_timeout_seconds
    record.set_timer(TimerKind.EXECUTION_TIMEOUT, now + seconds * 1000, seconds)
    if delay_seconds > 0:
        record.set_timer(TimerKind.INVOCATION_DUE, now + int(delay_seconds * 1000), delay_seconds)
    record.wake()
    return record
