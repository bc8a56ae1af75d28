"""How rare full garbage collections are while Lambda's entry point runs."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from durable_trio import DurableContext, durable_execution
from durable_trio._runtime.garbage import MOST_TIMES_RARER, TIMES_RARER, fewer_full_collections
from durable_trio.testing import FakeServiceClient

pytestmark = pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="Python 3.14 collects bit by bit, and has no such threshold"
)


@pytest.fixture
def usual() -> Iterator[int]:
    """Give the usual threshold of the oldest generation, and no collections but those that a test asks for."""
    before = gc.get_threshold()
    gc.collect()
    gc.set_threshold(100, 10, 10)
    gc.disable()
    yield 10
    gc.enable()
    gc.set_threshold(*before)


def rarer(usual: int) -> float:
    """Return how many times rarer than usual a full collection is now."""
    return gc.get_threshold()[2] / usual


def leave_garbage() -> None:
    """Make what only a collection can free."""
    cycle: list[Any] = []
    cycle.append(cycle)


def test_full_collections_are_rare_in_the_block_only(usual: int) -> None:
    """The thresholds of the young generations stay, and everything is set back, even after an error."""
    callbacks = list(gc.callbacks)

    def fail() -> None:
        with fewer_full_collections():
            assert gc.get_threshold() == (100, 10, usual * TIMES_RARER)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert gc.get_threshold() == (100, 10, usual)
    assert gc.callbacks == callbacks


def test_collections_that_find_nothing_become_rarer(usual: int) -> None:
    """What grows is what lives: looking through it is put off, twice as long each time, up to a limit."""
    with fewer_full_collections():
        gc.collect()
        assert rarer(usual) == 2 * TIMES_RARER
        gc.collect()
        assert rarer(usual) == 4 * TIMES_RARER
        for _ in range(10):
            gc.collect()
        assert rarer(usual) == MOST_TIMES_RARER


def test_young_collections_change_nothing(usual: int) -> None:
    """Only a full collection tells how much of everything is garbage."""
    with fewer_full_collections():
        gc.collect(0)
        gc.collect(1)
        assert rarer(usual) == TIMES_RARER


def test_a_collection_that_finds_garbage_takes_it_back(usual: int) -> None:
    """A program that makes garbage in cycles does not have to hold more and more of it."""
    with fewer_full_collections():
        gc.collect()
        for _ in range(15_000):  # of 100,000 that may have come
            leave_garbage()
        gc.collect()
        assert rarer(usual) == TIMES_RARER


def test_an_invocation_by_lambda_has_them(usual: int) -> None:
    """Calling the handler is Lambda's way in."""
    seen: list[float] = []

    @durable_execution(client=FakeServiceClient())
    async def handler(event: Any, ctx: DurableContext) -> None:
        seen.append(rarer(usual))

    handler(FakeServiceClient().envelope(), None)

    assert seen == [TIMES_RARER]
    assert rarer(usual) == 1
