"""What a handler's invocations did, written down: their checkpoint calls, and how each of them ended."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from durable_trio._protocol.operation import OperationRecord, OperationUpdate
    from durable_trio.clients import CheckpointResponse, ServiceClient, StatePage
    from durable_trio.clock import Clock

RAISED: Final = "RAISED"
CUT_OFF: Final = "CUT_OFF"


@dataclass(frozen=True, slots=True)
class CheckpointCall:
    """One checkpoint call of a handler's invocation, as it reached the service.

    Attributes:
        number: counts the calls of the execution, from 1.
        invocation: which of the execution's invocations made it, from 1.
        execution_arn: of which execution.
        updates: what it asked to record; may be empty.
        checkpoint_token, client_token: what it was made with.
        at: when it was made (epoch milliseconds, service time).
        response: the service's answer; None while there is none, or if it failed.
        error: what it failed with.
    """

    number: int
    invocation: int
    execution_arn: str
    updates: tuple[OperationUpdate, ...]
    checkpoint_token: str
    client_token: str
    at: int
    response: CheckpointResponse | None = None
    error: BaseException | None = None

    def __str__(self) -> str:
        return ", ".join(f"{update.type} {update.action}" for update in self.updates) or "(empty)"


@dataclass(frozen=True, slots=True)
class InvocationRecord:
    """One invocation as the service saw it. Instants are epoch milliseconds of service time.

    Attributes:
        number: counts the execution's invocations, from 1.
        execution_arn: of which execution.
        request_id: Lambda's id of the invocation.
        started_at: when it was called.
        ended_at: when it was over; None while it runs.
        answer: what it answered, as Lambda gets it; None if it did not.
        error: what it raised; for one that was cut off, ``trio.Cancelled``.
    """

    number: int
    execution_arn: str
    request_id: str
    started_at: int
    ended_at: int | None = None
    answer: Any = None
    error: BaseException | None = None

    @property
    def status(self) -> str:
        """How it ended: ``SUCCEEDED``, ``FAILED``, ``PENDING``, ``RAISED``, ``CUT_OFF`` or ``RUNNING``."""
        if self.ended_at is None:
            return "RUNNING"
        if self.error is not None:
            return RAISED if isinstance(self.error, Exception) else CUT_OFF
        return (
            str(self.answer["Status"]) if isinstance(self.answer, dict) and "Status" in self.answer else "?"
        )


class PassingClient:
    """Passes every call through; subclasses do something around it.

    Attributes:
        inner: the client that is called.
        clock: its clock, if it has one.
    """

    def __init__(self, inner: ServiceClient) -> None:
        self.inner = inner
        self.clock: Clock | None = getattr(inner, "clock", None)

    async def checkpoint(self, **request: Any) -> CheckpointResponse:
        """Pass a checkpoint through; see ``ServiceClient``."""
        return await self.inner.checkpoint(**request)

    async def get_state(self, **request: Any) -> StatePage:
        """Pass a read through; see ``ServiceClient``."""
        return await self.inner.get_state(**request)


Listener: TypeAlias = "Callable[[str, Sequence[OperationRecord]], None]"
"""Told what the service answered: the execution's ARN, and operations that were created or have changed."""


@dataclass(slots=True)
class Recording:
    """What happened, in order. Entries are replaced by fuller ones when their answer is there.

    Attributes:
        calls: the checkpoint calls.
        invocations: the invocations.
        listeners: are told about every answer before the invocation is.
    """

    calls: list[CheckpointCall] = field(default_factory=list)
    invocations: list[InvocationRecord] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)
    call_counts: dict[str, int] = field(default_factory=dict)
    invocation_counts: dict[str, int] = field(default_factory=dict)

    def tell(self, execution_arn: str, operations: Sequence[OperationRecord]) -> None:
        """Tell the listeners."""
        for listener in self.listeners:
            listener(execution_arn, operations)

    def next_number(self, counts: dict[str, int], execution_arn: str) -> int:
        """Count one more for an execution."""
        counts[execution_arn] = number = counts.get(execution_arn, 0) + 1
        return number


class RecordingClient(PassingClient):
    """Passes everything through, and writes the calls of one invocation down."""

    def __init__(self, inner: ServiceClient, recording: Recording, invocation: int, clock: Clock) -> None:
        super().__init__(inner)
        self._recording = recording
        self._invocation = invocation
        self._service_clock = clock

    async def checkpoint(self, **request: Any) -> CheckpointResponse:
        """Note the call, pass it on, and note the answer."""
        recording, arn = self._recording, request["durable_execution_arn"]
        call = CheckpointCall(
            recording.next_number(recording.call_counts, arn),
            self._invocation,
            arn,
            tuple(request["updates"]),
            request["checkpoint_token"],
            request["client_token"],
            self._service_clock.now(),
        )
        index = len(recording.calls)
        recording.calls.append(call)
        try:
            response = await self.inner.checkpoint(**request)
        except BaseException as error:
            recording.calls[index] = replace(call, error=error)
            raise
        recording.calls[index] = replace(call, response=response)
        recording.tell(arn, response.operations)
        return response

    async def get_state(self, **request: Any) -> StatePage:
        """Pass a read on."""
        page = await self.inner.get_state(**request)
        self._recording.tell(request["durable_execution_arn"], page.operations)
        return page
