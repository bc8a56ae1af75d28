"""``ctx.map`` and ``ctx.parallel`` as operations: what is recorded of a batch, and how it comes back.

*What was decided is recorded before anybody sees it*: which items had succeeded or failed, which were still
running, and why it ended. Replay obeys the record, never the order of arrival. So the end of a batch is
committed, not only queued.

The record holds every item's payload, because the service leaves the children of a finished context out of
the state. A record over 262,144 bytes is replaced by the bare verdict, and the context is closed with
``ReplayChildren``: on replay the completed items come back from their own records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import trio

from durable_trio._protocol.batch_record import (
    BatchRecord,
    ItemRecord,
    decode_batch,
    decode_verdict,
    encode_aws_batch,
    encode_batch,
    encode_verdict,
)
from durable_trio._protocol.batching import is_result_stored
from durable_trio._protocol.completion import BatchItemStatus, CompletionReason
from durable_trio._protocol.operation import (
    ContextOptions,
    ErrorObject,
    OperationAction,
    SubType,
)
from durable_trio._protocol.replay import (
    Begin,
    Identity,
    RaiseRecorded,
    Replay,
    ReplayChildren,
    decide_context,
)
from durable_trio._protocol.value_class import frozen_dataclass as dataclass
from durable_trio._protocol.wire import WireError
from durable_trio._runtime.batch_run import BatchRun
from durable_trio._runtime.child import summary_text
from durable_trio._runtime.failures import error_object, is_fatal, recorded_error
from durable_trio._runtime.node import ContextNode
from durable_trio._runtime.operation import Operation
from durable_trio.batch import BatchItem, BatchResult
from durable_trio.exceptions import (
    ChildContextError,
    ConfigurationError,
    NonDeterministicExecutionError,
    SerDesError,
)
from durable_trio.serdes import SerdesContext
from durable_trio.serdes.base import writes_like_aws

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._protocol.operation import OperationUpdate
    from durable_trio._runtime.batch_items import BatchItemOperation, BatchItems, ItemSerdes
    from durable_trio._runtime.writer import SizedUpdate
    from durable_trio.config import CompletionConfig
    from durable_trio.serdes import SerDes

T = TypeVar("T")

# Looking a member up in its class takes ten times as long before Python 3.12.
_SUCCEEDED, _FAILED, _STARTED = BatchItemStatus.SUCCEEDED, BatchItemStatus.FAILED, BatchItemStatus.STARTED

_CHANGED: Final = "if its serdes was changed since the execution began, change it back and deploy the change as a new version"


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How a batch runs and is stored."""

    max_concurrency: int | None
    completion: CompletionConfig
    item_serdes: ItemSerdes
    serdes: SerDes | None
    summary: Callable[[Any], str] | None


class BatchOperation(Operation[BatchResult[T]]):
    """A map or a parallel."""

    __slots__ = ("_has_outcome", "_items", "_items_node", "_options")

    def __init__(
        self, node: ContextNode, identity: Identity, items: BatchItems, options: BatchOptions
    ) -> None:
        super().__init__(node, identity)
        self._items = items
        self._options = options
        self._items_node: ContextNode | None = None
        self._has_outcome = False

    @property
    def is_ending(self) -> bool:
        """Whether its end is recorded, or on its way to the service."""
        return self._has_outcome or super().is_ending

    @property
    def kind(self) -> str:  # type: ignore[override]  # the same class serves both
        """What to call it in messages."""
        return "map" if self._items.sub_type is SubType.MAP_ITERATION else "parallel"

    async def _execute(self) -> BatchResult[T]:
        record = self.recorded()
        match decide_context(record):
            case Replay(payload):
                await trio.lowlevel.checkpoint()
                return self._watched(self._decoded(payload))
            case RaiseRecorded(_, error):
                await trio.lowlevel.checkpoint()
                raise recorded_error(error, ChildContextError, self._identity)
            case ReplayChildren(payload):
                return self._watched(await self._replay_children(payload))
            case Begin(must_start):
                self._node.entering(record)
                if must_start:
                    await self.invocation.writer.record(self.update(OperationAction.START))
                return self._watched(await self._run())

    async def _run(self) -> BatchResult[T]:
        try:
            result, payload, succeed = await self._run_items()
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever keeps the batch from being recorded
            await self._fail(error)
        await self._record_end(succeed)
        return result if payload is None else self._decoded(payload)

    async def _run_items(self) -> tuple[BatchResult[T], str | None, SizedUpdate]:
        """Run the items; return the batch, its payload if that is the user's serializer's, and its end."""
        run = self._new_run(is_past=False)
        reason = await run.run()
        batch = BatchRecord(self._item_records(run), reason)
        result = self._live_result(run, reason)
        payload, replay_children = self._encoded(batch, result)
        succeed = self.invocation.writer.sized(
            self.update(
                OperationAction.SUCCEED,
                payload=payload,
                options=ContextOptions(replay_children=replay_children),
            )
        )
        return result, None if self._options.serdes is None or replay_children else payload, succeed

    async def _fail(self, error: Exception) -> NoReturn:
        if is_fatal(error):
            self.invocation.fail(error)
        recorded = error_object(error)
        await self._record_end(self.update(OperationAction.FAIL, error=recorded))
        raise recorded_error(recorded, ChildContextError, self._identity) from None

    async def _record_end(self, end: OperationUpdate | SizedUpdate) -> None:
        self._has_outcome = True
        with self.invocation.supervisor.ending(self):
            await self.invocation.writer.commit(end)

    async def _replay_children(self, payload: str | None) -> BatchResult[T]:
        try:
            verdict = decode_verdict(payload or "")
        except WireError as problem:
            raise SerDesError(f"cannot replay {self.title}: {problem}; {_CHANGED}") from problem
        run = self._new_run(is_past=True)
        await run.run_only(verdict.completed)
        run.started = sorted(verdict.completed | verdict.started)
        return self._live_result(run, verdict.completion_reason)

    def _new_run(self, *, is_past: bool) -> BatchRun:
        self._items_node = ContextNode(
            self.invocation, prefix=self.id, parent_id=self.id, parent=self._node, is_past=is_past
        )
        return BatchRun(
            self.invocation.supervisor,
            total=self._items.total,
            make_item=self._make_item,
            completion=self._options.completion,
            max_concurrency=self._options.max_concurrency,
        )

    def _make_item(self, index: int) -> BatchItemOperation:
        return self._items.make(
            self._items_node or self._node, self.id, index, self._options.item_serdes.of(index)
        )

    # --- the record ---------------------------------------------------------------------------------------

    def _item_records(self, run: BatchRun) -> tuple[ItemRecord, ...]:
        return tuple(
            run.item_record(index, self._items.explicit_name(index)) for index in sorted(run.started)
        )

    def _encoded(self, batch: BatchRecord, result: BatchResult[T]) -> tuple[str, bool]:
        """Return the payload, and whether the items have to be replayed from their own records."""
        if self._options.serdes is not None:
            text = self.encode(self._options.serdes, result)
        elif self._is_shared_with_aws(batch):
            text = encode_aws_batch(batch)
        else:
            text = encode_batch(batch, payloads_are_json=self._options.item_serdes.is_json)
        if is_result_stored(text):
            return text, False
        summary = summary_text(self._options.summary, result)
        return encode_verdict(self.kind.title(), batch.items, batch.completion_reason, summary), True

    def _is_shared_with_aws(self, batch: BatchRecord) -> bool:
        """Tell whether the record is one that AWS's Python SDK must be able to read."""
        if not batch.items:
            return writes_like_aws(self.invocation.options.serdes)
        return all(writes_like_aws(self._options.item_serdes.of(item.index)) for item in batch.items)

    def _decoded(self, payload: str | None) -> BatchResult[T]:
        if self._options.serdes is not None:
            result = self.decode(self._options.serdes, payload or "")
            if not isinstance(result, BatchResult):
                raise SerDesError(
                    f"the serdes of {self.title} must deserialize to a BatchResult, not {type(result).__name__}"
                )
            return result
        try:
            return self._recorded_result(decode_batch(payload or ""))
        except WireError as problem:
            raise SerDesError(f"cannot replay {self.title}: {problem}; {_CHANGED}") from problem

    def _live_result(self, run: BatchRun, reason: CompletionReason) -> BatchResult[T]:
        """Build the result from items that have just run; each has its decoded copy already."""
        items: list[BatchItem[T]] = []
        for index in sorted(run.started):
            item, name = run.outcomes.get(index), self._items.name(index)
            if item is None:
                items.append(BatchItem(index, _STARTED, name=name))
            elif item.error is not None:
                items.append(BatchItem(index, _FAILED, error=item.error, name=name))
            else:
                items.append(BatchItem(index, _SUCCEEDED, result=item.value, name=name))
        return BatchResult(items, reason)

    def _recorded_result(self, batch: BatchRecord) -> BatchResult[T]:
        """Build the result from the record; equal to what the first run gave."""
        if batch.items and batch.items[-1].index >= self._items.total:
            self.invocation.fail(
                NonDeterministicExecutionError(
                    f"{self.title} has {self._items.total} items now, but item {batch.items[-1].index} is recorded:"
                    " its input depends on something that is not recorded"
                )
            )
        return BatchResult([self._recorded_item(item) for item in batch.items], batch.completion_reason)

    def _recorded_item(self, item: ItemRecord) -> BatchItem[T]:
        identity = self._items.identity(self.id, item.index)
        name = item.name if item.name is not None else identity.name
        match item.status:
            case BatchItemStatus.SUCCEEDED:
                result = (
                    None if item.payload is None else self._item_value(item.index, item.payload, identity)
                )
                return BatchItem(item.index, item.status, result=result, name=name)
            case BatchItemStatus.FAILED:
                error = recorded_error(item.error or ErrorObject(), ChildContextError, identity)
                return BatchItem(item.index, item.status, error=error, name=name)
            case BatchItemStatus.STARTED:
                return BatchItem(item.index, item.status, name=name)

    def _item_value(self, index: int, payload: str, identity: Identity) -> T:
        context = SerdesContext(identity.id, self.invocation.state.durable_execution_arn, identity.name)
        value: T = self.decode(self._options.item_serdes.of(index), payload, context)
        return value

    def _watched(self, result: BatchResult[T]) -> BatchResult[T]:
        # Not ``self``: it keeps the result, which then would never be dropped.
        invocation = self.invocation
        result.warn_if_ignored(lambda: invocation.is_closing)
        return result
