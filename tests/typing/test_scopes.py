"""Types of inline constructs; checked by mypy and pyright, run for what little they do at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

from durable_trio import (
    Compensation,
    CompensationReport,
    DurableContext,
    DurableDeadline,
    DurableNursery,
    Duration,
    NurseryHandle,
    Operation,
    Saga,
    Shield,
)

if TYPE_CHECKING:
    from datetime import datetime


async def count(ctx: DurableContext, text: str) -> int:
    """Return a length."""
    return len(text)


async def shout(text: str) -> str:
    """Return it louder."""
    return text.upper()


async def undo_int(ctx: DurableContext, result: int) -> None:
    """Undo a number."""


async def undo_str(ctx: DurableContext, result: str) -> None:
    """Undo a text."""


async def usage(ctx: DurableContext, instant: datetime) -> str:
    """Use everything that has a type of its own."""
    async with ctx.open_nursery(name="n") as nursery:
        assert_type(nursery, DurableNursery)
        child = nursery.start_soon(count, "text")
        step = nursery.start_soon(ctx.step(shout, "text"))
        assert_type(child, NurseryHandle[int])
        assert_type(step, NurseryHandle[str])
        assert_type(await child, int)
    assert_type(child.value, int)
    assert_type(step.value, str)

    async with ctx.move_on_after(Duration.seconds(1)) as moved:
        assert_type(moved.timed_out, bool)
    async with ctx.fail_after(Duration.seconds(1)) as limited:
        value = await ctx.step(shout, "bound after the block, because that lets no exception pass")
    assert_type(limited, DurableDeadline)
    async with ctx.move_on_at(instant), ctx.fail_at(instant), ctx.shield() as shield:
        assert_type(shield, Shield)

    async with ctx.saga() as saga:
        assert_type(saga, Saga)
        assert_type(saga.step(shout, "text", compensate=undo_str), Operation[str])
        assert_type(saga.add(ctx.run_in_child_context(count, "x"), compensate=undo_int), Operation[int])
        saga.step(shout, "text", compensate=undo_int)  # type: ignore  # noqa: PGH003  # the types do not fit
        nursery.start_soon(count, 5)  # type: ignore  # noqa: PGH003  # the types do not fit
    assert_type(saga.report, CompensationReport | None)

    assert_type(ctx.step_with_compensation(shout, "text", compensate=undo_str), Operation[str])
    report = await ctx.run_compensations()
    assert_type(report.failed, tuple[Compensation, ...])
    return value


def test_public_names_are_loaded_on_demand() -> None:
    """The classes are there when they are asked for, and nothing else is."""
    import durable_trio

    names: list[Any] = [DurableDeadline, DurableNursery, NurseryHandle, Saga, Shield, CompensationReport]
    assert all(getattr(durable_trio, cls.__name__) is cls for cls in names)
    assert not hasattr(durable_trio, "NoSuchThing")
