"""What a context waits for: time, callbacks, conditions, other functions.

The methods of ``DurableContext`` whose operations are ended by the service or by the outside world.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, overload

from durable_trio._protocol import limits
from durable_trio._protocol.operation import ChainedInvokeOptions, OperationType, SubType
from durable_trio._runtime import arguments
from durable_trio._runtime.bodies import default_name, refuse_generator
from durable_trio._runtime.context_base import ContextBase
from durable_trio._runtime.wait import WaitOperation
from durable_trio.config import (
    AnyDuration,
    CallbackConfig,
    InvokeConfig,
    WaitForCallbackConfig,
    WaitForConditionConfig,
    check_callable,
    check_config,
    check_name,
    check_plain,
    pick,
    whole_seconds,
)
from durable_trio.serdes import SerDes, plain_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio._runtime.callback import Callback
    from durable_trio._runtime.context import DurableContext
    from durable_trio._runtime.operation import Operation
    from durable_trio.conditions import WaitStrategy
    from durable_trio.retries import RetryStrategy


T = TypeVar("T")
Args = TypeVarTuple("Args")


class WaitMethods(ContextBase):
    """``wait``, ``create_callback``, ``wait_for_callback``, ``wait_for_condition``, ``invoke``."""

    __slots__ = ()

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
        from durable_trio._runtime.callback import CreateCallback

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
        from durable_trio._runtime.callback import WaitForCallback

        return WaitForCallback(self._node, identity, body, serdes=self._serdes(None), answer_serdes=decode)

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
        from durable_trio._runtime.condition import ConditionOperation
        from durable_trio.conditions import strategy_of

        self._node.check_use("wait for a condition")
        check_callable("check", check)
        refuse_generator("check", check)
        config = check_config(config, WaitForConditionConfig)
        met = pick(until, config, "until")
        strategy = pick(wait_strategy, config, "wait_strategy")
        for argument, value in (("until", met), ("wait_strategy", strategy)):
            if value is not None:
                check_plain(argument, value)
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
        from durable_trio._runtime.invoke import InvokeOperation

        return InvokeOperation(
            self._node,
            self._identity(OperationType.CHAINED_INVOKE, SubType.CHAINED_INVOKE, name),
            options,
            payload,
            payload_serdes=write or plain_json,
            result_serdes=read or plain_json,
        )
