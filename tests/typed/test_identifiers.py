"""Identifiers as classes, and values derived from them."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from support.runs import run

from durable_trio import (
    CallbackId,
    DurableContext,
    Duration,
    ExecutionArn,
    OperationId,
    ValidationError,
    cbor_serdes,
    durable_execution,
    json_serdes,
    timestamp_from_execution,
    uuid_from_operation,
)
from durable_trio._protocol.ids import operation_id
from durable_trio.serdes import SerdesContext, plain_json

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:f:$LATEST/durable-execution/name/id-1"
CTX = SerdesContext(operation_id="a1", execution_arn=ARN)
GOOD: dict[type[str], str] = {OperationId: "ab-1_C", ExecutionArn: ARN, CallbackId: "Y2I="}
BAD: list[tuple[type[str], Any]] = [
    (OperationId, ""),
    (OperationId, "a" * 65),
    (OperationId, "a b"),
    (OperationId, "a\n"),
    (OperationId, 7),
    (OperationId, None),
    (ExecutionArn, "arn:aws:lambda:eu-central-1:123456789012:function:f"),
    (ExecutionArn, ARN + "/more"),
    (ExecutionArn, ARN.replace("123456789012", "12")),
    (CallbackId, ""),
    (CallbackId, "a b"),
    (CallbackId, "a" * 1025),
    (CallbackId, b"Y2I="),
]


@pytest.mark.parametrize(("cls", "text"), GOOD.items())
def test_an_identifier_is_its_text(cls: type[str], text: str) -> None:
    """It compares, hashes, prints and travels as the text that it is."""
    identifier = cls(text)

    assert identifier == text
    assert hash(identifier) == hash(text)
    assert {identifier: 1}[text] == 1
    assert f"{identifier}" == str(identifier) == text
    assert cls(identifier) == identifier
    for copied in (copy.deepcopy(identifier), pickle.loads(pickle.dumps(identifier))):
        assert (copied, type(copied)) == (identifier, cls)


@pytest.mark.parametrize(("cls", "text"), GOOD.items())
def test_an_identifier_is_stored_as_text(cls: type[str], text: str) -> None:
    """Every serializer writes the text, in whatever depth."""
    value = {"id": cls(text), "all": [cls(text)]}

    assert json.loads(json_serdes().serialize(value, CTX)) == {"id": text, "all": [text]}
    assert json.loads(plain_json.serialize(value, CTX)) == {"id": text, "all": [text]}
    assert cbor_serdes().deserialize(cbor_serdes().serialize(value, CTX), CTX) == value
    by_key = {cls(text): 1}
    assert json_serdes().deserialize(json_serdes().serialize(by_key, CTX), CTX) == by_key


@pytest.mark.parametrize(("cls", "text"), BAD)
def test_anything_else_is_refused(cls: Any, text: Any) -> None:
    """What is no identifier cannot be made into one."""
    with pytest.raises(ValidationError, match=r"must be"):
        cls(text)


def test_the_parts_of_an_arn() -> None:
    """An ARN knows what it names."""
    arn = ExecutionArn(ARN)

    assert (arn.region, arn.account, arn.function_name, arn.version) == (
        "eu-central-1",
        "123456789012",
        "f",
        "$LATEST",
    )
    assert (arn.name, arn.id) == ("name", "id-1")


def test_a_uuid_of_an_operation_is_a_file_format() -> None:
    """Other systems keep these as keys: the rule never changes."""
    assert uuid_from_operation("a1") == UUID("5541fe22-bd57-4bf4-9228-e2e47412073d")
    assert uuid_from_operation("a1", ARN) == UUID("80447f4a-9fab-4933-93cc-251ef4935358")


@given(st.integers(1, 1000), st.text(max_size=5), st.text(max_size=5))
def test_uuids_of_operations_are_told_apart(position: int, seed: str, other: str) -> None:
    """A version 4 UUID per operation and seed, which gives nothing of the operation's id away."""
    id_ = operation_id(None, position)
    made = uuid_from_operation(id_, seed)

    assert made == uuid_from_operation(OperationId(id_), seed)
    assert made.version == 4
    assert (made == uuid_from_operation(id_, other)) is (seed == other)
    assert made != uuid_from_operation(operation_id(None, position + 1), seed)
    assert not id_.startswith(made.hex[:8])


def test_a_uuid_needs_an_operation() -> None:
    """Neither an id that is none nor a seed that is no text is taken."""
    with pytest.raises(ValidationError, match="operation id"):
        uuid_from_operation("no id!")
    with pytest.raises(ValidationError, match="seed"):
        uuid_from_operation("a1", 3)  # type: ignore[arg-type]  # on purpose


async def test_when_the_execution_started_is_the_same_everywhere(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """In every context and on every replay it is what the service recorded, however late it is asked for."""
    seen: list[datetime] = []

    async def child(ctx: DurableContext) -> None:
        await ctx.wait(Duration.hours(1))
        seen.append(timestamp_from_execution(ctx))

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        seen.append(timestamp_from_execution(ctx))
        await ctx.run_in_child_context(child)
        assert ctx.now() >= timestamp_from_execution(ctx)

    ran = await run(handler)

    assert ran.status == "SUCCEEDED", ran.description.error
    assert len(seen) == 3
    assert len(set(seen)) == 1
    assert seen[0].tzinfo is UTC
    assert seen[0].timestamp() * 1000 == pytest.approx(ran.description.started_at)
