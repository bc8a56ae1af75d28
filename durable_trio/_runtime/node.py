"""A context as the runtime sees it: one place in the operation tree, owned by one task.

**One owner.** A context belongs to the task that runs its body. Its operations take their ids from a counter,
in the order in which the program asks for them; if two tasks asked, the order would be Trio's, which is
deliberately random. So every use is checked: the wrong task, a step's body, or a context that has ended is
refused with the remedy.

**Ids at call time.** ``next_operation_id`` is called before anything is awaited.

**Replaying.** A context replays as long as its code has run before, in an earlier invocation. It is at the
end of its past when it

- reaches an operation that is not recorded, or a step that has to run (again);
- comes out of an operation that the previous invocation had not seen finished: that is where it was parked;
- comes out of a recorded operation, has no record of the next one, and nothing completed between the
  invocations. Then the previous one was cut off by a crash rather than suspended, and whether it got further
  is not known. (After a suspension it may have got further without leaving a record, to await an operation
  created before: the rule above finds that place.)

So a line logged by a context appears once over any number of suspensions, and at least once over crashes.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

import trio

from durable_trio._protocol.ids import operation_id
from durable_trio.exceptions import ContextUseError
from durable_trio.step_context import _current_step

if TYPE_CHECKING:
    from durable_trio._protocol.operation import OperationRecord
    from durable_trio._runtime.durable_deadline import DurableDeadline
    from durable_trio._runtime.invocation import Invocation
    from durable_trio._runtime.operation import Operation
    from durable_trio._runtime.scope import Construct

current_node: ContextVar[ContextNode | None] = ContextVar("durable_trio_current_node", default=None)
"""The context whose body runs here; inherited by tasks that the body starts."""


class ContextNode:
    """One context: where its operations get their ids, and who may use it.

    *prefix* is what ids are made from (None at the root); *parent_id* is what operations record as their
    parent. They differ for a virtual context, which records nothing of its own.
    """

    __slots__ = (
        "_is_replaying",
        "_latest_end_at",
        "_position",
        "_safe_values",
        "_unconfirmed",
        "busy_with",
        "deadlines",
        "invocation",
        "is_ended",
        "is_past",
        "owner",
        "parent",
        "parent_id",
        "prefix",
    )

    construct: Construct | None = None
    """The inline construct whose body runs here, if it is one's; see ``scope``."""

    def __init__(
        self,
        invocation: Invocation,
        *,
        prefix: str | None,
        parent_id: str | None,
        parent: ContextNode | None = None,
        is_past: bool = False,
    ) -> None:
        self.invocation = invocation
        self.prefix = prefix
        self.parent_id = parent_id
        self.parent = parent
        self.owner: trio.lowlevel.Task | None = None
        self.busy_with: Operation[object] | None = None
        self.is_ended = False
        # The durable deadlines that what runs here has to meet, outermost first.
        self.deadlines: tuple[DurableDeadline, ...] = () if parent is None else parent.deadlines
        # A finished context whose body runs again: nothing new may come of it.
        self.is_past: bool = is_past or (parent is not None and parent.is_past)
        self._latest_end_at: int | None = None
        # Awaited operations whose end is not acknowledged yet; None stands for none, in ten thousand contexts.
        self._unconfirmed: list[str] | None = None
        self._position = 0
        self._safe_values = 0
        self._is_replaying = self._has_run_before()

    def __repr__(self) -> str:
        return f"<ContextNode {self.prefix or 'root'}, {self._position} operations>"

    # --- ids ----------------------------------------------------------------------------------------------

    def next_operation_id(self) -> str:
        """Take the id of the next position."""
        self._position += 1
        return operation_id(self.prefix, self._position)

    def taken_ids(self) -> list[str]:
        """Return the ids that were taken so far."""
        return [operation_id(self.prefix, position) for position in range(1, self._position + 1)]

    @property
    def still_open(self) -> ContextNode:
        """This node, or the one around the inline constructs that have been left."""
        node = self
        while node.is_ended and node.construct is not None and node.parent is not None:
            node = node.parent
        return node

    @property
    def upcoming_id(self) -> str:
        """The id of the next position, which is not taken yet."""
        return operation_id(self.prefix, self._position + 1)

    def next_safe_value(self) -> int:
        """Take the next number of the counter behind replay-safe values."""
        self._safe_values += 1
        return self._safe_values

    # --- the owner ----------------------------------------------------------------------------------------

    def check_use(self, what: str) -> None:
        """Refuse to *what* from anywhere but the body of this context.

        Raises:
            ContextUseError: names what is wrong, and the remedy.
        """
        if self.owner is None or self.owner is not _current_task() or self.busy_with is not None:
            raise ContextUseError(f"cannot {what} here: {self._misuse()}")

    @property
    def is_usable(self) -> bool:
        """Whether the calling code is the body of this context, and not inside of an operation of it."""
        return self.owner is not None and self.owner is _current_task() and self.busy_with is None

    def _misuse(self) -> str:
        if self.is_ended:
            return "its context has ended. Use a context only inside the function it was passed to."
        # A body's threads and tasks have its context variables.
        if self.busy_with is not None and (self.owner is _current_task() or _current_step.get() is not None):
            return (
                f"the context is busy with {self.busy_with.title}. A step's body must not use the context: move durable"
                " operations out of the step, or into ctx.run_in_child_context."
            )
        if self._is_around_current():
            return (
                "it was created outside of the 'async with' block that this code is in. Await an operation in the"
                " block in which it was created."
            )
        if self.is_above_current():
            return "this is the context of an outer function. Use the one that was passed to this function."
        return (
            "it belongs to another task. The ids of its operations would depend on scheduling. To do several"
            " things at once use ctx.all([...]) or ctx.map(...); to run durable code in a task of its own use a child"
            " context: ctx.open_nursery() or ctx.run_in_child_context(...)."
        )

    def _is_around_current(self) -> bool:
        """Tell whether the calling task runs an inline construct of this context."""
        node = current_node.get()
        while node is not None and node.construct is not None and node.owner is _current_task():
            node = node.parent
            if node is self:
                return True
        return False

    def is_above_current(self) -> bool:
        """Tell whether the calling task runs the body of a context inside this one."""
        node = current_node.get()
        return node is not self and self.is_current_or_above()

    def is_current_or_above(self) -> bool:
        """Tell whether the calling task runs the body of this context, or of one inside it."""
        node = current_node.get()
        if node is None or node.owner is not _current_task():
            return False
        while node is not None:
            if node is self:
                return True
            node = node.parent
        return False

    # --- replay -------------------------------------------------------------------------------------------

    def _has_run_before(self) -> bool:
        state = self.invocation.state
        if not state.had_children(self.parent_id):
            return False
        if self.prefix == self.parent_id:
            return True
        # A virtual context shares its parent's id with others: its first operation tells, or the first one inside
        # that, which is virtual itself.
        first_id = self.upcoming_id
        return state.get(first_id) is not None or state.get(operation_id(first_id, 1)) is not None

    @property
    def is_replaying(self) -> bool:
        """Tell whether the code that runs now has run in an earlier invocation."""
        return self._is_replaying

    def entering(self, record: OperationRecord | None, *, runs: bool = False) -> None:
        """Note that an operation is reached; *runs* says that a body of the user's is about to run."""
        if record is None or runs:
            self._is_replaying = False

    def leaving(self, *, was_settled: bool) -> None:
        """Note that an operation is through. *was_settled*: the previous invocation saw it finished."""
        state = self.invocation.state
        if self._is_replaying and (
            not was_settled or (not state.was_resumed and state.get(self.upcoming_id) is None)
        ):
            self._is_replaying = False

    # --- time ---------------------------------------------------------------------------------------------

    def note_end(self, id_: str) -> None:
        """Note that the context has awaited an operation whose end counts for ``ctx.now()``."""
        record = self.invocation.state.get(id_)
        if record is not None and record.ended_at is not None:
            self._latest_end_at = max(record.ended_at, self._latest_end_at or 0)
        else:
            if self._unconfirmed is None:
                self._unconfirmed = []
            self._unconfirmed.append(id_)

    def latest_end_at(self) -> int:
        """Return when the latest operation that this context has awaited ended, or the execution started.

        Raises:
            ContextUseError: an end is not acknowledged yet (in OPTIMISTIC mode), so its time is not known.
        """
        self._confirm()
        if self._unconfirmed:
            raise ContextUseError(
                "the time is not known yet: in OPTIMISTIC mode an awaited operation may still be on its way to the"
                " service. Call await ctx.flush() before ctx.now()."
            )
        if self._latest_end_at is not None:
            return self._latest_end_at
        execution = self.invocation.state.execution
        return execution.started_at if execution is not None else 0

    def _confirm(self) -> None:
        if not self._unconfirmed:
            return
        state = self.invocation.state
        for id_ in self._unconfirmed:
            record = state.get(id_)
            if record is not None and record.ended_at is not None:
                self._latest_end_at = max(record.ended_at, self._latest_end_at or 0)
        self._unconfirmed = [id_ for id_ in self._unconfirmed if not state.is_terminal(id_)]


def _current_task() -> trio.lowlevel.Task | None:
    try:
        return trio.lowlevel.current_task()
    except RuntimeError:  # a worker thread, or no Trio at all
        return None
