"""The branches and keyword options of ``ctx.parallel``, as types: its overloads share them.

Nothing here is used at run time. The method itself spells the options out, with their defaults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypedDict, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio._runtime.context import DurableContext
    from durable_trio.batch import BatchResult
    from durable_trio.config import CompletionConfig, NestingType, ParallelConfig
    from durable_trio.restarts import RestartIntensity
    from durable_trio.retries import RetryStrategy
    from durable_trio.serdes import SerDes

T = TypeVar("T")

Arm: TypeAlias = "Callable[[DurableContext], Awaitable[T]]"
"""What runs as a branch; a ``Branch`` is one, too."""


class ParallelOptions(TypedDict, Generic[T], total=False):
    """What ``ctx.parallel`` takes by keyword; *T* is the type of the branches' results."""

    name: str | None
    max_concurrency: int | None
    completion: CompletionConfig | None
    nesting: NestingType | None
    item_serdes: SerDes | None
    result_type: Any
    serdes: SerDes | None
    summary: Callable[[BatchResult[T]], str] | None
    item_retry: RetryStrategy | None
    restart_intensity: RestartIntensity | None
    config: ParallelConfig | None
