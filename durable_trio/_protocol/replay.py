"""What to do with an operation that the program reaches, given what is recorded of it.

A function that is invoked again runs from the top. At each operation it asks: is there a record under this
id, and what does it say? The answer is a value; the runtime turns it into awaiting. Nothing here looks at
time: whether a timer is over is the service's word, in the status.

Before any of that, the record must be the record of *this* operation. Ids only say where in the program an
operation stands, so type, subtype, name and parent are compared; a difference means that the code has
changed under a running execution (or depends on chance), and going on would hand one operation's value to
another.
"""

from __future__ import annotations

from typing import TypeAlias

from durable_trio._protocol.lifecycle import PENDING, READY, STARTED, SUCCEEDED
from durable_trio._protocol.operation import (
    CallbackDetails,
    ChainedInvokeDetails,
    ContextDetails,
    ErrorObject,
    OperationRecord,
    OperationStatus,
    OperationType,
    StepDetails,
    WaitDetails,
)
from durable_trio._protocol.value_class import dataclass


@dataclass(frozen=True, slots=True)
class Begin:
    """There is nothing to replay: do it. ``must_start`` is False if its START is recorded already."""

    must_start: bool


@dataclass(frozen=True, slots=True)
class RunAttempt:
    """Run a step's body for the *attempt*-th time (from 1)."""

    attempt: int
    must_start: bool


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The *attempt*-th run of an at-most-once step was cut off; it must not run again as this attempt."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Park:
    """The service or the outside world has to move first; *due_at* is when a timer will, if one runs."""

    due_at: int | None


@dataclass(frozen=True, slots=True)
class Replay:
    """It has succeeded; this is its payload."""

    payload: str | None


@dataclass(frozen=True, slots=True)
class ReplayChildren:
    """A context has succeeded with a result too big to keep: run its body again over its finished children."""

    payload: str | None


@dataclass(frozen=True, slots=True)
class RaiseRecorded:
    """It has ended without success."""

    status: OperationStatus
    error: ErrorObject | None


StepDecision: TypeAlias = RunAttempt | Interrupted | Park | Replay | RaiseRecorded
ServiceDecision: TypeAlias = Begin | Park | Replay | RaiseRecorded
ContextDecision: TypeAlias = Begin | Replay | ReplayChildren | RaiseRecorded


def decide_step(record: OperationRecord | None, *, at_most_once: bool) -> StepDecision:
    """Decide for a step. A recorded attempt counts finished ones, so the next is one more."""
    if record is None:
        return RunAttempt(1, True)
    details = record.details if type(record.details) is StepDetails else StepDetails()
    status = record.status
    if status is SUCCEEDED:
        return Replay(details.result)
    if status is STARTED and at_most_once:
        return Interrupted(details.attempt + 1)
    if status is STARTED or status is READY:
        return RunAttempt(details.attempt + 1, must_start=status is READY)
    if status is PENDING:
        return Park(details.next_attempt_at)
    return RaiseRecorded(status, details.error)


def decide_wait(record: OperationRecord | None) -> ServiceDecision:
    """Decide for a wait. A cancelled wait is over, like one that ran its time."""
    if record is None:
        return Begin(must_start=True)
    match record.status:
        case OperationStatus.SUCCEEDED | OperationStatus.CANCELLED:
            return Replay(None)
        case status if status.is_terminal:
            return RaiseRecorded(status, None)
        case _:
            return Park(record.details.scheduled_end_at if isinstance(record.details, WaitDetails) else None)


def decide_answer(record: OperationRecord | None) -> ServiceDecision:
    """Decide for what the outside world answers: a callback's result, or a chained invoke."""
    if record is None:
        return Begin(must_start=True)
    details = record.details
    if not isinstance(details, (CallbackDetails, ChainedInvokeDetails)):
        details = CallbackDetails()
    match record.status:
        case OperationStatus.SUCCEEDED:
            return Replay(details.result)
        case status if status.is_terminal:
            return RaiseRecorded(status, details.error)
        case _:
            return Park(None)


def decide_context(record: OperationRecord | None) -> ContextDecision:
    """Decide for a child context, a map, an item, a branch."""
    if record is None:
        return Begin(must_start=True)
    details = record.details if type(record.details) is ContextDetails else ContextDetails()
    status = record.status
    if status is SUCCEEDED:
        return ReplayChildren(details.result) if details.replay_children else Replay(details.result)
    if status.is_terminal:
        return RaiseRecorded(status, details.error)
    return Begin(must_start=False)


def is_answered(record: OperationRecord | None) -> bool:
    """Tell whether a context's outcome is in its record, so that its body has nothing to say."""
    if record is None or not record.status.is_terminal:
        return False
    return not (type(record.details) is ContextDetails and record.details.replay_children)


def through_at(record: OperationRecord) -> int | None:
    """Return when *record*'s operation ended, in epoch milliseconds; None if it has not.

    A wait that ran its time ended no earlier than it was due, whatever a hurried clock has written down.
    """
    if not record.status.is_terminal:
        return None
    ended_at = record.started_at if record.ended_at is None else record.ended_at
    if record.type is OperationType.WAIT and record.status is OperationStatus.SUCCEEDED:
        details = record.details
        if isinstance(details, WaitDetails) and details.scheduled_end_at is not None:
            return max(ended_at, details.scheduled_end_at)
    return ended_at


# --- identity --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Identity:
    """What the program asks for at one place."""

    id: str
    type: OperationType
    sub_type: str
    name: str | None
    parent_id: str | None
    is_default_name: bool = False
    """The name was derived from a function's; renaming that function must not break running executions."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How a record differs from what the program asks for; ``only_default_name`` if nothing else does."""

    text: str
    only_default_name: bool


def difference(record: OperationRecord, identity: Identity) -> Difference | None:
    """Compare a record with what the program asks for at its place; None if they agree.

    A member that the record lacks is not compared: other SDKs leave some out.
    """
    if (
        record.name == identity.name
        and record.type is identity.type
        and record.sub_type == identity.sub_type
        and record.parent_id == identity.parent_id
    ):
        return None
    lines = []
    if record.type is not identity.type:
        lines.append(f"type: recorded {record.type}, now {identity.type}")
    if record.sub_type is not None and record.sub_type != identity.sub_type:
        lines.append(f"subtype: recorded {record.sub_type}, now {identity.sub_type}")
    if record.parent_id != identity.parent_id:
        lines.append(f"parent: recorded {record.parent_id or 'none'}, now {identity.parent_id or 'none'}")
    same_name = record.name == identity.name or (record.name is None and identity.is_default_name)
    if not same_name:
        lines.append(f"name: recorded {record.name!r}, now {identity.name!r}")
    if not lines:
        return None
    return Difference(
        "\n".join(lines), only_default_name=len(lines) == 1 and not same_name and identity.is_default_name
    )
