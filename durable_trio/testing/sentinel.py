"""The determinism sentinel: watches a program for what would make it go another way on replay.

A handler runs again from the top in every invocation. What it asks of the clock, of chance or of the system in
its own body is another value each time; if a decision hangs on it, the operations differ. In a step that is fine,
because what a step returns is recorded. So the sentinel looks for such calls

- made by a line of the user's own (a library that reads the clock for its logs is no business of a program's order;
  see ``sentinel_frames``),
- in the body of a context: in the task that owns it, not in a step's body, not in a worker thread, and not in what
  the runtime calls while the context awaits an operation (a retry strategy, a serializer: their outcome is recorded).

How it sees them, and what that costs, is in ``sentinel_hooks``.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import trio

from durable_trio._runtime.node import _current_task, current_node
from durable_trio.exceptions import ConfigurationError, ValidationError
from durable_trio.step_context import _current_step
from durable_trio.testing.sentinel_calls import NAMES, Suspect
from durable_trio.testing.sentinel_frames import (
    SourceLine,
    count_as_users,
    is_users_file,
    nearest_users_line,
)
from durable_trio.testing.sentinel_hooks import Hook, look_again

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType

    from durable_trio.testing._driver import CallNext, Invocation

__all__ = [
    "DeterminismSentinel",
    "DeterminismWarning",
    "NonDeterminismError",
    "NonDeterministicCall",
]

_BLIND: Final = (
    "the determinism sentinel needs a profiling hook of Python's, and another profiler has it: switch one off"
)


class DeterminismWarning(UserWarning):
    """A context's body made a call that gives another value on every replay."""


class NonDeterminismError(AssertionError):
    """A program would not go the same way again.

    Attributes:
        calls: the calls that were found; empty if it was found otherwise.
    """

    def __init__(self, message: str, calls: tuple[NonDeterministicCall, ...] = ()) -> None:
        self.calls = calls
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class NonDeterministicCall:
    """A call that gives another value on every replay.

    Attributes:
        name: what was called: ``"time.time"``.
        line: where.
        remedy: what to use instead.
    """

    name: str
    line: SourceLine
    remedy: str

    def __str__(self) -> str:
        return f"{self.name}() gives another value on every replay: {self.remedy}\n  at {self.line}"


class DeterminismSentinel:
    """Finds calls that give another value on every replay, in the invocations that it watches.

    Args:
        allow: names of calls that are let pass (``"time.time"``).

    Raises:
        ValidationError: *allow* has a name that is never reported.

    Attributes:
        calls: what was found: each call of each line once, in the order in which they were made.
        is_blind: an invocation was not watched, because other profilers had Python's hooks.
    """

    def __init__(self, *, allow: Iterable[str] = ()) -> None:
        self.allow = frozenset(allow)
        unknown = sorted(self.allow - NAMES)
        if unknown:
            raise ValidationError(
                f"allow must hold names of calls such as 'time.time', not {', '.join(unknown)}"
            )
        self.calls: list[NonDeterministicCall] = []
        self.is_blind = False
        self._known: set[tuple[str, SourceLine]] = set()
        self._hook = Hook(self._consider)

    def __repr__(self) -> str:
        return f"<DeterminismSentinel {len(self.calls)} calls found>"

    # --- watching -----------------------------------------------------------------------------------------

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what the calling task does in the block, and the tasks that are started from it.

        For a block around ``await handler.invoke(...)``. May be entered by many tasks at once.

        Raises:
            ConfigurationError: other profilers have Python's hooks.
            RuntimeError: not in a Trio run.
        """
        trio.lowlevel.current_task()
        if self._hook.is_taken:
            raise ConfigurationError(_BLIND)
        with self._hook.on():
            yield

    def know(self, handler: object) -> None:
        """Watch the package that *handler* is from, although it is installed where libraries are."""
        if count_as_users(handler):
            look_again()

    async def interpose(self, invocation: Invocation, call_next: CallNext) -> Any:
        """Watch an invocation: to be put among the interposers of a driver.

        Where another profiler is at work, the invocation is not watched, and ``warn`` and ``check`` will say so.
        """
        if self._hook.is_taken:
            self.is_blind = True
            return await call_next(invocation)
        with self.watching():
            return await call_next(invocation)

    def _consider(self, suspect: Suspect, caller: FrameType | None) -> None:
        if caller is None or not is_users_file(caller.f_code.co_filename) or suspect.name in self.allow:
            return
        line = nearest_users_line(caller)
        if line is None or (suspect.name, line) in self._known or not _is_in_context_body():
            return
        self._known.add((suspect.name, line))
        self.calls.append(NonDeterministicCall(suspect.name, line, suspect.remedy))

    # --- reporting ----------------------------------------------------------------------------------------

    def check(self) -> None:
        """Fail if something was found.

        Raises:
            NonDeterminismError: names every call, its line, and what to use instead.
            ConfigurationError: an invocation was not watched.
        """
        if self.is_blind:
            raise ConfigurationError(_BLIND)
        if self.calls:
            raise NonDeterminismError("\n".join(map(str, self.calls)), tuple(self.calls))

    def warn(self) -> None:
        """Issue a ``DeterminismWarning`` for each call that was found, at its own line."""
        if self.is_blind:
            warnings.warn(_BLIND, DeterminismWarning, stacklevel=2)
        for call in self.calls:
            warnings.warn_explicit(
                f"{call.name}() gives another value on every replay: {call.remedy}",
                DeterminismWarning,
                call.line.filename,
                call.line.number,
            )


def _is_in_context_body() -> bool:
    """Tell whether the body of a context runs here, and not what the runtime calls for one of its operations."""
    node = current_node.get()
    return (
        node is not None
        and _current_step.get() is None
        and node.busy_with is None
        and node.owner is not None
        and node.owner is _current_task()
    )
