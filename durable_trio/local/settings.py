"""What may be set about a local service."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from durable_trio._protocol import limits
from durable_trio._protocol.invocation_rules import RetryPolicy
from durable_trio._protocol.quotas import DEFAULT_QUOTAS, Quotas
from durable_trio.exceptions import ValidationError

_TWICE: Final = RetryPolicy(max_failures=3, first_delay_seconds=60, multiplier=2, max_delay_seconds=120)

__all__ = ["LocalSettings", "Quotas", "RetryPolicy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """How a local service behaves where AWS's may differ or nobody knows.

    Attributes:
        region, account: what its ARNs say.
        retry_policy: how failed invocations are retried.
        event_retry_policy: how a function that is not durable is called again when it fails and nobody waits for its
            answer; by default as on Lambda, twice, after one minute and after two.
        quotas: how much an execution may hold.
        page_operations: how many operations an invocation is called with at most, 1 to 1000; it reads the
            others page by page.
        page_bytes: how many bytes of JSON those operations have at most; one operation always fits.
        response_operations: how many operations the answer to a checkpoint has at most, 1 to 1000; the function reads
            the others page by page.
        chained_start_seconds: how long after its START a chained invoke calls the other function. On AWS that
            takes a moment too; without one, the end of a quick function may or may not come before the end of
            the invocation that called it.
        quiet_seconds: how long every task must have been blocked, in real time, before virtual time is moved; more
            than 0 gives clients in other processes time to ask.
        memory_limit_in_mb: what the Lambda context says about memory.
        busy_timeout_seconds: how long to wait for another process that is writing to the same file.
        random_seed: makes ids and delays repeatable; None for real randomness.

    Raises:
        ValidationError: a number of operations, bytes or seconds is out of range.
    """

    region: str = "us-east-1"
    account: str = "123456789012"
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    event_retry_policy: RetryPolicy = _TWICE
    quotas: Quotas = DEFAULT_QUOTAS
    page_operations: int = limits.DEFAULT_PAGE_SIZE
    response_operations: int = limits.MAX_PAGE_SIZE
    page_bytes: int = 1_048_576
    chained_start_seconds: float = 0.1
    quiet_seconds: float = 0.0
    memory_limit_in_mb: int = 128
    busy_timeout_seconds: float = 5.0
    random_seed: int | None = None

    def __post_init__(self) -> None:
        for name in ("page_operations", "response_operations"):
            if not 1 <= getattr(self, name) <= limits.MAX_PAGE_SIZE:
                raise ValidationError(
                    f"{name} must be 1 to {limits.MAX_PAGE_SIZE}, not {getattr(self, name)}"
                )
        if self.page_bytes < 1:
            raise ValidationError(f"page_bytes must be at least 1, not {self.page_bytes}")
        for name in ("chained_start_seconds", "busy_timeout_seconds", "quiet_seconds"):
            if not getattr(self, name) >= 0:
                raise ValidationError(f"{name} must not be negative: {getattr(self, name)}")
