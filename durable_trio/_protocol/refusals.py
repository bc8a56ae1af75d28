"""Why the service side refuses a request, as an error that carries no transport.

Who raises one has changed nothing: every request is validated whole before any of it is applied. The local
service gives each reason its error code and HTTP status.
"""

from __future__ import annotations

from enum import Enum


class RefusalReason(Enum):
    """What is wrong with a request."""

    INVALID = "invalid"
    """A member is malformed or out of range, or the change it asks for is not allowed."""
    INVALID_TOKEN = "invalid token"  # noqa: S105  # a reason, not a password
    """The checkpoint token is not the current one."""
    UNKNOWN_CALLBACK = "unknown callback"
    """No operation has this callback id."""
    CALLBACK_CLOSED = "callback closed"
    """The callback has been answered, has timed out, or its execution is over."""
    WRONG_STATUS = "wrong status"
    """The execution stands where this cannot be done to it."""


class RefusedError(ValueError):
    """The service refuses a request; nothing was changed."""

    def __init__(self, message: str, reason: RefusalReason = RefusalReason.INVALID) -> None:
        super().__init__(message)
        self.reason = reason
