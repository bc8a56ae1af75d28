"""Making the invocations that are due, one task for each.

An invocation has been recorded as started before its task starts, so none is ever made twice. How it ended is
recorded as soon as it has: while that fails (a full disk), the task keeps trying, since nobody else knows. If the
process ends first, the invocation is an interrupted one.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final

import trio

from durable_trio._protocol.invocation_rules import end_invocation
from durable_trio.local.errors import ServiceFailure
from durable_trio.local.functions import LocalLambdaContext, invoke

if TYPE_CHECKING:
    import random

    from durable_trio._protocol.invocation_rules import InvocationOutcome
    from durable_trio.clients import ServiceClient
    from durable_trio.clock import Clock
    from durable_trio.local.functions import RegisteredFunction
    from durable_trio.local.ledger import DueInvocation, Ledger
    from durable_trio.local.owner import Owner
    from durable_trio.local.settings import LocalSettings

_FIRST_DELAY_SECONDS: Final = 1.0
_MAX_DELAY_SECONDS: Final = 60.0

logger = logging.getLogger("durable_trio.local")


class Invoker:
    """Runs invocations in *nursery* and tells *owner* how they ended."""

    def __init__(
        self,
        nursery: trio.Nursery,
        owner: Owner,
        client: ServiceClient,
        clock: Clock,
        settings: LocalSettings,
        chance: random.Random,
    ) -> None:
        self._nursery = nursery
        self._owner = owner
        self._client = client
        self._clock = clock
        self._settings = settings
        self._chance = chance

    def start(self, function: RegisteredFunction, due: DueInvocation) -> None:
        """Start the task of an invocation."""
        self._nursery.start_soon(self._run, function, due, name=f"invocation of {function.name}")

    async def _run(self, function: RegisteredFunction, due: DueInvocation) -> None:
        deadline_at = self._clock.now() + math.floor(function.timeout_seconds * 1000)
        context = LocalLambdaContext(
            clock=self._clock,
            deadline_at=deadline_at,
            request_id=due.request_id,
            function_name=function.name,
            function_arn=due.arguments.durable_execution_arn.partition("/")[0],
            memory_limit_in_mb=self._settings.memory_limit_in_mb,
        )
        await self._report(due, await invoke(function, due.arguments, context, self._client))

    async def _report(self, due: DueInvocation, outcome: InvocationOutcome) -> None:
        def end(ledger: Ledger) -> None:
            record = ledger.open(due.execution_id)
            policy, spread = self._settings.retry_policy, self._chance.random()
            end_invocation(record, due.request_id, outcome, self._clock.now(), policy, spread)
            ledger.save(record)

        delay_seconds = _FIRST_DELAY_SECONDS
        while True:
            try:
                return await self._owner.ask(end)
            except ServiceFailure as failure:
                logger.warning(
                    "the end of invocation %s could not be recorded, trying again in %g s: %s",
                    due.request_id,
                    delay_seconds,
                    failure,
                )
            await trio.sleep(delay_seconds)
            delay_seconds = min(delay_seconds * 2, _MAX_DELAY_SECONDS)
