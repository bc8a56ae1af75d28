"""Retry strategies: after a failed attempt, say how long to wait for the next one, or stop.

A strategy is any callable ``(error, attempt) -> Duration | timedelta | None``: *attempt* is the number of the
attempt that failed, from 1; None means give up. It is plain and fast, and it is called once per failure: the
delay is recorded, so a replay never asks again. That is why jitter may come from real randomness.

The factories here make frozen strategies that compare and print by their arguments. Their conditions
(``retry_on``, ``retry_if``, ``retryable_errors``) are checked first: an error is retried if *any* of the
conditions given matches it, and every error is retried if none is given. Then comes the budget:
``max_attempts`` counts all attempts, the first one included.

The service counts delays in whole seconds from 1, so a strategy's answer is rounded up.
"""

from __future__ import annotations

import inspect
import math
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import field, fields
from datetime import timedelta
from enum import StrEnum
from typing import Final, TypeAlias, cast

from durable_trio._protocol import limits
from durable_trio._protocol.value_class import frozen_dataclass as dataclass
from durable_trio.duration import Duration
from durable_trio.exceptions import ValidationError

__all__ = [
    "Backoff",
    "Jitter",
    "RetryPresets",
    "RetryStrategy",
    "delay_seconds",
    "exponential_backoff",
    "fixed_delay",
    "linear_backoff",
    "no_retry",
]

RetryStrategy: TypeAlias = Callable[[Exception, int], Duration | timedelta | None]
"""``(error, attempt) -> delay or None``; *attempt* counts from 1, None stops."""

_ErrorTypes: TypeAlias = type[Exception] | Iterable[type[Exception]]
_Patterns: TypeAlias = str | re.Pattern[str] | Iterable[str | re.Pattern[str]]

_NOTHING: Final = Duration()
_FIVE_SECONDS: Final = Duration.seconds(5)
_ONE_SECOND: Final = Duration.seconds(1)
_FIVE_MINUTES: Final = Duration.minutes(5)

# The system's source needs no seed: instances restored from one snapshot would share a seeded one's state,
# and retry in step with each other.
_SYSTEM_RANDOM: Final = random.SystemRandom()


class Jitter(StrEnum):
    """How a computed delay *d* is spread, so that failures at the same time do not retry at the same time."""

    NONE = "NONE"
    """Exactly *d*."""
    FULL = "FULL"
    """Anything from 0 to *d* (but at least one second)."""
    HALF = "HALF"
    """Anything from *d*/2 to *d*."""


def delay_seconds(duration: Duration | timedelta) -> int:
    """Return *duration* as the whole seconds that the service counts: rounded up, at least 1.

    Raises:
        TypeError: it is not a duration; a bare number is not one.
        ValidationError: it is negative or above 31,622,400 seconds.
    """
    return max(limits.MIN_DELAY_SECONDS, math.ceil(_seconds("a delay", duration)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """A strategy made by a factory of this module: conditions, a budget, a curve of delays, jitter.

    Call it with ``(error, attempt)``; it answers a ``Duration`` of whole seconds, or None to give up. After
    the n-th failed attempt the delay is ``initial_delay * multiplier ** (n-1) + increment * (n-1)``, capped by
    ``max_delay``, then jittered, then rounded up to whole seconds. The factories check the arguments.
    """

    max_attempts: int
    initial_delay: Duration
    max_delay: Duration
    multiplier: float = 1
    increment: Duration = _NOTHING
    jitter: Jitter = Jitter.NONE
    retry_on: tuple[type[Exception], ...] = ()
    retry_if: Callable[[Exception], bool] | None = None
    retryable_errors: tuple[str | re.Pattern[str], ...] = ()
    rng: random.Random = field(default=_SYSTEM_RANDOM, repr=False, compare=False)

    def __call__(self, error: Exception, attempt: int) -> Duration | None:
        """Return the delay after *attempt* (from 1) failed with *error*, or None to give up."""
        if not self.is_retryable(error) or attempt >= self.max_attempts:
            return None
        seconds = min(self._uncapped_seconds(attempt - 1), self.max_delay.to_seconds())
        return Duration.seconds(delay_seconds(Duration.seconds(self._jittered(seconds))))

    def is_retryable(self, error: Exception) -> bool:
        """Tell whether the conditions allow another attempt after *error*, whatever the budget says."""
        if not (self.retry_on or self.retry_if or self.retryable_errors):
            return True
        if isinstance(error, self.retry_on) or (self.retry_if is not None and self.retry_if(error)):
            return True
        message = str(error)
        return any(
            pattern in message if isinstance(pattern, str) else pattern.search(message) is not None
            for pattern in self.retryable_errors
        )

    def _uncapped_seconds(self, retries: int) -> float:
        try:
            grown = self.initial_delay.to_seconds() * float(self.multiplier) ** retries
        except OverflowError:
            return math.inf  # far above any cap
        return grown + self.increment.to_seconds() * retries

    def _jittered(self, seconds: float) -> float:
        match self.jitter:
            case Jitter.NONE:
                return seconds
            case Jitter.FULL:
                return self.rng.uniform(0, seconds)
            case Jitter.HALF:
                return self.rng.uniform(seconds / 2, seconds)

    def __repr__(self) -> str:
        changed = [
            (f.name, getattr(self, f.name))
            for f in fields(self)
            if f.repr and getattr(self, f.name) != f.default
        ]
        return f"Backoff({', '.join(f'{name}={_shown(value)}' for name, value in changed)})"


def exponential_backoff(
    max_attempts: int = 3,
    initial_delay: Duration | timedelta = _FIVE_SECONDS,
    max_delay: Duration | timedelta | None = None,
    multiplier: float = 2,
    jitter: Jitter = Jitter.FULL,
    *,
    retry_on: _ErrorTypes = (),
    retry_if: Callable[[Exception], bool] | None = None,
    retryable_errors: _Patterns = (),
) -> Backoff:
    """Return a strategy whose delays grow by a factor: d, d*m, d*m*m, ...

    Args:
        max_attempts: attempts in all, from 1.
        initial_delay: the delay after the first failure.
        max_delay: no delay is longer. Default: 5 minutes, or *initial_delay* if that is longer.
        multiplier: the factor, at least 1.
        jitter: how delays are spread.
        retry_on: retry these exception types.
        retry_if: retry errors for which this plain function returns true.
        retryable_errors: retry errors whose text contains one of these strings, or matches one of these
            compiled patterns anywhere. Without any of the three conditions, every error is retried.

    Raises:
        TypeError: a delay is not a ``Duration`` or ``timedelta``.
        ValidationError: an argument is out of range.
    """
    first = _duration("initial_delay", initial_delay)
    if isinstance(multiplier, bool) or not isinstance(multiplier, (int, float)):
        raise ValidationError(f"multiplier must be a number, at least 1, not {multiplier!r}")
    if not (math.isfinite(multiplier) and multiplier >= 1):
        raise ValidationError(f"multiplier must be finite and at least 1, not {multiplier!r}")
    return Backoff(
        max_attempts=_attempts(max_attempts),
        initial_delay=first,
        max_delay=_max_delay(max_delay, first),
        multiplier=multiplier,
        jitter=_jitter(jitter),
        retry_on=_error_types(retry_on),
        retry_if=_predicate(retry_if),
        retryable_errors=_patterns(retryable_errors),
    )


def linear_backoff(
    max_attempts: int = 6,
    initial_delay: Duration | timedelta = _ONE_SECOND,
    increment: Duration | timedelta = _ONE_SECOND,
    max_delay: Duration | timedelta | None = None,
    jitter: Jitter = Jitter.NONE,
    *,
    retry_on: _ErrorTypes = (),
    retry_if: Callable[[Exception], bool] | None = None,
    retryable_errors: _Patterns = (),
) -> Backoff:
    """Return a strategy whose delays grow by a constant: d, d+i, d+2i, ...

    Arguments and errors are those of ``exponential_backoff``; *increment* is what is added each time.
    """
    first = _duration("initial_delay", initial_delay)
    return Backoff(
        max_attempts=_attempts(max_attempts),
        initial_delay=first,
        max_delay=_max_delay(max_delay, first),
        increment=_duration("increment", increment),
        jitter=_jitter(jitter),
        retry_on=_error_types(retry_on),
        retry_if=_predicate(retry_if),
        retryable_errors=_patterns(retryable_errors),
    )


def fixed_delay(
    delay: Duration | timedelta = _FIVE_SECONDS,
    max_attempts: int = 5,
    jitter: Jitter = Jitter.NONE,
    *,
    retry_on: _ErrorTypes = (),
    retry_if: Callable[[Exception], bool] | None = None,
    retryable_errors: _Patterns = (),
) -> Backoff:
    """Return a strategy that always waits for *delay*.

    The other arguments and the errors are those of ``exponential_backoff``.
    """
    constant = _duration("delay", delay)
    return Backoff(
        max_attempts=_attempts(max_attempts),
        initial_delay=constant,
        max_delay=constant,
        jitter=_jitter(jitter),
        retry_on=_error_types(retry_on),
        retry_if=_predicate(retry_if),
        retryable_errors=_patterns(retryable_errors),
    )


def no_retry() -> Backoff:
    """Return the strategy that never retries."""
    return Backoff(max_attempts=1, initial_delay=_ONE_SECOND, max_delay=_ONE_SECOND)


class RetryPresets:
    """Ready-made strategies, with the numbers of AWS's SDKs."""

    @staticmethod
    def default() -> Backoff:
        """6 attempts, 5 s doubling to 60 s, full jitter: what a step without ``retry=`` does."""
        return exponential_backoff(6, _FIVE_SECONDS, Duration.seconds(60), 2, Jitter.FULL)

    @staticmethod
    def none() -> Backoff:
        """1 attempt."""
        return no_retry()

    @staticmethod
    def transient() -> Backoff:
        """3 attempts, 5 s doubling to 5 minutes, half jitter: for passing failures."""
        return exponential_backoff(3, _FIVE_SECONDS, _FIVE_MINUTES, 2, Jitter.HALF)

    @staticmethod
    def resource_availability() -> Backoff:
        """5 attempts, 5 s doubling to 5 minutes, full jitter: for what needs time to come up."""
        return exponential_backoff(5, _FIVE_SECONDS, _FIVE_MINUTES, 2, Jitter.FULL)

    @staticmethod
    def critical() -> Backoff:
        """10 attempts, 1 s growing by half to 60 s, no jitter: for what must get through."""
        return exponential_backoff(10, _ONE_SECOND, Duration.seconds(60), 1.5, Jitter.NONE)

    @staticmethod
    def linear() -> Backoff:
        """6 attempts, 1 s, 2 s, 3 s, ..."""
        return linear_backoff()

    @staticmethod
    def fixed() -> Backoff:
        """5 attempts, 5 s apart."""
        return fixed_delay()


# --- arguments -------------------------------------------------------------------------------------------


def _seconds(argument: str, value: object) -> float:
    if not isinstance(value, (Duration, timedelta)):
        raise TypeError(
            f"{argument} must be a Duration or a timedelta, not {type(value).__name__}: {value!r} "
            "(for seconds, write Duration.seconds(...))"
        )
    seconds = value.to_seconds() if isinstance(value, Duration) else value.total_seconds()
    if not 0 <= seconds <= limits.MAX_DELAY_SECONDS:
        raise ValidationError(
            f"{argument} must be between 0 and {limits.MAX_DELAY_SECONDS:,} seconds, not {value!r}"
        )
    return seconds


def _duration(argument: str, value: object) -> Duration:
    return Duration.seconds(_seconds(argument, value))


def _max_delay(value: object, first: Duration) -> Duration:
    return max(_FIVE_MINUTES, first) if value is None else _duration("max_delay", value)


def _attempts(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValidationError(f"max_attempts must be a whole number, at least 1, not {value!r}")
    return value


def _jitter(value: object) -> Jitter:
    try:
        return Jitter(value)  # type: ignore[arg-type]  # whatever it is
    except ValueError:
        raise ValidationError(f"jitter must be one of {', '.join(Jitter)}, not {value!r}") from None


def _error_types(value: _ErrorTypes) -> tuple[type[Exception], ...]:
    types = tuple(value) if isinstance(value, Iterable) and not isinstance(value, type) else (value,)
    for type_ in types:
        if not (isinstance(type_, type) and issubclass(type_, Exception)):
            raise ValidationError(f"retry_on must hold subclasses of Exception, not {type_!r}")
    return cast("tuple[type[Exception], ...]", types)


def _predicate(value: Callable[[Exception], bool] | None) -> Callable[[Exception], bool] | None:
    if value is None:
        return None
    if not callable(value) or inspect.iscoroutinefunction(value):
        raise ValidationError(f"retry_if must be a plain function of the error, not {value!r}")
    return value


def _patterns(value: _Patterns) -> tuple[str | re.Pattern[str], ...]:
    # A string is a sequence of one-letter strings, which would match nearly everything.
    patterns: tuple[object, ...]
    if isinstance(value, (str, re.Pattern)) or not isinstance(value, Iterable):
        patterns = (value,)
    else:
        patterns = tuple(value)
    for pattern in patterns:
        text = pattern.pattern if isinstance(pattern, re.Pattern) else pattern
        if not isinstance(text, str) or not text:
            raise ValidationError(
                "retryable_errors must hold strings that are not empty and compiled patterns of text, "
                f"not {pattern!r}"
            )
    return cast("tuple[str | re.Pattern[str], ...]", patterns)


def _shown(value: object) -> str:
    return f"Jitter.{value.name}" if isinstance(value, Jitter) else repr(value)
