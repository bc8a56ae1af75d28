"""``DurableContext``: what the user's code holds.

A thin, typed face over a ``ContextNode``: each method checks that it may be called here, checks its arguments,
takes an id and returns an ``Operation``. Nothing runs, and nothing is recorded, before the operation is
awaited or given to a combinator.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, TypeVarTuple, Unpack, overload

from durable_trio._protocol import limits
from durable_trio._protocol.envelope import Failed, Succeeded
from durable_trio._protocol.operation import ChainedInvokeOptions, OperationType, SubType
from durable_trio._protocol.replay import Identity
from durable_trio._runtime import arguments
from durable_trio._runtime.batch_items import BatchItems, ItemSerdes
from durable_trio._runtime.batch_operation import BatchOperation, BatchOptions
from durable_trio._runtime.bodies import default_name, is_async_function, refuse_generator
from durable_trio._runtime.callback import Callback, CreateCallback, WaitForCallback
from durable_trio._runtime.child import ChildContext, VirtualContext
from durable_trio._runtime.combinators import AllOperation
from durable_trio._runtime.condition import ConditionOperation
from durable_trio._runtime.failures import error_object
from durable_trio._runtime.invoke import InvokeOperation
from durable_trio._runtime.safe_values import safe_random, safe_uuid
from durable_trio._runtime.step import StepOperation
from durable_trio._runtime.typed import result_serdes, type_serdes
from durable_trio._runtime.wait import WaitOperation
from durable_trio.conditions import strategy_of
from durable_trio.config import (
    AnyDuration,
    CallbackConfig,
    ChildConfig,
    CompletionConfig,
    InvokeConfig,
    ItemBatcher,
    MapConfig,
    NestingType,
    ParallelConfig,
    StepConfig,
    StepSemantics,
    WaitForCallbackConfig,
    WaitForConditionConfig,
    check_callable,
    check_config,
    check_name,
    check_whole_number,
    pick,
    whole_seconds,
)
from durable_trio.exceptions import ValidationError
from durable_trio.serdes import SerDes, plain_json

if TYPE_CHECKING:
    import random
    import uuid
    from collections.abc import Awaitable, Callable, Iterable

    from durable_trio._runtime.node import ContextNode
    from durable_trio._runtime.operation import Operation
    from durable_trio._runtime.parallel_options import Arm, ParallelOptions
    from durable_trio.batch import BatchResult
    from durable_trio.conditions import WaitStrategy
    from durable_trio.config import Branch
    from durable_trio.retries import RetryStrategy

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
Args = TypeVarTuple("Args")


class DurableContext:
    """The context of a durable handler, of a child context, or of a map's item.

    Use it only in the function it was passed to, and only from the task that runs that function.
    """

    __slots__ = ("_logger", "_node")

    def __init__(self, node: ContextNode) -> None:
        self._node = node
        self._logger: Any = None

    def __repr__(self) -> str:
        return f"<DurableContext {self._node.prefix or 'root'} of {self.execution_arn}>"

    # --- steps --------------------------------------------------------------------------------------------

    @overload
    def step(
        self,
        fn: Callable[[*Args], Awaitable[T]],
        *args: *Args,
        name: str | None = ...,
        retry: RetryStrategy | None = ...,
        semantics: StepSemantics | None = ...,
        timeout: AnyDuration | None = ...,
        serdes: SerDes | None = ...,
        result_type: Any = ...,
        sub_type: str | None = ...,
        config: StepConfig | None = ...,
    ) -> Operation[T]: ...

    @overload
    def step(
        self,
        fn: Callable[[*Args], T],
        *args: *Args,
        name: str | None = ...,
        retry: RetryStrategy | None = ...,
        semantics: StepSemantics | None = ...,
        timeout: AnyDuration | None = ...,
        serdes: SerDes | None = ...,
        result_type: Any = ...,
        sub_type: str | None = ...,
        config: StepConfig | None = ...,
    ) -> Operation[T]: ...

    def step(
        self,
        fn: Callable[[*Args], Any],
        *args: *Args,
        name: str | None = None,
        retry: RetryStrategy | None = None,
        semantics: StepSemantics | None = None,
        timeout: AnyDuration | None = None,
        serdes: SerDes | None = None,
        result_type: Any = None,
        sub_type: str | None = None,
        config: StepConfig | None = None,
    ) -> Operation[Any]:
        """Run ``fn(*args)`` once and record its result.

        An async *fn* runs in this task, a plain one in a worker thread. What comes back is the decoded copy of
        what was stored. On replay a finished step gives its recorded result without running.

        Args:
            name: 1 to 256 printable ASCII characters; the default is the function's name.
            retry: ``(error, attempt) -> delay or None``; the default is ``RetryPresets.default()``.
            semantics: at-least-once (default) or at-most-once per attempt.
            timeout: cancels an async body; ``StepTimeoutError`` then goes to *retry*.
            serdes: how the result is stored; the default is the handler's, which is JSON.
            result_type: what the result comes back as; the default is *fn*'s return annotation, if it can be
                converted to and no serializer of yours is in its way (see docs/data.md).
            sub_type: recorded as the operation's subtype; the default is ``Step``.
            config: the same options as a value; keywords win.

        Raises (when awaited):
            StepError: the body failed and *retry* gave up.
            ValidationError (at once): an argument is out of range.
            ConfigurationError (at once): nothing can be converted to *result_type*.

        If cancelled, a running async body is cancelled, and its attempt has no recorded end.
        """
        self._node.check_use("start a step")
        check_callable("fn", fn)
        refuse_generator("fn", fn)
        config = check_config(config, StepConfig)
        limit = pick(timeout, config, "timeout")
        if limit is not None and not is_async_function(fn):
            raise ValidationError(
                f"timeout cannot be given for a plain function, since its thread cannot be stopped: {fn!r}."
                " Make it async, or limit the time of what it calls."
            )
        timeout_seconds = None if limit is None else arguments.timeout(limit)
        strategy = arguments.strategy(pick(retry, config, "retry"))
        at_most_once = arguments.semantics(pick(semantics, config, "semantics"))
        store = self._result_store(
            fn, pick(serdes, config, "serdes"), pick(result_type, config, "result_type")
        )
        kind = arguments.sub_type(sub_type) or SubType.STEP
        return StepOperation(
            self._node,
            self._identity(OperationType.STEP, kind, name, default_name(fn)),
            fn,
            args,
            retry=strategy,
            at_most_once=at_most_once,
            timeout_seconds=timeout_seconds,
            serdes=store,
        )

    # --- waiting ------------------------------------------------------------------------------------------

    def wait(self, duration: AnyDuration, *, name: str | None = None) -> Operation[None]:
        """Wait for *duration* (1 second to 366 days, fractions rounded up) without using the function's time.

        The time runs at the service, across suspensions. A wait that was cancelled returns normally.

        Raises (at once):
            TypeError: *duration* is a bare number.
            ValidationError: it is out of range.
        """
        self._node.check_use("start a wait")
        seconds = whole_seconds(
            "duration", duration, at_least=limits.MIN_DELAY_SECONDS, at_most=limits.MAX_DELAY_SECONDS
        )
        return WaitOperation(self._node, self._identity(OperationType.WAIT, SubType.WAIT, name), seconds)

    @overload
    def create_callback(
        self,
        *,
        name: str | None = ...,
        timeout: AnyDuration | None = ...,
        heartbeat_timeout: AnyDuration | None = ...,
        serdes: SerDes | None = ...,
        result_type: type[T],
        config: CallbackConfig | None = ...,
    ) -> Operation[Callback[T]]: ...

    @overload
    def create_callback(
        self,
        *,
        name: str | None = ...,
        timeout: AnyDuration | None = ...,
        heartbeat_timeout: AnyDuration | None = ...,
        serdes: SerDes | None = ...,
        result_type: Any = ...,
        config: CallbackConfig | None = ...,
    ) -> Operation[Callback[Any]]: ...

    def create_callback(
        self,
        *,
        name: str | None = None,
        timeout: AnyDuration | None = None,
        heartbeat_timeout: AnyDuration | None = None,
        serdes: SerDes | None = None,
        result_type: Any = None,
        config: CallbackConfig | None = None,
    ) -> Operation[Callback[Any]]:
        """Create a callback that the outside world answers; await ``callback.result()`` for the answer.

        Args:
            name: 1 to 256 printable ASCII characters; none by default.
            timeout: how long it may stay open in all; None for ever.
            heartbeat_timeout: how long it may go without a heartbeat; None for ever.
            serdes: decodes the answer; without it and *result_type* the result is the raw text.
            result_type: what the answer, which is JSON then, comes back as.
            config: the same options as a value; keywords win.

        Raises (at once):
            ConfigurationError: nothing can be converted to *result_type*.
        """
        self._node.check_use("create a callback")
        config = check_config(config, CallbackConfig)
        options = arguments.callback_options(
            pick(timeout, config, "timeout"), pick(heartbeat_timeout, config, "heartbeat_timeout")
        )
        decode = self._answer_serdes(pick(serdes, config, "serdes"), pick(result_type, config, "result_type"))
        identity = self._identity(OperationType.CALLBACK, SubType.CALLBACK, name)
        return CreateCallback(self._node, identity, options, decode)

    @overload
    def wait_for_callback(
        self,
        submitter: Callable[[str, *Args], Any],
        *args: *Args,
        name: str | None = ...,
        timeout: AnyDuration | None = ...,
        heartbeat_timeout: AnyDuration | None = ...,
        retry: RetryStrategy | None = ...,
        serdes: SerDes | None = ...,
        result_type: type[T],
        config: WaitForCallbackConfig | None = ...,
    ) -> Operation[T]: ...

    @overload
    def wait_for_callback(
        self,
        submitter: Callable[[str, *Args], Any],
        *args: *Args,
        name: str | None = ...,
        timeout: AnyDuration | None = ...,
        heartbeat_timeout: AnyDuration | None = ...,
        retry: RetryStrategy | None = ...,
        serdes: SerDes | None = ...,
        result_type: Any = ...,
        config: WaitForCallbackConfig | None = ...,
    ) -> Operation[Any]: ...

    def wait_for_callback(
        self,
        submitter: Callable[[str, *Args], Any],
        *args: *Args,
        name: str | None = None,
        timeout: AnyDuration | None = None,
        heartbeat_timeout: AnyDuration | None = None,
        retry: RetryStrategy | None = None,
        serdes: SerDes | None = None,
        result_type: Any = None,
        config: WaitForCallbackConfig | None = None,
    ) -> Operation[Any]:
        """Hand a new callback's id to the outside world, and wait for the answer.

        ``submitter(callback_id, *args)`` runs as a step, with *retry*; once that step is recorded, nobody is
        notified again. The other options are those of ``create_callback``.

        Raises (when awaited):
            CallbackSubmitterError: the submitter failed and *retry* gave up.
            CallbackExternalError, CallbackTimeoutError, CallbackError: as ``callback.result()``.
        """
        self._node.check_use("wait for a callback")
        check_callable("submitter", submitter)
        refuse_generator("submitter", submitter)
        config = check_config(config, WaitForCallbackConfig)
        given = check_name(name)
        title = given or default_name(submitter)
        timeout = pick(timeout, config, "timeout")
        heartbeat_timeout = pick(heartbeat_timeout, config, "heartbeat_timeout")
        arguments.callback_options(timeout, heartbeat_timeout)
        strategy = arguments.strategy(pick(retry, config, "retry"))
        decode = self._answer_serdes(pick(serdes, config, "serdes"), pick(result_type, config, "result_type"))

        async def body(child: DurableContext) -> Any:
            callback = await child.create_callback(
                name=arguments.derived_name(title, "create callback id"),
                timeout=timeout,
                heartbeat_timeout=heartbeat_timeout,
            )
            await child.step(
                submitter,
                callback.callback_id,
                *args,
                name=arguments.derived_name(title, "submitter"),
                retry=strategy,
            )
            return await callback.result()

        identity = self._identity(OperationType.CONTEXT, SubType.WAIT_FOR_CALLBACK, given, title)
        return WaitForCallback(self._node, identity, body, serdes=self._serdes(None), answer_serdes=decode)

    # --- contexts -----------------------------------------------------------------------------------------

    def wait_for_condition(
        self,
        check: Callable[[T, *Args], Awaitable[T] | T],
        *args: *Args,
        initial_state: T,
        until: Callable[[T], bool] | None = None,
        wait_strategy: WaitStrategy | None = None,
        interval: AnyDuration | None = None,
        name: str | None = None,
        serdes: SerDes | None = None,
        result_type: Any = None,
        config: WaitForConditionConfig | None = None,
    ) -> Operation[T]:
        """Call ``check(state, *args)`` again and again, suspended in between, until a condition is met.

        Each call gets the state that the last one returned, from *initial_state* on; the last state is the
        result. A call that raises fails the operation: it is not retried.

        Args:
            check: async, or plain (then in a worker thread); returns the new state.
            initial_state: what the first call gets.
            until: whether a state meets the condition.
            wait_strategy: ``(state, attempt) -> WaitDecision | delay | None``: stop, look again later, or give
                up. The default with *until* is 60 attempts, 5 s growing by half to 5 minutes, full jitter.
            interval: a fixed delay, instead of *wait_strategy*.
            name: 1 to 256 printable ASCII characters; the default is the function's name.
            serdes: how states are stored.
            result_type: what states come back as, *initial_state* too; the default is *check*'s return annotation,
                as for a step.
            config: the same options as a value; keywords win.

        Raises (when awaited):
            WaitForConditionError: *check* failed, or the strategy gave up.
        """
        self._node.check_use("wait for a condition")
        check_callable("check", check)
        refuse_generator("check", check)
        config = check_config(config, WaitForConditionConfig)
        met = pick(until, config, "until")
        strategy = pick(wait_strategy, config, "wait_strategy")
        for argument, value in (("until", met), ("wait_strategy", strategy)):
            if value is not None:
                check_callable(argument, value)
        decide = strategy_of(met, strategy, pick(interval, config, "interval"))
        store = self._result_store(
            check, pick(serdes, config, "serdes"), pick(result_type, config, "result_type")
        )
        title = default_name(check)
        return ConditionOperation(
            self._node,
            self._identity(OperationType.STEP, SubType.WAIT_FOR_CONDITION, name, title),
            check,
            args,
            initial_state=initial_state,
            strategy=decide,
            serdes=store,
        )

    @overload
    def invoke(
        self,
        function_name: str,
        payload: Any = ...,
        *,
        name: str | None = ...,
        tenant_id: str | None = ...,
        payload_serdes: SerDes | None = ...,
        result_serdes: SerDes | None = ...,
        result_type: type[T],
        config: InvokeConfig | None = ...,
    ) -> Operation[T]: ...

    @overload
    def invoke(
        self,
        function_name: str,
        payload: Any = ...,
        *,
        name: str | None = ...,
        tenant_id: str | None = ...,
        payload_serdes: SerDes | None = ...,
        result_serdes: SerDes | None = ...,
        result_type: Any = ...,
        config: InvokeConfig | None = ...,
    ) -> Operation[Any]: ...

    def invoke(
        self,
        function_name: str,
        payload: Any = None,
        *,
        name: str | None = None,
        tenant_id: str | None = None,
        payload_serdes: SerDes | None = None,
        result_serdes: SerDes | None = None,
        result_type: Any = None,
        config: InvokeConfig | None = None,
    ) -> Operation[Any]:
        """Have the service call another function, durable or not, and wait for its answer.

        Args:
            function_name: its name or ARN, 1 to 256 characters; a durable function wants a qualifier.
            payload: its input; plain JSON unless *payload_serdes* is given.
            name: 1 to 256 printable ASCII characters; none by default.
            tenant_id: for a function with tenant isolation, 1 to 256 characters.
            payload_serdes: how the input is written.
            result_serdes: how the answer is read; plain JSON by default.
            result_type: what the answer comes back as.
            config: the same options as a value; keywords win.

        Raises (when awaited):
            InvokeError: the function failed, timed out or was stopped; carries its error.
            ConfigurationError (at once): nothing can be converted to *result_type*.
        """
        self._node.check_use("invoke a function")
        config = check_config(config, InvokeConfig)
        tenant = pick(tenant_id, config, "tenant_id")
        options = ChainedInvokeOptions(
            function_name=arguments.text("function_name", function_name),
            tenant_id=None if tenant is None else arguments.text("tenant_id", tenant),
        )
        write = arguments.checked_serdes(pick(payload_serdes, config, "payload_serdes"))
        read = self._answer_serdes(
            pick(result_serdes, config, "result_serdes"), pick(result_type, config, "result_type")
        )
        return InvokeOperation(
            self._node,
            self._identity(OperationType.CHAINED_INVOKE, SubType.CHAINED_INVOKE, name),
            options,
            payload,
            payload_serdes=write or plain_json,
            result_serdes=read or plain_json,
        )

    def run_in_child_context(
        self,
        fn: Callable[[DurableContext, *Args], Awaitable[T]],
        *args: *Args,
        name: str | None = None,
        virtual: bool | None = None,
        summary: Callable[[T], str] | None = None,
        serdes: SerDes | None = None,
        result_type: Any = None,
        error_mapper: Callable[[Exception], Exception] | None = None,
        config: ChildConfig | None = None,
    ) -> Operation[T]:
        """Run ``fn(child_ctx, *args)`` in a context of its own, as one operation of this one.

        On replay a finished child gives its recorded result without running, unless the result was over
        262,144 bytes: then its body runs again over its finished operations.

        Args:
            name: 1 to 256 printable ASCII characters; the default is the function's name.
            virtual: record no context: the child is only a namespace of ids. Its result is not recorded
                either, and its error leaves it as it is.
            summary: makes the payload to record of a result that is too big to keep; the default is "".
            serdes: how the result is stored.
            result_type: what the result comes back as; the default is *fn*'s return annotation, as for a step.
            error_mapper: turns the body's error into the one to record, before it is recorded.
            config: the same options as a value; keywords win.

        Raises (when awaited):
            ChildContextError: the body failed; it carries the original type, message and data.
        """
        self._node.check_use("start a child context")
        check_callable("fn", fn)
        refuse_generator("fn", fn)
        config = check_config(config, ChildConfig)
        mapper = pick(error_mapper, config, "error_mapper")
        summarize = pick(summary, config, "summary")
        encode = pick(serdes, config, "serdes")
        wanted = pick(result_type, config, "result_type")
        for argument, value in (("error_mapper", mapper), ("summary", summarize)):
            if value is not None:
                check_callable(argument, value)
        title = default_name(fn) or "child-context"
        if pick(virtual, config, "virtual", False):
            if summarize is not None or encode is not None or wanted is not None:
                raise ValidationError(
                    "summary, serdes and result_type cannot be given for a virtual context: it has no record"
                )
            identity = self._identity(OperationType.CONTEXT, SubType.RUN_IN_CHILD_CONTEXT, name, title)
            return VirtualContext(self._node, identity, fn, args, error_mapper=mapper)
        store = self._result_store(fn, encode, wanted)
        identity = self._identity(OperationType.CONTEXT, SubType.RUN_IN_CHILD_CONTEXT, name, title)
        return ChildContext(
            self._node, identity, fn, args, serdes=store, summary=summarize, error_mapper=mapper
        )

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
            config: the same options as a value; keywords win.

        Raises (at once):
            ValidationError: an argument is out of range; ``min_successful`` is above the number of items.
        """
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
        group = BatchItems(
            total=len(groups),
            body=lambda child, index: fn(child, groups[index][1], groups[index][0]),
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
        config: ParallelConfig | None = None,
    ) -> Operation[BatchResult[Any]]:
        """Run several functions concurrently, each in a context of its own.

        A branch is a function ``fn(child_ctx)``, or ``Branch(fn, *args, name=...)``. Unnamed branches are called
        ``parallel-branch-<index>``. Everything else is as for ``map``, with branches for items.

        For type checkers: a tuple of 2 to 8 branches of different types gives a ``BatchResult`` of their union.
        """
        self._node.check_use("start a parallel")
        config = check_config(config, ParallelConfig)
        arms = arguments.branches(branches)
        given = pick(item_serdes, config, "item_serdes")
        wanted = pick(result_type, config, "result_type")
        stores = ItemSerdes([self._result_store(arm.fn, given, wanted) for arm in arms])
        options = self._batch_options(config, len(arms), max_concurrency, completion, stores, serdes, summary)
        items = BatchItems(
            total=len(arms),
            body=lambda child, index: arms[index](child),
            names=[arm.name for arm in arms],
            title="parallel-branch",
            sub_type=SubType.PARALLEL_BRANCH,
            is_flat=arguments.is_flat(pick(nesting, config, "nesting")),
        )
        identity = self._identity(OperationType.CONTEXT, SubType.PARALLEL, name)
        return BatchOperation(self._node, identity, items, options)

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
        limit = pick(max_concurrency, config, "max_concurrency")
        check_whole_number("max_concurrency", limit, at_least=1)
        summarize = pick(summary, config, "summary")
        if summarize is not None:
            check_callable("summary", summarize)
        return BatchOptions(
            max_concurrency=limit,
            completion=arguments.completion(pick(completion, config, "completion"), total),
            item_serdes=item_serdes,
            serdes=arguments.checked_serdes(pick(serdes, config, "serdes")),
            summary=summarize,
        )

    # --- combinators --------------------------------------------------------------------------------------

    @overload
    def all(  # type: ignore[overload-overlap]  # a tuple is an iterable, too; it is listed first
        self, operations: tuple[Operation[T1], Operation[T2]]
    ) -> Operation[tuple[T1, T2]]: ...

    @overload
    def all(  # type: ignore[overload-overlap]  # as above
        self, operations: tuple[Operation[T1], Operation[T2], Operation[T3]]
    ) -> Operation[tuple[T1, T2, T3]]: ...

    @overload
    def all(  # type: ignore[overload-overlap]  # as above
        self, operations: tuple[Operation[T1], Operation[T2], Operation[T3], Operation[T4]]
    ) -> Operation[tuple[T1, T2, T3, T4]]: ...

    @overload
    def all(  # type: ignore[overload-overlap]  # as above
        self, operations: tuple[Operation[T1], Operation[T2], Operation[T3], Operation[T4], Operation[T5]]
    ) -> Operation[tuple[T1, T2, T3, T4, T5]]: ...

    @overload
    def all(  # type: ignore[overload-overlap]  # as above
        self,
        operations: tuple[
            Operation[T1], Operation[T2], Operation[T3], Operation[T4], Operation[T5], Operation[T6]
        ],
    ) -> Operation[tuple[T1, T2, T3, T4, T5, T6]]: ...

    @overload
    def all(  # type: ignore[overload-overlap]  # as above
        self,
        operations: tuple[
            Operation[T1],
            Operation[T2],
            Operation[T3],
            Operation[T4],
            Operation[T5],
            Operation[T6],
            Operation[T7],
        ],
    ) -> Operation[tuple[T1, T2, T3, T4, T5, T6, T7]]: ...

    @overload
    def all(  # type: ignore[overload-overlap]  # as above
        self,
        operations: tuple[
            Operation[T1],
            Operation[T2],
            Operation[T3],
            Operation[T4],
            Operation[T5],
            Operation[T6],
            Operation[T7],
            Operation[T8],
        ],
    ) -> Operation[tuple[T1, T2, T3, T4, T5, T6, T7, T8]]: ...

    @overload
    def all(self, operations: Iterable[Operation[T]]) -> Operation[list[T]]: ...

    def all(self, operations: Iterable[Operation[Any]]) -> Operation[Any]:
        """Run several operations of this context at once; return their values in the order given.

        A tuple of operations gives a tuple of values, any other iterable a list. The first failure cancels
        the others and is raised as it is; that verdict is recorded, so replay raises it again.

        Raises (at once):
            ContextUseError: an operation belongs to another context, or is awaited already.
            ValidationError: something else than an operation was given.
        """
        self._node.check_use("combine operations")
        as_tuple = isinstance(operations, tuple)
        given = arguments.operations("ctx.all", operations)
        for operation in given:
            operation.claim("ctx.all", self._node)
        identity = self._identity(OperationType.CONTEXT, SubType.ALL, None)
        return AllOperation(self._node, identity, given, as_tuple=as_tuple)

    # --- ending and cancelling ----------------------------------------------------------------------------

    async def complete(self, value: Any = None) -> NoReturn:
        """End the execution now, as SUCCEEDED with *value*; never returns.

        Whatever else the execution is doing is cancelled.
        """
        self._node.check_use("complete the execution")
        invocation = self._node.invocation
        await invocation.complete_early(Succeeded(invocation.encoded_result(value)))

    async def fail(self, error: Exception) -> NoReturn:
        """End the execution now, as FAILED with *error*; never returns.

        Whatever else the execution is doing is cancelled.
        """
        self._node.check_use("fail the execution")
        if not isinstance(error, BaseException):
            raise ValidationError(f"error must be an exception, not {error!r}")
        await self._node.invocation.complete_early(Failed(error_object(error)))

    async def cancel_wait(self, wait: Operation[None]) -> None:
        """Cancel a wait of this context that was started and is not over; whoever awaits it goes on.

        A wait that was not started, or is over, is left alone.

        Raises:
            ValidationError: *wait* is no wait of this context.
        """
        self._node.check_use("cancel a wait")
        if not isinstance(wait, WaitOperation) or not wait.belongs_to(self._node):
            raise ValidationError(f"cancel_wait takes a wait of this context, not {wait!r}")
        await wait.cancel_at_service()

    # --- replay-safe values -------------------------------------------------------------------------------

    def uuid(self) -> uuid.UUID:
        """Return a UUID that is the same on every replay; each call gives another one."""
        self._node.check_use("make a UUID")
        return safe_uuid(self._node)

    def random(self) -> random.Random:
        """Return a random generator that gives the same numbers on every replay; each call gives another one."""
        self._node.check_use("make a random generator")
        return safe_random(self._node)

    def now(self) -> datetime:
        """Return the time by the service's records, in UTC with milliseconds: the same on every replay.

        It is when the latest of the operations that this context has awaited by itself ended (child contexts do
        not count), or when the execution started. It does not move while the code runs: record the time in a
        step if you need it.

        Raises:
            ContextUseError: in OPTIMISTIC mode, something awaited is not acknowledged yet; ``await ctx.flush()``.
        """
        self._node.check_use("ask for the time")
        at = self._node.latest_end_at()
        return datetime.fromtimestamp(at // 1000, UTC) + timedelta(milliseconds=at % 1000)

    # --- what the context knows ---------------------------------------------------------------------------

    async def flush(self) -> None:
        """Return once everything that was recorded so far is durable."""
        self._node.check_use("flush")
        if self._node.invocation.is_closing:
            await self._node.invocation.refuse()
        await self._node.invocation.writer.flush()

    @property
    def logger(self) -> Any:
        """A structlog logger bound to this context; silent while the context replays."""
        if self._logger is None:
            self._logger = self._node.invocation.node_logger(self._node)
        return self._logger

    @property
    def is_replaying(self) -> bool:
        """Whether the code that runs now has run in an earlier invocation."""
        return self._node.is_replaying

    @property
    def execution_arn(self) -> str:
        """The ARN of the durable execution."""
        return self._node.invocation.state.durable_execution_arn

    @property
    def parent_id(self) -> str | None:
        """The id that operations of this context record as their parent; None at the root."""
        return self._node.parent_id

    @property
    def original_input(self) -> Any:
        """The handler's input, decoded; ``{}`` if there was none."""
        return self._node.invocation.decoded_input()

    @property
    def original_input_raw(self) -> str:
        """The handler's input as it was sent; "" if there was none."""
        return self._node.invocation.state.input_payload or ""

    @property
    def lambda_context(self) -> Any:
        """The Lambda context object of this invocation."""
        return self._node.invocation.lambda_context

    def remaining_time(self) -> timedelta | None:
        """Return how long Lambda lets this invocation go on; None if it does not say."""
        seconds = self._node.invocation.remaining_seconds()
        return None if seconds is None else timedelta(seconds=seconds)

    # --- helpers ------------------------------------------------------------------------------------------

    def _identity(
        self, type_: OperationType, sub_type: str, name: str | None, default: str | None = None
    ) -> Identity:
        given = check_name(name)
        return Identity(
            id=self._node.next_operation_id(),
            type=type_,
            sub_type=sub_type,
            name=given if given is not None else default,
            parent_id=self._node.parent_id,
            is_default_name=given is None,
        )

    def _result_store(self, fn: Any, serdes: SerDes | None, result_type: Any) -> SerDes:
        """Return how the result of *fn* is stored: by type, unless a serializer is given."""
        own = arguments.checked_serdes(serdes)
        if result_type is not None:
            return type_serdes(result_type, own or self._node.invocation.options.serdes)
        return own or result_serdes(fn, self._node.invocation.options.serdes)

    def _answer_serdes(self, serdes: SerDes | None, result_type: Any) -> SerDes | None:
        """Return how an answer from outside is read; None if neither is given."""
        own = arguments.checked_serdes(serdes)
        return own if result_type is None else type_serdes(result_type, own or plain_json)

    def _serdes(self, serdes: SerDes | None) -> SerDes:
        return arguments.checked_serdes(serdes) or self._node.invocation.options.serdes
