"""What an execution records: operations, and the updates that ask for a change of one.

An *operation update* is what the SDK sends (an action: START, SUCCEED, ...); an *operation record* is what
the service keeps and gives back (a status: STARTED, SUCCEEDED, ...). ``lifecycle`` says which action leads
from which status to which. Both are frozen: they cross between tasks, and between the two sides.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeAlias

from durable_trio._protocol.value_class import dataclass


class OperationType(StrEnum):
    """What kind of thing an operation is."""

    __hash__ = str.__hash__  # that of enums is a Python function, and they are keys everywhere

    EXECUTION = "EXECUTION"
    CONTEXT = "CONTEXT"
    STEP = "STEP"
    WAIT = "WAIT"
    CALLBACK = "CALLBACK"
    CHAINED_INVOKE = "CHAINED_INVOKE"


class OperationStatus(StrEnum):
    """Where an operation stands."""

    __hash__ = str.__hash__  # that of enums is a Python function, and they are keys everywhere

    STARTED = "STARTED"
    PENDING = "PENDING"
    """A step whose retry timer runs."""
    READY = "READY"
    """A step whose retry timer is over; it waits for its next START."""
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"
    STOPPED = "STOPPED"

    @property
    def is_terminal(self) -> bool:
        """Tell whether the operation has ended and can never change again."""
        return self in _TERMINAL


_TERMINAL: Final = frozenset(
    {
        OperationStatus.SUCCEEDED,
        OperationStatus.FAILED,
        OperationStatus.CANCELLED,
        OperationStatus.TIMED_OUT,
        OperationStatus.STOPPED,
    }
)


class OperationAction(StrEnum):
    """What an update asks the service to do with an operation."""

    __hash__ = str.__hash__  # that of enums is a Python function, and they are keys everywhere

    START = "START"
    SUCCEED = "SUCCEED"
    FAIL = "FAIL"
    RETRY = "RETRY"
    CANCEL = "CANCEL"


class SubType(StrEnum):
    """The finer kind of an operation; part of its identity on replay."""

    STEP = "Step"
    WAIT = "Wait"
    CALLBACK = "Callback"
    CHAINED_INVOKE = "ChainedInvoke"
    RUN_IN_CHILD_CONTEXT = "RunInChildContext"
    WAIT_FOR_CALLBACK = "WaitForCallback"
    WAIT_FOR_CONDITION = "WaitForCondition"
    MAP = "Map"
    MAP_ITERATION = "MapIteration"
    PARALLEL = "Parallel"
    PARALLEL_BRANCH = "ParallelBranch"
    ALL = "All"
    ANY = "Any"
    RACE = "Race"
    RETRY = "Retry"
    RESTART = "Restart"
    NURSERY = "Nursery"
    DEADLINE = "Deadline"
    SAGA = "Saga"
    COMPENSATION = "Compensation"
    CUT = "Cut"


@dataclass(frozen=True, slots=True)
class ErrorObject:
    """An error as it is recorded: text only, so that any language can read it."""

    message: str | None = None
    type: str | None = None
    data: str | None = None
    stack: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """How a context is closed: whether its children stay visible, to be replayed."""

    replay_children: bool = False


@dataclass(frozen=True, slots=True)
class StepOptions:
    """When the next attempt of a step is due."""

    next_attempt_delay_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class WaitOptions:
    """How long a wait lasts."""

    wait_seconds: int


@dataclass(frozen=True, slots=True)
class CallbackOptions:
    """How long a callback may stay open, in all and between heartbeats; 0 means for ever."""

    timeout_seconds: int = 0
    heartbeat_timeout_seconds: int = 0


@dataclass(frozen=True, slots=True)
class ChainedInvokeOptions:
    """Which function a chained invoke calls."""

    function_name: str
    tenant_id: str | None = None


UpdateOptions: TypeAlias = ContextOptions | StepOptions | WaitOptions | CallbackOptions | ChainedInvokeOptions


@dataclass(frozen=True, slots=True)
class OperationUpdate:
    """One change that the SDK asks the service to record."""

    id: str
    type: OperationType
    action: OperationAction
    parent_id: str | None = None
    name: str | None = None
    sub_type: str | None = None
    payload: str | None = None
    error: ErrorObject | None = None
    options: UpdateOptions | None = None


@dataclass(frozen=True, slots=True)
class ExecutionDetails:
    """The execution's input, as the caller sent it."""

    input_payload: str | None = None


@dataclass(frozen=True, slots=True)
class ContextDetails:
    """How a context ended."""

    result: str | None = None
    error: ErrorObject | None = None
    replay_children: bool = False


@dataclass(frozen=True, slots=True)
class StepDetails:
    """Where a step stands; ``attempt`` counts *finished* attempts."""

    attempt: int = 0
    next_attempt_at: int | None = None
    result: str | None = None
    error: ErrorObject | None = None


@dataclass(frozen=True, slots=True)
class WaitDetails:
    """When a wait is over."""

    scheduled_end_at: int | None = None


@dataclass(frozen=True, slots=True)
class CallbackDetails:
    """The id that the outside world answers to, and its answer."""

    callback_id: str | None = None
    result: str | None = None
    error: ErrorObject | None = None


@dataclass(frozen=True, slots=True)
class ChainedInvokeDetails:
    """What the invoked function answered."""

    result: str | None = None
    error: ErrorObject | None = None


OperationDetails: TypeAlias = (
    ExecutionDetails | ContextDetails | StepDetails | WaitDetails | CallbackDetails | ChainedInvokeDetails
)

DETAILS: Final[dict[OperationType, type[OperationDetails]]] = {
    OperationType.EXECUTION: ExecutionDetails,
    OperationType.CONTEXT: ContextDetails,
    OperationType.STEP: StepDetails,
    OperationType.WAIT: WaitDetails,
    OperationType.CALLBACK: CallbackDetails,
    OperationType.CHAINED_INVOKE: ChainedInvokeDetails,
}


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """One operation as the service keeps it."""

    id: str
    type: OperationType
    status: OperationStatus
    started_at: int
    parent_id: str | None = None
    name: str | None = None
    sub_type: str | None = None
    ended_at: int | None = None
    details: OperationDetails | None = None
