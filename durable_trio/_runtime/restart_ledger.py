"""The restarts that the branches of one batch have had, for a budget that they share.

Whoever is restarted draws on the budget, in this invocation or an earlier one. What is inside of a finished branch
is no longer in the state, so each restart is written into the batch itself: a context of subtype Restart, started
and closed ahead of the failure of the attempt, with an id made from the branch's index and the attempt's number.

The id makes it count once: an attempt whose failure was lost in a crash fails again, is asked again, and finds its
restart granted. Nothing is asked on replay: the decision is in the attempt's record (``attempt_record``).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from durable_trio._protocol.ids import operation_id
from durable_trio._protocol.operation import (
    ContextOptions,
    OperationAction,
    OperationType,
    OperationUpdate,
    SubType,
)

if TYPE_CHECKING:
    from durable_trio._runtime.invocation import Invocation
    from durable_trio._runtime.node import ContextNode
    from durable_trio.restarts import RestartIntensity


class RestartLedger:
    """Grants restarts within an intensity."""

    __slots__ = ("_granted", "_intensity")

    def __init__(self, intensity: RestartIntensity) -> None:
        self._intensity = intensity
        self._granted: dict[str, int] | None = None  # when, by id, in epoch milliseconds

    def grant(self, branch: ContextNode, index: int, attempt: int) -> bool:
        """Tell whether *branch*, at *index*, may be restarted after *attempt*; if so, queue the record of it."""
        invocation, batch_id = branch.invocation, _batch_of(branch)
        if self._granted is None:
            self._granted = _recorded(invocation, batch_id)
        id_ = operation_id(batch_id, f"restart-{index}-{attempt}")
        if id_ not in self._granted:
            now = invocation.clock.now()
            since = self._intensity.since(now)
            if sum(at > since for at in self._granted.values()) >= self._intensity.max_restarts:
                return False
            self._granted[id_] = now
        _record(invocation, batch_id, id_, index, attempt)
        return True


def _batch_of(branch: ContextNode) -> str:
    # Nested or flat, a branch is in the namespace of its batch.
    if branch.parent is None or branch.parent.prefix is None:
        raise AssertionError("a branch is inside of a batch")
    return branch.parent.prefix


def _recorded(invocation: Invocation, batch_id: str) -> dict[str, int]:
    return {
        record.id: record.started_at
        for record in invocation.state.records()
        if record.parent_id == batch_id and record.sub_type == SubType.RESTART
    }


def _record(invocation: Invocation, batch_id: str, id_: str, index: int, attempt: int) -> None:
    def update(action: OperationAction, **members: object) -> OperationUpdate:
        return OperationUpdate(
            id_,
            OperationType.CONTEXT,
            action,
            batch_id,
            f"restart-{index}-{attempt}",
            SubType.RESTART,
            **members,  # type: ignore[arg-type]  # passed through as given
        )

    known = invocation.state.get(id_)
    if known is None:
        invocation.writer.record_soon(update(OperationAction.START))
    if known is None or not known.status.is_terminal:
        payload = json.dumps({"index": index, "attempt": attempt})
        invocation.writer.record_soon(
            update(OperationAction.SUCCEED, payload=payload, options=ContextOptions(replay_children=False))
        )
