from __future__ import annotations

import operator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_trio.duration import Duration

if TYPE_CHECKING:
    from collections.abc import Callable

CENTURY = 100 * 365 * 86_400
amounts = st.integers(0, CENTURY) | st.floats(0, CENTURY)
durations = amounts.map(Duration.seconds)
deltas = st.timedeltas(timedelta(0), timedelta(seconds=CENTURY))


@pytest.mark.parametrize(
    ("unit", "seconds"),
    [
        (Duration.seconds, 1),
        (Duration.minutes, 60),
        (Duration.hours, 3_600),
        (Duration.days, 86_400),
        (Duration.weeks, 604_800),
        (Duration.months, 2_592_000),
        (Duration.years, 31_536_000),
    ],
)
def test_units(unit: Callable[[float], Duration], seconds: int) -> None:
    """Every unit has its fixed number of seconds, whole or not; a month is 30 days, a year 365."""
    assert unit(1).to_seconds() == seconds
    assert unit(2.5).to_seconds() == seconds * 2.5
    assert unit(0) == Duration()


def test_timedeltas() -> None:
    """Durations and timedeltas are made from each other."""
    assert Duration.from_timedelta(timedelta(hours=1.5)) == Duration.minutes(90)
    assert Duration.minutes(90).to_timedelta() == timedelta(hours=1.5)


@given(deltas)
def test_timedeltas_come_back(delta: timedelta) -> None:
    """A timedelta of less than a century survives the way there and back to the microsecond."""
    assert Duration.from_timedelta(delta).to_timedelta() == delta


# --- comparison ------------------------------------------------------------------------------------------


@given(durations, durations)
def test_durations_are_ordered_by_length(one: Duration, other: Duration) -> None:
    """All six comparisons agree with the seconds."""
    for compare in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne):
        assert compare(one, other) is compare(one.to_seconds(), other.to_seconds())


@given(durations, deltas)
def test_durations_compare_with_timedeltas(duration: Duration, delta: timedelta) -> None:
    """A timedelta on either side is compared by its length."""
    seconds = delta.total_seconds()
    assert (duration < delta) is (duration.to_seconds() < seconds)
    assert (delta < duration) is (seconds < duration.to_seconds())
    assert (duration == delta) is (delta == duration) is (duration.to_seconds() == seconds)


@given(durations)
def test_equal_durations_hash_alike(duration: Duration) -> None:
    """Equal means interchangeable as a key, timedeltas included."""
    assert hash(duration) == hash(Duration.seconds(duration.to_seconds()))
    delta = duration.to_timedelta()
    if delta == duration:
        assert hash(delta) == hash(duration)


@pytest.mark.parametrize("other", [60, 60.0, "60", None])
def test_a_number_is_never_a_duration(other: Any) -> None:
    """A bare number equals no duration, and cannot be compared, added or subtracted."""
    minute: Any = Duration.minutes(1)
    assert minute != other
    for operation in (operator.lt, operator.add, operator.sub):
        with pytest.raises(TypeError):
            operation(minute, other)


def test_only_the_empty_duration_is_false() -> None:
    """A duration is true if it lasts at all."""
    assert not Duration()
    assert Duration.seconds(0.001)


# --- arithmetic ------------------------------------------------------------------------------------------


def test_arithmetic() -> None:
    """Durations add, subtract and multiply; timedeltas take part."""
    assert Duration.hours(1) + Duration.minutes(30) == Duration.minutes(90)
    assert Duration.hours(1) + timedelta(minutes=30) == Duration.minutes(90)
    assert timedelta(minutes=30) + Duration.hours(1) == Duration.minutes(90)
    assert Duration.hours(1) - timedelta(minutes=30) == Duration.minutes(30)
    assert Duration.minutes(1) * 2.5 == 2.5 * Duration.minutes(1) == Duration.seconds(150)
    assert type(timedelta(0) + Duration.seconds(1)) is Duration


@given(st.integers(0, CENTURY), st.integers(0, CENTURY))
def test_addition_and_subtraction_undo_each_other(one: int, other: int) -> None:
    """(a + b) - b is a."""
    a, b = Duration.seconds(one), Duration.seconds(other)
    assert a + b == b + a
    assert (a + b) - b == a


@pytest.mark.parametrize(
    "make",
    [
        lambda: Duration.seconds(1) - Duration.seconds(2),
        lambda: Duration.seconds(1) * -1,
        lambda: Duration.seconds(1) * float("nan"),
        lambda: Duration.days(999_999_999) * 2,
        lambda: Duration.from_timedelta(timedelta(seconds=-1)),
    ],
)
def test_a_result_out_of_range_is_refused(make: Any) -> None:
    """No operation makes a negative or endless duration."""
    with pytest.raises(ValueError, match="between 0 and 999,999,999 days"):
        make()


@pytest.mark.parametrize("factor", [True, "2", None, Duration.seconds(2)])
def test_durations_are_multiplied_by_numbers_only(factor: Any) -> None:
    """A factor is a number; a truth value is not one."""
    with pytest.raises(TypeError):
        operator.mul(Duration.seconds(1), factor)


# --- validation, repr ------------------------------------------------------------------------------------

UNITS = ["seconds", "minutes", "hours", "days", "weeks", "months", "years"]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("amount", [-1, -0.001, float("nan"), float("inf"), -float("inf"), 10**400, 1e308])
def test_amounts_out_of_range_are_refused(unit: str, amount: float) -> None:
    """An amount below zero, beyond what a timedelta holds, or not a number is a ValueError."""
    with pytest.raises(ValueError, match="between 0 and 999,999,999 days"):
        getattr(Duration, unit)(amount)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("amount", ["1", None, True, timedelta(1), 1j])
def test_only_numbers_are_amounts(unit: str, amount: Any) -> None:
    """An amount that is no number is a TypeError that shows it."""
    with pytest.raises(TypeError, match=f"takes a number, not {type(amount).__name__}"):
        getattr(Duration, unit)(amount)


@given(durations)
def test_the_repr_makes_an_equal_duration(duration: Duration) -> None:
    """The repr is how to write the duration."""
    assert eval(repr(duration), {"Duration": Duration}) == duration


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (Duration(), "Duration.seconds(0)"),
        (Duration.seconds(1.5), "Duration.seconds(1.5)"),
        (Duration.seconds(90), "Duration.seconds(90)"),
        (Duration.minutes(90), "Duration.minutes(90)"),
        (Duration.minutes(120), "Duration.hours(2)"),
        (Duration.weeks(1), "Duration.days(7)"),
    ],
)
def test_the_repr_uses_the_largest_fitting_unit(duration: Duration, text: str) -> None:
    """A duration prints in the largest unit, up to days, of which it is a whole number."""
    assert repr(duration) == text


def test_the_longest_duration_is_a_timedelta() -> None:
    """Every duration can be made a timedelta, and hashed."""
    longest = Duration.days(999_999_999)
    assert longest.to_timedelta() == timedelta(days=999_999_999)
    assert hash(longest) == hash(timedelta(days=999_999_999))
