"""``Outcome``: how one of the operations of ``ctx.all_settled`` ended."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, cast

from durable_trio._protocol.value_class import frozen_dataclass as dataclass
from durable_trio.exceptions import OperationError

__all__ = ["Outcome"]

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T_co]):
    """The value that an operation gave, or the error that it ended with.

    Attributes:
        value: what awaiting the operation gives; None if it failed (and for an operation that gives None).
        error: what awaiting the operation raises; None if it succeeded.

    As a handler's result it is written as ``{"status": "SUCCEEDED", "value": ...}`` or
    ``{"status": "FAILED", "error": {"ErrorType": ..., "ErrorMessage": ...}}``.
    """

    value: T_co | None = None
    error: Exception | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the operation gave a value."""
        return self.error is None

    def unwrap(self) -> T_co:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return cast("T_co", self.value)

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as plain values, for a handler's result or a log line."""
        if self.error is None:
            return {"status": "SUCCEEDED", "value": self.value}
        error_type = (
            self.error.error_type if isinstance(self.error, OperationError) else type(self.error).__name__
        )
        return {"status": "FAILED", "error": {"ErrorType": error_type, "ErrorMessage": str(self.error)}}

    __durable_plain__ = to_json

    def __durable_tagged__(self) -> tuple[str, dict[str, Any]]:
        """Return how it is stored as a value: a tag, and what stands under it."""
        from durable_trio.serdes.results import OUTCOME, stored_outcome  # few programs return outcomes

        return OUTCOME, stored_outcome(self)
