"""Where an invocation can be killed, as values that can be written into a test.

Calls, bodies and answers are counted over the whole execution, from 1, and go on being counted after a crash. So a
plan names the same moments each time, as long as the workflow and the seed of the scheduler are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from durable_trio.exceptions import ValidationError

__all__ = ["Crash", "CrashPlan", "CrashPoint"]

MAX_BODY_POINTS: Final = 16
"""After how many Trio checkpoints of one body the explorer stops making crash points of them."""


class CrashPoint(StrEnum):
    """What kind of moment it is."""

    BEFORE_CALL = "before_call"
    """A checkpoint call is about to be made; the service never hears of it."""
    AFTER_CALL = "after_call"
    """The service has stored a checkpoint; nobody hears of its answer."""
    BEFORE_BODY = "before_body"
    """The body of a step (or submitter, or check) is about to run."""
    IN_BODY = "in_body"
    """The body is blocked at one of its Trio checkpoints."""
    AFTER_BODY = "after_body"
    """The body has returned or raised; its end is not recorded."""
    AT_ANSWER = "at_answer"
    """The invocation has decided to answer (PENDING at a suspension); the answer never gets out."""


@dataclass(frozen=True, slots=True, order=True)
class Crash:
    """One moment at which the process of an invocation is killed; made by the class methods.

    Attributes:
        point: what kind of moment.
        number: which one of its kind (call, body, answer), over the whole execution, from 1.
        trio_checkpoint: for ``IN_BODY``: at which of the body's Trio checkpoints, from 1; else 0.

    Raises:
        ValidationError: a number is less than 1.
    """

    point: CrashPoint
    number: int
    trio_checkpoint: int = 0

    def __post_init__(self) -> None:
        if self.number < 1:
            raise ValidationError(f"number must be at least 1, not {self.number}")
        if (self.trio_checkpoint > 0) != (self.point is CrashPoint.IN_BODY):
            raise ValidationError(
                f"trio_checkpoint must be at least 1 in a body and 0 elsewhere, not {self.trio_checkpoint}"
            )

    def __repr__(self) -> str:
        at = f", {self.trio_checkpoint}" if self.trio_checkpoint else ""
        return f"Crash.{self.point}({self.number}{at})"

    @classmethod
    def before_call(cls, number: int) -> Crash:
        """Kill before checkpoint call *number*."""
        return cls(CrashPoint.BEFORE_CALL, number)

    @classmethod
    def after_call(cls, number: int) -> Crash:
        """Kill when checkpoint call *number* has been stored, before its answer arrives."""
        return cls(CrashPoint.AFTER_CALL, number)

    @classmethod
    def before_body(cls, number: int) -> Crash:
        """Kill before body *number* runs."""
        return cls(CrashPoint.BEFORE_BODY, number)

    @classmethod
    def in_body(cls, number: int, trio_checkpoint: int) -> Crash:
        """Kill while body *number* is blocked at its *trio_checkpoint*-th Trio checkpoint, from 1."""
        return cls(CrashPoint.IN_BODY, number, trio_checkpoint)

    @classmethod
    def after_body(cls, number: int) -> Crash:
        """Kill when body *number* has ended, before that is recorded."""
        return cls(CrashPoint.AFTER_BODY, number)

    @classmethod
    def at_answer(cls, number: int) -> Crash:
        """Kill when invocation answer *number* is decided but not delivered (PENDING, the result, the failure)."""
        return cls(CrashPoint.AT_ANSWER, number)


class CrashPlan(tuple[Crash, ...]):
    """The crashes of one run, in the order in which they happen: ``CrashPlan(Crash.after_call(3))``."""

    __slots__ = ()

    def __new__(cls, *crashes: Crash) -> CrashPlan:
        """Take the crashes one by one."""
        return super().__new__(cls, crashes)

    def __repr__(self) -> str:
        return f"CrashPlan({', '.join(map(repr, self))})"
