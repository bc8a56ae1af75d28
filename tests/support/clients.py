"""Service clients that stand between an invocation and the service, or in the service's place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import trio

from durable_trio._protocol import lifecycle
from durable_trio._protocol.operation import DETAILS, OperationRecord, OperationType, OperationUpdate
from durable_trio.clients import CheckpointResponse, ServiceClient, StatePage
from durable_trio.clock import Clock


class PassingClient:
    """Passes every call through; subclasses do something around it."""

    def __init__(self, inner: ServiceClient) -> None:
        self.inner = inner
        self.clock = getattr(inner, "clock", None)

    async def checkpoint(self, **request: Any) -> CheckpointResponse:
        """Pass a checkpoint through."""
        return await self.inner.checkpoint(**request)

    async def get_state(self, **request: Any) -> StatePage:
        """Pass a read through."""
        return await self.inner.get_state(**request)


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


class FakeService:
    """A service in memory for one execution: it keeps what it is told, and moves nothing by itself.

    Attributes:
        calls: the updates of each call.
        tokens: the token of each call.
        most_in_flight: how many calls were in flight at once, at most.
        seconds: how long each call takes.
        withheld: numbers of calls (from 1) whose answer has no token.
        errors: errors of calls, by number.
        moved: operations that the next answer tells about, besides those that were sent.
        pages: further pages of the next answer.
        is_silent: answers do not repeat the operations that were sent.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.calls: list[tuple[OperationUpdate, ...]] = []
        self.tokens: list[str] = []
        self.client_tokens: list[str] = []
        self.read_tokens: list[str] = []
        self.most_in_flight = 0
        self.seconds = 0.0
        self.withheld: set[int] = set()
        self.errors: dict[int, Exception] = {}
        self.moved: list[OperationRecord] = []
        self.pages: list[list[OperationRecord]] = []
        self.is_silent = False
        self._in_flight = 0
        self._operations: dict[str, OperationRecord] = {}

    async def checkpoint(
        self, *, durable_execution_arn: str, checkpoint_token: str, updates: Any, client_token: str
    ) -> CheckpointResponse:
        """Record a call and answer it."""
        self.calls.append(tuple(updates))
        self.tokens.append(checkpoint_token)
        self.client_tokens.append(client_token)
        number = len(self.calls)
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            await trio.sleep(self.seconds)
        finally:
            self._in_flight -= 1
        if number in self.errors:
            raise self.errors[number]
        answered = [self._apply(update) for update in updates if update.type is not OperationType.EXECUTION]
        told = [*([] if self.is_silent else answered), *self.moved]
        self.moved = []
        token = None if number in self.withheld else f"token-{number}"
        return CheckpointResponse(token, told, "page-0" if self.pages else "")

    async def get_state(
        self, *, durable_execution_arn: str, checkpoint_token: str, marker: str, max_items: int
    ) -> StatePage:
        """Answer with the page that *marker* names."""
        self.read_tokens.append(checkpoint_token)
        number = int(marker.removeprefix("page-"))
        following = f"page-{number + 1}" if number + 1 < len(self.pages) else ""
        return StatePage(self.pages[number], following)

    def _apply(self, update: OperationUpdate) -> OperationRecord:
        known = self._operations.get(update.id)
        status = lifecycle.next_status(update.type, known.status if known else None, update.action)
        assert status is not None, f"{update.action} is not allowed: {known}"
        record = OperationRecord(
            id=update.id,
            type=update.type,
            status=status,
            started_at=self.clock.now(),
            parent_id=update.parent_id,
            name=update.name,
            sub_type=update.sub_type,
            ended_at=self.clock.now() if status.is_terminal else None,
            details=DETAILS[update.type](),
        )
        self._operations[update.id] = record
        return record
