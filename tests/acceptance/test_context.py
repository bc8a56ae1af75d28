"""Handlers and contexts: styles, input and output, ending early, what a context knows, who may use it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pydantic
import pytest
import trio
from acceptance.kit import run

from durable_trio import (
    BatchResult,
    ConfigurationError,
    ContextUseError,
    DurableContext,
    DurableError,
    Duration,
    ExecutionError,
    InvocationError,
    durable_error,
    durable_execution,
    json_serdes,
    no_retry,
)
from durable_trio.testing import FakeServiceClient


async def give(value: Any) -> Any:
    """Return *value*."""
    return value


async def fail(text: str = "no") -> None:
    """Raise a ValueError."""
    raise ValueError(text)


@dataclasses.dataclass
class Order:
    """An input."""

    id: str
    price: Decimal
    due: datetime


class Model(pydantic.BaseModel):
    """An output."""

    a: int


class Held:
    """A handler as an object."""

    def __init__(self, answer: int) -> None:
        self.answer = answer

    async def handle(self, event: Any, ctx: DurableContext) -> int:
        """Handle."""
        return self.answer


def test_handler_styles() -> None:
    """A decorator with and without options, a call, an object with ``handle``; ``fn`` stays callable."""

    @durable_execution
    async def bare(event: Any, ctx: DurableContext) -> int:
        return 1

    @durable_execution()
    async def empty(event: Any, ctx: DurableContext) -> int:
        return 2

    async def plain(event: Any, ctx: DurableContext) -> int:
        return 3

    assert [run(h).result for h in (bare, empty, durable_execution(plain), durable_execution(Held(4)))] == [
        1,
        2,
        3,
        4,
    ]
    ctx: Any = None
    assert trio.run(bare.fn, None, ctx) == 1
    assert getattr(bare, "__name__", None) == "bare"


def test_what_is_no_async_function_is_refused() -> None:
    """Handlers are async; anything else is refused when it is decorated, with a clear error."""

    def plain(event: Any, ctx: DurableContext) -> int:
        return 1

    with pytest.raises(ConfigurationError, match="async"):
        durable_execution(plain)  # type: ignore[arg-type]  # the mistake under test


def test_context_bodies_must_be_async() -> None:
    """A plain function as a child, an item or a branch is refused at the call."""

    def plain(ctx: DurableContext, *rest: Any) -> int:
        return 1

    @durable_execution
    async def handler(event: Any, ctx: Any) -> list[str]:
        seen = []
        starts: tuple[Callable[[], Any], ...] = (
            lambda: ctx.run_in_child_context(plain),
            lambda: ctx.map([1], plain),
            lambda: ctx.parallel([plain]),
            lambda: ctx.retry(plain),
        )
        for start in starts:
            try:
                await start()
            except Exception as error:  # noqa: BLE001  # whatever it is refused with
                seen.append(f"{type(error).__name__}: {error}")
        return seen

    for text in run(handler).result:
        assert "async" in text


def test_input_is_typed_by_the_annotation_and_output_by_its_value() -> None:
    """A dataclass in; a dataclass, datetime, UUID, Decimal or model out, as plain JSON without tags."""

    @durable_execution
    async def handler(event: Order, ctx: DurableContext) -> Any:
        assert isinstance(event, Order)
        assert isinstance(ctx.original_input, Order)
        assert json.loads(ctx.original_input_raw)["id"] == "o"
        return {"order": event, "model": Model(a=1), "id": UUID(int=0), "pair": (1, 2)}

    finished = run(handler, {"id": "o", "price": "1.50", "due": "2026-01-02T03:04:05+00:00"})
    assert finished.result == {
        "order": {"id": "o", "price": "1.50", "due": "2026-01-02T03:04:05+00:00"},
        "model": {"a": 1},
        "id": "00000000-0000-0000-0000-000000000000",
        "pair": [1, 2],
    }


def test_input_type_option() -> None:
    """``input_type=`` says what the input comes as."""

    @durable_execution(input_type=Order)
    async def handler(event: Any, ctx: DurableContext) -> str:
        return type(event).__name__

    assert run(handler, {"id": "o", "price": "1.50", "due": "2026-01-02T03:04:05+00:00"}).result == "Order"


def test_a_batch_result_may_be_returned() -> None:
    """A handler's output may be a ``BatchResult``; it is written as plain JSON."""

    async def item(ctx: DurableContext, value: int, index: int) -> int:
        return value * 2

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> BatchResult[int]:
        return await ctx.map([1, 2], item)

    finished = run(handler)
    assert finished.result["completionReason"] == "ALL_COMPLETED"
    assert [item["result"] for item in finished.result["all"]] == [2, 4]


def test_handler_serdes_is_for_input_and_output_only() -> None:
    """``serdes=`` does not touch what enters and leaves; ``handler_serdes=`` does."""

    @durable_execution(serdes=json_serdes())
    async def plain(event: Any, ctx: DurableContext) -> Any:
        return {"at": datetime(2026, 1, 1, tzinfo=UTC)}

    @durable_execution(handler_serdes=json_serdes())
    async def tagged(event: Any, ctx: DurableContext) -> Any:
        return {"at": datetime(2026, 1, 1, tzinfo=UTC)}

    assert json.loads(run(plain).result_text or "") == {"at": "2026-01-01T00:00:00+00:00"}
    assert json.loads(run(tagged).result_text or "") == {"at": {"$datetime": "2026-01-01T00:00:00+00:00"}}


def test_empty_input() -> None:
    """An execution without input sees ``{}``, and an empty raw text."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return [event, ctx.original_input, ctx.original_input_raw]

    client = FakeServiceClient()
    envelope = client.envelope()
    del envelope["InitialExecutionState"]["Operations"][0]["ExecutionDetails"]["InputPayload"]

    async def main() -> Any:
        return await handler.invoke(envelope, None, client=client)

    assert json.loads(trio.run(main)["Result"]) == [{}, {}, ""]


def test_what_is_no_durable_invocation_says_so() -> None:
    """Without the keys of the envelope the error tells that the function has no DurableConfig."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        pass

    with pytest.raises(ConfigurationError, match="DurableConfig"):
        handler({"order": 1}, None)


def test_a_missing_execution_operation_is_a_clear_error() -> None:
    """If no page holds the EXECUTION operation, an error says so."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        pass

    client = FakeServiceClient()
    envelope = client.envelope()
    envelope["InitialExecutionState"]["Operations"] = []

    async def main() -> Any:
        return await handler.invoke(envelope, None, client=client)

    answer = trio.run(main)
    assert answer["Status"] == "FAILED"
    assert "no EXECUTION operation" in answer["Error"]["ErrorMessage"]


def test_completing_early() -> None:
    """``complete`` and ``fail`` record the end through the writer and answer with an empty result."""
    late: list[str] = []

    async def inner(ctx: DurableContext) -> None:
        await ctx.complete({"early": True})
        late.append("after")

    @durable_execution
    async def completes(event: Any, ctx: DurableContext) -> None:
        try:
            await ctx.run_in_child_context(inner)
        finally:
            late.append("finally")
            try:
                await ctx.step(give, 1)
                late.append("ran")
            except BaseException:
                late.append("refused")
                raise

    @durable_execution
    async def fails(event: Any, ctx: DurableContext) -> None:
        await ctx.fail(KeyError("gone"))

    done = run(completes)
    assert done.result == {"early": True}
    assert late == ["finally", "refused"]
    assert done.invocations[-1].answer == {"Status": "SUCCEEDED", "Result": ""}
    last = done.calls[-1].updates[-1]
    assert (last.type, last.action) == ("EXECUTION", "SUCCEED")
    failed = run(fails)
    assert failed.assert_failed("KeyError").message == "'gone'"
    last = failed.calls[-1].updates[-1]
    assert (last.type, last.action) == ("EXECUTION", "FAIL")


def test_large_results_are_checkpointed_first() -> None:
    """Over 6 MiB minus headroom, measured encoded: EXECUTION SUCCEED, then an empty result."""

    @durable_execution
    async def quotes(event: Any, ctx: DurableContext) -> str:
        return '"' * 3_100_000  # every quote is two characters in the text and four in the response

    @durable_execution
    async def small(event: Any, ctx: DurableContext) -> str:
        return "x" * 6_000_000

    big = run(quotes)
    assert big.invocations[-1].answer == {"Status": "SUCCEEDED", "Result": ""}
    assert big.result == '"' * 3_100_000
    assert len(run(small).invocations[-1].answer["Result"]) == 6_000_002


def test_over_long_errors_are_checkpointed_first() -> None:
    """An error that does not fit a response is recorded by an update; the answer has none."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        raise ValueError("x" * 7_000_000)

    finished = run(handler)
    assert finished.status == "FAILED"
    assert (
        "Error" not in finished.invocations[-1].answer
        or len(json.dumps(finished.invocations[-1].answer)) < 6_291_000
    )


def test_what_a_context_knows() -> None:
    """ARN, parent, Lambda context, remaining time, whether it replays."""

    async def child(ctx: DurableContext) -> list[Any]:
        return [ctx.parent_id, ctx.execution_arn]

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        replaying = ctx.is_replaying
        inside = await ctx.run_in_child_context(child)
        await ctx.wait(Duration.seconds(1))
        remaining = ctx.remaining_time()
        assert isinstance(remaining, timedelta)
        assert not ctx.is_replaying
        return [ctx.parent_id, inside, replaying, ctx.lambda_context.aws_request_id is not None]

    finished = run(handler)
    parent, inside, replaying, has_request = finished.result
    assert parent is None
    assert inside == [finished["child"].id, finished.arn]
    assert replaying is True  # the second time
    assert has_request


def test_remaining_time_is_none_without_a_lambda_context() -> None:
    """Where nobody says how much time is left, it is None."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        seen.append(ctx.remaining_time())

    client = FakeServiceClient()

    async def main() -> Any:
        return await handler.invoke(client.envelope(), None, client=client)

    trio.run(main)
    assert seen == [None]


def test_a_context_belongs_to_its_task() -> None:
    """Use from another task or inside a step is refused, with the remedies' names."""

    async def body(ctx: DurableContext) -> None:
        await ctx.step(give, 1)

    @durable_execution
    async def in_a_task(event: Any, ctx: DurableContext) -> str:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(body, ctx)
        return "no error"

    @durable_execution
    async def in_a_step(event: Any, ctx: DurableContext) -> None:
        await ctx.step(body, ctx, retry=no_retry())

    run(in_a_task).assert_failed("ContextUseError")
    run(in_a_step).assert_failed("ContextUseError")

    @durable_execution
    async def names_the_remedy(event: Any, ctx: DurableContext) -> str:
        text = ""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(body, ctx)
        except* ContextUseError as group:
            text = str(group.exceptions[0])
        return text

    message = run(names_the_remedy).result
    assert all(remedy in message for remedy in ("ctx.all", "ctx.open_nursery", "child context"))


def test_an_error_leaves_the_handler_as_itself() -> None:
    """No nursery of ours wraps it: the recorded type is the cause's."""

    @durable_execution
    async def raises(event: Any, ctx: DurableContext) -> None:
        await ctx.step(give, 1)
        raise LookupError("gone")

    @durable_execution
    async def step_fails(event: Any, ctx: DurableContext) -> None:
        await ctx.step(fail, retry=no_retry())

    assert run(raises).assert_failed("LookupError").message == "gone"
    error = run(step_fails).assert_failed("ValueError")
    assert error.message == "no"
    assert json.loads(error.data or "")["operationName"] == "fail"


def test_groups_are_recorded_with_their_leaves() -> None:
    """A group that leaves the handler: type ``ExceptionGroup``, its message, the leaves in the data."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        raise ExceptionGroup("several", [ValueError("a"), ExceptionGroup("inner", [KeyError("b")])])

    @durable_execution
    async def one_leaf(event: Any, ctx: DurableContext) -> None:
        raise ExceptionGroup("single", [ValueError("a")])

    assert run(one_leaf).assert_failed("ExceptionGroup")
    error = run(handler).assert_failed("ExceptionGroup")
    assert error.message is not None
    assert error.message.startswith("several")
    assert "ValueError" in (error.data or "")
    assert "KeyError" in (error.data or "")


def test_execution_and_invocation_errors() -> None:
    """``ExecutionError`` fails the execution for good, ``InvocationError`` has Lambda invoke again."""
    runs: list[int] = []

    @durable_execution
    async def again(event: Any, ctx: DurableContext) -> int:
        runs.append(1)
        if len(runs) < 3:
            raise InvocationError("again")
        return len(runs)

    async def ends() -> None:
        raise ExecutionError("over")

    @durable_execution
    async def over(event: Any, ctx: DurableContext) -> None:
        await ctx.step(ends)

    assert run(again).result == 3
    finished = run(over)
    assert finished.assert_failed("ExecutionError").message == "over"
    assert len(finished.invocations) == 1


@durable_error
class NoneInStock(Exception):
    """A business error."""

    def __init__(self, item: str, *, left: int) -> None:
        super().__init__(f"{item}: {left}")
        self.item = item
        self.left = left


def test_registered_errors_are_raised_as_themselves() -> None:
    """From a step, a child context and ``all``, on the first run and on replay, with their arguments."""

    async def take() -> None:
        raise NoneInStock("pen", left=2)

    async def child(ctx: DurableContext) -> None:
        await ctx.step(take, retry=no_retry())

    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        found: list[Any] = []
        for start in (
            lambda: ctx.step(take, retry=no_retry()),
            lambda: ctx.run_in_child_context(child),
            lambda: ctx.all([ctx.step(take, retry=no_retry())]),
        ):
            try:
                await start()
            except NoneInStock as error:
                found.append((error.item, error.left, str(error)))
        seen.append(found)
        await ctx.wait(Duration.seconds(1))

    run(handler).assert_succeeded()
    assert seen == [[("pen", 2, "pen: 2")] * 3] * 2


def test_on_error_sees_failures_and_never_suspensions() -> None:
    """``on_error`` is called once with the exception that fails the execution."""
    seen: list[Exception] = []

    @durable_execution(on_error=seen.append)
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.wait(Duration.seconds(1))
        raise LookupError("gone")

    run(handler).assert_failed("LookupError")
    assert [type(error) for error in seen] == [LookupError]


def test_no_except_exception_swallows_a_suspension() -> None:
    """Suspension is cancellation; a handler that swallows even that still ends PENDING."""

    @durable_execution
    async def catches(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.wait(Duration.hours(1))
        except Exception:  # noqa: BLE001  # what must not see a suspension
            return "swallowed"
        return "waited"

    @durable_execution
    async def swallows(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.wait(Duration.hours(1))
        except BaseException:  # noqa: BLE001  # the mistake under test
            return "swallowed"
        return "waited"

    for handler in (catches, swallows):
        finished = run(handler)
        assert finished.result == "waited"
        assert [str(i.status) for i in finished.invocations] == ["PENDING", "SUCCEEDED"]


def test_cleanup_during_a_suspension() -> None:
    """``finally`` runs, durable operations in it are refused, and what it raises does not fail the execution."""
    cleanups: list[str] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.wait(Duration.hours(1))
        finally:
            cleanups.append("cleanup")
            if len(cleanups) == 1:
                raise ValueError("in cleanup")
        return "ok"

    finished = run(handler)
    assert finished.result == "ok"
    assert cleanups == ["cleanup", "cleanup"]


def test_an_operation_that_is_never_awaited_warns() -> None:
    """As a coroutine does."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        ctx.step(give, 1)

    with pytest.warns(RuntimeWarning, match="never awaited"):
        run(handler).assert_succeeded()


def test_flush_makes_everything_durable() -> None:
    """After ``flush`` every update is with the service, in OPTIMISTIC mode as well."""

    from durable_trio import CheckpointingMode

    client = FakeServiceClient()
    seen: list[int] = []

    @durable_execution(checkpointing=CheckpointingMode.OPTIMISTIC)
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(give, 1, name="a")
        await ctx.flush()
        seen.append(len(client.recorded("a")))

    client.invoke_sync(handler)
    assert seen == [2]


def test_outside_of_trio_the_error_names_the_way() -> None:
    """``invoke`` under asyncio and a call inside Trio are refused by name."""
    import asyncio

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        pass

    client = FakeServiceClient()
    with pytest.raises(ConfigurationError, match="to_thread"):
        asyncio.run(handler.invoke(client.envelope(), None, client=client))

    async def main() -> None:
        handler(client.envelope(), None)

    with pytest.raises(ConfigurationError, match=r"handler\.invoke"):
        trio.run(main)


def test_misuse_is_named() -> None:
    """In a step's thread, in a child by the outer context, after its end, twice in combinators: what is wrong."""
    kept: list[DurableContext] = []

    async def keep(ctx: DurableContext) -> None:
        kept.append(ctx)

    async def uses_outer(child: DurableContext, ctx: DurableContext) -> None:
        await ctx.step(give, 1)

    def in_thread(ctx: DurableContext) -> None:
        ctx.step(give, 1)

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[str]:
        seen: list[str] = []

        async def note(start: Callable[[], Any]) -> None:
            try:
                await start()
            except DurableError as error:
                seen.append(str(error))

        await note(lambda: ctx.step(in_thread, ctx, retry=no_retry()))
        await note(lambda: ctx.run_in_child_context(uses_outer, ctx))
        await ctx.run_in_child_context(keep)
        await note(lambda: kept[-1].step(give, 1))
        operation = ctx.step(give, 1)
        await note(lambda: ctx.all([operation, operation]))
        await operation
        return seen

    thread, outer, ended, twice = run(handler).result
    assert "A step's body must not use the context" in thread
    assert "Use the one that was passed to this function" in outer
    assert "has ended" in ended
    assert "already" in twice


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_is_no_exception_leaves_as_itself(kind: type[BaseException]) -> None:
    """From the handler, a step, a child and an item: never in a group, never recorded."""

    async def explode(*args: Any) -> None:
        raise kind

    @durable_execution
    async def handler(event: str, ctx: DurableContext) -> None:
        if event == "handler":
            raise kind
        starts: dict[str, Callable[[], Any]] = {
            "step": lambda: ctx.step(explode),
            "child": lambda: ctx.run_in_child_context(lambda child: explode()),
            "map": lambda: ctx.map([1], explode),
        }
        await starts[event]()

    for where in ("handler", "step", "child", "map"):
        client = FakeServiceClient(where)
        with pytest.raises(kind):
            client.invoke_sync(handler)
        assert {str(update.action) for update in client.updates} <= {"START"}
