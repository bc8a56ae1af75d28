"""How the row of an execution is made of its record, and the other way round."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from durable_trio._protocol.arns import ExecutionArn, parse_arn
from durable_trio._protocol.execution_record import (
    ActiveInvocation,
    ExecutionIdentity,
    ExecutionRecord,
    ParentOperation,
    Pause,
)
from durable_trio._protocol.execution_status import ExecutionStatus
from durable_trio._protocol.wire import decode_error, encode_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._protocol.operation import ErrorObject

FIXED: Final = (
    "id",
    "arn",
    "function_name",
    "name",
    "started_at",
    "execution_timeout_seconds",
    "retention_days",
    "parent_execution_id",
    "parent_operation_id",
    "tenant_id",
    "is_asynchronous",
    "is_durable",
)
STANDING: Final = (
    "status",
    "result",
    "error",
    "token_sequence",
    "change_number",
    "shown_change",
    "last_event_id",
    "invocation_count",
    "failures_in_row",
    "invalid_pendings_in_row",
    "is_invocation_due",
    "active_request_id",
    "active_started_at",
    "active_has_progress",
    "active_is_withheld",
    "pause",
    "requests",
    "ended_at",
)
# Made from the constants above: no text of a user's gets into a statement.
INSERT: Final = (
    f"INSERT INTO executions ({', '.join(FIXED + STANDING)}, host, revision) "  # noqa: S608
    f"VALUES ({', '.join('?' * len(FIXED + STANDING))}, ?, 1)"
)
# Several indexes depend on when an execution ended, and SQLite rewrites the entries of an index whose column is set,
# even to what it was. So a column that is null until the end is not set before.
# It is the last of ``STANDING``.
_OPEN: Final = STANDING[:-1]
UPDATE_ENDED: Final = (
    f"UPDATE executions SET {', '.join(f'{column} = ?' for column in STANDING)}, "  # noqa: S608
    "revision = revision + 1 WHERE id = ?"
)
UPDATE_OPEN: Final = (
    f"UPDATE executions SET {', '.join(f'{column} = ?' for column in _OPEN)}, "  # noqa: S608
    "revision = revision + 1 WHERE id = ?"
)
SELECT: Final = f"SELECT {', '.join(FIXED + STANDING)}, host, revision FROM executions"  # noqa: S608


@dataclass(slots=True)
class Stored:
    """A record, who drives it, and how often it has been written."""

    record: ExecutionRecord
    host: str | None
    revision: int


# ASCII: a lone surrogate in a payload is legal JSON text, but no UTF-8 that SQLite could store.
dump: Final[Callable[[dict[str, Any]], str]] = json.JSONEncoder(separators=(",", ":")).encode
"""Writes a wire form as the text of a column."""


def _dump_error(error: ErrorObject | None) -> str | None:
    return None if error is None else dump(encode_error(error))


def _dump_text(text: str | None) -> str | None:
    return None if text is None else json.dumps(text)


def fixed_values(identity: ExecutionIdentity) -> tuple[Any, ...]:
    """Return the values of the ``FIXED`` columns."""
    arn, parent = identity.arn, identity.parent
    return (
        arn.id,
        str(arn),
        arn.function_name,
        arn.name,
        identity.started_at,
        identity.execution_timeout_seconds,
        identity.retention_days,
        parent.execution_id if parent else None,
        parent.operation_id if parent else None,
        identity.tenant_id,
        identity.is_asynchronous,
        identity.is_durable,
    )


def standing_values(record: ExecutionRecord) -> tuple[Any, ...]:
    """Return the values of the ``STANDING`` columns."""
    active = record.active
    return (
        record.status._value_,
        _dump_text(record.result),
        _dump_error(record.error),
        record.token_sequence,
        record.change_number,
        record.shown_change,
        record.last_event_id,
        record.invocation_count,
        record.failures_in_row,
        record.invalid_pendings_in_row,
        record.is_invocation_due,
        active.request_id if active else None,
        active.started_at if active else None,
        active.has_progress if active else None,
        active.is_withheld if active else None,
        dump(asdict(record.pause)) if record.pause else None,
        dump(record.requests) if record.requests else None,
        record.ended_at,
    )


def stored_from(row: tuple[Any, ...]) -> Stored:
    """Return what a row of ``SELECT`` tells, still without operations, timers and answers."""
    column: dict[str, Any] = dict(zip((*FIXED, *STANDING, "host", "revision"), row, strict=True))
    record = ExecutionRecord(
        identity=_identity(column),
        status=ExecutionStatus(column["status"]),
        ended_at=column["ended_at"],
        result=None if column["result"] is None else json.loads(column["result"]),
        error=None if column["error"] is None else decode_error(json.loads(column["error"])),
        token_sequence=column["token_sequence"],
        change_number=column["change_number"],
        shown_change=column["shown_change"],
        last_event_id=column["last_event_id"],
        invocation_count=column["invocation_count"],
        failures_in_row=column["failures_in_row"],
        invalid_pendings_in_row=column["invalid_pendings_in_row"],
        is_invocation_due=bool(column["is_invocation_due"]),
        active=_active(column),
        pause=None if column["pause"] is None else Pause(**json.loads(column["pause"])),
        requests={} if column["requests"] is None else json.loads(column["requests"]),
    )
    return Stored(record, column["host"], column["revision"])


def _identity(column: dict[str, Any]) -> ExecutionIdentity:
    arn = parse_arn(column["arn"])
    assert isinstance(arn, ExecutionArn)  # noqa: S101  # written by str(ExecutionArn)
    parent = None
    if column["parent_execution_id"] is not None:
        parent = ParentOperation(column["parent_execution_id"], column["parent_operation_id"])
    return ExecutionIdentity(
        arn=arn,
        started_at=column["started_at"],
        execution_timeout_seconds=column["execution_timeout_seconds"],
        retention_days=column["retention_days"],
        parent=parent,
        tenant_id=column["tenant_id"],
        is_asynchronous=bool(column["is_asynchronous"]),
        is_durable=bool(column["is_durable"]),
    )


def _active(column: dict[str, Any]) -> ActiveInvocation | None:
    if column["active_request_id"] is None:
        return None
    return ActiveInvocation(
        request_id=column["active_request_id"],
        number=column["invocation_count"],
        started_at=column["active_started_at"],
        has_progress=bool(column["active_has_progress"]),
        is_withheld=bool(column["active_is_withheld"]),
    )
