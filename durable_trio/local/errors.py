"""What the local service answers when it refuses, with the codes and HTTP statuses of AWS's service.

``refused`` is the one place where a refusal of the pure rules gets its code.
"""

# ruff: noqa: N818  # the names are those of the service's error codes
from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from durable_trio._protocol.refusals import RefusalReason
from durable_trio.exceptions import DurableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from durable_trio._protocol.refusals import RefusedError

__all__ = [
    "CallbackTimeout",
    "DatabaseTooNew",
    "DatabaseUnusable",
    "ExecutionAlreadyStarted",
    "ExecutionBusy",
    "InvalidParameterValue",
    "InvalidRequestContent",
    "LocalServiceError",
    "RequestTooLarge",
    "ResourceConflict",
    "ResourceNotFound",
    "ServiceFailure",
    "TooManyRequests",
]


class LocalServiceError(DurableError):
    """The local service refused a request, or failed at it.

    Attributes:
        code: the error code that AWS's service uses.
        http_status: the HTTP status that goes with it.
    """

    code: ClassVar[str] = "ServiceException"
    http_status: ClassVar[int] = 500


class InvalidParameterValue(LocalServiceError):
    """A member of the request is malformed, out of range, or asks for what is not allowed."""

    code = "InvalidParameterValueException"
    http_status = 400


class CallbackTimeout(LocalServiceError):
    """The callback has been answered already, has timed out, or its execution is over."""

    code = "CallbackTimeoutException"
    http_status = 400


class ResourceNotFound(LocalServiceError):
    """There is no such execution, function or callback."""

    code = "ResourceNotFoundException"
    http_status = 404


class ResourceConflict(LocalServiceError):
    """The execution is in no state to be treated like this."""

    code = "ResourceConflictException"
    http_status = 409


class ExecutionAlreadyStarted(ResourceConflict):
    """The function has an execution of this name, with another payload."""

    code = "DurableExecutionAlreadyStartedException"


class ExecutionBusy(ResourceConflict):
    """Another live process drives the execution."""


class InvalidRequestContent(LocalServiceError):
    """The payload of an invoke is not JSON."""

    code = "InvalidRequestContentException"
    http_status = 400


class RequestTooLarge(LocalServiceError):
    """The payload of an invoke is too big."""

    code = "RequestTooLargeException"
    http_status = 413


class TooManyRequests(LocalServiceError):
    """The function's limit of invocations at a time is reached.

    Attributes:
        retry_after_seconds: when to try again.
        reason: which limit it is, in AWS's words.
    """

    code = "TooManyRequestsException"
    http_status = 429

    def __init__(
        self,
        message: str,
        *,
        retry_after_seconds: int = 1,
        reason: str = "ReservedFunctionConcurrentInvocationLimitExceeded",
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.reason = reason


class ServiceFailure(LocalServiceError):
    """The service could not do it (its disk is full, say). Nothing was changed."""


class DatabaseUnusable(LocalServiceError):
    """The file cannot be opened, or is no database of the local service."""


class DatabaseTooNew(DatabaseUnusable):
    """The file was made by a newer version of durable_trio."""


_REASONS: Final[Mapping[RefusalReason, type[LocalServiceError]]] = {
    RefusalReason.INVALID: InvalidParameterValue,
    RefusalReason.INVALID_TOKEN: InvalidParameterValue,
    RefusalReason.UNKNOWN_CALLBACK: ResourceNotFound,
    RefusalReason.CALLBACK_CLOSED: CallbackTimeout,
    RefusalReason.WRONG_STATUS: ResourceConflict,
}


def refused(refusal: RefusedError) -> LocalServiceError:
    """Return the error that a refusal of the protocol's rules is answered with."""
    return _REASONS[refusal.reason](str(refusal))
