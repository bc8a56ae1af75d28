"""What a step and a polled condition have in common: a STEP that is attempted, and attempted again.

The record says where the attempts stand; this loop follows it until the operation has an outcome. An attempt
is made by the subclass, which records its end and says whether there is to be another one; between two the
operation is parked until the service says that the delay is over.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from durable_trio._protocol.replay import (
    Identity,
    Interrupted,
    Park,
    RaiseRecorded,
    Replay,
    RunAttempt,
    decide_step,
)
from durable_trio._runtime.failures import recorded_error
from durable_trio._runtime.operation import Operation

if TYPE_CHECKING:
    from durable_trio._protocol.operation import OperationRecord
    from durable_trio._runtime.node import ContextNode
    from durable_trio.exceptions import OperationError
    from durable_trio.serdes import SerDes

T_co = TypeVar("T_co", covariant=True)

AGAIN: Final = object()
"""What an attempt returns if there is to be another one."""


class AttemptsOperation(Operation[T_co]):
    """An operation of type STEP; see the module's theory."""

    __slots__ = ("_at_most_once", "_serdes")

    is_timed: ClassVar[bool] = True
    _error_class: ClassVar[type[OperationError]]

    def __init__(
        self, node: ContextNode, identity: Identity, serdes: SerDes, *, at_most_once: bool = False
    ) -> None:
        super().__init__(node, identity)
        self._serdes = serdes
        self._at_most_once = at_most_once

    @abstractmethod
    async def _attempt(self, record: OperationRecord | None, attempt: int, *, must_start: bool) -> Any:
        """Make one attempt and record its end; return the value, ``AGAIN``, or raise the recorded error."""

    @abstractmethod
    async def _interrupted(self, attempt: int) -> None:
        """Record that an at-most-once attempt was cut off; return if there is to be another one, or raise."""

    async def _execute(self) -> T_co:
        record = self.recorded()
        while True:
            match decide_step(record, at_most_once=self._at_most_once):
                case Replay(payload):
                    await self.invocation.supervisor.replay_checkpoint()
                    return self._decoded(payload)
                case RunAttempt(attempt, must_start):
                    self._node.entering(record, runs=True)
                    value = await self._attempt(record, attempt, must_start=must_start)
                    if value is not AGAIN:
                        return value  # type: ignore[no-any-return]  # decoded: only the user knows its type
                case RaiseRecorded(_, error):
                    await self.invocation.supervisor.replay_checkpoint()
                    raise recorded_error(error, self._error_class, self._identity)
                case Park(due_at):
                    await self.park(due_at)
                case Interrupted(attempt):
                    self._node.entering(record, runs=True)
                    await self._interrupted(attempt)
            record = self.invocation.state.get(self.id)

    def _decoded(self, payload: str | None) -> T_co:
        # Closed without a payload, by another SDK: the value is None.
        value: T_co = None if payload is None else self.decode(self._serdes, payload)  # type: ignore[assignment]
        return value
