"""What may be set about the HTTP endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from durable_trio.exceptions import ValidationError

__all__ = ["DEFAULT_PORT", "HttpSettings"]

DEFAULT_PORT: Final = 9014

# JSON may write a byte as six ("\u0001"). The largest payload of the service has 6 MiB.
_MAX_BODY_BYTES: Final = 6 * 6 * 1024 * 1024 + 2 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """How patient the endpoint is, and who may talk to it.

    The service's own limits (6 MiB of input, 1 MiB for the answer to a callback, and so on) are not these:
    those are the service's to check.

    Attributes:
        allowed_hosts: names by which clients may call this machine, beside ``localhost`` and IP addresses,
            which are always allowed; for example ``("host.docker.internal",)``. Without port. See ``guard``.
        max_body_bytes: more than this is not kept in memory, whatever the request is about.
        body_seconds: how long a request's body may take to arrive.
        write_seconds: how long a client may take to read one piece of an answer.
        idle_seconds: how long a connection may stay open without a request, or with half of its headers.
        max_connections: more than this are closed as soon as they are opened.

    Raises:
        ValidationError: a number is not positive, or *allowed_hosts* is a string.
    """

    allowed_hosts: tuple[str, ...] = ()
    max_body_bytes: int = _MAX_BODY_BYTES
    body_seconds: float = 30.0
    write_seconds: float = 30.0
    idle_seconds: float = 30.0
    max_connections: int = 1_000

    def __post_init__(self) -> None:
        if isinstance(self.allowed_hosts, str):
            raise ValidationError(
                f"allowed_hosts must be a tuple of names, not the string {self.allowed_hosts!r}"
            )
        for name in ("max_body_bytes", "body_seconds", "write_seconds", "idle_seconds", "max_connections"):
            if not getattr(self, name) > 0:
                raise ValidationError(f"{name} must be more than 0, not {getattr(self, name)!r}")
