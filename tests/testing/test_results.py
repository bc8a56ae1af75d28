from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from durable_trio import (
    DurableContext,
    Duration,
    SerDesError,
    StepError,
    durable_execution,
    fixed_delay,
    no_retry,
    pass_through,
)
from durable_trio._protocol.operation import StepDetails
from durable_trio.testing import RunnerFactory, RunResult
from durable_trio.testing.outcomes import differences
from durable_trio.testing.tables import span_text


@dataclass
class Receipt:
    """What a step returns, by its annotation."""

    cents: int


class Gateway:
    """A payment gateway that refuses the first calls."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    def charge(self) -> Receipt:
        """Take money, after some refusals."""
        if self.refusals:
            self.refusals -= 1
            raise ConnectionError("no answer")
        return Receipt(1250)


async def label(ctx: DurableContext, item: str, index: int) -> str:
    """Label one item, with a wait in it."""
    await ctx.wait(Duration.seconds(1), name="dry")
    await ctx.wait(Duration.seconds(1), name="dry")
    return item.upper()


def order_of(gateway: Gateway) -> Any:
    """Return a workflow over *gateway*."""

    @durable_execution
    async def order(event: Any, ctx: DurableContext) -> dict[str, Any]:
        ctx.logger.info("begin", order=event)
        receipt = await ctx.step(
            gateway.charge, name="charge", retry=fixed_delay(Duration.minutes(1), max_attempts=3)
        )
        await ctx.wait(Duration.hours(1))
        labels = await ctx.map(["pen", "ink"], label, name="pack")
        ctx.logger.warning("end")
        return {"cents": receipt.cents, "labels": labels.results()}

    return order


async def run_order(durable_runner: RunnerFactory, refusals: int = 1) -> RunResult:
    """Run the workflow from a fixed time on."""
    return await durable_runner.run(
        order_of(Gateway(refusals)), "o-1", start_at=datetime(2030, 1, 1, tzinfo=UTC)
    )


async def test_operations_are_found_by_name_path_id_index_and_position(durable_runner: RunnerFactory) -> None:
    """All ways lead to the same operation; siblings of one name are numbered."""
    run = await run_order(durable_runner)

    charge = run["charge"]
    assert charge is run.operation("charge") is run[0] is run[charge.id] is run.at_position(1)
    assert run["pack/map-item-1/dry#2"] is run.at_position(3, 1, 2)
    assert run[-1] is run["pack"]
    assert run["Wait"].name is None
    assert [operation.path for operation in run][:5] == [
        "charge",
        "Wait",
        "pack",
        "pack/map-item-0",
        "pack/map-item-0/dry",
    ]
    assert len(run.named("dry")) == 4
    assert run.named("nothing") == []
    assert len(run.operations) == len(run.records) - 1


async def test_what_is_not_there_is_an_error_that_helps(durable_runner: RunnerFactory) -> None:
    """The message names what there is, the closest first; a name that is not unique needs a path."""
    run = await run_order(durable_runner)

    with pytest.raises(LookupError, match=r"no operation 'chrage'; there are: 'charge'"):
        run["chrage"]
    with pytest.raises(
        LookupError, match=r"4 operations are named 'dry'; give a path: 'pack/map-item-0/dry'"
    ):
        run["dry"]
    with pytest.raises(LookupError, match=r"no operation \[7\]: the handler has 3"):
        run[7]
    with pytest.raises(LookupError, match=r"no operation at \(3, 9\)"):
        run.at_position(3, 9)


async def test_details_are_typed(durable_runner: RunnerFactory) -> None:
    """Attempts, results, errors and times of each operation, decoded."""
    run = await run_order(durable_runner)

    charge = run["charge"]
    assert (charge.attempts, charge.result) == (2, {"cents": 1250})
    assert charge.payload is not None
    assert charge.payload.strip() == '{"cents":1250}'
    assert isinstance(charge.details, StepDetails)
    assert charge.duration_seconds == 60
    assert charge.error is None or charge.error.type == "ConnectionError"
    assert (run["Wait"].attempts, run["Wait"].result, run["Wait"].duration_seconds) == (1, None, 3600)
    assert [child.result for child in run["pack"].children] == ["PEN", "INK"]
    assert repr(charge) == "<Step 'charge' SUCCEEDED>"
    assert run["pack"].callback_id is None


async def test_payloads_of_other_serializers_are_text(durable_runner: RunnerFactory) -> None:
    """A step with a serializer of its own has its text in ``payload``; ``result`` does not guess."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda: "just text", name="own", serdes=pass_through())

    run = await durable_runner.run(handler)

    assert run["own"].payload == "just text"
    with pytest.raises(SerDesError):
        _ = run["own"].result


async def test_the_outcome_is_read_as_the_handler_wrote_it(durable_runner: RunnerFactory) -> None:
    """``result`` is the decoded value, ``handler_serdes`` included; without one it raises with the table."""
    run = await run_order(durable_runner)
    assert run.result == {"cents": 1250, "labels": ["PEN", "INK"]}
    assert run.error is None

    @durable_execution(handler_serdes=pass_through())
    async def text(event: Any, ctx: DurableContext) -> str:
        return f"raw {event}"

    assert (await durable_runner.run(text, "input")).result == "raw input"

    failed = await run_order(durable_runner, refusals=9)
    with pytest.raises(AssertionError, match="has not succeeded: FAILED") as raised:
        _ = failed.result
    assert "ConnectionError: no answer" in str(raised.value)


async def test_invocations_calls_events_and_logs(durable_runner: RunnerFactory) -> None:
    """Who looks closer finds everything that happened, in order."""
    run = await run_order(durable_runner)

    assert [invocation.number for invocation in run.invocations] == list(range(1, len(run.invocations) + 1))
    assert run.invocations[-1].answer == {
        "Status": "SUCCEEDED",
        "Result": run.result_text,
    }
    assert [str(call) for call in run.calls][:2] == ["STEP START, STEP RETRY", "STEP SUCCEED"] or run.calls
    assert all(call.response is not None and call.error is None for call in run.calls)
    assert [call.number for call in run.calls] == list(range(1, len(run.calls) + 1))
    assert run.events[0].type == "ExecutionStarted"
    assert run.events[-1].type in ("ExecutionSucceeded", "InvocationCompleted")
    assert [(line.level, line.message) for line in run.logs] == [("INFO", "begin"), ("WARNING", "end")]
    assert run.logs[0].fields["order"] == "o-1"
    assert str(run.logs[0]) == "INFO begin"
    assert run.logs[0].at == run.started_at


async def test_assertions_hold_or_show_the_run(durable_runner: RunnerFactory) -> None:
    """Each assertion passes on what happened, and otherwise fails with the whole table."""
    run = await run_order(durable_runner)

    assert run.assert_succeeded() == run.result
    run.assert_operations(["charge", "Wait", "pack"])
    run.assert_operations([operation.path for operation in run])
    assert run.assert_called_once("pack") is run["pack"]
    assert run.assert_attempts("charge", 2) is run["charge"]
    assert run.assert_status("charge", "SUCCEEDED") is run["charge"]
    run.assert_not_called("refund")

    failures: list[tuple[Callable[[], object], str]] = [
        (lambda: run.assert_failed(), "has not failed: SUCCEEDED"),
        (lambda: run.assert_operations(["charge", "pack"]), r"\+ Wait"),
        (lambda: run.assert_called_once("charge"), "was not done at once: 2 attempts"),
        (lambda: run.assert_called_once("refund"), "no operation 'refund'"),
        (lambda: run.assert_attempts("charge", 1), "made 2 attempts, not 1"),
        (lambda: run.assert_status("charge", "FAILED"), "is not FAILED"),
        (lambda: run.assert_not_called("charge"), "was started"),
    ]
    for failing, message in failures:
        with pytest.raises(AssertionError, match=message) as raised:
            failing()
        assert str(run) in str(raised.value)


async def test_a_failure_is_asserted_by_type_and_message(durable_runner: RunnerFactory) -> None:
    """The recorded type may be given as a name or a class; the message is searched."""

    def boom() -> None:
        raise ValueError("not today")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(boom, retry=no_retry())

    run = await durable_runner.run(handler)

    assert run.assert_failed("ValueError") is run.error
    assert run.assert_failed(ValueError, match="today").message == "not today"
    with pytest.raises(AssertionError, match="failed with ValueError, not with StepError"):
        run.assert_failed(StepError)
    with pytest.raises(AssertionError, match="does not match 'tomorrow'"):
        run.assert_failed(match="tomorrow")
    assert "1 attempts" not in str(run)
    assert "ValueError: not today" in str(run)


async def test_the_table_is_readable(durable_runner: RunnerFactory) -> None:
    """One line an operation, nested, with virtual times, and what came of it."""
    run = await run_order(durable_runner)

    assert str(run).splitlines() == [
        'function-under-test SUCCEEDED after 1:01:02: {"cents":1250,"labels":["PEN","INK"]}',
        "",
        "operation     kind          status     at        took     outcome",
        'charge        Step          SUCCEEDED  +0s       0:01:00  2 attempts, {"cents":1250}',
        "Wait          Wait          SUCCEEDED  +0:01:00  1:00:00",
        "pack          Map           SUCCEEDED  +1:01:00  2s       2 items",
        '  map-item-0  MapIteration  SUCCEEDED  +1:01:00  2s       "PEN"',
        "    dry       Wait          SUCCEEDED  +1:01:00  1s",
        "    dry#2     Wait          SUCCEEDED  +1:01:01  1s",
        '  map-item-1  MapIteration  SUCCEEDED  +1:01:00  2s       "INK"',
        "    dry       Wait          SUCCEEDED  +1:01:00  1s",
        "    dry#2     Wait          SUCCEEDED  +1:01:01  1s",
        "",
        "invocations: PENDING PENDING PENDING PENDING SUCCEEDED",
    ]
    assert repr(run) == (
        '<RunResult function-under-test SUCCEEDED after 1:01:02: {"cents":1250,"labels":["PEN","INK"]}, 9 operations>'
    )


async def test_a_run_under_way_says_what_it_waits_for(durable_runner: RunnerFactory) -> None:
    """Timers say until when, callbacks that they wait for an answer."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        callback = await ctx.create_callback(name="sign")
        await ctx.all([ctx.wait(Duration.days(1), name="night"), callback.result()])

    async with durable_runner(handler, start_at=datetime(2030, 1, 1, tzinfo=UTC)) as runner:
        text = str(await (await runner.start()).until_suspended())

    assert "until 2030-01-02 00:00:00 UTC" in text
    assert "waits for an answer" in text
    assert text.startswith("function-under-test RUNNING")


async def test_runs_are_equal_if_they_came_to_the_same(durable_runner: RunnerFactory) -> None:
    """Times, invocations and calls are no part of it; statuses, results, identities and outcomes are."""
    first, second = [await run_order(durable_runner) for _ in range(2)]
    later = await durable_runner.run(order_of(Gateway(1)), "o-1")
    other = await run_order(durable_runner, refusals=0)

    assert first == second == later
    assert hash(first) == hash(second)
    assert first != other
    assert first != replace(first, result_text='"another"')
    assert first != "a run"
    assert any(line.startswith("- charge Step") for line in differences(first, other))
    with pytest.raises(FrozenInstanceError):
        first.arn = "another"  # type: ignore[misc]


def test_spans_are_short() -> None:
    """A span of time is as long as it needs to be."""
    assert [span_text(seconds) for seconds in (0, 0.123456, 59.9, 60, 3_661, 93_784)] == [
        "0s",
        "0.123s",
        "59.9s",
        "0:01:00",
        "1:01:01",
        "1d 02:03:04",
    ]
