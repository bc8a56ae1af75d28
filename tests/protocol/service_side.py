"""The service side of an execution without I/O: one record, a clock that is moved by hand, and short updates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio._protocol.arns import ExecutionArn
from durable_trio._protocol.checkpointing import CheckpointAnswer, apply_checkpoint
from durable_trio._protocol.execution_record import ExecutionIdentity, start_record
from durable_trio._protocol.function_moves import ChainedTarget
from durable_trio._protocol.invocation_rules import (
    InvocationOutcome,
    RetryPolicy,
    begin_invocation,
    end_invocation,
)
from durable_trio._protocol.opaque import checkpoint_token
from durable_trio._protocol.operation import (
    ChainedInvokeOptions,
    ErrorObject,
    OperationAction,
    OperationRecord,
    OperationStatus,
    OperationType,
    OperationUpdate,
    StepOptions,
    UpdateOptions,
    WaitOptions,
)
from durable_trio._protocol.pages import PageLimits
from durable_trio._protocol.service_moves import fire_due

if TYPE_CHECKING:
    from durable_trio._protocol.effects import Effect
    from durable_trio._protocol.envelope import InvocationInput
    from durable_trio._protocol.history import EventType, HistoryEvent

START, SUCCEED, FAIL, RETRY, CANCEL = (
    OperationAction.START,
    OperationAction.SUCCEED,
    OperationAction.FAIL,
    OperationAction.RETRY,
    OperationAction.CANCEL,
)
EXECUTION, CONTEXT, STEP, WAIT, CALLBACK, CHAINED_INVOKE = (
    OperationType.EXECUTION,
    OperationType.CONTEXT,
    OperationType.STEP,
    OperationType.WAIT,
    OperationType.CALLBACK,
    OperationType.CHAINED_INVOKE,
)
STARTED_AT = 1_700_000_000_000
ERROR = ErrorObject(message="boom", type="ValueError")


def arn_of(name: str = "run", function_name: str = "handler", id_: str = "exec-1") -> ExecutionArn:
    """Return an ARN with fixed region and account."""
    return ExecutionArn("us-east-1", "123456789012", function_name, name, id_)


def update(
    type_: OperationType,
    action: OperationAction,
    id_: str = "op",
    *,
    parent: str | None = None,
    name: str | None = None,
    payload: str | None = None,
    error: ErrorObject | None = None,
    options: UpdateOptions | None = None,
) -> OperationUpdate:
    """Make an update with an id of its own and little else."""
    return OperationUpdate(
        id_, type_, action, parent_id=parent, name=name, payload=payload, error=error, options=options
    )


def wait(seconds: int = 60, id_: str = "wait") -> OperationUpdate:
    """Start a wait."""
    return update(WAIT, START, id_, options=WaitOptions(seconds))


def retry(id_: str = "op", *, delay: int = 5, payload: str | None = None) -> OperationUpdate:
    """Retry a step: with a payload a poll that goes on, else after a failure."""
    error = None if payload is not None else ERROR
    return update(STEP, RETRY, id_, payload=payload, error=error, options=StepOptions(delay))


class Service:
    """One execution, whose function is played by the test."""

    def __init__(
        self,
        *,
        timeout_seconds: int = 86_400,
        policy: RetryPolicy | None = None,
        functions: tuple[str, ...] = (),
    ) -> None:
        self.now = STARTED_AT
        self.policy = policy if policy is not None else RetryPolicy()
        self.functions = functions
        self.events: list[HistoryEvent] = []
        self.effects: list[Effect] = []
        self.record = start_record(ExecutionIdentity(arn_of(), self.now, timeout_seconds, 14), '{"a": 1}')
        self._calls = 0
        self._note()

    def _note(self) -> None:
        changes = self.record.take_changes()
        self.events += changes.events
        self.effects += changes.effects

    @property
    def token(self) -> str:
        """The current token."""
        return checkpoint_token(self.record.id, self.record.token_sequence)

    @property
    def event_types(self) -> list[EventType]:
        """The types of all events so far."""
        return [event.type for event in self.events]

    def begin(self, page_limits: PageLimits | None = None) -> InvocationInput:
        """Start the invocation that is due."""
        number = self.record.invocation_count + 1
        invocation = begin_invocation(
            self.record,
            f"request-{number}",
            self.now,
            page_limits if page_limits is not None else PageLimits(),
        )
        self._note()
        return invocation

    def checkpoint(
        self, *updates: OperationUpdate, token: str | None = None, client_token: str | None = None
    ) -> CheckpointAnswer:
        """Checkpoint with the current token and a new client token, unless told otherwise."""
        self._calls += 1
        answer = apply_checkpoint(
            self.record,
            self.token if token is None else token,
            f"call-{self._calls}" if client_token is None else client_token,
            updates,
            self.now,
            self._chain,
        )
        self._note()
        return answer

    def _chain(self, options: ChainedInvokeOptions) -> ChainedTarget | None:
        if options.function_name not in self.functions:
            return None
        return ChainedTarget(arn_of("child", options.function_name, "exec-2"))

    def end(self, outcome: InvocationOutcome) -> None:
        """End the active invocation."""
        assert self.record.active is not None
        end_invocation(self.record, self.record.active.request_id, outcome, self.now, self.policy, 1.0)
        self._note()

    def advance(self, seconds: float) -> None:
        """Let time pass, and the timers that are due with it."""
        self.now += int(seconds * 1000)
        fire_due(self.record, self.now)
        self._note()

    def operation(self, id_: str = "op") -> OperationRecord:
        """Return an operation that exists."""
        operation = self.record.operation(id_)
        assert operation is not None
        return operation

    def status(self, id_: str = "op") -> OperationStatus:
        """Return the status of an operation that exists."""
        return self.operation(id_).status


def started_service(*updates: OperationUpdate, functions: tuple[str, ...] = ()) -> Service:
    """Return a service with an active invocation that has recorded *updates*."""
    service = Service(functions=functions)
    service.begin()
    if updates:
        service.checkpoint(*updates)
    return service
