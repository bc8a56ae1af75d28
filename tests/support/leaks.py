"""What an invocation may leave behind: nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import trio


def living_tasks() -> int:
    """Return how many tasks there are in this Trio run."""
    return trio.lowlevel.current_statistics().tasks_living


@contextmanager
def nothing_left() -> Iterator[None]:
    """Fail if the body leaves a task or a busy worker thread behind.

    Idle worker threads stay with Trio for a while, for the next caller; they hold nothing.
    """
    tasks = living_tasks()
    yield
    assert living_tasks() == tasks, "tasks are left"
    limiter = trio.to_thread.current_default_thread_limiter()
    assert limiter.borrowed_tokens == 0, "threads are at work"
    assert threading.current_thread() is threading.main_thread()
