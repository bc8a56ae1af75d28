"""The seam under every tool of the kit: a handler whose invocations pass through interposers.

The local service calls a function; the function here is a ``Driver``. It makes an ``Invocation`` of what it is
called with and hands it through its *interposers* to the handler, outermost first, as middleware does::

    async def interposer(invocation: Invocation, call_next: CallNext) -> Any:
        return await call_next(invocation)

One shape does for everything that can happen to an invocation. An interposer may replace the client
(``replace(invocation, client=...)``) to lose, delay or repeat calls, change the event, run the rest in a cancel scope
and kill it there, raise instead of answering (the service sees a crashed invocation), or do something afterwards.
What it does is part of the invocation: the service waits for it, and its time limit cuts it off.

Everything is written down in a ``Recording``: the calls as they reach the service (under all interposers), and the
invocations as the service sees them (above all interposers).
"""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import trio

from durable_trio._protocol.envelope import decode_invocation
from durable_trio.exceptions import ConfigurationError
from durable_trio.local import LocalService, LocalSettings, open_local_service
from durable_trio.testing._recording import (
    CheckpointCall,
    InvocationRecord,
    PassingClient,
    Recording,
    RecordingClient,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from durable_trio.clients import ServiceClient

__all__ = [
    "FUNCTION",
    "CallNext",
    "CheckpointCall",
    "Driver",
    "Interposer",
    "Invocation",
    "InvocationRecord",
    "PassingClient",
    "Recording",
    "Wrapper",
    "driven",
    "target_of",
    "wrapping",
]

FUNCTION: Final = "function-under-test"
"""The name under which the handler is registered."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """What the service calls a function with, on its way to the handler.

    Attributes:
        number: counts the execution's invocations, from 1.
        execution_arn: of which execution.
        event: the durable execution envelope (``CheckpointToken``, ``InitialExecutionState``, ...).
        lambda_context: as Lambda passes it.
        client: the service, for this invocation.
    """

    number: int
    execution_arn: str
    event: dict[str, Any]
    lambda_context: Any
    client: ServiceClient


class CallNext(Protocol):
    """The rest of an invocation: the next interposer, in the end the handler."""

    def __call__(self, invocation: Invocation, /) -> Awaitable[Any]:
        """Run it and return what it answers."""
        ...


Interposer: TypeAlias = "Callable[[Invocation, CallNext], Awaitable[Any]]"
Wrapper: TypeAlias = "Callable[[ServiceClient, int], ServiceClient]"
"""Puts another client around the service's: called with the client and the invocation's number."""


def wrapping(wrap: Wrapper) -> Interposer:
    """Return an interposer that puts *wrap*'s client around the invocation's."""

    async def interpose(invocation: Invocation, call_next: CallNext) -> Any:
        return await call_next(replace(invocation, client=wrap(invocation.client, invocation.number)))

    return interpose


class Driver:
    """A function for a local service, which calls *handler* through *interposers* and writes everything down.

    Args:
        service: where it is registered (by whom it is made).
        handler: a durable handler (anything with ``invoke``), or an async function
            ``(event, lambda_context, *, client)``.
        interposers: what each invocation passes through, outermost first.
        recording: where to write to, if it is shared with other functions.
    """

    def __init__(
        self,
        service: LocalService,
        handler: Any,
        interposers: Sequence[Interposer] = (),
        recording: Recording | None = None,
    ) -> None:
        self.service = service
        self.handler = handler
        self.interposers = list(interposers)
        self.recording = recording if recording is not None else Recording()
        self._in_flight: Counter[str] = Counter()
        self._endings = trio.lowlevel.ParkingLot()

    def __repr__(self) -> str:
        return f"<Driver of {self.handler!r}, {self._in_flight.total()} in flight>"

    async def __call__(self, event: dict[str, Any], lambda_context: Any, /, *, client: ServiceClient) -> Any:
        """Be the function that the service invokes."""
        recording, clock = self.recording, self.service.clock
        arn = str(decode_invocation(event).durable_execution_arn)
        number = recording.next_number(recording.invocation_counts, arn)
        record = InvocationRecord(number, arn, lambda_context.aws_request_id, clock.now())
        index = len(recording.invocations)
        recording.invocations.append(record)
        client = RecordingClient(client, recording, number, clock)
        self._in_flight[arn] += 1
        try:
            answer = await self._call(Invocation(number, arn, event, lambda_context, client), 0)
        except BaseException as error:
            recording.invocations[index] = replace(record, ended_at=clock.now(), error=error)
            raise
        else:
            recording.invocations[index] = replace(record, ended_at=clock.now(), answer=answer)
            return answer
        finally:
            self._in_flight[arn] -= 1
            self._endings.unpark_all()

    async def wait_rested(self, execution_arn: str | None = None) -> None:
        """Return when no invocation (of that execution) is in flight.

        An execution may end before the invocation that ends it.
        """
        while self._in_flight[execution_arn] if execution_arn is not None else self._in_flight.total():
            await self._endings.park()

    async def _call(self, invocation: Invocation, depth: int) -> Any:
        if depth == len(self.interposers):
            target = target_of(self.handler)
            return await target(invocation.event, invocation.lambda_context, client=invocation.client)
        return await self.interposers[depth](invocation, lambda inner: self._call(inner, depth + 1))


def target_of(handler: Any) -> Callable[..., Awaitable[Any]]:
    """Return what to call for an invocation of *handler*.

    Raises:
        ConfigurationError: it is no durable handler, and not callable.
    """
    target = getattr(handler, "invoke", handler)
    if not callable(target):
        raise ConfigurationError(
            f"handler must be made by @durable_execution (or have an async method invoke), not {handler!r}"
        )
    return target  # type: ignore[no-any-return]  # checked as far as it can be


@asynccontextmanager
async def driven(
    handler: Any,
    *,
    interposers: Sequence[Interposer] = (),
    settings: LocalSettings | None = None,
    timeout_seconds: float = 900,
) -> AsyncIterator[Driver]:
    """Open a local service in memory with *handler* as its function ``FUNCTION``.

    Args:
        handler: as for ``Driver``.
        interposers: what each invocation passes through, outermost first.
        settings: the service's.
        timeout_seconds: how long one invocation may take.
    """
    async with open_local_service(settings=settings or LocalSettings()) as service:
        driver = Driver(service, handler, interposers)
        service.register(FUNCTION, driver, timeout_seconds=timeout_seconds)
        yield driver
