"""Asking the owner of the database: who is answered, and who is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from local.functions import Call, Function, succeeded, waits

from durable_trio.local import LocalService, ServiceFailure, open_local_service

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400


async def test_who_is_cancelled_has_asked_nothing() -> None:
    """A request is not queued by a task that is cancelled already."""
    done: list[str] = []
    async with open_local_service() as service:
        with trio.CancelScope() as scope:
            scope.cancel()
            await service._owner.ask(lambda ledger: done.append("asked"))
        await service._owner.ask(lambda ledger: done.append("other"))

        assert scope.cancelled_caught
        assert done == ["other"]


async def test_who_gives_up_harms_nobody() -> None:
    """A request whose asker has gone is served all the same, with those that are queued beside it."""
    done: list[int] = []
    async with open_local_service() as service, trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(service._owner.ask, lambda ledger, number=number: done.append(number))

        with trio.CancelScope() as scope:
            async with trio.open_nursery() as inner:
                inner.start_soon(service._owner.ask, lambda ledger: done.append(99))
                await trio.lowlevel.checkpoint()
                scope.cancel()
        await trio.testing.wait_all_tasks_blocked()

        assert {0, 1, 2} <= set(done)
        assert await service._owner.ask(lambda ledger: "still there") == "still there"


async def test_every_asker_gets_its_own_answer(tmp_path: Path) -> None:
    """However many share a transaction, each gets what its work returned, or raised."""
    answers: dict[int, Any] = {}

    def work(number: int) -> int:
        if number % 3 == 0:
            raise ServiceFailure(f"no {number}")
        return number * 10

    async def ask(service: LocalService, number: int) -> None:
        try:
            answers[number] = await service._owner.ask(lambda ledger: work(number))
        except ServiceFailure as failure:
            answers[number] = str(failure)

    async with open_local_service(tmp_path / "file.sqlite") as service:
        for _ in range(20):
            answers.clear()
            async with trio.open_nursery() as nursery:
                for number in range(7):
                    nursery.start_soon(ask, service, number)
            assert answers == {0: "no 0", 1: 10, 2: 20, 3: "no 3", 4: 40, 5: 50, 6: "no 6"}


async def test_requests_that_come_too_late_are_refused() -> None:
    """What is queued when the service is closed, and what comes later, is told so; nobody waits for ever."""
    refused: list[str] = []

    async def ask(service: LocalService) -> None:
        with pytest.raises(ServiceFailure, match="the local service is closed"):
            await service._owner.ask(lambda ledger: None)
        refused.append("asked")

    async with trio.open_nursery() as nursery:
        async with open_local_service() as service:
            await service.list_executions()
            nursery.start_soon(ask, service)
            service._nursery.cancel_scope.cancel()
            nursery.start_soon(ask, service)
        await ask(service)

    assert refused == ["asked"] * 3


async def test_a_timer_that_is_set_while_the_owner_sleeps(autojump_clock: trio.testing.MockClock) -> None:
    """The owner wakes for the timers of later requests, sooner or later than those that it knew."""
    ends: list[float] = []

    async def run(service: LocalService, name: str) -> None:
        started = await service.start_execution(name, "null")
        closed = await service.wait_closed(started.arn)
        assert closed.ended_at is not None
        ends.append((closed.ended_at - closed.started_at) / 1000)

    async with open_local_service() as service:
        for name, seconds in (("long", 2 * DAY), ("short", 60), ("between", DAY)):
            service.register(name, Function(waits(seconds)))
        async with trio.open_nursery() as nursery:
            for name in ("long", "short", "between"):
                nursery.start_soon(run, service, name)
                await trio.sleep(1)

    assert ends == [60, DAY, 2 * DAY]


async def test_time_does_not_jump_for_a_timer_that_is_no_more(autojump_clock: trio.testing.MockClock) -> None:
    """When an execution has ended, the owner does not wake any more at the time it would have timed out."""

    async def body(call: Call) -> Any:
        return succeeded()

    async with open_local_service() as service:
        service.register("f", Function(body))
        started = await service.start_execution("f", "null", execution_timeout_seconds=DAY)
        await service.wait_closed(started.arn)
        await trio.testing.wait_all_tasks_blocked()

        assert trio.lowlevel.current_statistics().seconds_to_next_deadline > 2 * DAY
