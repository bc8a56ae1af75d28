"""What every group of a local service's methods stands on: its parts, and its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio.local import changing
from durable_trio.local.changes import Feeds
from durable_trio.local.client import LocalClient
from durable_trio.local.dispatch import Dispatcher
from durable_trio.local.invoker import Invoker
from durable_trio.local.ledger import Ledger
from durable_trio.local.naming import Naming
from durable_trio.local.owner import Owner
from durable_trio.local.registry import Registry
from durable_trio.local.time_control import TimeControl

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    import trio

    from durable_trio._protocol.operation import OperationUpdate
    from durable_trio.clients import CheckpointResponse, StatePage
    from durable_trio.clock import Clock
    from durable_trio.local.hosts import Host
    from durable_trio.local.ledger import Deeds
    from durable_trio.local.settings import LocalSettings
    from durable_trio.local.store import Store


class ServiceBase:
    """The part of ``LocalService`` that its groups of methods share.

    Attributes:
        clock: the time by which the service keeps its timers.
        settings: what was set about it.
    """

    def __init__(
        self,
        store: Store,
        host: Host,
        settings: LocalSettings,
        clock: Clock,
        chance: random.Random,
        watch_seconds: float | None,
        nursery: trio.Nursery,
        speed: float = 1.0,
    ) -> None:
        self.clock = clock
        self.settings = settings
        self._nursery = nursery
        self._feeds = Feeds()
        self._registry = Registry(settings, clock)
        self._naming = Naming(settings, clock, self._registry, chance)
        self._dispatcher = Dispatcher(self._registry, settings, self._naming.make_id)
        self._ledger = Ledger(store, host, clock, settings, self._feeds, self._registry, self._dispatcher)
        self._owner = Owner(self._ledger, clock, self._perform, watch_seconds, gathers=store.is_on_disk)
        self._client = LocalClient(self)
        self._invoker = Invoker(
            nursery, self._owner, self._registry, self._dispatcher, clock, settings, chance
        )
        self._time = TimeControl(clock, self._owner, self._invoker, speed, settings.quiet_seconds)
        nursery.start_soon(self._owner.run, name="local service owner")
        nursery.start_soon(self._time.run, name="local service time")

    def __repr__(self) -> str:
        return f"<LocalService {len(self._registry)} functions, {self._ledger!r}>"

    def hang_up(self) -> None:
        """End the channels of all who watch an execution: nothing more will come."""
        self._feeds.close()

    # --- time --------------------------------------------------------------------------------------------

    async def until_idle(self) -> None:
        """Return when no invocation is in flight, none is due, and every other task of the Trio run is blocked."""
        await self._time.until_idle()

    def hold_time(self) -> AbstractContextManager[None]:
        """Keep the service from moving time by itself in the block. Without virtual time it does not anyway."""
        return self._time.hold()

    async def advance(self, seconds: float) -> None:
        """Move virtual time forward by hand.

        Every timer on the way ends at its own instant, and what it sets off runs until the service is idle before
        time goes on. Invocations that run already are waited for first. If cancelled, time stays where it has got to.

        Raises:
            ValidationError: *seconds* is negative or not finite, or the service has no virtual time.
        """
        await self._time.advance(seconds)

    # --- what functions ask for --------------------------------------------------------------------------

    async def checkpoint(
        self,
        *,
        durable_execution_arn: str,
        checkpoint_token: str,
        updates: Sequence[OperationUpdate],
        client_token: str,
    ) -> CheckpointResponse:
        """Record updates, as ``ServiceClient.checkpoint``, but with the service's own errors.

        Raises:
            InvalidParameterValue: an argument is wrong; the message begins with ``Invalid checkpoint token`` if it
                is the token.
        """
        return await self._owner.ask(
            lambda ledger: changing.checkpoint(
                ledger,
                durable_execution_arn,
                checkpoint_token,
                updates,
                client_token,
                self._naming.chained_target,
            )
        )

    async def get_state(
        self, *, durable_execution_arn: str, checkpoint_token: str, marker: str, max_items: int
    ) -> StatePage:
        """Return a page of the state, as ``ServiceClient.get_state``, but with the service's own errors.

        Raises:
            InvalidParameterValue: an argument is wrong; the message begins with ``Invalid checkpoint token`` if it
                is the token.
        """
        return await self._owner.ask(
            lambda ledger: changing.get_state(
                ledger, durable_execution_arn, checkpoint_token, marker, max_items
            )
        )

    # --- inside ------------------------------------------------------------------------------------------

    def _make_room(self, function_name: str) -> None:
        """Have the invocations begun that have waited for a function to be registered."""
        if self._dispatcher.has_waiting(function_name):
            self._nursery.start_soon(self._invoker.nudge)

    def _perform(self, deeds: Deeds) -> None:
        """Do what a committed transaction asks for."""
        for execution_id, record in deeds.touched.items():
            self._feeds.publish(record, deeds.effects.get(execution_id, ()))
        for due in deeds.invocations:
            self._invoker.start(due)
