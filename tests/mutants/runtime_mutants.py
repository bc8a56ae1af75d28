"""Bugs of our own runtime and service, as patches: each is one that a real implementation has had, or could."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import pytest
import trio
from mutants.hunting import with_explored_programs, with_explorer, with_random_programs, with_seeds

from durable_trio import (
    DurableContext,
    Duration,
    OperationError,
    StepError,
    durable_execution,
    no_retry,
)
from durable_trio._protocol import checkpointing, replay, service_moves
from durable_trio._protocol.ids import operation_id
from durable_trio._protocol.operation import OperationAction, OperationStatus, OperationType, WaitOptions
from durable_trio._protocol.replay import Replay, RunAttempt
from durable_trio._runtime import (
    attempts,
    compensations,
    contest,
    context,
    failures,
    invocation,
    step,
    step_body,
)
from durable_trio._runtime.batch_operation import BatchOperation
from durable_trio._runtime.node import ContextNode
from durable_trio._runtime.state_reading import read_state
from durable_trio._runtime.step import StepOperation
from durable_trio._runtime.supervisor import Join, Supervisor
from durable_trio._runtime.wait import WaitOperation
from durable_trio._runtime.writer import CheckpointWriter
from durable_trio.serdes import plain_json
from durable_trio.testing.faults import Faults
from durable_trio.testing.simulation_world import Answer

Patch: TypeAlias = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Mutant:
    """A bug, as a patch; and the hunt that has to find it."""

    name: str
    patch: Patch
    hunt: Callable[[], None]

    @contextmanager
    def at_large(self) -> Iterator[None]:
        """Have the bug while the block lasts."""
        with pytest.MonkeyPatch.context() as monkeypatch:
            self.patch(monkeypatch)
            yield


# --- workflows that some of them need ------------------------------------------------------------------------


async def pair() -> tuple[int, int]:
    """Return what JSON cannot hold as it is."""
    return (1, 2)


async def fail() -> None:
    """Fail."""
    raise ValueError("for good")


async def give(value: Any) -> Any:
    """Return what is given."""
    return value


@durable_execution
async def looks_at_types(event: Any, ctx: DurableContext) -> Any:
    """Tell what a stored value comes back as."""
    value = await ctx.step(pair, serdes=plain_json)
    await ctx.step(give, 1)
    return type(value).__name__


@durable_execution
async def looks_at_errors(event: Any, ctx: DurableContext) -> Any:
    """Tell what a failure is raised as."""
    caught = "nothing"
    try:
        await ctx.step(fail, retry=no_retry())
    except StepError:
        caught = "StepError"
    except OperationError:
        caught = "OperationError"
    await ctx.step(give, 1)
    return caught


@durable_execution
async def gives_up_on_cancellation(event: Any, ctx: DurableContext) -> str:
    """Swallow whatever is raised, as a careless handler does."""
    try:
        await ctx.wait(Duration.seconds(1))
    except BaseException:  # noqa: BLE001  # careless on purpose
        return "gave up"
    return "done"


@durable_execution
async def asks(event: Any, ctx: DurableContext) -> Any:
    """Ask the outside world, and take a moment before it looks at the answer."""
    callback = await ctx.create_callback(name="ask")
    await ctx.wait(Duration.hours(3))
    return await callback.result()


@durable_execution
async def makes_up_values(event: Any, ctx: DurableContext) -> Any:
    """Make a replay-safe value and use it later."""
    value = str(ctx.uuid())
    return [value == await ctx.step(give, value)]


@durable_execution
async def races_two_callbacks(event: Any, ctx: DurableContext) -> Any:
    """Race two callbacks that may both be answered when the execution goes on."""
    fast = await ctx.create_callback(name="fast")
    slow = await ctx.create_callback(name="slow")
    return await ctx.race([slow.result(), fast.result()])


async def undo(ctx: DurableContext, result: str) -> None:
    """Undo what *result* names."""
    await ctx.step(give, result)


@durable_execution
async def undoes(event: Any, ctx: DurableContext) -> Any:
    """Tell in which order things are undone."""
    saga = ctx.saga()
    try:
        async with saga:
            for name in ("first", "second"):
                await saga.step(give, name, name=name, compensate=undo)
            await ctx.step(fail, retry=no_retry())
    except StepError:
        assert saga.report is not None
        return [one.name for one in saga.report.compensations]


# --- the bugs ------------------------------------------------------------------------------------------------


def reuse_the_token(patch: pytest.MonkeyPatch) -> None:
    """The writer goes on with the token that it was called with."""
    original = CheckpointWriter._send
    first: WeakKeyDictionary[CheckpointWriter, str] = WeakKeyDictionary()

    async def send(self: CheckpointWriter, token: str, batch: Any) -> str | None:
        return await original(self, first.setdefault(self, token), batch)

    patch.setattr(CheckpointWriter, "_send", send)


def number_by_arrival(patch: pytest.MonkeyPatch) -> None:
    """Ids count the operations of the invocation, whoever asks first."""
    counts: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    def next_operation_id(self: ContextNode) -> str:
        counts[self.invocation] = number = counts.get(self.invocation, 0) + 1
        return operation_id(None, number)

    patch.setattr(ContextNode, "next_operation_id", next_operation_id)


def forget_the_parents_start(patch: pytest.MonkeyPatch) -> None:
    """The START of a child context is never sent."""
    original = CheckpointWriter._put

    def put(self: CheckpointWriter, entry: Any) -> None:
        update = entry.update
        if update is None or (update.type, update.action) != (OperationType.CONTEXT, OperationAction.START):
            original(self, entry)

    patch.setattr(CheckpointWriter, "_put", put)


def decide_batches_again(patch: pytest.MonkeyPatch) -> None:
    """The replay of a decided batch runs its items again and decides by what it sees."""
    original = BatchOperation._execute

    async def execute(self: Any) -> Any:
        if isinstance(replay.decide_context(self.recorded()), Replay):
            run = self._new_run(is_past=False)
            return self._live_result(run, await run.run())
        return await original(self)

    patch.setattr(BatchOperation, "_execute", execute)


def take_a_swallowed_suspension_for_an_end(patch: pytest.MonkeyPatch) -> None:
    """What a handler returns although it was suspended is taken for its result."""
    original = invocation.Invocation._conclude

    async def conclude(self: Any, handled: Any) -> Any:
        if isinstance(handled, invocation._Returned):
            return await self._answer(handled)
        return await original(self, handled)

    patch.setattr(invocation.Invocation, "_conclude", conclude)


def do_not_count_retries(patch: pytest.MonkeyPatch) -> None:
    """Every attempt of a step is the first."""
    original = StepOperation._attempt

    async def attempt(self: Any, record: Any, attempt: int, *, must_start: bool) -> Any:
        return await original(self, record, 1, must_start=must_start)

    patch.setattr(StepOperation, "_attempt", attempt)


def lose_wake_ups(patch: pytest.MonkeyPatch) -> None:
    """While something else runs, nobody who is parked is woken."""
    original = Supervisor.wake

    def wake(self: Supervisor, operation_ids: Any) -> None:
        if self.running == 0:
            original(self, operation_ids)

    patch.setattr(Supervisor, "wake", wake)


def count_an_end_twice(patch: pytest.MonkeyPatch) -> None:
    """A child that has ended is taken out of the count twice."""
    original = Join.child_ended

    def child_ended(self: Any) -> None:
        original(self)
        self._supervisor.leave()

    patch.setattr(Join, "child_ended", child_ended)


def do_not_await_the_start(patch: pytest.MonkeyPatch) -> None:
    """The body of an at-most-once step begins before its START is stored."""
    original = CheckpointWriter.commit

    async def commit(self: CheckpointWriter, *updates: Any) -> None:
        (update, *more) = updates
        is_start = (getattr(update, "type", None), getattr(update, "action", None)) == (
            OperationType.STEP,
            OperationAction.START,
        )
        if is_start and not more:
            self.record_soon(update)
            await trio.lowlevel.checkpoint()
        else:
            await original(self, *updates)

    patch.setattr(CheckpointWriter, "commit", commit)


def end_children_late(patch: pytest.MonkeyPatch) -> None:
    """The end of a child context is sent after whatever comes next: its parent's end, for one."""
    original = CheckpointWriter._put
    held: WeakKeyDictionary[CheckpointWriter, Any] = WeakKeyDictionary()

    def put(self: CheckpointWriter, entry: Any) -> None:
        update = entry.update
        is_end = update is not None and (update.type, update.action) == (
            OperationType.CONTEXT,
            OperationAction.SUCCEED,
        )
        if is_end and entry.task is None and self not in held:
            held[self] = entry
            return
        original(self, entry)
        if self in held:
            original(self, held.pop(self))

    patch.setattr(CheckpointWriter, "_put", put)


def forget_client_tokens(patch: pytest.MonkeyPatch) -> None:
    """The service does not know a repeated checkpoint again."""
    patch.setattr(checkpointing, "_remembered", lambda *_: None)


def hand_on_what_is_in_memory(patch: pytest.MonkeyPatch) -> None:
    """A step's value is what its body returned, not what was stored."""
    original_body, original_attempt = step_body.run_step_body, StepOperation._attempt
    values: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    async def run_step_body(operation: Any, *args: Any, **options: Any) -> Any:
        values[operation] = value = await original_body(operation, *args, **options)
        return value

    async def attempt(self: Any, record: Any, attempt: int, *, must_start: bool) -> Any:
        value = await original_attempt(self, record, attempt, must_start=must_start)
        return value if value is attempts.AGAIN else values.pop(self, value)

    patch.setattr(step, "run_step_body", run_step_body)
    patch.setattr(StepOperation, "_attempt", attempt)


def drop_pages(patch: pytest.MonkeyPatch) -> None:
    """Only the first page of the state is read."""
    patch.setattr(
        invocation, "read_state", lambda client, given: read_state(client, replace(given, next_marker=""))
    )


def start_waits_again(patch: pytest.MonkeyPatch) -> None:
    """A wait that is replayed before its end is started over."""
    original = WaitOperation._execute

    async def execute(self: Any) -> None:
        record = self.recorded()
        if record is not None and record.status is OperationStatus.STARTED:
            options = WaitOptions(wait_seconds=self._seconds)
            await self.invocation.writer.commit(self.update(OperationAction.START, options=options))
        await original(self)

    patch.setattr(WaitOperation, "_execute", execute)


def take_second_answers(patch: pytest.MonkeyPatch) -> None:
    """The service takes an answer to a callback that has one."""
    patch.setattr(
        service_moves,
        "_open_callback",
        lambda record, id_: replace(record.operation(id_), status=OperationStatus.STARTED),
    )


def wake_without_counting(patch: pytest.MonkeyPatch) -> None:
    """Who is woken does not count as running."""

    def wake(self: Any, operation_ids: Any) -> None:
        for id_ in operation_ids:
            for task in self._parked.pop(id_, ()):
                trio.lowlevel.reschedule(task)

    patch.setattr(Supervisor, "wake", wake)


def send_the_latest_first(patch: pytest.MonkeyPatch) -> None:
    """What was queued last is sent first."""
    original = CheckpointWriter._drain_inbox

    def drain_inbox(self: Any) -> bool:
        news = original(self)
        self._queue.reverse()
        return news

    patch.setattr(CheckpointWriter, "_drain_inbox", drain_inbox)


def run_finished_steps_again(patch: pytest.MonkeyPatch) -> None:
    """A step whose end is recorded runs again on replay."""
    original = replay.decide_step

    def decide_step(record: Any, **options: Any) -> Any:
        decision = original(record, **options)
        return RunAttempt(1, must_start=False) if isinstance(decision, Replay) else decision

    patch.setattr(attempts, "decide_step", decide_step)


def raise_another_error_on_replay(patch: pytest.MonkeyPatch) -> None:
    """A recorded failure is raised as a plain ``OperationError``."""
    original = failures.recorded_error
    patch.setattr(
        attempts, "recorded_error", lambda error, _, identity: original(error, OperationError, identity)
    )


def make_up_new_values_on_replay(patch: pytest.MonkeyPatch) -> None:
    """``ctx.uuid()`` is another one each time."""
    patch.setattr(context, "safe_uuid", lambda _: uuid.uuid4())


def let_the_first_given_win(patch: pytest.MonkeyPatch) -> None:
    """Of rivals that are over when the execution goes on, the one given first wins, not the one that ended first."""
    patch.setattr(contest.Contest, "_rank", lambda _, index: (0.0, index))


def undo_in_order(patch: pytest.MonkeyPatch) -> None:
    """Compensations run in the order of the steps, not backwards."""
    patch.setattr(compensations, "reversed", list, raising=False)


MUTANTS = [
    Mutant("token reuse", reuse_the_token, with_random_programs),
    Mutant("ids by arrival", number_by_arrival, with_random_programs),
    Mutant("missing parent START", forget_the_parents_start, with_random_programs),
    Mutant("a decided batch is decided again", decide_batches_again, with_explored_programs),
    Mutant(
        "swallowed suspension",
        take_a_swallowed_suspension_for_an_end,
        with_explorer(gives_up_on_cancellation, "done"),
    ),
    Mutant("retry not counted", do_not_count_retries, with_random_programs),
    Mutant("lost wake-up", lose_wake_ups, with_explored_programs),
    Mutant("double notify", count_an_end_twice, with_random_programs),
    Mutant("at-most-once START not awaited", do_not_await_the_start, with_explored_programs),
    Mutant("child completed after its parent", end_children_late, with_random_programs),
    Mutant(
        "ClientToken not honoured",
        forget_client_tokens,
        with_seeds(looks_at_types, "list", faults=Faults.only(lost_answer=0.3)),
    ),
    Mutant("value from memory", hand_on_what_is_in_memory, with_explorer(looks_at_types)),
    Mutant("dropped page", drop_pages, with_random_programs),
    Mutant("wait restarted on replay", start_waits_again, with_random_programs),
    Mutant(
        "second answer of a callback taken",
        take_second_answers,
        with_seeds(asks, "yes", callbacks={"ask": Answer.succeed("yes")}),
    ),
    Mutant("woken, but not counted", wake_without_counting, with_explored_programs),
    Mutant("last in, first out", send_the_latest_first, with_random_programs),
    Mutant("finished step runs again", run_finished_steps_again, with_random_programs),
    Mutant(
        "another error on replay",
        raise_another_error_on_replay,
        with_explorer(looks_at_errors, "StepError"),
    ),
    Mutant("uuid not replay-safe", make_up_new_values_on_replay, with_explorer(makes_up_values, [True])),
    Mutant(
        "the first given wins a race",
        let_the_first_given_win,
        with_seeds(
            races_two_callbacks,
            "fast",
            callbacks={
                "slow": Answer.succeed("slow", after=Duration.seconds(2)),
                "fast": Answer.succeed("fast", after=Duration.seconds(1)),
            },
            faults=Faults.only(withheld_token=0.5),
            compare_record=False,
        ),
    ),
    Mutant("compensations in order", undo_in_order, with_explorer(undoes, ["second", "first"])),
]
