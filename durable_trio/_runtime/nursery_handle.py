"""What ``nursery.start_soon`` returns: a child of a durable nursery, to be asked for its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import trio

from durable_trio._protocol.operation import OperationStatus
from durable_trio._runtime.node import current_node
from durable_trio._runtime.operation import Operation
from durable_trio.exceptions import ContextUseError, OperationCancelledError

if TYPE_CHECKING:
    from collections.abc import Generator

    from durable_trio._runtime.node import ContextNode
    from durable_trio._runtime.nursery import DurableNursery

T = TypeVar("T")


class NurseryHandle(Generic[T]):
    """A child of a durable nursery.

    Attributes:
        index: its number among the nursery's children, from 0, in the order of ``start_soon``.

    Awaiting it, in the body of the nursery, waits for the child alone and gives its value; that is a durable
    operation like any other. After the block that, and ``value``, ``error`` and ``status`` tell how it ended.
    """

    __slots__ = ("_nursery", "_outcome", "index", "is_gone", "is_launched", "operation", "scope")

    def __init__(self, nursery: DurableNursery, operation: Operation[T], index: int) -> None:
        self.index = index
        self.operation = operation
        self.scope = trio.CancelScope()
        self.is_launched = False
        self.is_gone = False
        self._nursery = nursery
        self._outcome: OperationStatus | None = None

    def __repr__(self) -> str:
        return f"<NurseryHandle {self.index} of {self.operation.title}>"

    def __await__(self) -> Generator[Any, Any, T]:
        if self._outcome is not None:
            return self._known_value().__await__()
        return HandleResult(self._nursery, self).__await__()

    async def _known_value(self) -> T:
        await trio.lowlevel.checkpoint()
        return self.value

    @property
    def id(self) -> str:
        """The id of the child's operation."""
        return self.operation.id

    @property
    def name(self) -> str | None:
        """The child's name, or None."""
        return self.operation.name

    @property
    def key(self) -> str:
        """What an actor that waits for the child rests on."""
        return f"{self.operation.id}-gone"

    def conclude(self, *, has_ended: bool) -> None:
        """Note how the child ended: what it is known for, now and on every replay."""
        if not has_ended or not self.operation.has_ended:
            self._outcome = OperationStatus.CANCELLED
            self.operation.lose()
        else:
            self._outcome = (
                OperationStatus.SUCCEEDED if self.operation.error is None else OperationStatus.FAILED
            )

    @property
    def status(self) -> OperationStatus:
        """SUCCEEDED, FAILED or CANCELLED.

        Raises:
            ContextUseError: the nursery's block has not been left.
        """
        if self._outcome is None:
            raise ContextUseError(
                f"how {self.operation.title} stands is not known before the nursery's block is left: it depends on"
                " timing. Use await handle in the block, or ask after it."
            )
        return self._outcome

    @property
    def error(self) -> Exception | None:
        """The error the child failed with, or None.

        Raises:
            ContextUseError: the nursery's block has not been left.
        """
        return self.operation.error if self.status is OperationStatus.FAILED else None

    @property
    def value(self) -> T:
        """The child's value. Raises its error if it failed.

        Raises:
            ContextUseError: the nursery's block has not been left.
            OperationCancelledError: the child was cancelled, because something else in the nursery failed.
        """
        if self.status is OperationStatus.CANCELLED:
            raise OperationCancelledError(
                f"{self.operation.title} was cancelled with its nursery: it has no value"
            )
        return self.operation.value


class HandleResult(Operation[T]):
    """The outcome of a child, awaited in the nursery's body; it takes no id of its own."""

    __slots__ = ("_handle", "_nursery")

    kind: ClassVar[str] = "child"
    _tells_time: ClassVar[bool] = False

    def __init__(self, nursery: DurableNursery, handle: NurseryHandle[T]) -> None:
        super().__init__(nursery.node, handle.operation.identity)
        self._nursery = nursery
        self._handle = handle
        self.refused()

    def _check_await(self) -> None:
        # The nursery's body, or a block in it: code of the same context.
        node: ContextNode | None = current_node.get()
        while node is not None and node is not self._node and node.construct is not None:
            node = node.parent
        if node is not self._node or self._node.is_ended:
            raise ContextUseError(f"cannot await {self.title} here: only the body of its nursery may")
        self._awaiting_node.check_use(f"await {self.title}")

    @property
    def _awaiting_node(self) -> ContextNode:
        return current_node.get() or self._node

    async def _execute(self) -> T:
        return await self._nursery.wait_for(self._handle)
