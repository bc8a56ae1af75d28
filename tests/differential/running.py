"""Run one half of a pair on a recording local service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import trio
from support.runs import FUNCTION, Run, driven

from durable_trio import durable_execution
from durable_trio.exceptions import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable_trio._protocol.operation import OperationUpdate
    from durable_trio.clients import CheckpointResponse, ServiceClient, StatePage
    from durable_trio.local import LocalService


class LossyClient:
    """Passes everything on, but for one checkpoint, which fails as a service in trouble does.

    *at*: name and action of the update whose checkpoint is lost, once.
    """

    def __init__(self, inner: ServiceClient, at: tuple[str, str] | None, lost: list[OperationUpdate]) -> None:
        self._inner = inner
        self._at = at
        self._lost = lost
        self.clock = getattr(inner, "clock", None)

    async def checkpoint(self, *, updates: Sequence[OperationUpdate], **request: Any) -> CheckpointResponse:
        """Pass the call on, or lose it."""
        if not self._lost and any((update.name, update.action) == self._at for update in updates):
            self._lost.extend(updates)
            raise CheckpointError("the service is in trouble", is_retryable=True)
        return await self._inner.checkpoint(updates=updates, **request)

    async def get_state(self, **request: Any) -> StatePage:
        """Pass the call on."""
        return await self._inner.get_state(**request)


@durable_execution
async def _doubler(event: int, ctx: object) -> int:
    return event * 2


@durable_execution
async def _failing(event: object, ctx: object) -> None:
    raise ValueError("boom")


async def run_recorded(
    handler: Any, *, answers: dict[str, str | None], fails_at: tuple[str, str] | None
) -> Run:
    """Run *handler* to its end; functions ``doubler`` and ``failing`` can be invoked."""
    lost: list[OperationUpdate] = []
    async with driven(handler, wrap=lambda client, _: LossyClient(client, fails_at, lost)) as driver:
        driver.service.register("doubler", _doubler.invoke)
        driver.service.register("failing", _failing.invoke)
        started = await driver.service.start_execution(FUNCTION, json.dumps(None), name="run")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_answer, driver.service, started.arn, dict(answers))
            finished = await driver.finish(started.arn)
            nursery.cancel_scope.cancel()
    assert bool(lost) == (fails_at is not None)
    return finished


async def _answer(service: LocalService, arn: str, answers: dict[str, str | None]) -> None:
    """Answer callbacks by name, a second after they were created."""
    while answers:
        await trio.sleep(1)
        for operation in await service.operations(arn):
            if operation.type == "CALLBACK" and operation.status == "STARTED" and operation.name in answers:
                callback_id = getattr(operation.details, "callback_id", None)
                assert callback_id is not None
                await service.callback_succeed(callback_id, answers.pop(operation.name))
