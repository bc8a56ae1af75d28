"""What a serializer is, and what it is told."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from durable_trio._protocol.value_class import dataclass


@dataclass(frozen=True, slots=True)
class SerdesContext:
    """What a payload belongs to.

    Attributes:
        operation_id: the operation's id.
        execution_arn: the ARN of the durable execution.
        name: the operation's name, or None.
    """

    operation_id: str
    execution_arn: str
    name: str | None = None


@runtime_checkable
class SerDes(Protocol):
    """A pair of functions between values and payload text.

    Both raise ``SerDesError`` for what they cannot do: a step then fails without a retry. Raise
    ``RetryableSerDesError`` for passing trouble: the invocation is retried.
    """

    def serialize(self, value: Any, ctx: SerdesContext) -> str:
        """Return the text of *value*."""
        ...

    def deserialize(self, text: str, ctx: SerdesContext) -> Any:
        """Return the value of *text*. Not called where a payload is absent."""
        ...


def type_name(value: object) -> str:
    """Return what to call the type of *value* in a message."""
    return type(value).__qualname__


def writes_like_aws(serdes: object) -> bool:
    """Tell whether *serdes* stores as AWS's Python SDK does: it is ``aws_python_serdes()``, or converts for it."""
    while (carrier := getattr(serdes, "carrier", None)) is not None:
        serdes = carrier
    return getattr(serdes, "writes_like_aws", False) is True
