"""Starting an execution: its arguments, and what an existing one of the same name means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from durable_trio._protocol import limits
from durable_trio.local.errors import ExecutionAlreadyStarted, InvalidParameterValue

if TYPE_CHECKING:
    from durable_trio._protocol.arns import ExecutionArn
    from durable_trio._protocol.execution_record import ExecutionRecord
    from durable_trio.local.ledger import Ledger

DEFAULT_RETENTION_DAYS: Final = 14
_MAX_RETENTION_DAYS: Final = 90


@dataclass(frozen=True, slots=True)
class StartRequest:
    """An execution that somebody wants to have started.

    Raises:
        InvalidParameterValue: a value is out of range.
    """

    arn: ExecutionArn
    input_payload: str
    execution_timeout_seconds: int
    retention_days: int

    def __post_init__(self) -> None:
        if limits.EXECUTION_NAME.fullmatch(self.arn.name) is None:
            raise InvalidParameterValue(f"name must be 1 to 64 of [a-zA-Z0-9-_], not {self.arn.name!r}")
        size = len(self.input_payload.encode("utf-8", "surrogatepass"))
        if size > limits.MAX_PAYLOAD_BYTES:
            raise InvalidParameterValue(
                f"input_payload must be at most {limits.MAX_PAYLOAD_BYTES} bytes, not {size}"
            )
        least, most = limits.MIN_EXECUTION_TIMEOUT_SECONDS, limits.MAX_EXECUTION_TIMEOUT_SECONDS
        if not least <= self.execution_timeout_seconds <= most:
            raise InvalidParameterValue(
                f"execution_timeout_seconds must be {least} to {most}, not {self.execution_timeout_seconds}"
            )
        if not 1 <= self.retention_days <= _MAX_RETENTION_DAYS:
            raise InvalidParameterValue(
                f"retention_days must be 1 to {_MAX_RETENTION_DAYS}, not {self.retention_days}"
            )

    def apply(self, ledger: Ledger) -> ExecutionRecord:
        """Start the execution, or return the standing of the one that was started by the same request before.

        Raises:
            ExecutionAlreadyStarted: the function has another execution of this name.
        """
        function_name, name = self.arn.function_name, self.arn.name
        for existing in ledger.store.find(name, function_name):
            if ledger.store.input_payload(existing.record.id) != self.input_payload:
                raise ExecutionAlreadyStarted(
                    f"function {function_name!r} has an execution named {name!r} with another payload"
                )
            return existing.record
        return ledger.start(
            self.arn,
            self.input_payload,
            execution_timeout_seconds=self.execution_timeout_seconds,
            retention_days=self.retention_days,
        )
