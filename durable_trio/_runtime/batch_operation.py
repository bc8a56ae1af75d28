"""``ctx.map`` as an operation: what is recorded of a batch, and how it comes back.

*What was decided is recorded before anybody sees it*: which items had succeeded or failed, which were still
running, and why it ended. Replay obeys the record, never the order of arrival. So the end of a batch is
committed, not only queued.

The record holds every item's payload, because the service leaves the children of a finished context out of
the state. A record over 262,144 bytes is replaced by the bare verdict, and the context is closed with
``ReplayChildren``: on replay the completed items come back from their own records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import trio

from durable_trio._protocol import limits
from durable_trio._protocol.batch_record import (
    BatchRecord,
    ItemRecord,
    decode_batch,
    decode_verdict,
    encode_batch,
    encode_verdict,
)
from durable_trio._protocol.completion import BatchItemStatus, CompletionReason
from durable_trio._protocol.ids import operation_id
from durable_trio._protocol.operation import (
    ContextOptions,
    ErrorObject,
    OperationAction,
    OperationType,
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
from durable_trio._protocol.wire import WireError
from durable_trio._runtime.batch_run import BatchItemContext, BatchRun
from durable_trio._runtime.failures import error_object, is_fatal, recorded_error
from durable_trio._runtime.node import ContextNode
from durable_trio._runtime.operation import Operation
from durable_trio.batch import BatchItem, BatchResult
from durable_trio.exceptions import ChildContextError, NonDeterministicExecutionError, SerDesError
from durable_trio.serdes import SerdesContext

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio.config import CompletionConfig
    from durable_trio.serdes import SerDes

T = TypeVar("T")


class BatchItems(Generic[T]):
    """What the items of a batch are: how many, what they are called, what runs for each."""

    __slots__ = ("body", "names", "sub_type", "title", "total")

    def __init__(
        self,
        *,
        total: int,
        body: Callable[..., Any],
        names: list[str] | None,
        title: str,
        sub_type: SubType,
    ) -> None:
        self.total = total
        self.body = body  # called with the item's context and its index
        self.names = names
        self.title = title
        self.sub_type = sub_type

    def name(self, index: int) -> str:
        """Return the name of the item at *index*."""
        return f"{self.title}-{index}" if self.names is None else self.names[index]

    def identity(self, batch_id: str, index: int) -> Identity:
        """Return the identity of the item at *index*."""
        return Identity(
            id=operation_id(batch_id, index),
            type=OperationType.CONTEXT,
            sub_type=self.sub_type,
            name=self.name(index),
            parent_id=batch_id,
            is_default_name=self.names is None,
        )


class BatchOperation(Operation[BatchResult[T]]):
    """A map or a parallel."""

    __slots__ = (
        "_completion",
        "_item_serdes",
        "_items",
        "_items_node",
        "_max_concurrency",
        "_payloads_are_json",
        "_serdes",
        "_summary",
    )

    kind: ClassVar[str] = "map"

    def __init__(
        self,
        node: ContextNode,
        identity: Identity,
        items: BatchItems[T],
        *,
        max_concurrency: int | None,
        completion: CompletionConfig,
        item_serdes: SerDes,
        payloads_are_json: bool,
        serdes: SerDes | None,
        summary: Callable[[BatchResult[T]], str] | None,
    ) -> None:
        super().__init__(node, identity)
        self._items = items
        self._max_concurrency = max_concurrency
        self._completion = completion
        self._item_serdes = item_serdes
        self._payloads_are_json = payloads_are_json
        self._serdes = serdes
        self._summary = summary
        self._items_node: ContextNode | None = None

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
                    self._invocation.writer.record_soon(self.update(OperationAction.START))
                try:
                    return self._watched(await self._run())
                except Exception as error:  # noqa: BLE001  # whatever keeps the batch from being recorded
                    await self._fail(error)
                    raise AssertionError("unreachable: _fail raises") from None

    async def _run(self) -> BatchResult[T]:
        run = self._new_run(is_past=False)
        reason = await run.run()
        batch = BatchRecord(self._item_records(run), reason)
        result = self._live_result(run, reason)
        payload, replay_children = self._encoded(batch, result)
        succeed = self._invocation.writer.sized(
            self.update(
                OperationAction.SUCCEED,
                payload=payload,
                options=ContextOptions(replay_children=replay_children),
            )
        )
        await self._invocation.writer.commit(succeed)
        return result

    async def _fail(self, error: Exception) -> None:
        if is_fatal(error):
            self._invocation.fail(error)
        recorded = error_object(error)
        await self._invocation.writer.commit(self.update(OperationAction.FAIL, error=recorded))
        raise recorded_error(recorded, ChildContextError, self._identity) from None

    async def _replay_children(self, payload: str | None) -> BatchResult[T]:
        try:
            verdict = decode_verdict(payload or "")
        except WireError as problem:
            raise SerDesError(f"cannot replay {self.title}: {problem}") from problem
        run = self._new_run(is_past=True)
        await run.run_only(verdict.completed)
        run.started = sorted(verdict.completed | verdict.started)
        return self._live_result(run, verdict.completion_reason)

    def _new_run(self, *, is_past: bool) -> BatchRun:
        self._items_node = ContextNode(
            self._invocation, prefix=self.id, parent_id=self.id, parent=self._node, is_past=is_past
        )
        return BatchRun(
            self._invocation.supervisor,
            total=self._items.total,
            make_item=self._make_item,
            completion=self._completion,
            max_concurrency=self._max_concurrency,
        )

    def _make_item(self, index: int) -> BatchItemContext:
        node = self._items_node or self._node
        identity = self._items.identity(self.id, index)
        return BatchItemContext(node, identity, self._items.body, (index,), serdes=self._item_serdes)

    # --- the record ---------------------------------------------------------------------------------------

    def _item_records(self, run: BatchRun) -> tuple[ItemRecord, ...]:
        names = self._items.names
        return tuple(
            run.item_record(index, None if names is None else names[index]) for index in sorted(run.started)
        )

    def _encoded(self, batch: BatchRecord, result: BatchResult[T]) -> tuple[str, bool]:
        """Return the payload, and whether the items have to be replayed from their own records."""
        if self._serdes is not None:
            text = self._serdes.serialize(result, self.serdes_context)
        else:
            text = encode_batch(batch, payloads_are_json=self._payloads_are_json)
        if len(text.encode()) <= limits.MAX_CONTEXT_RESULT_BYTES:
            return text, False
        summary = self._summary(result) if self._summary is not None else None
        kind = "Map" if self._items.sub_type is SubType.MAP_ITERATION else "Parallel"
        return encode_verdict(kind, batch.items, batch.completion_reason, summary), True

    def _decoded(self, payload: str | None) -> BatchResult[T]:
        if self._serdes is not None:
            result: BatchResult[T] = self._serdes.deserialize(payload or "", self.serdes_context)
            return result
        try:
            return self._recorded_result(decode_batch(payload or ""))
        except WireError as problem:
            raise SerDesError(f"cannot replay {self.title}: {problem}") from problem

    def _live_result(self, run: BatchRun, reason: CompletionReason) -> BatchResult[T]:
        """Build the result from items that have just run; each has its decoded copy already."""
        items: list[BatchItem[T]] = []
        for index in sorted(run.started):
            item, name = run.outcomes.get(index), self._items.name(index)
            if item is None:
                items.append(BatchItem(index, BatchItemStatus.STARTED, name=name))
            elif item.error is not None:
                items.append(BatchItem(index, BatchItemStatus.FAILED, error=item.error, name=name))
            else:
                items.append(BatchItem(index, BatchItemStatus.SUCCEEDED, result=item.value, name=name))
        return BatchResult(items, reason)

    def _recorded_result(self, batch: BatchRecord) -> BatchResult[T]:
        """Build the result from the record; equal to what the first run gave."""
        if batch.items and batch.items[-1].index >= self._items.total:
            self._invocation.fail(
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
                result = None if item.payload is None else self._item_value(item.payload, identity)
                return BatchItem(item.index, item.status, result=result, name=name)
            case BatchItemStatus.FAILED:
                error = recorded_error(item.error or ErrorObject(), ChildContextError, identity)
                return BatchItem(item.index, item.status, error=error, name=name)
            case BatchItemStatus.STARTED:
                return BatchItem(item.index, item.status, name=name)

    def _item_value(self, payload: str, identity: Identity) -> T:
        context = SerdesContext(identity.id, self._invocation.state.durable_execution_arn, identity.name)
        value: T = self._item_serdes.deserialize(payload, context)
        return value

    def _watched(self, result: BatchResult[T]) -> BatchResult[T]:
        result.warn_if_ignored(lambda: self._invocation.is_closing)
        return result
