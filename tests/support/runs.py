"""Run a handler to its end on the local service, in memory and in virtual time.

Tests that use it take the ``autojump_clock`` fixture: then every wait is over as soon as nothing else can run.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import trio

from durable_trio._protocol.envelope import decode_invocation
from durable_trio._protocol.operation import OperationRecord, OperationUpdate
from durable_trio.clients import CheckpointResponse, ServiceClient, StatePage
from durable_trio.local import (
    ExecutionDescription,
    HistoryEvent,
    LocalService,
    LocalSettings,
    open_local_service,
)

Handler: TypeAlias = Any
"""A durable handler, whatever its event and result."""

FUNCTION = "function-under-test"


@dataclass
class Call:
    """One checkpoint call that a handler's invocation made."""

    invocation: int
    updates: tuple[OperationUpdate, ...]

    def __str__(self) -> str:
        return ", ".join(f"{update.type} {update.action}" for update in self.updates) or "(empty)"


@dataclass
class Run:
    """What a run left behind."""

    description: ExecutionDescription
    events: tuple[HistoryEvent, ...]
    operations: list[OperationRecord]
    answers: list[Any] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    @property
    def status(self) -> str:
        """How the execution ended."""
        return self.description.status.value

    @property
    def result(self) -> Any:
        """The decoded result; fails the test if there is none."""
        assert self.description.status.value == "SUCCEEDED", self.description.error
        return json.loads(self.description.result or "null")

    @property
    def error(self) -> Any:
        """The recorded error; fails the test if the execution did not fail."""
        assert self.description.error is not None, self.description
        return self.description.error

    @property
    def event_types(self) -> list[str]:
        """The types of the history's events, in order."""
        return [str(event.type) for event in self.events]

    @property
    def invocations(self) -> list[str]:
        """What each invocation answered (or ``raised``)."""
        return [answer["Status"] if isinstance(answer, dict) else answer for answer in self.answers]

    def named(self, name: str) -> OperationRecord:
        """Return the one operation of this name."""
        (found,) = [operation for operation in self.operations if operation.name == name]
        return found

    def record(self) -> list[tuple[Any, ...]]:
        """Return what an execution must leave behind whatever happened on the way: identity and outcome."""
        return sorted(
            (o.id, o.type, o.sub_type or "", o.name or "", o.parent_id or "", o.status, repr(o.details))
            for o in self.operations
            if o.type != "EXECUTION"
        )


class RecordingClient:
    """Passes everything through, and writes the calls down."""

    def __init__(self, inner: ServiceClient, calls: list[Call], invocation: int) -> None:
        self._inner = inner
        self._calls = calls
        self._invocation = invocation
        self.clock = getattr(inner, "clock", None)

    async def checkpoint(
        self,
        *,
        durable_execution_arn: str,
        checkpoint_token: str,
        updates: Any,
        client_token: str,
    ) -> CheckpointResponse:
        """Note the call, and pass it on."""
        self._calls.append(Call(self._invocation, tuple(updates)))
        return await self._inner.checkpoint(
            durable_execution_arn=durable_execution_arn,
            checkpoint_token=checkpoint_token,
            updates=updates,
            client_token=client_token,
        )

    async def get_state(
        self, *, durable_execution_arn: str, checkpoint_token: str, marker: str, max_items: int
    ) -> StatePage:
        """Pass the call on."""
        return await self._inner.get_state(
            durable_execution_arn=durable_execution_arn,
            checkpoint_token=checkpoint_token,
            marker=marker,
            max_items=max_items,
        )


Wrapper: TypeAlias = Callable[[ServiceClient, int], ServiceClient]
"""Puts a client of the test's around the service's: called with the client and the invocation's number."""


class Driver:
    """A function registered with a local service, whose invocations are written down."""

    def __init__(self, service: LocalService, handler: Handler, *, wrap: Wrapper | None = None) -> None:
        self.service = service
        self.handler = handler
        self.answers: list[Any] = []
        self.calls: list[Call] = []
        self.events: list[Any] = []
        self._wrap = wrap
        self._count = 0
        self._ended = trio.Event()

    async def __call__(self, event: dict[str, Any], lambda_context: Any, /, *, client: ServiceClient) -> Any:
        """Be the function that the service invokes."""
        self._count += 1
        self._ended = trio.Event()
        self.events.append(event)
        recording: ServiceClient = RecordingClient(client, self.calls, self._count)
        if self._wrap is not None:
            recording = self._wrap(recording, self._count)
        try:
            answer = await self.handler.invoke(event, lambda_context, client=recording)
        except Exception:
            self.answers.append("raised")
            raise
        finally:
            self._ended.set()
        self.answers.append(answer)
        return answer

    async def finish(self, arn: str) -> Run:
        """Wait until the execution has ended, and return what it left behind."""
        description = await self.service.wait_closed(arn)
        await self._ended.wait()  # an execution may end before the invocation that ends it
        events = (await self.service.history(arn, limit=1000)).items
        return Run(
            description, events, await self.service.operations(arn), list(self.answers), list(self.calls)
        )


@asynccontextmanager
async def driven(
    handler: Handler,
    *,
    wrap: Wrapper | None = None,
    settings: LocalSettings | None = None,
    timeout_seconds: float = 900,
) -> AsyncIterator[Driver]:
    """Open a local service in memory with *handler* as its function."""
    async with open_local_service(settings=settings or LocalSettings()) as service:
        driver = Driver(service, handler, wrap=wrap)
        service.register(FUNCTION, driver, timeout_seconds=timeout_seconds)
        yield driver


async def run(
    handler: Handler,
    event: Any = None,
    *,
    wrap: Wrapper | None = None,
    answers: dict[str, str | None] | None = None,
    settings: LocalSettings | None = None,
    timeout_seconds: float = 900,
) -> Run:
    """Run *handler* to its end. *answers*: what to answer each callback with, by its operation's name."""
    async with driven(handler, wrap=wrap, settings=settings, timeout_seconds=timeout_seconds) as driver:
        started = await driver.service.start_execution(FUNCTION, json.dumps(event), name="run")
        async with trio.open_nursery() as nursery:
            if answers:
                nursery.start_soon(_answer, driver.service, started.arn, dict(answers))
            finished = await driver.finish(started.arn)
            nursery.cancel_scope.cancel()
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


def input_of(event: Any) -> Any:
    """Return the user's input in an invocation event."""
    given = decode_invocation(event)
    return json.loads(getattr(given.operations[0].details, "input_payload", None) or "null")
