"""``current_step()``: what the body of a step may know about the step it runs in."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from durable_trio.exceptions import ContextUseError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["StepContext", "current_step"]

_current_step: ContextVar[StepContext | None] = ContextVar("durable_trio_current_step", default=None)


class StepContext:
    """The step whose body is running.

    Attributes:
        operation_id: the step's id in the execution.
        parent_id: the id of the context it belongs to, None at the root.
        name: the step's name.
        attempt: which attempt this is, from 1.
        execution_arn: the ARN of the durable execution.
    """

    __slots__ = ("_make_logger", "attempt", "execution_arn", "name", "operation_id", "parent_id")

    def __init__(
        self,
        *,
        operation_id: str,
        parent_id: str | None,
        name: str | None,
        attempt: int,
        execution_arn: str,
        make_logger: Callable[[StepContext], Any],
    ) -> None:
        self.operation_id: str = operation_id
        self.parent_id: str | None = parent_id
        self.name: str | None = name
        self.attempt: int = attempt
        self.execution_arn: str = execution_arn
        self._make_logger = make_logger

    def __repr__(self) -> str:
        return f"<StepContext {self.name!r} attempt {self.attempt}>"

    @property
    def idempotency_key(self) -> str:
        """A key for outside systems: the same for every attempt and every re-run of this step, and no other.

        64 hexadecimal digits; unique across executions.
        """
        from hashlib import blake2b  # asked for by few steps

        return blake2b(f"{self.execution_arn}/{self.operation_id}".encode(), digest_size=32).hexdigest()

    @property
    def logger(self) -> Any:
        """A structlog logger bound to this step and attempt."""
        return self._make_logger(self)


def current_step() -> StepContext:
    """Return the step whose body is running, in async bodies and worker threads alike.

    Raises:
        ContextUseError: no step's body is running here.
    """
    step = _current_step.get()
    if step is None:
        raise ContextUseError("current_step() is for the body of a step, and none is running here")
    return step
