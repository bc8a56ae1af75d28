"""The operations of an execution as a tree with names, for tests to look at.

An operation is found by its *path*: the names of the contexts around it and its own, joined by ``/``, for example
``pack/map-item-3/label``. An operation without a name goes by its subtype (``Wait``). Where siblings have the same name
the second one is ``charge#2``, the third ``charge#3``, in start order. Paths say how the program is written, so they are
good for tests; ids say the same for machines.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from durable_trio._protocol.json_values import TYPED_MARK
from durable_trio._protocol.operation import (
    CallbackDetails,
    ExecutionDetails,
    OperationRecord,
    OperationStatus,
    OperationType,
    StepDetails,
    SubType,
    WaitDetails,
)
from durable_trio.serdes import SerDes, SerdesContext, plain_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from durable_trio._protocol.operation import ErrorObject, OperationDetails


@dataclass(frozen=True, slots=True, eq=False)
class RecordedOperation:
    """One operation as the service recorded it.

    Attributes:
        record: everything the service keeps of it.
        path: where it is: names joined by ``/``.
        children: the operations inside it, in start order.
    """

    record: OperationRecord
    path: str
    execution_arn: str
    serdes: SerDes
    children: list[RecordedOperation] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.path!r} {self.status}>"

    @property
    def id(self) -> str:
        """The operation's id."""
        return self.record.id

    @property
    def name(self) -> str | None:
        """The operation's name, or None."""
        return self.record.name

    @property
    def type(self) -> OperationType:
        """STEP, WAIT, CALLBACK, CHAINED_INVOKE or CONTEXT."""
        return self.record.type

    @property
    def sub_type(self) -> str | None:
        """The finer kind, for example ``WaitForCondition`` or ``MapIteration``."""
        return self.record.sub_type

    @property
    def kind(self) -> str:
        """The subtype, or the type if there is none."""
        return self.record.sub_type or self.record.type.value

    @property
    def status(self) -> OperationStatus:
        """Where it stands."""
        return self.record.status

    @property
    def details(self) -> OperationDetails:
        """What the service keeps for operations of this type, for example ``StepDetails``."""
        assert self.record.details is not None, f"{self!r} has no details"  # noqa: S101  # the service writes them
        return self.record.details

    @property
    def started_at(self) -> int:
        """When it was started (epoch milliseconds, service time)."""
        return self.record.started_at

    @property
    def ended_at(self) -> int | None:
        """When it ended (epoch milliseconds, service time); None while it goes on."""
        return self.record.ended_at

    @property
    def duration_seconds(self) -> float | None:
        """How long it took, in virtual seconds; None while it goes on."""
        return None if self.ended_at is None else (self.ended_at - self.started_at) / 1000

    @property
    def payload(self) -> str | None:
        """The text of its result as it is stored; None if it has none."""
        details = self.record.details
        return (
            None if isinstance(details, WaitDetails | ExecutionDetails) else getattr(details, "result", None)
        )

    @property
    def result(self) -> Any:
        """Its result; None if there is none.

        A callback's (and a ``wait_for_callback``'s) is the text it was answered with; other payloads are read by the handler's serializer. What was stored by an annotation is plain JSON here:
        a dataclass is a dict, a datetime its text.

        Raises:
            SerDesError: it was written by a serializer of its own; see ``payload``.
        """
        payload = self.payload
        is_text = (
            isinstance(self.record.details, CallbackDetails) or self.sub_type == SubType.WAIT_FOR_CALLBACK
        )
        if payload is None or is_text:
            return payload
        is_plain = self.type is OperationType.CHAINED_INVOKE or payload.startswith(TYPED_MARK)
        serdes = plain_json if is_plain else self.serdes
        return serdes.deserialize(payload, SerdesContext(self.id, self.execution_arn, self.name))

    @property
    def error(self) -> ErrorObject | None:
        """Why it failed, or why a step's latest attempt did; None if nothing did."""
        return getattr(self.record.details, "error", None)

    @property
    def attempts(self) -> int:
        """How many attempts of a step (or polls of a condition) have been made, the one under way included.

        1 for every other operation.
        """
        details = self.record.details
        if not isinstance(details, StepDetails):
            return 1
        is_under_way = self.status in (OperationStatus.STARTED, OperationStatus.READY)
        return details.attempt + is_under_way if details.attempt or is_under_way else 1

    @property
    def callback_id(self) -> str | None:
        """What the outside world answers to, for a callback or a ``wait_for_callback``."""
        if self.sub_type == SubType.WAIT_FOR_CALLBACK:
            return next((child.callback_id for child in self.children if child.callback_id), None)
        return getattr(self.record.details, "callback_id", None)

    @property
    def is_batch(self) -> bool:
        """Whether it is a map or a parallel, with its items for children."""
        return self.sub_type in (SubType.MAP, SubType.PARALLEL)

    def walk(self) -> Iterator[RecordedOperation]:
        """Yield this operation and all inside it, each before its children, in start order."""
        yield self
        for child in self.children:
            yield from child.walk()


def build_tree(
    records: Iterable[OperationRecord], execution_arn: str, serdes: SerDes
) -> tuple[RecordedOperation, ...]:
    """Return the top-level operations; *records* are in start order, the EXECUTION may be among them."""
    top: list[RecordedOperation] = []
    by_id: dict[str, RecordedOperation] = {}
    names: Counter[tuple[str | None, str]] = Counter()
    for record in records:
        if record.type is OperationType.EXECUTION:
            continue
        parent = by_id.get(record.parent_id) if record.parent_id is not None else None
        name = record.name or record.sub_type or record.type.value
        names[record.parent_id, name] += 1
        count = names[record.parent_id, name]
        own = name if count == 1 else f"{name}#{count}"
        path = own if parent is None else f"{parent.path}/{own}"
        operation = RecordedOperation(record, path, execution_arn, serdes)
        by_id[record.id] = operation
        (top if parent is None else parent.children).append(operation)
    return tuple(top)


def callbacks_named(
    operations: Iterable[RecordedOperation], name: str | None, around: RecordedOperation | None = None
) -> list[RecordedOperation]:
    """Return the callbacks with this name, path or id, in start order; those of a ``wait_for_callback`` by its own.

    None: all of them.
    """
    found: list[RecordedOperation] = []
    for operation in operations:
        names: set[str | None] = {operation.name, operation.path, operation.id}
        if around is not None and around.sub_type == SubType.WAIT_FOR_CALLBACK:
            names |= {around.name, around.path}
        if operation.type is OperationType.CALLBACK and (name is None or name in names):
            found.append(operation)
        found += callbacks_named(operation.children, name, operation)
    return found
