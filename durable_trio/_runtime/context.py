"""``DurableContext``: what the user's code holds.

A thin, typed face over a ``ContextNode``: each method checks that it may be called here, checks its arguments,
takes an id and returns an ``Operation``. Nothing runs, and nothing is recorded, before the operation is
awaited or given to a combinator.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, overload

from durable_trio._protocol import limits
from durable_trio._protocol.operation import CallbackOptions, OperationType, SubType
from durable_trio._protocol.replay import Identity
from durable_trio._runtime.batch_operation import BatchItems, BatchOperation
from durable_trio._runtime.bodies import default_name, fitting_name, is_async_function, refuse_generator
from durable_trio._runtime.callback import Callback, CreateCallback, WaitForCallback
from durable_trio._runtime.child import ChildContext, VirtualContext
from durable_trio._runtime.combinators import AllOperation
from durable_trio._runtime.operation import Operation
from durable_trio._runtime.safe_values import safe_random, safe_uuid
from durable_trio._runtime.step import StepOperation
from durable_trio._runtime.wait import WaitOperation
from durable_trio.config import (
    AnyDuration,
    CallbackConfig,
    ChildConfig,
    CompletionConfig,
    MapConfig,
    StepConfig,
    StepSemantics,
    WaitForCallbackConfig,
    check_callable,
    check_config,
    check_name,
    check_whole_number,
    exact_seconds,
    pick,
    whole_seconds,
)
from durable_trio.exceptions import ValidationError
from durable_trio.retries import RetryPresets
from durable_trio.serdes import SerDes, json_serdes, pass_through

if TYPE_CHECKING:
    import random
    import uuid

    from durable_trio._runtime.node import ContextNode
    from durable_trio.batch import BatchResult
    from durable_trio.retries import RetryStrategy

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
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
            sub_type: recorded as the operation's subtype; the default is ``Step``.
            config: the same options as a value; keywords win.

        Raises (when awaited):
            StepError: the body failed and *retry* gave up.
            ValidationError (at once): an argument is out of range.

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
        return StepOperation(
            self._node,
            self._identity(OperationType.STEP, _sub_type(sub_type) or SubType.STEP, name, default_name(fn)),
            fn,
            args,
            retry=_strategy(pick(retry, config, "retry")),
            at_most_once=_semantics(pick(semantics, config, "semantics")),
            timeout_seconds=None if limit is None else _timeout(limit),
            serdes=self._serdes(pick(serdes, config, "serdes")),
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

    def create_callback(
        self,
        *,
        name: str | None = None,
        timeout: AnyDuration | None = None,
        heartbeat_timeout: AnyDuration | None = None,
        serdes: SerDes | None = None,
        config: CallbackConfig | None = None,
    ) -> Operation[Callback[Any]]:
        """Create a callback that the outside world answers; await ``callback.result()`` for the answer.

        Args:
            name: 1 to 256 printable ASCII characters; none by default.
            timeout: how long it may stay open in all; None for ever.
            heartbeat_timeout: how long it may go without a heartbeat; None for ever.
            serdes: decodes the answer; without one the result is the raw text.
            config: the same options as a value; keywords win.
        """
        self._node.check_use("create a callback")
        config = check_config(config, CallbackConfig)
        options = _callback_options(
            pick(timeout, config, "timeout"), pick(heartbeat_timeout, config, "heartbeat_timeout")
        )
        decode = _checked_serdes(pick(serdes, config, "serdes"))
        identity = self._identity(OperationType.CALLBACK, SubType.CALLBACK, name)
        return CreateCallback(self._node, identity, options, decode)

    def wait_for_callback(
        self,
        submitter: Callable[[str, *Args], Any],
        *args: *Args,
        name: str | None = None,
        timeout: AnyDuration | None = None,
        heartbeat_timeout: AnyDuration | None = None,
        retry: RetryStrategy | None = None,
        serdes: SerDes | None = None,
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
        _callback_options(timeout, heartbeat_timeout)
        strategy = _strategy(pick(retry, config, "retry"))
        decode = _checked_serdes(pick(serdes, config, "serdes"))

        async def body(child: DurableContext) -> Any:
            callback = await child.create_callback(
                name=_derived_name(title, "create callback id"),
                timeout=timeout,
                heartbeat_timeout=heartbeat_timeout,
            )
            await child.step(
                submitter,
                callback.callback_id,
                *args,
                name=_derived_name(title, "submitter"),
                retry=strategy,
            )
            return await callback.result()

        identity = self._identity(OperationType.CONTEXT, SubType.WAIT_FOR_CALLBACK, given, title)
        return WaitForCallback(self._node, identity, body, serdes=pass_through(), answer_serdes=decode)

    # --- contexts -----------------------------------------------------------------------------------------

    def run_in_child_context(
        self,
        fn: Callable[[DurableContext, *Args], Awaitable[T]],
        *args: *Args,
        name: str | None = None,
        virtual: bool | None = None,
        summary: Callable[[T], str] | None = None,
        serdes: SerDes | None = None,
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
        for argument, value in (("error_mapper", mapper), ("summary", summarize)):
            if value is not None:
                check_callable(argument, value)
        title = default_name(fn) or "child-context"
        if pick(virtual, config, "virtual", False):
            if summarize is not None or encode is not None:
                raise ValidationError(
                    "summary and serdes cannot be given for a virtual context: it has no record"
                )
            identity = self._identity(OperationType.CONTEXT, SubType.RUN_IN_CHILD_CONTEXT, name, title)
            return VirtualContext(self._node, identity, fn, args, error_mapper=mapper)
        store = self._serdes(encode)
        identity = self._identity(OperationType.CONTEXT, SubType.RUN_IN_CHILD_CONTEXT, name, title)
        return ChildContext(
            self._node, identity, fn, args, serdes=store, summary=summarize, error_mapper=mapper
        )

    def map(
        self,
        items: Iterable[ItemT],
        fn: Callable[[DurableContext, ItemT, int], Awaitable[T]],
        *,
        name: str | None = None,
        max_concurrency: int | None = None,
        completion: CompletionConfig | None = None,
        item_namer: Callable[[ItemT, int], str] | None = None,
        item_serdes: SerDes | None = None,
        serdes: SerDes | None = None,
        summary: Callable[[BatchResult[T]], str] | None = None,
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
            item_namer: ``(item, index) -> name``; the default is ``map-item-<index>``.
            item_serdes: how each item's result is stored.
            serdes: how the ``BatchResult`` as a whole is stored; the default is readable JSON made of the
                items' own payloads.
            summary: text to keep of a batch that is too big to be stored whole.
            config: the same options as a value; keywords win.

        Raises (at once):
            ValidationError: an argument is out of range; ``min_successful`` is above the number of items.
        """
        self._node.check_use("start a map")
        check_callable("fn", fn)
        refuse_generator("fn", fn)
        config = check_config(config, MapConfig)
        elements = _elements(items)
        limit = pick(max_concurrency, config, "max_concurrency")
        check_whole_number("max_concurrency", limit, at_least=1)
        rules = _completion(pick(completion, config, "completion"), len(elements))
        names = _item_names(pick(item_namer, config, "item_namer"), elements)
        item_store = self._serdes(pick(item_serdes, config, "item_serdes"))
        summarize = pick(summary, config, "summary")
        if summarize is not None:
            check_callable("summary", summarize)
        identity = self._identity(OperationType.CONTEXT, SubType.MAP, name, default_name(fn) or "map")
        batch: BatchItems[T] = BatchItems(
            total=len(elements),
            body=lambda child, index: fn(child, elements[index], index),
            names=names,
            title="map-item",
            sub_type=SubType.MAP_ITERATION,
        )
        return BatchOperation(
            self._node,
            identity,
            batch,
            max_concurrency=limit,
            completion=rules,
            item_serdes=item_store,
            payloads_are_json=item_store is json_serdes(),
            serdes=_checked_serdes(pick(serdes, config, "serdes")),
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
        given = list(operations)
        for operation in given:
            if not isinstance(operation, Operation):
                raise ValidationError(
                    f"ctx.all takes operations of this context, not {operation!r}: pass ctx.step(...) itself,"
                    " without awaiting it"
                )
        for operation in given:
            operation.claim("ctx.all", self._node)
        identity = self._identity(OperationType.CONTEXT, SubType.ALL, None)
        return AllOperation(self._node, identity, given, as_tuple=as_tuple)

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

        It is when the latest of the operations that this context has awaited ended, or when the execution
        started. It does not move while the code runs: record the time in a step if you need it.
        """
        self._node.check_use("ask for the time")
        at = self._node.latest_end_at
        if at is None:
            execution = self._node.invocation.state.execution
            at = execution.started_at if execution is not None else 0
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

    def _serdes(self, serdes: SerDes | None) -> SerDes:
        return _checked_serdes(serdes) or self._node.invocation.options.serdes


# --- arguments -------------------------------------------------------------------------------------------


def _strategy(retry: RetryStrategy | None) -> RetryStrategy:
    if retry is None:
        return RetryPresets.default()
    check_callable("retry", retry)
    return retry


def _semantics(semantics: object) -> bool:
    """Tell whether *semantics* is at-most-once."""
    if semantics is None:
        return False
    try:
        return StepSemantics(semantics) is StepSemantics.AT_MOST_ONCE_PER_RETRY  # type: ignore[arg-type]
    except ValueError:
        raise ValidationError(
            f"semantics must be one of {', '.join(StepSemantics)}, not {semantics!r}"
        ) from None


def _timeout(limit: object) -> float:
    seconds = exact_seconds("timeout", limit)
    if seconds <= 0:
        raise ValidationError(f"timeout must be more than 0 seconds, not {limit!r}")
    return seconds


def _sub_type(sub_type: object) -> str | None:
    if sub_type is None:
        return None
    if not isinstance(sub_type, str) or limits.SUB_TYPE.fullmatch(sub_type) is None:
        raise ValidationError(
            f"sub_type must be 1 to 32 letters, digits, hyphens and underscores, not {sub_type!r}"
        )
    return sub_type


def _callback_options(timeout: object, heartbeat_timeout: object) -> CallbackOptions:
    def seconds(argument: str, value: object) -> int:
        if value is None:
            return 0
        return whole_seconds(argument, value, at_least=0, at_most=limits.MAX_CALLBACK_TIMEOUT_SECONDS)

    return CallbackOptions(
        timeout_seconds=seconds("timeout", timeout),
        heartbeat_timeout_seconds=seconds("heartbeat_timeout", heartbeat_timeout),
    )


def _checked_serdes(serdes: object) -> SerDes | None:
    if serdes is not None and not isinstance(serdes, SerDes):
        raise ValidationError(
            f"serdes must have the methods serialize and deserialize, and {serdes!r} has not"
        )
    return serdes


def _elements(items: object) -> Sequence[Any]:
    if isinstance(items, (str, bytes)) or not isinstance(items, Iterable):
        raise ValidationError(f"items must be an iterable of items, not {type(items).__name__}")
    if isinstance(items, (set, frozenset)):
        raise ValidationError(
            "items must have an order that is the same on replay, and a set has none: pass sorted(items)"
        )
    return list(items)


def _completion(completion: object, total: int) -> CompletionConfig:
    if completion is None:
        return CompletionConfig()
    if not isinstance(completion, CompletionConfig):
        raise ValidationError(f"completion must be a CompletionConfig, not {completion!r}")
    wanted = completion.min_successful
    if wanted is not None and total and wanted > total:
        raise ValidationError(f"min_successful must be at most the number of items, {total}, not {wanted}")
    return completion


def _item_names(namer: Callable[[Any, int], str] | None, items: Sequence[Any]) -> list[str] | None:
    if namer is None:
        return None
    check_callable("item_namer", namer)
    names = [namer(item, index) for index, item in enumerate(items)]
    for index, name in enumerate(names):
        if check_name(name) is None:
            raise ValidationError(f"item_namer must return a name, and returned None for item {index}")
    return names


def _derived_name(title: str | None, role: str) -> str:
    return fitting_name(f"{title} {role}" if title is not None else role)
