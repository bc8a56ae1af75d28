"""Time that moves by itself while nothing can run, and by hand."""

from __future__ import annotations

import itertools
import queue
import time
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from local.functions import (
    PENDING,
    Call,
    Function,
    retry_step,
    returns_at_once,
    start_callback,
    start_step,
    start_wait,
    succeeded,
    waits,
    waits_for_callback,
)

from durable_trio._protocol.operation import OperationStatus
from durable_trio.clock import Clock, VirtualClock
from durable_trio.exceptions import ValidationError
from durable_trio.local import ExecutionStatus, LocalSettings, open_local_service

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400
HOSTS = pytest.mark.parametrize("is_mock", [False, True], ids=["system clock", "MockClock"])


def run(is_mock: bool, main: Any) -> None:
    """Run *main* on one of the two clocks; it may not take long in real time."""
    began = time.monotonic()
    clock = trio.testing.MockClock(autojump_threshold=0) if is_mock else None
    trio.run(main, clock=clock)
    assert time.monotonic() - began < 5


def many_waits(count: int, seconds: int) -> Function:
    """Make a function that waits *count* times, one after another."""

    async def body(call: Call) -> Any:
        for number in range(count):
            id_ = f"wait-{number}"
            if call.status(id_) is None:
                await call.checkpoint(start_wait(seconds, id_))
            if call.status(id_) is not OperationStatus.SUCCEEDED:
                return PENDING
        return succeeded()

    return Function(body)


@HOSTS
def test_months_pass_in_no_time(is_mock: bool) -> None:
    """Fifty waits of a day are over at once, each at its own instant."""

    async def main() -> None:
        async with open_local_service(virtual_time=True) as service:
            service.register("f", many_waits(50, DAY))
            execution = await service.start_execution("f", "null")
            ended = await service.wait_closed(execution.arn)

            assert ended.ended_at is not None
            # The invocations between the waits take the time they take.
            assert 0 <= ended.ended_at - ended.started_at - 50 * DAY * 1000 < 5000
            assert ended.invocation_count == 51

    run(is_mock, main)


@HOSTS
def test_timers_fire_in_order_across_executions(is_mock: bool) -> None:
    """What is due earlier happens earlier, whichever execution it belongs to; no jump passes a timer by."""

    async def main() -> None:
        order: list[int] = []

        def sleeper(seconds: int) -> Function:
            async def body(call: Call) -> Any:
                if call.status("wait") is None:
                    await call.checkpoint(start_wait(seconds))
                    return PENDING
                order.append(seconds)
                return succeeded()

            return Function(body)

        periods = [700, 30, 5 * DAY, 31, 2 * DAY]
        async with open_local_service(virtual_time=True) as service:
            with service.hold_time():
                arns = []
                for seconds in periods:
                    service.register(f"f-{seconds}", sleeper(seconds))
                    arns.append((await service.start_execution(f"f-{seconds}", "null")).arn)
            for arn in arns:
                await service.wait_closed(arn)
            assert order == sorted(periods)
            for arn in arns:
                wait = (await service.operations(arn))[1]
                assert wait.ended_at is not None
                assert wait.ended_at - wait.started_at in {seconds * 1000 for seconds in periods}

    run(is_mock, main)


async def test_time_stands_while_an_invocation_runs() -> None:
    """No jump is made while a function is being called, however long a timer of another execution waits."""
    began, goes_on = trio.Event(), trio.Event()

    async def busy(call: Call) -> Any:
        del call
        began.set()
        await goes_on.wait()
        return succeeded()

    async with open_local_service(virtual_time=True) as service:
        service.register("busy", Function(busy))
        service.register("sleeper", Function(waits(DAY)))
        with service.hold_time():
            await service.start_execution("busy", "null")
            sleeper = await service.start_execution("sleeper", "null")
            await began.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert service.clock.now() < sleeper.started_at + 60_000
        goes_on.set()
        ended = await service.wait_closed(sleeper.arn)
        assert ended.ended_at is not None
        assert ended.ended_at >= sleeper.started_at + DAY * 1000


@HOSTS
def test_who_is_about_to_answer_is_waited_for(is_mock: bool) -> None:
    """A callback's time-out is not jumped to while a task that answers it can still run."""

    async def main() -> None:
        async with open_local_service(virtual_time=True) as service:

            async def body(call: Call) -> Any:
                if call.status("callback") is None:
                    await call.checkpoint(start_callback(timeout=DAY))
                    send.send_nowait(call.callback_id("callback"))
                    return PENDING
                return succeeded(f'"{call.status("callback")}"')

            send, receive = trio.open_memory_channel[str](1)
            service.register("f", Function(body))
            execution = await service.start_execution("f", "null")
            callback_id = await receive.receive()
            for _ in range(20):
                await trio.lowlevel.checkpoint()
            await service.callback_succeed(callback_id, '"yes"')
            assert (await service.wait_closed(execution.arn)).result == '"SUCCEEDED"'

    run(is_mock, main)


async def test_a_client_that_cannot_be_seen_yet() -> None:
    """With a moment of quiet, an answer that is still on its way comes before the time-out that could be jumped to."""
    ids: queue.SimpleQueue[str] = queue.SimpleQueue()

    async def body(call: Call) -> Any:
        if call.status("callback") is None:
            await call.checkpoint(start_callback(timeout=DAY))
            ids.put(call.callback_id("callback"))
            return PENDING
        return succeeded(f'"{call.status("callback")}"')

    def client() -> None:
        callback_id = ids.get(timeout=10)
        trio.from_thread.run(service.callback_succeed, callback_id, '"yes"')

    settings_ = LocalSettings(quiet_seconds=1)
    async with open_local_service(virtual_time=True, settings=settings_) as service:
        service.register("f", Function(body))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, client)
            assert (await service.invoke("f")).payload == '"SUCCEEDED"'


@HOSTS
def test_sleepers_are_not_passed(is_mock: bool) -> None:
    """Who sleeps by the service's clock wakes at its time, in order with the timers, or without any."""

    async def main() -> None:
        order: list[str] = []
        async with open_local_service(virtual_time=True) as service, trio.open_nursery() as nursery:
            began_at = service.clock.now()

            async def sleeper(name: str, seconds: int) -> None:
                await service.clock.sleep_until(began_at + seconds * 1000)
                order.append(name)

            await service.until_idle()
            await sleeper("first", DAY)
            nursery.start_soon(sleeper, "fourth", 4 * DAY)
            nursery.start_soon(sleeper, "second", 2 * DAY)
            service.register("f", Function(waits(2 * DAY)))
            execution = await service.start_execution("f", "null")
            await service.wait_closed(execution.arn)
            order.append("third")

        assert order == ["first", "second", "third", "fourth"]

    run(is_mock, main)


@HOSTS
def test_holding_and_advancing_by_hand(is_mock: bool) -> None:
    """Held time does not move by itself; ``advance`` fires what is due on the way, and stops where it was told."""

    async def main() -> None:
        async with open_local_service(virtual_time=True) as service:
            service.register("f", many_waits(3, DAY))
            with service.hold_time():
                execution = await service.start_execution("f", "null")
                await service.until_idle()
                began_at = service.clock.now()
                await service.advance(2.5 * DAY)
                assert 0 <= service.clock.now() - began_at - 2.5 * DAY * 1000 < 5000
                description = await service.describe(execution.arn)
                assert description.status is ExecutionStatus.RUNNING
                assert description.invocation_count == 3
            await service.wait_closed(execution.arn)

    run(is_mock, main)


async def test_advance_waits_for_invocations() -> None:
    """Time is not moved under an invocation that runs: ``advance`` waits until it has ended."""
    release = trio.Event()

    async def body(call: Call) -> Any:
        del call
        await release.wait()
        return succeeded()

    async with open_local_service(virtual_time=True) as service, trio.open_nursery() as nursery:
        service.register("f", Function(body), timeout_seconds=60)
        execution = await service.start_execution("f", "null")
        nursery.start_soon(service.advance, DAY)
        await trio.testing.wait_all_tasks_blocked()
        assert service.clock.now() < execution.started_at + 60_000
        release.set()
        assert (await service.wait_closed(execution.arn)).status is ExecutionStatus.SUCCEEDED


async def test_advancing_time_that_cannot_be_moved(autojump_clock: trio.testing.MockClock) -> None:
    """A service on an ordinary clock says what is missing; holding it is no mistake."""
    async with open_local_service() as service:
        with service.hold_time(), pytest.raises(ValidationError, match="virtual_time=True"):
            await service.advance(1)


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
async def test_advancing_by_what_is_no_time(seconds: float) -> None:
    """Time goes forward, and not without end."""
    async with open_local_service(virtual_time=True) as service:
        with pytest.raises(ValidationError, match="seconds must be 0 or more, and finite"):
            await service.advance(seconds)


async def test_options_that_contradict_each_other() -> None:
    """A speed and jumps exclude each other, and neither goes with a clock that cannot be moved."""
    cases: list[tuple[dict[str, Any], str]] = [
        ({"virtual_time": True, "speed": 2.0}, "speed must be left at 1"),
        ({"speed": 0.0}, "speed must be positive and finite, not 0"),
        ({"virtual_time": True, "clock": Clock()}, "clock must be a VirtualClock"),
    ]
    for options, message in cases:
        with pytest.raises(ValidationError, match=message):
            async with open_local_service(**options):
                pass


async def test_a_clock_of_ones_own() -> None:
    """A VirtualClock that is given is the service's clock."""
    clock = VirtualClock(1_700_000_000_000)
    async with open_local_service(clock=clock, virtual_time=True) as service:
        assert service.clock is clock
        assert "VirtualClock" in repr(service._time)


async def test_speed_instead_of_jumps(autojump_clock: trio.testing.MockClock) -> None:
    """With a speed, idle time runs faster; while an invocation runs, it does not."""
    pauses: list[float] = []

    async def body(call: Call) -> Any:
        before = call.context.get_remaining_time_in_millis()
        await trio.sleep(10)
        pauses.append((before - call.context.get_remaining_time_in_millis()) / 1000)
        if call.status("wait") is None:
            await call.checkpoint(start_wait(3600))
            return PENDING
        return succeeded()

    async with open_local_service(speed=3600) as service:
        service.register("f", Function(body))
        execution = await service.start_execution("f", "null")
        await service.wait_closed(execution.arn)

        assert pauses == [pytest.approx(10, abs=0.1)] * 2
        assert autojump_clock.current_time() == pytest.approx(21, abs=0.1)


@HOSTS
def test_retries_and_time_outs_are_skipped_too(is_mock: bool) -> None:
    """Retry delays, callback time-outs and the delays after failed invocations are timers like any other."""

    async def main() -> None:
        async def body(call: Call) -> Any:
            match len(target.calls):
                case 1:
                    raise RuntimeError("boom")
                case 2:
                    await call.checkpoint(start_step(), retry_step(delay=DAY))
                case 3:
                    assert call.status("step") is OperationStatus.READY
                    await call.checkpoint(start_callback(timeout=3 * DAY))
                case _:
                    return succeeded(f'"{call.status("callback")}"')
            return PENDING

        target = Function(body)
        async with open_local_service(virtual_time=True) as service:
            service.register("f", target)
            execution = await service.start_execution("f", "null")
            assert (await service.wait_closed(execution.arn)).result == '"TIMED_OUT"'

    run(is_mock, main)


@HOSTS
def test_idle_is_when_nothing_can_happen(is_mock: bool) -> None:
    """``until_idle`` returns when invocations have ended and their ends are recorded."""

    async def main() -> None:
        async with open_local_service() as service:
            service.register("f", Function(waits_for_callback))
            service.register("g", Function(returns_at_once))
            await service.until_idle()
            execution = await service.start_execution("f", "null")
            other = await service.start_execution("g", "null")
            await service.until_idle()

            assert not (await service.describe(execution.arn)).is_invoked
            assert (await service.describe(other.arn)).status is ExecutionStatus.SUCCEEDED

    run(is_mock, main)


@given(
    programs=st.lists(st.lists(st.integers(1, 5000), min_size=1, max_size=5), min_size=1, max_size=6),
    is_mock=st.booleans(),
)
@settings(max_examples=25)
def test_never_out_of_order(programs: list[list[int]], is_mock: bool) -> None:
    """Whatever the executions wait for, the function is called for each wait that ends, at its time, in order."""

    async def main() -> None:
        woken: list[int] = []

        def sleeper(program: list[int]) -> Function:
            async def body(call: Call) -> Any:
                for number, seconds in enumerate(program):
                    id_ = f"wait-{number}"
                    if call.status(id_) is None:
                        await call.checkpoint(start_wait(seconds, id_))
                        return PENDING
                    if id_ in call.invocation.updated_operation_ids:
                        ended_at = call.operations[id_].ended_at
                        assert ended_at is not None
                        assert ended_at <= service.clock.now()
                        woken.append(ended_at)
                return succeeded()

            return Function(body)

        async with open_local_service(virtual_time=True) as service:
            arns = []
            with service.hold_time():
                for number, program in enumerate(programs):
                    service.register(f"f-{number}", sleeper(program))
                    arns.append((await service.start_execution(f"f-{number}", "null")).arn)
            for arn in arns:
                await service.wait_closed(arn)
            # What ends in the same moment may be told in any order; invocations take a while on a real clock.
            slack = 0 if is_mock else 1000
            assert all(later >= earlier - slack for earlier, later in itertools.pairwise(woken))
            assert len(woken) == sum(map(len, programs))

    run(is_mock, main)


async def test_time_that_was_moved_ahead_is_remembered(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A later service on virtual time starts where the last one had got to; one without says that it is behind."""
    file = tmp_path / "service.sqlite"
    async with open_local_service(file, virtual_time=True) as service:
        service.register("f", many_waits(1, 30 * DAY))
        execution = await service.start_execution("f", "null")
        ended = await service.wait_closed(execution.arn)
        with service.hold_time():
            later = await service.start_execution("f", "null")
            await service.until_idle()
    async with open_local_service(file) as service:
        assert "2592000 s in the future" in caplog.text or "2591999 s in the future" in caplog.text
    async with open_local_service(file, virtual_time=True) as service:
        assert ended.ended_at is not None
        assert service.clock.now() >= ended.ended_at
        service.register("f", many_waits(1, 30 * DAY))
        await service.take_over_all()
        again = await service.wait_closed(later.arn)
        assert again.ended_at is not None
        assert 0 <= again.ended_at - ended.ended_at - 30 * DAY * 1000 < 5000
