"""``ctx.shield()``: durable clean-up that a durable cut leaves alone.

A shield records nothing of its own; it is a namespace of ids at the next position. Cuts of deadlines and nurseries
further out wait until it is left; they are delivered at the next operation after it. A suspension goes through it:
the execution resumes, and the same code runs again.

When the block around it has been cut, that is recorded before anything in the shield is, so that the next
invocation comes to the same shield.

*In an actor that is thrown away* (the loser of a race, the sibling of a failed child) nothing says at which of its
operations it was cut. A shield runs there, too, but if the invocation dies half-way, nobody comes back to it: the
parent's verdict may be reached without. Its namespace is one that no position can have. What has to be undone for
certain belongs in a saga.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import trio

from durable_trio._protocol.ids import operation_id
from durable_trio._protocol.operation import OperationType
from durable_trio._protocol.replay import Identity
from durable_trio._runtime.scope import Construct
from durable_trio._runtime.scope_node import ConstructOperation

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from durable_trio._runtime.context_base import ContextBase


class Shield(Construct):
    """An ``async with`` block that durable cuts leave alone; see the module's theory."""

    kind: ClassVar[str] = "shield"
    is_shield: ClassVar[bool] = True

    def __init__(self, ctx: ContextBase, identity: Identity) -> None:
        super().__init__(ctx, ConstructOperation(ctx._node, identity, self.kind))
        self._shielded: AbstractContextManager[object] | None = None

    @property
    def is_virtual(self) -> bool:
        """It records nothing of its own."""
        return True

    async def _open(self) -> None:
        self._shielded = self.invocation.supervisor.shielded()
        self._shielded.__enter__()
        try:
            await self._settle_cuts()
        except BaseException as error:
            self._shielded.__exit__(type(error), error, error.__traceback__)
            raise
        self._push(prefix=self._prefix, parent_id=self._parent_id, deadlines=())

    @property
    def _prefix(self) -> str:
        if not self._is_adrift:
            return self.id
        return operation_id(self._outer.prefix, f"shield-{self.id}")

    @property
    def _parent_id(self) -> str | None:
        return self._outer.parent_id

    @property
    def _is_adrift(self) -> bool:
        """Tell whether the actor is thrown away, and not cut at a recorded place."""
        return self._came_cancelled and not self.is_around_cut

    @property
    def is_around_cut(self) -> bool:
        """Whether a construct around it has been cut."""
        outer = self._outer.construct
        return outer is not None and outer.is_cut

    async def _settle_cuts(self) -> None:
        outer = self._outer.construct
        if outer is not None:
            for construct in outer._chain():
                await construct.record_cut()
        await trio.lowlevel.checkpoint()

    async def _close(self, error: BaseException | None) -> None:
        if self._shielded is not None:
            self._shielded.__exit__(None, None, None)

    async def __aenter__(self) -> Shield:
        # Asked before the shield is up: inside it, nothing is cancelled.
        self._came_cancelled = trio.current_effective_deadline() == -math.inf
        return await super().__aenter__()


def shield_identity(ctx: ContextBase) -> Identity:
    """Return the identity of a shield at the context's next position."""
    node = ctx._node
    return Identity(node.next_operation_id(), OperationType.CONTEXT, "Shield", None, node.parent_id)
