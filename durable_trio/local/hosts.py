"""Which process drives an execution, and whether it still lives.

Two processes that drive one execution do no harm, since tokens fence one of them off, but they do work twice. So
an execution names its *host*, and a host proves that it lives by holding an exclusive lock on a tiny SQLite file
of its own, ``<database>-host-<id>``, for as long as it runs. The operating system drops the lock when the process
dies, however it dies; no heartbeat, no clock and no stale pid is involved.

SQLite is asked for the lock (``BEGIN EXCLUSIVE``) because it knows how to lock a file on every system, and because
its locks also hold between two connections of one process.

A file whose lock can be taken belongs to nobody: whoever finds it removes it. A host that is just starting could
lose its file that way between making and locking it, so it looks afterwards and takes another id.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_ATTEMPTS: Final = 10


class Host:
    """This process, as a driver of executions, for as long as it is open. Close it with ``close``."""

    def __init__(self, database: str | None, make_id: Callable[[], str]) -> None:
        self._database = database
        self._lock: sqlite3.Connection | None = None
        if database is None:
            # Nobody else can open a database in memory.
            self.id = make_id()
            return
        for _ in range(_ATTEMPTS):
            self.id = make_id()
            self._lock = _take(_path(database, self.id))
            if self._lock is not None:
                return
        raise OSError(f"cannot make and lock a file {_path(database, '*')}")

    def is_alive(self, host_id: str) -> bool:
        """Tell whether the host *host_id* runs; the file of a dead one is removed."""
        if host_id == self.id:
            return True
        if self._database is None:
            return False
        path = _path(self._database, host_id)
        if not path.exists():
            return False
        lock = _take(path)
        if lock is None:
            return True
        _release(lock, path)
        return False

    def sweep(self) -> None:
        """Remove the files that dead hosts of this database left behind."""
        if self._database is None:
            return
        prefix = _path(self._database, "")
        for path in prefix.parent.iterdir():
            if path.name.startswith(prefix.name):
                self.is_alive(path.name.removeprefix(prefix.name))

    def close(self) -> None:
        """Stop being a host."""
        if self._lock is not None and self._database is not None:
            _release(self._lock, _path(self._database, self.id))
            self._lock = None


def _path(database: str, host_id: str) -> Path:
    return Path(f"{database}-host-{host_id}")


def _take(path: Path) -> sqlite3.Connection | None:
    """Lock the file at *path*, making it if need be; None if somebody else holds it or has removed it."""
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        # Nothing is ever written: without this there would be a journal file to clean up as well.
        connection.execute("PRAGMA journal_mode=MEMORY")
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        connection.close()
        return None
    if not path.exists():
        connection.close()
        return None
    return connection


def _release(lock: sqlite3.Connection, path: Path) -> None:
    # Removed while it is locked, so that nobody takes it for a live host's in between.
    path.unlink(missing_ok=True)
    lock.close()
