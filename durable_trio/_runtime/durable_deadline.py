"""``ctx.move_on_after`` and its kin: a time limit that runs at the service, across suspensions and invocations.

A deadline is a context that holds a wait, at position 0, and the operations of its body. Both are started, and
acknowledged, before the body begins. The verdict is recorded on the way out, and acknowledged before anything else
happens: in time, or timed out at operation X.

**Deadlines cut only an awaited, unfinished operation,** never at the exit: a body that got through has won, even if
that is seen late. *Finished* is what the service's timestamps say: an operation that ended no later than the
deadline was in time; a tie goes to the body. So when an execution is resumed and both are over, the timestamps
decide, not the order in which they are looked at.

*What holds other operations* (a child context, a map, a nursery's exit, a combinator) has no end of its own to
compare. Work inside that was in time goes on, until it next has to wait or start something; there it is held
(``guarding``). When nothing inside moves any more, the deadline cuts. "Moves" is judged by a few quiet rounds of the
scheduler: what is about to end, or waits for an answer of the service, is waited for; an actor that is blocked on a
plain Trio thing is not.

*The deadline is over* when its wait has ended at the service. Our own clock may be behind the service's: it is not
asked, except for a service whose timers hurry ahead of its timestamps (test runners that skip time do). There it is
over when its time would have come, or when what the body waits for is due later still. A deadline at an instant is
also over when that has come by our clock.

*Who tells.* No actor waits for the wait: it must not keep the invocation awake. It is watched; the waker asks the
service about it when it is due, as about any timer. ``_judge``, a task of the deadline's own, decides.

The wait of a deadline that was met is left to run out: the service may refuse to cancel waits, and a refused
update fails the whole request. It may wake a suspended execution once for nothing; it does not keep a finished one
alive, and does not count as something pending.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import trio

from durable_trio._protocol.lifecycle import is_waiting_for_service
from durable_trio._protocol.operation import (
    OperationStatus,
    StepDetails,
    WaitDetails,
)
from durable_trio._protocol.replay import through_at
from durable_trio._protocol.verdicts import (
    DeadlineVerdict,
    Point,
    decode_deadline,
    encode_deadline,
)
from durable_trio._protocol.wire import WireError
from durable_trio._runtime.catching_up import caught_up
from durable_trio._runtime.deadline_start import DeadlineStart
from durable_trio._runtime.scope import Construct
from durable_trio._runtime.scope_node import went_on
from durable_trio.exceptions import DurableTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from types import TracebackType

    from durable_trio._protocol.operation import OperationRecord
    from durable_trio._protocol.replay import Identity
    from durable_trio._runtime.context_base import ContextBase
    from durable_trio._runtime.operation import Operation


_TOLERANCE_MS: Final = 1000
"""How much earlier than due a wait may end, and still count as having run its time."""


class DurableDeadline(Construct):
    """A block with a durable time limit; see the module's theory.

    Attributes:
        timed_out: whether the body was cut because the time was over; known when the block has been left.
    """

    kind: ClassVar[str] = "deadline"
    _operation: DeadlineStart

    def __init__(
        self,
        ctx: ContextBase,
        identity: Identity,
        seconds: Callable[[], int],
        at: int | None,
        *,
        error: str | None = None,
    ) -> None:
        """Make a deadline *seconds* after it is entered, or *at* an instant; *error* is raised if it was missed."""
        super().__init__(ctx, DeadlineStart(ctx, identity, seconds))
        self.timed_out = False
        self.is_over = False
        self.open: set[Operation[Any]] = set()
        self._at = at
        self._error = error
        self._verdict: DeadlineVerdict | None = None
        self._is_closed = False
        self._watch: AbstractContextManager[None] | None = None
        self._nursery: AbstractAsyncContextManager[trio.Nursery] | None = None
        # Shielded: it is ended on the way out, whatever the reason, and never has a say in what is raised there.
        self._judging = trio.CancelScope(shield=True)
        self._called = trio.Event()
        self._is_called = False

    # --- opening and closing ------------------------------------------------------------------------------

    async def _open(self) -> None:
        await self._operation
        self._is_closed, text = self._recorded_payload()
        if self._is_marked:
            try:
                self._verdict = decode_deadline(text)
            except WireError as problem:
                self._fail_unlike_record(problem)
        is_live = self._verdict is None and not self._outer.is_past
        if is_live:
            self._watch = self.invocation.supervisor.watching(
                self._operation.wait_id, self._ends_at, self._look
            )
            self._watch.__enter__()
            self._nursery = trio.open_nursery()
            nursery = await self._nursery.__aenter__()
            nursery.start_soon(self._judge, name="durable deadline's judge")
        deadlines = (*self._outer.deadlines, self) if is_live else None
        self._push(prefix=self.id, parent_id=self.id, is_past=self._is_closed, deadlines=deadlines)
        if is_live:
            self._look()

    async def _close(self, error: BaseException | None) -> None:
        await self._stop_judging()
        if self._is_thrown_away(error):
            return
        verdict = DeadlineVerdict(self.cut is not None, self.cut)
        if self._verdict is not None and self._verdict != verdict:
            there = "in time" if self._verdict.at is None else f"cut off at operation {self._verdict.at.id}"
            self._fail_unlike_record(f"it is recorded as {there}")
        if not self._is_closed and not self._outer.is_past:
            await trio.lowlevel.checkpoint_if_cancelled()
            await self.invocation.writer.commit(self._closing_update(encode_deadline(verdict)))
        self.invocation.state.abandon(self._operation.wait_id)
        self.timed_out = verdict.timed_out
        if self.timed_out:
            self.node.note_end(self._operation.wait_id)
            if error is None and self._error is not None:
                raise DurableTimeoutError(self._error)

    async def _stop_judging(self) -> None:
        if self._watch is not None:
            self._watch.__exit__(None, None, None)
        if self._nursery is not None:
            self._judging.cancel("the deadline is left")
            await self._nursery.__aexit__(None, None, None)
            self._uncall()  # it may have been called, and ended before it heard of that

    async def _verdict_so_far(self) -> str:
        return encode_deadline(DeadlineVerdict(self.cut is not None, self.cut))

    # --- the time -----------------------------------------------------------------------------------------

    @property
    def _wait(self) -> OperationRecord | None:
        return self.invocation.state.get(self._operation.wait_id)

    @property
    def _ends_at(self) -> int | None:
        """The last instant that is in time, in epoch milliseconds; None if the service has not said."""
        if self._at is not None:
            return self._at
        wait = self._wait
        if wait is None:
            return None
        ended_at = through_at(wait)
        if ended_at is not None:
            return ended_at
        return wait.details.scheduled_end_at if isinstance(wait.details, WaitDetails) else None

    def _look(self) -> None:
        """See whether the time is over."""
        if not self.is_over and (self._has_run_out or self._is_past_by_clock):
            self.is_over = True
            self.invocation.supervisor.stop_watching(self._operation.wait_id)
            self.look_again()

    @property
    def _has_run_out(self) -> bool:
        """Whether the service has let the time pass. Its word counts, whatever our clock says."""
        return self._has_ended and not self._has_hurried

    @property
    def _has_ended(self) -> bool:
        wait = self._wait
        return wait is not None and wait.status is OperationStatus.SUCCEEDED

    @property
    def _has_hurried(self) -> bool:
        """Whether the wait has ended well before it was due."""
        wait = self._wait
        due_at = wait.details.scheduled_end_at if wait and isinstance(wait.details, WaitDetails) else None
        ended_at = None if wait is None else wait.ended_at
        return due_at is not None and ended_at is not None and ended_at < due_at - _TOLERANCE_MS

    @property
    def _is_past_by_clock(self) -> bool:
        ends_at = self._ends_at
        may_ask = self._at is not None or self._has_ended
        return may_ask and ends_at is not None and self.invocation.clock.now() >= ends_at

    def is_late(self, operation: Operation[Any]) -> bool:
        """Tell whether *operation* was not through in time.

        What ended late may have been seen before the deadline was; if the program has gone on then, it is let pass.
        """
        if went_on(operation):
            return False
        ended_at, ends_at = operation.through_at(), self._ends_at
        if ended_at is None or ends_at is None:
            if self._has_ended and self._has_hurried and self._ends_later(operation):
                self.is_over = True  # nothing else would come to tell
            return self.is_over
        if ended_at <= ends_at:
            return False
        if self._at is not None or self._has_ended:
            self.is_over = True  # whatever the clock says: the operation ended after the deadline
        return self.is_over

    def _ends_later(self, operation: Operation[Any]) -> bool:
        """Tell whether *operation* waits at the service for something that is due after the deadline, or never."""
        record, ends_at = self.invocation.state.get(operation.id), self._ends_at
        if record is None or not is_waiting_for_service(record.type, record.status):
            return False
        match record.details:
            case WaitDetails(scheduled_end_at=due_at) | StepDetails(next_attempt_at=due_at):
                return due_at is None or ends_at is None or due_at > ends_at
            case _:
                return True

    # --- deciding -----------------------------------------------------------------------------------------

    def _wants_to_cut(self, operation: Operation[Any]) -> bool:
        return operation.is_timed and self.is_late(operation)

    def _recorded_cut(self) -> Point | None:
        return None if self._verdict is None else self._verdict.at

    def look_again(self) -> None:
        """Have the judge look, once the time is over, whether to cut. Until then this invocation does not rest."""
        if self.is_over and self.cut is None and not self._is_called and not self._judging.cancel_called:
            self._is_called = True
            self.invocation.supervisor.enter()
            self._called.set()

    async def _judge(self) -> None:
        with self._judging:
            while True:
                await self._called.wait()
                self._called = trio.Event()
                try:
                    await self._settled()
                finally:
                    self._uncall()

    def _uncall(self) -> None:
        if self._is_called:
            self._is_called = False
            self.invocation.supervisor.leave()

    async def _settled(self) -> None:
        """Cut, if the body awaits something that does not come to its end in time."""
        await caught_up(self.invocation)
        if self._in_flight is None:
            return
        operation = self._in_flight[0]
        if operation.is_timed:
            if self.is_late(operation):
                self.cut_in_flight()
        elif not self._is_about_to_end():
            self.cut_in_flight()

    def _is_about_to_end(self) -> bool:
        """Tell whether something inside has sent its end and waits for the answer; that will call again."""
        return any(operation.is_ending for operation in self.open if not operation.is_timed)


class MoveOnDeadline(DurableDeadline):
    """A deadline after which the code behind the block goes on."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        return await self._leave(kind, error, trace)
