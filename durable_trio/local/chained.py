"""Chained invokes: executions that start executions.

The START of a chained invoke makes the other execution in the same transaction, and the end of that execution
completes the operation in the same transaction. So neither can be lost, whatever dies in between. The other
execution knows its parent; the parent's operation knows nothing, it is found by that.

Only functions that are registered can be called. To any other the operation answers at once: it has failed, with
``ResourceNotFoundException``. One that is not durable is called all the same, see ``_protocol.plain_calls``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio._protocol.effects import (
    ChainedInvokeStarted,
    ExecutionClosed,
)
from durable_trio._protocol.execution_record import ExecutionIdentity, ParentOperation
from durable_trio._protocol.service_moves import end_chained_invoke

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable_trio._protocol.effects import (
        Effect,
    )
    from durable_trio._protocol.execution_record import ExecutionRecord
    from durable_trio._protocol.execution_status import ExecutionStatus
    from durable_trio.local.ledger import Ledger


def settle_chained(ledger: Ledger, record: ExecutionRecord, effects: Sequence[Effect]) -> None:
    """Start the executions that *record* asks for, and tell its parent if it has ended."""
    for effect in effects:
        match effect:
            case ChainedInvokeStarted():
                _start(ledger, record, effect)
            case ExecutionClosed(status) if record.identity.parent is not None:
                _tell_parent(ledger, record, record.identity.parent, status)
            case _:
                pass


def _start(ledger: Ledger, record: ExecutionRecord, effect: ChainedInvokeStarted) -> None:
    function = ledger.registry.of_execution(effect.arn)
    assert function is not None  # noqa: S101  # named in this very transaction
    identity = ExecutionIdentity(
        arn=effect.arn,
        started_at=ledger.clock.now(),
        execution_timeout_seconds=function.config.execution_timeout_seconds,
        retention_days=function.config.retention_days,
        parent=ParentOperation(record.id, effect.operation_id),
        tenant_id=effect.tenant_id,
        is_asynchronous=True,
        is_durable=effect.is_durable,
    )
    ledger.start(identity, effect.input_payload, delay_seconds=ledger.settings.chained_start_seconds)


def _tell_parent(
    ledger: Ledger, record: ExecutionRecord, parent: ParentOperation, status: ExecutionStatus
) -> None:
    if ledger.record(parent.execution_id) is None:
        # It has ended, and is deleted already.
        return
    caller = ledger.open(parent.execution_id)
    at = record.ended_at if record.ended_at is not None else ledger.clock.now()
    quotas = ledger.settings.quotas
    end_chained_invoke(caller, parent.operation_id, status, record.result, record.error, at, quotas)
    ledger.save(caller)
