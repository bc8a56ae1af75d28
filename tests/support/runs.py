"""Run a handler to its end on the local service, in memory and in virtual time.

Tests that use it take the ``autojump_clock`` fixture: then every wait is over as soon as nothing else can run.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias

from durable_trio import Duration
from durable_trio._protocol.envelope import decode_invocation
from durable_trio._protocol.operation import OperationRecord
from durable_trio.local import (
    ExecutionDescription,
    HistoryEvent,
    LocalService,
    LocalSettings,
    open_local_service,
)
from durable_trio.testing import DurableRunner, ExecutionStuckError, _driver
from durable_trio.testing._driver import FUNCTION, CheckpointCall, InvocationRecord, Wrapper, wrapping

__all__ = ["FUNCTION", "Driver", "Handler", "Run", "driven", "input_of", "run"]

Handler: TypeAlias = Any
"""A durable handler, whatever its event and result."""


@dataclass
class Run:
    """What a run left behind."""

    description: ExecutionDescription
    events: tuple[HistoryEvent, ...]
    operations: list[OperationRecord]
    answers: list[Any] = field(default_factory=list)
    calls: list[CheckpointCall] = field(default_factory=list)

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


class Driver(_driver.Driver):
    """A function registered with a local service, whose invocations are written down."""

    def __init__(self, service: LocalService, handler: Handler, *, wrap: Wrapper | None = None) -> None:
        super().__init__(service, handler, [] if wrap is None else [wrapping(wrap)])
        self.events: list[Any] = []

    async def __call__(self, event: Any, lambda_context: Any, /, **options: Any) -> Any:
        """Be the function that the service invokes."""
        self.events.append(event)
        return await super().__call__(event, lambda_context, **options)

    @property
    def answers(self) -> list[Any]:
        """What each invocation answered, or ``raised``; those that were cut off are left out."""
        return answers_of(self.recording.invocations)

    @property
    def calls(self) -> list[CheckpointCall]:
        """The checkpoint calls so far."""
        return self.recording.calls

    async def finish(self, arn: str) -> Run:
        """Wait until the execution has ended, and return what it left behind."""
        description = await self.service.wait_closed(arn)
        await self.wait_rested()  # an execution may end before the invocation that ends it
        events = (await self.service.history(arn, limit=1000)).items
        return Run(
            description, events, await self.service.operations(arn), list(self.answers), list(self.calls)
        )


def answers_of(invocations: Sequence[InvocationRecord]) -> list[Any]:
    """Return what each invocation answered, or ``raised``; those that were cut off are left out."""
    return [
        "raised" if record.error is not None else record.answer
        for record in invocations
        if record.ended_at is not None and (record.error is None or isinstance(record.error, Exception))
    ]


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
    """Run *handler* to its end. *answers*: what to answer each callback with, by its operation's name.

    What it gives is for tests of the runtime, down to the wire; tests of workflows use ``DurableRunner`` as it is.
    """
    runner = DurableRunner(
        handler,
        invocation_timeout=timedelta(seconds=timeout_seconds),
        settings=settings or LocalSettings(),
        interposers=[] if wrap is None else [wrapping(wrap)],
        check_determinism=False,
    )
    for name, payload in (answers or {}).items():
        runner.callback(name).succeed(payload, after=Duration.seconds(1))
    async with runner:
        try:
            result = await runner.run(event, name="run")
        except ExecutionStuckError as stuck:  # it is for the test to say what is right
            result = stuck.result
        return Run(
            await runner.service.describe(result.arn),
            result.events,
            list(result.records),
            answers_of(result.invocations),
            list(result.calls),
        )


def input_of(event: Any) -> Any:
    """Return the user's input in an invocation event."""
    given = decode_invocation(event)
    return json.loads(getattr(given.operations[0].details, "input_payload", None) or "null")
