"""``map`` and ``parallel``: the methods of ``DurableContext`` that start many contexts at once.

Most of this file is signatures: type checkers see the type of every branch. What runs a batch is
imported with the first one: importing the SDK is part of every cold start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from durable_trio._protocol.operation import OperationType, SubType
from durable_trio._runtime import arguments
from durable_trio._runtime.bodies import default_name, refuse_generator
from durable_trio._runtime.context_base import ContextBase
from durable_trio.config import (
    CompletionConfig,
    ItemBatcher,
    MapConfig,
    NestingType,
    ParallelConfig,
    check_callable,
    check_config,
    check_plain,
    check_whole_number,
    pick,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from durable_trio._runtime.batch_items import ItemSerdes
    from durable_trio._runtime.batch_operation import BatchOptions
    from durable_trio._runtime.context import DurableContext
    from durable_trio._runtime.item_retry import Restarts
    from durable_trio._runtime.operation import Operation
    from durable_trio._runtime.parallel_options import Arm, ParallelOptions
    from durable_trio.batch import BatchResult
    from durable_trio.config import Branch
    from durable_trio.restarts import RestartIntensity
    from durable_trio.retries import RetryStrategy
    from durable_trio.serdes import SerDes


T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")
T6 = TypeVar("T6")
T7 = TypeVar("T7")
T8 = TypeVar("T8")
ItemT = TypeVar("ItemT")


class BatchMethods(ContextBase):
    """``map`` and ``parallel``."""

    __slots__ = ()

    @overload
    def map(
        self,
        items: Iterable[ItemT],
        fn: Callable[[DurableContext, ItemT, int], Awaitable[T]],
        *,
        name: str | None = ...,
        max_concurrency: int | None = ...,
        completion: CompletionConfig | None = ...,
        nesting: NestingType | None = ...,
        item_namer: Callable[[Any, int], str] | None = ...,
        item_serdes: SerDes | None = ...,
        result_type: Any = ...,
        serdes: SerDes | None = ...,
        summary: Callable[[BatchResult[T]], str] | None = ...,
        batch: None = ...,
        item_retry: RetryStrategy | None = ...,
        restart_intensity: RestartIntensity | None = ...,
        config: MapConfig | None = ...,
    ) -> Operation[BatchResult[T]]: ...

    @overload
    def map(
        self,
        items: Iterable[ItemT],
        fn: Callable[[DurableContext, list[ItemT], int], Awaitable[T]],
        *,
        name: str | None = ...,
        max_concurrency: int | None = ...,
        completion: CompletionConfig | None = ...,
        nesting: NestingType | None = ...,
        item_namer: Callable[[Any, int], str] | None = ...,
        item_serdes: SerDes | None = ...,
        result_type: Any = ...,
        serdes: SerDes | None = ...,
        summary: Callable[[BatchResult[T]], str] | None = ...,
        batch: ItemBatcher,
        item_retry: RetryStrategy | None = ...,
        restart_intensity: RestartIntensity | None = ...,
        config: MapConfig | None = ...,
    ) -> Operation[BatchResult[T]]: ...

    def map(
        self,
        items: Iterable[Any],
        fn: Callable[[DurableContext, Any, int], Awaitable[T]],
        *,
        name: str | None = None,
        max_concurrency: int | None = None,
        completion: CompletionConfig | None = None,
        nesting: NestingType | None = None,
        item_namer: Callable[[Any, int], str] | None = None,
        item_serdes: SerDes | None = None,
        result_type: Any = None,
        serdes: SerDes | None = None,
        summary: Callable[[BatchResult[T]], str] | None = None,
        batch: ItemBatcher | None = None,
        item_retry: RetryStrategy | None = None,
        restart_intensity: RestartIntensity | None = None,
        config: MapConfig | None = None,
    ) -> Operation[BatchResult[T]]:
        """Run ``fn(item_ctx, item, index)`` for every item, concurrently, each in a context of its own.

        Results come back in input order, as a ``BatchResult``; a failed item does not raise by itself. When
        the batch is decided early, the other items are cancelled at once.

        Args:
            items: what to map over; must be the same on replay.
            name: 1 to 256 printable ASCII characters; the default is the function's name.
            max_concurrency: how many items may be unfinished at a time (a suspended one counts); None for all.
            completion: when the batch is decided; by default at the first failure.
            nesting: NESTED (default) records a context per item, FLAT does not: fewer operations.
            item_namer: ``(item, index) -> name``; the default is ``map-item-<index>``.
            item_serdes: how each item's result is stored.
            result_type: what each item's result comes back as; the default is *fn*'s return annotation, as for a
                step.
            serdes: how the ``BatchResult`` as a whole is stored; the default is readable JSON made of the
                items' own payloads.
            summary: text to keep of a batch that is too big to be stored whole.
            batch: put items together: then ``fn(item_ctx, items, start_index)`` runs once per group of items,
                *item_namer* is called with a group and its start index, and what is said of items here goes
                for groups.
            item_retry: ``(error, attempt) -> delay or None``: an item that fails runs again, after a durable wait,
                in a context of its own inside the item's; *error* is what *fn* raised. It counts as failed only when
                the strategy gives up. None (default) restarts nothing.
            restart_intensity: a budget of restarts that all items share; one that is not granted stays failed.
            config: the same options as a value; keywords win.

        Raises (at once):
            ValidationError: an argument is out of range; ``min_successful`` is above the number of items.
        """
        from durable_trio._runtime.batch_items import BatchItems, ItemSerdes
        from durable_trio._runtime.batch_operation import BatchOperation

        self._node.check_use("start a map")
        check_callable("fn", fn)
        refuse_generator("fn", fn)
        config = check_config(config, MapConfig)
        groups = arguments.groups(arguments.elements(items), pick(batch, config, "batch"), self._serdes(None))
        store = self._result_store(
            fn, pick(item_serdes, config, "item_serdes"), pick(result_type, config, "result_type")
        )
        options = self._batch_options(
            config, len(groups), max_concurrency, completion, ItemSerdes.same(store), serdes, summary
        )
        restarts = self._restarts(config, item_retry, restart_intensity)

        def body(child: DurableContext, index: int) -> Awaitable[T]:
            return fn(child, groups[index][1], groups[index][0])

        group = BatchItems(
            total=len(groups),
            body=body if restarts is None else restarts.around(body, options.item_serdes),
            names=arguments.item_names(pick(item_namer, config, "item_namer"), groups),
            title="map-item",
            sub_type=SubType.MAP_ITERATION,
            is_flat=arguments.is_flat(pick(nesting, config, "nesting")),
        )
        identity = self._identity(OperationType.CONTEXT, SubType.MAP, name, default_name(fn) or "map")
        return BatchOperation(self._node, identity, group, options)

    @overload
    def parallel(
        self,
        branches: tuple[Arm[T1], Arm[T2]],
        **options: Unpack[ParallelOptions[T1 | T2]],
    ) -> Operation[BatchResult[T1 | T2]]: ...

    @overload
    def parallel(
        self,
        branches: tuple[Arm[T1], Arm[T2], Arm[T3]],
        **options: Unpack[ParallelOptions[T1 | T2 | T3]],
    ) -> Operation[BatchResult[T1 | T2 | T3]]: ...

    @overload
    def parallel(
        self,
        branches: tuple[Arm[T1], Arm[T2], Arm[T3], Arm[T4]],
        **options: Unpack[ParallelOptions[T1 | T2 | T3 | T4]],
    ) -> Operation[BatchResult[T1 | T2 | T3 | T4]]: ...

    @overload
    def parallel(
        self,
        branches: tuple[Arm[T1], Arm[T2], Arm[T3], Arm[T4], Arm[T5]],
        **options: Unpack[ParallelOptions[T1 | T2 | T3 | T4 | T5]],
    ) -> Operation[BatchResult[T1 | T2 | T3 | T4 | T5]]: ...

    @overload
    def parallel(
        self,
        branches: tuple[Arm[T1], Arm[T2], Arm[T3], Arm[T4], Arm[T5], Arm[T6]],
        **options: Unpack[ParallelOptions[T1 | T2 | T3 | T4 | T5 | T6]],
    ) -> Operation[BatchResult[T1 | T2 | T3 | T4 | T5 | T6]]: ...

    @overload
    def parallel(
        self,
        branches: tuple[Arm[T1], Arm[T2], Arm[T3], Arm[T4], Arm[T5], Arm[T6], Arm[T7]],
        **options: Unpack[ParallelOptions[T1 | T2 | T3 | T4 | T5 | T6 | T7]],
    ) -> Operation[BatchResult[T1 | T2 | T3 | T4 | T5 | T6 | T7]]: ...

    @overload
    def parallel(
        self,
        branches: tuple[Arm[T1], Arm[T2], Arm[T3], Arm[T4], Arm[T5], Arm[T6], Arm[T7], Arm[T8]],
        **options: Unpack[ParallelOptions[T1 | T2 | T3 | T4 | T5 | T6 | T7 | T8]],
    ) -> Operation[BatchResult[T1 | T2 | T3 | T4 | T5 | T6 | T7 | T8]]: ...

    @overload
    def parallel(
        self, branches: Iterable[Arm[T]], **options: Unpack[ParallelOptions[T]]
    ) -> Operation[BatchResult[T]]: ...

    @overload
    def parallel(
        self, branches: list[Arm[Any] | Branch[Any]], **options: Unpack[ParallelOptions[Any]]
    ) -> Operation[BatchResult[Any]]: ...

    def parallel(
        self,
        branches: Iterable[Callable[[DurableContext], Awaitable[Any]]],
        *,
        name: str | None = None,
        max_concurrency: int | None = None,
        completion: CompletionConfig | None = None,
        nesting: NestingType | None = None,
        item_serdes: SerDes | None = None,
        result_type: Any = None,
        serdes: SerDes | None = None,
        summary: Callable[[BatchResult[Any]], str] | None = None,
        item_retry: RetryStrategy | None = None,
        restart_intensity: RestartIntensity | None = None,
        config: ParallelConfig | None = None,
    ) -> Operation[BatchResult[Any]]:
        """Run several functions concurrently, each in a context of its own.

        A branch is a function ``fn(child_ctx)``, or ``Branch(fn, *args, name=...)``. Unnamed branches are called
        ``parallel-branch-<index>``. Everything else is as for ``map``, with branches for items.

        For type checkers: a tuple of 2 to 8 branches of different types gives a ``BatchResult`` of their union.
        """
        from durable_trio._runtime.batch_items import BatchItems, ItemSerdes
        from durable_trio._runtime.batch_operation import BatchOperation

        self._node.check_use("start a parallel")
        config = check_config(config, ParallelConfig)
        arms = arguments.branches(branches)
        given = pick(item_serdes, config, "item_serdes")
        wanted = pick(result_type, config, "result_type")
        stores = ItemSerdes([self._result_store(arm.fn, given, wanted) for arm in arms])
        options = self._batch_options(config, len(arms), max_concurrency, completion, stores, serdes, summary)
        restarts = self._restarts(config, item_retry, restart_intensity)

        def body(child: DurableContext, index: int) -> Awaitable[Any]:
            return arms[index](child)

        items = BatchItems(
            total=len(arms),
            body=body if restarts is None else restarts.around(body, stores),
            names=[arm.name for arm in arms],
            title="parallel-branch",
            sub_type=SubType.PARALLEL_BRANCH,
            is_flat=arguments.is_flat(pick(nesting, config, "nesting")),
        )
        identity = self._identity(OperationType.CONTEXT, SubType.PARALLEL, name)
        return BatchOperation(self._node, identity, items, options)

    def _restarts(
        self,
        config: MapConfig | ParallelConfig | None,
        item_retry: RetryStrategy | None,
        intensity: RestartIntensity | None,
    ) -> Restarts | None:
        retry, budget = pick(item_retry, config, "item_retry"), pick(intensity, config, "restart_intensity")
        if retry is None and budget is None:
            return None
        from durable_trio._runtime.item_retry import Restarts

        return Restarts.checked(retry, budget)

    def _batch_options(
        self,
        config: MapConfig | ParallelConfig | None,
        total: int,
        max_concurrency: int | None,
        completion: CompletionConfig | None,
        item_serdes: ItemSerdes,
        serdes: SerDes | None,
        summary: Callable[[Any], str] | None,
    ) -> BatchOptions:
        from durable_trio._runtime.batch_operation import BatchOptions

        limit = pick(max_concurrency, config, "max_concurrency")
        check_whole_number("max_concurrency", limit, at_least=1)
        summarize = pick(summary, config, "summary")
        if summarize is not None:
            check_plain("summary", summarize)
        return BatchOptions(
            max_concurrency=limit,
            completion=arguments.completion(pick(completion, config, "completion"), total),
            item_serdes=item_serdes,
            serdes=arguments.checked_serdes(pick(serdes, config, "serdes")),
            summary=summarize,
        )
