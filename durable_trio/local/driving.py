"""Taking over executions that are in the file.

An execution is driven by one process: that one runs its timers and invokes its function. Whoever takes an execution
over takes along those below it that it has started by chained invokes, since it could not go on without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio.local.errors import ExecutionBusy

if TYPE_CHECKING:
    from durable_trio._protocol.execution_record import ExecutionRecord
    from durable_trio.local.ledger import Ledger


def take_over(ledger: Ledger, execution_id: str) -> ExecutionRecord:
    """Drive an execution, and those it started, from now on; one that has ended is left alone.

    Raises:
        ExecutionBusy: another live process drives it.
        ResourceNotFound: there is no such execution; or its function, or that of one it started, is not registered.
    """
    record = ledger.open(execution_id)
    if record.status.is_closed or ledger.drives(execution_id):
        return record
    if ledger.is_busy(execution_id):
        raise ExecutionBusy(f"another process drives the execution {record.identity.arn}")
    family = [record, *_idle_descendants(ledger, execution_id)]
    # Looked at all of them before the first is changed.
    for member in family:
        ledger.registry.check(member.identity.arn)
    for member in family:
        ledger.adopt(member)
    return record


def take_over_all(ledger: Ledger) -> list[ExecutionRecord]:
    """Drive every execution that has not ended, is driven by no live process, and whose function is registered."""
    taken = []
    for execution_id in ledger.store.unfinished():
        if not _may_take(ledger, execution_id):
            continue
        record = ledger.open(execution_id)
        if not record.status.is_closed:
            ledger.adopt(record)
            if record.identity.is_durable:
                taken.append(record)
    return taken


def _may_take(ledger: Ledger, execution_id: str) -> bool:
    record = ledger.record(execution_id)
    if record is None or record.status.is_closed or ledger.drives(execution_id):
        return False
    return not ledger.is_busy(execution_id) and ledger.registry.of_execution(record.identity.arn) is not None


def _idle_descendants(ledger: Ledger, execution_id: str) -> list[ExecutionRecord]:
    """Return the running executions below this one that no live process drives.

    One that another process drives needs nobody else: its end is written to the file, and seen there.
    """
    found = []
    for child_id in ledger.store.children(execution_id):
        child = ledger.open(child_id)
        if not child.status.is_closed and not ledger.is_busy(child_id):
            found += [child, *_idle_descendants(ledger, child_id)]
    return found
