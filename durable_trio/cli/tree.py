"""The operations of one execution as a tree, kept up to date one change at a time.

A change costs the same however many operations there are: it replaces one record and adjusts the counters of
one parent. Nothing here walks the tree; who wants to show it (``outline``) visits only what it shows, and
finds the unfinished children of a context without looking at the finished ones.

Records may come more than once and out of date: a snapshot of the operations is followed by changes that were
on their way before it was made. An operation only ever moves forward, so a record that is not further on than
the one in the tree is no news and is left aside.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from durable_trio._protocol.operation import (
    CallbackDetails,
    OperationRecord,
    OperationStatus,
    OperationType,
    StepDetails,
    SubType,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True, eq=False)
class Level:
    """Operations with the same parent, in start order, and those of them that have not ended."""

    nodes: list[Node] = field(default_factory=list)
    unfinished: dict[str, Node] = field(default_factory=dict)
    failed_count: int = 0

    @property
    def finished_count(self) -> int:
        """How many have ended, well or badly."""
        return len(self.nodes) - len(self.unfinished)


@dataclass(slots=True, eq=False)
class Node:
    """One operation, and the operations inside it."""

    record: OperationRecord
    parent: Node | None
    inside: Level = field(default_factory=Level)

    @property
    def name(self) -> str:
        """The operation's name, or its subtype if it has none."""
        return self.record.name or self.record.sub_type or self.record.type.value

    @property
    def is_finished(self) -> bool:
        """Tell whether the operation has ended."""
        return self.record.status.is_terminal

    @property
    def is_crowd(self) -> bool:
        """Tell whether this is a map or a parallel: a context whose children are its items."""
        return self.record.sub_type in {SubType.MAP, SubType.PARALLEL}

    @property
    def is_wait_for_callback(self) -> bool:
        """Tell whether this is the context of a ``wait_for_callback``."""
        return self.record.sub_type == SubType.WAIT_FOR_CALLBACK

    def ancestors(self) -> Iterator[Node]:
        """Yield the parent, its parent, and so on."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent


@dataclass(frozen=True, slots=True)
class Moved:
    """What a change did to a node: *before* is None for a new operation."""

    node: Node
    before: OperationStatus | None


class OperationTree:
    """The operations of one execution.

    Attributes:
        top: the operations of the handler itself.
        execution: the EXECUTION operation, once it is known.
        open_callbacks: the callbacks that nobody has answered yet, by operation id.
    """

    def __init__(self) -> None:
        self.top = Level()
        self.execution: OperationRecord | None = None
        self.open_callbacks: dict[str, Node] = {}
        self._nodes: dict[str, Node] = {}

    @property
    def count(self) -> int:
        """How many operations there are, the EXECUTION operation not counted."""
        return len(self._nodes)

    def apply(self, record: OperationRecord) -> Moved | None:
        """Take in a *record* of an operation; return what moved, or None if nothing did."""
        if record.type is OperationType.EXECUTION:
            self.execution = record
            return None
        node = self._nodes.get(record.id)
        if node is None:
            node = self._add(record)
            before = None
        elif _progress(record) <= _progress(node.record):
            return None
        else:
            before = node.record.status
            node.record = record
        self._count(node, before)
        return Moved(node, before)

    def _add(self, record: OperationRecord) -> Node:
        # A parent that is not in the tree is one that the service no longer shows.
        parent = self._nodes.get(record.parent_id) if record.parent_id is not None else None
        node = Node(record, parent)
        self._level_of(node).nodes.append(node)
        self._nodes[record.id] = node
        return node

    def _count(self, node: Node, before: OperationStatus | None) -> None:
        level = self._level_of(node)
        _keep(level.unfinished, node)
        if node.record.type is OperationType.CALLBACK:
            _keep(self.open_callbacks, node)
        status = node.record.status
        if status.is_terminal and status is not OperationStatus.SUCCEEDED and status is not before:
            level.failed_count += 1

    def _level_of(self, node: Node) -> Level:
        return self.top if node.parent is None else node.parent.inside


# Between two ends of attempts, a step is first PENDING, then READY, then STARTED.
_ORDER: Final = {OperationStatus.PENDING: 0, OperationStatus.READY: 1, OperationStatus.STARTED: 2}


def _progress(record: OperationRecord) -> tuple[bool, int, int]:
    """Return how far an operation has got; greater is further."""
    attempts = record.details.attempt if isinstance(record.details, StepDetails) else 0
    return record.status.is_terminal, attempts, _ORDER.get(record.status, 3)


def _keep(unfinished: dict[str, Node], node: Node) -> None:
    if node.is_finished:
        unfinished.pop(node.record.id, None)
    else:
        unfinished[node.record.id] = node


def callback_name(callback: Node) -> str:
    """Return the name by which humans know a callback.

    For ``wait_for_callback`` that is the name of the whole, not of the CALLBACK operation inside it.
    """
    parent = callback.parent
    if parent is not None and parent.is_wait_for_callback:
        return parent.name
    return callback.name


def callback_id(callback: Node) -> str | None:
    """Return the id that the outside world answers to."""
    details = callback.record.details
    return details.callback_id if isinstance(details, CallbackDetails) else None


def is_asked(callback: Node) -> bool:
    """Tell whether somebody can know of an open callback.

    The callback of ``wait_for_callback`` exists before its submitter has told anybody; a callback made by
    ``create_callback`` is in the handler's hands at once.
    """
    parent = callback.parent
    if parent is None or not parent.is_wait_for_callback:
        return True
    return any(
        sibling.record.type is OperationType.STEP and sibling.record.status is OperationStatus.SUCCEEDED
        for sibling in parent.inside.nodes
    )


def newly_asked(moved: Moved) -> Node | None:
    """Return the open callback that *moved* has made answerable, if it did."""
    node = moved.node
    if node.record.type is OperationType.CALLBACK:
        callback: Node | None = node
    elif node.parent is not None and node.parent.is_wait_for_callback:
        siblings = node.parent.inside.nodes
        callback = next((each for each in siblings if each.record.type is OperationType.CALLBACK), None)
    else:
        return None
    if callback is None or callback.is_finished or not is_asked(callback):
        return None
    return callback


def finished_attempts(node: Node) -> int:
    """How many attempts of a step have ended; 0 for anything else."""
    details = node.record.details
    return details.attempt if isinstance(details, StepDetails) else 0
