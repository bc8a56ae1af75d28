"""What a random program comes to, worked out without any runtime: no suspension, no time, no concurrency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from durable_trio.testing.programs_nodes import (
    All,
    Batch,
    Callback,
    Catch,
    Child,
    Condition,
    Deadline,
    Either,
    FailingStep,
    FirstOf,
    Invoke,
    Loop,
    Nursery,
    Program,
    Race,
    Retry,
    Saga,
    Settled,
    Shielded,
    Step,
    Wait,
    parts_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

ANSWER: Final = 2
"""What callbacks are answered with that do not fail."""


class Failed(Exception):  # noqa: N818  # an outcome of programs, not an error of ours
    """A program that fails has no value."""


def value_of(program: Program) -> int:
    """Return what *program* comes to.

    Raises:
        Failed: it fails.
    """
    match program:
        case Step():
            return 1
        case Wait():
            return 0
        case Condition(polls):
            return polls
        case FailingStep() | Callback(fails=True) | Invoke(fails=True):
            raise Failed
        case Callback():
            return ANSWER
        case Invoke(number):
            return 2 * number
        case Child(body) | Race(body) | Retry(body) | Shielded(body) | Deadline(body, passes=False):
            return total_of(body)
        case Deadline(body):
            total_of(body)
            return 9
        case Saga(body):
            return int(value_or(29, body)) + 1
        case FirstOf(arms):
            return 3 if any(value_or(None, [arm]) is not None for arm in arms) else 4
        case Settled(arms):
            return sum(int(value_or(1000, [arm])) for arm in arms)
        case Nursery(children):
            return int(value_or(20, [part for child in children for part in child]))
        case All(arms):
            return int(value_or(10, arms))
        case Catch(body):
            return int(value_or(5, body))
        case Loop(times, body):
            return sum([total_of(body) for _ in range(times)])
        case Either(first, odd, even):
            value = value_of(first)
            return value + total_of(odd if value % 2 else even)
        case Batch(items, rule=rule):
            values = [value_or(None, item) for item in items]
            successes = [value for value in values if value is not None]
            return batch_value(rule, len(items), successes, len(values) - len(successes))


def batch_value(rule: str, size: int, successes: Sequence[int], failures: int) -> int:
    """Return what a batch of *size* items comes to when *rule* has decided it."""
    match rule:
        case "fail_fast":
            return 50 if failures else sum(successes)
        case "first":
            return 7 if successes or not size else 8
        case "two":
            return 7 if len(successes) >= min(2, size) else 8
        case "tolerant" if failures > 1:
            return 60
        case _:
            return sum(successes) + 100 * failures


def total_of(body: Sequence[Program]) -> int:
    """Return the sum of what programs come to.

    Raises:
        Failed: one fails.
    """
    return sum([value_of(part) for part in body])


def value_or(default: Any, body: Sequence[Program]) -> Any:
    """Return the sum of what programs come to, or *default* if one fails."""
    try:
        return total_of(body)
    except Failed:
        return default


def outcome_of(program: Program) -> int:
    """Return the result of ``handler_for(program)``: its value, or -1 if it fails."""
    return int(value_or(-1, [program]))


def has_fixed_record(program: Program) -> bool:
    """Tell whether the same operations end whatever the timing: nothing in it can be decided early."""
    match program:
        case All(arms) if value_or(None, arms) is None:
            return False
        case Batch(rule=rule) if rule != "all":
            return False
        case Nursery(children) if value_or(None, [part for child in children for part in child]) is None:
            return False
        case FirstOf():
            return False
    return all(has_fixed_record(part) for part in parts_of(program))
