"""How many invocations of a function are in flight at a time, and who comes next."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from local.functions import (
    PENDING,
    Call,
    Function,
    returns_at_once,
    start_wait,
    succeeded,
)

from durable_trio.local import (
    ExecutionStatus,
    FunctionConfig,
    LocalSettings,
    TooManyRequests,
    open_local_service,
)

S = ExecutionStatus


class Gauge:
    """A durable function that notes how many invocations of it are in flight."""

    def __init__(self, seconds: float = 10) -> None:
        self.running = self.most = 0
        self.order: list[str] = []
        self.function = Function(self._body)
        self._seconds = seconds

    async def _body(self, call: Call) -> Any:
        self.running += 1
        self.most = max(self.most, self.running)
        execution = call.operations[call.invocation.durable_execution_arn.rpartition("/")[2]]
        self.order.append(execution.name or "")
        try:
            await trio.sleep(self._seconds)
        finally:
            self.running -= 1
        return succeeded()


async def test_a_limit_of_invocations_at_a_time(autojump_clock: trio.testing.MockClock) -> None:
    """No more are in flight than the limit; the others are made in the order in which they became due."""
    gauge = Gauge()
    async with open_local_service() as service:
        service.register("f", gauge.function, config=FunctionConfig(concurrency=3))
        names = [f"run-{number:02}" for number in range(10)]
        arns = [(await service.start_execution("f", "null", name=name)).arn for name in names]
        began = trio.current_time()
        for arn in arns:
            await service.wait_closed(arn)

        assert gauge.most == 3
        # Those that begin in the same moment are run by Trio in any order.
        batches = [sorted(gauge.order[start : start + 3]) for start in range(0, 10, 3)]
        assert batches == [names[start : start + 3] for start in range(0, 10, 3)]
        assert trio.current_time() - began == pytest.approx(40)
        assert "0 waiting" in repr(service._dispatcher)


@given(
    durations=st.lists(st.integers(1, 50), min_size=1, max_size=12),
    limit=st.integers(1, 4),
    stop=st.integers(0, 12),
)
@settings(max_examples=25)
def test_the_limit_always_holds(durations: list[int], limit: int, stop: int) -> None:
    """However long invocations take, and whatever is stopped, the limit is kept, and used to the full."""

    async def main() -> None:
        running = most = 0

        async def body(call: Call) -> Any:
            nonlocal running, most
            running += 1
            most = max(most, running)
            payload = call.invocation.operations[0].details.input_payload  # type: ignore[union-attr]
            await trio.sleep(int(payload or 0))
            running -= 1
            return succeeded()

        async with open_local_service() as service:
            service.register("f", Function(body), config=FunctionConfig(concurrency=limit))
            arns = [(await service.start_execution("f", str(seconds))).arn for seconds in durations]
            for arn in arns[stop:]:
                await service.stop(arn)
            for arn in arns:
                await service.wait_closed(arn)
            await service.until_idle()
            assert most <= limit
            assert most >= min(limit, len(arns[:stop]))
            assert service._registry._running == {}

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def test_other_functions_are_not_limited(autojump_clock: trio.testing.MockClock) -> None:
    """A limit holds for its function alone."""
    limited, free = Gauge(), Gauge()
    async with open_local_service() as service:
        service.register("f", limited.function, config=FunctionConfig(concurrency=1))
        service.register("g", free.function)
        arns = [(await service.start_execution(name, "null")).arn for name in ("f", "g") for _ in range(4)]
        for arn in arns:
            await service.wait_closed(arn)

        assert (limited.most, free.most) == (1, 4)


async def test_resumed_executions_wait_too(autojump_clock: trio.testing.MockClock) -> None:
    """Waits that end together do not have more invocations made than the limit allows."""
    gauge = Gauge(5)
    real = gauge._body

    async def body(call: Call) -> Any:
        if call.status("wait") is None:
            await call.checkpoint(start_wait(3600))
            return PENDING
        return await real(call)

    async with open_local_service() as service:
        service.register("f", Function(body), config=FunctionConfig(concurrency=2))
        arns = [(await service.start_execution("f", "null")).arn for _ in range(6)]
        for arn in arns:
            assert (await service.wait_closed(arn)).status is S.SUCCEEDED
        assert gauge.most == 2


async def test_what_ends_while_it_waits(autojump_clock: trio.testing.MockClock) -> None:
    """An execution that is stopped while its invocation waits takes nobody's place."""
    gauge = Gauge()
    async with open_local_service() as service:
        service.register("f", gauge.function, config=FunctionConfig(concurrency=1))
        arns = [(await service.start_execution("f", "null", name=f"run-{n}")).arn for n in range(3)]
        await trio.sleep(1)
        await service.stop(arns[1])
        await service.wait_closed(arns[2])

        assert gauge.order == ["run-0", "run-2"]


async def test_pausing_what_waits(autojump_clock: trio.testing.MockClock) -> None:
    """An execution that is paused while its invocation waits is not invoked until it is resumed."""
    gauge = Gauge()
    async with open_local_service() as service:
        service.register("f", gauge.function, config=FunctionConfig(concurrency=1))
        arns = [(await service.start_execution("f", "null", name=f"run-{n}")).arn for n in range(3)]
        await trio.sleep(1)
        await service.pause_execution(arns[1])
        await service.wait_closed(arns[2])
        assert gauge.order == ["run-0", "run-2"]
        await service.resume_execution(arns[1])
        assert (await service.wait_closed(arns[1])).status is S.SUCCEEDED


async def test_who_waits_for_an_answer_is_refused(autojump_clock: trio.testing.MockClock) -> None:
    """A synchronous invoke does not queue: it is told to try again."""
    gauge = Gauge()
    async with open_local_service() as service:
        service.register("f", gauge.function, config=FunctionConfig(concurrency=1))
        await service.start_execution("f", "null")
        await trio.sleep(1)
        with pytest.raises(TooManyRequests, match="as many invocations in flight as it may") as refusal:
            await service.invoke("f")
        assert refusal.value.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"
        assert refusal.value.retry_after_seconds == 1
        await trio.sleep(20)
        assert (await service.invoke("f")).function_error is None


async def test_a_full_disk_frees_the_place(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An invocation whose start could not be written does not count as in flight."""
    import sqlite3

    gauge = Gauge(1)
    async with open_local_service() as service:
        service.register("f", gauge.function, config=FunctionConfig(concurrency=1))
        store = service._ledger.store
        real, failures = store.commit, iter([True])

        def commit() -> None:
            if next(failures, False):
                raise sqlite3.OperationalError("database or disk is full")
            real()

        monkeypatch.setattr(store, "commit", commit)
        with pytest.raises(Exception, match="disk is full"):
            await service.start_execution("f", "null")
        execution = await service.start_execution("f", "null")
        assert (await service.wait_closed(execution.arn)).status is S.SUCCEEDED


async def test_memory_is_told(autojump_clock: trio.testing.MockClock) -> None:
    """The Lambda context tells the function's memory, or the service's."""
    one, two = Function(returns_at_once), Function(returns_at_once)
    async with open_local_service(settings=LocalSettings(memory_limit_in_mb=256)) as service:
        service.register("one", one)
        service.register("two", two, config=FunctionConfig(memory_limit_in_mb=1024))
        for name in ("one", "two"):
            await service.wait_closed((await service.start_execution(name, "null")).arn)
        assert (one.calls[0].context.memory_limit_in_mb, two.calls[0].context.memory_limit_in_mb) == (
            "256",
            "1024",
        )
