"""``ctx.create_callback`` and ``ctx.wait_for_callback``: an answer from the outside world.

The service makes the callback's id, so creating one waits for its START. The callback then lives on its own:
its result is an operation on the same id, without an id of its own, which may be awaited again and again, in
the context that created it and in those inside it.

``wait_for_callback`` is the composition that everybody needs: a child context with the callback and a step
that hands its id to the outside world. The step is recorded, so nobody is notified twice after that.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

import trio

from durable_trio._protocol.operation import (
    CallbackDetails,
    CallbackOptions,
    ErrorObject,
    OperationAction,
    OperationStatus,
)
from durable_trio._protocol.replay import Identity, Park, RaiseRecorded, Replay, decide_answer
from durable_trio._runtime.child import ContextOperation
from durable_trio._runtime.failures import callback_error_object, error_object, recorded_callback_error
from durable_trio._runtime.node import current_node
from durable_trio._runtime.operation import Operation
from durable_trio.exceptions import (
    CallbackError,
    CallbackExternalError,
    CallbackSubmitterError,
    CallbackTimeoutError,
    CheckpointError,
    ContextUseError,
    StepError,
)
from durable_trio.serdes.base import writes_like_aws

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from durable_trio._runtime.node import ContextNode
    from durable_trio.serdes import SerDes

T_co = TypeVar("T_co", covariant=True)

_ERRORS: Final[dict[OperationStatus, type[CallbackError]]] = {
    OperationStatus.FAILED: CallbackExternalError,
    OperationStatus.TIMED_OUT: CallbackTimeoutError,
}


class Callback(Generic[T_co]):
    """An open callback.

    Attributes:
        callback_id: what the outside world needs to answer it: ``SendDurableExecutionCallbackSuccess``,
            ``...Failure``, ``...Heartbeat``.
    """

    __slots__ = ("_identity", "_node", "_serdes", "callback_id")

    def __init__(
        self, node: ContextNode, identity: Identity, callback_id: str, serdes: SerDes | None
    ) -> None:
        self._node = node
        self._identity = identity
        self._serdes = serdes
        self.callback_id = callback_id

    def __repr__(self) -> str:
        return f"<Callback {self._identity.name or self._identity.id[:8]!r} {self.callback_id}>"

    def result(self) -> Operation[T_co]:
        """Return the operation that waits for the answer; takes no id, and may be repeated.

        The answer is the raw text that was sent, unless the callback was created with a ``serdes`` or a
        ``result_type``; None if it was answered without one.

        Raises (when awaited):
            CallbackExternalError: the outside world answered with a failure.
            CallbackTimeoutError: nobody answered in time, or a heartbeat failed to come.
            CallbackError: it was stopped or cancelled.
        """
        return CallbackResult(self._node, self._identity, self._serdes)


class CreateCallback(Operation[Callback[T_co]]):
    """Creates a callback; succeeds as soon as the service has given it an id."""

    __slots__ = ("_options", "_serdes")

    kind: ClassVar[str] = "callback"
    is_timed: ClassVar[bool] = True
    _tells_time: ClassVar[bool] = False  # it has only begun
    _may_be_awaited_after_cancellation: ClassVar[bool] = True

    def __init__(
        self, node: ContextNode, identity: Identity, options: CallbackOptions, serdes: SerDes | None
    ) -> None:
        super().__init__(node, identity)
        self._options = options
        self._serdes = serdes

    async def _execute(self) -> Callback[T_co]:
        record = self.recorded()
        if record is None:
            self._node.entering(record)
            start = self.update(OperationAction.START, options=self._options)
            await self.invocation.writer.commit(start)
            record = self.invocation.state.get(self.id)
        else:
            await trio.lowlevel.checkpoint()
        details = record.details if record else None
        if not isinstance(details, CallbackDetails) or details.callback_id is None:
            self.invocation.fail(CheckpointError(f"the service gave no callback id to {self.title}"))
        return Callback(self._node, self._identity, details.callback_id, self._serdes)

    def through_at(self) -> int | None:
        """Return when it was created: that is all there is to wait for."""
        record = self.invocation.state.get(self.id)
        return None if record is None else record.started_at

    def was_settled(self) -> bool:
        """Creating it was over as soon as it was recorded; how it stands is its result's business."""
        return self.invocation.state.get(self.id) is not None


class CallbackResult(Operation[T_co]):
    """The answer to a callback."""

    __slots__ = ("_serdes",)

    kind: ClassVar[str] = "callback result"
    is_timed: ClassVar[bool] = True
    _may_be_awaited_after_cancellation: ClassVar[bool] = True

    def __init__(self, node: ContextNode, identity: Identity, serdes: SerDes | None) -> None:
        super().__init__(node, identity)
        self._serdes = serdes

    def _check_await(self) -> None:
        # A callback outlives the block in which it was created.
        if not self._node.still_open.is_current_or_above():
            raise ContextUseError(
                f"cannot await {self.title} here: only the context that created the callback and the contexts"
                " inside it may"
            )
        self._awaiting_node.check_use(f"await {self.title}")

    @property
    def _awaiting_node(self) -> ContextNode:
        return current_node.get() or self._node

    def belongs_to(self, node: ContextNode | None) -> bool:
        home = self._node.still_open
        while node is not None and node is not home:
            node = node.parent
        return node is not None

    async def _execute(self) -> T_co:
        while True:
            match decide_answer(self.invocation.state.get(self.id)):
                case Replay(payload):
                    await self.invocation.supervisor.replay_checkpoint()
                    return self._decoded(payload)
                case RaiseRecorded(status, error):
                    await self.invocation.supervisor.replay_checkpoint()
                    raise self._error(status, error)
                case Park(due_at):
                    await self.park(due_at)

    def _decoded(self, payload: str | None) -> T_co:
        if payload is None or self._serdes is None:
            return payload  # type: ignore[return-value]  # without a serdes the value is the text
        value: T_co = self.decode(self._serdes, payload)
        return value

    def _error(self, status: OperationStatus, error: ErrorObject | None) -> CallbackError:
        if error is None:
            error = ErrorObject(message=f"the callback ended as {status}", type=f"Callback.{status.title()}")
        cls = _ERRORS.get(status, CallbackError)
        return cls.from_recorded(error, operation_id=self.id, name=self.name)


class WaitForCallback(ContextOperation[T_co]):
    """A child context that holds a callback and the step that submits its id.

    Its payload is the callback's own, so that it is decoded once, the same way, on the first run and on replay.
    AWS's Python SDK stores the answer's text like any value; so do we in an execution that is shared with it.
    """

    __slots__ = ("_answer_serdes",)

    kind: ClassVar[str] = "wait for callback"
    _tells_time: ClassVar[bool] = True  # whoever has waited for days wants to know: its end is committed

    def __init__(
        self,
        node: ContextNode,
        identity: Identity,
        body: Callable[..., Any],
        *,
        serdes: SerDes,
        answer_serdes: SerDes | None,
    ) -> None:
        super().__init__(node, identity, body, (), serdes=serdes)
        self._answer_serdes = answer_serdes

    def _body_observed(self, child: ContextNode) -> AbstractContextManager[None]:
        return nullcontext()  # no user's function: the submitter is a step in it

    def _encoded(self, value: Any) -> str | None:
        if self._is_wrapped:
            return self.encode(self._serdes, value)
        return value  # type: ignore[no-any-return]  # the text of the answer, or None

    def _decoded(self, payload: str | None) -> T_co:
        if payload is not None and self._is_wrapped:
            return self.decode(self._serdes, payload)  # type: ignore[no-any-return]  # the text again
        if payload is None or self._answer_serdes is None:
            return payload  # type: ignore[return-value]  # without a serdes the value is the text
        value: T_co = self.decode(self._answer_serdes, payload)
        return value

    @property
    def _is_wrapped(self) -> bool:
        return self._answer_serdes is None and writes_like_aws(self._serdes)

    def _recorded_failure(self, error: Exception) -> ErrorObject:
        if isinstance(error, StepError):
            # The only step in here is the submitter's.
            error = CallbackSubmitterError(error.message, error_type=error.error_type, data=error.data)
        return callback_error_object(error) if isinstance(error, CallbackError) else error_object(error)

    def _failure(self, recorded: ErrorObject | None) -> Exception:
        return recorded_callback_error(recorded, self._identity)
