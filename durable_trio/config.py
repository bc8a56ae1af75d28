"""Options of operations, as keywords or as reusable values.

Every operation takes its options as keywords, or as one frozen config object through ``config=``; a keyword
wins over the config. Enumerations are ``StrEnum``, so their members are equal to their wire text.
"""

from __future__ import annotations

import math
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar, TypeVarTuple

from durable_trio._protocol import limits
from durable_trio._protocol.completion import CompletionPredicate, CompletionRules
from durable_trio._protocol.value_class import frozen_dataclass as dataclass
from durable_trio.duration import Duration
from durable_trio.exceptions import ValidationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from durable_trio.conditions import WaitStrategy
    from durable_trio.restarts import RestartIntensity
    from durable_trio.retries import RetryStrategy
    from durable_trio.serdes import SerDes

__all__ = [
    "Branch",
    "CallbackConfig",
    "CheckpointingMode",
    "ChildConfig",
    "CompletionConfig",
    "InvokeConfig",
    "ItemBatcher",
    "MapConfig",
    "NestingType",
    "ParallelConfig",
    "ReplayLogging",
    "StepConfig",
    "StepSemantics",
    "WaitForCallbackConfig",
    "WaitForConditionConfig",
]

AnyDuration: TypeAlias = Duration | timedelta
ConfigT = TypeVar("ConfigT")
T_co = TypeVar("T_co", covariant=True)
Args = TypeVarTuple("Args")

_ASYNC: Final = 0x80 | 0x200  # ``inspect.CO_COROUTINE`` and ``CO_ASYNC_GENERATOR``, of a function's code


class StepSemantics(StrEnum):
    """How often the body of a step may run for one attempt."""

    AT_LEAST_ONCE_PER_RETRY = "AT_LEAST_ONCE_PER_RETRY"
    """A body that was cut off runs again; the default."""
    AT_MOST_ONCE_PER_RETRY = "AT_MOST_ONCE_PER_RETRY"
    """A body that was cut off counts as failed: its retry strategy decides whether there is a next attempt."""


class CheckpointingMode(StrEnum):
    """When the code goes on after something was recorded."""

    EAGER = "EAGER"
    """Every update is acknowledged before the code goes on, one call each: the most calls, the least lost."""
    BATCHED = "BATCHED"
    """What is recorded together travels together; results are acknowledged before they are handed on."""
    OPTIMISTIC = "OPTIMISTIC"
    """The value of a finished step is handed on while its checkpoint is in flight. A crash may run it again."""


class NestingType(StrEnum):
    """What is recorded of the branches of a map or a parallel."""

    NESTED = "NESTED"
    """A context per branch."""
    FLAT = "FLAT"
    """Nothing: their operations belong to the batch itself. Fewer operations; results live in the batch's record."""


class ReplayLogging(StrEnum):
    """What a context logs while it replays."""

    SUPPRESS_ALL = "SUPPRESS_ALL"
    ERRORS_ONLY = "ERRORS_ONLY"
    WARNINGS_AND_ERRORS = "WARNINGS_AND_ERRORS"
    ALLOW_ALL = "ALLOW_ALL"


@dataclass(frozen=True, slots=True)
class StepConfig:
    """Options of ``ctx.step``; see there."""

    retry: RetryStrategy | None = None
    semantics: StepSemantics = StepSemantics.AT_LEAST_ONCE_PER_RETRY
    timeout: AnyDuration | None = None
    serdes: SerDes | None = None
    result_type: Any = None


@dataclass(frozen=True, slots=True)
class CallbackConfig:
    """Options of ``ctx.create_callback``; see there."""

    timeout: AnyDuration | None = None
    heartbeat_timeout: AnyDuration | None = None
    serdes: SerDes | None = None
    result_type: Any = None


@dataclass(frozen=True, slots=True)
class WaitForCallbackConfig:
    """Options of ``ctx.wait_for_callback``; see there."""

    timeout: AnyDuration | None = None
    heartbeat_timeout: AnyDuration | None = None
    retry: RetryStrategy | None = None
    serdes: SerDes | None = None
    result_type: Any = None


@dataclass(frozen=True, slots=True)
class ChildConfig:
    """Options of ``ctx.run_in_child_context``; see there."""

    virtual: bool = False
    summary: Callable[[Any], str] | None = None
    serdes: SerDes | None = None
    result_type: Any = None
    error_mapper: Callable[[Exception], Exception] | None = None


@dataclass(frozen=True, slots=True)
class CompletionConfig:
    """When a map or a parallel is decided.

    ``CompletionConfig()`` is fail-fast: one failure decides it. ``min_successful`` decides it as soon as that
    many items have succeeded; on its own it makes failures harmless. ``tolerated_failure_count`` and
    ``tolerated_failure_percentage`` (0 to 100, of all items) decide it when *more* have failed.
    ``predicate(progress)`` returns None to go on, or one of the two custom ``CompletionReason``s; with a
    predicate, tolerance is not looked at.

    Raises:
        ValidationError: a number is out of range.
    """

    min_successful: int | None = None
    tolerated_failure_count: int | None = None
    tolerated_failure_percentage: float | None = None
    predicate: CompletionPredicate | None = None

    def __post_init__(self) -> None:
        check_whole_number("min_successful", self.min_successful, at_least=1)
        check_whole_number("tolerated_failure_count", self.tolerated_failure_count, at_least=0)
        percentage = self.tolerated_failure_percentage
        if percentage is not None:
            if isinstance(percentage, bool) or not isinstance(percentage, (int, float)):
                raise ValidationError(f"tolerated_failure_percentage must be a number, not {percentage!r}")
            if not 0 <= percentage <= 100:
                raise ValidationError(f"tolerated_failure_percentage must be 0 to 100, not {percentage!r}")
        if self.predicate is not None:
            check_plain("predicate", self.predicate)

    @classmethod
    def first_successful(cls) -> CompletionConfig:
        """One success is enough; failures do not stop it."""
        return cls(min_successful=1)

    @classmethod
    def all_completed(cls) -> CompletionConfig:
        """Every item runs to its end, whatever fails."""
        return cls(tolerated_failure_percentage=100)

    @classmethod
    def all_successful(cls) -> CompletionConfig:
        """One failure decides it: the default."""
        return cls()

    @classmethod
    def with_min_successful(cls, count: int) -> CompletionConfig:
        """*count* successes are enough; failures do not stop it."""
        return cls(min_successful=count)

    @classmethod
    def with_failure_tolerance(
        cls, *, count: int | None = None, percentage: float | None = None
    ) -> CompletionConfig:
        """More than *count* failures, or more than *percentage* percent of all items, decide it."""
        if count is None and percentage is None:
            raise ValidationError("with_failure_tolerance needs count= or percentage=")
        return cls(tolerated_failure_count=count, tolerated_failure_percentage=percentage)

    @property
    def rules(self) -> CompletionRules:
        """The criteria without the predicate's code."""
        return CompletionRules(
            min_successful=self.min_successful,
            tolerated_failure_count=self.tolerated_failure_count,
            tolerated_failure_percentage=self.tolerated_failure_percentage,
            has_predicate=self.predicate is not None,
        )


@dataclass(frozen=True, slots=True)
class ItemBatcher:
    """How a map puts items together: each branch gets a list of at most *max_items* items and *max_bytes* bytes.

    Bytes are those of the items' stored form. An item that is too big by itself is a batch of its own.

    Raises:
        ValidationError: a number is below 1.
    """

    max_items: int = 100
    max_bytes: int = 262_144

    def __post_init__(self) -> None:
        for argument in ("max_items", "max_bytes"):
            value = getattr(self, argument)
            if value is None:
                raise ValidationError(f"{argument} must be a whole number, not None")
            check_whole_number(argument, value, at_least=1)

    def group(self, items: Sequence[Any], bytes_of: Callable[[Any], int]) -> list[tuple[int, list[Any]]]:
        """Return the batches, each with the index of its first item; every item is in exactly one."""
        batches: list[tuple[int, list[Any]]] = []
        room = 0
        for index, item in enumerate(items):
            size = bytes_of(item)
            if not batches or len(batches[-1][1]) >= self.max_items or size > room:
                batches.append((index, []))
                room = self.max_bytes
            batches[-1][1].append(item)
            room -= size
        return batches


@dataclass(frozen=True, slots=True)
class MapConfig:
    """Options of ``ctx.map``; see there."""

    max_concurrency: int | None = None
    completion: CompletionConfig | None = None
    nesting: NestingType | None = None
    item_namer: Callable[[Any, int], str] | None = None
    item_serdes: SerDes | None = None
    result_type: Any = None
    serdes: SerDes | None = None
    summary: Callable[[Any], str] | None = None
    batch: ItemBatcher | None = None
    item_retry: RetryStrategy | None = None
    restart_intensity: RestartIntensity | None = None


@dataclass(frozen=True, slots=True)
class ParallelConfig:
    """Options of ``ctx.parallel``; see there."""

    max_concurrency: int | None = None
    completion: CompletionConfig | None = None
    nesting: NestingType | None = None
    item_serdes: SerDes | None = None
    result_type: Any = None
    serdes: SerDes | None = None
    summary: Callable[[Any], str] | None = None
    item_retry: RetryStrategy | None = None
    restart_intensity: RestartIntensity | None = None


@dataclass(frozen=True, slots=True)
class InvokeConfig:
    """Options of ``ctx.invoke``; see there."""

    tenant_id: str | None = None
    payload_serdes: SerDes | None = None
    result_serdes: SerDes | None = None
    result_type: Any = None


@dataclass(frozen=True, slots=True)
class WaitForConditionConfig:
    """Options of ``ctx.wait_for_condition``; see there."""

    until: Callable[[Any], bool] | None = None
    wait_strategy: WaitStrategy | None = None
    interval: AnyDuration | None = None
    serdes: SerDes | None = None
    result_type: Any = None


class Branch(Generic[T_co]):
    """A branch of ``ctx.parallel``: ``fn(child_ctx, *args)``, with a name of its own.

    Raises:
        ValidationError: *fn* cannot be called, or *name* is not 1 to 256 printable ASCII characters.
    """

    __slots__ = ("args", "fn", "name")

    def __init__(
        self, fn: Callable[[Any, *Args], Awaitable[T_co]], *args: *Args, name: str | None = None
    ) -> None:
        check_callable("fn", fn)
        self.fn: Callable[..., Awaitable[T_co]] = fn
        self.args: tuple[Any, ...] = args
        self.name: str | None = check_name(name)

    def __call__(self, ctx: Any) -> Awaitable[T_co]:
        """Run the branch in its context."""
        return self.fn(ctx, *self.args)

    def __repr__(self) -> str:
        return f"Branch({getattr(self.fn, '__qualname__', self.fn)}, name={self.name!r})"


# --- checks that several operations share ----------------------------------------------------------------


def check_whole_number(argument: str, value: object, *, at_least: int) -> None:
    """Refuse *value* unless it is None or a whole number of at least *at_least*."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValidationError(f"{argument} must be a whole number, not {value!r}")
    if value < at_least:
        raise ValidationError(f"{argument} must be at least {at_least}, not {value}")


def check_name(name: object) -> str | None:
    """Refuse *name* unless it is None or 1 to 256 printable ASCII characters."""
    if name is None:
        return None
    if not isinstance(name, str) or not limits.is_operation_name(name):
        raise ValidationError(f"name must be 1 to 256 printable ASCII characters, not {name!r}")
    return name


def check_callable(argument: str, value: object) -> None:
    """Refuse *value* unless it can be called."""
    if not callable(value):
        raise ValidationError(f"{argument} must be callable, not {value!r}")


def check_plain(argument: str, value: object) -> None:
    """Refuse *value* unless it can be called inline: an async function gives a coroutine, not an answer."""
    check_callable(argument, value)
    if getattr(getattr(value, "__code__", None), "co_flags", 0) & _ASYNC:
        raise ValidationError(
            f"{argument} must be a plain function: it is called inline, and {value!r} is async"
        )


def whole_seconds(argument: str, value: object, *, at_least: int, at_most: int) -> int:
    """Return a duration in whole seconds, rounded up.

    Raises:
        TypeError: *value* is not a duration; a bare number is not accepted.
        ValidationError: it is out of range.
    """
    seconds = math.ceil(exact_seconds(argument, value))
    if not at_least <= seconds <= at_most:
        raise ValidationError(f"{argument} must be {at_least} to {at_most:,} seconds, not {value!r}")
    return seconds


def exact_seconds(argument: str, value: object) -> float:
    """Return a duration in seconds.

    Raises:
        TypeError: *value* is not a duration; a bare number is not accepted.
    """
    if isinstance(value, Duration):
        return value.to_seconds()
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError(
        f"{argument} must be a durable_trio.Duration or a datetime.timedelta, not {value!r}"
        + (
            " (a bare number does not say its unit: write Duration.seconds(...) or Duration.minutes(...))"
            if isinstance(value, (int, float))
            else ""
        )
    )


def pick(keyword: Any, config: object | None, member: str, default: Any = None) -> Any:
    """Return the keyword if it was given, else the config's member, else *default*."""
    if keyword is not None:
        return keyword
    configured = getattr(config, member) if config is not None else None
    return default if configured is None else configured


def check_config(config: object, wanted: type[ConfigT]) -> ConfigT | None:
    """Refuse *config* unless it is None or a *wanted*."""
    if config is not None and not isinstance(config, wanted):
        raise ValidationError(f"config must be a {wanted.__name__}, not {config!r}")
    return config
