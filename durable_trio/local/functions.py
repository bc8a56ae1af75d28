"""Calling functions as Lambda does.

A function is called with an event and a Lambda context and answers, raises, or takes too long. Whatever it does
becomes an ``InvocationOutcome``; what that means for the execution is for the pure rules to say. Only what is
meant for this process itself passes through: cancellation and KeyboardInterrupt.
"""

from __future__ import annotations

import json
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio

from durable_trio._protocol import limits
from durable_trio._protocol.envelope import decode_outcome, encode_invocation
from durable_trio._protocol.invocation_rules import Crashed, InvalidAnswer, InvocationOutcome
from durable_trio._protocol.operation import ErrorObject
from durable_trio._protocol.wire import WireError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from durable_trio._protocol.envelope import InvocationInput
    from durable_trio.clients import ServiceClient
    from durable_trio.clock import Clock

__all__ = ["FunctionTarget", "LocalLambdaContext"]

_MAX_STACK_LINES: Final = 20


class FunctionTarget(Protocol):
    """A function that the service can call: the ``invoke`` of a durable handler, or one written by hand."""

    def __call__(
        self, event: dict[str, Any], lambda_context: LocalLambdaContext, /, *, client: ServiceClient
    ) -> Awaitable[Any]:
        """Run one invocation and return its answer, as a function of AWS Lambda returns it."""
        ...


@dataclass(frozen=True, slots=True)
class RegisteredFunction:
    """A function that the service knows, and how long an invocation of it may take."""

    name: str
    target: FunctionTarget
    timeout_seconds: float


class LocalLambdaContext:
    """What Lambda tells a function about its invocation. Attributes are named as Lambda names them."""

    __slots__ = (
        "_clock",
        "_deadline_at",
        "aws_request_id",
        "function_name",
        "function_version",
        "invoked_function_arn",
        "memory_limit_in_mb",
    )

    def __init__(
        self,
        *,
        clock: Clock,
        deadline_at: int,
        request_id: str,
        function_name: str,
        function_arn: str,
        memory_limit_in_mb: int,
    ) -> None:
        self._clock = clock
        self._deadline_at = deadline_at
        self.aws_request_id = request_id
        self.function_name = function_name
        self.function_version = "$LATEST"
        self.invoked_function_arn = f"{function_arn}:{self.function_version}"
        self.memory_limit_in_mb = str(memory_limit_in_mb)

    def get_remaining_time_in_millis(self) -> int:
        """Return how many milliseconds are left until the invocation is cut off."""
        return max(0, self._deadline_at - self._clock.now())


async def invoke(
    function: RegisteredFunction,
    arguments: InvocationInput,
    lambda_context: LocalLambdaContext,
    client: ServiceClient,
) -> InvocationOutcome:
    """Call a function and say how it went. An answer that comes after the time limit does not count."""
    outcome: InvocationOutcome | None = None
    with trio.move_on_after(function.timeout_seconds) as time_limit:
        outcome = await _call(function, arguments, lambda_context, client)
    if outcome is None or time_limit.cancel_called:
        message = f"Task timed out after {function.timeout_seconds:g} seconds"
        return Crashed(ErrorObject(message=message, type="Sandbox.Timedout"))
    return outcome


async def _call(
    function: RegisteredFunction,
    arguments: InvocationInput,
    lambda_context: LocalLambdaContext,
    client: ServiceClient,
) -> InvocationOutcome:
    try:
        response = await function.target(encode_invocation(arguments), lambda_context, client=client)
    except Exception as problem:  # noqa: BLE001  # not swallowed: it is the outcome, and recorded as such
        return Crashed(_describe(problem))
    except SystemExit as exit_:
        message = f"The function exited with code {exit_.code!r}"
        return Crashed(ErrorObject(message=message, type="Runtime.ExitError"))
    return _read(response)


def _describe(problem: Exception) -> ErrorObject:
    stack = traceback.format_tb(problem.__traceback__)[-_MAX_STACK_LINES:]
    return ErrorObject(
        message=str(problem), type=type(problem).__name__, stack=tuple(line.rstrip("\n") for line in stack)
    )


def _read(response: object) -> InvocationOutcome:
    """Read an answer as Lambda and the service do: it has to be JSON, of a limited size, and one of three."""
    try:
        size = len(json.dumps(response).encode())
    except (TypeError, ValueError) as problem:
        return Crashed(
            ErrorObject(message=f"The response is not JSON: {problem}", type="Runtime.MarshalError")
        )
    if size > limits.MAX_RESPONSE_BYTES:
        message = f"The response has {size} bytes; at most {limits.MAX_RESPONSE_BYTES} are allowed"
        return Crashed(ErrorObject(message=message, type="Function.ResponseSizeTooLarge"))
    try:
        return decode_outcome(response)
    except WireError as problem:
        return InvalidAnswer(str(problem))
