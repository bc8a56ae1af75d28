"""What the steps of the conformance handlers do."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import NoReturn, TypeVar

import trio

from durable_trio import current_step

T = TypeVar("T")


class TransientError(Exception):
    """An error that is worth another attempt, or is not: that is for the retry strategy to say."""


def die() -> NoReturn:
    """End the process at once, as a crash does. Tests that run handlers in their own process replace this."""
    os._exit(1)


async def greet(name: str) -> str:
    """Return a greeting."""
    return f"Hello, {name}!"


async def give(value: T) -> T:
    """Return *value*."""
    return value


async def fail() -> NoReturn:
    """Fail, whatever the attempt."""
    raise RuntimeError("this always fails")


async def succeed_on(attempt: int, value: T) -> T:
    """Fail before the given attempt (from 1), then return *value*."""
    if current_step().attempt < attempt:
        raise RuntimeError(f"attempt {current_step().attempt} fails")
    return value


async def raise_transient() -> NoReturn:
    """Raise ``TransientError``."""
    raise TransientError("try again")


async def recover_from_transient() -> str:
    """Raise ``TransientError`` once."""
    if current_step().attempt == 1:
        raise TransientError("try again")
    return "recovered"


async def log_and_give(value: T) -> T:
    """Log that the body runs, and return *value*."""
    current_step().logger.info("step executed")
    return value


async def log_and_fail() -> NoReturn:
    """Log that the body runs, and fail."""
    current_step().logger.info("step executed")
    raise RuntimeError("this always fails")


async def log_and_die(text: str) -> NoReturn:
    """Log *text*, and crash."""
    current_step().logger.info(text)
    die()


async def log_and_die_once(text: str) -> str:
    """Log *text*, and crash in the first attempt."""
    current_step().logger.info(text)
    if current_step().attempt == 1:
        die()
    return "succeeded on second attempt"


async def die_on_first_run(value: T) -> T:
    """Crash when the step runs for the first time, return *value* when it runs again."""
    if is_first_run(current_step().idempotency_key):
        # The START of the step goes out by itself meanwhile, over the first connection of a process that has just
        # started: on a busy machine that may take more than a second.
        await trio.sleep(5)
        die()
    return value


def is_first_run(key: str) -> bool:
    """Tell whether this is asked for the first time, by a mark outside the execution.

    A run that was cut off uses up no attempt, so nothing inside the execution tells the two runs apart.
    """
    mark = Path(tempfile.gettempdir(), f"conformance-{key}")
    if mark.exists():
        mark.unlink()
        return False
    mark.touch()
    return True
