"""How the pages of an execution's state are read: one call after another, each page taken in during the next call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import trio

from durable_trio._protocol.envelope import InvocationInput
from durable_trio._protocol.operation import OperationRecord, OperationStatus, OperationType
from durable_trio._runtime.state_reading import read_state
from durable_trio.clients import CheckpointResponse, StatePage
from durable_trio.clients.undecoded import UndecodedOperations
from durable_trio.exceptions import GetStateError

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f:1/durable-execution/name/execution-id"


def record(id_: str, type_: OperationType = OperationType.STEP) -> OperationRecord:
    """Make the record of an operation."""
    return OperationRecord(id_, type_, OperationStatus.SUCCEEDED, 1)


def given(marker: str) -> InvocationInput:
    """Make an invocation whose event brings the execution, and *marker*."""
    return InvocationInput(
        durable_execution_arn=ARN,
        checkpoint_token="token",
        operations=(record("execution-id", OperationType.EXECUTION),),
        next_marker=marker,
        updated_operation_ids=frozenset(),
    )


class Pages:
    """A service that serves *pages* by number, and writes down what happens."""

    def __init__(self, *pages: Sequence[OperationRecord] | Exception) -> None:
        self.pages = pages
        self.events: list[str] = []

    async def checkpoint(self, **_: Any) -> CheckpointResponse:
        """Refuse: nobody checkpoints here."""
        raise AssertionError

    async def get_state(self, *, marker: str, max_items: int, **_: Any) -> StatePage:
        """Serve page *marker*."""
        assert max_items == 1000
        number = int(marker)
        self.events.append(f"asked for {number}")
        await trio.sleep(1)
        page = self.pages[number]
        if isinstance(page, Exception):
            raise page
        following = str(number + 1) if number + 1 < len(self.pages) else ""
        return StatePage(UndecodedOperations(page, self._noting(number)), following)

    def _noting(self, number: int) -> Callable[[Any], OperationRecord]:
        def decode(wire: Any) -> OperationRecord:
            self.events.append(f"read {number}")
            if isinstance(wire, Exception):
                raise wire
            assert isinstance(wire, OperationRecord)
            return wire

        return decode


async def test_a_page_is_read_while_the_next_is_on_its_way(autojump_clock: trio.testing.MockClock) -> None:
    """The next page is asked for before the last one is decoded, so that decoding costs no time of its own."""
    service = Pages([record("a")], [record("b")], [record("c")])

    state = await read_state(service, given("0"))

    assert service.events == ["asked for 0", "asked for 1", "read 0", "asked for 2", "read 1", "read 2"]
    assert [record.id for record in state.records()] == ["execution-id", "a", "b", "c"]
    assert trio.current_time() == 3


async def test_a_single_page_takes_no_call() -> None:
    """What the event holds is all there is, if it has no marker."""
    service = Pages()

    state = await read_state(service, given(""))

    assert service.events == []
    assert len(state) == 1


@pytest.mark.parametrize("bad", [0, 1, 2])
async def test_a_page_that_fails_is_an_error_as_it_is(
    bad: int, autojump_clock: trio.testing.MockClock
) -> None:
    """The error of a call reaches the caller bare, not in a group, whichever call it is."""
    pages: list[Any] = [[record("a")], [record("b")], [record("c")]]
    pages[bad] = GetStateError("no")

    with pytest.raises(GetStateError, match=r"^no"):
        await read_state(Pages(*pages), given("0"))


@pytest.mark.parametrize("bad", [0, 1])
async def test_a_page_that_cannot_be_read_is_an_error_at_once(
    bad: int, autojump_clock: trio.testing.MockClock
) -> None:
    """A page that cannot be decoded ends the reading, without waiting for the call that is under way."""
    pages: list[Any] = [[record("a")], [record("b")], [record("c")]]
    pages[bad] = [GetStateError("unreadable")]

    with pytest.raises(GetStateError, match=r"^unreadable"):
        await read_state(Pages(*pages), given("0"))
    assert trio.current_time() == bad + 1


async def test_reading_can_be_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    """A cancellation goes through: no page is lost in it, and nothing hangs."""
    with trio.move_on_after(1.5) as scope:
        await read_state(Pages([record("a")], [record("b")]), given("0"))

    assert scope.cancelled_caught


def test_undecoded_operations_are_a_sequence_that_is_decoded_once() -> None:
    """They are decoded by the first who looks, and only then."""
    decoded: list[str] = []

    def decode(wire: str) -> OperationRecord:
        decoded.append(wire)
        return record(wire)

    operations = UndecodedOperations(["a", "b"], decode)

    assert len(operations) == 2
    assert repr(operations) == "<UndecodedOperations 2>"
    assert decoded == []
    ids: Iterator[str] = (each.id for each in operations)
    assert list(ids) == ["a", "b"]
    assert [each.id for each in operations[1:]] == ["b"]
    assert decoded == ["a", "b"]
