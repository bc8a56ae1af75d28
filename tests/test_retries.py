from __future__ import annotations

import dataclasses
import random
import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_trio import retries
from durable_trio.duration import Duration
from durable_trio.exceptions import ValidationError
from durable_trio.retries import (
    Backoff,
    Jitter,
    RetryPresets,
    RetryStrategy,
    delay_seconds,
    exponential_backoff,
    fixed_delay,
    linear_backoff,
    no_retry,
)

# For arguments that no type checker would let through.
untyped: Any = retries

ERROR = ValueError("boom: connection reset")


class Draw(random.Random):
    """A source of randomness that always draws the same fraction."""

    def __init__(self, fraction: float) -> None:
        super().__init__()
        self.fraction = fraction

    def uniform(self, a: float, b: float) -> float:
        """Return the point at the fraction between *a* and *b*."""
        return a + (b - a) * self.fraction


def delays(strategy: RetryStrategy, count: int = 20) -> list[float]:
    """Return the delays in seconds after attempt 1, 2, ... until the strategy gives up."""
    found = []
    for attempt in range(1, count + 1):
        delay = strategy(ERROR, attempt)
        if delay is None:
            break
        assert isinstance(delay, Duration)
        found.append(delay.to_seconds())
    return found


def drawing(strategy: Backoff, fraction: float) -> Backoff:
    """Return *strategy* with its jitter decided."""
    return dataclasses.replace(strategy, rng=Draw(fraction))


# --- presets ---------------------------------------------------------------------------------------------

PRESETS = [
    (RetryPresets.default(), [1, 1, 1, 1, 1], [5, 10, 20, 40, 60]),
    (RetryPresets.none(), [], []),
    (RetryPresets.transient(), [3, 5], [5, 10]),
    (RetryPresets.resource_availability(), [1, 1, 1, 1], [5, 10, 20, 40]),
    (RetryPresets.critical(), [1, 2, 3, 4, 6, 8, 12, 18, 26], [1, 2, 3, 4, 6, 8, 12, 18, 26]),
    (RetryPresets.linear(), [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
    (RetryPresets.fixed(), [5, 5, 5, 5], [5, 5, 5, 5]),
    (exponential_backoff(), [1, 1], [5, 10]),
]


@pytest.mark.parametrize(("strategy", "shortest", "longest"), PRESETS, ids=lambda value: None)
def test_presets_have_the_numbers_of_aws(strategy: Backoff, shortest: list[int], longest: list[int]) -> None:
    """Every preset gives its documented delays at both ends of its jitter, then stops."""
    assert delays(drawing(strategy, 0)) == shortest
    assert delays(drawing(strategy, 1)) == longest


def test_delays_are_capped_before_they_are_jittered() -> None:
    """The cap bounds the delay that is spread, so late delays are spread as widely as the cap."""
    strategy = exponential_backoff(100, Duration.seconds(1), Duration.seconds(8), jitter=Jitter.HALF)

    assert delays(drawing(strategy, 0), 8) == [1, 1, 2, 4, 4, 4, 4, 4]
    assert delays(drawing(strategy, 1), 8) == [1, 2, 4, 8, 8, 8, 8, 8]


def test_growth_without_bounds_is_the_cap() -> None:
    """An attempt number whose power no float can hold is a delay like any other above the cap."""
    strategy = exponential_backoff(10**9, jitter=Jitter.NONE)

    assert strategy(ERROR, 10**8) == Duration.minutes(5)


def test_a_first_delay_above_five_minutes_raises_the_default_cap() -> None:
    """Who asks for an hour gets an hour, unless a cap is given."""
    hour = timedelta(hours=1)

    assert delays(exponential_backoff(3, hour, jitter=Jitter.NONE)) == [3600, 3600]
    assert delays(exponential_backoff(3, hour, Duration.minutes(1), jitter=Jitter.NONE)) == [60, 60]


@given(
    strategy=st.builds(
        exponential_backoff,
        max_attempts=st.integers(1, 50),
        initial_delay=st.floats(0, 10_000).map(Duration.seconds),
        max_delay=st.floats(0, 10_000).map(Duration.seconds),
        multiplier=st.floats(1, 1e6),
        jitter=st.sampled_from(Jitter),
    )
    | st.builds(
        linear_backoff,
        max_attempts=st.integers(1, 50),
        initial_delay=st.floats(0, 10_000).map(Duration.seconds),
        increment=st.floats(0, 10_000).map(Duration.seconds),
        max_delay=st.floats(0, 10_000).map(Duration.seconds),
        jitter=st.sampled_from(Jitter),
    ),
    attempt=st.integers(1, 10**6),
)
def test_delays_are_whole_seconds_within_the_cap(strategy: Backoff, attempt: int) -> None:
    """Whatever the arguments: whole seconds, at least 1, at most the cap rounded up, and None from the budget on."""
    delay = strategy(ERROR, attempt)

    assert (delay is None) == (attempt >= strategy.max_attempts)
    if delay is not None:
        seconds = delay.to_seconds()
        assert seconds == int(seconds)
        assert 1 <= seconds <= max(1, strategy.max_delay.to_seconds() + 1)


def test_jitter_is_random() -> None:
    """Without a given source, the same failure does not always get the same delay."""
    strategy = exponential_backoff(initial_delay=Duration.minutes(5))

    assert len({strategy(ERROR, 1) for _ in range(100)}) > 5


# --- conditions ------------------------------------------------------------------------------------------


class QuotaError(ValueError):
    """A user's error."""


@pytest.mark.parametrize(
    ("conditions", "is_retried"),
    [
        ({}, True),
        ({"retry_on": ValueError}, True),
        ({"retry_on": (KeyError, ValueError)}, True),
        ({"retry_on": [KeyError]}, False),
        ({"retry_if": lambda error: "reset" in str(error)}, True),
        ({"retry_if": lambda error: False}, False),
        ({"retryable_errors": "connection"}, True),
        ({"retryable_errors": ["timeout", re.compile(r"re.et$")]}, True),
        ({"retryable_errors": ["timeout", re.compile(r"^connection")]}, False),
        ({"retry_on": KeyError, "retryable_errors": ["boom"]}, True),
        ({"retry_on": KeyError, "retry_if": lambda error: False, "retryable_errors": ["no"]}, False),
    ],
)
@pytest.mark.parametrize("factory", [exponential_backoff, linear_backoff, fixed_delay])
def test_an_error_is_retried_if_any_condition_matches(
    factory: Any, conditions: dict[str, Any], is_retried: bool
) -> None:
    """Conditions are alternatives; with none of them every error is retried."""
    assert (factory(max_attempts=2, **conditions)(ERROR, 1) is not None) is is_retried


def test_a_subclass_matches_its_base() -> None:
    """``retry_on`` follows ``isinstance``, as ``except`` does."""
    assert fixed_delay(retry_on=ValueError)(QuotaError(), 1) is not None
    assert fixed_delay(retry_on=QuotaError)(ValueError(), 1) is None


# --- values ----------------------------------------------------------------------------------------------


def test_strategies_are_values() -> None:
    """Strategies compare, hash and print by their arguments, and cannot be changed."""
    strategy = exponential_backoff(5, retry_on=OSError, jitter=Jitter.HALF)

    assert strategy == exponential_backoff(5, retry_on=(OSError,), jitter=Jitter.HALF)
    assert len({strategy, exponential_backoff(5, retry_on=[OSError], jitter=Jitter.HALF)}) == 1
    assert repr(strategy) == (
        "Backoff(max_attempts=5, initial_delay=Duration.seconds(5), max_delay=Duration.minutes(5), "
        "multiplier=2, jitter=Jitter.HALF, retry_on=(<class 'OSError'>,))"
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        strategy.max_attempts = 6  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize(
    ("make", "error_type", "message"),
    [
        (lambda: untyped.exponential_backoff(0), ValidationError, "max_attempts must be .*at least 1, not 0"),
        (lambda: untyped.exponential_backoff(2.0), ValidationError, "max_attempts must be .* not 2.0"),
        (lambda: untyped.linear_backoff(True), ValidationError, "max_attempts must be .* not True"),
        (
            lambda: untyped.exponential_backoff(initial_delay=5),
            TypeError,
            "initial_delay must be a Duration or a timedelta",
        ),
        (
            lambda: untyped.linear_backoff(increment=1.5),
            TypeError,
            "increment must be a Duration or a timedelta",
        ),
        (lambda: untyped.fixed_delay(5), TypeError, r"delay must be .* Duration.seconds\(...\)"),
        (
            lambda: untyped.exponential_backoff(max_delay=60),
            TypeError,
            "max_delay must be a Duration or a timedelta",
        ),
        (
            lambda: untyped.fixed_delay(timedelta(seconds=-1)),
            ValidationError,
            "delay must be between 0 and 31,622,400 seconds, not datetime.timedelta",
        ),
        (lambda: untyped.fixed_delay(Duration.years(2)), ValidationError, r"not Duration.days\(730\)"),
        (
            lambda: untyped.exponential_backoff(multiplier=0.5),
            ValidationError,
            "multiplier must be .*at least 1, not 0.5",
        ),
        (
            lambda: untyped.exponential_backoff(multiplier=float("nan")),
            ValidationError,
            "multiplier must be finite",
        ),
        (lambda: untyped.exponential_backoff(multiplier="2"), ValidationError, "multiplier must be a number"),
        (
            lambda: untyped.exponential_backoff(jitter="SOME"),
            ValidationError,
            "jitter must be one of NONE, FULL, HALF",
        ),
        (
            lambda: untyped.fixed_delay(retry_on=ERROR),
            ValidationError,
            "retry_on must hold subclasses of Exception",
        ),
        (
            lambda: untyped.fixed_delay(retry_on=[KeyboardInterrupt]),
            ValidationError,
            "retry_on .*KeyboardInterrupt",
        ),
        (lambda: untyped.fixed_delay(retry_if=True), ValidationError, "retry_if must be a plain function"),
        (lambda: untyped.fixed_delay(retryable_errors=[""]), ValidationError, "retryable_errors .* not ''"),
        (
            lambda: untyped.fixed_delay(retryable_errors=[re.compile(b"x")]),
            ValidationError,
            "retryable_errors",
        ),
        (lambda: untyped.fixed_delay(retryable_errors=3), ValidationError, "retryable_errors .* not 3"),
    ],
)
def test_wrong_arguments_are_named(make: Any, error_type: type[Exception], message: str) -> None:
    """A wrong argument is refused when the strategy is made, with its name, value and range."""
    with pytest.raises(error_type, match=message):
        make()


def test_an_async_condition_is_refused() -> None:
    """A coroutine is always true: as a condition it would retry everything."""

    async def condition(error: Exception) -> bool:
        return False

    with pytest.raises(ValidationError, match="retry_if must be a plain function"):
        untyped.fixed_delay(retry_if=condition)


# --- delay_seconds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        (Duration.seconds(0), 1),
        (timedelta(milliseconds=1), 1),
        (Duration.seconds(1), 1),
        (Duration.seconds(1.001), 2),
        (timedelta(days=366), 31_622_400),
    ],
)
def test_delays_are_rounded_up(duration: Duration | timedelta, seconds: int) -> None:
    """The service counts whole seconds from 1; nothing is started too early."""
    assert delay_seconds(duration) == seconds


@pytest.mark.parametrize("value", [5, 5.0, "5", None, True])
def test_only_durations_are_delays(value: Any) -> None:
    """A bare number is a TypeError that names both ways to write a duration."""
    with pytest.raises(TypeError, match="Duration or a timedelta"):
        delay_seconds(value)


@pytest.mark.parametrize("value", [timedelta(seconds=31_622_401), timedelta(microseconds=-1)])
def test_delays_out_of_range_are_refused(value: timedelta) -> None:
    """More than the service takes, or less than nothing, is a ValidationError that names the range."""
    with pytest.raises(ValidationError, match="between 0 and 31,622,400 seconds"):
        delay_seconds(value)


def test_no_retry_never_retries() -> None:
    """The first failure is the last."""
    assert no_retry()(ERROR, 1) is None
