"""Service clients that stand between an invocation and the service, or in the service's place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import trio

from durable_trio._protocol.operation import OperationType
from durable_trio.clients import CheckpointResponse, ServiceClient
from durable_trio.testing import FakeServiceClient as FakeService
from durable_trio.testing._driver import PassingClient

__all__ = ["FakeService", "PassingClient", "Script"]


class Script:
    """What happens to the checkpoint calls of a whole execution, by their number from 1.

    *delays*: seconds that a call takes. *withheld*: calls whose answer has no token. *errors*: calls that fail
    without reaching the service. *silent*: answers do not repeat the operations that were sent. Call it to put
    a client of an invocation under the script: it fits ``wrap=`` of the drivers.
    """

    def __init__(
        self,
        *,
        delays: dict[int, float] | None = None,
        withheld: tuple[int, ...] = (),
        errors: dict[int, Exception] | None = None,
        silent: bool = False,
    ) -> None:
        self.calls = 0
        self.delays = delays or {}
        self.withheld = withheld
        self.errors = errors or {}
        self.silent = silent

    def __call__(self, inner: ServiceClient, invocation: int) -> ServiceClient:
        """Return the client of one invocation."""
        return _ScriptedClient(inner, self)


class _ScriptedClient(PassingClient):
    def __init__(self, inner: ServiceClient, script: Script) -> None:
        super().__init__(inner)
        self._script = script

    async def checkpoint(self, **request: Any) -> CheckpointResponse:
        script = self._script
        script.calls += 1
        call = script.calls
        await trio.sleep(script.delays.get(call, 0))
        if call in script.errors:
            raise script.errors[call]
        response = await super().checkpoint(**request)
        if script.silent:
            sent = {update.id for update in request["updates"] if update.type is not OperationType.CALLBACK}
            response = replace(response, operations=tuple(o for o in response.operations if o.id not in sent))
        return replace(response, checkpoint_token=None) if call in script.withheld else response
