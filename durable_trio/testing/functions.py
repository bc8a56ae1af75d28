"""Functions that a handler calls by chained invokes, as a test has them answer.

``DurableRunner(functions={...})`` takes durable handlers, which run as executions of their own, and plain functions,
called as Lambda calls one: ``fn(event)`` or ``fn(event, lambda_context)``. ``runner.function(name)`` is a handle of any of
them, and one that has not been given is *scripted* by its handle. The payloads of all calls are kept.
"""

from __future__ import annotations

import inspect
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

from durable_trio._protocol.envelope import decode_invocation
from durable_trio._protocol.operation import ErrorObject, ExecutionDetails
from durable_trio._runtime.bodies import is_async_function
from durable_trio.exceptions import ConfigurationError, ValidationError
from durable_trio.handler import DurableHandler
from durable_trio.serdes import SerdesContext, plain_json
from durable_trio.testing.callbacks import error_object

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio.testing._driver import CallNext, Invocation

__all__ = ["FunctionHandle"]

_Step: TypeAlias = "Callable[[Any, Any], Awaitable[Any]]"
"""Answers one call: ``await step(event, lambda_context)``."""

_TIMED_OUT: Final = ErrorObject(message="Task timed out after 3.00 seconds", type="Sandbox.Timedout")


class FunctionHandle:
    """A function that the handler under test may call by name. Made by ``DurableRunner.function``.

    Attributes:
        name: the function's name.
        payloads: what it has been called with, in order, read as JSON (text that is none is kept as it is).
    """

    def __init__(self, name: str, given: Any = None) -> None:
        self.name = name
        self.payloads: list[Any] = []
        self.handler: DurableHandler[Any, Any] | None = given if isinstance(given, DurableHandler) else None
        self._script: list[_Step] = []
        self._call = 0
        if given is not None and self.handler is None:
            self.calls(given)

    def __repr__(self) -> str:
        return f"<FunctionHandle {self.name!r}, called {self.call_count} times>"

    @property
    def call_count(self) -> int:
        """How often it has been called."""
        return len(self.payloads)

    # --- the script --------------------------------------------------------------------------------------

    def returns(self, *values: Any) -> FunctionHandle:
        """Answer one call after the other with these values, and with the last one from then on.

        Raises:
            ValidationError: there is no value.
            SerDesError: a value is no JSON.
        """
        if not values:
            raise ValidationError("returns() needs at least one value; returns(None) answers null")
        texts = [plain_json.serialize(value, SerdesContext("", "", self.name)) for value in values]
        return self._scripted([_returning(json.loads(text)) for text in texts])

    def raises(self, *errors: ErrorObject | BaseException | str) -> FunctionHandle:
        """Fail one call after the other with these errors, and with the last one from then on.

        An exception is reported by its type's name and its message, as Lambda does.

        Raises:
            ValidationError: there is no error.
        """
        if not errors:
            raise ValidationError("raises() needs at least one error")
        return self._scripted([_raising(error_object(error)) for error in errors])

    def times_out(self) -> FunctionHandle:
        """Fail as a function does that is cut off by Lambda, but at once."""
        return self._scripted([_raising(_TIMED_OUT)])

    def calls(self, function: Callable[..., Any]) -> FunctionHandle:
        """Answer with what *function* returns: ``fn(event)`` or ``fn(event, lambda_context)``, plain or async.

        What it raises is reported as Lambda does. A plain function runs in a worker thread.

        Raises:
            ValidationError: *function* cannot be called with one or two arguments.
        """
        return self._scripted([_calling(self.name, function)])

    def _scripted(self, steps: list[_Step]) -> FunctionHandle:
        if self.handler is not None:
            raise ValidationError(f"function {self.name!r} is a durable handler: it answers for itself")
        self._script, self._call = steps, 0
        return self

    # --- being called ------------------------------------------------------------------------------------

    async def note(self, invocation: Invocation, call_next: CallNext) -> Any:
        """Be the interposer that notes what a durable handler is called with."""
        if invocation.number == 1:
            self.payloads.append(_input_of(invocation.event))
        return await call_next(invocation)

    async def answer(self, event: Any, lambda_context: Any) -> Any:
        """Be the function that is not durable, as the local service calls it.

        Raises:
            Exception: it fails, as its script says.
            ConfigurationError: there is no script.
        """
        self.payloads.append(event)
        if not self._script:
            raise ConfigurationError(f"runner.function({self.name!r}) has not been told what to answer")
        step = self._script[min(self._call, len(self._script) - 1)]
        self._call += 1
        return await step(event, lambda_context)


def _returning(value: Any) -> _Step:
    async def step(_event: Any, _lambda_context: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return value

    return step


def _raising(error: ErrorObject) -> _Step:
    # Lambda reports an exception by the name of its type.
    kind = type(error.type or "Exception", (Exception,), {})

    async def step(_event: Any, _lambda_context: Any) -> Any:
        await trio.lowlevel.checkpoint()
        raise kind(error.message or "")

    return step


def _calling(name: str, function: Callable[..., Any]) -> _Step:
    takes_context = _takes_context(name, function)
    is_async = is_async_function(function)

    async def step(event: Any, lambda_context: Any) -> Any:
        arguments = (event, lambda_context) if takes_context else (event,)
        if is_async:
            return await function(*arguments)
        return await trio.to_thread.run_sync(function, *arguments)

    return step


def _takes_context(name: str, function: Callable[..., Any]) -> bool:
    if not callable(function):
        raise ValidationError(
            f"function {name!r} must be a durable handler or a function fn(event) or fn(event, context), not {function!r}"
        )
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a builtin without one
        return False
    for arguments, takes_context in (((None, None), True), ((None,), False)):
        with suppress(TypeError):
            signature.bind(*arguments)
            return takes_context
    raise ValidationError(f"function {name!r} must take (event) or (event, lambda_context), not {signature}")


def _input_of(event: dict[str, Any]) -> Any:
    details = decode_invocation(event).operations[0].details
    text = details.input_payload if isinstance(details, ExecutionDetails) else None
    try:
        return json.loads(text or "null")
    except ValueError:
        return text
