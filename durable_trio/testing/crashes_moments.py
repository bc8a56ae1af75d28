"""The moments at which an invocation can be killed, as values; and what else a run writes down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from durable_trio.testing.crashes_points import Crash, CrashPoint

if TYPE_CHECKING:
    from collections.abc import Container, Hashable


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment of a run.

    Attributes:
        crash: what kills the process here.
        state: what a crash here leaves behind; see ``crashes_state``.
        effects: how many effects the log had by then.
        bodies: how many starts and ends of bodies there were by then.
        subject: what is about to be done or was done, for ``about``.
    """

    crash: Crash
    state: Hashable
    effects: int
    bodies: int
    subject: Any

    def about(self) -> str:
        """Say in words what the moment is."""
        return describe(self.crash, self.subject)


class Moments:
    """The moments of a run after the last crash of its plan.

    Attributes:
        count: how many there are.
        first, last: of each state, in order of their first appearance. The first has the fewest effects behind it, the
            last one the most. Moments of a state that is *known* are only counted.
        every: all of them, if they are kept; a run may have hundreds, and an exploration hundreds of runs.
    """

    def __init__(self, *, keeps_all: bool = False, known: Container[Hashable] = ()) -> None:
        self.count = 0
        self.known = known
        self.first: dict[Hashable, Moment] = {}
        self.last: dict[Hashable, Moment] = {}
        self.every: list[Moment] = []
        self._keeps_all = keeps_all

    def add(self, moment: Moment) -> None:
        """Keep a moment."""
        self.first.setdefault(moment.state, moment)
        self.last[moment.state] = moment
        if self._keeps_all:
            self.every.append(moment)


def describe(crash: Crash, subject: Any) -> str:
    """Say in words where a crash is; *subject* is what the moment is about."""
    number = crash.number
    match crash.point:
        case CrashPoint.BEFORE_CALL:
            return f"before checkpoint call {number} ({_updates(subject)})"
        case CrashPoint.AFTER_CALL:
            return f"after checkpoint call {number} ({_updates(subject)}), before its answer"
        case CrashPoint.BEFORE_BODY:
            return f"before the body of {subject}"
        case CrashPoint.IN_BODY:
            return f"in the body of {subject}, at its Trio checkpoint {crash.trio_checkpoint}"
        case CrashPoint.AFTER_BODY:
            return f"after the body of {subject}, before its end is recorded"
        case CrashPoint.AT_ANSWER:
            return f"when the invocation had decided to answer {subject}"


def _updates(updates: Any) -> str:
    shown = [f"{u.type} {u.action} {u.name or u.id[:8]!r}" for u in updates[:4]]
    more = [f"and {len(updates) - 4} more"] if len(updates) > 4 else []
    return ", ".join([*shown, *more]) or "no updates"


@dataclass(frozen=True, slots=True)
class BodyEvent:
    """A body has started or ended (returned or raised)."""

    execution_arn: str
    operation_id: str
    name: str | None
    attempt: int
    is_at_most_once: bool
    is_end: bool
    was_over: bool
    """The operation's end had been recorded when the body started."""
