"""Running a local service for the time of a block.

Closing the service is no different from killing its process: invocations that run are cut off, and the file says
that they were running. Whoever takes the execution over counts them as interrupted, not as failed.
"""

from __future__ import annotations

import os
import random
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from durable_trio.clock import Clock
from durable_trio.exceptions import ValidationError
from durable_trio.local.errors import DatabaseUnusable
from durable_trio.local.hosts import Host
from durable_trio.local.schema import open_database
from durable_trio.local.service import LocalService
from durable_trio.local.settings import LocalSettings
from durable_trio.local.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def open_local_service(
    path: str | os.PathLike[str] | None = None,
    *,
    settings: LocalSettings | None = None,
    clock: Clock | None = None,
    watch_seconds: float | None = None,
) -> AsyncIterator[LocalService]:
    """Run a local service while the block lasts.

    On the way out, invocations that run are cancelled; they count as interrupted, and ``resume_execution`` in a
    later service goes on from their last checkpoint.

    Args:
        path: the database file, made if it does not exist; None keeps everything in memory.
        settings: see ``LocalSettings``.
        clock: the time by which timers are kept; by default the system's, moving with Trio's clock.
        watch_seconds: how often to look whether another process wrote to the file; None: never, which is right
            when there is no other.

    Raises:
        DatabaseUnusable: the file cannot be opened, is no database of a local service, or (``DatabaseTooNew``)
            was made by a newer version.
        ValidationError: *watch_seconds* is not positive.
    """
    if watch_seconds is not None and not watch_seconds > 0:
        raise ValidationError(f"watch_seconds must be positive or None, not {watch_seconds!r}")
    settings = settings if settings is not None else LocalSettings()
    clock = clock if clock is not None else Clock()
    chance = _chance(settings.random_seed)
    file = None if path is None else _absolute(path)
    store = Store(open_database(":memory:" if file is None else file, settings.busy_timeout_seconds))
    body_error: BaseException | None = None
    try:
        host = _become_host(file, chance)
        try:
            async with trio.open_nursery() as nursery:
                service = LocalService(store, host, settings, clock, chance, watch_seconds, nursery)
                try:
                    yield service
                except BaseException as error:
                    if _holds_cancelled(error):
                        raise
                    # Raised in here, the nursery would wrap it in a group; it is not the service's error.
                    body_error = error
                finally:
                    service.hang_up()
                    nursery.cancel_scope.cancel()
        finally:
            host.close()
    finally:
        store.close()
    if body_error is not None:
        raise body_error


def _chance(seed: int | None) -> random.Random:
    return random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311  # seeded for simulations


def _absolute(path: str | os.PathLike[str]) -> str:
    # The working directory may change while the service runs.
    return os.fspath(Path(path).absolute())


def _holds_cancelled(error: BaseException) -> bool:
    """Tell whether a cancellation is on its way, which must not leave its scope by another road."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(trio.Cancelled) is not None
    return isinstance(error, trio.Cancelled)


def _become_host(file: str | None, chance: random.Random) -> Host:
    try:
        host = Host(file, lambda: f"{os.getpid()}-{chance.getrandbits(32):08x}")
        host.sweep()
    except OSError as problem:
        raise DatabaseUnusable(f"cannot use {file!r} as a database: {problem}") from problem
    return host
