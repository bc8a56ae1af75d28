"""Functions for the service to call, written by hand: they speak the envelope and nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from durable_trio._protocol.envelope import InvocationInput, decode_invocation
from durable_trio._protocol.operation import (
    CallbackDetails,
    CallbackOptions,
    ChainedInvokeDetails,
    ChainedInvokeOptions,
    ErrorObject,
    OperationAction,
    OperationRecord,
    OperationStatus,
    OperationType,
    OperationUpdate,
    StepOptions,
    WaitOptions,
)

if TYPE_CHECKING:
    from durable_trio.clients import ServiceClient
    from durable_trio.local import ExecutionDescription, LocalLambdaContext, LocalService

PENDING = {"Status": "PENDING"}
START, SUCCEED, FAIL = OperationAction.START, OperationAction.SUCCEED, OperationAction.FAIL
STEP, WAIT, CALLBACK = OperationType.STEP, OperationType.WAIT, OperationType.CALLBACK
CHAINED = OperationType.CHAINED_INVOKE


def succeeded(result: str = '"done"') -> dict[str, Any]:
    """Answer that the execution is over."""
    return {"Status": "SUCCEEDED", "Result": result}


@dataclass
class Call:
    """One invocation, from the inside: what it was given, and its client with the token at hand."""

    event: dict[str, Any]
    context: LocalLambdaContext
    client: ServiceClient
    invocation: InvocationInput = field(init=False)
    token: str | None = field(init=False)
    operations: dict[str, OperationRecord] = field(init=False)

    def __post_init__(self) -> None:
        self.invocation = decode_invocation(self.event)
        self.token = self.invocation.checkpoint_token
        self.operations = {operation.id: operation for operation in self.invocation.operations}

    async def checkpoint(
        self, *updates: OperationUpdate, client_token: str | None = None
    ) -> list[OperationRecord]:
        """Checkpoint with the latest token, and merge what comes back."""
        assert self.token is not None
        response = await self.client.checkpoint(
            durable_execution_arn=self.invocation.durable_execution_arn,
            checkpoint_token=self.token,
            updates=updates,
            client_token=f"call-{next(_numbers)}" if client_token is None else client_token,
        )
        self.token = response.checkpoint_token
        self.operations |= {operation.id: operation for operation in response.operations}
        return list(response.operations)

    def status(self, id_: str) -> OperationStatus | None:
        """Return the status of an operation as far as it is known; None if there is none."""
        operation = self.operations.get(id_)
        return None if operation is None else operation.status

    def callback_id(self, id_: str) -> str:
        """Return the callback id of a callback operation."""
        details = self.operations[id_].details
        assert isinstance(details, CallbackDetails)
        assert details.callback_id is not None
        return details.callback_id


_numbers = itertools.count()

Body: TypeAlias = Callable[[Call], Awaitable[Any]]


class Function:
    """A target that runs *body* with a ``Call``, and keeps the calls."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self.calls: list[Call] = []

    async def __call__(
        self, event: dict[str, Any], context: LocalLambdaContext, /, *, client: ServiceClient
    ) -> Any:
        """Run one invocation."""
        call = Call(event, context, client)
        self.calls.append(call)
        return await self._body(call)


def start_step(id_: str = "step") -> OperationUpdate:
    """Start a step."""
    return OperationUpdate(id_, STEP, START, name=id_)


def succeed_step(id_: str = "step", payload: str = "1") -> OperationUpdate:
    """Close a step."""
    return OperationUpdate(id_, STEP, SUCCEED, payload=payload)


def retry_step(id_: str = "step", delay: int = 5) -> OperationUpdate:
    """Have a step retried."""
    error = ErrorObject("boom", "ValueError")
    return OperationUpdate(id_, STEP, OperationAction.RETRY, error=error, options=StepOptions(delay))


def start_wait(seconds: int, id_: str = "wait") -> OperationUpdate:
    """Start a wait."""
    return OperationUpdate(id_, WAIT, START, name=id_, options=WaitOptions(seconds))


def start_callback(timeout: int = 0, heartbeat: int = 0, id_: str = "callback") -> OperationUpdate:
    """Start a callback."""
    return OperationUpdate(id_, CALLBACK, START, name=id_, options=CallbackOptions(timeout, heartbeat))


# --- ready-made bodies -----------------------------------------------------------------------------------


async def returns_at_once(call: Call) -> Any:
    """Succeed with the input as the result."""
    del call
    return succeeded()


async def waits_for_callback(call: Call) -> Any:
    """Start a callback, and succeed with its result once it is there."""
    if call.status("callback") is None:
        await call.checkpoint(start_callback())
    operation = call.operations["callback"]
    if not operation.status.is_terminal:
        return PENDING
    assert isinstance(operation.details, CallbackDetails)
    if operation.details.error is not None:
        return {"Status": "FAILED", "Error": {"ErrorType": operation.details.error.type}}
    return succeeded(operation.details.result or "null")


def waits(seconds: int) -> Body:
    """Make a body that waits once, durably."""

    async def body(call: Call) -> Any:
        if call.status("wait") is None:
            await call.checkpoint(start_wait(seconds))
        return succeeded() if call.status("wait") is OperationStatus.SUCCEEDED else PENDING

    return body


def calls(function: str, payload: str | None = '{"a": 1}', tenant_id: str | None = None) -> Body:
    """Make a body that invokes *function* and succeeds with its result."""

    async def body(call: Call) -> Any:
        if call.status("inv") is None:
            options = ChainedInvokeOptions(function, tenant_id)
            await call.checkpoint(OperationUpdate("inv", CHAINED, START, payload=payload, options=options))
        operation = call.operations["inv"]
        assert isinstance(operation.details, ChainedInvokeDetails)
        if operation.status is OperationStatus.STARTED:
            return PENDING
        if operation.status is OperationStatus.SUCCEEDED:
            return succeeded(operation.details.result or "null")
        error = operation.details.error
        assert error is not None
        return {"Status": "FAILED", "Error": {"ErrorType": error.type, "ErrorMessage": error.message}}

    return body


async def run_caller(service: LocalService, function: str = "f", **options: Any) -> ExecutionDescription:
    """Start an execution that invokes *function*, and return its description at the end."""
    service.register("caller", Function(calls(function, **options)))
    execution = await service.start_execution("caller", "null")
    return await service.wait_closed(execution.arn)


def error_of(description: ExecutionDescription) -> ErrorObject:
    """Return why an execution did not succeed."""
    assert description.error is not None, description
    return description.error
