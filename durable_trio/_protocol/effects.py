"""What a change of an execution asks its service to do, as data.

Effects are performed when the change has been committed, except that what a chained invoke starts, and what its
end completes, is part of the same transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from durable_trio._protocol.value_class import dataclass, frozen_dataclass

if TYPE_CHECKING:
    from durable_trio._protocol.arns import ExecutionArn
    from durable_trio._protocol.execution_status import ExecutionStatus
    from durable_trio._protocol.operation import ErrorObject, OperationRecord


@dataclass(frozen=True, slots=True)
class OperationChanged:
    """An operation was created or changed."""

    operation: OperationRecord


@frozen_dataclass(frozen=True, slots=True)
class InvocationStarted:
    """The function is being called; *number* counts the execution's invocations from 1."""

    request_id: str
    number: int


@frozen_dataclass(frozen=True, slots=True)
class InvocationEnded:
    """A call of the function is over; *error* tells why it failed, if it did."""

    request_id: str
    number: int
    error: ErrorObject | None


@frozen_dataclass(frozen=True, slots=True)
class ExecutionClosed:
    """The execution ended."""

    status: ExecutionStatus


@frozen_dataclass(frozen=True, slots=True)
class StandingChanged:
    """The execution was paused or resumed."""

    status: ExecutionStatus


@frozen_dataclass(frozen=True, slots=True)
class ChainedInvokeStarted:
    """Another function is to be called, on behalf of *operation_id*, as execution *arn*.

    A function that is not durable has no executions; *arn* then only names the call.
    """

    operation_id: str
    arn: ExecutionArn
    input_payload: str
    tenant_id: str | None = None
    is_durable: bool = True


Effect: TypeAlias = (
    OperationChanged
    | InvocationStarted
    | InvocationEnded
    | ExecutionClosed
    | StandingChanged
    | ChainedInvokeStarted
)
