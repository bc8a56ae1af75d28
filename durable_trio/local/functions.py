"""Calling functions of this process as Lambda does."""

from __future__ import annotations

import functools
import inspect
import json
import traceback
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio

from durable_trio._protocol import limits
from durable_trio._protocol.envelope import decode_outcome, encode_invocation
from durable_trio._protocol.invocation_rules import Crashed, InvalidAnswer
from durable_trio._protocol.operation import ErrorObject
from durable_trio._protocol.plain_calls import Returned
from durable_trio._protocol.wire import WireError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio.clients import ServiceClient
    from durable_trio.clock import Clock
    from durable_trio.local.calls import Arguments, CallOutcome, FunctionCall

__all__ = ["FunctionTarget", "LocalLambdaContext", "PlainTarget"]

_MAX_STACK_LINES: Final = 20
_MAX_THREADS: Final = 1_000  # Lambda's default for invocations at a time, in one region of an account


class FunctionTarget(Protocol):
    """A function that the service can call: the ``invoke`` of a durable handler, or one written by hand."""

    def __call__(
        self, event: dict[str, Any], lambda_context: LocalLambdaContext, /, *, client: ServiceClient
    ) -> Awaitable[Any]:
        """Run one invocation and return its answer, as a function of AWS Lambda returns it."""
        ...


class PlainTarget(Protocol):
    """A function that is not durable. One that is not async is called in a worker thread."""

    def __call__(self, event: Any, lambda_context: LocalLambdaContext, /) -> Any:
        """Answer with a JSON value, or an awaitable of one."""
        ...


class LocalLambdaContext:
    """What Lambda tells a function about its invocation. Attributes are named as Lambda names them."""

    __slots__ = (
        "_call",
        "aws_request_id",
        "client_context",
        "function_name",
        "function_version",
        "invoked_function_arn",
        "memory_limit_in_mb",
        "tenant_id",
    )

    def __init__(self, call: FunctionCall, memory_limit_in_mb: int) -> None:
        function = call.function
        self._call = call
        self.aws_request_id = call.request_id
        self.client_context = call.client_context
        self.function_name = function.name
        self.function_version = function.version
        self.invoked_function_arn = function.qualified_arn
        memory = function.config.memory_limit_in_mb
        self.memory_limit_in_mb = str(memory_limit_in_mb if memory is None else memory)
        self.tenant_id = call.tenant_id

    def get_remaining_time_in_millis(self) -> int:
        """Return how many milliseconds are left until the invocation is cut off."""
        return round(self._call.remaining_seconds() * 1000)


class DurableRunner:
    """Calls a durable function of this process."""

    def __init__(self, target: FunctionTarget, client: ServiceClient, memory_limit_in_mb: int) -> None:
        self._target = target
        self._client = client
        self._memory_limit_in_mb = memory_limit_in_mb

    async def run(self, call: FunctionCall, arguments: Arguments) -> CallOutcome:
        """Call the function."""
        assert not isinstance(arguments, str)  # noqa: S101  # executions of durable functions have an envelope
        context = LocalLambdaContext(call, self._memory_limit_in_mb)

        async def answer() -> Any:
            return await self._target(encode_invocation(arguments), context, client=self._client)

        response = await _attempt(answer)
        if isinstance(response, Crashed):
            return response
        marshalled = _marshal(response)
        if isinstance(marshalled, Crashed):
            return marshalled
        try:
            return decode_outcome(response)
        except WireError as problem:
            return InvalidAnswer(str(problem))


class PlainRunner:
    """Calls a function of this process that is not durable."""

    _limiter: trio.CapacityLimiter | None = None

    def __init__(self, target: PlainTarget, clock: Clock, memory_limit_in_mb: int) -> None:
        self._target = target
        self._clock = clock
        self._memory_limit_in_mb = memory_limit_in_mb

    async def run(self, call: FunctionCall, arguments: Arguments) -> CallOutcome:
        """Call the function. A thread cannot be stopped: if cancelled, it is left to itself."""
        assert isinstance(arguments, str)  # noqa: S101  # calls of functions that are not durable have a payload
        try:
            event = json.loads(arguments or "null")
        except (ValueError, RecursionError) as problem:
            # A chained invoke may send any text.
            message = f"Unable to unmarshal input: {problem}"
            return Crashed(ErrorObject(message=message, type="Runtime.UnmarshalError"))
        context = LocalLambdaContext(call, self._memory_limit_in_mb)
        call_it = functools.partial(self._target, event, context)

        async def answer() -> Any:
            result = call_it() if _is_async(self._target) else await self._in_thread(call_it)
            return await result if inspect.isawaitable(result) else result

        response = await _attempt(answer)
        if isinstance(response, Crashed):
            return response
        marshalled = _marshal(response)
        return marshalled if isinstance(marshalled, Crashed) else Returned(marshalled)

    async def _in_thread(self, call_it: Callable[[], Any]) -> Any:
        def boxed() -> tuple[Any]:
            # Trio refuses a coroutine that comes out of a thread; here it is awaited.
            return (call_it(),)

        if self._limiter is None:
            self._limiter = trio.CapacityLimiter(_MAX_THREADS)
        with self._clock.held():
            (result,) = await trio.to_thread.run_sync(boxed, abandon_on_cancel=True, limiter=self._limiter)
        return result


def _is_async(target: Any) -> bool:
    while isinstance(target, functools.partial):
        target = target.func
    return inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(
        getattr(target, "__call__", None)  # noqa: B004  # not whether it can be called, but how
    )


async def _attempt(answer: Callable[[], Awaitable[Any]]) -> Any:
    """Return what the function returns, or how it failed."""
    try:
        return await answer()
    except Exception as problem:  # noqa: BLE001  # not swallowed: it is the outcome, and recorded as such
        return Crashed(_describe(problem))
    except SystemExit as exit_:
        message = f"The function exited with code {exit_.code!r}"
        return Crashed(ErrorObject(message=message, type="Runtime.ExitError"))


def _describe(problem: Exception) -> ErrorObject:
    stack = traceback.format_tb(problem.__traceback__)[-_MAX_STACK_LINES:]
    return ErrorObject(
        message=str(problem), type=type(problem).__name__, stack=tuple(line.rstrip("\n") for line in stack)
    )


def _marshal(response: object) -> str | Crashed:
    """Write an answer as Lambda does: it has to be JSON, and of a limited size."""
    try:
        text = json.dumps(response)
    except (TypeError, ValueError, RecursionError) as problem:
        return Crashed(
            ErrorObject(message=f"The response is not JSON: {problem}", type="Runtime.MarshalError")
        )
    # All ASCII: characters are bytes.
    if len(text) > limits.MAX_RESPONSE_BYTES:
        message = f"The response has {len(text)} bytes; at most {limits.MAX_RESPONSE_BYTES} are allowed"
        return Crashed(ErrorObject(message=message, type="Function.ResponseSizeTooLarge"))
    return text
