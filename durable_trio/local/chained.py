"""Chained invokes: executions that start executions.

The START of a chained invoke makes the other execution in the same transaction, and the end of that execution
completes the operation in the same transaction. So neither can be lost, whatever dies in between. The other
execution knows its parent; the parent's operation knows nothing, it is found by that.

Only functions that are registered can be called. To any other the operation answers at once: it has failed, with
``ResourceNotFoundException``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio._protocol import limits
from durable_trio._protocol.effects import (
    ChainedInvokeStarted,
    ExecutionClosed,
)
from durable_trio._protocol.execution_record import (
    ParentOperation,
)
from durable_trio._protocol.service_moves import end_chained_invoke

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable_trio._protocol.effects import (
        Effect,
    )
    from durable_trio._protocol.execution_record import (
        ExecutionRecord,
    )
    from durable_trio.local.ledger import Ledger


def target_name(function: str) -> str:
    """Return the bare name of a function given by name, by name and qualifier, or by ARN."""
    if function.startswith("arn:"):
        # arn:aws:lambda:<region>:<account>:function:<name>[:<qualifier>]
        parts = function.split(":")
        return parts[6] if len(parts) > 6 else function
    return function.partition(":")[0]


def settle_chained(ledger: Ledger, record: ExecutionRecord, effects: Sequence[Effect]) -> None:
    """Start the executions that *record* asks for, and tell its parent if it has ended."""
    for effect in effects:
        match effect:
            case ChainedInvokeStarted(operation_id, arn, input_payload):
                ledger.start(
                    arn,
                    input_payload,
                    execution_timeout_seconds=limits.MAX_EXECUTION_TIMEOUT_SECONDS,
                    retention_days=record.identity.retention_days,
                    parent=ParentOperation(record.id, operation_id),
                    delay_seconds=ledger.settings.chained_start_seconds,
                )
            case ExecutionClosed(status) if record.identity.parent is not None:
                parent = ledger.open(record.identity.parent.execution_id)
                at = record.ended_at if record.ended_at is not None else ledger.clock.now()
                operation_id = record.identity.parent.operation_id
                end_chained_invoke(parent, operation_id, status, record.result, record.error, at)
                ledger.save(parent)
            case _:
                pass
