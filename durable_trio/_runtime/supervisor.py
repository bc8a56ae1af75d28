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

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

import outcome
import trio

from durable_trio._runtime.cancelling import RuntimeReason
from durable_trio.exceptions import ContextUseError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from durable_trio._runtime.operation import Operation

_REPLAYED_PER_TURN: Final = 50  # half a millisecond

_ABORTED: Final = trio.lowlevel.Abort.SUCCEEDED


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
        self.progress = 0  # grows whenever an operation begins to run, or ends
        self.endings: list[Operation[Any]] = []  # contexts that wait for their end to be stored
        self.suspend_reason: str | None = None
        self._scope = scope
        self._parked: dict[str, tuple[trio.lowlevel.Task, ...]] = {}
        self._watchers: dict[str, Callable[[], None]] = {}  # told when an operation changes, without an actor
        self._shields: set[trio.CancelScope] = set()
        self.is_cancelled = False  # whatever runs in the handler is being unwound, for good
        self.is_closing = False  # durable operations are refused: the invocation suspends, or is over
        self._is_over = False
        self._replayed = 0
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

    @contextmanager
    def ending(self, context: Operation[Any]) -> Iterator[None]:
        """Note that *context* is through, and waits for its end to be stored."""
        self.endings.append(context)
        try:
            yield
        finally:
            self.endings.remove(context)

    # --- parking ------------------------------------------------------------------------------------------

    def park(self, operation_id: str, due_at: int | None) -> Awaitable[None]:
        """Sleep until the operation's record changes.

        *due_at* is when a timer of the service will change it, if that is known. Returns with the actor
        counted as running. If cancelled, the actor is counted too, and unwinds.
        """
        if self._waker is not None:
            self._waker.note_parked(operation_id, due_at)
        return self.rest(operation_id)

    def rest(self, key: str) -> Awaitable[None]:
        """Sleep until ``wake`` is called with *key*: as ``park`` does, for what the service knows nothing of.

        What it returns is to be awaited at once. (A branch that is parked keeps one coroutine less that way.)
        """
        if trio.current_effective_deadline() == -math.inf:
            # Who is cancelled already must not look as if it rested.
            return trio.lowlevel.checkpoint()  # noqa: ASYNC105  # the caller awaits it
        resting = _Resting(self, key, trio.lowlevel.current_task())
        self._parked[key] = (*self._parked.get(key, ()), resting.task)
        self.leave()
        if self.is_closing:  # this was the last actor: it has just suspended the invocation
            resting.end()
            return self.refuse()
        return trio.lowlevel.wait_task_rescheduled(resting)  # noqa: ASYNC105  # the caller awaits it

    def unpark(self, key: str, task: trio.lowlevel.Task) -> None:
        """Take a parked task off the list, and count its actor."""
        left = tuple(other for other in self._parked[key] if other is not task)
        if left:
            self._parked[key] = left
        else:
            del self._parked[key]
        self.enter()

    async def hold(self) -> NoReturn:
        """Keep an actor from starting anything new, until it is cancelled: the invocation is coming to rest."""

        def abort(_: Any) -> trio.lowlevel.Abort:
            self.enter()
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.checkpoint_if_cancelled()
        self.held += 1
        self.leave()
        if not self.is_closing:
            await trio.lowlevel.wait_task_rescheduled(abort)
        await self.refuse()

    def wake(self, operation_ids: Iterable[str]) -> None:
        """Wake whoever is parked on one of *operation_ids*: their records have changed."""
        if not self._parked and not self._watchers:
            return
        for operation_id in operation_ids:
            for task in self._parked.pop(operation_id, ()):
                self.enter()
                trio.lowlevel.reschedule(task)
            if operation_id in self._watchers:
                self._watchers[operation_id]()

    def is_parked(self, operation_id: str) -> bool:
        """Tell whether an actor is parked on *operation_id*, or somebody watches it."""
        return operation_id in self._parked or operation_id in self._watchers

    @contextmanager
    def watching(
        self, operation_id: str, due_at: int | None, on_change: Callable[[], None]
    ) -> Iterator[None]:
        """Have *on_change* called when the operation's record changes or its timer is due; no actor waits for it."""
        self._watchers[operation_id] = on_change
        if self._waker is not None:
            self._waker.note_parked(operation_id, due_at)
        try:
            yield
        finally:
            self.stop_watching(operation_id)

    def stop_watching(self, operation_id: str) -> None:
        """Let nobody be told about the operation any more."""
        self._watchers.pop(operation_id, None)

    def came_due(self, operation_id: str) -> None:
        """Tell who watches the operation that its timer is due, and that the service was asked about it."""
        if operation_id in self._watchers:
            self._watchers[operation_id]()

    @contextmanager
    def shielded(self) -> Iterator[trio.CancelScope]:
        """Shield the block from every cancellation, except that of the whole handler."""
        with trio.CancelScope(shield=not self.is_cancelled) as scope:
            self._shields.add(scope)
            try:
                yield scope
            finally:
                self._shields.discard(scope)

    # --- replay -------------------------------------------------------------------------------------------

    def replay_checkpoint(self) -> Awaitable[None]:
        """Return the Trio checkpoint of an operation that replays.

        It is always a cancellation point. Other tasks get their turn at every so many only: a turn of Trio's loop
        costs more than all the rest of a replayed operation, and there may be thousands in a row.
        """
        self._replayed += 1
        if self._replayed % _REPLAYED_PER_TURN:
            return trio.lowlevel.checkpoint_if_cancelled()  # noqa: ASYNC105  # the caller awaits it
        return trio.lowlevel.checkpoint()  # noqa: ASYNC105  # the caller awaits it

    # --- the end ------------------------------------------------------------------------------------------

    @property
    def is_suspended(self) -> bool:
        """Tell whether the invocation is to answer PENDING."""
        return self.suspend_reason is not None

    def suspend(self, reason: str) -> None:
        """Cancel the handler; the invocation will answer PENDING."""
        if not self.is_suspended:
            self.suspend_reason = reason
            self.is_closing = True
            self.cancel_handler(f"the durable execution suspends: {reason}")

    def cancel_handler(self, reason: str) -> None:
        """Cancel everything that runs the user's code.

        Parked actors that shield themselves would never wake: they are told.
        """
        self.is_cancelled = True
        for shield in self._shields:
            shield.shield = False
        self._scope.cancel(RuntimeReason(reason))
        # Cancelling has taken off the list whoever can be cancelled. What is left is shielded, or is the calling
        # task, which is about to park and will see for itself.
        caller = trio.lowlevel.current_task()
        for key, waiting in list(self._parked.items()):
            for task in waiting:
                if task is not caller:
                    self.unpark(key, task)
                    trio.lowlevel.reschedule(task, outcome.Error(_refusal()))

    def end(self) -> None:
        """Note that the handler is through: from now on nothing suspends."""
        self._is_over = self.is_closing = True

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


class _Resting:
    """One parked task; called by Trio to end its sleep when it is cancelled."""

    # There may be ten thousand: one object each, where two functions and their cells would be a dozen.
    __slots__ = ("_key", "_supervisor", "task")

    def __init__(self, supervisor: Supervisor, key: str, task: trio.lowlevel.Task) -> None:
        self._supervisor = supervisor
        self._key = key
        self.task = task

    def end(self) -> None:
        """Be parked no longer."""
        self._supervisor.unpark(self._key, self.task)

    def __call__(self, _: Any) -> trio.lowlevel.Abort:
        self.end()
        return _ABORTED


class Join:
    """A parent's wait for the children that it counts in.

    The parent calls ``child_started`` for each child before starting it, enters the join around the nursery's
    end, and every child calls ``child_ended`` last thing. ``decide`` is for a parent that is to go on before all
    children have ended by themselves, and cancels them. Each of them counts itself while it unwinds, so that never
    looks like quiescence; unless one shields itself and waits, which is what a saga does that was cut off. So the
    parent stays uncounted until the last one has ended.
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
        """Count the parent as running again, as soon as all its children are gone."""
        if self._is_joining and self._children == 0:
            self._is_joining = False
            self._supervisor.enter()

    def __enter__(self) -> None:
        if self._children > 0:
            self._is_joining = True
            self._supervisor.leave()

    def __exit__(self, *_: object) -> None:
        self.decide()
