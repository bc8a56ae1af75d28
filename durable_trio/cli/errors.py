"""What goes wrong on the command line: one line on stderr, and an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from durable_trio.local import LocalServiceError, ResourceNotFound

if TYPE_CHECKING:
    from typing import IO, Any

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NOT_FOUND: Final = 3


class UserError(click.ClickException):
    """A mistake of the user's, or a refusal of the service's. Prints as one line, without a traceback."""

    exit_code = EXIT_USAGE

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message as one line."""
        click.echo(f"Error: {' '.join(self.message.split())}", file=file, err=file is None)


class NotFoundError(UserError):
    """There is no such execution, callback or database."""

    exit_code = EXIT_NOT_FOUND


def only_error(error: Exception) -> Exception:
    """Return what *error* is about: nurseries wrap what leaves them, and a group of one is that one."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def to_user_error(error: Exception) -> UserError | None:
    """Return what the user has to be told about *error*, or None if it is a bug and has to be seen whole."""
    match error:
        case UserError():
            return error
        case ResourceNotFound():
            return NotFoundError(str(error))
        case LocalServiceError():
            return UserError(str(error))
        case _:
            return None
