"""What may be set about a local service."""

from __future__ import annotations

from dataclasses import dataclass, field

from durable_trio._protocol import limits
from durable_trio._protocol.invocation_rules import RetryPolicy
from durable_trio.exceptions import ValidationError

__all__ = ["LocalSettings", "RetryPolicy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """How a local service behaves where AWS's may differ or nobody knows.

    Attributes:
        region, account: what its ARNs say.
        retry_policy: how failed invocations are retried.
        page_operations: how many operations an invocation is called with at most, 1 to 1000; it reads the
            others page by page.
        page_bytes: how many bytes of JSON those operations have at most; one operation always fits.
        chained_start_seconds: how long after its START a chained invoke calls the other function. On AWS that
            takes a moment too; without one, the end of a quick function may or may not come before the end of
            the invocation that called it.
        memory_limit_in_mb: what the Lambda context says about memory.
        busy_timeout_seconds: how long to wait for another process that is writing to the same file.
        random_seed: makes ids and delays repeatable; None for real randomness.

    Raises:
        ValidationError: *page_operations*, *page_bytes*, *chained_start_seconds* or *busy_timeout_seconds* is out
            of range.
    """

    region: str = "us-east-1"
    account: str = "123456789012"
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    page_operations: int = limits.DEFAULT_PAGE_SIZE
    page_bytes: int = 1_048_576
    chained_start_seconds: float = 0.1
    memory_limit_in_mb: int = 128
    busy_timeout_seconds: float = 5.0
    random_seed: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.page_operations <= limits.MAX_PAGE_SIZE:
            raise ValidationError(
                f"page_operations must be 1 to {limits.MAX_PAGE_SIZE}, not {self.page_operations}"
            )
        if self.page_bytes < 1:
            raise ValidationError(f"page_bytes must be at least 1, not {self.page_bytes}")
        for name in ("chained_start_seconds", "busy_timeout_seconds"):
            if not getattr(self, name) >= 0:
                raise ValidationError(f"{name} must not be negative: {getattr(self, name)}")
