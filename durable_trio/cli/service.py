"""What the commands ask for, wherever the executions are.

There are two of these: ``file_service`` opens a database in this process, ``remote_service`` calls an endpoint
by boto3. Both speak in the members of AWS's API, so that a command shows the same of the same execution:
instants are epoch seconds with a fraction, and what is absent is left out.

An execution is named by its ARN, or by its name; in a file by its id as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from durable_trio._protocol.operation import ErrorObject, OperationRecord

Members = dict[str, Any]
"""A shape of AWS's API, as JSON."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """An execution with its operations.

    Attributes:
        description: what GetDurableExecution answers.
        operations: in start order, the EXECUTION first.
        invocation_count: how often its function has been called.
        now: the service's time (epoch milliseconds).
    """

    description: Members
    operations: Sequence[OperationRecord]
    invocation_count: int
    now: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeRequest:
    """What ``invoke`` asks for; *how* is RequestResponse, Event or DryRun."""

    function_name: str
    payload: str
    how: str
    name: str | None
    tenant_id: str | None
    qualifier: str | None


@dataclass(frozen=True, slots=True)
class Invoked:
    """What came of an invoke; ``function_error`` is set if the function failed, and ``payload`` tells why."""

    status_code: int
    arn: str | None
    payload: str
    function_error: str | None


class ExecutionService(Protocol):
    """Where executions are. Every method may raise a ``UserError``, ``NotFoundError`` among them."""

    async def list_executions(
        self, *, function_name: str | None, statuses: Collection[str], limit: int
    ) -> list[Members]:
        """Return the newest executions, the newest first."""
        ...

    async def describe(self, execution: str) -> Members:
        """Return what GetDurableExecution answers."""
        ...

    async def inspect(self, execution: str) -> Inspection:
        """Return an execution and its operations."""
        ...

    async def events(self, arn: str, *, newest_first: bool = False) -> list[Members]:
        """Return the whole history."""
        ...

    async def log_lines(self, arn: str) -> list[Members]:
        """Return all that the execution's functions wrote to their logs."""
        ...

    async def stop(self, arn: str, error: ErrorObject | None) -> Members:
        """End an execution by force; return what StopDurableExecution answers."""
        ...

    async def pause(self, arn: str, *, reason: str | None, pause_timeout: bool) -> None:
        """Have an execution not invoked any more until it is resumed."""
        ...

    async def resume(self, arn: str, *, reason: str | None) -> None:
        """Go on with an execution that was paused."""
        ...

    async def delete(self, arn: str) -> Members:
        """Delete an execution that has ended; return what DeleteDurableExecution answers."""
        ...

    async def invoke(self, request: InvokeRequest) -> Invoked:
        """Invoke a function."""
        ...

    async def callback_succeed(self, callback_id: str, result: str | None) -> None:
        """Answer a callback with a result."""
        ...

    async def callback_fail(self, callback_id: str, error: ErrorObject) -> None:
        """Answer a callback with a failure."""
        ...

    async def callback_heartbeat(self, callback_id: str) -> None:
        """Say that a callback's answer is still being worked on."""
        ...
