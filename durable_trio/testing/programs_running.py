"""How a random program is done on a durable context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio

from durable_trio import (
    Branch,
    CompletionConfig,
    DurableContext,
    Duration,
    NestingType,
    OperationError,
    StepSemantics,
    current_step,
    durable_execution,
    fixed_delay,
    no_retry,
)
from durable_trio.testing.programs_nodes import (
    MAX_DAYS,
    All,
    Batch,
    Callback,
    Catch,
    Child,
    Condition,
    Deadline,
    Either,
    FailingStep,
    FirstOf,
    Invoke,
    Loop,
    Nursery,
    Program,
    Race,
    Retry,
    Saga,
    Settled,
    Shielded,
    Step,
    Wait,
    days_of,
)
from durable_trio.testing.programs_oracle import batch_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Interruptions use up attempts of at-most-once steps: there have to be more than there are ever faults.
_PATIENT: Final = fixed_delay(Duration.seconds(1), max_attempts=99)

_TWICE: Final = fixed_delay(Duration.seconds(1), max_attempts=2)
_NEVER: Final = Duration.days(MAX_DAYS + 200)

_COMPLETION: Final = {
    "all": CompletionConfig.all_completed(),
    "fail_fast": CompletionConfig(),
    "first": CompletionConfig.first_successful(),
    "tolerant": CompletionConfig.with_failure_tolerance(count=1),
}


def handler(program: Program, options: Mapping[str, Any]) -> Any:
    """Return a durable handler that does *program*; see ``programs.handler_for``."""

    @durable_execution(**options)
    async def random_program(event: Any, ctx: DurableContext) -> int:
        try:
            return await value_on(ctx, program)
        except OperationError:
            return -1

    return random_program


async def total_on(ctx: DurableContext, body: Sequence[Program], *_: Any) -> int:
    """Do programs one after another and add up."""
    total = 0
    for part in body:
        total += await value_on(ctx, part)
    return total


async def value_on(ctx: DurableContext, program: Program) -> int:
    """Do *program* on *ctx* and return its value; raise an ``OperationError`` if it fails."""
    match program:
        case All() | FirstOf() | Settled() | Race():
            return await _at_once(ctx, program)
        case Nursery() | Deadline() | Saga() | Shielded():
            return await _in_block(ctx, program)
        case Batch():
            return await _batch(ctx, program)
        case Either() | Loop() | Catch():
            return await _in_plain_python(ctx, program)
        case Callback(fails, submits=False):
            callback = await ctx.create_callback(name=_callback_name(fails))
            return int(await callback.result() or 0)
        case _:
            return int(await operation(ctx, program) or 0)


async def _in_plain_python(ctx: DurableContext, program: Either | Loop | Catch) -> int:
    match program:
        case Either(first, odd, even):
            value = await value_on(ctx, first)
            return value + await total_on(ctx, odd if value % 2 else even)
        case Loop(times, body):
            total = 0
            for _ in range(times):
                total += await total_on(ctx, body)
            return total
        case Catch(body):
            try:
                return await total_on(ctx, body)
            except OperationError:
                return 5


async def _at_once(ctx: DurableContext, program: All | FirstOf | Settled | Race) -> int:
    match program:
        case All(arms):
            try:
                return sum([int(value or 0) for value in await ctx.all(_operations(ctx, arms))])
            except OperationError:
                return 10
        case FirstOf(arms):
            try:
                await ctx.any(_operations(ctx, arms))
            except ExceptionGroup:
                return 4
            return 3
        case Settled(arms):
            outcomes = await ctx.all_settled(_operations(ctx, arms))
            return sum(1000 if outcome.error is not None else int(outcome.value or 0) for outcome in outcomes)
        case Race(body):
            rivals: list[Any] = [ctx.run_in_child_context(total_on, body), ctx.wait(_NEVER)]
            return int(await ctx.race(rivals))


async def _in_block(ctx: DurableContext, program: Nursery | Deadline | Saga | Shielded) -> int:
    match program:
        case Nursery(children):
            try:
                async with ctx.open_nursery() as nursery:
                    handles = [nursery.start_soon(total_on, child) for child in children]
            except ExceptionGroup:
                return 20
            return sum(handle.value for handle in handles)
        case Deadline(body, passes):
            value = 0
            limit = Duration.days(days_of(program) if passes else MAX_DAYS + 100)
            async with ctx.move_on_after(limit) as scope:
                value += await total_on(ctx, body)
                if passes:
                    await ctx.wait(_NEVER)
            return 9 if scope.timed_out else value
        case Saga(body):
            try:
                async with ctx.saga() as saga:
                    total = await saga.step(_step, 0.0, 0, compensate=_undo)
                    total += await total_on(ctx, body)
            except OperationError:
                return 30
            return total
        case Shielded(body):
            total = 0
            async with ctx.shield():
                total += await total_on(ctx, body)
            return total


def _operations(ctx: DurableContext, arms: Sequence[Program]) -> list[Any]:
    return [operation(ctx, arm) for arm in arms]


def operation(ctx: DurableContext, program: Program) -> Any:
    """Return the one operation that *program* is; what takes several becomes a child context."""
    match program:
        case Step(seconds, failures, at_most_once):
            semantics = StepSemantics.AT_MOST_ONCE_PER_RETRY if at_most_once else None
            return ctx.step(_step, seconds, failures, retry=_PATIENT, semantics=semantics)
        case FailingStep(seconds):
            return ctx.step(_failing_step, seconds, retry=no_retry())
        case Wait(seconds):
            return ctx.wait(Duration.seconds(seconds))
        case Condition(polls):
            return ctx.wait_for_condition(
                _poll, initial_state=0, until=lambda state: state >= polls, interval=Duration.seconds(2)
            )
        case Invoke(number, fails):
            return ctx.invoke("double", -1 if fails else number)
        case Callback(fails, submits=True):
            return ctx.wait_for_callback(_submit, name=_callback_name(fails), retry=_PATIENT)
        case Retry(body):
            return ctx.retry(total_on, body, retry=_TWICE)
        case Child(body, virtual):
            return ctx.run_in_child_context(total_on, body, virtual=virtual)
        case _:
            return ctx.run_in_child_context(value_on, program)


async def _batch(ctx: DurableContext, program: Batch) -> int:
    completion = _COMPLETION.get(program.rule)
    if completion is None and program.items:
        completion = CompletionConfig.with_min_successful(min(2, len(program.items)))
    nesting = NestingType.FLAT if program.flat else None
    item_retry = _TWICE if program.restarts else None
    if program.parallel:
        branches = [Branch(total_on, item) for item in program.items]
        batch = await ctx.parallel(
            branches,
            max_concurrency=program.limit,
            completion=completion,
            nesting=nesting,
            item_retry=item_retry,
        )
    else:
        batch = await ctx.map(
            program.items,
            total_on,
            max_concurrency=program.limit,
            completion=completion,
            nesting=nesting,
            item_retry=item_retry,
        )
    successes = [item.result or 0 for item in batch.succeeded()]
    return batch_value(program.rule, len(program.items), successes, len(batch.failed()))


def _callback_name(fails: bool) -> str:
    return "bad" if fails else "good"


async def _step(seconds: float, failures: int) -> int:
    await trio.sleep(seconds)
    if current_step().attempt <= failures:
        raise OSError("again")
    return 1


async def _undo(ctx: DurableContext, result: int) -> None:
    await ctx.step(_step, 0.3, 0)


async def _failing_step(seconds: float) -> None:
    await trio.sleep(seconds)
    raise ValueError("for good")


async def _poll(state: int) -> int:
    await trio.lowlevel.checkpoint()
    return state + 1


async def _submit(callback_id: str) -> None:
    await trio.lowlevel.checkpoint()
