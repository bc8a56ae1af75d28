"""The checkpoint writer: one call at a time, in order, as soon as somebody waits."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio
from support.clients import FakeService
from trio.testing import MockClock, wait_all_tasks_blocked

from durable_trio import CheckpointError, ContextUseError, InvalidTokenError, SizeLimitError
from durable_trio._protocol import limits
from durable_trio._protocol.batching import MAX_UPDATE_BYTES
from durable_trio._protocol.operation import (
    OperationAction,
    OperationRecord,
    OperationStatus,
    OperationType,
    OperationUpdate,
)
from durable_trio._protocol.state import ExecutionState
from durable_trio._protocol.wire import encode_update
from durable_trio._runtime.supervisor import Supervisor
from durable_trio._runtime.writer import LINGER_SECONDS, CheckpointWriter
from durable_trio.clock import Clock

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST/durable-execution/run/id"


def start(id_: str, payload: str | None = None) -> OperationUpdate:
    """Return the START of a context."""
    return OperationUpdate(id_, OperationType.CONTEXT, OperationAction.START, payload=payload)


def succeed(id_: str, payload: str | None = None) -> OperationUpdate:
    """Return the end of a context."""
    return OperationUpdate(id_, OperationType.CONTEXT, OperationAction.SUCCEED, payload=payload)


def execution_result(text: str) -> OperationUpdate:
    """Return the update that ends the execution."""
    return OperationUpdate(
        "execution-result-1", OperationType.EXECUTION, OperationAction.SUCCEED, payload=text
    )


def sized_start(id_: str, size: int) -> OperationUpdate:
    """Return a START that takes exactly *size* bytes in a request."""
    empty = len(json.dumps(encode_update(start(id_, "")))) + len(", ")
    return start(id_, "x" * (size - empty))


class NoWaker:
    """Stands in for the waker, which these tests have no timers for."""

    def note_parked(self, operation_id: str, due_at: int | None) -> None:
        """Take note of nothing."""

    def waits_inline(self) -> bool:
        """Wait for nothing."""
        return False


@dataclass
class Bench:
    """A writer at work on a fake service, with the test's task as its only actor."""

    service: FakeService
    state: ExecutionState
    supervisor: Supervisor
    writer: CheckpointWriter
    nursery: trio.Nursery

    @property
    def sent(self) -> list[list[str]]:
        """The ids and actions of each call."""
        return [[f"{update.id} {update.action}" for update in call] for call in self.service.calls]

    def commit_soon(self, *updates: OperationUpdate) -> None:
        """Commit *updates* in a task of its own, counted as a running actor."""
        self.supervisor.enter()

        async def actor() -> None:
            try:
                await self.writer.commit(*updates)
            finally:
                self.supervisor.leave()

        self.nursery.start_soon(actor)


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    """Run a writer; its failure comes out as itself."""
    service = FakeService()
    state = ExecutionState(ARN)
    try:
        with trio.CancelScope() as scope:
            supervisor = Supervisor(scope)
            writer = CheckpointWriter(service, state, supervisor, Clock())
            supervisor.attach(writer, NoWaker())
            async with trio.open_nursery() as nursery:
                nursery.start_soon(writer.run, "first-token")
                yield Bench(service, state, supervisor, writer, nursery)
                nursery.cancel_scope.cancel()
    except ExceptionGroup as group:
        raise (group.exceptions[0] if len(group.exceptions) == 1 else group) from None


async def test_updates_are_recorded_in_the_order_of_queueing(autojump_clock: MockClock) -> None:
    """What was queued goes before what is committed, in one request."""
    async with bench() as b:
        for n in range(5):
            b.writer.record_soon(start(f"c{n}"))
        await b.writer.commit(succeed("c4"))

        assert b.sent == [["c0 START", "c1 START", "c2 START", "c3 START", "c4 START", "c4 SUCCEED"]]


async def test_each_answer_brings_the_next_token(autojump_clock: MockClock) -> None:
    """A token is used once; client tokens are all different."""
    async with bench() as b:
        for n in range(3):
            await b.writer.commit(start(f"c{n}"))

        assert b.service.tokens == ["first-token", "token-1", "token-2"]
        assert len(set(b.service.client_tokens)) == 3


async def test_one_call_in_flight_at_a_time(autojump_clock: MockClock) -> None:
    """While a call is in flight the next batch accumulates; then it goes as one."""
    async with bench() as b:
        b.service.seconds = 1.0
        b.commit_soon(start("first"))
        await trio.sleep(0.5)
        for n in range(10):
            b.commit_soon(start(f"c{n}"))
        await trio.sleep(5)

        assert b.service.most_in_flight == 1
        assert [len(call) for call in b.sent] == [1, 10]


async def test_those_who_can_run_get_to_add_to_the_batch(autojump_clock: MockClock) -> None:
    """A commit goes when the tasks that can run have run: those that commit in the same breath share a call."""
    async with bench() as b:
        for n in range(20):
            b.commit_soon(start(f"c{n}"))
        await wait_all_tasks_blocked()

        assert len(b.sent) == 1
        assert len(b.sent[0]) == 20


async def test_a_commit_does_not_wait_for_whoever_is_elsewhere(autojump_clock: MockClock) -> None:
    """There is no timed window in front of a waiter, even if other actors run on."""
    async with bench() as b:
        for _ in range(5):
            b.supervisor.enter()  # actors that are busy with something else
        before = trio.current_time()
        await b.writer.commit(start("c"))

        assert trio.current_time() == before


async def test_what_nobody_waits_for_lingers(autojump_clock: MockClock) -> None:
    """Queued updates wait for company for 50 ms, and then go by themselves."""
    async with bench() as b:
        b.writer.record_soon(start("a"))
        await trio.sleep(LINGER_SECONDS * 0.9)
        b.writer.record_soon(start("b"))
        assert b.sent == []
        await trio.sleep(LINGER_SECONDS * 0.2)

        assert b.sent == [["a START", "b START"]]


async def test_nothing_lingers_when_nobody_can_run(autojump_clock: MockClock) -> None:
    """When the last actor stops running, what is queued goes at once, and then the invocation suspends."""
    async with bench() as b:
        before = trio.current_time()
        b.writer.record_soon(start("a"))
        await wait_all_tasks_blocked()
        b.supervisor.leave()
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()

        assert b.sent == [["a START"]]
        assert trio.current_time() - before < LINGER_SECONDS
        assert b.supervisor.is_suspended


async def test_at_most_250_updates_a_call(autojump_clock: MockClock) -> None:
    """A full request goes, the rest follows in order."""
    async with bench() as b:
        for n in range(600):
            b.writer.record_soon(start(f"c{n}"))
        await b.writer.flush()

        # The flush is one of the 250 entries of the last call.
        assert [len(call) for call in b.sent] == [250, 250, 100]
        assert [u for call in b.sent for u in call] == [f"c{n} START" for n in range(600)]


@pytest.mark.parametrize(("excess", "calls"), [(-1, 1), (0, 1), (1, 2)])
async def test_the_byte_limit_of_a_call(excess: int, calls: int, autojump_clock: MockClock) -> None:
    """Two updates that fill a request to the last byte go together; one byte more, and they do not."""
    async with bench() as b:
        half = MAX_UPDATE_BYTES // 2
        rest = MAX_UPDATE_BYTES + len(", ") - half
        await b.writer.commit(sized_start("a", half), sized_start("b", rest + excess))

        assert len(b.sent) == calls
        assert [u for call in b.sent for u in call] == ["a START", "b START"]


@pytest.mark.parametrize("excess", [-1, 0, 1])
async def test_the_largest_update(excess: int, autojump_clock: MockClock) -> None:
    """An update that fits no request is refused before it is queued, and nothing else is harmed."""
    async with bench() as b:
        update = sized_start("big", MAX_UPDATE_BYTES + excess)
        if excess <= 0:
            await b.writer.commit(update)
        else:
            with pytest.raises(SizeLimitError, match="765,8") as refused:
                await b.writer.commit(start("companion"), update)
            assert refused.value.is_retryable is False
            with pytest.raises(SizeLimitError):
                b.writer.record_soon(update)
            await b.writer.commit(start("other"))

        assert b.sent == [["other START" if excess > 0 else "big START"]]


async def test_the_end_of_the_execution_may_be_larger(autojump_clock: MockClock) -> None:
    """The result that a function may not return is checkpointed alone, up to the service's payload limit."""
    async with bench() as b:
        b.writer.record_soon(start("c"))
        await b.writer.commit(execution_result("x" * limits.MAX_PAYLOAD_BYTES))
        assert b.sent == [["c START"], ["execution-result-1 SUCCEED"]]

        with pytest.raises(SizeLimitError, match="result of the execution"):
            await b.writer.commit(execution_result("x" * (limits.MAX_PAYLOAD_BYTES + 1)))


async def test_the_state_is_merged_before_anybody_goes_on(autojump_clock: MockClock) -> None:
    """Whoever committed finds what the answer said, and what its update did."""
    async with bench() as b:
        b.service.moved = [OperationRecord("other", OperationType.WAIT, OperationStatus.SUCCEEDED, 1)]
        await b.writer.commit(start("c"))

        assert b.state.is_terminal("other")
        record = b.state.get("c")
        assert record is not None
        assert record.status is OperationStatus.STARTED


async def test_answers_that_do_not_echo(autojump_clock: MockClock) -> None:
    """An answer need not repeat what was sent: the effect of an update is known without."""
    async with bench() as b:
        b.service.is_silent = True
        await b.writer.commit(start("c"), succeed("c", "1"))

        assert b.state.is_terminal("c")


async def test_an_answer_in_pages(autojump_clock: MockClock) -> None:
    """Further pages are read with the token of the answer, before anybody is released."""
    async with bench() as b:
        b.service.pages = [
            [OperationRecord(f"p{n}", OperationType.WAIT, OperationStatus.SUCCEEDED, 1)] for n in range(3)
        ]
        await b.writer.commit(start("c"))

        assert all(b.state.is_terminal(f"p{n}") for n in range(3))
        assert b.service.read_tokens == ["token-1"] * 3


async def test_a_change_wakes_whoever_is_parked_on_it(autojump_clock: MockClock) -> None:
    """A completion in any answer wakes the actor that waits for it; a repetition wakes nobody."""
    woken: list[str] = []
    known = OperationRecord("wait", OperationType.WAIT, OperationStatus.STARTED, 1)
    async with bench() as b:
        b.state.load([known])

        async def actor() -> None:
            while not b.state.is_terminal("wait"):
                await b.supervisor.park("wait", None)
                woken.append("woken")
            b.supervisor.leave()

        b.supervisor.enter()
        b.nursery.start_soon(actor)
        await wait_all_tasks_blocked()
        b.service.moved = [known]
        await b.writer.commit(start("a"))
        await wait_all_tasks_blocked()
        assert woken == []
        b.service.moved = [OperationRecord("wait", OperationType.WAIT, OperationStatus.SUCCEEDED, 1)]
        await b.writer.commit(start("b"))
        await wait_all_tasks_blocked()

        assert woken == ["woken"]


async def test_a_withheld_token_suspends(autojump_clock: MockClock) -> None:
    """Without a token the invocation suspends; whoever waits unwinds, and one who shields itself is told."""
    told: list[type[BaseException]] = []
    async with bench() as b:
        b.service.withheld = {1}

        async def shielded(*updates: OperationUpdate) -> None:
            with trio.CancelScope(shield=True):
                try:
                    await b.writer.commit(*updates)
                except CheckpointError as error:
                    told.append(type(error))

        b.nursery.start_soon(shielded, start("in flight"))
        await trio.lowlevel.checkpoint()
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()
            assert b.supervisor.is_suspended
            assert b.writer.is_closed
            with pytest.raises(ContextUseError):
                await b.writer.commit(start("too late"))

    assert told == [CheckpointError]
    assert b.sent == [["in flight START"]]


async def test_no_token_after_the_end_of_the_execution(autojump_clock: MockClock) -> None:
    """The answer to the EXECUTION update has no token: the execution is complete, and nothing suspends."""
    async with bench() as b:
        b.service.withheld = {1}
        await b.writer.commit(execution_result("{}"))

        assert not b.supervisor.is_suspended
        assert b.writer.is_idle


@pytest.mark.parametrize("error", [CheckpointError("refused"), InvalidTokenError("stale")])
async def test_a_refused_call_ends_the_writer(error: Exception, autojump_clock: MockClock) -> None:
    """The writer's failure is the error itself; nobody goes on without a durable answer."""
    went_on: list[str] = []

    async def commit_and_go_on() -> None:
        async with bench() as b:
            b.service.errors = {1: error}
            await b.writer.commit(start("c"))
            went_on.append("actor")

    with pytest.raises(type(error)) as caught:
        await commit_and_go_on()

    assert caught.value is error
    assert went_on == []


async def test_refresh_is_an_empty_checkpoint(autojump_clock: MockClock) -> None:
    """Asking what has changed is a call without updates, if there is nothing to send along."""
    async with bench() as b:
        await b.writer.refresh()
        b.writer.record_soon(start("c"))
        await b.writer.refresh()

        assert b.sent == [[], ["c START"]]


async def test_flush_of_nothing_is_free(autojump_clock: MockClock) -> None:
    """When everything is durable a flush makes no call."""
    async with bench() as b:
        await b.writer.commit(start("c"))
        await b.writer.flush()

        assert len(b.sent) == 1


async def test_a_cancelled_commit_may_still_be_stored(autojump_clock: MockClock) -> None:
    """Cancelled while it waits, a commit leaves its update queued, and the writer in good order."""
    async with bench() as b:
        b.service.seconds = 1.0
        with trio.move_on_after(0.5) as scope:
            await b.writer.commit(start("a"))
        assert scope.cancelled_caught
        await b.writer.commit(start("b"))

        assert b.sent == [["a START"], ["b START"]]
        assert b.writer.is_idle


async def test_the_repr_tells_where_it_stands(autojump_clock: MockClock) -> None:
    """Tests and people read the same line."""
    async with bench() as b:
        b.service.seconds = 1.0
        await b.writer.commit(start("a"))
        b.commit_soon(start("b"), succeed("b"))
        await trio.sleep(0.5)
        b.writer.record_soon(start("c"))

        assert repr(b.writer) == "<CheckpointWriter 1 queued, 2 in flight, 1 durable>"
