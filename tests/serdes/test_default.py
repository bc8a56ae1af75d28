from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.runs import run
from trio.testing import MockClock

from durable_trio import (
    DurableContext,
    Duration,
    SerDes,
    ValidationError,
    aws_python_serdes,
    cbor_serdes,
    compression_stage,
    durable_execution,
    json_serdes,
    overflow_to_files,
    set_default_serdes,
    staged,
)


@pytest.fixture
def _own_default() -> Iterator[None]:
    yield
    set_default_serdes(None)


async def a_pair() -> Any:
    """Return something that JSON lacks."""
    return 1, [b"x" * 300]


async def workflow(event: Any, ctx: DurableContext) -> Any:
    """Store values in every kind of operation, and replay them."""

    async def item(child: DurableContext, x: int, index: int) -> Any:
        return await child.step(a_pair)

    batch = await ctx.map([1, 2], item)
    await ctx.wait(Duration.seconds(1))

    async def body(child: DurableContext) -> Any:
        return await child.step(a_pair)

    pairs = [*batch.results(), await ctx.step(a_pair), await ctx.run_in_child_context(body)]
    await ctx.wait(Duration.seconds(1))
    return [type(pair).__name__ for pair in pairs] + [len({repr(pair) for pair in pairs})]


@pytest.mark.usefixtures("_own_default")
async def test_the_process_default_is_taken_when_a_handler_is_made(autojump_clock: MockClock) -> None:
    """Handlers made before keep theirs; a handler's own serializer wins."""
    before = durable_execution(workflow)
    set_default_serdes(cbor_serdes())
    after = durable_execution(workflow)
    own = durable_execution(workflow, serdes=json_serdes())

    payloads = {}
    for name, handler in {"before": before, "after": after, "own": own}.items():
        done = await run(handler)
        assert done.result == ["tuple"] * 4 + [1]
        payloads[name] = next(o.details.result for o in done.operations if o.sub_type == "Step")  # type: ignore[union-attr]
    assert payloads["before"] == payloads["own"] != payloads["after"]
    assert str(payloads["before"]).startswith('{"$tuple"')


def test_a_default_that_is_no_serializer_is_refused() -> None:
    """When it is set, not when it is needed."""
    with pytest.raises(ValidationError, match="serdes must have the methods serialize and deserialize"):
        set_default_serdes("cbor")  # type: ignore[arg-type]  # the mistake under test


async def test_every_serializer_serves_every_operation(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Steps, items, batches and child contexts give the same values on the first run and on replay."""
    every: list[SerDes] = [
        json_serdes(),
        cbor_serdes(),
        aws_python_serdes(),
        staged(json_serdes(), compression_stage()),
        overflow_to_files(json_serdes(), tmp_path, threshold_bytes=100),
    ]
    for serdes in every:
        done = await run(durable_execution(workflow, serdes=serdes))
        assert done.result == ["tuple"] * 4 + [1], serdes
    assert list(tmp_path.iterdir())  # noqa: ASYNC240  # a test may block
