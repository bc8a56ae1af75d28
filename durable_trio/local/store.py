"""Executions as rows, and rows as executions.

Only what changed is written: a checkpoint of an execution with ten thousand operations costs the rows of its own
batch. The big texts (inputs, payloads) live in rows that are written once or twice; the row of the execution
itself, which every checkpoint rewrites, stays small.

``revision`` counts the writes to an execution. Whoever holds a record in memory compares it to learn whether
another process has changed the execution in the meantime.

Every method is to be called inside a transaction. Errors of SQLite pass through as they are: the owner of the
transaction rolls back.
"""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

from durable_trio._protocol.execution_record import (
    Changes,
    Entry,
    ExecutionRecord,
)
from durable_trio._protocol.history import decode_event, encode_event
from durable_trio._protocol.operation import ExecutionDetails
from durable_trio._protocol.timer_table import Timer, TimerKey, TimerKind
from durable_trio._protocol.wire import (
    Dialect,
    decode_operation,
    encode_operation,
)
from durable_trio.local.answer_slots import load_answers, save_answers
from durable_trio.local.logs import LogLine
from durable_trio.local.rows import (
    INSERT,
    SELECT,
    UPDATE_ENDED,
    UPDATE_OPEN,
    Stored,
    dump,
    fixed_values,
    standing_values,
    stored_from,
)
from durable_trio.local.schema import EXPIRES_AT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable_trio._protocol.history import HistoryEvent


class CannotBeginError(sqlite3.OperationalError):
    """No transaction could be started; whatever was to be done in it, nothing of it was."""


class Store:
    """The tables of one database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.is_on_disk = any(file for _, _, file in connection.execute("PRAGMA database_list"))

    # --- transactions ------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start a transaction that may write; waits for other processes that do.

        Raises:
            CannotBeginError: another process kept the file busy for too long, or the file cannot be read.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as problem:
            raise CannotBeginError(str(problem)) from problem

    def commit(self) -> None:
        """End the transaction; when this returns, it is on the disk."""
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        """Undo the transaction, if one is open."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def data_version(self) -> int:
        """Return a number that moves when another process commits to the file."""
        if not self.is_on_disk:
            return 0
        version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return version

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    # --- writing -----------------------------------------------------------------------------------------

    def create(self, record: ExecutionRecord, host: str | None) -> None:
        """Write the row of a new execution; ``save`` writes the rest."""
        self._connection.execute(INSERT, (*fixed_values(record.identity), *standing_values(record), host))

    def save(self, record: ExecutionRecord, changes: Changes) -> None:
        """Write what changed about an execution."""
        execution_id, values = record.id, standing_values(record)
        if record.ended_at is None:
            self._connection.execute(UPDATE_OPEN, (*values[:-1], execution_id))
        else:
            self._connection.execute(UPDATE_ENDED, (*values, execution_id))
        if changes.operations:
            self._connection.executemany(
                "INSERT INTO operations VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE "
                "SET change_number = excluded.change_number, operation = excluded.operation",
                [
                    (
                        execution_id,
                        entry.position,
                        entry.change,
                        dump(encode_operation(entry.operation, Dialect.EVENT)),
                    )
                    for entry in changes.operations.values()
                ],
            )
        if changes.events:
            self._connection.executemany(
                "INSERT INTO events VALUES (?, ?, ?)",
                [
                    (execution_id, event.event_id, dump(encode_event(event, Dialect.EVENT)))
                    for event in changes.events
                ],
            )
        if changes.timers:
            self._save_timers(execution_id, changes)
        if changes.answers:
            save_answers(self._connection, execution_id, changes.answers)

    def _save_timers(self, execution_id: str, changes: Changes) -> None:
        for key, timer in changes.timers.items():
            if timer is None:
                self._connection.execute(
                    "DELETE FROM timers WHERE execution_id = ? AND kind = ? AND operation_id = ?",
                    (execution_id, key.kind.value, key.operation_id),
                )
            else:
                self._connection.execute(
                    "INSERT OR REPLACE INTO timers VALUES (?, ?, ?, ?, ?)",
                    (execution_id, key.kind.value, key.operation_id, timer.due_at, timer.period_seconds),
                )

    def set_host(self, execution_id: str, host: str | None) -> None:
        """Note who drives an execution."""
        self._connection.execute(
            "UPDATE executions SET host = ?, revision = revision + 1 WHERE id = ?", (host, execution_id)
        )

    def delete(self, execution_id: str) -> None:
        """Remove an execution with everything about it."""
        self._connection.execute("DELETE FROM executions WHERE id = ?", (execution_id,))

    def delete_expired(self, now: int, most: int) -> list[str]:
        """Remove up to *most* executions whose retention is over at *now*, and return their ids."""
        rows = self._connection.execute(
            f"DELETE FROM executions WHERE id IN (SELECT id FROM executions WHERE ended_at NOT NULL "  # noqa: S608
            f"AND active_request_id IS NULL AND {EXPIRES_AT} <= ? LIMIT ?) RETURNING id",
            (now, most),
        )
        return [id_ for (id_,) in rows]

    def next_expiry_at(self) -> int | None:
        """Return when the retention of an ended execution is over next; None if there is none."""
        row = self._connection.execute(
            f"SELECT {EXPIRES_AT} FROM executions WHERE ended_at NOT NULL "  # noqa: S608
            f"AND active_request_id IS NULL ORDER BY {EXPIRES_AT} LIMIT 1"
        ).fetchone()
        return None if row is None else row[0]

    # --- logs --------------------------------------------------------------------------------------------

    def append_log(self, execution_id: str, lines: Sequence[LogLine]) -> None:
        """Add lines to an execution's log, after those that are there."""
        (last,) = self._connection.execute(
            "SELECT coalesce(max(line_number), 0) FROM log_lines WHERE execution_id = ?", (execution_id,)
        ).fetchone()
        self._connection.executemany(
            "INSERT INTO log_lines VALUES (?, ?, ?, ?, ?, ?)",
            [
                (execution_id, number, line.at, line.request_id, line.function_name, json.dumps(line.text))
                for number, line in enumerate(lines, last + 1)
            ],
        )

    def log_lines(self, execution_id: str, *, after: int, count: int) -> list[tuple[int, LogLine]]:
        """Return the *count* lines that come after line number *after*, with their numbers."""
        rows = self._connection.execute(
            "SELECT line_number, at, request_id, function_name, text FROM log_lines "
            "WHERE execution_id = ? AND line_number > ? ORDER BY line_number LIMIT ?",
            (execution_id, after, count),
        )
        return [
            (number, LogLine(at, json.loads(text), request_id, function_name))
            for number, at, request_id, function_name, text in rows
        ]

    # --- virtual time ------------------------------------------------------------------------------------

    def note_time(self, now: int) -> None:
        """Note how far virtual time has come."""
        self._connection.execute("INSERT OR REPLACE INTO virtual_time VALUES (1, ?)", (now,))

    def noted_time(self) -> int | None:
        """Return how far virtual time had come; None if the file has only known the system's."""
        row = self._connection.execute("SELECT now_at FROM virtual_time").fetchone()
        return None if row is None else row[0]

    # --- reading one execution ---------------------------------------------------------------------------

    def revision(self, execution_id: str) -> int | None:
        """Return how often an execution has been written; None if there is none."""
        row = self._connection.execute(
            "SELECT revision FROM executions WHERE id = ?", (execution_id,)
        ).fetchone()
        return None if row is None else row[0]

    def load(self, execution_id: str) -> Stored | None:
        """Read an execution whole."""
        stored = self.load_standing(execution_id)
        if stored is None:
            return None
        rows = self._connection.execute(
            "SELECT position, change_number, operation FROM operations WHERE execution_id = ? ORDER BY position",
            (execution_id,),
        )
        for position, change, text in rows:
            operation = decode_operation(json.loads(text), Dialect.EVENT)
            stored.record.restore(Entry(operation, position, change))
        stored.record.restored()
        load_answers(self._connection, stored.record)
        return stored

    def load_standing(self, execution_id: str) -> Stored | None:
        """Read an execution and its timers, without its operations."""
        row = self._connection.execute(f"{SELECT} WHERE id = ?", (execution_id,)).fetchone()
        if row is None:
            return None
        stored = stored_from(row)
        for kind, operation_id, due_at, period in self._connection.execute(
            "SELECT kind, operation_id, due_at, period_seconds FROM timers WHERE execution_id = ?",
            (execution_id,),
        ):
            stored.record.timers.set(Timer(TimerKey(TimerKind(kind), operation_id), due_at, period))
        return stored

    def input_payload(self, execution_id: str) -> str:
        """Return what an execution was started with."""
        (text,) = self._connection.execute(
            "SELECT operation FROM operations WHERE execution_id = ? AND position = 0", (execution_id,)
        ).fetchone()
        details = decode_operation(json.loads(text), Dialect.EVENT).details
        return (details.input_payload or "") if isinstance(details, ExecutionDetails) else ""

    def operation_count(self, execution_id: str) -> int:
        """Return how many operations an execution has, the EXECUTION included."""
        count: int = self._connection.execute(
            "SELECT count(*) FROM operations WHERE execution_id = ?", (execution_id,)
        ).fetchone()[0]
        return count

    def events(
        self, execution_id: str, *, after: int, newest_first: bool, count: int, max_bytes: int
    ) -> tuple[list[HistoryEvent], bool]:
        """Return the events that come after event *after*, in the order asked for, and whether there are more.

        At most *count*, and no further one once they have *max_bytes* of JSON in all.
        """
        compare, order = ("<", "DESC") if newest_first else (">", "ASC")
        rows = self._connection.execute(
            f"SELECT event FROM events WHERE execution_id = ? AND event_id {compare} ? "  # noqa: S608
            f"ORDER BY event_id {order} LIMIT ?",
            (execution_id, after, count + 1),
        )
        found: list[HistoryEvent] = []
        size = 0
        for (text,) in rows:
            if len(found) == count or size >= max_bytes:
                rows.close()
                return found, True
            found.append(decode_event(json.loads(text), Dialect.EVENT))
            size += len(text)
        return found, False

    # --- finding executions ------------------------------------------------------------------------------

    def find(self, name: str, function_name: str | None = None) -> list[Stored]:
        """Return the executions of this name, without their operations; of one function, or of all."""
        conditions, values = ["name = ?", "is_durable"], [name]
        if function_name is not None:
            conditions.append("function_name = ?")
            values.append(function_name)
        return self.select(conditions, values, newest_first=False, count=-1)

    def children(self, execution_id: str) -> list[str]:
        """Return the ids of the executions that this one started by chained invokes and that have not ended."""
        rows = self._connection.execute(
            "SELECT id FROM executions WHERE parent_execution_id = ? AND ended_at IS NULL", (execution_id,)
        )
        return [id_ for (id_,) in rows]

    def unfinished(self) -> list[str]:
        """Return the ids of the executions that have not ended, the oldest first."""
        rows = self._connection.execute(
            "SELECT id FROM executions WHERE ended_at IS NULL ORDER BY started_at, id"
        )
        return [id_ for (id_,) in rows]

    def select(
        self, where: Sequence[str], values: Sequence[Any], *, newest_first: bool, count: int
    ) -> list[Stored]:
        """Return the executions for which every condition of *where* holds, by start, without operations.

        A *count* of -1 means all.
        """
        order = "DESC" if newest_first else "ASC"
        condition = f" WHERE {' AND '.join(where)}" if where else ""
        rows = self._connection.execute(
            f"{SELECT}{condition} ORDER BY started_at {order}, id {order} LIMIT ?", (*values, count)
        )
        return [stored_from(row) for row in rows]
