"""What one replay has shown: the operations that were created and asked for, and how they differ from the history.

Nothing here runs anything. The replay (``replaying_run``) tells what happens while it happens; when it has come to
rest, ``conclude`` asks what has not been asked for.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from durable_trio._protocol.operation import OperationRecord, OperationType, OperationUpdate
from durable_trio._protocol.replay import difference
from durable_trio.testing.histories_state import visible
from durable_trio.testing.replaying_parked import LEAVES, parked_operation
from durable_trio.testing.replaying_recorded import is_decided_early
from durable_trio.testing.sentinel_frames import nearest_users_line

if TYPE_CHECKING:
    from durable_trio._runtime.node import ContextNode
    from durable_trio._runtime.operation import Operation
    from durable_trio.exceptions import NonDeterministicExecutionError
    from durable_trio.testing.replaying_points import ReplayPoint
    from durable_trio.testing.replaying_recorded import Recorded
    from durable_trio.testing.sentinel_frames import SourceLine

_DRIVER: Final = __file__.replace("replaying_findings", "replaying")
"""The file of who runs the program: what is beyond it on the stack is a test's, not the program's."""

_ANOTHER_ORDER: Final = (
    "An operation of that name is recorded at another place beside it: the order has changed. If the code has not, look"
    " for an order that is not the program's: that of a set, of a directory, of plain tasks."
)


@dataclass(frozen=True, slots=True)
class Finding:
    """How a replay differs from the history: *text*; about which operation, and where the program asked for it."""

    text: str
    operation_id: str | None = None
    operation_name: str | None = None
    line: SourceLine | None = None


class Findings:
    """What one replay has shown so far."""

    def __init__(self, recorded: Recorded, point: ReplayPoint) -> None:
        self.recorded = recorded
        self.is_end = point.is_end
        self.known = recorded.history.operations(point.after_event)
        self.shown = visible(self.known)
        self.at = max(event.at for event in recorded.history.events if event.event_id <= point.after_event)
        self.found: list[Finding] = []
        self.looks_ahead = not recorded.depends_on_timing(self.known)
        """What comes after the point must be as it was; not so where something is still to be decided by timing."""
        self.created: dict[str, Operation[Any]] = {}
        self.asked: set[str] = set()
        self.last_asked: str | None = None
        self.nodes: list[ContextNode] = []
        self._lines: dict[str, SourceLine] = {}
        self._reported: set[str] = set()

    def add(self, text: str, operation_id: str | None) -> None:
        """Write down a difference; of each operation only the first."""
        if operation_id is not None:
            if operation_id in self._reported:
                return
            self._reported.add(operation_id)
        operation = self.created.get(operation_id or "")
        record = self.recorded.operations.get(operation_id or "")
        name = operation.name if operation is not None else record.name if record is not None else None
        self.found.append(Finding(text, operation_id, name, self._line(operation_id)))

    def _line(self, operation_id: str | None) -> SourceLine | None:
        """Where the program asked for an operation, or for what it is in."""
        while operation_id is not None and operation_id not in self._lines:
            operation = self.created.get(operation_id)
            operation_id = operation.parent_id if operation is not None else None
        return self._lines.get(operation_id or "")

    # --- while it runs ------------------------------------------------------------------------------------

    def operation_created(self, operation: Operation[Any]) -> OperationRecord | None:
        """Take note of an operation; return the record that keeps it from beginning, if it needs one."""
        identity = operation.identity
        is_first = operation.id not in self.created
        self.created[operation.id] = operation
        line = nearest_users_line(sys._getframe(2), up_to=_DRIVER)  # the documented way to one's caller
        if line is not None and is_first:
            self._lines[operation.id] = line
        if operation.id in self.known or not is_first:
            return None
        further_on = self.recorded.operations.get(operation.id)
        if further_on is not None and self.looks_ahead:
            differs = difference(further_on, identity)
            if differs is not None and not differs.only_default_name:
                hint = f"\n{_ANOTHER_ORDER}" if self.recorded.siblings_named(identity) else ""
                self.add(
                    f"{operation.title} is not what was recorded at this place:\n{differs.text}{hint}",
                    operation.id,
                )
        if identity.type not in LEAVES:
            return None
        return parked_operation(identity, further_on)

    def operation_asked(self, operation_id: str, *, is_about_to_run: bool) -> None:
        """Take note that an operation is looked up: because it is about to be replayed or to begin, or otherwise."""
        self.asked.add(operation_id)
        if not is_about_to_run:
            return
        self.last_asked = operation_id
        operation = self.created.get(operation_id)
        if operation is None or operation.identity.type not in LEAVES:
            return
        if operation.id not in self.known and self._is_new(operation.id, operation.parent_id):
            self._add_new(operation.title, operation.id)

    def _is_new(self, operation_id: str, parent_id: str | None) -> bool:
        """Tell whether the recorded run certainly did not ask for an operation.

        At the end everything is decided, and what lost is not run again; so there nothing is new by chance.
        """
        if not self.looks_ahead or not self.recorded.is_finished or operation_id in self.recorded.operations:
            return False
        return self.is_end or not self.recorded.may_be_cut(parent_id)

    def _add_new(self, title: str, operation_id: str) -> None:
        history = self.recorded.history
        self.add(
            f"{title} is new: the recorded execution ended ({history.status}) without it. Code that adds an operation"
            " needs a new version of the function.",
            operation_id,
        )

    def broken(self, error: NonDeterministicExecutionError) -> None:
        """Take note that the runtime itself has found the program to differ."""
        operation = self.created.get(self.last_asked or "")
        is_moved = operation is not None and self.recorded.siblings_named(operation.identity)
        self.add(f"{error}\n{_ANOTHER_ORDER}" if is_moved else str(error), self.last_asked)

    def updated(self, update: OperationUpdate) -> None:
        """Take note of what the program wants recorded of a context."""
        if update.type is OperationType.STEP:
            raise AssertionError(f"a step ran in a replay: {update}")
        if self._is_new(update.id, update.parent_id):
            title = f"{update.sub_type or update.type} {update.name or update.id[:8]!r}"
            self._add_new(title, update.id)
        elif is_decided_early(update):
            # It may have been decided later in the recorded run, with every item, for all that can be said.
            self.looks_ahead = False
        elif self.looks_ahead and update.action not in ("START", "CANCEL"):
            differs = self.recorded.closing_difference(update)
            if differs is not None:
                title = f"{update.sub_type or update.type} {update.name or update.id[:8]!r}"
                self.add(f"{title} ends differently:\n{differs}", update.id)

    # --- after it -----------------------------------------------------------------------------------------

    def conclude(self, where_it_is: str, *, has_ended: bool) -> None:
        """Report the operations that were recorded by the point, and that nobody has asked for.

        *has_ended*: the handler came to its end.
        """
        is_all_asked = self.is_end and has_ended
        entered = {node.prefix for node in self.nodes}
        for record in self.shown:
            if record.type is OperationType.EXECUTION or record.id in self.created:
                continue
            if record.type is OperationType.CONTEXT and record.id in self.asked:
                continue  # what a block records of itself is looked up, without an operation of its own
            if self.recorded.is_wait_of_deadline(record):
                continue
            if record.parent_id not in entered:
                continue
            if not self._may_be_missing(record.parent_id, is_all_asked=is_all_asked):
                title = f"{record.sub_type or record.type} {record.name or record.id[:8]!r}"
                self.add(f"{title} is recorded, but was not asked for: {where_it_is}", record.id)

    def _may_be_missing(self, parent_id: str | None, *, is_all_asked: bool) -> bool:
        """Tell whether an operation of this context may be one that lost something, and is not run again."""
        if not self.recorded.may_be_cut(parent_id):
            return False
        parent = self.created.get(parent_id or "")
        if parent is not None and (not parent.has_ended or parent.kind in ("map", "parallel")):
            return True
        # The body came to its end, so all that it ever asks for has been asked for: losers are created, at least.
        is_over = parent.kind == "item" if parent is not None else False
        if not is_over and not is_all_asked:
            return True
        # Except for what is in a namespace without a record of its own, which lost.
        return any(
            operation.is_unrecorded and not operation.has_ended and operation.parent_id == parent_id
            for operation in self.created.values()
        )
