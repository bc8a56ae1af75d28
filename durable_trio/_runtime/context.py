"""``DurableContext``: what the user's code holds.

A thin, typed face over a ``ContextNode``: each method checks that it may be called here, checks its arguments,
takes an id and returns an ``Operation``. Nothing runs, and nothing is recorded, before the operation is
awaited or given to a combinator.

Its methods stand in groups: waits, batches and combinators have files of their own.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, TypeVarTuple, overload

from durable_trio._protocol.envelope import Failed, Succeeded
from durable_trio._protocol.operation import OperationType, SubType
from durable_trio._runtime import arguments
from durable_trio._runtime.bodies import default_name, is_async_function, refuse_generator
from durable_trio._runtime.child import ChildContext, VirtualContext
from durable_trio._runtime.context_batches import BatchMethods
from durable_trio._runtime.context_combinators import CombinatorMethods
from durable_trio._runtime.context_compensations import CompensationMethods
from durable_trio._runtime.context_races import RaceMethods
from durable_trio._runtime.context_retries import RetryMethods
from durable_trio._runtime.context_scopes import ScopeMethods
from durable_trio._runtime.context_waits import WaitMethods
from durable_trio._runtime.failures import error_object
from durable_trio._runtime.safe_values import safe_random, safe_uuid
from durable_trio._runtime.step import StepOperation
from durable_trio._runtime.wait import WaitOperation
from durable_trio.config import (
    AnyDuration,
    ChildConfig,
    StepConfig,
    StepSemantics,
    check_callable,
    check_config,
    check_plain,
    pick,
)
from durable_trio.exceptions import ValidationError

if TYPE_CHECKING:
    import random
    import uuid
    from collections.abc import Awaitable, Callable

    from durable_trio._runtime.operation import Operation
    from durable_trio.retries import RetryStrategy
    from durable_trio.serdes import SerDes


T = TypeVar("T")
Args = TypeVarTuple("Args")

# Looking a member up in its class takes ten times as long before Python 3.12.
_STEP: Final = OperationType.STEP
_STEP_SUB_TYPE: Final = SubType.STEP


class DurableContext(
    WaitMethods,
    BatchMethods,
    CombinatorMethods,
    RaceMethods,
    RetryMethods,
    ScopeMethods,
    CompensationMethods,
):
    """The context of a durable handler, of a child context, or of a map's item.

    Use it only in the function it was passed to, and only from the task that runs that function.
    """

    __slots__ = ()

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
        fn: Callable[[*Args], Awaitable[T] | T],
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
        if config is not None:
            check_config(config, StepConfig)
            timeout, retry = pick(timeout, config, "timeout"), pick(retry, config, "retry")
            semantics = pick(semantics, config, "semantics")
            serdes, result_type = pick(serdes, config, "serdes"), pick(result_type, config, "result_type")
        if timeout is not None and not is_async_function(fn):
            raise ValidationError(
                f"timeout cannot be given for a plain function, since its thread cannot be stopped: {fn!r}."
                " Make it async, or limit the time of what it calls."
            )
        timeout_seconds = None if timeout is None else arguments.timeout(timeout)
        strategy = arguments.strategy(retry)
        at_most_once = arguments.semantics(semantics)
        store = self._result_store(fn, serdes, result_type)
        kind = arguments.sub_type(sub_type) or _STEP_SUB_TYPE
        return StepOperation(
            self._node,
            self._identity(_STEP, kind, name, default_name(fn)),
            fn,
            args,
            retry=strategy,
            at_most_once=at_most_once,
            timeout_seconds=timeout_seconds,
            serdes=store,
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
                check_plain(argument, value)
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
