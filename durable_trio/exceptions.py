"""Every error that durable_trio raises, in families by who must act.

- ``OperationError``: an operation of the user's failed. Handle it like any failure of your own code.
- ``NonDeterministicExecutionError``, ``ContextUseError``: the program breaks a rule of durable code. Change it.
- ``ValidationError``, ``ConfigurationError``: an argument or a setting is wrong. Nothing was recorded.
- ``SerDesError``: a value cannot be stored or read back.
- ``ServiceError``: the durable execution service refused or could not be reached; ``is_retryable`` says which.
- ``ExecutionError``, ``InvocationError``: raised by *your* code to fail the execution for good, or to have the
  invocation retried.

The names of these classes are recorded in executions as error types. They are chosen once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import trio

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from durable_trio._protocol.operation import ErrorObject

__all__ = [
    "CallbackError",
    "CallbackExternalError",
    "CallbackSubmitterError",
    "CallbackTimeoutError",
    "CheckpointError",
    "ChildContextError",
    "CompensationError",
    "ConfigurationError",
    "ContextUseError",
    "DurableError",
    "DurableTimeoutError",
    "ExecutionError",
    "GetStateError",
    "InvalidTokenError",
    "InvocationError",
    "InvokeError",
    "MapError",
    "NonDeterministicExecutionError",
    "OperationCancelledError",
    "OperationError",
    "RetryableSerDesError",
    "SerDesError",
    "ServiceError",
    "SizeLimitError",
    "StepError",
    "StepInterruptedError",
    "StepTimeoutError",
    "ThrottlingError",
    "ValidationError",
    "WaitForConditionError",
]


class DurableError(Exception):
    """The root of every error that durable_trio raises."""


class OperationError(DurableError):
    """An operation failed, and its failure is recorded: replay raises an equal error.

    ``str(error)`` is exactly the recorded message.

    Attributes:
        error_type: the type name that was recorded, for example ``"ValueError"``.
        message: the recorded message.
        data: text that came with the error, or None.
        stack: the recorded stack, innermost frame last; often empty.
        operation_id: the operation's id.
        operation_name: the operation's name, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        error_type: str | None = None,
        data: str | None = None,
        stack: Sequence[str] = (),
        operation_id: str | None = None,
        operation_name: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.error_type: str = error_type if error_type is not None else type(self).__name__
        self.data = data
        self.stack: tuple[str, ...] = tuple(stack)
        self.operation_id = operation_id
        self.operation_name = operation_name

    @classmethod
    def from_recorded(cls, error: ErrorObject | None, *, operation_id: str, name: str | None) -> Self:
        """Build the error that a recorded failure raises, now and on every replay."""
        return cls(
            (error.message if error else None) or "",
            error_type=error.type if error else None,
            data=error.data if error else None,
            stack=error.stack if error else (),
            operation_id=operation_id,
            operation_name=name,
        )


class StepError(OperationError):
    """A step failed, and its retry strategy gave up."""


class StepTimeoutError(StepError):
    """A step's body took longer than its ``timeout``."""


class StepInterruptedError(StepError):
    """A step was cut off before its end was recorded; it may have had its effect.

    An at-most-once step whose invocation died, or any step that was running when its invocation's time was up.
    """


class InvokeError(OperationError):
    """A chained invoke failed, timed out or was stopped."""


class ChildContextError(OperationError):
    """The body of a child context, of a map's item or of a branch failed."""


class WaitForConditionError(OperationError):
    """A condition's check failed, or its wait strategy gave up."""


class MapError(OperationError):
    """More items of a map or a parallel failed than were tolerated.

    Attributes:
        errors: the error of every failed item, by input order.
    """

    def __init__(self, message: str, *, errors: Sequence[BaseException] = (), **recorded: object) -> None:
        super().__init__(message, **recorded)  # type: ignore[arg-type]  # passed through as given
        self.errors: tuple[BaseException, ...] = tuple(errors)


class CallbackError(OperationError):
    """A callback ended without a result."""


class CallbackExternalError(CallbackError):
    """The outside world answered a callback with a failure."""


class CallbackTimeoutError(CallbackError):
    """Nobody answered a callback in time (``error_type`` tells: ``Callback.Timeout`` or ``Callback.Heartbeat``)."""


class CallbackSubmitterError(CallbackError):
    """The submitter of ``wait_for_callback`` failed, and its retry strategy gave up."""


class CompensationError(OperationError):
    """Compensations of a saga failed. Its ``__cause__`` is the error that the saga was to undo, if there was one.

    Attributes:
        report: what was undone, and what was not (a ``CompensationReport``).
    """

    def __init__(self, message: str, *, report: Any = None, **recorded: Any) -> None:
        super().__init__(message, **recorded)
        self.report = report


class OperationCancelledError(DurableError):
    """An operation was cancelled because what it was part of had been decided without it."""


class DurableTimeoutError(DurableError, trio.TooSlowError):
    """A durable deadline passed before its body was through."""


class NonDeterministicExecutionError(DurableError):
    """The code asks for another operation than the one recorded at this place.

    The execution fails: going on would hand one operation's value to another. Deploy changed code under a
    new function version, or make the order of operations depend on recorded values only.
    """


class ContextUseError(DurableError):
    """A durable context or an operation was used where its ids or its outcome would depend on chance.

    Attributes:
        ends_execution: the execution fails with this error, even if the code catches it.
    """

    def __init__(self, message: str, *, ends_execution: bool = False) -> None:
        super().__init__(message)
        self.ends_execution = ends_execution


class ValidationError(DurableError, ValueError):
    """An argument is out of range. Raised when the method is called, before anything is recorded."""


class ConfigurationError(DurableError):
    """The program is put together wrongly: a missing extra, a plain handler, the wrong event loop."""


class SerDesError(DurableError):
    """A value cannot be serialized, or a payload cannot be read. Never retried."""


class RetryableSerDesError(SerDesError):
    """Serialization failed for a passing reason; the invocation is retried by Lambda."""


class ServiceError(DurableError):
    """The durable execution service refused a call, or could not be reached.

    Attributes:
        is_retryable: True if a new invocation may succeed (the invocation raises, Lambda retries it);
            False if it cannot (the execution fails).
        code: the service's error code, for example ``"TooManyRequestsException"``, or None.
    """

    default_is_retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, is_retryable: bool | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.is_retryable: bool = self.default_is_retryable if is_retryable is None else is_retryable
        self.code = code


class CheckpointError(ServiceError):
    """A checkpoint was refused."""


class GetStateError(ServiceError):
    """The execution's state could not be read."""


class ThrottlingError(ServiceError):
    """The service asked to slow down, for longer than the retries lasted."""

    default_is_retryable = True


class InvalidTokenError(ServiceError):
    """The checkpoint token is spent: another invocation of this execution has taken over."""

    default_is_retryable = True


class SizeLimitError(ServiceError):
    """An update is too big to be sent; the operation it belongs to fails."""


class ExecutionError(DurableError):
    """Raise it to fail the execution at once, without retries."""


class InvocationError(DurableError):
    """Raise it to fail this invocation only: Lambda invokes again, and finished operations replay."""
