"""``@durable_execution``: from an async function to a Lambda entry point.

The object it makes is called by Lambda like any handler, ``handler(event, context)``, and then runs one
invocation in one ``trio.run``. Inside a Trio run that exists already, await ``handler.invoke(...)``.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

import trio

from durable_trio._protocol.value_class import replace
from durable_trio._runtime.bodies import is_async_function
from durable_trio._runtime.garbage import fewer_full_collections
from durable_trio._runtime.invocation import run_invocation
from durable_trio._runtime.options import HandlerOptions
from durable_trio._runtime.replay_logger import checked_logger
from durable_trio._runtime.typed import input_serdes, type_serdes
from durable_trio.clients import ServiceClient
from durable_trio.config import (
    AnyDuration,
    CheckpointingMode,
    ReplayLogging,
    check_callable,
    check_plain,
    exact_seconds,
)
from durable_trio.exceptions import ConfigurationError, ValidationError
from durable_trio.serdes import SerDes, default_serdes, plain_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Protocol

    from durable_trio._runtime.context import DurableContext
    from durable_trio.plugins import PluginFactory

__all__ = ["DurableHandler", "durable_execution"]

P = ParamSpec("P")
R = TypeVar("R")
EnumT = TypeVar("EnumT", bound=StrEnum)

if TYPE_CHECKING:
    R_co = TypeVar("R_co", covariant=True)

    class _Handles(Protocol[R_co]):
        """An object that handles events, such as one of a class with dependencies."""

        def handle(self, event: Any, ctx: DurableContext, /) -> Awaitable[R_co]: ...


class DurableHandler(Generic[P, R]):
    """A durable function as Lambda calls it.

    Attributes:
        fn: the wrapped function, for unit tests that pass a context of their own.
    """

    def __init__(
        self, fn: Callable[P, Awaitable[R]], *, options: HandlerOptions, client: ServiceClient | None
    ) -> None:
        self.fn = fn
        self._options = options
        self._client = client
        functools.update_wrapper(self, fn)

    def __repr__(self) -> str:
        return f"<DurableHandler {getattr(self.fn, '__qualname__', self.fn)!s}>"

    def __call__(self, event: Any, lambda_context: Any = None) -> dict[str, Any]:
        """Run one invocation in a Trio run of its own; this is the Lambda entry point.

        Returns:
            The answer to the service: ``{"Status": "SUCCEEDED" | "FAILED" | "PENDING", ...}``.

        Raises:
            ConfigurationError: called inside a Trio run, or *event* is not a durable invocation.
            DurableError: this invocation failed and another may succeed; Lambda invokes again.
        """
        if trio.lowlevel.in_trio_run():
            raise ConfigurationError(
                "a durable handler cannot be called inside a Trio run: await handler.invoke(event, context)"
            )
        with fewer_full_collections():
            return trio.run(self.invoke, event, lambda_context)

    async def invoke(
        self, event: Any, lambda_context: Any = None, *, client: ServiceClient | None = None
    ) -> dict[str, Any]:
        """Run one invocation inside the Trio run of the caller (``anyio.run(..., backend="trio")``, too).

        *client* is the service to talk to; by default the handler's own, else AWS. Raises as calling does.
        If cancelled, the invocation ends without an answer; what was recorded stays recorded.
        """
        _require_trio()
        service = client or self._client or _default_client()
        return await run_invocation(self.fn, event, lambda_context, options=self._options, client=service)


def _require_trio() -> None:
    if trio.lowlevel.in_trio_task():
        return
    raise ConfigurationError(
        "handler.invoke(...) runs on Trio. Under anyio use anyio.run(main, backend='trio'); from an asyncio"
        " program call the handler in a thread: await anyio.to_thread.run_sync(handler, event, context)"
    )


@functools.cache
def _default_client() -> ServiceClient:
    from durable_trio.clients.aws import AwsClient  # who has another client never pays for this one

    client = AwsClient()
    if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        client.prepare()
    return client


# Positional for type checkers, so that ``durable_execution(**options)`` can only be the decorator with options.
@overload
def durable_execution(fn: Callable[P, Awaitable[R]], /) -> DurableHandler[P, R]: ...


@overload
def durable_execution(
    fn: None = None,
    /,
    *,
    client: ServiceClient | None = ...,
    serdes: SerDes | None = ...,
    handler_serdes: SerDes | None = ...,
    input_type: Any = ...,
    replay_logging: ReplayLogging = ...,
    checkpointing: CheckpointingMode = ...,
    deadline_margin: AnyDuration | None = ...,
    inline_wait: AnyDuration | None = ...,
    on_error: Callable[[Exception], None] | None = ...,
    plugins: Sequence[PluginFactory] = ...,
    logger: Any = ...,
) -> Callable[[Callable[P, Awaitable[R]]], DurableHandler[P, R]]: ...


@overload
def durable_execution(
    fn: Callable[P, Awaitable[R]],
    /,
    *,
    client: ServiceClient | None = ...,
    serdes: SerDes | None = ...,
    handler_serdes: SerDes | None = ...,
    input_type: Any = ...,
    replay_logging: ReplayLogging = ...,
    checkpointing: CheckpointingMode = ...,
    deadline_margin: AnyDuration | None = ...,
    inline_wait: AnyDuration | None = ...,
    on_error: Callable[[Exception], None] | None = ...,
    plugins: Sequence[PluginFactory] = ...,
    logger: Any = ...,
) -> DurableHandler[P, R]: ...


@overload
def durable_execution(
    fn: _Handles[R],
    /,
    *,
    client: ServiceClient | None = ...,
    serdes: SerDes | None = ...,
    handler_serdes: SerDes | None = ...,
    input_type: Any = ...,
    replay_logging: ReplayLogging = ...,
    checkpointing: CheckpointingMode = ...,
    deadline_margin: AnyDuration | None = ...,
    inline_wait: AnyDuration | None = ...,
    on_error: Callable[[Exception], None] | None = ...,
    plugins: Sequence[PluginFactory] = ...,
    logger: Any = ...,
) -> DurableHandler[[Any, DurableContext], R]: ...


def durable_execution(
    fn: Any = None,
    *,
    client: ServiceClient | None = None,
    serdes: SerDes | None = None,
    handler_serdes: SerDes | None = None,
    input_type: Any = None,
    replay_logging: ReplayLogging = ReplayLogging.SUPPRESS_ALL,
    checkpointing: CheckpointingMode = CheckpointingMode.BATCHED,
    deadline_margin: AnyDuration | None = None,
    inline_wait: AnyDuration | None = None,
    on_error: Callable[[Exception], None] | None = None,
    plugins: Sequence[PluginFactory] = (),
    logger: Any = None,
) -> Any:
    """Make an async function ``fn(event, ctx)`` a durable function.

    Use it bare, with options, or as a call; an object with ``async def handle(self, event, ctx)`` is accepted
    as well.

    Args:
        client: the durable execution service; by default AWS, through boto3.
        serdes: for operations that are given none of their own; by default that of ``set_default_serdes``, else
            lossless JSON.
        handler_serdes: for the handler's input and result; by default plain JSON.
        input_type: what the input comes as; by default the annotation of the function's first parameter, if it can
            be converted to and no *handler_serdes* is given (see docs/data.md).
        replay_logging: what contexts log while they replay; by default nothing.
        checkpointing: when the code goes on after something was recorded.
        deadline_margin: how long before Lambda ends the invocation it is brought to rest: running steps are cut
            off and recorded as failed attempts. By default 5 seconds, or a fifth of the time if that is less.
        inline_wait: a wait or a retry that is due within this long is waited for in the same invocation, if its
            time allows; by default every one suspends.
        on_error: called with the exception that fails the execution, before the answer; never with a suspension.
            What it raises is logged.
        plugins: factories ``create_plugin(info) -> plugin``, called once per invocation; see
            ``durable_trio.plugins``. Those that the environment names come on top.
        logger: a structlog logger or a ``logging.Logger`` to log with, for ``ctx.logger``, the loggers of steps
            and the runtime's own lines; by default lines on standard output.

    Raises:
        ConfigurationError: *fn* is not async, or nothing can be converted to *input_type*.
        ValidationError: an option is not what it should be.
    """
    if client is not None and not isinstance(client, ServiceClient):
        raise ValidationError(
            f"client must have the methods checkpoint and get_state, and {client!r} has not"
        )
    for argument, value in (("serdes", serdes), ("handler_serdes", handler_serdes)):
        if value is not None and not isinstance(value, SerDes):
            raise ValidationError(
                f"{argument} must have the methods serialize and deserialize, and {value!r} has not"
            )
    if on_error is not None:
        check_plain("on_error", on_error)
    options = HandlerOptions(
        serdes=serdes or default_serdes(),
        handler_serdes=handler_serdes or plain_json,
        input_serdes=None
        if input_type is None
        else type_serdes(input_type, handler_serdes or plain_json, "input_type"),
        replay_logging=_member("replay_logging", ReplayLogging, replay_logging),
        checkpointing=_member("checkpointing", CheckpointingMode, checkpointing),
        deadline_margin_seconds=_seconds("deadline_margin", deadline_margin),
        inline_wait_seconds=_seconds("inline_wait", inline_wait) or 0.0,
        on_error=on_error,
        plugins=_factories(plugins),
        logger=checked_logger(logger),
    )

    if client is None and "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        _default_client()  # while it loads a function, Lambda gives it a whole processor

    def decorate(function: Any) -> DurableHandler[Any, Any]:
        function = _async_function(function)
        own = options
        if input_type is None and handler_serdes is None:
            own = replace(options, input_serdes=input_serdes(function))
        return DurableHandler(function, options=own, client=client)

    return decorate if fn is None else decorate(fn)


def _async_function(fn: Any) -> Any:
    handle = getattr(fn, "handle", None)
    if not isinstance(fn, type) and handle is not None and is_async_function(handle):
        return handle
    if is_async_function(fn):
        return fn
    what = "an async generator" if inspect.isasyncgenfunction(fn) else f"{fn!r}"
    raise ConfigurationError(
        f"a durable handler must be an async function (event, ctx), not {what}: declare it with 'async def'"
    )


def _member(argument: str, enum: type[EnumT], value: str) -> EnumT:
    try:
        return enum(value)
    except ValueError:
        raise ValidationError(f"{argument} must be one of {', '.join(enum)}, not {value!r}") from None


def _factories(plugins: Sequence[PluginFactory]) -> tuple[PluginFactory, ...]:
    if isinstance(plugins, str) or not isinstance(plugins, Iterable):
        raise ValidationError(f"plugins must be a sequence of functions create_plugin(info), not {plugins!r}")
    for factory in plugins:
        check_callable("a member of plugins", factory)
    return tuple(plugins)


def _seconds(argument: str, value: object) -> float | None:
    if value is None:
        return None
    seconds = exact_seconds(argument, value)
    if seconds < 0:
        raise ValidationError(f"{argument} must not be negative, not {value!r}")
    return seconds
