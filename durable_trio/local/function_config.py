"""What is known about a function: its settings, its versions, and the ways to name it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from durable_trio._protocol import limits
from durable_trio.exceptions import ValidationError
from durable_trio.local.errors import InvalidParameterValue

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FunctionConfig", "FunctionDescription"]

LATEST: Final = "$LATEST"
MAX_RETENTION_DAYS: Final = 90

_NAME: Final = re.compile(r"[a-zA-Z0-9\-_]{1,64}")
_VERSION: Final = re.compile(r"\$LATEST|[0-9]{1,20}")
_ALIAS: Final = re.compile(r"(?![0-9]+$)[a-zA-Z0-9\-_]{1,128}")
_QUALIFIED: Final = re.compile(
    r"(?:arn:[a-z0-9-]+:lambda:[a-z0-9-]+:(?:\d{12}:)?function:|\d{12}:function:)?"
    r"(?P<name>[a-zA-Z0-9\-_]{1,64})(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9\-_]{1,128}))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionConfig:
    """How a function is to be called. The numbers are Lambda's, except where it has no default.

    Attributes:
        timeout_seconds: how long one invocation may take before it is cut off, more than 0; by default 900, the most
            that Lambda allows.
        memory_limit_in_mb: what the Lambda context says about memory; nothing is limited. None: what the
            service's settings say.
        concurrency: how many invocations may be in flight at a time, at least 1; further ones wait their turn. None:
            any number. It is counted in this process alone.
        capacity: how many invocations whoever runs the function elsewhere can run at a time, at least 1; further
            ones of executions are only begun when one has ended. Unlike with *concurrency*, no caller is refused.
            None (the default): any number.
        execution_timeout_seconds: how long an execution may take, 1 to 31622400 (366 days, the default), unless it
            is started with a time of its own.
        retention_days: how long an execution is kept after its end, 1 to 90; by default 14.
        version: ``$LATEST`` (the default) or a number. An execution stays on the version that it was started with.
        aliases: further names of this version. None: any qualifier that is not another version of the function.
        description, handler: texts for who lists the functions.
        environment: variables, for whoever runs the function elsewhere.

    Raises:
        ValidationError: a value is out of range.
    """

    timeout_seconds: float = 900.0
    memory_limit_in_mb: int | None = None
    concurrency: int | None = None
    capacity: int | None = None
    execution_timeout_seconds: int = limits.MAX_EXECUTION_TIMEOUT_SECONDS
    retention_days: int = 14
    version: str = LATEST
    aliases: tuple[str, ...] | None = None
    description: str = ""
    handler: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.timeout_seconds < float("inf"):
            raise ValidationError(f"timeout_seconds must be more than 0, not {self.timeout_seconds!r}")
        for name, most in (
            ("memory_limit_in_mb", None),
            ("concurrency", None),
            ("capacity", None),
            ("execution_timeout_seconds", limits.MAX_EXECUTION_TIMEOUT_SECONDS),
            ("retention_days", MAX_RETENTION_DAYS),
        ):
            value = getattr(self, name)
            if value is not None and (value < 1 or (most is not None and value > most)):
                allowed = "at least 1" if most is None else f"1 to {most}"
                raise ValidationError(f"{name} must be {allowed}, not {value!r}")
        if _VERSION.fullmatch(self.version) is None:
            raise ValidationError(f"version must be $LATEST or a number, not {self.version!r}")
        for alias in self.aliases or ():
            if _ALIAS.fullmatch(alias) is None:
                raise ValidationError(
                    f"aliases must be 1 to 128 of [a-zA-Z0-9-_] and no number, not {alias!r}"
                )


@dataclass(frozen=True, slots=True)
class FunctionDescription:
    """A version of a function that a service knows.

    Attributes:
        name: the bare name.
        arn: its ARN, without a version.
        version: ``$LATEST`` or a number.
        is_durable: whether it is called with durable executions.
        kind: ``in-process`` or ``remote``.
        config: its settings.
        registered_at: since when the service knows it (epoch milliseconds).
    """

    name: str
    arn: str
    version: str
    is_durable: bool
    kind: Literal["in-process", "remote"]
    config: FunctionConfig
    registered_at: int

    @property
    def qualified_arn(self) -> str:
        """The ARN with the version."""
        return f"{self.arn}:{self.version}"


def check_function_name(name: str) -> None:
    """Check a bare function name.

    Raises:
        ValidationError: it is not 1 to 64 of ``[a-zA-Z0-9-_]``.
    """
    if _NAME.fullmatch(name) is None:
        raise ValidationError(f"function_name must be 1 to 64 of [a-zA-Z0-9-_], not {name!r}")


def split_name(function: str, qualifier: str | None = None) -> tuple[str, str | None]:
    """Return the bare name and the qualifier of a function that is given by name, partial ARN or ARN.

    Region and account are not looked at: a service has its own, whatever the ARNs of the functions it stands in for.

    Raises:
        InvalidParameterValue: this names no function, or *qualifier* contradicts it.
    """
    match = _QUALIFIED.fullmatch(function)
    if match is None:
        raise InvalidParameterValue(f"this is not the name or ARN of a function: {function!r:.300}")
    own = match["qualifier"]
    if qualifier is not None and own is not None and qualifier != own:
        raise InvalidParameterValue(
            f"the qualifier {qualifier!r} contradicts the one in the function's name, {own!r}"
        )
    return match["name"], own if qualifier is None else qualifier
