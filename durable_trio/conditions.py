"""When ``ctx.wait_for_condition`` looks again, and when it stops.

A wait strategy is any ``(state, attempt) -> answer``: ``WaitDecision.stop()`` when the condition is met, a
delay (``WaitDecision.after(...)``, or a ``Duration`` or ``timedelta`` as it is) to look again, None to give up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from durable_trio._protocol.value_class import frozen_dataclass as dataclass
from durable_trio.duration import Duration
from durable_trio.exceptions import ValidationError
from durable_trio.retries import Backoff, Jitter, delay_seconds, exponential_backoff

if TYPE_CHECKING:
    from typing import Self

    from durable_trio.config import AnyDuration

__all__ = ["WaitDecision", "WaitStrategy", "exponential_polling"]


@dataclass(frozen=True, slots=True)
class WaitDecision:
    """What a wait strategy decides: ``WaitDecision.stop()`` or ``WaitDecision.after(delay)``.

    Attributes:
        delay: how long to wait before looking again; None to stop.
    """

    delay: AnyDuration | None

    @classmethod
    def stop(cls) -> Self:
        """The condition is met: end with the present state."""
        return cls(None)

    @classmethod
    def after(cls, delay: AnyDuration) -> Self:
        """Look again after *delay* (whole seconds, at least 1, rounded up)."""
        delay_seconds(delay)
        return cls(delay)


WaitStrategy: TypeAlias = Callable[[Any, int], WaitDecision | Duration | Any | None]
"""``(state, attempt) -> WaitDecision | Duration | timedelta | None``; None gives up."""


def exponential_polling(
    max_attempts: int = 60,
    initial_delay: AnyDuration | None = None,
    max_delay: AnyDuration | None = None,
    multiplier: float = 1.5,
    jitter: Jitter = Jitter.FULL,
) -> WaitStrategy:
    """Return a strategy of growing delays: 60 attempts, 5 s growing by half to 5 minutes, full jitter.

    It never stops by itself: give ``until=`` as well.

    Raises:
        ValidationError: a number is out of range.
        TypeError: a delay is a bare number.
    """
    first = Duration.seconds(5) if initial_delay is None else initial_delay
    cap = Duration.minutes(5) if max_delay is None else max_delay
    return _Polling(exponential_backoff(max_attempts, first, cap, multiplier, jitter))


@dataclass(frozen=True, slots=True)
class _Polling:
    backoff: Backoff

    def __call__(self, state: Any, attempt: int) -> Duration | None:
        return self.backoff(_NOT_MET, attempt)


_NOT_MET = Exception("the condition is not met")


def strategy_of(
    until: Callable[[Any], bool] | None, wait_strategy: WaitStrategy | None, interval: AnyDuration | None
) -> WaitStrategy:
    """Put the three ways of saying when to look again together.

    Raises:
        ValidationError: none of *until* and *wait_strategy* was given, or both delays.
        TypeError: *interval* is a bare number.
    """
    if until is None and wait_strategy is None:
        raise ValidationError(
            "wait_for_condition needs until= (when it is met) or wait_strategy= (which decides)"
        )
    if interval is not None and wait_strategy is not None:
        raise ValidationError("interval and wait_strategy both say when to look again: give one of them")
    if interval is not None:
        delay_seconds(interval)
        return _until(until, lambda _state, _attempt: interval)
    return _until(until, wait_strategy if wait_strategy is not None else exponential_polling())


def _until(until: Callable[[Any], bool] | None, delays: WaitStrategy) -> WaitStrategy:
    if until is None:
        return delays
    # Met beats exhaustion: the state is looked at before the budget.
    return lambda state, attempt: WaitDecision.stop() if until(state) else delays(state, attempt)


def decided(answer: object) -> WaitDecision | None:
    """Read a strategy's answer; None gives up.

    Raises:
        TypeError: it is none of the things that a strategy may answer.
    """
    if answer is None or isinstance(answer, WaitDecision):
        return answer
    delay_seconds(answer)  # type: ignore[arg-type]  # raises if it is no duration
    return WaitDecision(answer)  # type: ignore[arg-type]  # checked by the line above
