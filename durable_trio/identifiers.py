"""Identifiers as classes of their own: text that is known to be one.

``OperationId``, ``ExecutionArn`` and ``CallbackId`` are ``str`` that check themselves when they are made. They compare,
hash and print as the text they are, are stored as that text, and come back as their class where an annotation
says so. What the SDK hands out is plain ``str``; make one of these where text comes in from elsewhere.
"""

from __future__ import annotations

import uuid
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from durable_trio._protocol import limits
from durable_trio._protocol.arns import parse_arn
from durable_trio._protocol.json_leaves import TextValue
from durable_trio.exceptions import ValidationError

if TYPE_CHECKING:
    import re
    from typing import Self

    from durable_trio._protocol import arns

__all__ = ["CallbackId", "ExecutionArn", "OperationId", "uuid_from_operation"]

_MAX_CALLBACK_ID_LENGTH: Final = 1024


def _checked(value: object, pattern: re.Pattern[str], what: str) -> str:
    if not isinstance(value, str):
        raise ValidationError(f"{what}, not {type(value).__name__}")
    if pattern.fullmatch(value) is None:
        raise ValidationError(f"{what}, not {value[:100]!r}")
    return str.__str__(value)


class OperationId(TextValue):
    """The id of an operation: 1 to 64 letters, digits, hyphens and underscores.

    Raises:
        ValidationError: it is something else.
    """

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        """Check *value*."""
        what = "an operation id must be 1 to 64 letters, digits, hyphens and underscores"
        return super().__new__(cls, _checked(value, limits.OPERATION_ID, what))


class ExecutionArn(TextValue):
    """The ARN of a durable execution; its parts are attributes.

    ``arn:aws:lambda:<region>:<account>:function:<function>:<version>/durable-execution/<name>/<id>``

    Raises:
        ValidationError: it is something else.
    """

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        """Check *value*."""
        what = "an execution's ARN must be like arn:aws:lambda:...:function:f:1/durable-execution/name/id"
        return super().__new__(cls, _checked(value, limits.EXECUTION_ARN, what))

    @property
    def region(self) -> str:
        """The region of the function."""
        return self._parts.region

    @property
    def account(self) -> str:
        """The account's number, 12 digits."""
        return self._parts.account

    @property
    def function_name(self) -> str:
        """The name of the function."""
        return self._parts.function_name

    @property
    def version(self) -> str:
        """The function's version: a number, or ``$LATEST``."""
        return self._parts.version

    @property
    def name(self) -> str:
        """The name of the execution."""
        return self._parts.name

    @property
    def id(self) -> str:
        """The id of the execution, which is that of its EXECUTION operation, too."""
        return self._parts.id

    @property
    def _parts(self) -> arns.ExecutionArn:
        parts = parse_arn(self)
        if parts is None:
            raise AssertionError("an ARN was not checked")
        return parts


class CallbackId(TextValue):
    """The id of a callback, as the service gives it: base64, 1 to 1,024 characters.

    Raises:
        ValidationError: it is something else.
    """

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        """Check *value*."""
        what = "a callback id must be base64 of 1 to 1,024 characters"
        checked = _checked(value, limits.CALLBACK_ID, what)
        if len(checked) > _MAX_CALLBACK_ID_LENGTH:
            raise ValidationError(f"{what}, not of {len(checked)}")
        return super().__new__(cls, checked)


def uuid_from_operation(operation_id: str, seed: str = "") -> uuid.UUID:
    """Return a UUID (version 4 in form) that is a function of an operation's id and *seed* alone.

    The same on every replay and in every process, so it fits the keys of other systems. The hash is keyed: no such
    UUID is part of an operation's id, nor of what ``ctx.uuid()`` gives. Operation ids say where in the program an
    operation stands, and are the same in every execution of it: put the execution's ARN into *seed* where values
    of several executions meet.

    Raises:
        ValidationError: *operation_id* is no operation id, or *seed* no text.
    """
    place = OperationId(operation_id)
    if not isinstance(seed, str):
        raise ValidationError(f"seed must be text, not {seed!r}")
    text = f"{place}|{seed}".encode("utf-8", "surrogatepass")
    digest = blake2b(text, digest_size=16, key=b"durable_trio", person=b"operation uuid").digest()
    return uuid.UUID(bytes=digest, version=4)
