"""The database file: how it is opened, and how its tables came to be.

A migration and the note that it ran (``PRAGMA user_version``) are one transaction, so a file is never between
two versions. ``application_id`` marks the file as ours: opening somebody else's database by mistake must not
add tables to it.

The file is in WAL mode with ``synchronous=FULL``: a commit returns when it is on the disk, and readers of other
processes never block the writer. The log is moved into the file earlier than SQLite would: while it is growing, the disk
has to be told its new size at each commit, which takes twice as long as writing over what is there.
"""

from __future__ import annotations

import sqlite3
from functools import lru_cache
from typing import Final

from durable_trio.local.errors import DatabaseTooNew, DatabaseUnusable

_APPLICATION_ID: Final = 0x64747269  # "dtri"

_LOG_PAGES: Final = 400
"""How long the log may be before it is moved into the file; SQLite's default is 1,000."""

EXPIRES_AT: Final = "(ended_at + retention_days * 86400000)"
"""When an ended execution is to be deleted, in SQL."""

ANSWER_SLOTS: Final = 256
"""How many answers are remembered of an execution: the slot of one is its token's number, modulo this."""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        # What never changes about an execution comes first, then its standing, then the invocation.
        """
        CREATE TABLE executions (
            id TEXT PRIMARY KEY,
            arn TEXT NOT NULL UNIQUE,
            function_name TEXT NOT NULL,
            name TEXT NOT NULL,
            started_at INTEGER NOT NULL,
            execution_timeout_seconds INTEGER NOT NULL,
            retention_days INTEGER NOT NULL,
            parent_execution_id TEXT,
            parent_operation_id TEXT,
            host TEXT,
            revision INTEGER NOT NULL,
            status TEXT NOT NULL,
            ended_at INTEGER,
            result TEXT,
            error TEXT,
            token_sequence INTEGER NOT NULL,
            change_number INTEGER NOT NULL,
            shown_change INTEGER NOT NULL,
            last_event_id INTEGER NOT NULL,
            invocation_count INTEGER NOT NULL,
            failures_in_row INTEGER NOT NULL,
            invalid_pendings_in_row INTEGER NOT NULL,
            is_invocation_due INTEGER NOT NULL,
            active_request_id TEXT,
            active_started_at INTEGER,
            active_has_progress INTEGER,
            UNIQUE (function_name, name)
        ) STRICT
        """,
        "CREATE INDEX executions_by_start ON executions (started_at, id)",
        "CREATE INDEX executions_by_name ON executions (name)",
        "CREATE INDEX executions_by_parent ON executions (parent_execution_id) WHERE parent_execution_id NOT NULL",
        # ``operation`` is the wire form with integer instants: readable, and steady across versions.
        """
        CREATE TABLE operations (
            execution_id TEXT NOT NULL REFERENCES executions (id) ON DELETE CASCADE,
            position INTEGER NOT NULL,
            change_number INTEGER NOT NULL,
            operation TEXT NOT NULL,
            PRIMARY KEY (execution_id, position)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE events (
            execution_id TEXT NOT NULL REFERENCES executions (id) ON DELETE CASCADE,
            event_id INTEGER NOT NULL,
            event TEXT NOT NULL,
            PRIMARY KEY (execution_id, event_id)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE timers (
            execution_id TEXT NOT NULL REFERENCES executions (id) ON DELETE CASCADE,
            kind TEXT NOT NULL,
            operation_id TEXT NOT NULL,
            due_at INTEGER NOT NULL,
            period_seconds REAL NOT NULL,
            PRIMARY KEY (execution_id, kind, operation_id)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE answers (
            execution_id TEXT NOT NULL REFERENCES executions (id) ON DELETE CASCADE,
            token_sequence INTEGER NOT NULL,
            client_token TEXT NOT NULL,
            answered_at INTEGER NOT NULL,
            shown_before INTEGER NOT NULL,
            is_last INTEGER NOT NULL,
            PRIMARY KEY (execution_id, token_sequence)
        ) STRICT, WITHOUT ROWID
        """,
    ),
    (
        # Pausing; functions that are not durable; tenants; who waits for the result.
        "ALTER TABLE executions ADD COLUMN is_durable INTEGER NOT NULL DEFAULT 1",
        "ALTER TABLE executions ADD COLUMN tenant_id TEXT",
        "ALTER TABLE executions ADD COLUMN is_asynchronous INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE executions ADD COLUMN pause TEXT",
        "ALTER TABLE executions ADD COLUMN requests TEXT",
        "ALTER TABLE executions ADD COLUMN active_is_withheld INTEGER",
        "CREATE INDEX executions_by_function ON executions (function_name, started_at, id)",
        "CREATE INDEX executions_unfinished ON executions (started_at, id) WHERE ended_at IS NULL",
        # Executions go when their retention is over.
        f"CREATE INDEX executions_by_expiry ON executions ({EXPIRES_AT}) WHERE ended_at NOT NULL",
        """
        CREATE TABLE log_lines (
            execution_id TEXT NOT NULL REFERENCES executions (id) ON DELETE CASCADE,
            line_number INTEGER NOT NULL,
            at INTEGER NOT NULL,
            request_id TEXT,
            function_name TEXT,
            text TEXT NOT NULL,
            PRIMARY KEY (execution_id, line_number)
        ) STRICT, WITHOUT ROWID
        """,
        # How far the time of this file has come, where a service moves it ahead of the system's.
        "CREATE TABLE virtual_time (id INTEGER PRIMARY KEY CHECK (id = 1), now_at INTEGER NOT NULL) STRICT",
    ),
    (
        # Answers are written over in place: each commit then dirties one page of them, and no index entry moves.
        """
        CREATE TABLE answer_slots (
            execution_id TEXT NOT NULL REFERENCES executions (id) ON DELETE CASCADE,
            slot INTEGER NOT NULL,
            token_sequence INTEGER NOT NULL,
            client_token TEXT NOT NULL,
            answered_at INTEGER NOT NULL,
            shown_before INTEGER NOT NULL,
            is_last INTEGER NOT NULL,
            PRIMARY KEY (execution_id, slot)
        ) STRICT, WITHOUT ROWID
        """,
        f"""
        INSERT OR REPLACE INTO answer_slots
        SELECT execution_id, token_sequence % {ANSWER_SLOTS}, token_sequence, client_token, answered_at, shown_before,
            is_last
        FROM answers ORDER BY token_sequence
        """,  # noqa: S608  # a number of ours
        "DROP TABLE answers",
    ),
)
"""The statements that lead from each version of the schema to the next."""


def open_database(path: str, busy_timeout_seconds: float) -> sqlite3.Connection:
    """Open (or make) the database at *path* and bring its schema up to date; ``:memory:`` is a path too.

    Raises:
        DatabaseTooNew: a newer version of durable_trio made the file.
        DatabaseUnusable: the file cannot be opened, or is none of ours.
    """
    try:
        connection = sqlite3.connect(path, timeout=busy_timeout_seconds, isolation_level=None)
    except sqlite3.Error as problem:
        raise DatabaseUnusable(f"cannot open the database {path!r}: {problem}") from problem
    try:
        _prepare(connection, path)
    except sqlite3.Error as problem:
        connection.close()
        raise DatabaseUnusable(f"cannot use {path!r} as a database: {problem}") from problem
    except DatabaseUnusable:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    if path == ":memory:":
        _fill(connection, _image(MIGRATIONS))
        connection.execute("PRAGMA foreign_keys=ON")
        return
    _check_owner(connection, path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
    connection.execute("PRAGMA foreign_keys=ON")
    # Another process may be migrating at this moment; the version is read again under the write lock.
    if _pragma(connection, "user_version") != len(MIGRATIONS):
        connection.execute("BEGIN IMMEDIATE")
        try:
            _check_owner(connection, path)
            _migrate(connection, MIGRATIONS)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


@lru_cache(maxsize=1)
def _image(migrations: tuple[tuple[str, ...], ...]) -> bytes:
    """Return an empty database of ours. Tests open many in memory, and a copy takes a tenth of the time."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        _migrate(connection, migrations)
        return connection.serialize()
    finally:
        connection.close()


def _fill(connection: sqlite3.Connection, image: bytes) -> None:
    # Copied, since a database that is opened on the image itself must not grow beyond a gigabyte.
    source = sqlite3.connect(":memory:")
    try:
        source.deserialize(image)
        source.backup(connection)
    finally:
        source.close()


def _check_owner(connection: sqlite3.Connection, path: str) -> None:
    owner = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    if owner != _APPLICATION_ID and not is_empty:
        raise DatabaseUnusable(f"{path!r} is a database, but not one of durable_trio's local service")
    if version > len(MIGRATIONS):
        raise DatabaseTooNew(
            f"{path!r} has schema version {version}, but this durable_trio knows versions up to "
            f"{len(MIGRATIONS)}: it was made by a newer one; upgrade durable_trio or use another file"
        )


def _migrate(connection: sqlite3.Connection, migrations: tuple[tuple[str, ...], ...]) -> None:
    version = _pragma(connection, "user_version")
    for statements in migrations[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(migrations)}")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
