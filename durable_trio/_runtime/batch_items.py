"""The items of a batch: what they are called, and the operation that each of them is.

A *nested* item is a context with a record of its own. A *flat* one is only a namespace of ids: its operations
belong to the batch itself, its body runs again on every replay until the batch is decided, and its result
lives in the batch's record alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from durable_trio._protocol.ids import operation_id
from durable_trio._protocol.operation import ErrorObject, OperationType, SubType
from durable_trio._protocol.replay import Identity, RaiseRecorded, Replay, decide_context, is_answered
from durable_trio._runtime.actor import BodyOf
from durable_trio._runtime.bodies import call_context_body
from durable_trio._runtime.child import ContextOperation
from durable_trio._runtime.failures import error_object, is_fatal, recorded_error
from durable_trio._runtime.node import ContextNode
from durable_trio._runtime.operation import Operation
from durable_trio._runtime.typed import writes_json
from durable_trio.exceptions import ChildContextError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from durable_trio.serdes import SerDes


_CONTEXT: Final = (
    OperationType.CONTEXT
)  # looking it up in its class takes ten times as long before Python 3.12


class BatchItems:
    """What the items of a batch are: how many, what they are called, what runs for each.

    *body* is called with an item's context and its index. *names* has the explicit ones, None for an item
    that is called by *title* and its index.
    """

    __slots__ = ("_names", "_title", "body", "is_flat", "sub_type", "total")

    def __init__(
        self,
        *,
        total: int,
        body: Callable[..., Any],
        names: list[str | None] | None,
        title: str,
        sub_type: SubType,
        is_flat: bool,
    ) -> None:
        self.total = total
        self.body = body
        self.sub_type = sub_type
        self.is_flat = is_flat
        self._names = names
        self._title = title

    def explicit_name(self, index: int) -> str | None:
        """Return the name that the program gave to the item at *index*, if it did."""
        return None if self._names is None else self._names[index]

    def identity(self, batch_id: str, index: int) -> Identity:
        """Return the identity of the item at *index*."""
        name = None if self._names is None else self._names[index]
        return Identity(
            operation_id(batch_id, index),
            _CONTEXT,
            self.sub_type,
            f"{self._title}-{index}" if name is None else name,
            batch_id,
            name is None,
        )

    def name(self, index: int) -> str:
        """Return what the item at *index* is called."""
        name = self.explicit_name(index)
        return f"{self._title}-{index}" if name is None else name

    def make(self, node: ContextNode, batch_id: str, index: int, serdes: SerDes) -> BatchItemOperation:
        """Return the operation of the item at *index*, to be run in an actor of its own."""
        identity = self.identity(batch_id, index)
        item: FlatItem | NestedItem
        if self.is_flat:
            item = FlatItem(node, identity, self.body, index, serdes)
        else:
            item = NestedItem(node, identity, self.body, (index,), serdes=serdes)
        item.refused()  # nobody's to await: one that is dropped before it has run needs no warning
        return item


class ItemSerdes:
    """How the items of a batch are stored, by index.

    Attributes:
        is_json: what they write is JSON.
    """

    __slots__ = ("_by_index", "_same", "is_json")

    def __init__(self, by_index: Sequence[SerDes], same: SerDes | None = None) -> None:
        self._by_index = by_index
        self._same = same
        self.is_json = all(map(writes_json, by_index)) if same is None else writes_json(same)

    @classmethod
    def same(cls, serdes: SerDes) -> ItemSerdes:
        """Store every item in the same way."""
        return cls((), serdes)

    def of(self, index: int) -> SerDes:
        """Return the serializer of the item at *index*."""
        return self._by_index[index] if self._same is None else self._same


class BatchItemOperation(Protocol):
    """One item while the batch runs."""

    payload: str | None
    """The text of its result."""
    recorded_failure: ErrorObject | None
    """What is recorded of its failure."""

    def announce(self) -> None:
        """Queue its START, if it has one, before its actor is started."""

    @property
    def is_recorded(self) -> bool:
        """Whether its outcome is recorded as it is, so that it needs no actor."""
        ...

    def take_recorded(self) -> None:
        """Take the outcome from the record."""

    async def run(self) -> None:
        """Run it to its end, in the calling task."""

    @property
    def error(self) -> Exception | None:
        """The error it ended with."""

    @property
    def value(self) -> Any:
        """The value it ended with."""


class NestedItem(ContextOperation[Any]):
    """An item with a record of its own; runs in the item's own actor."""

    __slots__ = ("payload", "recorded_failure")

    kind = "item"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.payload: str | None = None
        self.recorded_failure: ErrorObject | None = None

    @property
    def is_recorded(self) -> bool:
        """Whether its outcome is recorded as it is, and nothing is in the way of taking it."""
        if self._awaiting_node.deadlines or self.invocation.unwinding is not None:
            return False  # they look at what begins
        return is_answered(self.invocation.state.get(self.id))

    def take_recorded(self) -> None:
        """Take the outcome from the record."""
        self.take_outcome(self._recorded_outcome)

    def _recorded_outcome(self) -> Any:
        match decide_context(self.recorded()):
            case Replay(payload):
                return self._decoded(payload)
            case RaiseRecorded(_, error):
                raise self._failure(error)
            case _:
                raise AssertionError("the item has no recorded outcome")

    def _run_actor(self, run: Callable[[], Awaitable[Any]]) -> Awaitable[Any]:
        return run()

    def _decoded(self, payload: str | None) -> Any:
        self.payload = payload
        return super()._decoded(payload)

    def _failure(self, recorded: ErrorObject | None) -> Exception:
        self.recorded_failure = recorded
        return super()._failure(recorded)


class FlatItem(Operation[Any]):
    """An item without a record of its own; runs in the item's own actor."""

    __slots__ = ("_body", "_index", "_serdes", "payload", "recorded_failure")

    kind = "item"
    is_unrecorded = True
    _tells_time = False

    def __init__(
        self, node: ContextNode, identity: Identity, body: Callable[..., Any], index: int, serdes: SerDes
    ) -> None:
        super().__init__(node, identity)
        self._body = body
        self._index = index
        self._serdes = serdes
        self.payload: str | None = None
        self.recorded_failure: ErrorObject | None = None

    def announce(self) -> None:
        """Do nothing: it records no START."""

    @property
    def is_recorded(self) -> bool:
        """Whether its outcome is recorded: never."""
        return False

    def take_recorded(self) -> None:
        """Refuse: it has no record."""
        raise AssertionError("an item of a flat batch has no record")

    async def _execute(self) -> Any:
        self.refuse_record()
        child = ContextNode(
            self.invocation, prefix=self.id, parent_id=self._identity.parent_id, parent=self._node
        )
        context = self.invocation.context_for(child)
        try:
            with BodyOf(child):
                value = await call_context_body(self._body, context, self._index)
            self.payload = self.encode(self._serdes, value)
            return self.decode(self._serdes, self.payload)
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001  # the item's failure, whatever it is
            if is_fatal(error):
                self.invocation.fail(error)
            self.recorded_failure = error_object(error)
            raise recorded_error(self.recorded_failure, ChildContextError, self._identity) from None
