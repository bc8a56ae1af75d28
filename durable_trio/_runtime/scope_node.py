"""What a context is while an inline construct runs in it, and what there is to know of the operations in it.

See ``scope`` for the theory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durable_trio._runtime.node import ContextNode
from durable_trio._runtime.operation import Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable_trio._protocol.operation import OperationRecord
    from durable_trio._protocol.replay import Identity
    from durable_trio._runtime.durable_deadline import DurableDeadline
    from durable_trio._runtime.scope import Construct


class ScopeNode(ContextNode):
    """A context's node while the body of an inline construct runs."""

    __slots__ = ("construct",)

    def __init__(
        self,
        outer: ContextNode,
        construct: Construct,
        *,
        prefix: str,
        parent_id: str | None,
        is_past: bool,
        deadlines: tuple[DurableDeadline, ...],
    ) -> None:
        super().__init__(outer.invocation, prefix=prefix, parent_id=parent_id, parent=outer, is_past=is_past)
        self.construct = construct
        self.deadlines = deadlines
        self._is_replaying = outer.is_replaying
        self._latest_end_at = outer._latest_end_at
        self._unconfirmed = None if outer._unconfirmed is None else list(outer._unconfirmed)

    def next_operation_id(self) -> str:
        """Take the id of the next position; the construct is recorded as started before its first operation."""
        if self.construct is not None:
            self.construct.before_first_operation()
        return super().next_operation_id()

    def entering(self, record: OperationRecord | None, *, runs: bool = False) -> None:
        """Note that an operation is reached, here and in the code around: it is the same code."""
        super().entering(record, runs=runs)
        self._tell_outer()

    def leaving(self, *, was_settled: bool) -> None:
        """Note that an operation is through, here and in the code around."""
        super().leaving(was_settled=was_settled)
        self._tell_outer()

    def _tell_outer(self) -> None:
        node: ContextNode | None = self
        while node is not None and node.construct is not None and not node._is_replaying:
            node = node.parent
            if node is not None:
                node._is_replaying = False

    def hand_back(self, outer: ContextNode) -> None:
        """Tell *outer*, whose code goes on, what was learned about the time."""
        outer._latest_end_at = self._latest_end_at
        outer._unconfirmed = self._unconfirmed


class ConstructOperation(Operation[None]):
    """What is recorded of a construct; as an operation, it can be awaited by the construct alone."""

    __slots__ = ("_kind",)

    def __init__(self, node: ContextNode, identity: Identity, kind: str) -> None:
        super().__init__(node, identity)
        self._kind = kind
        self.refused()

    @property
    def kind(self) -> str:  # type: ignore[override]  # one class serves all constructs
        """What to call it in messages."""
        return self._kind

    async def _execute(self) -> None:
        raise AssertionError("the record of a construct is not awaited")


def went_on(operation: Operation[Any]) -> bool:
    """Tell whether the program got past *operation*, which it awaits now, in an earlier invocation.

    A cut that is not recorded is not made there: what was done after it would be forgotten.
    """
    node = operation.awaiting_node
    return node.is_past or node.invocation.state.get(node.upcoming_id) is not None


def is_through(operation: Operation[Any]) -> bool:
    """Tell whether *operation* has got through by its record, or by the records of what it combines."""
    if operation.through_at() is not None:
        return True
    parts: Sequence[Operation[Any]] = getattr(operation, "_operations", ())
    return bool(parts) and all(is_through(part) for part in parts)


def is_unfinished(operation: Operation[Any]) -> bool:
    """Tell whether a body may be cut at *operation*: what replays is let through, and what the program got past."""
    return not is_through(operation) and not went_on(operation)
