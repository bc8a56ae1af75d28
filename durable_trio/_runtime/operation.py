"""``Operation[T]``: what every operation method returns.

An operation has its id from the moment it is created, and does nothing until it is awaited or given to a
combinator. It runs once. Awaiting it again gives the same outcome; what was cancelled because it lost (in a
fail-fast ``all``, say) cannot be had again, except for what is still pending at the service.

A subclass implements ``_execute``: replay, or do it and record it.
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, Generic, NoReturn, TypeVar

import trio

from durable_trio._protocol.replay import Identity, through_at
from durable_trio._runtime.cancelling import (
    has_plain_deadline,
    is_plain,
    plain_cancellation_error,
    plain_deadline_error,
)
from durable_trio._runtime.guarding import run_guarded
from durable_trio._runtime.recorded_operation import RecordedOperation
from durable_trio.exceptions import ContextUseError, OperationCancelledError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from typing import Any

    from durable_trio._runtime.node import ContextNode

T_co = TypeVar("T_co", covariant=True)


class _Stage(Enum):
    CREATED = "created"
    FREE = "free"  # known about, so it does not warn; whoever may await it, can
    CLAIMED = "given to a combinator"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


# Looking a member up in its class takes ten times as long before Python 3.12.
_CREATED, _FREE, _CLAIMED, _RUNNING, _SUCCEEDED, _FAILED, _CANCELLED = _Stage


class Operation(RecordedOperation, ABC, Generic[T_co]):
    """A durable operation, to be awaited.

    Attributes:
        id: the operation's id in the execution.
        name: its name, or None.
        invocation: the invocation that it belongs to.

    Awaiting returns the operation's value or raises its error, the same on the first run and on replay. It is
    always a Trio checkpoint. If the await is cancelled, what was recorded stays recorded.
    """

    __slots__ = ("_stage", "_value")

    _tells_time: ClassVar[bool] = True
    """Its end is acknowledged when it is handed on, so its time is known to ``ctx.now()``."""
    is_unrecorded: ClassVar[bool] = False
    """It never has a record of its own: its outcome comes from the operations in it, each time."""
    _may_be_awaited_after_cancellation: ClassVar[bool] = False
    is_timed: ClassVar[bool] = False
    """A durable deadline asks when it was through; else it asks the operations in it."""

    def __init__(self, node: ContextNode, identity: Identity) -> None:
        super().__init__(node, identity)
        self._stage = _CREATED
        self._value: Any = None
        if self.invocation.on_created is not None:
            self.invocation.on_created(self)

    def __repr__(self) -> str:
        return f"<{self.title} {self._stage.value}>"

    def __await__(self) -> Generator[Any, Any, T_co]:
        return self._perform().__await__()

    def __del__(self) -> None:
        # Half-made objects (an error in __init__) have no stage.
        if getattr(self, "_stage", None) is _CREATED and not self._is_moot():
            warnings.warn(f"{self.title} was never awaited", RuntimeWarning, stacklevel=1, source=self)

    def _is_moot(self) -> bool:
        """Tell whether the code that was to await it has been cut off."""
        if self.invocation.is_closing or self.invocation.supervisor.is_cancelled:
            return True
        construct = self._node.construct
        return construct is not None and construct.is_cut

    # --- running ------------------------------------------------------------------------------------------

    @abstractmethod
    def _execute(self) -> Awaitable[T_co]:
        """Replay the operation, or do it and record it."""

    async def _perform(self) -> T_co:
        """Await the operation in the task that owns its context."""
        try:
            self._check_await()
        except ContextUseError:
            self._refuse()
            raise
        if self.has_ended:
            await trio.lowlevel.checkpoint()
            self.tell_time()
            return self.value
        self._claim("awaited")
        node = self._awaiting_node
        node.busy_with = self
        try:
            if node.construct is None:
                # As ``run`` does, without its coroutine: ten thousand parked branches would keep it.
                if self.invocation.is_closing or self.invocation.deadline.has_passed:
                    await self._keep_from_starting()
                with _Settling(self):
                    self._value = await self._start()
            else:
                await node.construct.run_cuttable(self)
        except (trio.Cancelled, BaseExceptionGroup) as cancellation:
            if is_plain(cancellation) and not self.invocation.supervisor.is_closing:
                self.invocation.fail(plain_cancellation_error(self.title))
            raise
        finally:
            node.busy_with = None
        self.tell_time()
        return self.value

    def tell_time(self) -> None:
        """Let ``ctx.now()`` know when it ended: its context has awaited it."""
        if self._tells_time:
            self._awaiting_node.note_end(self.id)

    def park(self, due_at: int | None) -> Awaitable[None]:
        """Sleep until the operation's record changes; *due_at* is when a timer will change it, if that is known.

        Raises:
            ContextUseError: there is a plain deadline around it; the execution fails.
        """
        if has_plain_deadline():
            self.invocation.fail(plain_deadline_error(self.title))
        return self.invocation.supervisor.park(self.id, due_at)

    @property
    def awaiting_node(self) -> ContextNode:
        """The node of the body that awaits it."""
        return self._awaiting_node

    @property
    def _awaiting_node(self) -> ContextNode:
        """The context whose body awaits the operation."""
        return self._node

    def _check_await(self) -> None:
        if not self._node.is_usable:
            self._node.check_use(f"await {self.title}")

    def claim(self, combinator: str, node: ContextNode) -> None:
        """Give the operation to a combinator of *node*.

        Raises:
            ContextUseError: it belongs to another context, or is awaited already.
        """
        if not self.belongs_to(node):
            self._refuse()
            raise ContextUseError(
                f"cannot give {self.title} to {combinator}: it belongs to another context. Combine"
                " operations of the context that combines them."
            )
        if self._stage not in (_SUCCEEDED, _FAILED):
            self._claim(f"given to {combinator}")
            self._stage = _CLAIMED

    def unclaim(self) -> None:
        """Take it back from a combinator that came to nothing."""
        if self._stage is _CLAIMED:
            self._stage = _FREE

    def belongs_to(self, node: ContextNode) -> bool:
        """Tell whether *node*'s body may combine it with its own operations."""
        return self._node is node

    def refused(self) -> None:
        """Note that somebody tried to use it: no warning is due that it was never awaited."""
        self._refuse()

    def _refuse(self) -> None:
        """Note that somebody tried: the error says what is wrong, a warning on top would mislead."""
        if self._stage is _CREATED:
            self._stage = _FREE

    def _claim(self, how: str) -> None:
        if self._stage is _CANCELLED:
            # Its end may have been on its way when it was cancelled; then it has an outcome, as it has on replay.
            if self._may_be_awaited_after_cancellation or self.invocation.state.is_terminal(self.id):
                self.invocation.state.reclaim(self.id)
                return
            raise OperationCancelledError(
                f"{self.title} was cancelled, because what it was part of had been decided without it:"
                " do not await it again, create a new operation"
            )
        if self._stage in (_CLAIMED, _RUNNING):
            raise ContextUseError(f"{self.title} cannot be {how}: it is {self._stage.value} already")

    def lose(self) -> None:
        """Note that the operation was cancelled, because its combinator was decided, and recorded so, without it.

        What has ended without a record that says so has no outcome either: a replay would not know of it.
        """
        if self._stage is _CLAIMED or (self.has_ended and not self.invocation.state.is_terminal(self.id)):
            self._stage = _CANCELLED
            self._value = None
        if self._stage is _CANCELLED:
            self.invocation.state.abandon(self.id)

    def release(self) -> None:
        """Note on replay that the operation had ended when its combinator was decided, and may be asked again."""
        if self._stage is _CLAIMED:
            self._stage = _FREE

    @property
    def has_ended(self) -> bool:
        """Whether it has an outcome."""
        return self._stage is _SUCCEEDED or self._stage is _FAILED

    async def run(self) -> None:
        """Run the operation to its end and keep the outcome; an ``Exception`` is an outcome, too."""
        if self.has_ended:
            await trio.lowlevel.checkpoint()
            return
        if self.invocation.is_closing or self.invocation.deadline.has_passed:
            await self._keep_from_starting()
        with _Settling(self):
            self._value = await self._start()

    def take_outcome(self, get: Callable[[], T_co]) -> None:
        """Take the outcome that *get* returns or raises, which is recorded: what ``run`` does, at once."""
        with _Settling(self):
            self._value = get()

    async def _keep_from_starting(self) -> NoReturn:
        if self.invocation.is_closing:
            await self.invocation.refuse()
        await self.invocation.supervisor.hold()

    def _start(self) -> Awaitable[T_co]:
        node, invocation = self._awaiting_node, self.invocation
        if node.deadlines or invocation.unwinding is not None:
            return run_guarded(self, node, self._execute)
        return self._execute()

    def has_inside(self, other: Operation[Any]) -> bool:
        """Tell whether *other* is this operation, or inside of it, at any depth."""
        node: ContextNode | None = other._node
        while node is not None and node.prefix != self.id:
            node = node.parent
        return other is self or node is not None

    @property
    def is_running(self) -> bool:
        """Whether it has begun and has no outcome yet."""
        return self._stage is _RUNNING

    @property
    def is_ending(self) -> bool:
        """Whether its outcome is settled, and recorded or on its way to the service."""
        return self.invocation.state.is_terminal(self.id)

    def ended_at(self) -> float:
        """Return the latest recorded end that it knows of: its own, or else of what is in it; infinite if none is."""
        state = self.invocation.state
        if self.is_timed and not state.is_terminal(self.id):
            return math.inf  # nothing is in it
        end = state.latest_end_at(self.id)
        return math.inf if end is None else end

    def through_at(self) -> int | None:
        """Return when the program could go past it, by the service's record; None if it cannot yet."""
        record = self.invocation.state.get(self.id)
        return None if record is None else through_at(record)

    def cut_off(self) -> None:
        """Note that it is not awaited after all: the code that was about to is cut off."""
        if self._stage is _CREATED:
            self._stage = _CANCELLED

    def was_settled(self) -> bool:
        """Tell, before it runs, whether the previous invocation had come past this operation."""
        return self.invocation.state.is_settled(self.id)

    @property
    def error(self) -> Exception | None:
        """The error it ended with; None if it has not ended, or succeeded."""
        return self._value if self._stage is _FAILED else None

    @property
    def value(self) -> T_co:
        """The value it ended with. Raises its error if it failed."""
        if self._stage is _FAILED:
            raise self._value
        value: T_co = self._value
        return value


class _Settling:
    """Around what gives an operation its outcome: an ``Exception`` is one, too; what is cancelled has none."""

    __slots__ = ("_operation", "_was_settled")

    def __init__(self, operation: Operation[Any]) -> None:
        self._operation = operation

    def __enter__(self) -> None:
        operation = self._operation
        operation._stage = _RUNNING
        operation.invocation.supervisor.progress += 1
        self._was_settled = operation.was_settled()

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        operation = self._operation
        if error is None:
            operation._stage = _SUCCEEDED
        elif isinstance(error, Exception):
            if error.__suppress_context__:
                # Built from what was recorded. The live error behind it is gone on replay, so it goes now.
                error.__context__ = None
            operation._value = error
            operation._stage = _FAILED
        else:
            operation._stage = _CANCELLED
            if isinstance(error, BaseExceptionGroup):
                raise operation.invocation.cancellation_in(error) from None
            return False
        operation.invocation.supervisor.progress += 1
        operation._awaiting_node.leaving(was_settled=self._was_settled)
        return True
