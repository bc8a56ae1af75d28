"""Waits, conditions, callbacks and invokes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import trio
from acceptance.kit import run, sent

from durable_trio import (
    Callback,
    CallbackConfig,
    CallbackError,
    CallbackExternalError,
    CallbackSubmitterError,
    CallbackTimeoutError,
    DurableContext,
    Duration,
    InvokeConfig,
    InvokeError,
    OperationStatus,
    StepError,
    ValidationError,
    WaitDecision,
    WaitForCallbackConfig,
    WaitForConditionConfig,
    WaitForConditionError,
    durable_execution,
    fixed_delay,
    json_serdes,
    no_retry,
)
from durable_trio.testing import FakeServiceClient


async def give(value: Any) -> Any:
    """Return *value*."""
    return value


async def fail(value: Any) -> Any:
    """Raise a ValueError."""
    raise ValueError("no")


async def fail_to_look(state: int) -> int:
    """Raise a ValueError."""
    raise ValueError("no")


# --- waits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "duration",
    [
        Duration.seconds(0),
        timedelta(0),
        timedelta(days=366, seconds=1),
        Duration.days(367),
        timedelta(seconds=-1),
    ],
)
def test_waits_out_of_range(duration: Any) -> None:
    """1 s to 31,622,400 s; anything else is a ``ValidationError`` at the call that names the range."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        with pytest.raises(ValidationError, match="31,622,400"):
            ctx.wait(duration)

    client = FakeServiceClient()
    assert client.invoke_sync(handler)["Status"] == "SUCCEEDED"
    assert client.updates == []


def test_fractions_round_up_and_the_wire_of_a_wait() -> None:
    """``WaitOptions.WaitSeconds`` is whole seconds, rounded up; type WAIT, subtype Wait, action START."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.wait(Duration.seconds(1.2), name="a")
        await ctx.wait(timedelta(milliseconds=500), name="b")
        await ctx.wait(timedelta(days=365), name="c")

    finished = run(handler)
    updates = [sent(finished, name)[0] for name in "abc"]
    assert [u.options.wait_seconds for u in updates] == [2, 1, 31_536_000]
    assert {(u.type, u.sub_type, u.action, u.payload) for u in updates} == {("WAIT", "Wait", "START", None)}
    assert [len(sent(finished, name)) for name in "abc"] == [1, 1, 1]


def test_a_bare_number_is_a_type_error_that_names_both() -> None:
    """Seconds and minutes are too easily confused."""

    @durable_execution
    async def handler(event: Any, ctx: Any) -> None:
        starts: tuple[Callable[[], Any], ...] = (
            lambda: ctx.wait(5),
            lambda: ctx.step(give, 1, timeout=5),
            lambda: ctx.create_callback(timeout=5),
            lambda: ctx.wait_for_callback(give, heartbeat_timeout=5.0),
            lambda: ctx.wait_for_condition(give, initial_state=1, until=bool, interval=5),
            lambda: ctx.move_on_after(5),
            lambda: ctx.fail_after(5),
        )
        for start in starts:
            with pytest.raises(TypeError, match=r"Duration.*timedelta"):
                start()

    run(handler).assert_succeeded()


def test_started_on_entry_parks_without_a_second_start() -> None:
    """A wait, a callback and an invoke that run already are not started again."""

    @durable_execution
    async def waits(event: Any, ctx: DurableContext) -> None:
        await ctx.wait(Duration.hours(1), name="w")

    client = FakeServiceClient()
    client.given_wait("w", is_over=False)
    assert client.invoke_sync(waits) == {"Status": "PENDING"}
    assert client.updates == []


def test_a_cancelled_wait_returns_normally() -> None:
    """CANCELLED is no failure; ``cancel_wait`` takes the handle and is a no-op for what is not running."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        never = ctx.wait(Duration.days(1), name="never started")
        await ctx.cancel_wait(never)
        month = ctx.wait(Duration.days(30), name="month")
        await ctx.race([month, ctx.step(give, 1)])
        await ctx.cancel_wait(month)
        await ctx.cancel_wait(month)
        await month
        short = ctx.wait(Duration.seconds(1), name="short")
        await short
        await ctx.cancel_wait(short)
        with pytest.raises(ValidationError):
            await ctx.cancel_wait("month")  # type: ignore[arg-type]  # the mistake under test
        return "done"

    with pytest.warns(RuntimeWarning, match="never awaited"):
        finished = run(handler)
    assert finished.result == "done"
    assert finished["month"].status == "CANCELLED"
    assert [str(u.action) for u in sent(finished, "month")] == ["START", "CANCEL"]
    assert (finished.duration_seconds or 0) < 60


def test_cancel_wait_in_a_nursery() -> None:
    """For a wait started with ``nursery.start_soon(wait)``."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        async with ctx.open_nursery() as nursery:
            month = ctx.wait(Duration.days(30))
            handle = nursery.start_soon(month)
            await ctx.wait(Duration.seconds(5))
            await ctx.cancel_wait(month)
        assert handle.value is None
        return "done"

    finished = run(handler)
    assert finished.result == "done"
    assert (finished.duration_seconds or 0) < 60


def test_inline_waits() -> None:
    """With ``inline_wait=`` a short wait or retry is slept in-process; by default everything suspends."""
    tries: list[int] = []

    async def flaky() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("again")

    async def program(event: Any, ctx: DurableContext) -> None:
        await ctx.wait(Duration.seconds(3))
        await ctx.step(flaky, retry=fixed_delay(Duration.seconds(2)))
        await ctx.wait(Duration.minutes(3))

    inline = run(durable_execution(inline_wait=Duration.seconds(10))(program))
    assert len(inline.invocations) == 2
    tries.clear()
    assert len(run(durable_execution(program)).invocations) == 4


# --- conditions --------------------------------------------------------------------------------------------


def test_a_condition_is_one_step_that_retries_with_its_state() -> None:
    """Type STEP, subtype WaitForCondition; RETRY carries the new state; no error."""
    calls: list[tuple[int, str]] = []

    async def check(state: int, what: str) -> int:
        calls.append((state, what))
        return state + 1

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        return await ctx.wait_for_condition(
            check, "job", initial_state=0, until=lambda s: s >= 3, interval=Duration.seconds(2), name="c"
        )

    finished = run(handler)
    assert finished.result == 3
    assert calls == [(0, "job"), (1, "job"), (2, "job")]
    updates = sent(finished, "c")
    retries = [u for u in updates if u.action == "RETRY"]
    assert [(u.payload, u.error, u.options.next_attempt_delay_seconds) for u in retries] == [
        ("1", None, 2),
        ("2", None, 2),
    ]
    assert {(u.type, u.sub_type) for u in updates} == {("STEP", "WaitForCondition")}
    assert len(finished.operations) == 1


def test_wait_strategies() -> None:
    """A strategy answers a delay, ``WaitDecision.after``, ``WaitDecision.stop()``, or None to give up."""
    asked: list[tuple[int, int]] = []

    async def check(state: int) -> int:
        return state + 1

    def strategy(state: int, attempt: int) -> Any:
        asked.append((state, attempt))
        return [
            Duration.seconds(1),
            timedelta(seconds=1),
            WaitDecision.after(Duration.seconds(1)),
            WaitDecision.stop(),
        ][attempt - 1]

    @durable_execution
    async def stops(event: Any, ctx: DurableContext) -> int:
        return await ctx.wait_for_condition(check, initial_state=0, wait_strategy=strategy)

    @durable_execution
    async def gives_up(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.wait_for_condition(check, initial_state=0, wait_strategy=lambda state, attempt: None)
        except WaitForConditionError as error:
            return f"{error.error_type}"
        return "met"

    @durable_execution
    async def check_fails(event: Any, ctx: DurableContext) -> list[Any]:
        try:
            await ctx.wait_for_condition(fail_to_look, initial_state=0, until=bool)
        except WaitForConditionError as error:
            return [error.error_type, str(error)]
        return []

    assert run(stops).result == 4
    assert asked == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert run(gives_up).result == "WaitForConditionError"
    finished = run(check_fails)
    assert finished.result == ["ValueError", "no"]
    assert finished[0].attempts == 1


def test_the_default_strategy_of_a_condition() -> None:
    """60 attempts; "met" beats exhaustion."""

    async def check(state: int) -> int:
        return state + 1

    def handler_until(limit: int) -> Any:
        @durable_execution
        async def handler(event: Any, ctx: DurableContext) -> int:
            return await ctx.wait_for_condition(check, initial_state=0, until=lambda s: s >= limit)

        return handler

    assert run(handler_until(60)).result == 60
    run(handler_until(61)).assert_failed("WaitForConditionError")


def test_condition_config_and_arguments() -> None:
    """``config=`` works; neither ``until`` nor ``wait_strategy`` is refused; plain checks run in a thread."""

    @durable_execution
    async def handler(event: Any, ctx: Any) -> Any:
        with pytest.raises(ValidationError, match="until"):
            ctx.wait_for_condition(give, initial_state=0)
        with pytest.raises(TypeError):
            ctx.wait_for_condition(give, until=bool)
        config = WaitForConditionConfig(until=lambda s: s >= 2, interval=Duration.seconds(1))
        return await ctx.wait_for_condition(lambda s: s + 1, initial_state=0, config=config)

    assert run(handler).result == 2


# --- callbacks ---------------------------------------------------------------------------------------------


def test_the_wire_of_a_callback() -> None:
    """START is awaited and has both time-outs in whole seconds, 0 for none; the service makes the id."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        one = await ctx.create_callback(
            name="one", timeout=Duration.minutes(5), heartbeat_timeout=Duration.seconds(7.5)
        )
        two = await ctx.create_callback(name="two", config=CallbackConfig(timeout=Duration.minutes(1)))
        three = await ctx.create_callback(name="three", timeout=None)
        four = await ctx.create_callback(name="four", timeout=Duration.seconds(0))
        assert isinstance(one, Callback)
        assert len({c.callback_id for c in (one, two, three, four)}) == 4
        return [await c.result() for c in (one, two, three, four)]

    finished = run(handler, answers={"one": "a", "two": "{}", "three": None, "four": "x"})
    assert finished.result == ["a", "{}", None, "x"]
    found = [sent(finished, n)[0].options for n in ("one", "two", "three", "four")]
    assert [(o.timeout_seconds, o.heartbeat_timeout_seconds) for o in found] == [
        (300, 8),
        (60, 0),
        (0, 0),
        (0, 0),
    ]
    assert [len(sent(finished, n)) for n in ("one", "two")] == [1, 1]


def test_how_callbacks_end() -> None:
    """FAILED, TIMED_OUT in both ways, and without a result; failures surface at ``result()``, repeatedly."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        callbacks = [
            await ctx.create_callback(name="refused"),
            await ctx.create_callback(name="late", timeout=Duration.hours(1)),
            await ctx.create_callback(
                name="silent", timeout=Duration.hours(9), heartbeat_timeout=Duration.seconds(5)
            ),
        ]
        found: list[Any] = []
        for callback in callbacks:
            for _ in range(2):
                try:
                    await callback.result()
                except CallbackError as error:
                    found.append([type(error).__name__, error.error_type, str(error), error.operation_name])
        return found

    refused, again, late, _, silent, _ = run(
        handler, answers={"refused": PermissionError("not approved")}
    ).result
    assert refused == again == ["CallbackExternalError", "PermissionError", "not approved", "refused"]
    assert (late[0], late[1]) == ("CallbackTimeoutError", "Callback.Timeout")
    assert (silent[0], silent[1]) == ("CallbackTimeoutError", "Callback.Heartbeat")


@pytest.mark.parametrize("status", [OperationStatus.STOPPED, OperationStatus.CANCELLED])
def test_other_terminal_statuses_of_a_callback_end_it(status: OperationStatus) -> None:
    """Every terminal status ends it: STOPPED and CANCELLED are errors."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        callback = await ctx.create_callback(name="c")
        try:
            await callback.result()
        except CallbackError as error:
            return type(error).__name__
        return "answered"

    client = FakeServiceClient()
    client.given_callback("c", status=status)
    assert client.invoke_sync(handler)["Status"] == "SUCCEEDED"


def test_payloads_are_raw_text_unless_told_otherwise() -> None:
    """``serdes=`` and ``result_type=`` decode; an absent payload skips ``deserialize``."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        raw = await ctx.wait_for_callback(give, name="raw")
        decoded = await ctx.wait_for_callback(give, name="decoded", serdes=json_serdes())
        typed = await (await ctx.create_callback(name="typed", result_type=dict[str, int])).result()
        nothing = await (await ctx.create_callback(name="nothing", serdes=json_serdes())).result()
        return [raw, decoded, typed, nothing]

    answers = {"raw": '{"a": 1}', "decoded": '{"a": 1}', "typed": '{"a": 1}', "nothing": None}
    assert run(handler, answers=answers).result == ['{"a": 1}', {"a": 1}, {"a": 1}, None]


def test_wait_for_callback_on_the_wire() -> None:
    """CONTEXT WaitForCallback holding a CALLBACK and a STEP with their derived names."""
    told: list[tuple[str, int, int]] = []

    def submitter(callback_id: str, a: int, b: int) -> None:
        told.append((callback_id, a, b))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.wait_for_callback(submitter, 1, 2, name="approval", timeout=Duration.days(1))

    finished = run(handler, answers={"approval": "yes"})
    assert finished.result == "yes"
    assert [(o.type, o.sub_type, o.name) for o in finished.operations] == [
        ("CONTEXT", "WaitForCallback", "approval"),
        ("CALLBACK", "Callback", "approval create callback id"),
        ("STEP", "Step", "approval submitter"),
    ]
    assert told == [(finished[0].callback_id, 1, 2)]
    assert [o.record.parent_id for o in finished.operations[1:]] == [finished[0].id] * 2


def test_errors_of_wait_for_callback_are_the_callback_errors_themselves() -> None:
    """A refusal, a time-out and a failing submitter; no context error around them; same on replay."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        found = []
        for name, submitter in (("refused", give), ("late", give), ("unsent", fail)):
            try:
                await ctx.wait_for_callback(
                    submitter,
                    name=name,
                    config=WaitForCallbackConfig(timeout=Duration.hours(1), retry=no_retry()),
                )
            except CallbackError as error:
                found.append((type(error), error.error_type, str(error)))
        seen.append(found)
        await ctx.wait(Duration.seconds(1))

    run(handler, answers={"refused": PermissionError("not approved")}).assert_succeeded()
    assert seen[0] == seen[1]
    assert [row[:2] for row in seen[0]] == [
        (CallbackExternalError, "PermissionError"),
        (CallbackTimeoutError, "Callback.Timeout"),
        (CallbackSubmitterError, "ValueError"),
    ]
    assert seen[0][0][2] == "not approved"


def test_a_submitter_has_its_own_retries() -> None:
    """``retry=`` is for the submitter's step, and nobody is notified again once it is recorded."""
    told: list[str] = []

    async def submitter(callback_id: str) -> None:
        told.append(callback_id)
        if len(told) == 1:
            raise ConnectionError("later")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        answer = await ctx.wait_for_callback(submitter, name="a", retry=fixed_delay(Duration.seconds(1)))
        await ctx.wait(Duration.hours(1))
        return answer

    from durable_trio.testing import DurableRunner

    runner = DurableRunner(handler)
    runner.callback("a").succeed("yes", after=Duration.minutes(1))
    assert runner.run_sync().result == "yes"
    assert len(told) == 2
    assert len(set(told)) == 1


def test_the_reminder_pattern() -> None:
    """``race([cb.result(), ctx.wait(day)])``, remind, ``await cb.result()``."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        approval = await ctx.create_callback(name="approval", timeout=Duration.days(3))
        answer = await ctx.race([approval.result(), ctx.wait(Duration.days(1))])
        if answer is None:
            await ctx.step(give, "reminded", name="remind")
            answer = await approval.result()
        return answer

    from durable_trio.testing import DurableRunner

    runner = DurableRunner(handler)
    runner.callback("approval").succeed("yes", after=Duration.days(2))
    assert runner.run_sync().result == "yes"


def test_results_of_a_callback_take_no_id() -> None:
    """``callback.result()`` is on the callback's own id, and may be awaited in descendants and combinators."""

    async def child(ctx: DurableContext, callback: Callback[Any]) -> Any:
        return await callback.result()

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        callback = await ctx.create_callback(name="c")
        one, two = await ctx.all((callback.result(), ctx.run_in_child_context(child, callback)))
        return [one, two, (await ctx.all_settled([callback.result()]))[0].value]

    finished = run(handler, answers={"c": "x"})
    assert finished.result == ["x", "x", "x"]
    assert [o.kind for o in finished.operations] == ["Callback", "RunInChildContext"]


# --- invokes -----------------------------------------------------------------------------------------------


def test_the_wire_of_an_invoke() -> None:
    """Type CHAINED_INVOKE with payload, function name and tenant; subtype ChainedInvoke."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        plain = await ctx.invoke("f", {"a": (1, 2)}, name="i", tenant_id="t")
        again = await ctx.invoke("f", 2, config=InvokeConfig(tenant_id="u"))
        return [plain, again]

    finished = run(handler, functions={"f": lambda event: {"got": event}})
    assert finished.result == [{"got": {"a": [1, 2]}}, {"got": 2}]
    update = sent(finished, "i")[0]
    assert (update.type, update.sub_type, update.action) == ("CHAINED_INVOKE", "ChainedInvoke", "START")
    assert (update.payload, update.options.function_name, update.options.tenant_id) == (
        '{"a":[1,2]}',
        "f",
        "t",
    )


def test_failures_of_an_invoke() -> None:
    """FAILED and TIMED_OUT raise ``InvokeError`` with the target's error."""
    from durable_trio.testing import DurableRunner

    @durable_execution
    async def target(event: Any, ctx: DurableContext) -> None:
        await ctx.wait(Duration.hours(1))
        raise LookupError("gone")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        found = []
        for name in ("target", "slow", "unknown"):
            try:
                await ctx.invoke(name, None)
            except InvokeError as error:
                found.append([error.error_type, str(error)])
        return found

    runner = DurableRunner(handler, functions={"target": target})
    runner.function("slow").times_out()
    first, slow, unknown = runner.run_sync().result
    assert first == ["LookupError", "gone"]
    assert slow[0] in ("ChainedInvoke.Timeout", "Sandbox.Timedout")
    assert unknown[0] == "ResourceNotFoundException"


# --- remaining time ----------------------------------------------------------------------------------------


def test_due_timers_resume_in_place_while_others_run() -> None:
    """While another actor runs, a due wait or retry goes on in the same invocation."""

    async def waits(ctx: DurableContext) -> str:
        await ctx.wait(Duration.seconds(5))
        return "waited"

    async def works(ctx: DurableContext) -> str:
        await ctx.step(trio.sleep, 60)
        return "worked"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        batch = await ctx.parallel([waits, works])
        return batch.results()

    finished = run(handler)
    assert finished.result == ["waited", "worked"]
    assert len(finished.invocations) == 1


def test_step_errors_of_a_submitter_are_not_step_errors() -> None:
    """``CallbackSubmitterError`` is no ``StepError``."""
    assert not issubclass(CallbackSubmitterError, StepError)
