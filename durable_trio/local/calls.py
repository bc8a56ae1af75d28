"""One call of a function, wherever it runs.

The service knows three kinds of functions: durable and plain ones of this process (``functions``), and those that run
elsewhere, which are given JSON text and answer JSON text (``PayloadTarget``). Whatever a function does (answer, raise,
die, take too long) becomes an outcome; what that means is for the pure rules to say. Only what is meant for this
process itself passes through: cancellation and KeyboardInterrupt.

The time limit is the service's: it cancels the call, and an answer that comes later does not count. A function that
first has to be started somewhere says by ``FunctionCall.began`` when its time begins to run.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Protocol, TypeAlias

from durable_trio._protocol import limits
from durable_trio._protocol.envelope import InvocationInput, decode_outcome, encode_invocation
from durable_trio._protocol.invocation_rules import Crashed, InvalidAnswer, InvocationOutcome
from durable_trio._protocol.operation import ErrorObject
from durable_trio._protocol.plain_calls import Returned
from durable_trio._protocol.wire import WireError

if TYPE_CHECKING:
    import trio

    from durable_trio.clock import Clock
    from durable_trio.local.function_config import FunctionDescription

__all__ = ["FunctionCall", "FunctionError", "PayloadTarget"]

CallOutcome: TypeAlias = InvocationOutcome | Returned
Arguments: TypeAlias = InvocationInput | str
"""What a function is called with: an invocation of an execution, or the payload of a plain call."""


class FunctionError(Exception):
    """Raised by a ``PayloadTarget``: the function has failed.

    Attributes:
        error: how, as Lambda says it; a function's own exception by its type, message and stack, or
            ``Runtime.ExitError`` and the like.
    """

    def __init__(self, error: ErrorObject) -> None:
        super().__init__(error.message)
        self.error = error


class FunctionCall:
    """What a function is told about a call of it.

    Attributes:
        request_id: the id of the invocation.
        function: which function, in which version, with which settings.
        durable_execution_arn: the execution it is an invocation of; None for a function that is not durable.
        tenant_id: on whose behalf, if the caller said so.
        log_arn: the execution to whose log its output belongs, if there is one.
        client_context: what the caller sent along for the Lambda context, as text.
        deadline_at: when it is cut off (epoch milliseconds of the service's clock).
    """

    def __init__(
        self,
        *,
        clock: Clock,
        function: FunctionDescription,
        request_id: str,
        durable_execution_arn: str | None,
        tenant_id: str | None,
        log_arn: str | None,
        client_context: str | None = None,
    ) -> None:
        self.function = function
        self.request_id = request_id
        self.durable_execution_arn = durable_execution_arn
        self.tenant_id = tenant_id
        self.log_arn = log_arn
        self.client_context = client_context
        self.deadline_at = 0
        self._clock = clock
        self._has_begun = False
        self._scope: trio.CancelScope | None = None
        self._restart()

    def __repr__(self) -> str:
        return (
            f"<FunctionCall {self.request_id} of {self.function.name}, {self.remaining_seconds():g} s left>"
        )

    def remaining_seconds(self) -> float:
        """Return how long it may still take, in seconds; never less than 0."""
        return max(0, self.deadline_at - self._clock.now()) / 1000

    def began(self) -> None:
        """Say that the function's own code starts now; its time limit counts from here, the first time."""
        if not self._has_begun:
            self._has_begun = True
            self._restart()

    def _restart(self) -> None:
        seconds = self.function.config.timeout_seconds
        self.deadline_at = self._clock.now() + math.floor(seconds * 1000)
        if self._scope is not None:
            self._scope.deadline = self._clock.trio_deadline(self.deadline_at)

    async def make(self, runner: Runner, arguments: Arguments) -> CallOutcome:
        """Have *runner* call the function, and say how it went."""
        outcome: CallOutcome | None = None
        with self._clock.scope(lambda: self._clock.trio_deadline(self.deadline_at)) as scope:
            self._scope = scope
            outcome = await runner.run(self, arguments)
        if outcome is None or scope.cancel_called:
            message = f"Task timed out after {self.function.config.timeout_seconds:g} seconds"
            return Crashed(ErrorObject(message=message, type="Sandbox.Timedout"))
        return outcome


class Runner(Protocol):
    """Knows how to call one function."""

    async def run(self, call: FunctionCall, arguments: Arguments) -> CallOutcome:
        """Call the function. If cancelled, the function is not to go on."""
        ...


class PayloadTarget(Protocol):
    """A function that runs elsewhere: in another process, on another machine."""

    async def __call__(self, payload: str, call: FunctionCall, /) -> str:
        """Call the function with JSON text and return the JSON text of its answer.

        Cancelled at ``call.deadline_at``, and when the service is closed; the function must not go on then.

        Raises:
            FunctionError: the function has failed.
        """
        ...


class RemoteRunner:
    """Calls a ``PayloadTarget``. Any other exception of its than ``FunctionError`` counts as a failed call too."""

    def __init__(self, target: PayloadTarget) -> None:
        self._target = target

    async def run(self, call: FunctionCall, arguments: Arguments) -> CallOutcome:
        """Call the function."""
        payload = arguments if isinstance(arguments, str) else json.dumps(encode_invocation(arguments))
        try:
            text = await self._target(payload, call)
        except FunctionError as failure:
            return Crashed(failure.error)
        except Exception as problem:  # noqa: BLE001  # not swallowed: it is the outcome, and recorded as such
            return Crashed(ErrorObject(message=str(problem), type=type(problem).__name__))
        return read_plain_text(text) if isinstance(arguments, str) else read_text(text)


def read_text(text: str) -> InvocationOutcome:
    """Read a durable function's answer, as JSON text."""
    too_large = _too_large(text)
    if too_large is not None:
        return too_large
    try:
        return decode_outcome(json.loads(text))
    except (ValueError, RecursionError, WireError) as problem:
        return InvalidAnswer(str(problem))


def read_plain_text(text: str) -> Returned | Crashed:
    """Read the answer of a function that is not durable, as JSON text."""
    too_large = _too_large(text)
    if too_large is not None:
        return too_large
    try:
        json.loads(text)
    except (ValueError, RecursionError) as problem:
        return Crashed(
            ErrorObject(message=f"The response is not JSON: {problem}", type="Runtime.MarshalError")
        )
    return Returned(text)


def _too_large(text: str) -> Crashed | None:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size <= limits.MAX_RESPONSE_BYTES:
        return None
    message = f"The response has {size} bytes; at most {limits.MAX_RESPONSE_BYTES} are allowed"
    return Crashed(ErrorObject(message=message, type="Function.ResponseSizeTooLarge"))
