"""What inline constructs write: ids, subtypes and payloads are a file format."""

# ruff: noqa: PT012, SIM117  # what raises is the end of a block, and blocks stand one per line as users write them

# A block may be cut before it binds what is read after it; these tests know where it is.
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.runs import Run, run
from trio.testing import MockClock

from durable_trio import DurableContext, Duration, durable_execution, no_retry
from durable_trio._protocol.ids import operation_id
from durable_trio._protocol.operation import ContextDetails, ErrorObject, OperationRecord
from durable_trio._protocol.verdicts import (
    BODY,
    CompensationRecord,
    DeadlineVerdict,
    NurseryVerdict,
    Point,
    decode_deadline,
    decode_nursery,
    decode_report,
    encode_deadline,
    encode_nursery,
    encode_report,
)
from durable_trio._protocol.wire import WireError

ROOT_1 = "1ced8f5be2db23a6513eba4d819c73806424748a7bc6fa0d792cc1c7d1775a97"
ROOT_1_0 = "1712f93e2f51df042e2b933907d75accfe34a48fe4a42a24e0b08131bc72d591"
ROOT_1_1 = "974bfc6321e227b0ff101342eaf19b336f002dc6cc99c18f0941a7755cc20fc4"
ROOT_1_2 = "9d8bc609108ec7b3600d6cceec22d18553e3e1ec52a3568cb251464a3d39d24f"

HOUR = Duration.hours(1)


async def give(value: Any) -> Any:
    """Return *value*."""
    return value


async def fail() -> None:
    """Raise a ValueError."""
    raise ValueError("no")


async def child(ctx: DurableContext) -> None:
    """Do nothing."""


async def failing(ctx: DurableContext) -> None:
    """Fail after an hour."""
    await ctx.wait(HOUR)
    raise ValueError("no")


async def undo(ctx: DurableContext, result: Any) -> None:
    """Undo nothing."""


def rows(finished: Run) -> list[tuple[str, str | None, str, str | None, str | None]]:
    """Return id, subtype, status, parent and payload of every operation, in the order of their start."""
    return [
        (o.id, o.sub_type, o.status.value, o.parent_id, getattr(o.details, "result", None))
        for o in finished.operations[1:]
    ]


def all_replay_children(operations: list[OperationRecord]) -> bool:
    """Tell whether every closed construct keeps its children visible."""
    closed = [
        o for o in operations if o.sub_type in {"Nursery", "Deadline", "Saga", "Cut"} and o.status.is_terminal
    ]
    return all(isinstance(o.details, ContextDetails) and o.details.replay_children for o in closed)


async def test_a_nursery_on_the_wire(autojump_clock: MockClock) -> None:
    """A context of subtype Nursery; children and body count from 1 in it; closed with who failed, or nobody."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        async with ctx.open_nursery(name="n") as nursery:
            nursery.start_soon(child)
            await ctx.step(give, 1)

    finished = await run(handler)
    assert rows(finished) == [
        (ROOT_1, "Nursery", "SUCCEEDED", None, '{"failed":null}'),
        (ROOT_1_1, "RunInChildContext", "SUCCEEDED", ROOT_1, "null"),
        (ROOT_1_2, "Step", "SUCCEEDED", ROOT_1, "1"),
    ]
    assert all_replay_children(finished.operations)
    assert next(str(call) for call in finished.calls).startswith("CONTEXT START, CONTEXT START")


async def test_a_failed_nursery_on_the_wire(autojump_clock: MockClock) -> None:
    """Which child failed first, at which operation the body was cut, and which children had ended."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        with pytest.raises(ExceptionGroup):
            async with ctx.open_nursery() as nursery:
                nursery.start_soon(failing)
                await ctx.wait(HOUR * 2)

    finished = await run(handler)
    assert rows(finished)[0] == (
        ROOT_1,
        "Nursery",
        "SUCCEEDED",
        None,
        f'{{"failed":0,"at":"{ROOT_1_2}","ended":[0]}}',
    )


async def test_a_deadline_on_the_wire(autojump_clock: MockClock) -> None:
    """A context of subtype Deadline with a wait at position 0, started together; the body counts from 1."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        async with ctx.move_on_after(HOUR, name="limit"):
            await ctx.wait(HOUR * 2)
        async with ctx.move_on_after(HOUR):
            pass

    finished = await run(handler)
    table = rows(finished)
    assert table[0] == (ROOT_1, "Deadline", "SUCCEEDED", None, f'{{"timed_out":true,"at":"{ROOT_1_1}"}}')
    assert table[1][:4] == (ROOT_1_0, "Wait", "SUCCEEDED", ROOT_1)
    assert table[2][0] == ROOT_1_1
    assert table[3][4] == '{"timed_out":false,"at":null}'
    assert all_replay_children(finished.operations)
    assert [str(call) for call in finished.calls][:2] == ["CONTEXT START, WAIT START", "WAIT START"]


async def test_a_saga_on_the_wire(autojump_clock: MockClock) -> None:
    """A context of subtype Saga; compensations are contexts whose ids come from ``<saga id>-undo-<k>``."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        with pytest.raises(ValueError, match="no"):
            async with ctx.saga() as saga:
                await saga.step(give, 1, compensate=undo)
                raise ValueError("no")

    finished = await run(handler)
    undo_1 = operation_id(ROOT_1, "undo-1")
    report = f'{{"compensations":[{{"step":1,"id":"{undo_1}","name":"give"}}]}}'
    assert rows(finished) == [
        (ROOT_1, "Saga", "SUCCEEDED", None, report),
        (ROOT_1_1, "Step", "SUCCEEDED", ROOT_1, "1"),
        (undo_1, "Compensation", "SUCCEEDED", ROOT_1, "null"),
    ]
    assert all_replay_children(finished.operations)


async def test_a_cut_with_clean_up_on_the_wire(autojump_clock: MockClock) -> None:
    """Durable work on the way out is preceded by the verdict, in a context of subtype Cut in the construct."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        async with ctx.move_on_after(HOUR):
            try:
                await ctx.wait(HOUR * 2)
            finally:
                async with ctx.shield():
                    await ctx.step(give, 1)

    finished = await run(handler)
    verdict = f'{{"timed_out":true,"at":"{ROOT_1_1}"}}'
    cut, step = rows(finished)[3:]
    assert cut == (operation_id(ROOT_1, "cut"), "Cut", "SUCCEEDED", ROOT_1, verdict)
    assert step[0] == operation_id(
        ROOT_1_2, 1
    )  # the first in the shield, which is the block's second position
    assert step[3] == ROOT_1
    assert all_replay_children(finished.operations)


async def test_nothing_is_recorded_in_a_closed_construct(autojump_clock: MockClock) -> None:
    """A construct is closed on the way out, when everything in it is over."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        async with ctx.move_on_after(HOUR):
            async with ctx.saga() as saga:
                await saga.step(give, 1, compensate=undo)
                await ctx.wait(HOUR * 2)
        with pytest.raises(ExceptionGroup):
            async with ctx.open_nursery() as nursery:
                nursery.start_soon(failing)
                async with ctx.saga() as saga:
                    await saga.step(give, 1, compensate=undo)
                    await ctx.step(fail, retry=no_retry())

    finished = await run(handler)
    closed: set[str] = set()
    for call in finished.calls:
        for update in call.updates:
            assert update.parent_id not in closed
            if update.action.value in {"SUCCEED", "FAIL"}:
                closed.add(update.id)


# --- the verdicts as text ----------------------------------------------------------------------------------

points = st.none() | st.builds(Point, st.text(min_size=1, max_size=8), st.integers(0, 3))
indexes = st.integers(0, 99)


@given(
    st.just(NurseryVerdict(None))
    | st.builds(NurseryVerdict, indexes | st.just(BODY), points, st.frozensets(indexes))
)
def test_a_nurserys_verdict_comes_back(verdict: NurseryVerdict) -> None:
    """What is written is what is read."""
    assert decode_nursery(encode_nursery(verdict)) == verdict


@given(points)
def test_a_deadlines_verdict_comes_back(at: Point | None) -> None:
    """What is written is what is read."""
    verdict = DeadlineVerdict(at is not None, at)
    assert decode_deadline(encode_deadline(verdict)) == verdict


errors = st.none() | st.builds(ErrorObject, st.text(max_size=8), st.text(max_size=8))


@given(
    st.none()
    | st.lists(
        st.builds(CompensationRecord, indexes, st.text(max_size=8), st.none() | st.text(max_size=8), errors)
    )
)
def test_a_report_comes_back(undone: list[CompensationRecord] | None) -> None:
    """What is written is what is read."""
    assert decode_report(encode_report(undone)) == undone


@pytest.mark.parametrize("decode", [decode_nursery, decode_deadline, decode_report])
@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "[]",
        "{}",
        "5",
        '{"failed":-1}',
        '{"failed":0,"at":null}',
        '{"failed":0,"at":null,"ended":[-1]}',
        '{"failed":true,"at":null,"ended":[]}',
        '{"failed":0,"at":5,"ended":[]}',
        '{"timed_out":true,"at":null}',
        '{"timed_out":false,"at":"x"}',
        '{"timed_out":1,"at":"x"}',
        '{"timed_out":true,"at":"x","nth":-1}',
        '{"compensations":5}',
        '{"compensations":[5]}',
        '{"compensations":[{"step":1}]}',
        '{"compensations":[{"step":"1","id":"x"}]}',
        '{"compensations":[{"step":1,"id":"x","name":5}]}',
        "[" * 100_000,
    ],
)
def test_what_is_no_verdict_is_refused(decode: Any, text: str | None) -> None:
    """Foreign or damaged payloads are an error of their own kind, never anything else."""
    with pytest.raises(WireError):
        decode(text)
