"""What a crash leaves behind, as a number: two crashes that leave the same go on in the same way.

After a crash the handler starts over with nothing but what the service has recorded. So how it goes on depends on the
operations' records, and on the outside world: on nothing else. The explorer makes one crash for each such state
instead of one for each moment.

Times are left out, as are ids made by chance (of callbacks). The number is kept up to date change by change: looking
at two hundred operations at a thousand moments of each of hundreds of runs would take longer than the runs.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import trio

from durable_trio._protocol.arns import parse_arn
from durable_trio.local import ExecutionClosed, InvocationEnded, LocalService, OperationChanged

if TYPE_CHECKING:
    from collections.abc import Hashable

    from durable_trio._protocol.operation import ErrorObject, OperationRecord
    from durable_trio.local import Change


def identity_and_outcome(operation: OperationRecord) -> tuple[Hashable, ...]:
    """Return what an execution leaves behind of an operation whatever happened on the way."""
    details, error = operation.details, getattr(operation.details, "error", None)
    return (
        operation.id,
        operation.type.value,
        operation.sub_type,
        operation.name,
        operation.parent_id,
        operation.status.value,
        getattr(details, "result", None),
        None if error is None else (error.type, error.message),
    )


def _standing(operation: OperationRecord) -> tuple[Hashable, ...]:
    details: Any = operation.details
    return (
        *identity_and_outcome(operation),
        getattr(details, "attempt", None),
        getattr(details, "replay_children", None),
    )


class ServiceState:
    """Follows the executions of a local service, and sums them up."""

    def __init__(self, service: LocalService) -> None:
        self._service = service
        self._subscriptions = ExitStack()
        self._feeds: dict[
            str, tuple[str, trio.MemoryReceiveChannel[Change]]
        ] = {}  # by ARN: function and feed
        self._parts: dict[Hashable, int] = {}
        self._sum = 0
        self.ended: set[tuple[str, str]] = set()
        """Execution and id of operations that have ended."""
        self.failed_invocations: list[ErrorObject] = []
        """Why invocations failed, killed ones included."""

    def follow(self, execution_arn: str) -> None:
        """Follow one more execution, from its first invocation on."""
        if execution_arn not in self._feeds:
            feed = self._subscriptions.enter_context(self._service.subscribe(execution_arn))
            parsed = parse_arn(execution_arn)
            self._feeds[execution_arn] = (parsed.function_name if parsed else execution_arn, feed)

    def value(self) -> int:
        """Return what stands for the state at this moment."""
        for arn, (function, feed) in self._feeds.items():
            while True:
                try:
                    change = feed.receive_nowait()
                except (trio.WouldBlock, trio.EndOfChannel):
                    break
                self._apply(arn, function, change)
        return self._sum

    def close(self) -> None:
        """Stop following."""
        self._subscriptions.close()

    def _apply(self, arn: str, function: str, change: Change) -> None:
        match change:
            case OperationChanged(operation):
                if operation.status.is_terminal:
                    self.ended.add((arn, operation.id))
                self._put((function, operation.id), hash((function, _standing(operation))))
            case InvocationEnded(error=error) if error is not None:
                self.failed_invocations.append(error)
            case ExecutionClosed(status):
                self._put((function, None), hash((function, status.value)))
            case _:
                pass

    def _put(self, key: Hashable, part: int) -> None:
        self._sum ^= self._parts.get(key, 0) ^ part
        self._parts[key] = part
