"""Steps and retry strategies."""

from __future__ import annotations

import contextvars
import re
import threading
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import trio
from acceptance.kit import run, sent

from durable_trio import (
    DurableContext,
    Duration,
    OperationStatus,
    SerDesError,
    StepConfig,
    StepContext,
    StepError,
    StepInterruptedError,
    StepSemantics,
    StepTimeoutError,
    ValidationError,
    current_step,
    custom_serdes,
    durable_execution,
    exponential_backoff,
    fixed_delay,
    no_retry,
)
from durable_trio.testing import FakeServiceClient

AT_MOST_ONCE = StepSemantics.AT_MOST_ONCE_PER_RETRY
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


async def give(value: Any) -> Any:
    """Return *value*."""
    return value


async def fail(text: str = "no") -> None:
    """Raise a ValueError."""
    raise ValueError(text)


def test_bodies_of_every_kind() -> None:
    """Async, plain (in a worker thread, with context variables), partials, lambdas, callable objects."""

    class Callable:
        async def __call__(self, value: int) -> int:
            return value

    def plain(value: int) -> tuple[int, bool, str]:
        return value, threading.current_thread() is threading.main_thread(), variable.get()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        variable.set("set")
        return [
            await ctx.step(give, 1),
            await ctx.step(plain, 2),
            await ctx.step(partial(give, value=3), name="p"),
            await ctx.step(lambda: give(4), name="l"),
            await ctx.step(Callable(), 5, name="c"),
            await ctx.step(lambda: 6, name="plain lambda"),
        ]

    assert run(handler).result == [1, [2, False, "set"], 3, 4, 5, 6]


def test_default_names() -> None:
    """The function's name, partials unwrapped; explicit names win; names are 1 to 256 printable ASCII."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(give, 1)
        await ctx.step(partial(give, 2))
        await ctx.step(give, 3, name="third")

    assert [o.name for o in run(handler).operations] == ["give", "give", "third"]


@pytest.mark.parametrize("name", ["", "x" * 257, "tab\t", "ä", "new\nline"])
def test_names_out_of_range_are_refused(name: str) -> None:
    """A ``ValidationError`` at the call, and nothing is sent."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        with pytest.raises(ValidationError, match="256"):
            ctx.step(give, 1, name=name)
        return None

    client = FakeServiceClient()
    assert client.invoke_sync(handler)["Status"] == "SUCCEEDED"
    assert client.updates == []


def test_a_refused_call_takes_no_id() -> None:
    """Validation comes before the id: what follows has the id it would have had."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        with pytest.raises(ValidationError):
            ctx.step(give, 1, name="")
        with pytest.raises(TypeError):
            ctx.wait(5)  # type: ignore[arg-type]  # the mistake under test
        await ctx.step(give, 1)

    assert run(handler)[0].id == "1ced8f5be2db23a6513eba4d819c73806424748a7bc6fa0d792cc1c7d1775a97"


def test_at_least_once_start_rides_with_the_end() -> None:
    """START is not awaited: a plain step is one request with START and SUCCEED."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(give, 1)

    finished = run(handler)
    assert [[(u.type, u.action) for u in call.updates] for call in finished.calls] == [
        [("STEP", "START"), ("STEP", "SUCCEED")]
    ]


def test_at_most_once_start_is_acknowledged_first() -> None:
    """START is stored before the body runs."""
    seen: list[int] = []
    client = FakeServiceClient()

    async def body() -> None:
        seen.append(len(client.recorded("body")))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(body, semantics=AT_MOST_ONCE)

    client.invoke_sync(handler)
    assert seen == [1]
    assert [[str(u.action) for u in call] for call in client.calls] == [["START"], ["SUCCEED"]]


def test_started_on_entry() -> None:
    """At least once runs again; at most once goes to the strategy with ``StepInterruptedError``."""
    ran: list[int] = []

    async def body() -> int:
        ran.append(current_step().attempt)
        return 7

    @durable_execution
    async def at_least(event: Any, ctx: DurableContext) -> int:
        return await ctx.step(body)

    seen: list[tuple[str, int]] = []

    def strategy(error: Exception, attempt: int) -> Duration | None:
        seen.append((type(error).__name__, attempt))
        return Duration.seconds(1) if attempt < 2 else None

    @durable_execution
    async def at_most(event: Any, ctx: DurableContext) -> int:
        return await ctx.step(body, semantics=AT_MOST_ONCE, retry=strategy)

    @durable_execution
    async def at_most_no_retry(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.step(body, semantics=AT_MOST_ONCE, retry=no_retry())
        except StepInterruptedError as error:
            return error.error_type
        return "ran"

    client = FakeServiceClient()
    client.given_step("body", status=OperationStatus.STARTED, attempt=0)
    assert client.invoke_sync(at_least)["Result"] == "7"
    assert ran == [1]

    client = FakeServiceClient()
    client.given_step("body", status=OperationStatus.STARTED, attempt=0)
    assert client.invoke_sync(at_most) == {"Status": "PENDING"}
    assert seen == [("StepInterruptedError", 1)]
    (retry,) = client.assert_recorded("body", "RETRY")
    assert retry.error is not None
    assert retry.error.type == "StepInterruptedError"
    assert ran == [1]

    client = FakeServiceClient()
    client.given_step("body", status=OperationStatus.STARTED, attempt=0)
    assert client.invoke_sync(at_most_no_retry)["Result"] == '"StepInterruptedError"'
    client.assert_recorded("body", "FAIL")


def test_retries_on_the_wire() -> None:
    """RETRY carries the error and the delay; the next attempt sends START again; attempts count from 1."""
    attempts: list[int] = []

    async def flaky() -> str:
        attempts.append(current_step().attempt)
        if len(attempts) < 3:
            raise ConnectionError("later")
        return "ok"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        return await ctx.step(flaky, retry=fixed_delay(Duration.seconds(2.5), max_attempts=3))

    finished = run(handler)
    assert finished.result == "ok"
    assert attempts == [1, 2, 3]
    updates = sent(finished, "flaky")
    assert [str(u.action) for u in updates] == ["START", "RETRY", "START", "RETRY", "START", "SUCCEED"]
    assert updates[1].options.next_attempt_delay_seconds == 3
    assert updates[1].error.type == "ConnectionError"
    assert finished["flaky"].attempts == 3


def test_pending_is_honoured_when_the_execution_wakes_for_another_reason() -> None:
    """A step that waits for its retry is not run early because something else woke the execution."""
    at: list[float] = []

    async def flaky() -> None:
        at.append(trio.current_time())
        if len(at) == 1:
            raise ConnectionError("later")

    async def waits(ctx: DurableContext) -> None:
        await ctx.wait(Duration.seconds(10))

    async def retries(ctx: DurableContext) -> None:
        await ctx.step(flaky, retry=fixed_delay(Duration.minutes(1)))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        (await ctx.parallel([waits, retries])).results()

    run(handler).assert_succeeded()
    assert at[1] - at[0] > 59.99  # the service keeps milliseconds


def test_the_default_strategy_has_six_attempts() -> None:
    """``retry=None`` is AWS's default preset; ``no_retry()`` is none."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        tries = []
        for retry in (None, no_retry()):
            try:
                await ctx.step(fail, retry=retry)
            except StepError as error:
                tries.append(error.error_type)
        return tries

    finished = run(handler)
    assert finished.result == ["ValueError"] * 2
    assert [o.attempts for o in finished.operations] == [6, 1]


def test_step_timeouts() -> None:
    """The body is cancelled, the strategy sees ``StepTimeoutError``, and it is recorded like any failure."""
    seen: list[str] = []

    def strategy(error: Exception, attempt: int) -> timedelta | None:
        seen.append(type(error).__name__)
        return timedelta(seconds=1) if attempt == 1 else None

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.step(trio.sleep, 60, timeout=Duration.seconds(2), retry=strategy)
        except StepTimeoutError as error:
            await ctx.wait(Duration.seconds(1))
            return error.error_type
        return "slept"

    assert run(handler).result == "StepTimeoutError"
    assert seen == ["StepTimeoutError"] * 2


def test_a_timeout_of_a_plain_function_is_refused() -> None:
    """Threads cannot be stopped."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        with pytest.raises(ValidationError, match="plain function"):
            ctx.step(len, "abc", timeout=Duration.seconds(1))

    run(handler).assert_succeeded()


def test_conditions_of_a_strategy() -> None:
    """``retry_on``, ``retry_if`` and ``retryable_errors`` (substring or pattern) come before the budget."""
    on = exponential_backoff(max_attempts=5, retry_on=(ConnectionError, TimeoutError))
    assert on(ConnectionResetError("x"), 1) is not None
    assert on(ValueError("x"), 1) is None
    by_type = exponential_backoff(max_attempts=5, retry_on=ConnectionError)
    assert by_type(ConnectionError("x"), 1) is not None
    when = exponential_backoff(max_attempts=5, retry_if=lambda error: "again" in str(error))
    assert when(ValueError("again"), 1) is not None
    assert when(ValueError("never"), 1) is None
    texts = exponential_backoff(max_attempts=5, retryable_errors=["busy", re.compile(r"code 5\d\d")])
    assert texts(ValueError("it is busy now"), 1) is not None
    assert texts(ValueError("code 503"), 1) is not None
    assert texts(ValueError("code 404"), 1) is None
    assert texts(ValueError("busy"), 5) is None


def test_step_context() -> None:
    """``current_step()`` inside a body; a clear error outside; one key for all attempts of a step."""
    seen: list[StepContext] = []

    async def body() -> None:
        seen.append(current_step())
        if len(seen) == 1:
            raise ValueError("again")

    def plain() -> None:
        seen.append(current_step())

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        with pytest.raises(Exception, match="step"):
            current_step()
        await ctx.step(body, name="one", retry=fixed_delay(Duration.seconds(1)))
        await ctx.step(plain)
        return ctx.execution_arn

    finished = run(handler)
    first, again, other = seen
    assert (first.operation_id, first.name, first.parent_id) == (finished["one"].id, "one", None)
    assert (first.attempt, again.attempt, other.attempt) == (1, 2, 1)
    assert first.execution_arn == finished.result
    assert first.idempotency_key == again.idempotency_key != other.idempotency_key
    assert first.logger is not None


def test_results_are_decoded_copies() -> None:
    """What comes back is what was stored, also on the first run; None is allowed."""
    made: list[dict[str, Any]] = []

    async def make() -> dict[str, Any]:
        made.append({"a": [1]})
        return made[-1]

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        value = await ctx.step(make)
        assert value == made[0]
        assert value is not made[0]
        return await ctx.step(give, None)

    assert run(handler).result is None


def test_serdes_errors_fail_a_step_without_retries() -> None:
    """A result that cannot be stored is a FAIL at once."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.step(give, object())
        except StepError as error:
            return error.error_type
        return "stored"

    finished = run(handler)
    assert finished.result == SerDesError.__name__
    assert [str(u.action) for u in sent(finished, "give")][-1] == "FAIL"
    assert finished["give"].attempts == 1


def test_options_as_a_config() -> None:
    """``config=`` is the same as keywords, and keywords win."""
    shout = custom_serdes(lambda value: value.upper(), lambda text: text)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        config = StepConfig(retry=no_retry(), semantics=AT_MOST_ONCE, serdes=shout)
        a = await ctx.step(give, "a", config=config)
        b = await ctx.step(give, "b", config=config, serdes=custom_serdes(str, str))
        return [a, b]

    finished = run(handler)
    assert finished.result == ["A", "b"]
    assert [len(call.updates) for call in finished.calls] == [1, 1, 1, 1]


def test_a_sub_type_of_ones_own() -> None:
    """``sub_type=`` is recorded; the default is ``Step``."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(give, 1)
        await ctx.step(give, 1, sub_type="Charge")

    assert [o.sub_type for o in run(handler).operations] == ["Step", "Charge"]


def test_the_type_of_a_failure() -> None:
    """``StepError`` carries type, message, data, stack, id and name; ``except ValueError`` never matches."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.step(fail, "because", retry=no_retry(), name="f")
        except ValueError:
            pytest.fail("a step's error is never the original")
        except StepError as error:
            seen.append(
                (
                    error.error_type,
                    error.message,
                    str(error),
                    error.operation_name,
                    error.operation_id,
                    error.data,
                )
            )
            assert any("raise ValueError" in line or "fail" in line for line in error.stack)
            assert error.__cause__ is None
        await ctx.wait(Duration.seconds(1))

    finished = run(handler)
    finished.assert_succeeded()
    assert seen == [("ValueError", "because", "because", "f", finished["f"].id, None)] * 2
