"""Sagas in actors that are thrown away: how they get to undo what they did, whatever happens meanwhile.

The loser of a race, the sibling of a failed child, a branch of a decided map: such an actor is cancelled wherever
it stands, and nothing of it is observed afterwards. If a saga is open in it, its compensations run first, shielded;
they may wait for days, over many invocations. Only when the actor has ended its parent records the verdict.

So an invocation may find a parent without a verdict, whose deciding child replays at once, and which would cancel
the other one while that still replays: before it has come to its saga, or before everything that the saga did is
registered again. Therefore every operation on the way to an open saga runs shielded from its parent, until the body
of the saga comes to something that is not recorded as through, or leaves it. Then the shields come down, and what
was cancelled meanwhile hears of it.

The way is the chain of recorded contexts around the saga. If one of them has ended, the way is no longer gone.
What has no record (a virtual context, a combinator) is shielded if it stands in a context on the way: whether it
holds the saga cannot be told before it has run.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import trio

    from durable_trio._protocol.operation import OperationRecord
    from durable_trio._protocol.state import ExecutionState
    from durable_trio._runtime.invocation import Invocation
    from durable_trio._runtime.operation import Operation
    from durable_trio._runtime.supervisor import Supervisor


def unwinding_in(invocation: Invocation) -> Unwinding | None:
    """Return the ways that an invocation has to go; None if there are none."""
    state = invocation.state
    ways = {saga.id: way for saga in state.open_sagas if (way := _way_to(saga, state))}
    return Unwinding(ways, invocation.supervisor) if ways else None


def _way_to(saga: OperationRecord, state: ExecutionState) -> frozenset[str]:
    """Return the contexts around *saga*; none if one of them has ended."""
    way = []
    parent_id = saga.parent_id
    while parent_id is not None:
        parent = state.get(parent_id)
        if parent is None or parent.status.is_terminal:
            return frozenset()
        way.append(parent_id)
        parent_id = parent.parent_id
    return frozenset(way)


class Unwinding:
    """The ways to sagas that are open, and the shields along them; *ways*: the contexts around each, by its id."""

    def __init__(self, ways: dict[str, frozenset[str]], supervisor: Supervisor) -> None:
        self._ways = ways
        self._supervisor = supervisor
        self._shields: dict[Operation[object], trio.CancelScope] = {}

    @contextmanager
    def protecting(self, operation: Operation[object]) -> Iterator[None]:
        """Shield the block, in which the operation runs, until the sagas inside it have caught up."""
        if not self._is_on_a_way(operation) or operation in self._shields:
            yield
            return
        with self._supervisor.shielded() as shield:
            self._shields[operation] = shield
            try:
                yield
            finally:
                del self._shields[operation]

    def _is_on_a_way(self, operation: Operation[object]) -> bool:
        if not operation.is_unrecorded and not hasattr(operation, "_operations"):
            return any(operation.id in way for way in self._ways.values())
        parent_id = operation.parent_id
        return any(parent_id is None or parent_id in way for way in self._ways.values())

    def caught_up(self, saga_id: str) -> bool:
        """Note that the saga has come to where it was, or was left; tell whether that was not known."""
        if self._ways.pop(saga_id, None) is None:
            return False
        for operation, shield in self._shields.items():
            if not self._is_on_a_way(operation):
                shield.shield = False
        return True
