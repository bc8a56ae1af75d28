"""What may go wrong between an invocation and the service, drawn by chance or given as a list.

``Faults`` says how likely each kind is. For one seed that makes a list of ``Fault``, and the list alone makes the same
run again: so a run that fails can be shrunk by leaving faults out. Checkpoint calls, page reads, invocations and
callbacks are counted over the whole execution, from 1; a fault names its kind, and which of them it befalls.

None of them may make a difference to a workflow. What an SDK has to do about each is in its description.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING, Any, Final

from durable_trio.exceptions import ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Fault", "FaultKind", "Faults"]


class FaultKind(StrEnum):
    """What goes wrong."""

    LOST_ANSWER = "lost_answer"
    """A checkpoint is stored, and its answer is lost; the client asks again with the same tokens."""
    LOST_FOR_GOOD = "lost_for_good"
    """A checkpoint is stored, and no answer ever comes: the invocation has to raise."""
    DELAY = "delay"
    """A checkpoint takes long."""
    DUPLICATE = "duplicate"
    """The network delivers a checkpoint twice; the second answer is the one that arrives."""
    LATE_DUPLICATE = "late_duplicate"
    """The network delivers a checkpoint again when the next one has been stored."""
    THROTTLING = "throttling"
    """A checkpoint is refused, for longer than retries last: the invocation has to raise."""
    SERVER_ERROR = "server_error"
    """A checkpoint fails before it is stored, for longer than retries last: the invocation has to raise."""
    STALE_TOKEN = "stale_token"  # noqa: S105  # no password
    """A checkpoint is made with a token that is spent: the invocation has to raise."""
    WITHHELD_TOKEN = "withheld_token"  # noqa: S105  # no password
    """The execution is paused for a while: a checkpoint is stored and answered without a new token, and the invocation
    has to end PENDING."""
    FAILED_READ = "failed_read"
    """A page of the state cannot be read: the invocation has to raise."""
    CRASH = "crash"
    """The process is killed, some time into the invocation."""
    SHORT_TIME = "short_time"
    """An invocation has little time: the runtime has to bring it to rest before."""
    LATE_CALLBACK = "late_callback"
    """A callback is answered later than planned."""
    DUPLICATE_CALLBACK = "duplicate_callback"
    """A callback is answered a second time, with something else: only the first answer counts."""
    SMALL_PAGES = "small_pages"
    """State comes in pages of one operation, in the whole run."""

    @property
    def befalls(self) -> str:
        """What it happens to: ``call``, ``read``, ``invocation``, ``callback`` or ``run``."""
        return _BEFALLS.get(self, "call")


_BEFALLS: Final = {
    FaultKind.FAILED_READ: "read",
    FaultKind.CRASH: "invocation",
    FaultKind.SHORT_TIME: "invocation",
    FaultKind.LATE_CALLBACK: "callback",
    FaultKind.DUPLICATE_CALLBACK: "callback",
    FaultKind.SMALL_PAGES: "run",
}


@dataclass(frozen=True, slots=True, order=True, init=False)
class Fault:
    """One thing that goes wrong: ``Fault("lost_answer", 3)``.

    Attributes:
        kind: a ``FaultKind``, or its text.
        number: which call, read, invocation or callback it befalls, from 1.
        seconds: how long it takes, for the kinds that take time: how late a call or a callback is, how far into the
            invocation it crashes, how much time it has, how long the execution is paused.

    Raises:
        ValidationError: there is no such kind, or a number is out of range.
    """

    kind: FaultKind
    number: int
    seconds: float

    def __init__(self, kind: FaultKind | str, number: int = 1, seconds: float = 0.0) -> None:
        if kind not in list(FaultKind):
            raise ValidationError(f"kind must be one of {', '.join(FaultKind)}, not {kind!r}")
        if number < 1:
            raise ValidationError(f"number must be at least 1, not {number}")
        if not seconds >= 0:
            raise ValidationError(f"seconds must not be negative, not {seconds}")
        object.__setattr__(self, "kind", FaultKind(kind))
        object.__setattr__(self, "number", number)
        object.__setattr__(self, "seconds", seconds)

    def __repr__(self) -> str:
        seconds = f", {self.seconds:g}" if self.seconds else ""
        return f"Fault({self.kind.value!r}, {self.number}{seconds})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How likely each kind of fault is, from 0 to 1, at each thing that it can befall; see ``FaultKind``.

    Raises:
        ValidationError: a likelihood is not 0 to 1, or *max_faults* is negative.
    """

    lost_answer: float = 0.03
    lost_for_good: float = 0.03
    delay: float = 0.1
    duplicate: float = 0.05
    late_duplicate: float = 0.05
    throttling: float = 0.02
    server_error: float = 0.03
    stale_token: float = 0.02
    withheld_token: float = 0.02
    failed_read: float = 0.02
    crash: float = 0.05
    short_time: float = 0.0
    """By default nothing: it uses up attempts of steps that take long, which may well make a difference."""
    late_callback: float = 0.2
    duplicate_callback: float = 0.2
    small_pages: float = 0.3
    max_faults: int = 30
    """How many there may be in a run, so that every run gets done; delays and the like do not count."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "max_faults":
                if value < 0:
                    raise ValidationError(f"max_faults must not be negative, not {value}")
            elif not 0 <= value <= 1:
                raise ValidationError(f"{field.name} must be from 0 to 1, not {value}")

    @classmethod
    def none(cls) -> Faults:
        """Return no faults at all: only the order of tasks varies with the seed."""
        return cls.only()

    @classmethod
    def only(cls, **likely: float) -> Faults:
        """Return no faults but those given: ``Faults.only(crash=0.2)``.

        Raises:
            ValidationError: there is no such kind, or a likelihood is not 0 to 1.
        """
        if unknown := set(likely) - set(FaultKind):
            raise ValidationError(f"kinds must be of {', '.join(FaultKind)}, not {sorted(unknown)}")
        values: dict[str, Any] = {kind.value: likely.get(kind.value, 0.0) for kind in FaultKind}
        return cls(**values)


_SECONDS: Final[dict[FaultKind, tuple[float, ...]]] = {
    FaultKind.DELAY: (0.001, 0.04, 0.3, 2.0, 61.0),
    FaultKind.CRASH: (0.0, 0.001, 0.01, 0.1, 1.0, 10.0),
    FaultKind.SHORT_TIME: (1.0, 3.0, 10.0, 60.0),
    FaultKind.WITHHELD_TOKEN: (0.001, 1.0, 3600.0),
    FaultKind.LATE_CALLBACK: (0.001, 1.0, 60.0, 3600.0),
    FaultKind.DUPLICATE_CALLBACK: (0.0, 0.001, 1.0, 60.0),
}

_HARMLESS: Final = frozenset(
    {
        FaultKind.DELAY,
        FaultKind.LOST_ANSWER,
        FaultKind.DUPLICATE,
        FaultKind.LATE_DUPLICATE,
        FaultKind.LATE_CALLBACK,
        FaultKind.DUPLICATE_CALLBACK,
        FaultKind.SMALL_PAGES,
    }
)
"""Kinds that end no invocation; there may be any number of them."""


class FaultSource:
    """Says which faults befall the *number*-th thing of a sort, and remembers what it has said."""

    def __init__(self) -> None:
        self.drawn: list[Fault] = []

    def befalling(self, sort: str, number: int) -> list[Fault]:
        """Return the faults of a call, a read, an invocation, a callback or the run."""
        found = list(self._find(sort, number))
        self.drawn += found
        return found

    def _find(self, sort: str, number: int) -> Iterator[Fault]:
        raise NotImplementedError


class DrawnFaults(FaultSource):
    """Faults by chance, a function of *seed*: what befalls a thing depends on its number alone."""

    def __init__(self, faults: Faults, seed: int) -> None:
        super().__init__()
        self._faults = faults
        self._seed = seed
        self._left = faults.max_faults

    def _find(self, sort: str, number: int) -> Iterator[Fault]:
        chance = Random(f"{self._seed} {sort} {number}")  # noqa: S311  # repeatable on purpose
        for kind in FaultKind:
            if kind.befalls == sort and chance.random() < getattr(self._faults, kind.value):
                if kind not in _HARMLESS:
                    if not self._left:
                        continue
                    self._left -= 1
                yield Fault(kind, number, chance.choice(_SECONDS.get(kind, (0.0,))))


class GivenFaults(FaultSource):
    """The faults of a list."""

    def __init__(self, faults: Any) -> None:
        super().__init__()
        self._faults = sorted(set(faults))

    def _find(self, sort: str, number: int) -> Iterator[Fault]:
        return (fault for fault in self._faults if fault.kind.befalls == sort and fault.number == number)
