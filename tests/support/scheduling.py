"""Trio's scheduler, seeded.

Trio shuffles the tasks that are ready so that nobody relies on their order. With a seed the shuffle repeats,
and a test can try many orders.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio._core._run as trio_run


@contextmanager
def seeded_scheduling(seed: int) -> Iterator[None]:
    """Make Trio's order of tasks a function of *seed*."""
    before = trio_run._ALLOW_DETERMINISTIC_SCHEDULING
    state = trio_run._r.getstate()
    trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]  # the switch that hypothesis uses, too
    trio_run._r.seed(seed)
    try:
        yield
    finally:
        trio_run._ALLOW_DETERMINISTIC_SCHEDULING = before  # type: ignore[misc]
        trio_run._r.setstate(state)
