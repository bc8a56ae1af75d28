"""One invocation: what it is called with, and what it answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from support.clients import FakeService, PassingClient, Script
from support.runs import run
from trio.testing import MockClock

from durable_trio import (
    CheckpointError,
    ConfigurationError,
    ContextUseError,
    DurableContext,
    Duration,
    ExecutionError,
    GetStateError,
    InvalidTokenError,
    InvocationError,
    NonDeterministicExecutionError,
    RetryableSerDesError,
    SerDesError,
    StatePage,
    StepError,
    ThrottlingError,
    custom_serdes,
    durable_error,
    durable_execution,
    no_retry,
)
from durable_trio._protocol import limits
from durable_trio._protocol.envelope import InvocationInput, encode_invocation
from durable_trio._protocol.operation import ExecutionDetails, OperationRecord, OperationStatus, OperationType
from durable_trio.clients import ServiceClient
from durable_trio.local import LocalSettings

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST/durable-execution/run/the-id"


@durable_error
class Declined(Exception):
    """A business error of these tests."""


def event_with(payload: str | None = "null", *, marker: str = "", is_missing: bool = False) -> dict[str, Any]:
    """Return the event of a first invocation."""
    execution = OperationRecord(
        "the-id",
        OperationType.EXECUTION,
        OperationStatus.STARTED,
        1_700_000_000_000,
        details=ExecutionDetails(payload),
    )
    operations = () if is_missing else (execution,)
    return encode_invocation(InvocationInput(ARN, "first-token", operations, marker))


async def give(value: Any) -> Any:
    """Return *value*."""
    return value


# --- what it is called with -------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [None, {}, {"order": 1}, {"DurableExecutionArn": ARN}, [], "text"])
async def test_an_event_that_is_no_durable_invocation(event: Any) -> None:
    """Without the envelope the error says that the function has no DurableConfig."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        raise AssertionError("must not run")

    with pytest.raises(ConfigurationError, match="DurableConfig"):
        await handler.invoke(event, client=FakeService())


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("CheckpointToken", ""),
        ("CheckpointToken", 7),
        ("DurableExecutionArn", None),
        ("InitialExecutionState", []),
        ("InitialExecutionState", {"Operations": "none"}),
        ("InitialExecutionState", {"Operations": [{"Id": "x"}]}),
        ("UpdatedOperationIds", "x"),
    ],
)
async def test_a_malformed_envelope(member: str, value: Any) -> None:
    """A malformed member is a clear error that names the event, before any code of the user's runs."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        raise AssertionError("must not run")

    with pytest.raises(ConfigurationError, match="malformed"):
        await handler.invoke({**event_with(), member: value}, client=FakeService())


@pytest.mark.parametrize(
    ("payload", "seen"),
    [(None, {}), ("", {}), ("null", None), ("7", 7), ('{"a": [1, "é"]}', {"a": [1, "é"]})],
)
async def test_the_handlers_input(payload: str | None, seen: Any, autojump_clock: MockClock) -> None:
    """The event is the decoded input; an absent or empty one is ``{}``. The raw text is there as well."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return [event, ctx.original_input, ctx.original_input_raw, ctx.execution_arn]

    answer = await handler.invoke(event_with(payload), client=FakeService())

    assert json.loads(answer["Result"]) == [seen, seen, payload or "", ARN]


async def test_input_that_is_not_json(autojump_clock: MockClock) -> None:
    """Input that cannot be decoded fails the execution, without running the handler."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        raise AssertionError("must not run")

    answer = await handler.invoke(event_with("{"), client=FakeService())

    assert answer["Status"] == "FAILED"
    assert answer["Error"]["ErrorType"] == "SerDesError"


async def test_every_page_is_read_before_the_handler_runs(autojump_clock: MockClock) -> None:
    """With pages of one operation, nothing that is recorded is executed again, and nothing is read twice."""
    runs: list[int] = []
    reads: list[list[str]] = []

    class Reading(PassingClient):
        async def get_state(self, **request: Any) -> StatePage:
            reads[-1].append(f"get_state {request['max_items']}")
            return await super().get_state(**request)

    def wrap(inner: ServiceClient, invocation: int) -> ServiceClient:
        reads.append([])
        return Reading(inner)

    async def body(n: int) -> int:
        runs.append(n)
        return n

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        reads[-1].append("handler")
        results = [await ctx.step(body, n) for n in range(7)]
        await ctx.wait(Duration.seconds(1))
        return results

    finished = await run(handler, wrap=wrap, settings=LocalSettings(page_operations=1))

    assert finished.result == list(range(7))
    assert runs == list(range(7))
    assert reads[0] == ["handler"]
    assert reads[1][-1] == "handler"
    assert set(reads[1][:-1]) == {"get_state 1000"}


async def test_a_missing_execution_operation(autojump_clock: MockClock) -> None:
    """If no page has the EXECUTION operation, the execution fails with an error that says so."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        raise AssertionError("must not run")

    service = FakeService()
    service.pages = [[], []]
    answer = await handler.invoke(event_with(marker="page-0", is_missing=True), client=service)

    assert answer["Status"] == "FAILED"
    assert "EXECUTION" in answer["Error"]["ErrorMessage"]
    assert service.read_tokens == ["first-token"] * 2


@pytest.mark.parametrize(
    ("error", "is_raised"),
    [
        (GetStateError("no"), False),
        (GetStateError("down", is_retryable=True), True),
        (InvalidTokenError("stale"), True),
        (ThrottlingError("slow down"), True),
    ],
)
async def test_state_that_cannot_be_read(
    error: Exception, is_raised: bool, autojump_clock: MockClock
) -> None:
    """A passing failure to read the state is raised for Lambda to retry; another fails the execution."""

    class Broken(PassingClient):
        async def get_state(self, **request: Any) -> StatePage:
            raise error

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        raise AssertionError("must not run")

    broken = Broken(FakeService())
    if is_raised:
        with pytest.raises(type(error)):
            await handler.invoke(event_with(marker="page-0"), client=broken)
    else:
        answer = await handler.invoke(event_with(marker="page-0"), client=broken)
        assert answer["Error"]["ErrorType"] == type(error).__name__


# --- results ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("excess", [0, 1])
async def test_a_result_at_the_limit_of_a_response(excess: int, autojump_clock: MockClock) -> None:
    """The encoded response counts: what fits is returned, one byte more is checkpointed first."""
    envelope = len(json.dumps({"Status": "SUCCEEDED", "Result": ""}))
    # Two quotes around the text, each escaped in the envelope.
    size = limits.MAX_RESPONSE_BYTES - envelope - 4 + excess

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        return "x" * size

    finished = await run(handler)

    assert len(finished.result) == size
    assert [str(call) for call in finished.calls] == (["EXECUTION SUCCEED"] if excess else [])
    assert (finished.answers[-1]["Result"] == "") is bool(excess)


async def test_quotes_count_double(autojump_clock: MockClock) -> None:
    """3.1 million quotes fit as text, but not escaped: the result is checkpointed, not refused by Lambda."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        return '"' * 3_100_000

    finished = await run(handler)

    assert len(finished.result) == 3_100_000
    assert finished.answers == [{"Status": "SUCCEEDED", "Result": ""}]


async def test_a_result_that_nobody_takes(autojump_clock: MockClock) -> None:
    """A result over the service's payload limit fails the execution with an error that says so."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        return "x" * 6_300_000

    finished = await run(handler)

    assert finished.error.type == "SizeLimitError"
    assert "6,300,002 bytes" in (finished.error.message or "")


async def test_a_result_that_cannot_be_serialized(autojump_clock: MockClock) -> None:
    """A result that is not JSON fails the execution, with the path to what cannot be stored."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        await ctx.step(give, 1)
        return {"a": [object()]}

    finished = await run(handler)

    assert finished.error.type == "SerDesError"
    assert "a" in (finished.error.message or "")


@pytest.mark.parametrize("length", [40_000, 1_000_000])
async def test_an_error_that_is_too_long(length: int, autojump_clock: MockClock) -> None:
    """An error is cut to what the service takes; its type and the beginning of its message survive."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        raise ValueError("begin " + "é" * length)

    finished = await run(handler)

    assert finished.error.type == "ValueError"
    assert (finished.error.message or "").startswith("begin é")
    assert (finished.error.message or "").endswith("[cut]")


async def test_everything_is_durable_before_the_answer(autojump_clock: MockClock) -> None:
    """What was only queued (a child's end) is recorded before SUCCEEDED and before FAILED."""

    async def child(ctx: DurableContext) -> int:
        return await ctx.step(give, 1)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        value = await ctx.run_in_child_context(child)
        if event:
            raise ValueError("afterwards")
        return value

    for event in (False, True):
        finished = await run(handler, event)
        assert "ContextSucceeded" in finished.event_types


# --- errors ----------------------------------------------------------------------------------------------

RAISED: list[Exception] = [
    InvocationError("try again"),
    RetryableSerDesError("cannot reach the key service"),
    CheckpointError("down", is_retryable=True),
    ThrottlingError("slow down"),
    InvalidTokenError("stale"),
]
FAILING: list[Exception] = [
    ValueError("plain"),
    ExecutionError("for good"),
    NonDeterministicExecutionError("changed"),
    CheckpointError("refused"),
    SerDesError("no form"),
    ContextUseError("wrong place"),
    StepError("from elsewhere"),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
async def test_errors_that_lambda_is_to_retry(error: Exception, autojump_clock: MockClock) -> None:
    """What another invocation may cure is raised as itself; the next invocation goes on."""
    errors = [error]

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        if errors:
            raise errors.pop()
        return "second time"

    with pytest.raises(type(error)) as caught:
        await handler.invoke(event_with(), client=FakeService())
    assert caught.value is error

    errors.append(error)
    finished = await run(handler)
    assert finished.result == "second time"
    assert finished.invocations == ["raised", "SUCCEEDED"]


@pytest.mark.parametrize("error", FAILING, ids=lambda error: type(error).__name__)
async def test_errors_that_fail_the_execution(error: Exception, autojump_clock: MockClock) -> None:
    """Any other exception fails the execution: FAILED with its type and message."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        raise error

    answer = await handler.invoke(event_with(), client=FakeService())

    assert answer["Status"] == "FAILED"
    assert answer["Error"]["ErrorType"] == type(error).__name__
    assert answer["Error"]["ErrorMessage"] == str(error)


@pytest.mark.parametrize("error", RAISED[:2], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("place", ["step", "child", "map", "all"])
@pytest.mark.parametrize("swallows", [False, True])
async def test_errors_for_lambda_cannot_be_swallowed(
    error: Exception, place: str, swallows: bool, autojump_clock: MockClock
) -> None:
    """Raised inside an operation they end the invocation; no operation is recorded as failed by them."""
    errors = [error]

    async def body() -> str:
        if errors:
            raise errors.pop()
        return "second time"

    async def child(ctx: DurableContext, *_: Any) -> str:
        return await ctx.step(body)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        try:
            match place:
                case "step":
                    return await ctx.step(body)
                case "child":
                    return await ctx.run_in_child_context(child)
                case "map":
                    return (await ctx.map([1], child)).results()[0]
                case _:
                    return (await ctx.all([ctx.step(body), ctx.wait(Duration.days(1))]))[0]
        except Exception:
            if not swallows:
                raise
            return "swallowed"

    finished = await run(handler)

    assert finished.result == "second time"
    assert finished.invocations[0] == "raised"
    assert "StepFailed" not in finished.event_types


@pytest.mark.parametrize("swallows", [False, True])
async def test_an_execution_error_cannot_be_swallowed(swallows: bool, autojump_clock: MockClock) -> None:
    """``ExecutionError`` inside a step fails the execution at once, without retries, whatever catches it."""
    runs: list[int] = []

    async def body() -> None:
        runs.append(1)
        raise ExecutionError("for good")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.step(body)
        except ExecutionError:
            if not swallows:
                raise
        return "swallowed"

    finished = await run(handler)

    assert (finished.error.type, finished.error.message) == ("ExecutionError", "for good")
    assert runs == [1]


async def test_the_type_of_the_cause_is_reported(autojump_clock: MockClock) -> None:
    """An uncaught step failure is reported with the original type; ErrorData says which operation it was."""

    async def body() -> None:
        raise LookupError("no such order")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(body, name="look up", retry=no_retry())

    finished = await run(handler)

    data = json.loads(finished.error.data or "")
    assert (finished.error.type, finished.error.message) == ("LookupError", "no such order")
    assert data == {"operationId": finished.named("look up").id, "operationName": "look up"}
    assert any("test_invocation.py" in line for line in finished.error.stack)
    assert not any("durable_trio/_runtime" in line for line in finished.error.stack)


async def test_a_business_error_is_reported_with_its_arguments(autojump_clock: MockClock) -> None:
    """A registered error that leaves the handler keeps its type and its arguments."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        raise Declined("card", 7)

    finished = await run(handler)

    assert finished.error.type == "Declined"
    assert json.loads(finished.error.data or "") == {"args": ["card", 7], "kwargs": {}}


async def test_an_exception_group_of_the_users(autojump_clock: MockClock) -> None:
    """A group that leaves the handler is reported as ExceptionGroup, with the leaves in ErrorData."""

    async def fail(error: Exception) -> None:
        raise error

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail, ValueError("one"))
            nursery.start_soon(fail, KeyError("two"))

    finished = await run(handler)

    leaves = json.loads(finished.error.data or "")
    assert finished.error.type == "ExceptionGroup"
    assert sorted(leaf["ErrorType"] for leaf in leaves) == ["KeyError", "ValueError"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("place", ["handler", "step", "child", "map"])
async def test_what_is_no_exception_propagates(
    error: type[BaseException], place: str, autojump_clock: MockClock
) -> None:
    """KeyboardInterrupt and its kind leave the invocation as themselves, from wherever they come."""

    async def body() -> None:
        raise error("out")

    async def child(ctx: DurableContext, *_: Any) -> None:
        await body()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        match place:
            case "handler":
                await body()
            case "step":
                await ctx.step(body)
            case "child":
                await ctx.run_in_child_context(child)
            case _:
                await ctx.map([1, 2], child)

    with pytest.raises(error):
        await handler.invoke(event_with(), client=FakeService())


async def test_a_stale_token_makes_the_invocation_raise(autojump_clock: MockClock) -> None:
    """A checkpoint that may succeed another time: the invocation raises, and the next one goes on."""
    runs: list[int] = []

    async def body() -> int:
        runs.append(1)
        return len(runs)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        return await ctx.step(body)

    script = Script(errors={1: CheckpointError("503", is_retryable=True)})
    finished = await run(handler, wrap=script)

    assert finished.result == 2
    assert finished.invocations == ["raised", "SUCCEEDED"]


async def test_a_serializer_with_passing_trouble(autojump_clock: MockClock) -> None:
    """``RetryableSerDesError`` bypasses the step's strategy: the invocation is retried."""
    trouble = [RetryableSerDesError("key service")]

    def dump(value: str) -> str:
        if trouble:
            raise trouble.pop()
        return value

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        return str(await ctx.step(give, "stored", serdes=custom_serdes(dump, str)))

    finished = await run(handler)

    assert finished.result == "stored"
    assert finished.invocations == ["raised", "SUCCEEDED"]


async def test_remaining_time_and_lambda_context(autojump_clock: MockClock) -> None:
    """The context tells how long Lambda lets the invocation go on, and hands Lambda's own context over."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        before = ctx.remaining_time()
        await ctx.step(trio.sleep, 10)
        after = ctx.remaining_time()
        assert before is not None
        assert after is not None
        return [before.total_seconds(), after.total_seconds(), ctx.lambda_context.function_name]

    finished = await run(handler, timeout_seconds=60)

    assert finished.result[0] == pytest.approx(60, abs=0.1)
    assert finished.result[1] == pytest.approx(50, abs=0.1)
    assert finished.result[2] == "function-under-test"


async def test_remaining_time_without_a_lambda_context(autojump_clock: MockClock) -> None:
    """Where nobody says how much time is left, the context says None."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> bool:
        return ctx.remaining_time() is None

    answer = await handler.invoke(event_with(), client=FakeService())

    assert answer == {"Status": "SUCCEEDED", "Result": "true"}
