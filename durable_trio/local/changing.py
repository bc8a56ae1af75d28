"""What can be done to an execution, one request at a time, inside a transaction of the ledger."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from durable_trio._protocol import pausing, service_moves
from durable_trio._protocol.checkpointing import apply_checkpoint, check_token
from durable_trio._protocol.opaque import callback_target
from durable_trio._protocol.pages import PageLimits, changes_page, fits, page_size, state_page
from durable_trio.clients import CheckpointResponse, StatePage
from durable_trio.local.errors import ResourceConflict, ResourceNotFound
from durable_trio.local.looking import open_for_function
from durable_trio.local.views import ExecutionSummary, summarize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from durable_trio._protocol.execution_record import ExecutionRecord
    from durable_trio._protocol.function_moves import ChainTarget
    from durable_trio._protocol.operation import ErrorObject, OperationUpdate
    from durable_trio.local.ledger import Ledger

logger = logging.getLogger("durable_trio.local")


def stop(ledger: Ledger, arn: str, error: ErrorObject | None) -> int:
    """End an execution by force and return when it ended."""
    record = ledger.open(ledger.find(arn))
    at = service_moves.stop(record, error, ledger.clock.now())
    ledger.save(record)
    return at


def pause(
    ledger: Ledger, arn: str, reason: str | None, pauses_timeout: bool, client_token: str | None
) -> ExecutionSummary:
    """Pause an execution."""
    record = ledger.open(ledger.find(arn))
    pausing.pause(
        record, ledger.clock.now(), reason=reason, pauses_timeout=pauses_timeout, client_token=client_token
    )
    ledger.save(record)
    return summarize(record)


def resume(ledger: Ledger, arn: str, reason: str | None, client_token: str | None) -> ExecutionSummary:
    """Let a paused execution go on."""
    record = ledger.open(ledger.find(arn))
    pausing.resume(record, ledger.clock.now(), reason=reason, client_token=client_token)
    ledger.save(record)
    return summarize(record)


def delete(ledger: Ledger, arn: str) -> int:
    """Delete an execution that has ended and return when that was asked for."""
    record = ledger.open(ledger.find(arn))
    if not record.status.is_closed:
        raise ResourceConflict(f"only an execution that has ended can be deleted; it is {record.status}")
    ledger.delete(record)
    return ledger.clock.now()


def answer_callback(
    ledger: Ledger, callback_id: str, answer: Callable[[ExecutionRecord, str, int], None]
) -> None:
    """Have *answer* change the record and operation that a callback id stands for."""
    target = callback_target(callback_id)
    if target is None or ledger.record(target[0]) is None:
        raise ResourceNotFound(f"there is no callback with id {callback_id!r}")
    execution_id, operation_id = target
    record = ledger.open(execution_id)
    answer(record, operation_id, ledger.clock.now())
    ledger.save(record)


def checkpoint(
    ledger: Ledger,
    arn: str,
    token: str,
    updates: Sequence[OperationUpdate],
    client_token: str,
    chain: ChainTarget,
) -> CheckpointResponse:
    """Record what a function asks for."""
    record = open_for_function(ledger, arn)
    count, quotas = len(record), ledger.settings.quotas
    answer = apply_checkpoint(record, token, client_token, updates, ledger.clock.now(), chain, quotas)
    ledger.save(record)
    warn_from = quotas.warn_operations
    if warn_from is not None and count <= warn_from < len(record):
        logger.warning("execution %s has more than %d operations", record.identity.arn, warn_from)
    page_limits = PageLimits(ledger.settings.response_operations, ledger.settings.page_bytes)
    if answer.token is None or fits(answer.operations, page_limits):
        return CheckpointResponse(answer.token, answer.operations)
    page = changes_page(record, answer.shown_before, page_limits)
    return CheckpointResponse(answer.token, page.operations, page.next_marker)


def get_state(ledger: Ledger, arn: str, token: str, marker: str, max_items: int) -> StatePage:
    """Return a page of what a function is to know."""
    record = open_for_function(ledger, arn)
    check_token(record, token)
    page = state_page(record, marker, PageLimits(page_size(max_items), ledger.settings.page_bytes))
    return StatePage(page.operations, page.next_marker)
