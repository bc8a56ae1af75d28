"""How the runtime reaches a durable execution service: two calls, and nothing else.

``aws`` talks to AWS Lambda (or any endpoint that speaks its routes); the local service has a client of its
own. Write another by implementing ``ServiceClient``: the runtime never asks for more. What its calls are about, operations
and updates of them, can be imported from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from durable_trio._protocol.operation import (
    CallbackDetails,
    CallbackOptions,
    ChainedInvokeDetails,
    ChainedInvokeOptions,
    ContextDetails,
    ContextOptions,
    ExecutionDetails,
    OperationAction,
    OperationRecord,
    OperationUpdate,
    StepDetails,
    StepOptions,
    WaitDetails,
    WaitOptions,
)
from durable_trio._protocol.value_class import frozen_dataclass as dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "CallbackDetails",
    "CallbackOptions",
    "ChainedInvokeDetails",
    "ChainedInvokeOptions",
    "CheckpointResponse",
    "ContextDetails",
    "ContextOptions",
    "ExecutionDetails",
    "OperationAction",
    "OperationRecord",
    "OperationUpdate",
    "ServiceClient",
    "StatePage",
    "StepDetails",
    "StepOptions",
    "WaitDetails",
    "WaitOptions",
]


@dataclass(frozen=True, slots=True)
class CheckpointResponse:
    """What the service answers to a checkpoint.

    Attributes:
        checkpoint_token: proof of this checkpoint, for the next call. None: this invocation may not
            checkpoint any more and has to end.
        operations: what changed since the last checkpoint; may repeat what is known.
        next_marker: not empty if there are more operations to read by ``get_state``.
    """

    checkpoint_token: str | None
    operations: Sequence[OperationRecord] = ()
    next_marker: str = ""


@dataclass(frozen=True, slots=True)
class StatePage:
    """One page of an execution's state; ``next_marker`` is empty on the last one."""

    operations: Sequence[OperationRecord]
    next_marker: str = ""


@runtime_checkable
class ServiceClient(Protocol):
    """A durable execution service, as the runtime sees it.

    A client may have an attribute ``clock`` (``durable_trio.clock.Clock``): the time by which the service
    keeps its timers. Without one the runtime uses the system's time.

    Both calls raise a ``ServiceError``: with ``is_retryable`` the invocation raises and Lambda invokes again,
    otherwise the execution fails. A client retries passing failures by itself, with the same tokens.
    On cancellation a call may or may not have taken effect.
    """

    async def checkpoint(
        self,
        *,
        durable_execution_arn: str,
        checkpoint_token: str,
        updates: Sequence[OperationUpdate],
        client_token: str,
    ) -> CheckpointResponse:
        """Record *updates* atomically, in order, and return what changed.

        A repeated call with the same checkpoint token and client token is answered like the first.
        """
        ...

    async def get_state(
        self, *, durable_execution_arn: str, checkpoint_token: str, marker: str, max_items: int
    ) -> StatePage:
        """Return the page of the execution's state that starts at *marker*."""
        ...
