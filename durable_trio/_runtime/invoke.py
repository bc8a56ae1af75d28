"""``ctx.invoke``: another function, called by the service on this execution's behalf.

START carries the payload and is durable before the operation parks; a started one parks without a second
START. The answer is the service's: the function's result, or the error it failed with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from durable_trio._protocol.operation import (
    ChainedInvokeOptions,
    ErrorObject,
    OperationAction,
    OperationStatus,
)
from durable_trio._protocol.replay import Begin, Identity, Park, RaiseRecorded, Replay, decide_answer
from durable_trio._runtime.failures import recorded_error
from durable_trio._runtime.operation import Operation
from durable_trio.exceptions import InvokeError

if TYPE_CHECKING:
    from durable_trio._runtime.node import ContextNode
    from durable_trio.serdes import SerDes

T_co = TypeVar("T_co", covariant=True)

_WITHOUT_ERROR: Final = {
    OperationStatus.TIMED_OUT: ErrorObject("the invoked function timed out", "ChainedInvoke.Timeout"),
    OperationStatus.STOPPED: ErrorObject("the invoked execution was stopped", "ChainedInvoke.Stopped"),
}


class InvokeOperation(Operation[T_co]):
    """A chained invoke; see the module's theory."""

    __slots__ = ("_options", "_payload", "_payload_serdes", "_result_serdes")

    kind: ClassVar[str] = "invoke"
    is_timed: ClassVar[bool] = True
    _may_be_awaited_after_cancellation: ClassVar[bool] = True

    def __init__(
        self,
        node: ContextNode,
        identity: Identity,
        options: ChainedInvokeOptions,
        payload: Any,
        *,
        payload_serdes: SerDes,
        result_serdes: SerDes,
    ) -> None:
        super().__init__(node, identity)
        self._options = options
        self._payload = payload
        self._payload_serdes = payload_serdes
        self._result_serdes = result_serdes

    async def _execute(self) -> T_co:
        record = self.recorded()
        while True:
            match decide_answer(record):
                case Begin():
                    self._node.entering(record)
                    payload = self.encode(self._payload_serdes, self._payload)
                    start = self.update(OperationAction.START, payload=payload, options=self._options)
                    await self.invocation.writer.commit(start)
                case Park(due_at):
                    await self.park(due_at)
                case Replay(payload):
                    await self.invocation.supervisor.replay_checkpoint()
                    return self._decoded(payload)
                case RaiseRecorded(status, error):
                    await self.invocation.supervisor.replay_checkpoint()
                    raise recorded_error(error or _WITHOUT_ERROR.get(status), InvokeError, self._identity)
            record = self.invocation.state.get(self.id)

    def _decoded(self, payload: str | None) -> T_co:
        if payload is None:
            return None  # type: ignore[return-value]  # a function that answers nothing
        value: T_co = self.decode(self._result_serdes, payload)
        return value
