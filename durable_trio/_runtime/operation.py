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
from contextlib import nullcontext
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, Final, Generic, TypeVar

import trio

from durable_trio._protocol.operation import OperationUpdate
from durable_trio._protocol.replay import Identity, difference, through_at
from durable_trio._runtime.cancelling import (
    has_plain_deadline,
    is_plain,
    plain_cancellation_error,
    plain_deadline_error,
)
from durable_trio._runtime.guarding import run_guarded
from durable_trio.exceptions import (
    ContextUseError,
    DurableError,
    NonDeterministicExecutionError,
    OperationCancelledError,
    RetryableSerDesError,
    SerDesError,
)
from durable_trio.serdes import SerdesContext

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from contextlib import AbstractContextManager
    from typing import Any

    from durable_trio._protocol.operation import (
        ErrorObject,
        OperationAction,
        OperationRecord,
        UpdateOptions,
    )
    from durable_trio._runtime.invocation import Invocation
    from durable_trio._runtime.node import ContextNode
    from durable_trio.serdes import SerDes

T_co = TypeVar("T_co", covariant=True)

_UNOBSERVED: Final = nullcontext()


class _Stage(Enum):
    CREATED = "created"
    FREE = "free"  # known about, so it does not warn; whoever may await it, can
    CLAIMED = "given to a combinator"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Operation(ABC, Generic[T_co]):
    """A durable operation, to be awaited.

    Attributes:
        id: the operation's id in the execution.
        name: its name, or None.

    Awaiting returns the operation's value or raises its error, the same on the first run and on replay. It is
    always a Trio checkpoint. If the await is cancelled, what was recorded stays recorded.
    """

    __slots__ = ("__weakref__", "_identity", "_node", "_stage", "_value", "id", "name")

    kind: ClassVar[str] = "operation"
    _tells_time: ClassVar[bool] = True
    """Its end is acknowledged when it is handed on, so its time is known to ``ctx.now()``."""
    is_unrecorded: ClassVar[bool] = False
    """It never has a record of its own: its outcome comes from the operations in it, each time."""
    _may_be_awaited_after_cancellation: ClassVar[bool] = False
    is_timed: ClassVar[bool] = False
    """A durable deadline asks when it was through; else it asks the operations in it."""

    def __init__(self, node: ContextNode, identity: Identity) -> None:
        self._node = node
        self._identity = identity
        self.id = identity.id
        self.name = identity.name
        self._stage = _Stage.CREATED
        self._value: Any = None
        if node.invocation.on_created is not None:
            node.invocation.on_created(self)

    def __repr__(self) -> str:
        return f"<{self.title} {self._stage.value}>"

    @property
    def title(self) -> str:
        """What to call the operation in a message."""
        return f"{self.kind} {self.name!r}" if self.name else f"{self.kind} {self.id[:8]}"

    def __await__(self) -> Generator[Any, Any, T_co]:
        return self._perform().__await__()

    def __del__(self) -> None:
        # Half-made objects (an error in __init__) have no stage.
        if getattr(self, "_stage", None) is _Stage.CREATED and not self._is_moot():
            warnings.warn(f"{self.title} was never awaited", RuntimeWarning, stacklevel=1, source=self)

    def _is_moot(self) -> bool:
        """Tell whether the code that was to await it has been cut off."""
        if self.invocation.is_closing or self.invocation.supervisor.is_cancelled:
            return True
        construct = self._node.construct
        return construct is not None and construct.is_cut

    @property
    def invocation(self) -> Invocation:
        """The invocation that the operation belongs to."""
        return self._node.invocation

    @property
    def identity(self) -> Identity:
        """What it is, and where in the program."""
        return self._identity

    @property
    def parent_id(self) -> str | None:
        """The id of the context it belongs to; None at the root."""
        return self._identity.parent_id

    # --- running ------------------------------------------------------------------------------------------

    @abstractmethod
    async def _execute(self) -> T_co:
        """Replay the operation, or do it and record it."""

    async def _perform(self) -> T_co:
        """Await the operation in the task that owns its context."""
        try:
            self._check_await()
        except ContextUseError:
            self._refuse()
            raise
        if self._stage in (_Stage.SUCCEEDED, _Stage.FAILED):
            await trio.lowlevel.checkpoint()
            self.tell_time()
            return self.value
        self._claim("awaited")
        node = self._awaiting_node
        node.busy_with = self
        try:
            if node.construct is None:
                await self.run()
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
        if self._stage not in (_Stage.SUCCEEDED, _Stage.FAILED):
            self._claim(f"given to {combinator}")
            self._stage = _Stage.CLAIMED

    def unclaim(self) -> None:
        """Take it back from a combinator that came to nothing."""
        if self._stage is _Stage.CLAIMED:
            self._stage = _Stage.FREE

    def belongs_to(self, node: ContextNode) -> bool:
        """Tell whether *node*'s body may combine it with its own operations."""
        return self._node is node

    def refused(self) -> None:
        """Note that somebody tried to use it: no warning is due that it was never awaited."""
        self._refuse()

    def _refuse(self) -> None:
        """Note that somebody tried: the error says what is wrong, a warning on top would mislead."""
        if self._stage is _Stage.CREATED:
            self._stage = _Stage.FREE

    def _claim(self, how: str) -> None:
        if self._stage is _Stage.CANCELLED:
            # Its end may have been on its way when it was cancelled; then it has an outcome, as it has on replay.
            if self._may_be_awaited_after_cancellation or self.invocation.state.is_terminal(self.id):
                self.invocation.state.reclaim(self.id)
                return
            raise OperationCancelledError(
                f"{self.title} was cancelled, because what it was part of had been decided without it:"
                " do not await it again, create a new operation"
            )
        if self._stage in (_Stage.CLAIMED, _Stage.RUNNING):
            raise ContextUseError(f"{self.title} cannot be {how}: it is {self._stage.value} already")

    def lose(self) -> None:
        """Note that the operation was cancelled, because its combinator was decided, and recorded so, without it.

        What has ended without a record that says so has no outcome either: a replay would not know of it.
        """
        if self._stage is _Stage.CLAIMED or (
            self.has_ended and not self.invocation.state.is_terminal(self.id)
        ):
            self._stage = _Stage.CANCELLED
            self._value = None
        if self._stage is _Stage.CANCELLED:
            self.invocation.state.abandon(self.id)

    def release(self) -> None:
        """Note on replay that the operation had ended when its combinator was decided, and may be asked again."""
        if self._stage is _Stage.CLAIMED:
            self._stage = _Stage.FREE

    @property
    def has_ended(self) -> bool:
        """Whether it has an outcome."""
        return self._stage in (_Stage.SUCCEEDED, _Stage.FAILED)

    async def run(self) -> None:
        """Run the operation to its end and keep the outcome; an ``Exception`` is an outcome, too."""
        if self._stage in (_Stage.SUCCEEDED, _Stage.FAILED):
            await trio.lowlevel.checkpoint()
            return
        if self.invocation.is_closing:
            await self.invocation.refuse()
        if self.invocation.deadline.has_passed:
            await self.invocation.supervisor.hold()
        self._stage = _Stage.RUNNING
        self.invocation.supervisor.progress += 1
        was_settled = self.was_settled()
        try:
            self._value = await self._start()
        except Exception as error:  # noqa: BLE001  # the operation's outcome, raised to whoever awaits it
            self._fail_with(error)
        except BaseExceptionGroup as group:
            self._stage = _Stage.CANCELLED
            raise self.invocation.cancellation_in(group) from None
        except BaseException:
            self._stage = _Stage.CANCELLED
            raise
        else:
            self._stage = _Stage.SUCCEEDED
        self.invocation.supervisor.progress += 1
        self._awaiting_node.leaving(was_settled=was_settled)

    def take_outcome(self, get: Callable[[], T_co]) -> None:
        """Take the outcome that *get* returns or raises, which is recorded: what ``run`` does, at once."""
        self._stage = _Stage.RUNNING
        was_settled = self.was_settled()
        try:
            self._value = get()
        except Exception as error:  # noqa: BLE001  # the operation's outcome, as in ``run``
            self._fail_with(error)
        else:
            self._stage = _Stage.SUCCEEDED
        self.invocation.supervisor.progress += 1
        self._awaiting_node.leaving(was_settled=was_settled)

    def _fail_with(self, error: Exception) -> None:
        if error.__suppress_context__:
            # Built from what was recorded. The live error behind it is gone on replay, so it goes now.
            error.__context__ = None
        self._value = error
        self._stage = _Stage.FAILED

    def _start(self) -> Awaitable[T_co]:
        node, invocation = self._awaiting_node, self.invocation
        if node.deadlines or invocation.unwinding is not None:
            return run_guarded(self, node, self._execute)
        return self._execute()

    def observed(
        self, attempt: int | None = None, *, is_replaying_children: bool = False
    ) -> AbstractContextManager[None]:
        """Return what goes around a run of the operation's body: plugins are told of it, if there are any."""
        plugins = self.invocation.plugins
        if plugins is None:
            return _UNOBSERVED
        return plugins.user_function(
            self._identity, attempt=attempt, is_replaying_children=is_replaying_children
        )

    def has_inside(self, other: Operation[Any]) -> bool:
        """Tell whether *other* is this operation, or inside of it, at any depth."""
        node: ContextNode | None = other._node
        while node is not None and node.prefix != self.id:
            node = node.parent
        return other is self or node is not None

    @property
    def is_running(self) -> bool:
        """Whether it has begun and has no outcome yet."""
        return self._stage is _Stage.RUNNING

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
        if self._stage is _Stage.CREATED:
            self._stage = _Stage.CANCELLED

    def was_settled(self) -> bool:
        """Tell, before it runs, whether the previous invocation had come past this operation."""
        return self.invocation.state.is_settled(self.id)

    @property
    def error(self) -> Exception | None:
        """The error it ended with; None if it has not ended, or succeeded."""
        return self._value if self._stage is _Stage.FAILED else None

    @property
    def value(self) -> T_co:
        """The value it ended with. Raises its error if it failed."""
        if self._stage is _Stage.FAILED:
            raise self._value
        value: T_co = self._value
        return value

    def refuse_record(self) -> None:
        """Fail the execution if something is recorded under the id of an operation that records nothing.

        Raises:
            NonDeterministicExecutionError: it was recorded by an earlier form of the program.
        """
        record = self.invocation.state.get(self.id)
        if record is not None:
            self.invocation.fail(
                NonDeterministicExecutionError(
                    f"{self.title} records nothing of its own, but a {record.sub_type or record.type} is recorded at"
                    " this place: whether a context is virtual or flat must not change under a running execution."
                )
            )

    # --- wire ---------------------------------------------------------------------------------------------

    def update(
        self,
        action: OperationAction,
        *,
        payload: str | None = None,
        error: ErrorObject | None = None,
        options: UpdateOptions | None = None,
    ) -> OperationUpdate:
        """Return the update that asks for *action* on this operation."""
        identity = self._identity
        return OperationUpdate(
            identity.id,
            identity.type,
            action,
            identity.parent_id,
            identity.name,
            identity.sub_type,
            payload,
            error,
            options,
        )

    def encode(self, serdes: SerDes, value: Any) -> str:
        """Return the payload of *value*.

        Raises:
            SerDesError: *serdes* refused it, or failed.
            RetryableSerDesError: it failed for now; the invocation ends with it.
        """
        try:
            return serdes.serialize(value, self._serdes_context)
        except RetryableSerDesError as error:
            self.invocation.fail(error)
        except DurableError:
            raise
        except Exception as error:
            raise SerDesError(
                f"the serdes of {self.title} cannot serialize: {error!r}; raise RetryableSerDesError in"
                " it for trouble that passes"
            ) from error

    def decode(self, serdes: SerDes, payload: str, ctx: SerdesContext | None = None) -> Any:
        """Return the value of *payload*, which is this operation's own unless *ctx* says whose it is.

        Raises:
            SerDesError: *serdes* refused it, or failed.
            RetryableSerDesError: it failed for now; the invocation ends with it.
        """
        try:
            return serdes.deserialize(payload, ctx or self._serdes_context)
        except RetryableSerDesError as error:
            # Even if the program catches it: the first run saw the value, so a replay must not go another way.
            self.invocation.fail(error)
        except DurableError:
            raise
        except Exception as error:
            raise SerDesError(
                f"the serdes of {self.title} cannot deserialize: {error!r}; raise RetryableSerDesError"
                " in it for trouble that passes"
            ) from error

    @property
    def _serdes_context(self) -> SerdesContext:
        return SerdesContext(
            operation_id=self.id,
            execution_arn=self.invocation.state.durable_execution_arn,
            name=self.name,
        )

    # --- identity -----------------------------------------------------------------------------------------

    def recorded(self) -> OperationRecord | None:
        """Return the record of this operation, after making sure that it is this operation's.

        Raises:
            NonDeterministicExecutionError: it is the record of something else; the execution fails.
        """
        record = self.invocation.state.get(self.id)
        if record is None:
            if self._node.is_past:
                self.invocation.fail(
                    NonDeterministicExecutionError(
                        f"{self.title} is new, but its context has finished: a context whose result is too big to"
                        " keep runs its body again, and must ask for the operations that it asked for before."
                    )
                )
            return None
        if self.invocation.plugins is not None and not record.status.is_terminal:
            self.invocation.plugins.operation_met(record)
        differs = difference(record, self._identity)
        if differs is None:
            return record
        if differs.only_default_name:
            self.invocation.log.warning(
                "default name changed", operationId=self.id, recorded=record.name, now=self.name
            )
            return record
        self.invocation.fail(
            NonDeterministicExecutionError(
                f"{self.title} does not match what was recorded at this place:\n{differs.text}\n"
                "The code has changed since the execution started, or its order of operations depends on something"
                " that is not recorded (time, randomness, iteration over a set, plain tasks). Deploy changed code"
                " under a new version, and decide by recorded values only."
            )
        )
