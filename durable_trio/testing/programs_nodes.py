"""The nodes that random programs are made of: frozen values, which say what they come to.

Each is one way of using durable operations. Leaves have no parts; what has parts has them in sequences, which are done
one after another unless it says otherwise. How a node's outcome is kept from depending on timing is part of its
definition: see ``programs``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Step:
    """Takes its time, fails on its first attempts, and gives one."""

    seconds: float = 0.0
    failures: int = 0
    at_most_once: bool = False


@dataclass(frozen=True, slots=True)
class FailingStep:
    """Fails after a while, for good."""

    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Wait:
    """Waits, and gives nothing."""

    seconds: int = 1


@dataclass(frozen=True, slots=True)
class Callback:
    """Makes a callback and waits for its answer: two, or a failure. With *submits*, a submitter is in between."""

    fails: bool = False
    submits: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """Polls until the state is *polls*, and gives that."""

    polls: int = 1


@dataclass(frozen=True, slots=True)
class Invoke:
    """Has another function double a number, or fail."""

    number: int = 1
    fails: bool = False


@dataclass(frozen=True, slots=True)
class Child:
    """Does things one after another in a context of its own, and adds up."""

    body: Sequence[Program]
    virtual: bool = False


@dataclass(frozen=True, slots=True)
class All:
    """Does things at once and adds up; gives ten if one of them fails."""

    arms: Sequence[Program]


@dataclass(frozen=True, slots=True)
class Batch:
    """Does lists of things at once, as a map or as a parallel.

    *rule*: ``all`` adds up, and counts a hundred for each list that fails; ``fail_fast`` gives fifty if one fails;
    ``first`` gives seven if one succeeds, else eight; ``two`` gives the same for two (or all, if there are fewer); ``tolerant`` bears one failure
    as ``all`` does, and gives sixty for more. With *restarts*, a list that fails is done a second time.
    """

    items: Sequence[Sequence[Program]]
    limit: int | None = None
    flat: bool = False
    rule: str = "all"
    parallel: bool = False
    restarts: bool = False


@dataclass(frozen=True, slots=True)
class Either:
    """Does one thing, and by whether that gave an odd number, one list of things or the other."""

    first: Program
    odd: Sequence[Program]
    even: Sequence[Program]


@dataclass(frozen=True, slots=True)
class Loop:
    """Does a list of things *times* over, and adds up."""

    times: int
    body: Sequence[Program]


@dataclass(frozen=True, slots=True)
class Catch:
    """Does a list of things, and gives five if one of them fails."""

    body: Sequence[Program]


@dataclass(frozen=True, slots=True)
class Race:
    """Does a list of things, against a wait that is never over in time."""

    body: Sequence[Program]


@dataclass(frozen=True, slots=True)
class FirstOf:
    """Gives three if one of several things done at once succeeds, and four if none does."""

    arms: Sequence[Program]


@dataclass(frozen=True, slots=True)
class Settled:
    """Does things at once and adds up; counts a thousand for each one that fails."""

    arms: Sequence[Program]


@dataclass(frozen=True, slots=True)
class Retry:
    """Does a list of things, and all of it once more if it fails."""

    body: Sequence[Program]


@dataclass(frozen=True, slots=True)
class Nursery:
    """Does lists of things at once in a durable nursery and adds up; gives twenty if one fails."""

    children: Sequence[Sequence[Program]]


@dataclass(frozen=True, slots=True)
class Deadline:
    """Does a list of things in time. With *passes* it then waits until the deadline cuts it, and gives nine."""

    body: Sequence[Program]
    passes: bool = False


@dataclass(frozen=True, slots=True)
class Saga:
    """Does a step that can be undone, and a list of things: one more than those, or thirty if they fail."""

    body: Sequence[Program]


@dataclass(frozen=True, slots=True)
class Shielded:
    """Does a list of things in a shield, and adds up."""

    body: Sequence[Program]


Program: TypeAlias = (
    Step
    | FailingStep
    | Wait
    | Callback
    | Condition
    | Invoke
    | Child
    | All
    | Batch
    | Either
    | Loop
    | Catch
    | Race
    | FirstOf
    | Settled
    | Retry
    | Nursery
    | Deadline
    | Saga
    | Shielded
)

MAX_DAYS: Final = 100
"""How many days a program may take: an execution has 366, and what never ends has to take longer."""

RULES: Final = ("all", "fail_fast", "first", "two", "tolerant")


def parts_of(program: Program) -> Iterator[Program]:
    """Give the programs that *program* is directly made of."""
    for field in fields(program):
        yield from _programs_in(getattr(program, field.name))


def size_of(program: Program) -> int:
    """Return how many nodes *program* has, itself included."""
    return 1 + sum(map(size_of, parts_of(program)))


def days_of(program: Program) -> int:
    """Return how many days *program* may take at most, beside what takes hours: its deadlines wait until they pass."""
    inside = sum(map(days_of, parts_of(program)))
    match program:
        case Loop(times):
            return inside * times
        case Retry() | Batch(restarts=True):
            return inside * 2
        case Deadline(passes=True):
            return inside + 2
        case _:
            return inside


def _programs_in(value: Any) -> Iterator[Program]:
    if isinstance(value, Program):
        yield value
    elif isinstance(value, (list, tuple)):
        for member in value:
            yield from _programs_in(member)
