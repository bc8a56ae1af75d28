"""A map or a parallel while it runs: its items as supervised actors, until it is decided.

One actor per item, started in input order, at most ``max_concurrency`` unfinished at a time: an item that is
parked keeps its slot. After each item that ends, the completion rules say whether the batch is decided. Then
the rest is cancelled and joined at once. A loser that gets through while it is being cancelled does not
count: the items are frozen at the moment of the decision.

An item whose end is recorded needs no actor: it ends as soon as the items of its window have been started.

The end of an item starts the next one, from the task of the one that ended but with the context variables of
the batch's owner. The owner's task sleeps until the batch is decided.
"""

from __future__ import annotations

import contextvars
from collections import deque
from typing import TYPE_CHECKING

import trio

from durable_trio._protocol.batch_record import ItemRecord
from durable_trio._protocol.completion import CUSTOM_REASONS, BatchItemStatus, BatchProgress, CompletionReason
from durable_trio._runtime.cancelling import RuntimeReason
from durable_trio._runtime.failures import is_fatal
from durable_trio._runtime.supervisor import Join, Supervisor
from durable_trio.exceptions import ConfigurationError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from durable_trio._runtime.batch_items import BatchItemOperation
    from durable_trio.config import CompletionConfig


class BatchRun:
    """Runs the items of one batch until its completion rules decide it.

    ``outcomes`` has the items that ended before the decision, by index; ``started`` those that were started.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        total: int,
        make_item: Callable[[int], BatchItemOperation],
        completion: CompletionConfig,
        max_concurrency: int | None,
    ) -> None:
        self.outcomes: dict[int, BatchItemOperation] = {}
        self.started: list[int] = []
        self.decision: CompletionReason | None = None
        self._total = total
        self._make_item = make_item
        self._rules = completion.rules
        self._predicate = completion.predicate
        self._limit = total if max_concurrency is None else max_concurrency
        self._supervisor = supervisor
        self._join = Join(supervisor)
        self._failed = 0
        self._fatal: Exception | None = None
        self._nursery: trio.Nursery | None = None
        self._waiting = iter(range(total))
        self._recorded: deque[tuple[int, BatchItemOperation]] = deque()  # started, and ended long ago
        # Actors are started from the tasks of their predecessors; what they inherit is the owner's.
        self._variables = contextvars.copy_context()

    async def run(self) -> CompletionReason:
        """Run the items and return why the batch was decided.

        Raises:
            Exception: an item ended with an error that no context records as its own.
        """
        self._decide()
        if self.decision is None:
            await self._run_items()
        else:
            await trio.lowlevel.checkpoint()
        if self._fatal is not None:
            raise self._fatal
        if self.decision is None:
            raise AssertionError("a batch ended undecided")
        return self.decision

    async def run_only(self, indexes: Iterable[int]) -> None:
        """Run just the items at *indexes*: the ones that the record of a decided batch calls completed."""
        self._waiting = iter(sorted(indexes))
        self._limit = self._total
        self._rules = type(self._rules)(tolerated_failure_percentage=100)
        self._predicate = None
        await self._run_items()
        if self._fatal is not None:
            raise self._fatal

    async def _run_items(self) -> None:
        # Counted like a child while it starts the first ones, so that the join can be entered before them.
        self._join.child_started()
        with self._join:
            async with trio.open_nursery() as self._nursery:
                for _ in range(min(self._limit, self._total)):
                    self._start_next()
                await self._go_through_recorded()
                self._join.child_ended()
        if self._is_undecided:
            # Cancelled from outside: the exit of a nursery does not raise that when every child has swallowed it.
            await trio.lowlevel.checkpoint_if_cancelled()

    def _start_next(self) -> None:
        index = next(self._waiting, None)
        if index is None or self._nursery is None:
            return
        self.started.append(index)
        item = self._make_item(index)
        if item.is_recorded:
            self._recorded.append((index, item))
            return
        item.announce()
        self._join.child_started()
        self._variables.run(self._nursery.start_soon, self._be_actor, index, item)

    async def _go_through_recorded(self) -> None:
        """Let the items end that have ended in an earlier invocation, in the order in which they were started."""
        while self._recorded and self._is_undecided:
            index, item = self._recorded.popleft()
            await self._supervisor.replay_checkpoint()
            item.take_recorded()
            self._item_ended(index, item)

    async def _be_actor(self, index: int, item: BatchItemOperation) -> None:
        """Be the actor of one item, which its parent has counted."""
        try:
            await item.run()
            if self._is_undecided:
                self._item_ended(index, item)
                await self._go_through_recorded()
        except trio.Cancelled:
            # What reaches an actor's end cancels the whole nursery; its owner looks for that by itself. Ten
            # thousand of them in one group, with their tracebacks, would keep every actor's frames alive.
            pass
        finally:
            self._join.child_ended()

    @property
    def _is_undecided(self) -> bool:
        return self.decision is None and self._fatal is None

    def _item_ended(self, index: int, item: BatchItemOperation) -> None:
        error = item.error
        if error is not None and (is_fatal(error) or isinstance(error, ConfigurationError)):
            self._fatal = error
        else:
            if error is not None:
                # From now on it is a value. The frames on it would keep alive everything that ran here, and with
                # it the result that is to warn when it is dropped.
                error.__traceback__ = error.__context__ = None
            self.outcomes[index] = item
            self._failed += error is not None
            self._try_to_decide()
        if self._is_undecided:
            self._start_next()
        elif self._nursery is not None:
            # The owner is counted before the losers unwind: their end must not look like quiescence.
            self._join.decide()
            self._nursery.cancel_scope.cancel(RuntimeReason("the batch is decided"))

    def _try_to_decide(self) -> None:
        try:
            self._decide()
        except Exception as error:  # noqa: BLE001  # the user's predicate failed: carried over to the owner
            self._fatal = error

    def _decide(self) -> None:
        custom = None
        if self._predicate is not None:
            custom = self._predicate(self._progress())
            if custom is not None and custom not in CUSTOM_REASONS:
                raise ValidationError(
                    "a completion predicate must return None, CompletionReason.CUSTOM_COMPLETION_SUCCEEDED or"
                    f" CompletionReason.CUSTOM_COMPLETION_FAILED, not {custom!r}"
                )
        self.decision = self._rules.decide(
            succeeded=len(self.outcomes) - self._failed, failed=self._failed, total=self._total, custom=custom
        )

    def _progress(self) -> BatchProgress:
        statuses: list[BatchItemStatus | None] = [None] * self._total
        for index in self.started:
            statuses[index] = BatchItemStatus.STARTED
        for index, item in self.outcomes.items():
            statuses[index] = BatchItemStatus.SUCCEEDED if item.error is None else BatchItemStatus.FAILED
        return BatchProgress(
            success_count=len(self.outcomes) - self._failed,
            failure_count=self._failed,
            started_count=len(self.started) - len(self.outcomes),
            total_count=self._total,
            statuses=tuple(statuses),
        )

    # --- the outcome --------------------------------------------------------------------------------------

    def item_record(self, index: int, name: str | None) -> ItemRecord:
        """Return what is recorded of a started item."""
        item = self.outcomes.get(index)
        if item is None:
            return ItemRecord(index, BatchItemStatus.STARTED, name=name)
        if item.error is None:
            return ItemRecord(index, BatchItemStatus.SUCCEEDED, payload=item.payload, name=name)
        return ItemRecord(index, BatchItemStatus.FAILED, error=item.recorded_failure, name=name)
