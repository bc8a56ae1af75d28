"""Inline constructs: nurseries, durable deadlines, sagas and shields run code of the context's own task.

**The rule under all of them: a cut must be reproducible.** Such a construct runs code of the context's owner inline
and may cut it short. The next invocation runs that code again, perhaps years later, and what comes after it must
find everything as it was. Two things follow.

*A namespace of its own.* Entering a construct gives the code inside it a namespace of ids, and a counter for
replay-safe values, of its own; leaving it gives the outer ones back. So ids after it never depend on where it was
cut. The user goes on using the same ``ctx``: ``ScopeNode`` takes the place of the context's node while the block
runs. An operation belongs to the block in which it was created.

*Cuts are delivered at durable operations only.* An operation in flight is cancelled at once. If the owner is
between operations, the cut is delivered when the next one is awaited (or, by a nursery, at the construct's exit).
The record says at which operation, and replay cuts at that same operation, whatever its own record says and
whatever the time is. The place is the id and how often something under that id was awaited in the block before:
creating a callback and awaiting its result are two places.

A cut that is not recorded yet is made only at an operation that is *not through*: what replays is let through, and
so is what an earlier invocation got past, because what was done after it would be forgotten. When what is recorded
of an inner construct and what an outer one would like to do now disagree, the record has happened.

*Once cut, always cut.* As in Trio, a cut is a level, not an edge: the cancel scope around the body stays
cancelled, so operations in ``finally`` blocks are cancelled as well, unless they are in ``ctx.shield()``.

**What is recorded.** A construct is a CONTEXT that is closed by SUCCEED with ``ReplayChildren`` and its verdict
(``_protocol/verdicts``) as payload. It is closed on the way out, when everything in it is over: nothing is ever
recorded in a closed context. If durable work is done between the cut and the way out (in a shield, by a saga), the
cut is recorded before that, by a context of subtype Cut in it, started and closed in one request.

**The chain.** Constructs nest. An operation in the innermost one is a place where any of those around it may cut,
up to the nearest shield; the outermost that wants to, does.

A construct that is left because of a cancellation that is not its own (a suspension, the loser of a race, a cut
further out) records nothing, except a saga (``saga``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self

import trio

from durable_trio._protocol.ids import operation_id
from durable_trio._protocol.operation import (
    ContextDetails,
    ContextOptions,
    OperationAction,
    OperationType,
    SubType,
)
from durable_trio._protocol.replay import Identity
from durable_trio._protocol.verdicts import Point
from durable_trio._runtime.cancelling import RuntimeReason
from durable_trio._runtime.node import current_node
from durable_trio._runtime.scope_node import ConstructOperation, ScopeNode
from durable_trio.exceptions import ContextUseError, NonDeterministicExecutionError

if TYPE_CHECKING:
    from types import TracebackType

    from durable_trio._protocol.wire import WireError
    from durable_trio._runtime.context_base import ContextBase
    from durable_trio._runtime.durable_deadline import DurableDeadline
    from durable_trio._runtime.invocation import Invocation
    from durable_trio._runtime.operation import Operation


class Construct(ABC):
    """An ``async with`` block that runs durable code of the context's own; see the module's theory.

    Attributes:
        cut: the place at which its body was cut, once it is.
        is_shield: cuts from further out are not delivered inside it.
    """

    kind: ClassVar[str] = "block"
    is_shield: ClassVar[bool] = False
    starts_lazily: ClassVar[bool] = False
    """Its START is queued with the first operation in it: unused, it writes nothing."""

    def __init__(self, ctx: ContextBase, operation: ConstructOperation) -> None:
        self.cut: Point | None = None
        self._ctx = ctx
        self._outer = ctx._node
        self._operation = operation
        self._node: ScopeNode | None = None
        self._body = trio.CancelScope()
        self._is_used = False
        self._is_started = False
        self._is_marked = False  # the cut is recorded, although the construct is not closed
        self._in_flight: tuple[Operation[Any], Point] | None = None
        self._awaited: dict[str, int] = {}
        self._logger: Any = None
        self._was_settled = False

    def __repr__(self) -> str:
        where = f"cut at {self.cut.id[:8]}" if self.cut else "open" if self._node else "closed"
        return f"<{type(self).__name__} {self._operation.title} {where}>"

    @property
    def id(self) -> str:
        """The id of its operation."""
        return self._operation.id

    @property
    def invocation(self) -> Invocation:
        """The invocation that it belongs to."""
        return self._operation.invocation

    @property
    def is_cut(self) -> bool:
        """Whether its body, or that of a construct around it, was cut."""
        outer = self._outer.construct
        return self.cut is not None or (outer is not None and not self.is_shield and outer.is_cut)

    @property
    def node(self) -> ScopeNode:
        """The node of its body, while that runs."""
        if self._node is None:
            raise ContextUseError(f"{self._operation.title} is not open")
        return self._node

    # --- entering and leaving -----------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._outer.check_use(f"enter {self._operation.title}")
        if self._is_used:
            raise ContextUseError(f"{self._operation.title} can be entered only once")
        self._is_used = True
        if self.invocation.is_closing:
            await self.invocation.refuse()
        self._was_settled = self.invocation.state.is_settled(self.id)
        await self._open()
        return self

    async def _open(self) -> None:
        """Find out what is recorded, and begin."""
        await trio.lowlevel.checkpoint()
        self._push(prefix=self.id, parent_id=self.id)

    def _push(
        self,
        *,
        prefix: str,
        parent_id: str | None,
        is_past: bool = False,
        deadlines: tuple[DurableDeadline, ...] | None = None,
    ) -> None:
        """Put the body's node in the place of the context's."""
        outer = self._outer
        if deadlines is None:
            deadlines = outer.deadlines
        self._node = node = ScopeNode(
            outer, self, prefix=prefix, parent_id=parent_id, is_past=is_past, deadlines=deadlines
        )
        node.owner, outer.owner = outer.owner, None
        current_node.set(node)
        self._ctx._node = node
        # The logger is bound to what the block is; the one outside knows through its own node that it replays.
        self._logger, self._ctx._logger = self._ctx._logger, None
        self._body.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:  # which type checkers take for "lets exceptions pass"; where it does not, it is bool
        return await self._leave(kind, error, trace)

    async def _leave(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        node = self.node
        remaining: BaseException | None = None
        try:
            if not self._body.__exit__(kind, error, trace):
                remaining = error
        except BaseException as rest:  # noqa: BLE001  # what is left of a group, handled as the body's error
            remaining = rest
        try:
            await self._close(remaining)
        finally:
            self._pop(node)
        if remaining is None and self._is_ending:
            await trio.lowlevel.checkpoint()  # the code after the block is cancelled, and must not begin
        if remaining is not None and remaining is not error:
            raise remaining
        return remaining is None

    @abstractmethod
    async def _close(self, error: BaseException | None) -> None:
        """Record how the construct ended; *error* is what left its body, without what its own cut explains."""

    def _pop(self, node: ScopeNode) -> None:
        outer = self._outer
        node.is_ended = True
        outer.owner, node.owner = node.owner, None
        node.hand_back(outer)
        current_node.set(outer)
        self._ctx._node, self._node = outer, None
        self._ctx._logger = self._logger
        if not self._is_ending:
            outer.leaving(was_settled=self._was_settled or self.is_virtual)

    @property
    def is_virtual(self) -> bool:
        """Whether it records nothing of its own."""
        return False

    def before_first_operation(self) -> None:
        """Queue the START, if it waits for the first operation, and is not recorded."""
        if not self.starts_lazily or self._is_started or self.is_cut:
            return  # what is created after a cut will not run
        self._is_started = True
        invocation = self.invocation
        if invocation.state.get(self.id) is None and not self._outer.is_past and not invocation.is_closing:
            invocation.writer.record_soon(self._operation.update(OperationAction.START))

    # --- cutting ------------------------------------------------------------------------------------------

    def _chain(self) -> list[Construct]:
        """Return the constructs that may cut the code in this one, outermost first."""
        chain: list[Construct] = [self]
        while not chain[-1].is_shield and (outer := chain[-1]._outer.construct) is not None:
            chain.append(outer)
        return chain[::-1]

    async def run_cuttable(self, operation: Operation[Any]) -> None:
        """Run *operation*, which the body awaits, and cut where a construct of the chain wants it."""
        chain = self._chain()
        points = [construct._reached(operation) for construct in chain]
        cutting = self._cutting(chain, points, operation)
        if cutting is not None:
            operation.cut_off()
            await cutting._unwind(operation)
        if self.invocation.unwinding is not None:
            # A shield may have come down, and who is cancelled must not begin.
            operation.refused()
            await trio.lowlevel.checkpoint()
        for construct, point in zip(chain, points, strict=True):
            construct._in_flight = (operation, point)
        try:
            await operation.run()
        finally:
            for construct in chain:
                construct._in_flight = None
        # It may have come to its end while it was being cut. That is no way past the place of the cut.
        for construct in chain:
            if construct.cut is not None:
                await construct._unwind(operation)

    def _reached(self, operation: Operation[Any]) -> Point:
        nth = self._awaited.get(operation.id, 0)
        if self.cut is None:
            self._awaited[operation.id] = nth + 1
        return Point(operation.id, nth)

    @staticmethod
    def _cutting(chain: list[Construct], points: list[Point], operation: Operation[Any]) -> Construct | None:
        """Return the construct of *chain* that cuts, or has cut, at *operation*; None if the body goes on."""
        places = list(zip(chain, points, strict=True))
        for construct in chain:
            if construct.cut is not None:
                return construct
        # What is recorded has happened, whoever would like to cut here now.
        for construct, point in places:
            if construct._recorded_cut() == point:
                construct._cut_at(point)
                return construct
        for construct, point in places:
            if not construct._is_decided and construct._wants_to_cut(operation):
                construct._cut_at(point)
                return construct
        return None

    def _wants_to_cut(self, operation: Operation[Any]) -> bool:
        """Tell whether the body, about which nothing is recorded, is to be cut at *operation*."""
        return False

    @property
    def _is_decided(self) -> bool:
        """Whether the record says how it ended."""
        return self._is_marked

    def _cut_at(self, point: Point) -> None:
        self.cut = point
        self._body.cancel(RuntimeReason(f"{self._operation.title} is over"))

    def cut_in_flight(self) -> bool:
        """Cut at the operation that the body awaits; False if it awaits none, or only behind a shield."""
        if self._in_flight is None:
            return False
        if self.cut is None:
            self._cut_at(self._in_flight[1])
        return True

    @property
    def is_bound_for_cut(self) -> bool:
        """Whether its body, or that of a construct around it, is on the way to a cut that is recorded."""
        outer = self._outer.construct
        recorded = self.cut is None and self._recorded_cut() is not None
        return recorded or (outer is not None and not self.is_shield and outer.is_bound_for_cut)

    def _recorded_cut(self) -> Point | None:
        """Return where the record says that its body is cut."""
        return None

    async def _unwind(self, operation: Operation[Any]) -> NoReturn:
        await trio.lowlevel.checkpoint()
        raise ContextUseError(
            f"cannot await {operation.title} here: the block around it was cut off ({self._operation.title}). Durable"
            " operations in clean-up code run in 'async with ctx.shield():' only."
        )

    # --- the record ---------------------------------------------------------------------------------------

    def _recorded_payload(self) -> tuple[bool, str | None]:
        """Return whether the construct is closed, and the verdict's text: its own, or that of its Cut."""
        state = self.invocation.state
        closed = state.get(self.id)
        if closed is not None:
            closed = self._operation.recorded()
        marker = state.get(self._cut_id)
        is_closed = closed is not None and closed.status.is_terminal
        record = closed if is_closed else marker
        if record is None or not record.status.is_terminal:
            return False, None
        self._is_marked = True
        details = record.details
        return is_closed, details.result if isinstance(details, ContextDetails) else None

    @property
    def _cut_id(self) -> str:
        return operation_id(self.id, "cut")

    async def record_cut(self) -> None:
        """Record the cut ahead of durable work that is done on the way out; nothing if there is none."""
        if self.cut is None or self._is_marked or self._outer.is_past:
            return
        await self._commit_marker(await self._verdict_so_far())

    async def _commit_marker(self, payload: str) -> None:
        marker = ConstructOperation(
            self._outer,
            Identity(self._cut_id, OperationType.CONTEXT, SubType.CUT, None, self.id),
            "cut",
        )
        options = ContextOptions(replay_children=True)
        # In EAGER mode the two travel apart, and an earlier invocation may have died between them.
        is_started = self.invocation.state.get(marker.id) is not None
        await self.invocation.writer.commit(
            *([] if is_started else [marker.update(OperationAction.START)]),
            marker.update(OperationAction.SUCCEED, payload=payload, options=options),
        )
        self._is_marked = True

    async def _verdict_so_far(self) -> str:
        """Return the verdict's text, when the body is cut."""
        raise AssertionError(f"a {self.kind} does not cut")

    def _closing_update(self, payload: str) -> Any:
        options = ContextOptions(replay_children=True)
        return self._operation.update(OperationAction.SUCCEED, payload=payload, options=options)

    def _is_thrown_away(self, error: BaseException | None) -> bool:
        """Tell whether the construct is left for a reason that is not its own: then it records nothing."""
        return self._is_ending or (error is not None and not isinstance(error, Exception))

    @property
    def _is_ending(self) -> bool:
        """Whether the invocation comes to its end: then nothing is decided any more."""
        return self.invocation.is_closing or self.invocation.supervisor.is_cancelled

    def _fail_unlike_record(self, problem: str | WireError) -> NoReturn:
        self.invocation.fail(
            NonDeterministicExecutionError(
                f"{self._operation.title} does not go as it is recorded: {problem}. The code has changed since the"
                " execution started, or depends on something that is not recorded."
            )
        )
