"""What an execution may be, in bytes and numbers, where AWS's text and AWS's model do not say the same.

The service model allows 6 MiB for every payload; its text says 6 MB for the input and the result of an execution
that was invoked synchronously, and 1 MB for everything else. The number of operations that an execution may have is
stated nowhere ("25,000" is cited by third parties), so it is not limited unless asked for; from that number on the
service warns.
"""

from __future__ import annotations

from durable_trio._protocol import limits
from durable_trio._protocol.value_class import frozen_dataclass


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """How much an execution may hold. Sizes are bytes of UTF-8.

    Attributes:
        operation_payload_bytes: the payload of an operation; by default 1 MiB.
        synchronous_payload_bytes: input and result of an execution whose caller waits; 6 MiB.
        asynchronous_payload_bytes: input and result of any other, chained invokes included; 1 MiB.
        max_operations: how many operations an execution may have, the EXECUTION not counted; None: any number.
        warn_operations: from how many operations on the service logs a warning; 25,000. None: never.
        max_synchronous_seconds: how long an execution may take whose caller waits; 900 (15 minutes).

    Raises:
        ValueError: a number is less than 1, or more than the service's model allows (payloads: 6 MiB).
    """

    operation_payload_bytes: int = 1_048_576
    synchronous_payload_bytes: int = limits.MAX_PAYLOAD_BYTES
    asynchronous_payload_bytes: int = 1_048_576
    max_operations: int | None = None
    warn_operations: int | None = 25_000
    max_synchronous_seconds: int = 900

    def __post_init__(self) -> None:
        for name in ("operation_payload_bytes", "synchronous_payload_bytes", "asynchronous_payload_bytes"):
            _check(name, getattr(self, name), limits.MAX_PAYLOAD_BYTES)
        _check("max_synchronous_seconds", self.max_synchronous_seconds, limits.MAX_EXECUTION_TIMEOUT_SECONDS)
        for name in ("max_operations", "warn_operations"):
            if getattr(self, name) is not None:
                _check(name, getattr(self, name), None)

    def execution_payload_bytes(self, *, is_asynchronous: bool) -> int:
        """Return how big the input and the result of an execution may be."""
        return self.asynchronous_payload_bytes if is_asynchronous else self.synchronous_payload_bytes


def _check(name: str, value: int, most: int | None) -> None:
    if value < 1 or (most is not None and value > most):
        allowed = "at least 1" if most is None else f"1 to {most}"
        raise ValueError(f"{name} must be {allowed}, not {value!r}")


DEFAULT_QUOTAS = Quotas()
