"""Cancellation around durable operations: the runtime's own, and plain Trio's.

The runtime cancels the user's code all the time: to suspend, because a batch is decided, because something
failed. That is part of the record, or replays. A deadline or a cancel of the user's own (``trio.move_on_after``,
``anyio.fail_after``, ``scope.cancel()``) that reaches a durable operation is neither: it would be decided afresh,
by another clock, on every replay. So it is refused with an error that ends the execution.

*How they are told apart.* Trio's ``Cancelled`` says where it comes from. The runtime gives its cancellations a
reason of a type of its own. The handler's scope is shielded from whatever is around the invocation (a host's
time limit, a test's), which is passed on as a cancellation of the runtime's. What is left is the user's. If it
comes from a plain nursery, one of its tasks has failed: that task's error is the news, and it passes through.

*Deadlines that never come.* An operation that parks may suspend the invocation before a plain deadline is over,
and the replay would arm it anew, for ever. So parking inside of one is refused at once. Nothing of the runtime's
own, between the handler and a parked operation, has a Trio deadline.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio

from durable_trio.exceptions import ContextUseError

if TYPE_CHECKING:
    from collections.abc import Iterator


class RuntimeReason(str):
    """Why the runtime cancels; marks the cancellation as its own."""

    __slots__ = ()


def is_plain(cancellation: BaseException) -> bool:
    """Tell whether *cancellation* (a ``Cancelled``, or a group with some) is a deadline or cancel of the user's."""
    return any(
        leaf.source in ("deadline", "explicit") and not isinstance(leaf.reason, RuntimeReason)
        for leaf in _cancelled(cancellation)
    )


def is_cancellation(error: BaseException) -> bool:
    """Tell whether *error* is a ``Cancelled``, or a group with some."""
    return any(True for _ in _cancelled(error))


def _cancelled(error: BaseException) -> Iterator[trio.Cancelled]:
    if isinstance(error, trio.Cancelled):
        yield error
    elif isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _cancelled(inner)


def plain_cancellation_error(title: str) -> ContextUseError:
    """Return the error for a durable operation that plain Trio has cancelled."""
    return ContextUseError(
        f"{title} was cancelled by a plain Trio or anyio scope, outside of any step. That would be decided afresh"
        f" on every replay. {_REMEDY}",
        ends_execution=True,
    )


def has_plain_deadline() -> bool:
    """Tell whether a plain deadline is in effect here; one that is over is on its way as a ``Cancelled``."""
    return -math.inf < trio.current_effective_deadline() < math.inf


def plain_deadline_error(title: str) -> ContextUseError:
    """Return the error for a durable operation that would have to wait inside a plain deadline."""
    return ContextUseError(
        f"{title} would wait at the service inside a plain Trio or anyio deadline, which would start over on every"
        f" replay. {_REMEDY}",
        ends_execution=True,
    )


_REMEDY = (
    "Use time limits that are recorded: ctx.move_on_after(...) or ctx.fail_after(...) around durable code, or"
    " timeout= of ctx.step, ctx.create_callback or ctx.wait_for_callback. Plain scopes belong inside the body of a"
    " step."
)
