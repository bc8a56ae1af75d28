"""Starting an execution: its arguments, and what an existing one of the same name means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio._protocol import limits
from durable_trio._protocol.value_class import frozen_dataclass, replace
from durable_trio.local.errors import ExecutionAlreadyStarted, InvalidParameterValue
from durable_trio.local.function_config import MAX_RETENTION_DAYS

if TYPE_CHECKING:
    from durable_trio._protocol.execution_record import ExecutionIdentity, ExecutionRecord
    from durable_trio._protocol.quotas import Quotas
    from durable_trio.local.ledger import Ledger


@frozen_dataclass(frozen=True, slots=True)
class StartRequest:
    """An execution that somebody wants to have started.

    Raises:
        InvalidParameterValue: a value is out of range.
    """

    identity: ExecutionIdentity
    input_payload: str
    quotas: Quotas

    def __post_init__(self) -> None:
        identity = self.identity
        if limits.EXECUTION_NAME.fullmatch(identity.arn.name) is None:
            raise InvalidParameterValue(f"name must be 1 to 64 of [a-zA-Z0-9-_], not {identity.arn.name!r}")
        size = len(self.input_payload.encode("utf-8", "surrogatepass"))
        most = self.quotas.execution_payload_bytes(is_asynchronous=identity.is_asynchronous)
        if size > most:
            raise InvalidParameterValue(f"input_payload must be at most {most} bytes, not {size}")
        least, longest = limits.MIN_EXECUTION_TIMEOUT_SECONDS, limits.MAX_EXECUTION_TIMEOUT_SECONDS
        if not least <= identity.execution_timeout_seconds <= longest:
            raise InvalidParameterValue(
                f"execution_timeout_seconds must be {least} to {longest}, not {identity.execution_timeout_seconds}"
            )
        if not 1 <= identity.retention_days <= MAX_RETENTION_DAYS:
            raise InvalidParameterValue(
                f"retention_days must be 1 to {MAX_RETENTION_DAYS}, not {identity.retention_days}"
            )
        if identity.tenant_id is not None and limits.TENANT_ID.fullmatch(identity.tenant_id) is None:
            raise InvalidParameterValue(
                f"tenant_id must be 1 to 256 of [a-zA-Z0-9._:/=+-@ ], not {identity.tenant_id!r}"
            )

    def apply(self, ledger: Ledger) -> ExecutionRecord:
        """Start the execution, or return the standing of the one that was started by the same request before.

        Raises:
            ExecutionAlreadyStarted: the function has another execution of this name.
        """
        arn = self.identity.arn
        for existing in ledger.store.find(arn.name, arn.function_name):
            if ledger.store.input_payload(existing.record.id) != self.input_payload:
                raise ExecutionAlreadyStarted(
                    f"function {arn.function_name!r} has an execution named {arn.name!r} with another payload"
                )
            return existing.record
        # The time is that of the transaction: nothing may have happened before the start.
        return ledger.start(replace(self.identity, started_at=ledger.clock.now()), self.input_payload)
