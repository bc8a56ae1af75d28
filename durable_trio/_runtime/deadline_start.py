"""How a durable deadline begins: a context and the wait in it, started together."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import trio

from durable_trio._protocol.ids import operation_id
from durable_trio._protocol.operation import (
    OperationAction,
    OperationType,
    OperationUpdate,
    SubType,
    WaitOptions,
)
from durable_trio._runtime.scope_node import ConstructOperation

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._protocol.replay import Identity
    from durable_trio._runtime.context_base import ContextBase


class DeadlineStart(ConstructOperation):
    """Starts the deadline and its wait. Awaited like any operation, so that a deadline further out may cut there."""

    __slots__ = ("_seconds",)

    is_timed: ClassVar[bool] = True

    def __init__(self, ctx: ContextBase, identity: Identity, seconds: Callable[[], int]) -> None:
        super().__init__(ctx._node, identity, "deadline")
        self._seconds = seconds

    @property
    def wait_id(self) -> str:
        """The id of the wait."""
        return operation_id(self.id, 0)

    def through_at(self) -> int | None:
        """Return when it was started: that is all there is to wait for."""
        wait = self.invocation.state.get(self.wait_id)
        return None if wait is None else wait.started_at

    def was_settled(self) -> bool:
        """It was over as soon as it was recorded."""
        return self.invocation.state.get(self.wait_id) is not None

    async def _execute(self) -> None:
        record = self.recorded()
        if self.was_settled():
            await trio.lowlevel.checkpoint()
            return
        self._node.entering(None)
        wait = OperationUpdate(
            self.wait_id,
            OperationType.WAIT,
            OperationAction.START,
            self.id,
            None,
            SubType.WAIT,
            options=WaitOptions(self._seconds()),
        )
        # In EAGER mode the two travel apart, and an earlier invocation may have died between them.
        start = [self.update(OperationAction.START)] if record is None else []
        await self.invocation.writer.commit(*start, wait)
