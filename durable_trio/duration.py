"""``Duration``: a span of whole or fractional seconds with a unit in its name.

A bare number is never accepted as a duration: seconds and minutes are too easily confused.
"""

from __future__ import annotations

from datetime import timedelta
from functools import total_ordering
from typing import TYPE_CHECKING

from durable_trio.exceptions import ValidationError

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Duration"]

# What a timedelta can hold, so that one can always be made.
_MAX_SECONDS = timedelta.max.days * 86_400


@total_ordering
class Duration:
    """A non-negative span of time.

    Build one with ``Duration.seconds(30)``, ``Duration.hours(1)``, ...; add and subtract durations, multiply
    by a number, compare, hash. ``datetime.timedelta`` is accepted everywhere a ``Duration`` is.

    Raises:
        TypeError: the amount is not a number.
        ValidationError: the amount is negative, infinite, NaN or above 999,999,999 days.
    """

    __slots__ = ("_seconds",)

    def __init__(self, *, seconds: float = 0) -> None:
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            raise TypeError(f"a duration takes a number, not {type(seconds).__name__}: {seconds!r}")
        if not 0 <= seconds <= _MAX_SECONDS:
            raise ValidationError(
                f"a duration must be between 0 and 999,999,999 days, not {seconds!r} seconds"
            )
        self._seconds = seconds

    @classmethod
    def seconds(cls, amount: float) -> Self:
        """Return a duration of *amount* seconds."""
        return cls(seconds=amount)

    @classmethod
    def minutes(cls, amount: float) -> Self:
        """Return a duration of *amount* minutes."""
        return cls(seconds=_checked(amount) * 60)

    @classmethod
    def hours(cls, amount: float) -> Self:
        """Return a duration of *amount* hours."""
        return cls(seconds=_checked(amount) * 3_600)

    @classmethod
    def days(cls, amount: float) -> Self:
        """Return a duration of *amount* days of 24 hours."""
        return cls(seconds=_checked(amount) * 86_400)

    @classmethod
    def weeks(cls, amount: float) -> Self:
        """Return a duration of *amount* weeks of 7 days."""
        return cls.days(_checked(amount) * 7)

    @classmethod
    def months(cls, amount: float) -> Self:
        """Return a duration of *amount* months of 30 days."""
        return cls.days(_checked(amount) * 30)

    @classmethod
    def years(cls, amount: float) -> Self:
        """Return a duration of *amount* years of 365 days."""
        return cls.days(_checked(amount) * 365)

    @classmethod
    def from_timedelta(cls, delta: timedelta) -> Self:
        """Return the duration of *delta*, which must not be negative."""
        return cls(seconds=delta.total_seconds())

    def to_seconds(self) -> float:
        """Return the span in seconds."""
        return self._seconds

    def to_timedelta(self) -> timedelta:
        """Return the span as a ``datetime.timedelta``."""
        return timedelta(seconds=self._seconds)

    def __add__(self, other: Duration | timedelta) -> Duration:
        seconds = _seconds_of(other)
        return NotImplemented if seconds is None else Duration(seconds=self._seconds + seconds)

    __radd__ = __add__

    def __sub__(self, other: Duration | timedelta) -> Duration:
        seconds = _seconds_of(other)
        return NotImplemented if seconds is None else Duration(seconds=self._seconds - seconds)

    def __mul__(self, factor: float) -> Duration:
        if isinstance(factor, bool) or not isinstance(factor, (int, float)):
            return NotImplemented
        return Duration(seconds=self._seconds * factor)

    __rmul__ = __mul__

    def __bool__(self) -> bool:
        return self._seconds > 0

    def __eq__(self, other: object) -> bool:
        seconds = _seconds_of(other)
        return NotImplemented if seconds is None else self._seconds == seconds

    def __lt__(self, other: Duration | timedelta) -> bool:
        seconds = _seconds_of(other)
        return NotImplemented if seconds is None else self._seconds < seconds

    def __hash__(self) -> int:
        # Equal to a timedelta, so it must hash like one.
        return hash(self.to_timedelta())

    def __repr__(self) -> str:
        for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
            if self._seconds and self._seconds % size == 0:
                return f"Duration.{unit}({int(self._seconds // size)})"
        amount = int(self._seconds) if float(self._seconds).is_integer() else self._seconds
        return f"Duration.seconds({amount})"


def _checked(amount: float) -> float:
    return Duration(seconds=amount).to_seconds()


def _seconds_of(value: object) -> float | None:
    if isinstance(value, Duration):
        return value.to_seconds()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return None
