"""Suspension, ownership and cancellation: what the user's code may do, and what it may not break."""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from support.clients import Script
from support.leaks import nothing_left
from support.runs import FUNCTION, Run, driven, run
from support.scheduling import seeded_scheduling
from trio.testing import MockClock

from durable_trio import (
    CheckpointError,
    ContextUseError,
    DurableContext,
    Duration,
    InvalidTokenError,
    StepError,
    StepSemantics,
    durable_execution,
    fixed_delay,
    no_retry,
)


async def give(value: Any) -> Any:
    """Return *value*."""
    return value


async def run_cleanly(handler: Any, **options: Any) -> Run:
    """Run *handler*; fail if anything of it is left behind, or if it takes for ever."""
    with trio.fail_after(1_000_000), nothing_left():
        return await run(handler, **options)


# --- swallowed cancellations -----------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 2, 10])
async def test_a_swallowed_suspension_is_still_pending(times: int, autojump_clock: MockClock) -> None:
    """A handler that swallows its cancellation, even several times, and returns, has answered PENDING."""
    swallowed: list[int] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        for attempt in range(times):
            try:
                await ctx.wait(Duration.seconds(5))
            except BaseException:  # noqa: BLE001  # the misbehaviour under test
                swallowed.append(attempt)
        return "through"

    finished = await run_cleanly(handler)

    assert finished.result == "through"
    assert finished.invocations == ["PENDING"] * times + ["SUCCEEDED"]
    assert swallowed


async def test_a_swallowed_suspension_in_a_child_records_nothing(autojump_clock: MockClock) -> None:
    """A child that swallows the suspension and returns has not ended: the value of a later run counts."""

    async def swallowing(ctx: DurableContext) -> str:
        try:
            await ctx.wait(Duration.hours(1))
        except BaseException:  # noqa: BLE001  # the misbehaviour under test
            return "swallowed"
        return "waited"

    async def tidying(ctx: DurableContext) -> str:
        try:
            await ctx.wait(Duration.hours(2))
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(5)  # gives what is wrongly queued the time to be sent
        return "tidied"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.all([ctx.run_in_child_context(swallowing), ctx.run_in_child_context(tidying)])

    finished = await run_cleanly(handler)

    assert finished.result == ["waited", "tidied"]


async def test_a_failing_finally_in_a_child_records_nothing(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exception of a ``finally`` block during suspension is logged; it is not the child's failure."""
    can_fail = [False, False, True]  # only the first time

    async def failing(ctx: DurableContext) -> str:
        try:
            await ctx.wait(Duration.hours(1))
        finally:
            if can_fail.pop():
                raise ValueError("clean-up")
        return "waited"

    async def tidying(ctx: DurableContext) -> str:
        try:
            await ctx.wait(Duration.minutes(1))
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(5)
        return "tidied"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.all([ctx.run_in_child_context(failing), ctx.run_in_child_context(tidying)])

    finished = await run_cleanly(handler)

    assert finished.result == ["waited", "tidied"]
    assert "ContextFailed" not in finished.event_types
    assert "ValueError('clean-up')" in capsys.readouterr().out


async def test_a_failing_finally_of_the_handler_is_logged(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exception of the handler's clean-up during suspension is logged, and the answer is PENDING."""
    runs: list[int] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        runs.append(1)
        try:
            await ctx.wait(Duration.seconds(5))
        finally:
            if len(runs) == 1:
                raise ValueError("clean-up")
        return "done"

    finished = await run_cleanly(handler)

    assert finished.result == "done"
    assert finished.invocations == ["PENDING", "SUCCEEDED"]
    assert "ValueError('clean-up')" in capsys.readouterr().out


async def test_durable_operations_are_refused_during_suspension(autojump_clock: MockClock) -> None:
    """Code in a ``finally`` cannot start durable operations, shielded or not, and records nothing."""
    refusals: list[str] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.wait(Duration.seconds(5))
        finally:
            with trio.CancelScope(shield=True):
                try:
                    await ctx.step(give, 1)
                except ContextUseError as error:
                    refusals.append(str(error))
        return "done"

    finished = await run_cleanly(handler)

    assert finished.result == "done"
    assert len(refusals) == 1
    assert "resumes" in refusals[0]
    assert [str(call) for call in finished.calls] == ["WAIT START", "STEP START, STEP SUCCEED"]


# --- shields ---------------------------------------------------------------------------------------------


async def test_shielded_parked_operations_do_not_hang(autojump_clock: MockClock) -> None:
    """Whoever shields a wait from the suspension is told by an error; slow clean-up then ends undisturbed."""
    told: list[type[Exception]] = []

    async def child(ctx: DurableContext) -> str:
        with trio.CancelScope(shield=True):
            try:
                await ctx.wait(Duration.seconds(5))
            except ContextUseError as error:
                told.append(type(error))
                await trio.sleep(20)  # longer than the wait: nobody may ask for it meanwhile
                raise
        return "waited"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.all([ctx.run_in_child_context(child), ctx.wait(Duration.seconds(5))])

    finished = await run_cleanly(handler)

    assert finished.result == ["waited", None]
    assert finished.invocations == ["PENDING", "SUCCEEDED"]
    assert told == [ContextUseError]
    assert [str(call) for call in finished.calls if not call.updates] == []


@pytest.mark.parametrize("call", [1, 2, 3])
async def test_shielded_commits_do_not_hang_without_a_token(call: int, autojump_clock: MockClock) -> None:
    """When the service withholds the token, shielded code that waits for the checkpoint is let go."""

    async def child(ctx: DurableContext) -> int:
        with trio.CancelScope(shield=True):
            return int(await ctx.step(give, 1)) + int(await ctx.step(give, 1))
        raise AssertionError("nobody cancels the shield")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        value = await ctx.run_in_child_context(child)
        await ctx.wait(Duration.seconds(5))
        return value

    finished = await run_cleanly(handler, wrap=Script(withheld=(call,)))

    assert finished.status in {"SUCCEEDED", "FAILED"}
    if finished.status == "FAILED":  # nothing was pending when the token was withheld: the service's business
        assert "no pending operations" in (finished.error.message or "")


async def test_a_shielded_commit_does_not_hide_a_retryable_error(autojump_clock: MockClock) -> None:
    """When the writer fails, its error is the invocation's, whatever shielded code makes of its own."""

    async def child(ctx: DurableContext) -> int:
        with trio.CancelScope(shield=True):
            return int(await ctx.step(give, 1))
        raise AssertionError("nobody cancels the shield")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.run_in_child_context(child)

    script = Script(errors={1: InvalidTokenError("Invalid checkpoint token: stale")})
    finished = await run_cleanly(handler, wrap=script)

    assert finished.result == 1
    assert finished.invocations == ["raised", "SUCCEEDED"]


@pytest.mark.parametrize("swallows", [False, True])
async def test_a_refused_checkpoint_cannot_be_swallowed(swallows: bool, autojump_clock: MockClock) -> None:
    """A checkpoint that is refused for good fails the execution, even if the handler goes on and returns."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.step(give, 1)
        except BaseException:  # the misbehaviour under test
            if not swallows:
                raise
        return "as if nothing had happened"

    finished = await run_cleanly(handler, wrap=Script(errors={1: CheckpointError("no such thing")}))

    assert (finished.error.type, finished.error.message) == ("CheckpointError", "no such thing")


# --- withheld tokens -------------------------------------------------------------------------------------


async def test_a_withheld_token_while_a_timer_is_asked_for(autojump_clock: MockClock) -> None:
    """The token is withheld while the waker's question is queued: PENDING, not a failure."""

    async def waiting(ctx: DurableContext) -> int:
        await ctx.wait(Duration.seconds(2))
        return 1

    async def working(ctx: DurableContext) -> int:
        await ctx.step(trio.sleep, 1)
        return 2

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.all([ctx.run_in_child_context(waiting), ctx.run_in_child_context(working)])

    # The second call is the working branch's; the timer comes due while it is in flight.
    finished = await run_cleanly(handler, wrap=Script(delays={2: 5}, withheld=(2,)))

    assert finished.result == [1, 2]
    assert finished.invocations == ["PENDING", "SUCCEEDED"]


async def test_a_withheld_token_at_the_very_end(autojump_clock: MockClock) -> None:
    """The token is withheld while the last updates are flushed: PENDING, and the next invocation finishes."""

    async def child(ctx: DurableContext) -> str:
        return await ctx.step(give, "done")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        opened = await ctx.create_callback(timeout=Duration.hours(1))
        assert opened.callback_id
        return await ctx.run_in_child_context(child)

    # Call 1 opens the callback, 2 is the step, 3 the child's end.
    finished = await run_cleanly(handler, wrap=Script(withheld=(3,)))

    assert finished.invocations == ["PENDING", "SUCCEEDED"]
    assert finished.result == "done"


async def test_cleanup_after_a_withheld_token(autojump_clock: MockClock) -> None:
    """Clean-up takes its time after the token was withheld, past a timer's end; the answer is PENDING."""

    async def waiting(ctx: DurableContext) -> int:
        try:
            await ctx.wait(Duration.seconds(4))
            return 1
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(10)

    async def working(ctx: DurableContext) -> int:
        await ctx.step(trio.sleep, 1)
        return 2

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.all([ctx.run_in_child_context(waiting), ctx.run_in_child_context(working)])

    finished = await run_cleanly(handler, wrap=Script(withheld=(2,)))

    assert finished.result == [1, 2]
    assert finished.invocations == ["PENDING", "SUCCEEDED"]


# --- the owner -------------------------------------------------------------------------------------------


async def test_another_task_may_not_use_a_context(autojump_clock: MockClock) -> None:
    """From a plain task every use is refused, with the remedy; the operation may still be awaited by its owner."""
    refusals: list[str] = []

    async def refused(act: Callable[[], Any]) -> None:
        try:
            await act()
        except ContextUseError as error:
            refusals.append(str(error))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        operation = ctx.step(give, 5)

        async def await_it() -> None:
            await operation

        async def create_one() -> None:
            ctx.step(give, 6)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(refused, await_it)
            nursery.start_soon(refused, create_one)
        return int(await operation)

    finished = await run_cleanly(handler)

    assert finished.result == 5
    assert len(refusals) == 2
    assert all("ctx.all" in text and "run_in_child_context" in text for text in refusals)
    assert len(finished.operations) == 2


@pytest.mark.parametrize("kind", ["async", "thread", "from thread"])
async def test_a_step_body_may_not_use_a_context(kind: str, autojump_clock: MockClock) -> None:
    """Inside a step's body, wherever it runs, the context is refused, with the remedy."""
    refusals: list[str] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> str:
        def use() -> None:
            try:
                ctx.wait(Duration.seconds(1))
            except ContextUseError as error:
                refusals.append(str(error))

        async def async_body() -> None:
            use()

        def from_thread() -> None:
            trio.from_thread.run_sync(use)

        bodies: dict[str, Any] = {"async": async_body, "thread": use, "from thread": from_thread}
        await ctx.step(bodies[kind])
        await ctx.wait(Duration.seconds(1))
        return "done"

    finished = await run_cleanly(handler)

    assert finished.result == "done"
    assert len(refusals) == 1
    assert "run_in_child_context" in refusals[0]


async def test_a_context_may_not_be_used_after_its_end(autojump_clock: MockClock) -> None:
    """A context that has ended, or whose child is running, is refused."""
    leaked: list[DurableContext] = []
    refusals: list[str] = []

    async def child(ctx: DurableContext, parent: DurableContext) -> None:
        leaked.append(ctx)
        for other in (parent, parent):
            with pytest.raises(ContextUseError) as refused:
                other.step(give, 1)
            refusals.append(str(refused.value))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.run_in_child_context(child, ctx)
        with pytest.raises(ContextUseError, match="has ended"):
            leaked[0].step(give, 2)

    finished = await run_cleanly(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert len(refusals) == 2


async def test_every_use_of_a_context_is_guarded(autojump_clock: MockClock) -> None:
    """No method that takes an id or depends on what was awaited can be called from elsewhere."""
    refused: list[str] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        uses: dict[str, Callable[[], Any]] = {
            "step": lambda: ctx.step(give, 1),
            "wait": lambda: ctx.wait(Duration.seconds(1)),
            "create_callback": lambda: ctx.create_callback(),
            "wait_for_callback": lambda: ctx.wait_for_callback(give),
            "run_in_child_context": lambda: ctx.run_in_child_context(give),
            "map": lambda: ctx.map([], give),  # type: ignore[arg-type]  # never called
            "all": lambda: ctx.all([]),
            "uuid": ctx.uuid,
            "random": ctx.random,
            "now": ctx.now,
        }

        async def elsewhere() -> None:
            for name, use in uses.items():
                try:
                    use()
                except ContextUseError:
                    refused.append(name)
            with pytest.raises(ContextUseError):
                await ctx.flush()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(elsewhere)
        assert refused == list(uses)

    finished = await run_cleanly(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert finished.calls == []


async def test_an_operation_may_be_awaited_again(autojump_clock: MockClock) -> None:
    """Awaited again, an operation gives the same outcome, good or bad, without running again."""
    runs: list[str] = []
    seen: list[Any] = []

    async def body(fails: bool) -> list[int]:
        runs.append("body")
        if fails:
            raise ValueError("no")
        return [1]

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        good, bad, wait = (
            ctx.step(body, False),
            ctx.step(body, True, retry=no_retry()),
            ctx.wait(Duration.seconds(1)),
        )
        outcomes: list[Any] = []
        for _ in range(2):
            outcomes.append(await good)
            try:
                await bad
            except StepError as error:
                outcomes.append(str(error))
            waited: Any = wait
            outcomes.append(await waited)
        assert await ctx.all([good, wait]) == [[1], None]
        seen.append(outcomes)

    finished = await run_cleanly(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert seen == [[[1], "no", None] * 2]
    assert runs == ["body"] * 2


async def test_an_operation_in_flight_may_not_be_awaited_again(autojump_clock: MockClock) -> None:
    """While an operation runs, or belongs to a combinator, nobody else may await it."""
    refusals: list[str] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        async def body() -> None:
            try:
                await step
            except ContextUseError as error:
                refusals.append(str(error))

        step = ctx.step(body)
        await step
        inner = ctx.step(give, 1)
        both = ctx.all([inner])
        with pytest.raises(ContextUseError, match="given to a combinator"):
            await inner
        await both

    finished = await run_cleanly(handler)

    assert finished.status == "SUCCEEDED", finished.description.error
    assert len(refusals) == 1


# --- operations that nobody awaits ------------------------------------------------------------------------


async def test_an_operation_that_is_never_awaited_warns(autojump_clock: MockClock) -> None:
    """Dropping an operation warns like dropping a coroutine; what was given to a combinator warns once."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> list[str]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            ctx.step(give, 1, name="dropped")
            ctx.all([ctx.step(give, 2, name="inner")])
            gc.collect()
        return [str(warning.message) for warning in caught if warning.category is RuntimeWarning]

    finished = await run_cleanly(handler)

    assert len(finished.result) == 2
    assert "step 'dropped' was never awaited" in finished.result[0]
    assert finished.result[1].startswith("all ")


async def test_a_suspension_in_between_is_no_reason_to_warn(autojump_clock: MockClock) -> None:
    """An operation that was to be awaited after the suspension does not warn."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> int:
        later = ctx.step(give, 1)
        await ctx.wait(Duration.seconds(1))
        return int(await later)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        finished = await run_cleanly(handler)
        gc.collect()

    assert finished.result == 1
    assert [str(warning.message) for warning in caught] == []


# --- cancellation by the user's own code ------------------------------------------------------------------


class Cut(Exception):
    """The failure of a plain task, which cancels its siblings."""


@asynccontextmanager
async def cancelled_after(seconds: float) -> AsyncIterator[None]:
    """Cancel the body after a while, by the failure of a plain task beside it."""
    async with trio.open_nursery() as nursery:

        async def cut() -> None:
            await trio.sleep(seconds)
            raise Cut

        nursery.start_soon(cut)
        yield
        nursery.cancel_scope.cancel()


CUTS = [0.0, 0.005, 0.015, 0.025, 0.5, 0.995, 1.005, 1.015, 1.025, 3.0, 30.0]


@pytest.mark.parametrize(
    "kind", ["step", "at most once", "retried", "wait", "child", "map", "all", "callback"]
)
@pytest.mark.parametrize("seconds", CUTS)
async def test_an_operation_cut_at_any_point_leaves_nothing(
    kind: str, seconds: float, autojump_clock: MockClock
) -> None:
    """Cut before its START is sent, while it is in flight, parked, or being completed: nothing hangs or leaks.

    Calls take a hundredth of a second, so the cuts fall between and into them. Another branch keeps the
    invocation alive meanwhile, and the execution then goes on.
    """

    async def body() -> int:
        await trio.sleep(1)
        return 1

    async def flaky() -> None:
        raise OSError("again")

    async def child(ctx: DurableContext, *_: Any) -> int:
        return await ctx.step(body) + await ctx.step(body)

    async def submit(callback_id: str) -> None:
        await trio.sleep(1)

    def operation(ctx: DurableContext) -> Any:
        match kind:
            case "step":
                return ctx.step(body)
            case "at most once":
                return ctx.step(body, semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY)
            case "retried":
                return ctx.step(flaky, retry=fixed_delay(Duration.seconds(1), max_attempts=3))
            case "wait":
                return ctx.wait(Duration.seconds(1))
            case "child":
                return ctx.run_in_child_context(child)
            case "map":
                return ctx.map([1, 2, 3], child, max_concurrency=2)
            case "all":
                return ctx.all(
                    [ctx.step(body), ctx.wait(Duration.seconds(2)), ctx.run_in_child_context(child)]
                )
            case _:
                return ctx.wait_for_callback(submit, timeout=Duration.seconds(2))

    endings: list[str] = []

    async def cutting(ctx: DurableContext) -> str:
        try:
            async with cancelled_after(seconds):
                await operation(ctx)
        except* Exception:  # noqa: BLE001  # whatever it is, it ended
            endings.append("error")
        return str(await ctx.step(give, "went on"))

    async def working(ctx: DurableContext) -> str:
        await ctx.step(trio.sleep, 60)
        return "worked"

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.all([ctx.run_in_child_context(cutting), ctx.run_in_child_context(working)])

    slow = Script(delays=dict.fromkeys(range(1, 200), 0.01))
    finished = await run_cleanly(handler, wrap=slow)

    assert finished.result == ["went on", "worked"]
    assert finished.invocations == ["SUCCEEDED"]


async def test_threads_are_joined_on_an_early_decision(autojump_clock: MockClock) -> None:
    """A plain function cannot be stopped: a decision waits for it, and nothing is left running."""
    may_end = threading.Event()
    ended: list[str] = []

    def stubborn() -> None:
        may_end.wait(timeout=10)
        ended.append("thread")

    async def fail() -> None:
        may_end.set()
        raise ValueError("decided")

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.all([ctx.step(stubborn), ctx.step(fail, retry=no_retry())])

    finished = await run_cleanly(handler)

    assert finished.error.message == "decided"
    assert ended == ["thread"]


@pytest.mark.parametrize("seed", range(10))
async def test_a_killed_invocation_leaves_nothing(seed: int, autojump_clock: MockClock) -> None:
    """An invocation that is cancelled from outside ends without an answer and without a trace."""

    async def item(ctx: DurableContext, value: int, index: int) -> int:
        await ctx.step(trio.sleep, value)
        await ctx.wait(Duration.seconds(1))
        return value

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return (await ctx.map(range(5), item)).results()

    with seeded_scheduling(seed), nothing_left():
        async with driven(handler, timeout_seconds=1_000) as driver:
            await driver.service.start_execution(FUNCTION, "null", name="run")
            await trio.sleep(seed / 2)
            # Leaving the service cancels what runs.
