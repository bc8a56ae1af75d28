"""What can be asked of a ledger without changing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio._protocol.arns import ExecutionArn, parse_arn
from durable_trio._protocol.operation import ExecutionDetails
from durable_trio.local.errors import InvalidParameterValue, ResourceNotFound
from durable_trio.local.views import ExecutionDescription, describe

if TYPE_CHECKING:
    from durable_trio._protocol.execution_record import ExecutionRecord
    from durable_trio._protocol.operation import OperationRecord
    from durable_trio.local.ledger import Ledger


def parsed_arn(arn: str) -> ExecutionArn:
    """Return the parts of an execution's ARN.

    Raises:
        InvalidParameterValue: it is not one.
    """
    parsed = parse_arn(arn)
    if parsed is None:
        raise InvalidParameterValue(f"this is not the ARN of a durable execution: {arn!r}")
    return parsed


def open_for_function(ledger: Ledger, arn: str) -> ExecutionRecord:
    """Return the record that a function's call is about. Such calls do not know ResourceNotFound.

    Raises:
        InvalidParameterValue: there is no such execution.
    """
    parsed = parsed_arn(arn)
    record = ledger.record(parsed.id)
    if record is None or record.identity.arn != parsed:
        raise InvalidParameterValue(f"there is no execution {arn!r}")
    return ledger.open(parsed.id)


def recorded(ledger: Ledger, execution_id: str) -> ExecutionRecord:
    """Return the record of an execution, with its operations.

    Raises:
        ResourceNotFound: there is none.
    """
    record = ledger.record(execution_id)
    if record is None:
        raise ResourceNotFound(f"there is no execution with id {execution_id!r}")
    return record


def description_of(ledger: Ledger, text: str) -> ExecutionDescription:
    """Describe the execution that *text* means: from memory, or from its row alone."""
    execution_id = ledger.find(text)
    record = ledger.record_in_memory(execution_id)
    if record is not None:
        started = record.execution_operation.details
        assert isinstance(started, ExecutionDetails)  # noqa: S101  # the EXECUTION's
        return describe(record, started.input_payload or "", len(record) - 1)
    stored = ledger.store.load_standing(execution_id)
    assert stored is not None  # noqa: S101  # found a moment ago, in the same transaction
    count = ledger.store.operation_count(execution_id) - 1
    return describe(stored.record, ledger.store.input_payload(execution_id), count)


def operations_of(ledger: Ledger, text: str) -> list[OperationRecord]:
    """Return every operation of an execution in start order."""
    return [entry.operation for entry in recorded(ledger, ledger.find(text)).entries()]
