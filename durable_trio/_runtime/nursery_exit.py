"""The end of a durable nursery's block: the wait for its children."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durable_trio._runtime.scope_node import ConstructOperation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio._runtime.supervisor import Join


class NurseryExit(ConstructOperation):
    """The wait for the children, as an operation: a construct further out may cut there."""

    __slots__ = ("_join", "_trio_exit")

    def __init__(
        self, operation: ConstructOperation, join: Join, trio_exit: Callable[[], Awaitable[Any]]
    ) -> None:
        super().__init__(operation._node, operation.identity, operation.kind)
        self._join = join
        self._trio_exit = trio_exit

    def was_settled(self) -> bool:
        """Its past is that of the children."""
        return True

    async def _execute(self) -> None:
        with self._join:
            await self._trio_exit()
