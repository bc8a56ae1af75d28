"""Who knows which callbacks were created, and gives the answers that were planned for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import trio

from durable_trio._protocol.operation import CallbackDetails, ErrorObject, OperationType, SubType
from durable_trio.config import exact_seconds
from durable_trio.exceptions import ConfigurationError, ValidationError
from durable_trio.local import LocalServiceError
from durable_trio.testing.callbacks import PlannedAnswer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractContextManager
    from datetime import timedelta

    from durable_trio._protocol.operation import OperationRecord
    from durable_trio.duration import Duration
    from durable_trio.local import LocalService
    from durable_trio.testing.callbacks import CallbackAnswer, CallbackHandle

_OWN_SUFFIX = " create callback id"  # of the callback inside a wait_for_callback


@dataclass(frozen=True, slots=True)
class SeenCallback:
    """A callback that has been created."""

    execution_arn: str
    callback_id: str
    names: frozenset[str]
    at: int


class CallbackDesk:
    """Knows the callbacks that were created, and gives the planned answers.

    *driving* lets virtual time move; *has_ended* tells whether no more callbacks are to be expected.
    """

    def __init__(
        self, driving: Callable[[], AbstractContextManager[None]], has_ended: Callable[[], bool]
    ) -> None:
        self.seen: list[SeenCallback] = []
        self._driving = driving
        self._has_ended = has_ended
        self._plans: list[tuple[CallbackHandle, PlannedAnswer, float]] = []
        self._contexts: dict[tuple[str, str], OperationRecord] = {}
        self._known: set[str] = set()
        self._news = trio.lowlevel.ParkingLot()
        self._service: LocalService | None = None
        self._nursery: trio.Nursery | None = None

    @property
    def answers(self) -> list[CallbackAnswer]:
        """Every answer that was planned, as it stands."""
        return [planned.answer for _, planned, _ in self._plans]

    def open(self, service: LocalService, nursery: trio.Nursery) -> None:
        """Begin to give answers, with tasks in *nursery*."""
        self._service, self._nursery = service, nursery
        for plan in self._plans:
            nursery.start_soon(self._give, *plan)

    def note(self, execution_arn: str, operations: Sequence[OperationRecord]) -> None:
        """Look through what the service told for callbacks that are new."""
        for record in operations:
            if record.type is OperationType.CONTEXT:
                self._contexts[execution_arn, record.id] = record
        for record in operations:
            details = record.details
            if not isinstance(details, CallbackDetails) or details.callback_id is None:
                continue
            if details.callback_id not in self._known:
                self._known.add(details.callback_id)
                names = self._names(execution_arn, record)
                self.seen.append(SeenCallback(execution_arn, details.callback_id, names, record.started_at))
        self.wake()

    def wake(self) -> None:
        """Have everybody who waits for a callback look again."""
        self._news.unpark_all()

    def plan(
        self, handle: CallbackHandle, answer: CallbackAnswer, after: Duration | timedelta | None
    ) -> PlannedAnswer:
        """Take note of an answer to be given."""
        seconds = 0.0 if after is None else exact_seconds("after", after)
        if seconds < 0:
            raise ValidationError(f"after must not be negative, not {after!r}")
        planned = PlannedAnswer(answer, self._driving)
        self._plans.append((handle, planned, seconds))
        if self._nursery is not None:
            self._nursery.start_soon(self._give, handle, planned, seconds)
        return planned

    async def wait_for(self, handle: CallbackHandle) -> SeenCallback:
        """Return the callback that *handle* names once it exists."""
        if self._service is None:
            raise ConfigurationError("enter the runner first: async with DurableRunner(...) as runner")
        with self._driving():
            while (seen := handle.find()) is None:
                if self._has_ended():
                    names = sorted({name for other in self.seen for name in other.names}) or ["none"]
                    raise AssertionError(
                        f"no callback {handle.label!r} was created before the execution ended; there were: "
                        + ", ".join(names)
                    )
                await self._news.park()
        await trio.lowlevel.checkpoint()
        return seen

    async def _give(self, handle: CallbackHandle, planned: PlannedAnswer, after_seconds: float) -> None:
        service = self._service
        assert service is not None  # noqa: S101  # started by open, or after it
        planned_at = service.clock.now()
        while (seen := handle.find()) is None:
            await self._news.park()
        begins_at = max(planned_at, seen.at)
        await service.clock.sleep_until(begins_at + round(after_seconds * 1000))
        answer = replace(
            planned.answer,
            execution_arn=seen.execution_arn,
            callback_id=seen.callback_id,
            at=service.clock.now(),
        )
        try:
            await _send(service, seen.callback_id, answer)
        except LocalServiceError as refusal:
            answer = replace(answer, refusal=refusal)
        planned.settle(answer)

    def _names(self, execution_arn: str, record: OperationRecord) -> frozenset[str]:
        """Return what a callback may be called: its name and path, and those of a ``wait_for_callback`` around it."""
        own = record.name or record.sub_type or record.type.value
        around: list[OperationRecord] = []
        parent_id = record.parent_id
        while parent_id is not None and (context := self._contexts.get((execution_arn, parent_id))):
            around.append(context)
            parent_id = context.parent_id
        outer = [context.name or context.sub_type or "" for context in reversed(around)]
        names = {own, "/".join([*outer, own]), record.id}
        if around and around[0].sub_type == SubType.WAIT_FOR_CALLBACK:
            names |= {outer[-1], "/".join(outer), own.removesuffix(_OWN_SUFFIX)}
        return frozenset(names)


def _send(service: LocalService, callback_id: str, answer: CallbackAnswer) -> Awaitable[None]:
    match answer.action:
        case "succeed":
            return service.callback_succeed(callback_id, answer.payload)
        case "fail":
            return service.callback_fail(callback_id, answer.error or ErrorObject())
        case "heartbeat":
            return service.callback_heartbeat(callback_id)
