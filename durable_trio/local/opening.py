"""Running a local service for the time of a block.

Closing the service is no different from killing its process: invocations that run are cut off, and the file says
that they were running. Whoever takes the execution over counts them as interrupted, not as failed.
"""

from __future__ import annotations

import logging
import math
import os
import random
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from durable_trio.clock import Clock, VirtualClock
from durable_trio.exceptions import ValidationError
from durable_trio.local.errors import DatabaseUnusable
from durable_trio.local.hosts import Host
from durable_trio.local.schema import open_database
from durable_trio.local.service import LocalService
from durable_trio.local.settings import LocalSettings
from durable_trio.local.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

logger = logging.getLogger("durable_trio.local")


@asynccontextmanager
async def open_local_service(
    path: str | os.PathLike[str] | None = None,
    *,
    settings: LocalSettings | None = None,
    clock: Clock | None = None,
    watch_seconds: float | None = None,
    virtual_time: bool = False,
    speed: float = 1.0,
) -> AsyncIterator[LocalService]:
    """Run a local service while the block lasts.

    On the way out, invocations that run are cancelled; they count as interrupted, and ``take_over`` in a
    later service goes on from their last checkpoint.

    Args:
        path: the database file, made if it does not exist; None keeps everything in memory.
        settings: see ``LocalSettings``.
        clock: the time by which timers are kept; by default the system's, moving with Trio's clock.
        watch_seconds: how often to look whether another process wrote to the file; None: never, which is right
            when there is no other.
        virtual_time: whenever nothing can run, jump to the next timer: no invocation is in flight, no request is
            queued, every task of the Trio run is blocked, and nobody holds time (``LocalService.hold_time``).
            While an invocation runs, time flows as ever.
        speed: instead of jumping, let time run so many times faster then.

    Raises:
        DatabaseUnusable: the file cannot be opened, is no database of a local service, or (``DatabaseTooNew``)
            was made by a newer version.
        ValidationError: *watch_seconds* or *speed* is not positive; *speed* and *virtual_time* are both given; or
            *clock* is no ``VirtualClock`` though time is to be moved.
    """
    if watch_seconds is not None and not watch_seconds > 0:
        raise ValidationError(f"watch_seconds must be positive or None, not {watch_seconds!r}")
    settings = settings if settings is not None else LocalSettings()
    speed = _checked_speed(virtual_time, speed)
    clock = _clock(clock, speed)
    chance = _chance(settings.random_seed)
    file = None if path is None else _absolute(path)
    store = Store(open_database(":memory:" if file is None else file, settings.busy_timeout_seconds))
    _catch_up(clock, store)
    body_error: BaseException | None = None
    try:
        host = _become_host(file, chance)
        try:
            async with trio.open_nursery() as nursery:
                service = LocalService(store, host, settings, clock, chance, watch_seconds, nursery, speed)
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


def _checked_speed(virtual_time: bool, speed: float) -> float:
    """Return how fast time is to run while the service is idle; infinity means that it jumps."""
    if not 0 < speed < math.inf:
        raise ValidationError(f"speed must be positive and finite, not {speed!r}")
    if virtual_time and speed != 1:
        raise ValidationError(f"virtual_time jumps; speed must be left at 1 with it, not {speed!r}")
    return math.inf if virtual_time else speed


def _clock(clock: Clock | None, speed: float) -> Clock:
    if clock is None:
        return Clock() if speed == 1 else VirtualClock()
    if speed != 1 and not isinstance(clock, VirtualClock):
        raise ValidationError(f"clock must be a VirtualClock if time is to be moved, not {clock!r}")
    return clock


def _catch_up(clock: Clock, store: Store) -> None:
    """Make it at least as late as it was in the file when its time was last moved ahead."""
    noted_at = store.noted_time()
    if noted_at is None or noted_at <= clock.now():
        return
    if isinstance(clock, VirtualClock):
        clock.jump_to(noted_at)
        return
    ahead_seconds = (noted_at - clock.now()) / 1000
    logger.warning(
        "the time of this database was moved ahead and is %.0f s in the future: its timers end late without "
        "virtual_time",
        ahead_seconds,
    )


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
