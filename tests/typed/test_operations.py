"""Every operation gives back what its annotation says, on the first run and on replay."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import trio
from support.runs import run
from typed.shapes import Color, Line, Money, Order, Parcel, Person, RushOrder, Size, Visit

from durable_trio import (
    Branch,
    ConfigurationError,
    DurableContext,
    Duration,
    MapConfig,
    NestingType,
    StepConfig,
    StepError,
    ValidationError,
    cbor_serdes,
    durable_execution,
    json_serdes,
    no_retry,
)
from durable_trio.handler import DurableHandler
from durable_trio.testing import DurableRunner

ORDER = Order(
    UUID(int=7), datetime(2026, 3, 1, 12, tzinfo=UTC), [Money(Decimal("1.50"))], {"a": [1]}, Color.BLUE
)


async def make_order() -> Order:
    """Return an order."""
    return ORDER


def make_visit(count: int) -> Visit:
    """Return a dict, in a worker thread."""
    return {"at": ORDER.at, "count": count}


async def item(ctx: DurableContext, value: int, index: int) -> Money:
    """Be the body of a map's item."""
    await ctx.wait(Duration.seconds(1))
    return Money(Decimal(value))


async def give_line(ctx: DurableContext) -> Line:
    """Be a branch."""
    return Line(3)


async def give_color(ctx: DurableContext, color: Color) -> Color:
    """Be another branch."""
    return color


async def give_text(ctx: DurableContext) -> str:
    """Be a branch that needs no type."""
    return "text"


async def child(ctx: DurableContext) -> tuple[Order, Size]:
    """Be the body of a child context."""
    return await ctx.step(make_order), Size.LARGE


async def look(state: Money) -> Money:
    """Be the check of a condition."""
    return Money(state.amount + 1)


async def submit(callback_id: str) -> None:
    """Tell nobody."""


def both_times(body: Any) -> tuple[DurableHandler[Any, Any], list[Any]]:
    """Return a handler that runs *body*, and the list of what it gave: on the first run, then on replay."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        seen.append(await body(ctx))
        await ctx.wait(Duration.seconds(1))

    return handler, seen


async def do_step(ctx: DurableContext) -> Any:
    """Do an async step."""
    return await ctx.step(make_order)


async def do_plain_step(ctx: DurableContext) -> Any:
    """Do a plain step."""
    return await ctx.step(make_visit, 3)


async def do_lambda(ctx: DurableContext) -> Any:
    """Give the type at the call."""
    return await ctx.step(lambda: ORDER, name="order", result_type=Order)


async def do_config(ctx: DurableContext) -> Any:
    """Give the type in a config."""
    return await ctx.step(lambda: ORDER, name="order", config=StepConfig(result_type=Order))


async def do_child(ctx: DurableContext) -> Any:
    """Do a child context."""
    return await ctx.run_in_child_context(child)


async def do_map(ctx: DurableContext) -> Any:
    """Do a map."""
    return (await ctx.map([1, 2], item)).results()


async def do_flat_map(ctx: DurableContext) -> Any:
    """Do a flat map."""
    return (await ctx.map([1, 2], item, nesting=NestingType.FLAT)).results()


async def do_typed_map(ctx: DurableContext) -> Any:
    """Do a map with a type."""

    async def untyped(ctx: DurableContext, value: int, index: int):  # type: ignore[no-untyped-def]  # on purpose
        return Parcel(Money(Decimal(value)))

    return (await ctx.map([1, 2], untyped, config=MapConfig(result_type=Parcel))).results()


async def do_big_map(ctx: DurableContext) -> Any:
    """Do a map that is too big to store."""

    async def big(ctx: DurableContext, value: int, index: int) -> Money:
        return Money(Decimal(value), "x" * 200_000)

    return [money.amount for money in (await ctx.map([1, 2], big)).results()]


async def do_parallel(ctx: DurableContext) -> Any:
    """Do a parallel."""
    return (await ctx.parallel([give_line, Branch(give_color, Color.MIXED), give_text])).results()


async def do_condition(ctx: DurableContext) -> Any:
    """Wait for a condition."""
    return await ctx.wait_for_condition(
        look,
        initial_state=Money(Decimal(0)),
        until=lambda state: state.amount == 3,
        interval=timedelta(seconds=1),
    )


async def do_all(ctx: DurableContext) -> Any:
    """Do two things at once."""
    return await ctx.all((ctx.step(make_order), ctx.run_in_child_context(give_line)))


CASES: dict[str, tuple[Any, Any]] = {
    "step": (do_step, ORDER),
    "plain step": (do_plain_step, {"at": ORDER.at, "count": 3}),
    "lambda": (do_lambda, ORDER),
    "config": (do_config, ORDER),
    "child": (do_child, (ORDER, Size.LARGE)),
    "map": (do_map, [Money(Decimal(1)), Money(Decimal(2))]),
    "flat map": (do_flat_map, [Money(Decimal(1)), Money(Decimal(2))]),
    "map with a result type": (do_typed_map, [Parcel(Money(Decimal(1))), Parcel(Money(Decimal(2)))]),
    "map that is replayed from its items": (do_big_map, [Decimal(1), Decimal(2)]),
    "parallel": (do_parallel, [Line(3), Color.MIXED, "text"]),
    "condition": (do_condition, Money(Decimal(3))),
    "all": (do_all, (ORDER, Line(3))),
}


@pytest.mark.parametrize("name", CASES)
async def test_values_come_back_as_their_type(name: str, autojump_clock: trio.testing.MockClock) -> None:
    """What an operation gives has the annotated type, when it has just run and when it is replayed."""
    body, expected = CASES[name]
    handler, seen = both_times(body)
    ran = await run(handler)

    assert ran.status == "SUCCEEDED", ran.description.error
    assert len(seen) >= 2
    assert [(value, type(value)) for value in seen] == [(expected, type(expected))] * len(seen)
    assert all(value is not expected for value in seen if not isinstance(expected, Color))


async def test_other_languages_can_read_it(autojump_clock: trio.testing.MockClock) -> None:
    """What is stored of a typed value is plain JSON, without tags."""
    handler, _ = both_times(do_step)
    ran = await run(handler)

    stored = json.loads(getattr(ran.named("make_order").details, "result", None) or "")
    assert stored == {
        "id": str(ORDER.id),
        "at": "2026-03-01T12:00:00+00:00",
        "lines": [{"amount": "1.50", "currency": "EUR"}],
        "extra": {"a": [1]},
        "color": 2,
    }


async def test_a_dict_of_the_right_shape_becomes_the_class(autojump_clock: trio.testing.MockClock) -> None:
    """A body may return what an API gave it, where the annotation names a class."""

    async def fetch() -> Money:
        return {"amount": "2.5", "currency": "USD"}  # type: ignore[return-value]  # on purpose

    handler, seen = both_times(lambda ctx: ctx.step(fetch))
    await run(handler)

    assert seen == [Money(Decimal("2.5"), "USD")] * 2


async def test_a_value_that_does_not_fit_fails_its_step_without_retry(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The error names the path and the type, nothing is recorded as a success, and replay says the same."""
    calls = []

    async def fetch() -> Order:
        calls.append(1)
        return RushOrder(ORDER.id, ORDER.at, [Money("x")])  # type: ignore[arg-type]  # on purpose

    async def body(ctx: DurableContext) -> Any:
        with pytest.raises(StepError) as caught:
            await ctx.step(fetch)
        return caught.value.error_type, str(caught.value)

    handler, seen = both_times(body)
    ran = await run(handler)

    assert ran.status == "SUCCEEDED"
    assert calls == [1]
    assert seen[0] == seen[1]
    assert seen[0][0] == "SerDesError"
    assert "a RushOrder would come back as Order" in seen[0][1]


async def test_a_serializer_beats_annotations(autojump_clock: trio.testing.MockClock) -> None:
    """With ``serdes=`` of the operation or of the handler the annotation changes nothing."""

    async def fetch() -> datetime:
        return ORDER.at

    @durable_execution(serdes=cbor_serdes())
    async def handler(event: Any, ctx: DurableContext) -> None:
        assert await ctx.step(fetch, name="by handler") == ORDER.at
        assert await ctx.step(fetch, name="by step", serdes=json_serdes()) == ORDER.at

    ran = await run(handler)

    assert ran.status == "SUCCEEDED", ran.description.error
    assert (
        getattr(ran.named("by step").details, "result", None) == '{"$datetime":"2026-03-01T12:00:00+00:00"}'
    )


async def test_a_result_type_is_carried_by_the_serializer(autojump_clock: trio.testing.MockClock) -> None:
    """``result_type=`` with a serializer: that one stores the plain JSON of the value."""

    @durable_execution(serdes=cbor_serdes())
    async def handler(event: Any, ctx: DurableContext) -> None:
        for _ in range(2):
            assert await ctx.step(make_order, result_type=Order) == ORDER
        await ctx.wait(Duration.seconds(1))

    ran = await run(handler)

    assert ran.status == "SUCCEEDED", ran.description.error


async def test_callbacks_and_invokes_are_read_as_plain_json(autojump_clock: trio.testing.MockClock) -> None:
    """With ``result_type=`` an answer from outside is JSON, and comes back as the type; tags in it mean nothing."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        callback = await ctx.create_callback(name="answer", result_type=Person)
        person = await callback.result()
        money = await ctx.wait_for_callback(submit, name="pay", result_type=Money)
        invoked = await ctx.invoke("other", {"at": ORDER.at}, result_type=Visit)
        seen.append((person, money, invoked))

    async with DurableRunner(handler, functions={"other": lambda event: event}) as runner:
        runner.callback("answer").succeed('{"name": "Ada", "born": "1815-12-10"}')
        runner.callback("pay").succeed('{"amount": 12.5}')
        (await runner.run()).assert_succeeded()

    person, money, invoked = seen[-1]
    assert person == Person.model_validate({"name": "Ada", "born": "1815-12-10"})
    assert money == Money(Decimal("12.5"))
    assert invoked == {"at": ORDER.at}


async def test_an_answer_that_does_not_fit_is_a_clear_error(autojump_clock: trio.testing.MockClock) -> None:
    """The outside world sent something else: the error says where and what."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return await ctx.wait_for_callback(submit, name="pay", result_type=Money)

    ran = await run(handler, answers={"pay create callback id": '{"amount": "much"}'})

    assert ran.error.type == "SerDesError"
    assert "$.amount: 'much' is no Decimal" in ran.error.message


async def test_the_input_comes_as_its_annotation(autojump_clock: trio.testing.MockClock) -> None:
    """The first parameter's annotation says what the event is, and so does ``ctx.original_input``."""

    @durable_execution
    async def handler(event: Money, ctx: DurableContext) -> Any:
        assert ctx.original_input == event
        return [str(event.amount), type(event).__name__]

    assert (await run(handler, {"amount": "1.50"})).result == ["1.50", "Money"]
    failed = await run(handler, {"amount": "1.50", "currency": 3})
    assert failed.error.type == "SerDesError"
    assert "$.currency: must be str, not a int" in failed.error.message


async def test_the_input_type_can_be_given(autojump_clock: trio.testing.MockClock) -> None:
    """``input_type=`` wins over the annotation; a method's ``self`` is no parameter of ours."""

    @durable_execution(input_type=list[Money])
    async def by_type(event: Any, ctx: DurableContext) -> Any:
        return sum(int(money.amount) for money in event)

    class Handler:
        async def handle(self, event: Money, ctx: DurableContext) -> Any:
            return int(event.amount)

    assert (await run(by_type, [{"amount": 1}, {"amount": 2}])).result == 3
    assert (await run(durable_execution(Handler()), {"amount": 4})).result == 4


async def test_handler_results_are_plain_json(autojump_clock: trio.testing.MockClock) -> None:
    """A result may be a dataclass, an attrs class or a model: it is written as an object."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        person = Person.model_validate({"name": "Ada", "born": "1815-12-10"})
        return [Money(Decimal(1)), Parcel(Money(Decimal(2))), person]

    assert (await run(handler)).result == [
        {"amount": "1", "currency": "EUR"},
        {"price": {"amount": "2", "currency": "EUR"}, "grams": 0},
        {"name": "Ada", "born": "1815-12-10", "scores": {}},
    ]


async def test_a_type_that_cannot_be_used_is_refused_at_the_call(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Given explicitly, a type has to be one that values can be converted to; nothing is recorded before."""

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        for wanted in (Any, object, datetime | str, "Order"):
            with pytest.raises(ConfigurationError, match="result_type="):
                ctx.step(make_order, result_type=wanted)
        with pytest.raises(ConfigurationError, match="result_type="):
            ctx.invoke("f", result_type=object)
        with pytest.raises(ValidationError, match="virtual"):
            ctx.run_in_child_context(child, virtual=True, result_type=Order)

    assert len((await run(handler)).operations) == 1
    with pytest.raises(ConfigurationError, match="input_type="):
        durable_execution(input_type=Any)


async def test_a_virtual_context_hands_on_what_its_body_returned(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It has no record, so there is nothing to convert: its body runs again, and returns its own value."""
    handler, seen = both_times(lambda ctx: ctx.run_in_child_context(child, virtual=True))
    await run(handler)

    assert seen == [(ORDER, Size.LARGE)] * 2


async def test_an_annotation_may_be_added_under_a_running_execution(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """What was stored untyped, with tags, comes back as the type that the new code gives."""
    assert await redeployed(untyped_visit, typed_visit) == ("SUCCEEDED", {"at": ORDER.at})


async def test_an_annotation_that_is_taken_away_fails_clearly(autojump_clock: trio.testing.MockClock) -> None:
    """What was stored by its type would come back as something else: that is an error, which names the remedy."""
    status, error = await redeployed(typed_visit, untyped_visit)

    assert status == "FAILED"
    assert "stored by its type" in error


async def test_a_batch_remembers_which_items_were_typed(autojump_clock: trio.testing.MockClock) -> None:
    """The record of a whole batch keeps what a typed item's own record says."""

    async def typed_item(ctx: DurableContext, value: int, index: int) -> Money:
        return Money(Decimal(value))

    async def untyped_item(ctx: DurableContext, value: int, index: int) -> Any:
        raise AssertionError("it is recorded")

    async def mapped(ctx: DurableContext, fn: Any) -> Any:
        return (await ctx.map([1], fn, name="m")).results()

    async def typed(ctx: DurableContext) -> Any:
        return await mapped(ctx, typed_item)

    async def untyped(ctx: DurableContext) -> Any:
        return await mapped(ctx, untyped_item)

    status, error = await redeployed(typed, untyped)

    assert status == "FAILED"
    assert "stored by its type" in error


async def typed_visit(ctx: DurableContext) -> Any:
    """Do a step with an annotation."""

    async def visit() -> Visit:
        return {"at": ORDER.at}

    return await ctx.step(visit)


async def untyped_visit(ctx: DurableContext) -> Any:
    """Do the same step without."""

    async def visit() -> Any:
        return {"at": ORDER.at}

    return await ctx.step(visit)


async def redeployed(before: Any, after: Any) -> tuple[str, Any]:
    """Run one program up to a wait and another one after it; return how it ended, and the value or the error."""
    programs = [before, after]
    values: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        values.append(await programs.pop(0)(ctx))
        await ctx.wait(Duration.seconds(1))

    ran = await run(handler)
    error = ran.description.error
    return ran.status, values[-1] if error is None else error.message


@dataclass
class Opaque:
    """What no annotation of the function below can tell about."""

    value: object


async def test_an_annotation_that_cannot_be_used_counts_as_none(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Values are stored untyped then; where that refuses one, the error tells what was wrong with the annotation."""

    async def union() -> datetime | str:
        return ORDER.at

    async def nowhere() -> Nowhere:  # type: ignore[name-defined]  # noqa: F821  # on purpose
        return Opaque(1)

    async def body(ctx: DurableContext) -> Any:
        with pytest.raises(StepError, match="its annotation cannot be used: NameError"):
            await ctx.step(nowhere, retry=no_retry())
        return await ctx.step(union)

    handler, seen = both_times(body)
    ran = await run(handler)

    assert ran.status == "SUCCEEDED", ran.description.error
    assert seen == [ORDER.at] * 2
