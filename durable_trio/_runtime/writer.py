"""The checkpoint writer: the one actor that talks to the service about this execution.

It owns the checkpoint token. A token is used once: each answer brings the next one, which replaces it in a
local variable of the writer and nowhere else. So there are never two calls in flight, and nobody else can
hold a stale token.

Actors send it updates over one memory channel, in the order in which they want them recorded, and that is
the order in which they are recorded. There are two verbs: ``commit`` returns when the update is durable,
``record_soon`` only queues it. The second is for what can be recomputed if it is lost and is queued before
whatever depends on it: the START of an at-least-once step or of a context, the end of a child context.

**When it sends.** As soon as somebody waits, and no sooner than the tasks that can run have run: while a call
is in flight the next batch accumulates; there is no timed window in front of a waiter. The supervisor's count
says when every running actor is waiting for the writer. When some are elsewhere (in a step's body, on the
network), the writer lets the scheduler go round until a round has brought nothing new; or it sends at once, if
those whom the last answer released are known not to come back so soon (``coming_back``). Updates that nobody
waits for ride along, or go after a short linger, or at once when nothing can run any more.

**What it does with an answer.** The operations in it are merged into the state; then whoever committed in
this batch is released, and whoever is parked on an operation that has changed is woken. The supervisor is
asked last whether the invocation has come to rest.

**Failure.** A refused call ends the writer with the error; the nursery it runs in cancels the handler. No
error is stored and nobody goes on without a durable answer. An answer without a token is no failure: this
invocation may not checkpoint any more, and suspends (or is complete, if the batch held its end).
"""

from __future__ import annotations

import math
import os
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import outcome
import trio

from durable_trio._protocol import limits
from durable_trio._protocol.batching import MAX_UPDATE_BYTES, encoded_bytes, take_batch
from durable_trio._protocol.operation import OperationType, OperationUpdate
from durable_trio._runtime.coming_back import ComingBack
from durable_trio.config import CheckpointingMode
from durable_trio.exceptions import CheckpointError, SizeLimitError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from durable_trio._protocol.operation import OperationRecord
    from durable_trio._protocol.state import ExecutionState
    from durable_trio._runtime.plugin_host import PluginHost
    from durable_trio._runtime.supervisor import Supervisor
    from durable_trio.clients import ServiceClient
    from durable_trio.clock import Clock

LINGER_SECONDS: Final = 0.05
"""How long updates that nobody waits for may stay behind."""

_QUIET_ROUNDS: Final = 2

# Looking a member up in its class takes ten times as long before Python 3.12.
_EXECUTION: Final = OperationType.EXECUTION
_ABORTED: Final = trio.lowlevel.Abort.SUCCEEDED


class SizedUpdate:
    """One message to the writer: an update that is known to fit a request, or nothing, and who waits for it."""

    __slots__ = ("encoded_bytes", "is_actor", "task", "update")

    def __init__(self, update: OperationUpdate | None, size: int) -> None:
        self.update = update
        self.encoded_bytes = size
        self.task: trio.lowlevel.Task | None = None
        self.is_actor = False


def _nothing() -> SizedUpdate:
    """Return a message that only asks to be told when what was queued before it is stored."""
    return SizedUpdate(None, 0)


class CheckpointWriter:
    """Sends operation updates in order, one call at a time; see the module's theory."""

    def __init__(
        self,
        client: ServiceClient,
        state: ExecutionState,
        supervisor: Supervisor,
        clock: Clock,
        mode: CheckpointingMode = CheckpointingMode.BATCHED,
    ) -> None:
        self._client = client
        self._state = state
        self._supervisor = supervisor
        self._clock = clock
        self._is_eager = mode is CheckpointingMode.EAGER
        self._is_optimistic = mode is CheckpointingMode.OPTIMISTIC
        self._max_updates = 1 if self._is_eager else limits.MAX_UPDATES_PER_CHECKPOINT
        self._inbox_send, self._inbox = trio.open_memory_channel[SizedUpdate](math.inf)
        self._queue: deque[SizedUpdate] = deque()
        self._undone = 0  # entries in inbox, queue and flight: what is not durable yet
        self._waiters = 0  # those of them that somebody waits for ...
        self._waiting_actors = 0  # ... and of these, the ones that the supervisor counts as running
        self._in_flight: list[SizedUpdate] = []
        self._durable = 0
        self._linger = trio.CancelScope()
        self._released = ComingBack()
        self._is_completing = False
        self._is_closed = False
        self.plugins: PluginHost | None = None
        """Told what is started and what has changed; None if there are no plugins."""

    def __repr__(self) -> str:
        in_flight = len(self._in_flight)
        return (
            f"<CheckpointWriter {self._undone - in_flight} queued, {in_flight} in flight,"
            f" {self._durable} durable>"
        )

    # --- what actors call ---------------------------------------------------------------------------------

    def sized(self, update: OperationUpdate) -> SizedUpdate:
        """Measure *update*, for a caller that has to know before it goes on whether it can be sent.

        Raises:
            SizeLimitError: it is too big to be sent.
        """
        size = encoded_bytes(update)
        if update.type is _EXECUTION:
            self._check_result_size(update)
        elif size > MAX_UPDATE_BYTES:
            raise SizeLimitError(
                f"operation {update.name or update.id!r} is too big to be checkpointed: its {update.action} takes"
                f" {size:,} bytes encoded, and a checkpoint request holds {MAX_UPDATE_BYTES:,}. Store the data"
                " elsewhere and return a reference to it."
            )
        return SizedUpdate(update, size)

    def _check_result_size(self, update: OperationUpdate) -> None:
        # It is what a function may not answer with because it is too long, so it goes in a request of its own.
        size = len((update.payload or "").encode())
        if size > limits.MAX_PAYLOAD_BYTES:
            raise SizeLimitError(
                f"the result of the execution has {size:,} bytes, and at most {limits.MAX_PAYLOAD_BYTES:,} can be"
                " recorded. Store the data elsewhere and return a reference to it."
            )

    def record_soon(self, update: OperationUpdate | SizedUpdate) -> None:
        """Queue *update*; it is recorded before anything queued later.

        Raises:
            SizeLimitError: it is too big to be sent.
        """
        self._put(update if isinstance(update, SizedUpdate) else self.sized(update))

    def commit(self, *updates: OperationUpdate | SizedUpdate) -> Awaitable[None]:
        """Record *updates*, when this is awaited, and return once the service has stored them.

        If cancelled while waiting, they may still be stored: they were already queued.

        Raises:
            SizeLimitError: one is too big to be sent; none of them was queued.
        """
        if self._supervisor.is_suspended:
            return self._supervisor.refuse()
        sized = [update if isinstance(update, SizedUpdate) else self.sized(update) for update in updates]
        return self._put_and_wait(*sized)

    async def record(self, update: OperationUpdate | SizedUpdate) -> None:
        """Record *update* as ``record_soon`` does; in EAGER mode, return once it is stored.

        For what nobody has to wait for, except who asked to wait for everything.
        """
        if self._is_eager or self._supervisor.is_suspended:
            await self.commit(update)
        else:
            self.record_soon(update)

    def announce(self, update: OperationUpdate) -> bool:
        """Queue *update* ahead of the actor it belongs to; False in EAGER mode, where the actor has to wait for it."""
        if self._is_eager:
            return False
        self.record_soon(update)
        return True

    def hand_on(self, update: OperationUpdate | SizedUpdate) -> Awaitable[None]:
        """Record *update* as ``commit`` does; in OPTIMISTIC mode, only queue it.

        For the end of a step: its value may be handed on before it is durable, since whatever makes a promise
        to the outside is queued behind it and waits.
        """
        if self._is_optimistic and not self._supervisor.is_suspended:
            self.record_soon(update)
            return trio.lowlevel.checkpoint()  # noqa: ASYNC105  # the caller awaits it
        return self.commit(update)

    async def drained(self) -> None:
        """Return when nothing is queued or in flight; unlike ``flush``, does not count as an actor's wait."""
        while self._undone:
            await self._put_and_wait(_nothing(), is_actor=False)

    async def flush(self) -> None:
        """Return once everything queued so far is durable."""
        if self._undone:
            await self._put_and_wait(_nothing())
        else:
            await trio.lowlevel.checkpoint()

    async def refresh(self) -> None:
        """Ask the service what has changed, by a checkpoint without updates if there are none."""
        await self._put_and_wait(_nothing(), is_actor=False)

    # --- what the supervisor calls ------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Nothing is queued, nothing is in flight."""
        return self._undone == 0

    @property
    def waiting_actors(self) -> int:
        """How many of the running actors wait for an update to be stored."""
        return self._waiting_actors

    @property
    def is_closed(self) -> bool:
        """No checkpoint can be made any more."""
        return self._is_closed

    def send_now(self) -> None:
        """Do not linger: nobody is left who could add to the batch."""
        self._linger.cancel("nothing can run")

    # --- the actor ----------------------------------------------------------------------------------------

    async def run(self, checkpoint_token: str) -> None:
        """Send what is queued, until cancelled, or until the service withholds the next token.

        Raises:
            ServiceError: a call was refused or never got through; the invocation is over.
        """
        token: str | None = checkpoint_token
        try:
            while token is not None:
                await self._gather()
                token = await self._send(token, self._next_batch())
                self._supervisor.settle()
        finally:
            self._is_closed = True
            self._give_up()

    def _next_batch(self) -> list[SizedUpdate]:
        batch = take_batch(self._queue, self._max_updates)
        if self._is_completing:
            # The execution's end is the last thing to be recorded; what others queued behind it is void.
            for index, entry in enumerate(batch):
                if entry.update is not None and entry.update.type is _EXECUTION:
                    self._queue.extendleft(reversed(batch[index + 1 :]))
                    return batch[: index + 1]
        return batch

    async def _gather(self) -> None:
        """Fill the queue: return when it is time to send."""
        if not self._undone:
            self._queue.append(await self._inbox.receive())
        self._drain_inbox()
        if self._may_linger:
            with trio.move_on_after(LINGER_SECONDS) as self._linger:
                while self._may_linger:
                    self._queue.append(await self._inbox.receive())
                    self._drain_inbox()
        if not self._released.may_be_missed(self._waiting_actors):
            await self._let_tasks_run()
            self._released.observe(self._waiting_actors)

    async def _let_tasks_run(self) -> None:
        """Let the scheduler go round until nobody has anything to add, or there is no room left."""
        quiet_rounds = 0
        while (
            quiet_rounds < _QUIET_ROUNDS
            and self._waiting_actors < self._supervisor.running
            and len(self._queue) < self._max_updates
        ):
            await trio.lowlevel.checkpoint()
            quiet_rounds = 0 if self._drain_inbox() else quiet_rounds + 1

    @property
    def _may_linger(self) -> bool:
        return self._waiters == 0 and self._supervisor.running > 0 and len(self._queue) < self._max_updates

    def _drain_inbox(self) -> bool:
        """Move what has arrived to the queue; tell whether there was anything."""
        before = len(self._queue)
        try:
            while True:
                self._queue.append(self._inbox.receive_nowait())
        except trio.WouldBlock:
            return len(self._queue) > before

    async def _send(self, token: str, batch: list[SizedUpdate]) -> str | None:
        updates = [entry.update for entry in batch if entry.update is not None]
        self._in_flight = batch
        response = await self._client.checkpoint(
            durable_execution_arn=self._state.durable_execution_arn,
            checkpoint_token=token,
            updates=updates,
            client_token=os.urandom(16).hex(),
        )
        operations = list(response.operations)
        if response.next_marker and response.checkpoint_token is not None:
            operations += await self._rest_of_state(response.checkpoint_token, response.next_marker)
        self._durable += len(updates)
        changed = self._state.merge(operations)
        if updates:
            self._apply_unanswered(updates, operations)
        if self.plugins is not None:
            self.plugins.operations_changed(dict.fromkeys([*changed, *(update.id for update in updates)]))
        if response.checkpoint_token is None:
            self._token_withheld(updates, batch)
            return None
        self._release(batch)
        self._supervisor.wake(changed)
        return response.checkpoint_token

    async def _rest_of_state(self, token: str, marker: str) -> list[OperationRecord]:
        operations: list[OperationRecord] = []
        while marker:
            page = await self._client.get_state(
                durable_execution_arn=self._state.durable_execution_arn,
                checkpoint_token=token,
                marker=marker,
                max_items=limits.MAX_PAGE_SIZE,
            )
            operations += page.operations
            marker = page.next_marker
        return operations

    def _apply_unanswered(
        self, updates: Sequence[OperationUpdate], operations: Sequence[OperationRecord]
    ) -> None:
        """Record the effect of updates that the answer does not repeat."""
        answered = {record.id for record in operations}
        for update in updates:
            if update.id not in answered and update.type is not _EXECUTION:
                self._state.apply(update, self._clock.now())

    def _token_withheld(self, updates: Sequence[OperationUpdate], batch: list[SizedUpdate]) -> None:
        if updates and updates[-1].type is _EXECUTION:
            self._release(batch)  # the execution is complete
        else:
            # What was sent is durable; waiters unwind with the suspension, or are told at the writer's end.
            self._supervisor.suspend("the service withheld the checkpoint token")

    def _release(self, batch: list[SizedUpdate]) -> None:
        self._in_flight = []
        self._undone -= len(batch)
        waiting = self._waiting_actors
        for entry in batch:
            if entry.task is not None:
                task = entry.task
                self._forget_waiter(entry)
                trio.lowlevel.reschedule(task)
        self._released.released(waiting - self._waiting_actors, left=self._waiting_actors)

    def _give_up(self) -> None:
        """Unwind whoever still waits: the handler is cancelled; who shields itself from that is told.

        The standing tasks (the waker) wait on: they are cancelled when the handler is through.
        """
        self._supervisor.cancel_handler("the checkpoint writer has ended")
        self._drain_inbox()
        for entry in [*self._in_flight, *self._queue]:
            if entry.task is not None and entry.is_actor:
                task = entry.task
                self._forget_waiter(entry)
                error = CheckpointError("the invocation is ending: this checkpoint may not have been stored")
                trio.lowlevel.reschedule(task, outcome.Error(error))

    # --- the mailbox --------------------------------------------------------------------------------------

    def _put(self, entry: SizedUpdate) -> None:
        self._undone += 1
        update = entry.update
        if update is not None:
            if update.type is _EXECUTION:
                self._is_completing = True
            if self.plugins is not None:
                self.plugins.update_queued(update)
        self._inbox_send.send_nowait(entry)

    async def _put_and_wait(self, *entries: SizedUpdate, is_actor: bool = True) -> None:
        """Queue *entries*, and wait for the last of them to be stored."""
        if self._is_closed:
            if is_actor:
                await self._supervisor.refuse()
            await trio.sleep_forever()  # a standing task: it is cancelled when the handler is through
        for earlier in entries[:-1]:
            self._put(earlier)
        entry = entries[-1]
        entry.task = trio.lowlevel.current_task()
        entry.is_actor = is_actor
        self._waiters += 1
        self._waiting_actors += is_actor
        self._put(entry)
        await trio.lowlevel.wait_task_rescheduled(partial(self._abort, entry))

    def _abort(self, entry: SizedUpdate, _: Any) -> trio.lowlevel.Abort:
        self._forget_waiter(entry)
        return _ABORTED

    def _forget_waiter(self, entry: SizedUpdate) -> None:
        entry.task = None
        self._waiters -= 1
        self._waiting_actors -= entry.is_actor
