"""``ctx.wait``: time that passes at the service, not in the function."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import trio

from durable_trio._protocol.operation import OperationAction, WaitOptions
from durable_trio._protocol.replay import Begin, Identity, Park, RaiseRecorded, Replay, decide_wait
from durable_trio._runtime.operation import Operation
from durable_trio.exceptions import OperationError

if TYPE_CHECKING:
    from durable_trio._runtime.node import ContextNode


class WaitOperation(Operation[None]):
    """A wait: START is durable before it parks, and a started one parks without a second START."""

    __slots__ = ("_seconds",)

    kind: ClassVar[str] = "wait"
    is_timed: ClassVar[bool] = True
    _may_be_awaited_after_cancellation: ClassVar[bool] = True

    def __init__(self, node: ContextNode, identity: Identity, seconds: int) -> None:
        super().__init__(node, identity)
        self._seconds = seconds

    async def cancel_at_service(self) -> None:
        """End the wait early, if it was started and is not over; whoever is parked on it wakes."""
        if self.invocation.is_closing:
            await self.invocation.refuse()
        record = self.recorded()
        if record is None or record.status.is_terminal:
            await trio.lowlevel.checkpoint()
        else:
            await self.invocation.writer.commit(self.update(OperationAction.CANCEL))

    async def _execute(self) -> None:
        record = self.recorded()
        while True:
            match decide_wait(record):
                case Begin():
                    self._node.entering(record)
                    options = WaitOptions(wait_seconds=self._seconds)
                    await self.invocation.writer.commit(self.update(OperationAction.START, options=options))
                case Park(due_at):
                    await self.park(due_at)
                case Replay():
                    await self.invocation.supervisor.replay_checkpoint()
                    return
                case RaiseRecorded(status, _):
                    await self.invocation.supervisor.replay_checkpoint()
                    raise OperationError(
                        f"the wait ended as {status}", operation_id=self.id, operation_name=self.name
                    )
            record = self.invocation.state.get(self.id)
