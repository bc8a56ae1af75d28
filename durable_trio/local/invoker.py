"""Making the invocations that are due, one task for each.

An invocation has been recorded as started before its task starts, so none is ever made twice. How it ended is
recorded as soon as it has: while that fails (a full disk), the task keeps trying, since nobody else knows. If the
process ends first, the invocation is an interrupted one.

A call for whose answer somebody waits, of a function that is not durable, is made without any record: if the process
ends, the caller knows that it has no answer.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import trio

from durable_trio._protocol.invocation_rules import Crashed, end_invocation
from durable_trio._protocol.plain_calls import Returned, end_call
from durable_trio.local.calls import FunctionCall
from durable_trio.local.errors import ServiceFailure

if TYPE_CHECKING:
    import random

    from durable_trio._protocol.plain_calls import PlainOutcome
    from durable_trio.clock import Clock
    from durable_trio.local.calls import CallOutcome
    from durable_trio.local.dispatch import Dispatcher, DueInvocation
    from durable_trio.local.ledger import Ledger
    from durable_trio.local.owner import Owner
    from durable_trio.local.registry import RegisteredFunction, Registry
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
        registry: Registry,
        dispatcher: Dispatcher,
        clock: Clock,
        settings: LocalSettings,
        chance: random.Random,
    ) -> None:
        self._nursery = nursery
        self._owner = owner
        self._registry = registry
        self._dispatcher = dispatcher
        self._clock = clock
        self._settings = settings
        self._chance = chance
        self.running = 0
        """How many invocations are in flight: started, and their end not yet recorded."""

    def __repr__(self) -> str:
        return f"<Invoker {self.running} in flight>"

    def start(self, due: DueInvocation) -> None:
        """Start the task of an invocation."""
        self.running += 1
        self._nursery.start_soon(self._invoke, due, name=f"invocation of {due.function.name}")

    async def _invoke(self, due: DueInvocation) -> None:
        name = due.function.name
        try:
            call = FunctionCall(
                clock=self._clock,
                function=due.function.description,
                request_id=due.request_id,
                durable_execution_arn=due.arn,
                tenant_id=due.tenant_id,
                log_arn=due.log_arn,
            )
            await self._report(due, await call.make(due.function.runner, due.arguments))
        finally:
            self._end(name)
        await self._make_room(name)

    def _end(self, name: str) -> None:
        self.running -= 1
        self._registry.note_ended(name)
        self._owner.announce()

    async def _make_room(self, name: str) -> None:
        """Have an invocation begun that has waited for this one to end."""
        if self._dispatcher.has_waiting(name):
            await self.nudge()

    async def nudge(self) -> None:
        """Have the invocations begun that need not wait any more."""
        try:
            await self._owner.ask(lambda ledger: None)
        except ServiceFailure as failure:
            # They stay due, and whatever transaction comes next begins them.
            logger.warning("waiting invocations could not be started: %s", failure)

    async def call(self, function: RegisteredFunction, call: FunctionCall, payload: str) -> PlainOutcome:
        """Call a function that is not durable and return how it went.

        If cancelled, the function runs on: as on Lambda, whoever hangs up does not stop it.

        Raises:
            ServiceFailure: the service was closed in the meantime.
        """
        outcomes: list[CallOutcome] = []
        ended = trio.Event()

        async def make() -> None:
            try:
                outcomes.append(await call.make(function.runner, payload))
            finally:
                ended.set()
                self._end(function.name)
            await self._make_room(function.name)

        self.running += 1
        self._registry.note_started(function.name)
        self._nursery.start_soon(make, name=f"call of {function.name}")
        await ended.wait()
        if not outcomes:
            raise ServiceFailure("the local service was closed")
        return _plain(outcomes[0])

    async def _report(self, due: DueInvocation, outcome: CallOutcome) -> None:
        def end(ledger: Ledger) -> None:
            if ledger.record(due.execution_id) is None:
                # It was ended by force, and deleted.
                return
            record = ledger.open(due.execution_id)
            now, spread = self._clock.now(), self._chance.random()
            if record.identity.is_durable:
                assert not isinstance(outcome, Returned)  # noqa: S101  # runners answer as they are asked
                end_invocation(record, due.request_id, outcome, now, self._settings.retry_policy, spread)
            else:
                policy = self._settings.event_retry_policy
                end_call(record, due.request_id, _plain(outcome), now, policy, spread)
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


def _plain(outcome: CallOutcome) -> PlainOutcome:
    assert isinstance(outcome, Returned | Crashed)  # noqa: S101  # runners answer as they are asked
    return outcome
