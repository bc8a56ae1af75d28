"""A service whose timers do not wait: every wait that was started is over as soon as the invocation is.

AWS's test runner does that when it skips time. What it writes down is the real time; only the scheduled ends say
how long things would have taken.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from durable_trio._protocol.envelope import InvocationInput, encode_invocation
from durable_trio._protocol.operation import (
    ExecutionDetails,
    OperationRecord,
    OperationStatus,
    OperationType,
)
from durable_trio._protocol.state import ExecutionState
from durable_trio.clients import CheckpointResponse, StatePage
from durable_trio.clock import Clock

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:f:$LATEST/durable-execution/run/1"


class HurriedService:
    """Keeps what it is told of one execution, and ends every wait between two invocations."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.state = ExecutionState(ARN)
        at = self.clock.now()
        execution = OperationRecord(
            "1", OperationType.EXECUTION, OperationStatus.STARTED, at, details=ExecutionDetails("null")
        )
        self.state.load([execution])
        self._calls = 0

    async def checkpoint(self, *, updates: Any, **request: Any) -> CheckpointResponse:
        """Record a call and answer it."""
        for update in updates:
            self.state.apply(update, self.clock.now())
        self._calls += 1
        told = [self.state.get(update.id) for update in updates]
        return CheckpointResponse(f"token{self._calls}", [record for record in told if record], "")

    async def get_state(self, **request: Any) -> StatePage:
        """Never needed: the state is in the event."""
        raise AssertionError("the event holds everything")

    async def run(self, handler: Any, *, most: int = 20) -> Any:
        """Invoke *handler* until it is through; return its result."""
        for _ in range(most):
            event = encode_invocation(InvocationInput(ARN, "token", tuple(self.state.records()), ""))
            answer = await handler.invoke(event, None, client=self)
            if answer["Status"] != "PENDING":
                assert answer["Status"] == "SUCCEEDED", answer
                return json.loads(answer["Result"])
            self._end_waits()
        raise AssertionError("it does not come to an end")

    def _end_waits(self) -> None:
        now = self.clock.now()
        for record in self.state.records():
            if record.type is OperationType.WAIT and record.status is OperationStatus.STARTED:
                self.state.merge([replace(record, status=OperationStatus.SUCCEEDED, ended_at=now)])
