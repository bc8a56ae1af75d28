"""One replay: a handler over the records of a history, with nothing new recorded and no body run.

The runtime is the real one, with three things of ours around it:

- ``ReplayedState`` holds the records up to the point. A step that had not ended is PENDING in it, without a due
  time, so that it parks instead of running. And when the program *creates* an operation that has no record at the
  point, a record is put there first: a parked one. So no step, wait, callback or invoke ever begins.
- ``HistoryClient`` answers what is left: contexts are opened and closed as the program computes them, in memory.
- ``ReplayInvocation`` sees each operation as it is created, and each context as it is entered.

All three tell ``Findings`` what happens, which knows what differs from the history. When no actor can go on the invocation suspends,
as any does; then ``Findings.conclude`` asks what has not been asked for.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

from durable_trio._protocol.operation import OperationRecord, OperationType, OperationUpdate
from durable_trio._protocol.state import ExecutionState
from durable_trio._runtime.invocation import Invocation
from durable_trio._runtime.operation import Operation
from durable_trio.clients import CheckpointResponse, StatePage
from durable_trio.clock import Clock
from durable_trio.exceptions import NonDeterministicExecutionError
from durable_trio.testing.replaying_parked import parked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable_trio._runtime.context import DurableContext
    from durable_trio._runtime.node import ContextNode
    from durable_trio.testing.replaying_findings import Findings

_RECORDED: Final = Operation.recorded.__code__
"""Who looks up an operation's record in order to replay or to begin it; others only ask how it stands."""


class ReplayedState(ExecutionState):
    """The state at the point; tells *findings* what is looked up."""

    def __init__(self, findings: Findings) -> None:
        # Something "was updated", so that a context knows that it was suspended, not cut off by a crash.
        super().__init__(
            findings.recorded.history.execution_arn, updated_operation_ids=frozenset({"(a replay)"})
        )
        self._findings = findings
        self.load([parked(record) for record in findings.shown])

    def get(self, operation_id: str) -> OperationRecord | None:
        """Return the record under *operation_id*, or None; take note that it was asked for."""
        caller = sys._getframe(1).f_code
        self._findings.operation_asked(operation_id, is_about_to_run=caller is _RECORDED)
        return super().get(operation_id)


class HistoryClient:
    """The service of a replay: agrees to whatever becomes of contexts, and keeps nothing.

    Attributes:
        clock: shows the time of the point at first.
        ending: the update by which the program ended the execution, if it did.
    """

    def __init__(self, findings: Findings) -> None:
        self.clock = Clock(findings.at)
        self._findings = findings
        self._calls = 0
        self.ending: OperationUpdate | None = None

    async def checkpoint(
        self,
        *,
        durable_execution_arn: str,
        checkpoint_token: str,
        updates: Sequence[OperationUpdate],
        client_token: str,
    ) -> CheckpointResponse:
        """Compare the updates with the history; the runtime applies them to its own state."""
        del durable_execution_arn, checkpoint_token, client_token
        self._calls += 1
        for update in updates:
            if update.type is OperationType.EXECUTION:
                self.ending = update
            else:
                self._findings.updated(update)
        return CheckpointResponse(f"replay-{self._calls}")

    async def get_state(
        self, *, durable_execution_arn: str, checkpoint_token: str, marker: str, max_items: int
    ) -> StatePage:
        """Refuse: the state of a replay has one page."""
        raise AssertionError(f"a replay has no further page: {marker!r}")


class ReplayInvocation(Invocation):
    """An invocation that tells *findings* what the program does."""

    def __init__(self, findings: Findings, client: HistoryClient, options: Any, lambda_context: Any) -> None:
        state = ReplayedState(findings)
        super().__init__(state, client, options, lambda_context)
        self._findings = findings
        self.on_created = self._created

    def _created(self, operation: Operation[Any]) -> None:
        record = self._findings.operation_created(operation)
        if record is not None:
            self.state.merge([record])

    def fail(self, error: Exception) -> NoReturn:
        """Take note of a difference that the runtime has found; else as ``Invocation.fail``."""
        if isinstance(error, NonDeterministicExecutionError):
            self._findings.broken(error)
        super().fail(error)

    def context_for(self, node: ContextNode) -> DurableContext:
        """Take note that a context is entered; else as ``Invocation.context_for``."""
        self._findings.nodes.append(node)
        return super().context_for(node)
