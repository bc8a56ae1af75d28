"""What a pair is: the same workflow, once for AWS's SDK and once for durable_trio.

Each subclass of ``Pair`` holds both, side by side: ``aws(self, event, ctx)`` and ``ours(self, event, ctx)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from aws_durable_execution_sdk_python.config import Duration as AwsDuration
from aws_durable_execution_sdk_python.retries import RetryDecision

if TYPE_CHECKING:
    from durable_trio import DurableContext

PAIRS: list[type[Pair]] = []


class Pair:
    """One workflow in two spellings."""

    answers: ClassVar[dict[str, str | None]] = {}
    """What to answer each callback with, by its operation's name."""
    fails_at: ClassVar[tuple[str, str] | None] = None
    """Name and action of an update whose checkpoint the service loses once."""

    def __init_subclass__(cls) -> None:
        PAIRS.append(cls)

    def aws(self, event: Any, ctx: Any) -> Any:
        """Be the handler, for AWS's SDK."""
        raise NotImplementedError

    async def ours(self, event: Any, ctx: DurableContext) -> Any:
        """Be the handler, for durable_trio."""
        raise NotImplementedError


def aws_retry(seconds: int, attempts: int) -> Any:
    """Return a strategy of AWS's SDK: a fixed delay, so many attempts in all."""
    again = RetryDecision.retry(AwsDuration.from_seconds(seconds))
    return lambda _error, attempt: again if attempt < attempts else RetryDecision.no_retry()


async def one() -> int:
    """Return 1."""
    return 1


async def boom() -> int:
    """Fail."""
    raise ValueError("boom")


def aws_boom(_: Any) -> int:
    """Fail."""
    raise ValueError("boom")
