"""What new executions and calls are called, and on whose terms they run."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from durable_trio._protocol.arns import ExecutionArn
from durable_trio._protocol.execution_record import ExecutionIdentity
from durable_trio._protocol.function_moves import ChainedTarget
from durable_trio.local.calls import FunctionCall
from durable_trio.local.errors import InvalidParameterValue, ResourceNotFound

if TYPE_CHECKING:
    import random

    from durable_trio._protocol.operation import ChainedInvokeOptions
    from durable_trio.clock import Clock
    from durable_trio.local.registry import RegisteredFunction, Registry
    from durable_trio.local.settings import LocalSettings


class Naming:
    """Makes ids, ARNs and identities; *chance* is where ids come from."""

    def __init__(
        self, settings: LocalSettings, clock: Clock, registry: Registry, chance: random.Random
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._registry = registry
        self._chance = chance

    def make_id(self) -> str:
        """Return an id that nobody has had before."""
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))

    def arn(self, function: RegisteredFunction, name: str | None) -> ExecutionArn:
        """Return the ARN of a new execution; without a *name*, one is made up."""
        return ExecutionArn(
            region=self._settings.region,
            account=self._settings.account,
            function_name=function.name,
            name=self.make_id() if name is None else name,
            id=self.make_id(),
            version=function.description.version,
        )

    def identity(
        self,
        function: RegisteredFunction,
        name: str | None,
        tenant_id: str | None,
        *,
        execution_timeout_seconds: int | None = None,
        retention_days: int | None = None,
        is_asynchronous: bool = False,
    ) -> ExecutionIdentity:
        """Return the identity of a new execution; what is None is taken from the function's settings."""
        config = function.config
        if execution_timeout_seconds is None:
            execution_timeout_seconds = config.execution_timeout_seconds
        return ExecutionIdentity(
            arn=self.arn(function, name),
            started_at=self._clock.now(),
            execution_timeout_seconds=execution_timeout_seconds,
            retention_days=config.retention_days if retention_days is None else retention_days,
            tenant_id=tenant_id,
            is_asynchronous=is_asynchronous,
            is_durable=function.description.is_durable,
        )

    def chained_target(self, options: ChainedInvokeOptions) -> ChainedTarget | None:
        """Return what a chained invoke is to call; None if there is no such function."""
        try:
            function = self._registry.resolve(options.function_name)
        except (ResourceNotFound, InvalidParameterValue):
            return None
        return ChainedTarget(self.arn(function, None), is_durable=function.description.is_durable)

    def plain_call(
        self, function: RegisteredFunction, tenant_id: str | None, client_context: str | None
    ) -> FunctionCall:
        """Return a new call of a function that is not durable."""
        return FunctionCall(
            clock=self._clock,
            function=function.description,
            request_id=self.make_id(),
            durable_execution_arn=None,
            tenant_id=tenant_id,
            log_arn=None,
            client_context=client_context,
        )
