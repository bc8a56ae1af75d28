"""Where an execution stands, and how it may end."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from durable_trio._protocol.operation import OperationStatus


class ExecutionStatus(StrEnum):
    """Where an execution stands."""

    __hash__ = str.__hash__  # that of enums is a Python function, and they are keys everywhere

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    STOPPED = "STOPPED"
    PAUSING = "PAUSING"
    PAUSED = "PAUSED"
    DELETING = "DELETING"

    @property
    def is_closed(self) -> bool:
        """Tell whether the execution has ended for good."""
        return self in CLOSED_STATUSES


CLOSED_STATUSES: Final = {
    ExecutionStatus.SUCCEEDED: OperationStatus.SUCCEEDED,
    ExecutionStatus.FAILED: OperationStatus.FAILED,
    ExecutionStatus.TIMED_OUT: OperationStatus.TIMED_OUT,
    ExecutionStatus.STOPPED: OperationStatus.STOPPED,
}
"""How an execution may end, and what its EXECUTION operation becomes then."""
