"""``@durable_execution``: the Lambda entry point, and the event loops it runs under."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trio
from support.clients import FakeService

from durable_trio import (
    ConfigurationError,
    DurableContext,
    DurableHandler,
    ReplayLogging,
    ValidationError,
    custom_serdes,
    durable_execution,
)
from durable_trio._protocol.envelope import InvocationInput, encode_invocation
from durable_trio._protocol.operation import ExecutionDetails, OperationRecord, OperationStatus, OperationType

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST/durable-execution/run/the-id"
EVENT = encode_invocation(
    InvocationInput(
        ARN,
        "token",
        (
            OperationRecord(
                "the-id", OperationType.EXECUTION, OperationStatus.STARTED, 1, details=ExecutionDetails("41")
            ),
        ),
    )
)
ANSWER = {"Status": "SUCCEEDED", "Result": "42"}


class LateService:
    """A service in memory for one execution after the other; made when asked: its clock needs a Trio run."""

    def __init__(self) -> None:
        self._made: FakeService | None = None

    async def checkpoint(self, **request: Any) -> Any:
        """Pass it on; an execution begins with its first token."""
        if self._made is None or request["checkpoint_token"] == "token":
            self._made = FakeService()
        return await self._made.checkpoint(**request)

    async def get_state(self, **request: Any) -> Any:
        """Say that there is nothing to page through."""
        raise AssertionError("the event has no marker")


async def add_one(value: int) -> int:
    """Return *value* and one."""
    return value + 1


async def plus_one(event: int, ctx: DurableContext) -> int:
    """Be a handler with a step."""
    return await ctx.step(add_one, event)


class PlusOne:
    """A handler as an object."""

    async def handle(self, event: int, ctx: DurableContext) -> int:
        """Be the handler."""
        return await plus_one(event, ctx)


class CallableObject:
    """A handler as an object that is called."""

    async def __call__(self, event: int, ctx: DurableContext) -> int:
        """Be the handler."""
        return await plus_one(event, ctx)


async def more_than_one(by: int, event: int, ctx: DurableContext) -> int:
    """Be a handler with an argument of its own."""
    return await plus_one(event, ctx) + by


STYLES: dict[str, Any] = {
    "call": lambda client: durable_execution(plus_one, client=client),
    "decorator with options": lambda client: durable_execution(client=client)(plus_one),
    "object with handle": lambda client: durable_execution(PlusOne(), client=client),
    "callable object": lambda client: durable_execution(CallableObject(), client=client),
    "partial": lambda client: durable_execution(functools.partial(more_than_one, 0), client=client),
}


@pytest.mark.parametrize("style", STYLES)
def test_handler_styles(style: str) -> None:
    """However it is made, a handler is a plain callable ``(event, lambda_context)`` for Lambda."""
    handler: DurableHandler[Any, Any] = STYLES[style](LateService())

    assert handler(EVENT, None) == ANSWER
    assert handler(EVENT) == ANSWER


def test_the_bare_decorator() -> None:
    """Without options the function is decorated as it is, and keeps its name and docstring."""
    handler = durable_execution(plus_one)

    assert isinstance(handler, DurableHandler)
    assert handler.__name__ == "plus_one"  # type: ignore[attr-defined]  # copied by functools.update_wrapper
    assert handler.__doc__ == plus_one.__doc__
    assert "plus_one" in repr(handler)


async def test_the_function_stays_testable() -> None:
    """``handler.fn`` is the wrapped function, to be called with a context of the test's own."""

    class Context:
        async def step(self, fn: Any, *args: Any) -> Any:
            return await fn(*args)

    handler = durable_execution(plus_one)

    assert handler.fn is plus_one
    assert await handler.fn(1, Context()) == 2  # type: ignore[arg-type]  # a stand-in


def plain(event: Any, ctx: Any) -> None:
    """Be no handler."""


async def generator(event: Any, ctx: Any) -> Any:
    """Be no handler, either."""
    yield 1


@pytest.mark.parametrize("fn", [plain, lambda event, ctx: None, generator, PlusOne, 7, "text", object()])
def test_what_is_no_handler(fn: Any) -> None:
    """Anything but an async function is refused when it is decorated, with the remedy."""
    with pytest.raises(ConfigurationError, match="async def"):
        durable_execution(fn)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("client", object()),
        ("serdes", "json"),
        ("handler_serdes", 7),
        ("replay_logging", "LOUD"),
        ("replay_logging", None),
    ],
)
def test_bad_options(option: str, value: Any) -> None:
    """A bad option is refused when the handler is made, with its name."""
    with pytest.raises(ValidationError, match=option):
        durable_execution(plus_one, **{option: value})


def test_options_may_be_wire_text() -> None:
    """Enumerations take their members' text as well."""
    assert durable_execution(plus_one, replay_logging="ALLOW_ALL")  # type: ignore[call-overload]  # wire text
    assert durable_execution(plus_one, replay_logging=ReplayLogging.ERRORS_ONLY)


def test_unknown_options_are_refused() -> None:
    """No option is accepted and ignored."""
    with pytest.raises(TypeError, match="retries"):
        durable_execution(plus_one, retries=3)  # type: ignore[call-overload]  # the mistake


def test_the_handlers_serializer() -> None:
    """``handler_serdes`` decodes the input and encodes the result; ``serdes`` touches neither."""
    text = custom_serdes(lambda value: f"<{value}>", lambda payload: int(payload) * 100)
    handler = durable_execution(plus_one, client=LateService(), handler_serdes=text)

    assert handler(EVENT) == {"Status": "SUCCEEDED", "Result": "<4101>"}


async def test_the_entry_point_inside_a_trio_run() -> None:
    """Called inside a Trio run the entry point is refused, and ``invoke`` named as the way."""
    with pytest.raises(ConfigurationError, match=r"await handler\.invoke"):
        durable_execution(plus_one)(EVENT)


async def test_invoke_inside_a_trio_run() -> None:
    """``await handler.invoke(...)`` runs an invocation in the Trio run that is there, with its own client."""
    handler = durable_execution(plus_one)

    assert await handler.invoke(EVENT, None, client=FakeService()) == ANSWER


def test_invoke_under_anyio() -> None:
    """``anyio.run(..., backend="trio")`` is a Trio run like any other."""

    async def main() -> Any:
        return await durable_execution(plus_one).invoke(EVENT, client=FakeService())

    assert anyio.run(main, backend="trio") == ANSWER


def test_invoke_under_asyncio_is_refused() -> None:
    """Under asyncio ``invoke`` says what to do instead."""

    async def main() -> None:
        await durable_execution(plus_one, client=LateService()).invoke(EVENT)

    with pytest.raises(ConfigurationError, match="to_thread"):
        asyncio.run(main())


def test_an_asyncio_program_calls_the_handler_in_a_thread() -> None:
    """What the error recommends works."""

    async def main() -> Any:
        return await anyio.to_thread.run_sync(durable_execution(plus_one, client=LateService()), EVENT, None)

    assert asyncio.run(main()) == ANSWER


def test_each_invocation_is_a_trio_run_of_its_own() -> None:
    """The entry point leaves no Trio run behind, and may be called again and again."""

    async def runs_itself(event: Any, ctx: DurableContext) -> str:
        return trio.lowlevel.current_task().name.rpartition(".")[2]

    handler = durable_execution(runs_itself, client=LateService())

    assert handler(EVENT)["Result"] == handler(EVENT)["Result"]
    assert not trio.lowlevel.in_trio_run()
