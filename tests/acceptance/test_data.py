"""What is stored and comes back: typed and untyped values, serializers, identifiers, replay-safe values."""

from __future__ import annotations

import dataclasses
import enum
import json
import random
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, TypedDict

import attrs
import pydantic
import pytest
from acceptance.kit import run

from durable_trio import (
    CallbackId,
    CheckpointingMode,
    ContextUseError,
    DurableContext,
    Duration,
    ExecutionArn,
    OperationId,
    SerdesContext,
    SerDesError,
    ValidationError,
    aws_python_serdes,
    cbor_serdes,
    compression_stage,
    custom_serdes,
    durable_execution,
    encryption_stage,
    json_serdes,
    no_retry,
    pass_through,
    staged,
    timestamp_from_execution,
    uuid_from_operation,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ARN = "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST/durable-execution/n/id"


class Color(enum.Enum):
    """An enumeration."""

    RED = "red"


class Pair(NamedTuple):
    """A named tuple."""

    number: int
    day: date


class Shape(TypedDict):
    """A typed dict."""

    at: datetime


@dataclasses.dataclass
class Order:
    """A dataclass of others."""

    at: datetime
    price: Decimal
    pairs: list[Pair]


@attrs.define
class Item:
    """A class of attrs."""

    id: uuid.UUID


class Model(pydantic.BaseModel):
    """A pydantic model."""

    at: datetime
    tags: set[str]


TYPED: list[tuple[Any, Any]] = [
    (Color, Color.RED),
    (Pair, Pair(1, date(2026, 1, 1))),
    (Shape, {"at": NOW}),
    (Order, Order(NOW, Decimal("1.10"), [Pair(1, date(2026, 1, 1))])),
    (Item, Item(uuid.UUID(int=5))),
    (Model, Model(at=NOW, tags={"a"})),
    (datetime, NOW),
    (Decimal, Decimal("1.10")),
    (uuid.UUID, uuid.UUID(int=5)),
    (bytes, b"x"),
    (timedelta, timedelta(seconds=5)),
    (tuple[int, str], (1, "a")),
    (dict[str, Order], {"a": Order(NOW, Decimal(1), [])}),
    (list[Order] | None, None),
    (OperationId, OperationId("abc")),
]


async def give(value: Any) -> Any:
    """Return *value*."""
    return value


@pytest.mark.parametrize(("kind", "value"), TYPED, ids=lambda value: getattr(value, "__name__", "value"))
def test_typed_values_come_back_as_their_type(kind: Any, value: Any) -> None:
    """By annotation or ``result_type=``, on the first run and on replay; what is stored is plain JSON."""
    seen: list[Any] = []

    async def annotated() -> Any:
        return value

    annotated.__annotations__["return"] = kind

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        seen.append(await ctx.step(annotated, retry=no_retry()))
        seen.append(await ctx.step(give, value, result_type=kind, retry=no_retry()))
        await ctx.wait(Duration.seconds(1))

    finished = run(handler)
    finished.assert_succeeded()
    assert seen == [value] * 4
    assert {type(one) for one in seen} == {type(value)}
    assert "$" not in (finished[0].payload or "")


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ({"a": [1, 1.5, "€", None, True]}, '{"a":[1,1.5,"€",null,true]}'),
        (b"x", '{"$bytes":"eA=="}'),
        (uuid.UUID(int=5), '{"$uuid":"00000000-0000-0000-0000-000000000005"}'),
        (Decimal("1.50"), '{"$decimal":"1.50"}'),
        (NOW, '{"$datetime":"2026-01-01T00:00:00+00:00"}'),
        (date(2026, 1, 1), '{"$date":"2026-01-01"}'),
        ((1, (2,)), '{"$tuple":[1,{"$tuple":[2]}]}'),
        ({1}, '{"$set":[1]}'),
        ({1: "a"}, '{"$map":[[1,"a"]]}'),
    ],
)
def test_untyped_values_are_plain_json_with_tagged_leaves(value: Any, stored: str) -> None:
    """Only what JSON has no form for is tagged; the value comes back equal, on replay as well."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        seen.append(await ctx.step(give, value))
        await ctx.wait(Duration.seconds(1))

    assert run(handler)[0].payload == stored
    assert seen == [value, value]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {"a": [object()]}])
def test_what_cannot_be_stored_is_refused_with_its_path(value: Any) -> None:
    """A ``SerDesError`` that names the place in the value."""
    with pytest.raises(SerDesError, match=r"\$"):
        json_serdes().serialize(value, SerdesContext("a", "b"))


@pytest.mark.parametrize(
    "serdes",
    [json_serdes(), cbor_serdes(), aws_python_serdes(), staged(json_serdes(), compression_stage())],
    ids=["json", "cbor", "aws", "staged"],
)
def test_ready_made_serializers(serdes: Any) -> None:
    """For one operation, or as the default of all; values come back as they were."""
    value = {"a": [1, Decimal("1.5"), (1, 2)], "b": b"x", "at": NOW}
    seen: list[Any] = []

    @durable_execution(serdes=serdes)
    async def handler(event: Any, ctx: DurableContext) -> Any:
        seen.append(await ctx.step(give, value))
        await ctx.wait(Duration.seconds(1))
        return {"plain": True}

    finished = run(handler)
    assert seen == [value, value]
    assert finished.result_text == '{"plain":true}'


def test_serializers_of_ones_own() -> None:
    """Functions of one or two arguments, an object with two methods, pass-through, an encrypting stage."""

    class Own:
        def serialize(self, value: Any, ctx: SerdesContext) -> str:
            assert ctx.execution_arn
            return f"{ctx.operation_id[:4]}:{value}"

        def deserialize(self, text: str, ctx: SerdesContext) -> Any:
            return text.removeprefix(f"{ctx.operation_id[:4]}:")

    two = custom_serdes(lambda value, ctx: f"{ctx.name}={value}", lambda text, ctx: text.partition("=")[2])
    hidden = staged(json_serdes(), encryption_stage(lambda data: data[::-1], lambda data: data[::-1]))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> Any:
        return [
            await ctx.step(give, "a", serdes=Own()),
            await ctx.step(give, "b", serdes=two, name="n"),
            await ctx.step(give, "c", serdes=pass_through()),
            await ctx.step(give, {"d": 1}, serdes=hidden),
        ]

    finished = run(handler)
    assert finished.result == ["a", "b", "c", {"d": 1}]
    assert [o.payload for o in finished.operations][1:3] == ["n=b", "c"]


def test_identifiers() -> None:
    """``str`` subclasses that validate, hash and serialize as text."""
    arn = ExecutionArn(ARN)
    assert arn == ARN
    assert hash(arn) == hash(ARN)
    assert json.dumps([arn, OperationId("a-1_b"), CallbackId("aGk=")]) == json.dumps([ARN, "a-1_b", "aGk="])
    assert (arn.name, arn.id, arn.function_name, arn.version) == ("n", "id", "f", "$LATEST")
    for kind, bad in (
        (OperationId, "x" * 65),
        (OperationId, ""),
        (ExecutionArn, ARN + "/x"),
        (CallbackId, "a b"),
    ):
        with pytest.raises(ValidationError):
            kind(bad)


def test_replay_safe_values() -> None:
    """``uuid``, ``random`` and ``now`` give the same on replay; ``now`` moves with what was awaited."""
    seen: list[Any] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> float:
        began = ctx.now()
        one, two, generator = ctx.uuid(), ctx.uuid(), ctx.random()
        assert isinstance(one, uuid.UUID)
        assert isinstance(generator, random.Random)
        assert one != two
        assert began == timestamp_from_execution(ctx)
        seen.append((one, two, generator.random(), began))
        await ctx.wait(Duration.hours(1))
        return (ctx.now() - began).total_seconds()

    assert run(handler).result == 3600
    assert seen[0] == seen[1]
    assert seen[0][3].utcoffset() == timedelta(0)
    assert (
        uuid_from_operation("a", seed="s") == uuid_from_operation("a", seed="s") != uuid_from_operation("a")
    )


def test_now_in_optimistic_mode_asks_for_a_flush() -> None:
    """While an end is not acknowledged nobody knows when it was: the error names ``ctx.flush()``."""

    @durable_execution(checkpointing=CheckpointingMode.OPTIMISTIC)
    async def handler(event: Any, ctx: DurableContext) -> bool:
        began = ctx.now()
        await ctx.step(give, 1)
        with pytest.raises(ContextUseError, match=r"ctx\.flush"):
            ctx.now()
        await ctx.flush()
        return ctx.now() >= began

    assert run(handler).result is True


def test_modes_are_distinct() -> None:
    """EAGER: one update a call; BATCHED: what is recorded together; OPTIMISTIC: everything before a promise."""
    calls: dict[str, list[int]] = {}
    for mode in CheckpointingMode:

        @durable_execution(checkpointing=mode)
        async def handler(event: Any, ctx: DurableContext) -> None:
            for number in range(3):
                await ctx.step(give, number)
            await ctx.all([ctx.step(give, number) for number in range(3)])

        calls[mode] = [len(call.updates) for call in run(handler).calls]
    assert calls == {"EAGER": [1] * 12, "BATCHED": [2, 2, 2, 6], "OPTIMISTIC": [12]}
