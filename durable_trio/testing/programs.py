"""Random durable programs, and what they have to come to.

A program is a small tree of operations (a *node* each). There are three readings of it:

- ``programs()`` is a Hypothesis strategy that makes one up;
- ``value_of(program)`` says what it comes to, without any runtime: no suspension, no time, no concurrency;
- ``handler_for(program)`` does it on a ``DurableContext``.

The two have to agree, whatever is suspended, in whatever order Trio wakes tasks, and whatever goes wrong on the way:
that is what ``simulate`` and ``explore_crashes`` are given these handlers for. ``FUNCTIONS`` and ``CALLBACKS`` are
the world that programs live in.

Values are whole numbers, and failing is one of them: what fails raises ``Failed`` in the one reading and an
``OperationError`` in the other. A node whose outcome would depend on timing is made such that it does not: a batch
that is decided early comes to a number that says *that* it was, not by whom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio

from durable_trio.testing.programs_nodes import Program
from durable_trio.testing.programs_oracle import ANSWER, Failed, has_fixed_record, outcome_of, value_of
from durable_trio.testing.simulation_world import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CALLBACKS",
    "FUNCTIONS",
    "Failed",
    "Program",
    "handler_for",
    "has_fixed_record",
    "outcome_of",
    "programs",
    "value_of",
]

CALLBACKS: Final[Mapping[str, Answer]] = {
    "good": Answer.succeed(str(ANSWER)),
    "bad": Answer.fail("not approved"),
}
"""How the callbacks of programs are answered: for ``callbacks=``."""


async def _double(number: int) -> int:
    await trio.lowlevel.checkpoint()
    if number < 0:
        raise ValueError("cannot double that")
    return 2 * number


FUNCTIONS: Final[Mapping[str, Any]] = {"double": _double}
"""What programs invoke: for ``functions=``."""


def programs(*, max_leaves: int = 10) -> Any:
    """Return a Hypothesis strategy for programs of at most *max_leaves* operations without parts.

    Raises:
        ImportError: Hypothesis is not installed.
    """
    from durable_trio.testing.programs_strategy import strategy  # hypothesis is for development

    return strategy(max_leaves)


def handler_for(program: Program, **options: Any) -> Any:
    """Return a durable handler that does *program* and returns its value, or -1 if it fails.

    *options* are those of ``durable_execution``.
    """
    from durable_trio.testing.programs_running import handler

    return handler(program, options)
