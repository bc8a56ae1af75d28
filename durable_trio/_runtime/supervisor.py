"""Who can run, who is parked, and when the invocation has to suspend.

**Actors** are the tasks that run durable code: the handler's own, and one per child context, item and
operation of a combinator. An actor is *running* unless it is *parked* (its operation waits for a timer or
for the outside world) or *joining* (it waits for its children). ``running`` counts the running ones. It is
exact at every moment in which another task could look:

- A child is counted by its parent before it is started, so there is no gap in which nobody counts.
- Who wakes an actor counts it, at that moment; the actor itself may be scheduled much later.
- The last child to end hands its place in the count to the parent that joins it, and so does a decision that
  cancels the rest. A cancelled actor that was parked counts itself again while it unwinds.

An actor that awaits the writer, sleeps in a step, or is blocked on any plain Trio thing is running: that is
real work for all we know.

**Quiescence** is ``running == 0`` with an idle writer. Then nothing in this invocation can happen by itself:
it suspends. If the writer still holds something, it sends that first; the answer may bring completions that
wake somebody.

**Suspension is cancellation** of the handler's scope, for good: ``finally`` blocks run, durable operations
refuse to start, and whatever the handler makes of the cancellation, the invocation answers PENDING.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import outcome
import trio

from durable_trio._runtime.cancelling import RuntimeReason
from durable_trio.exceptions import ContextUseError

if TYPE_CHECKING:
    from collections.abc import Iterable


class Writer(Protocol):
    """What the supervisor needs of the checkpoint writer."""

    @property
    def is_idle(self) -> bool:
        """Nothing is queued, nothing is in flight."""
        ...

    def send_now(self) -> None:
        """Do not linger: nobody is left who could add to the batch."""
        ...


class Waker(Protocol):
    """What the supervisor needs of the waker."""

    def note_parked(self, operation_id: str, due_at: int | None) -> None:
        """Take note that an actor has parked."""
        ...

    def waits_inline(self) -> bool:
        """Tell whether a timer is due so soon that the invocation waits for it."""
        ...


class Supervisor:
    """Counts the actors of one invocation and suspends it when none can run."""

    def __init__(self, scope: trio.CancelScope) -> None:
        self.running = 1  # the handler's own actor
        self.bodies = 0  # how many bodies of steps run; that is work, whatever they are blocked on
        self.held = 0  # how many were kept from starting something
        self.suspend_reason: str | None = None
        self._scope = scope
        self._parked: dict[str, list[trio.lowlevel.Task]] = {}
        self._is_over = False
        self._writer: Writer | None = None
        self._waker: Waker | None = None

    def __repr__(self) -> str:
        state = f"suspended: {self.suspend_reason}" if self.is_suspended else f"{self.running} running"
        return f"<Supervisor {state}, {len(self._parked)} parked>"

    def attach(self, writer: Writer, waker: Waker) -> None:
        """Introduce the other two standing tasks; before any actor runs."""
        self._writer = writer
        self._waker = waker

    # --- the count ----------------------------------------------------------------------------------------

    def enter(self) -> None:
        """Count one more running actor."""
        self.running += 1

    def leave(self) -> None:
        """Count one running actor less; the last one brings the invocation to rest."""
        self.running -= 1
        if self.running == 0:
            self.settle()

    def settle(self) -> None:
        """Suspend if nothing can happen any more; called whenever that may have become true."""
        if self.running > 0 or self._is_over or self.is_suspended or self._writer is None:
            return
        if self._writer.is_idle:
            if self._waker is not None and self._waker.waits_inline():
                return
            self.suspend("every operation is waiting for the service")
        else:
            self._writer.send_now()

    # --- parking ------------------------------------------------------------------------------------------

    async def park(self, operation_id: str, due_at: int | None) -> None:
        """Sleep until the operation's record changes.

        *due_at* is when a timer of the service will change it, if that is known. Returns with the actor
        counted as running. If cancelled, the actor is counted too, and unwinds.
        """
        task = trio.lowlevel.current_task()
        self._parked.setdefault(operation_id, []).append(task)
        if self._waker is not None:
            self._waker.note_parked(operation_id, due_at)

        def unpark() -> None:
            waiting = self._parked[operation_id]
            waiting.remove(task)
            if not waiting:
                del self._parked[operation_id]
            self.enter()

        def abort(_: Any) -> trio.lowlevel.Abort:
            unpark()
            return trio.lowlevel.Abort.SUCCEEDED

        self.leave()
        if self.is_closing:  # this was the last actor: it has just suspended the invocation
            unpark()
            await self.refuse()
        await trio.lowlevel.wait_task_rescheduled(abort)

    async def hold(self) -> NoReturn:
        """Keep an actor from starting anything new, until it is cancelled: the invocation is coming to rest."""

        def abort(_: Any) -> trio.lowlevel.Abort:
            self.enter()
            return trio.lowlevel.Abort.SUCCEEDED

        self.held += 1
        self.leave()
        if not self.is_closing:
            await trio.lowlevel.wait_task_rescheduled(abort)
        await self.refuse()

    def wake(self, operation_ids: Iterable[str]) -> None:
        """Wake whoever is parked on one of *operation_ids*: their records have changed."""
        if not self._parked:
            return
        for operation_id in operation_ids:
            for task in self._parked.pop(operation_id, ()):
                self.enter()
                trio.lowlevel.reschedule(task)

    def is_parked(self, operation_id: str) -> bool:
        """Tell whether an actor is parked on *operation_id*."""
        return operation_id in self._parked

    # --- the end ------------------------------------------------------------------------------------------

    @property
    def is_suspended(self) -> bool:
        """Tell whether the invocation is to answer PENDING."""
        return self.suspend_reason is not None

    def suspend(self, reason: str) -> None:
        """Cancel the handler; the invocation will answer PENDING."""
        if not self.is_suspended:
            self.suspend_reason = reason
            self.cancel_handler(f"the durable execution suspends: {reason}")

    def cancel_handler(self, reason: str) -> None:
        """Cancel everything that runs the user's code.

        Parked actors that shield themselves would never wake: they are told.
        """
        self._scope.cancel(RuntimeReason(reason))
        # Cancelling has taken off the list whoever can be cancelled. What is left is shielded, or is the calling
        # task, which is about to park and will see for itself.
        caller = trio.lowlevel.current_task()
        for operation_id, waiting in list(self._parked.items()):
            for task in [task for task in waiting if task is not caller]:
                waiting.remove(task)
                self.enter()
                trio.lowlevel.reschedule(task, outcome.Error(_refusal()))
            if not waiting:
                del self._parked[operation_id]

    def end(self) -> None:
        """Note that the handler is through: from now on nothing suspends."""
        self._is_over = True

    @property
    def is_closing(self) -> bool:
        """Tell whether durable operations are refused: the invocation suspends, or is over."""
        return self._is_over or self.is_suspended

    async def refuse(self) -> NoReturn:
        """Refuse a durable operation to code that runs while the invocation is closing.

        A task of the handler's gets its ``Cancelled`` again. One that shields itself from it is told.
        """
        await trio.lowlevel.checkpoint()
        raise _refusal()


def _refusal() -> ContextUseError:
    return ContextUseError(
        "this invocation is ending: durable operations cannot start or go on. Code in a finally block runs "
        "again when the execution resumes; leave durable clean-up to that."
    )


class Join:
    """A parent's wait for the children that it counts in.

    The parent calls ``child_started`` for each child before starting it, enters the join around the nursery's
    end, and every child calls ``child_ended`` last thing. ``decide`` is for a parent that goes on before all
    children have ended by themselves: it takes the parent's place in the count at once, so that cancelling
    the rest never looks like quiescence.
    """

    __slots__ = ("_children", "_is_joining", "_supervisor")

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._children = 0
        self._is_joining = False

    def child_started(self) -> None:
        """Count a child that is about to be started."""
        self._children += 1
        self._supervisor.enter()

    def child_ended(self) -> None:
        """Take back a child; the last one hands its place to the parent."""
        self._children -= 1
        if self._children == 0:
            self.decide()
        self._supervisor.leave()

    def decide(self) -> None:
        """Count the parent as running again."""
        if self._is_joining:
            self._is_joining = False
            self._supervisor.enter()

    def __enter__(self) -> None:
        if self._children > 0:
            self._is_joining = True
            self._supervisor.leave()

    def __exit__(self, *_: object) -> None:
        self.decide()
