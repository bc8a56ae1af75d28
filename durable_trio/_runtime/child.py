"""``ctx.run_in_child_context``, and what every context operation has in common.

A context groups operations: it has a namespace of ids of its own, and when it ends its result stands for all
that happened in it. START is queued, not awaited: it precedes its children in the queue. So is the end: it is
computed from its children's records, and queued before anything that depends on it, so losing it in a crash
loses nothing.

A result over 262,144 bytes is not stored. The context is closed with ``ReplayChildren`` and its summary as
payload; on replay the body runs again over its finished children, and must not ask for anything new.

A *virtual* context records nothing of its own: it is a namespace, and its operations belong to the context
around it. Its body runs on every replay, its error leaves it as it is.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from durable_trio._protocol.batching import is_result_stored
from durable_trio._protocol.lifecycle import START, SUCCEED
from durable_trio._protocol.operation import ContextOptions, ErrorObject, OperationAction, OperationUpdate
from durable_trio._protocol.replay import (
    Begin,
    Identity,
    RaiseRecorded,
    Replay,
    ReplayChildren,
    decide_context,
)
from durable_trio._runtime.actor import BodyOf, run_in_actor
from durable_trio._runtime.bodies import call_context_body, closed_on_error
from durable_trio._runtime.failures import error_object, is_fatal, recorded_error
from durable_trio._runtime.node import ContextNode
from durable_trio._runtime.operation import Operation
from durable_trio.exceptions import ChildContextError, ConfigurationError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

    from durable_trio._runtime.writer import SizedUpdate
    from durable_trio.serdes import SerDes

T_co = TypeVar("T_co", covariant=True)


def summary_text(summary: Callable[[Any], str] | None, value: Any) -> str | None:
    """Return what the user's *summary* says of a *value* that is too big to store; None without a summary.

    Raises:
        ValidationError: it says something that is no text.
    """
    if summary is None:
        return None
    text = summary(value)
    if not isinstance(text, str):
        raise ValidationError(f"summary must return text, not {text!r}")
    return text


class ContextOperation(Operation[T_co]):
    """A recorded context: runs a body in a namespace of its own, as an actor."""

    _tells_time: ClassVar[bool] = False  # its end is only queued

    __slots__ = ("_args", "_body", "_error_mapper", "_has_outcome", "_is_announced", "_serdes", "_summary")

    kind: ClassVar[str] = "context"

    def __init__(
        self,
        node: ContextNode,
        identity: Identity,
        body: Callable[..., Any],
        args: tuple[Any, ...],
        *,
        serdes: SerDes,
        summary: Callable[[Any], str] | None = None,
        error_mapper: Callable[[Exception], Exception] | None = None,
    ) -> None:
        super().__init__(node, identity)
        self._body = body
        self._args = args
        self._serdes = serdes
        self._summary = summary
        self._error_mapper = error_mapper
        self._is_announced = False
        self._has_outcome = False

    @property
    def is_ending(self) -> bool:
        """Whether its end is recorded, or queued."""
        return self._has_outcome or super().is_ending

    def announce(self) -> None:
        """Queue the START now, ahead of the actor that will run the context.

        Actors run in Trio's order; announcing them first puts their STARTs into the program's.
        """
        if self.invocation.state.get(self.id) is None and not self._node.is_past:
            self._is_announced = self.invocation.writer.announce(self.update(START))

    def _execute(self) -> Awaitable[T_co]:
        # No coroutine of its own: ten thousand parked items would keep it.
        record = self.recorded()
        match decide_context(record):
            case Begin(must_start):
                self._node.entering(record)
                child = ContextNode(self.invocation, prefix=self.id, parent_id=self.id, parent=self._node)
                return self._run_actor(partial(self._run_body, child, must_start=must_start))
            case ReplayChildren():
                child = ContextNode(
                    self.invocation, prefix=self.id, parent_id=self.id, parent=self._node, is_past=True
                )
                return self._run_actor(partial(self._run_body_again, child))
            case recorded:
                return self._replay(recorded)

    async def _replay(self, recorded: Replay | RaiseRecorded) -> T_co:
        await self.invocation.supervisor.replay_checkpoint()
        if isinstance(recorded, Replay):
            return self._decoded(recorded.payload)
        raise self._failure(recorded.error)

    def _run_actor(self, run: Callable[[], Awaitable[T_co]]) -> Awaitable[T_co]:
        """Run the body in an actor; map items, which are in an actor already, run it where they are."""
        return run_in_actor(self.invocation.supervisor, run)

    async def _run_body(self, child: ContextNode, *, must_start: bool) -> T_co:
        writer = self.invocation.writer
        try:
            with BodyOf(child):
                # The call shows whether the body is async at all; only then is anything recorded.
                awaitable = call_context_body(self._body, self.invocation.context_for(child), *self._args)
                if must_start and not self._is_announced:
                    with closed_on_error(awaitable):
                        await writer.record(self.update(START))
                with self._body_observed(child):
                    value = await awaitable
            payload = self._encoded(value)
            succeed = writer.sized(self._succeed_update(value, payload))
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001  # the body's failure, whatever it is
            if self.invocation.supervisor.is_suspended:
                self.invocation.report_lost(error)
                await self.invocation.refuse()
            await self._fail(error)
        await self._record_end(succeed)
        return self._decoded(payload)

    def _succeed_update(self, value: Any, payload: str | None) -> OperationUpdate:
        replay_children = payload is not None and not is_result_stored(payload)
        if replay_children:
            payload = summary_text(self._summary, value) or ""
        options = ContextOptions(replay_children=replay_children)
        return self.update(SUCCEED, payload=payload, options=options)

    async def _fail(self, error: Exception) -> NoReturn:
        if not is_fatal(error):
            error = self._mapped(error)
        if is_fatal(error):
            self.invocation.fail(error)
        recorded = self._recorded_failure(error)
        await self._record_end(self.update(OperationAction.FAIL, error=recorded))
        raise self._failure(recorded) from None

    async def _record_end(self, end: OperationUpdate | SizedUpdate) -> None:
        self._has_outcome = True
        invocation = self.invocation
        if self._tells_time:
            with invocation.supervisor.ending(self):
                await invocation.writer.commit(end)
        else:
            await invocation.writer.record(end)

    def _mapped(self, error: Exception) -> Exception:
        if self._error_mapper is None:
            return error
        try:
            mapped = self._error_mapper(error)
        except Exception as broken:  # noqa: BLE001  # then that is the failure
            return broken
        if isinstance(mapped, Exception):
            return mapped
        return ValidationError(f"error_mapper must return an exception, not {mapped!r}")

    async def _run_body_again(self, child: ContextNode) -> T_co:
        """Get a result that was too big to store from the context's finished children."""
        with BodyOf(child), self._body_observed(child):
            value = await call_context_body(self._body, self.invocation.context_for(child), *self._args)
        return self._decoded(self._encoded(value))

    # --- what kinds of context do differently --------------------------------------------------------------

    def _body_observed(self, child: ContextNode) -> AbstractContextManager[None]:
        return self.observed(is_replaying_children=child.is_replaying)

    def _encoded(self, value: Any) -> str | None:
        return self.encode(self._serdes, value)

    def _decoded(self, payload: str | None) -> T_co:
        if payload is None:
            return None  # type: ignore[return-value]  # a context closed without a payload has the value None
        value: T_co = self.decode(self._serdes, payload)
        return value

    def _recorded_failure(self, error: Exception) -> ErrorObject:
        return error_object(error)

    def _failure(self, recorded: ErrorObject | None) -> Exception:
        return recorded_error(recorded, ChildContextError, self._identity)


class ChildContext(ContextOperation[T_co]):
    """``ctx.run_in_child_context``."""

    __slots__ = ()

    kind: ClassVar[str] = "child context"


class VirtualContext(Operation[T_co]):
    """A namespace without a record of its own."""

    __slots__ = ("_args", "_body", "_error_mapper", "_inside")

    kind: ClassVar[str] = "virtual context"
    _tells_time: ClassVar[bool] = False
    is_unrecorded: ClassVar[bool] = True

    def __init__(
        self,
        node: ContextNode,
        identity: Identity,
        body: Callable[..., Any],
        args: tuple[Any, ...],
        *,
        error_mapper: Callable[[Exception], Exception] | None = None,
    ) -> None:
        super().__init__(node, identity)
        self._body = body
        self._args = args
        self._error_mapper = error_mapper
        self._inside: ContextNode | None = None

    def was_settled(self) -> bool:
        """Its past is that of its operations: it is asked again when they are through."""
        return True

    def ended_at(self) -> float:
        """Return the latest recorded end of what is directly inside; infinite if nothing is."""
        state, ids = self.invocation.state, self._inside.taken_ids() if self._inside is not None else ()
        ends = [end for end in map(state.latest_end_at, ids) if end is not None]
        return max(ends, default=math.inf)

    async def _execute(self) -> T_co:
        self.refuse_record()
        child = ContextNode(
            self.invocation, prefix=self.id, parent_id=self._node.parent_id, parent=self._node
        )
        self._inside = child
        context = self.invocation.context_for(child)

        async def body() -> T_co:
            with BodyOf(child):
                value: T_co = await call_context_body(self._body, context, *self._args)
            return value

        try:
            return await run_in_actor(self.invocation.supervisor, body)
        except Exception as error:
            if self._error_mapper is None or is_fatal(error):
                raise
            raise self._error_mapper(error) from None
        finally:
            if not child.is_replaying:
                self._node.entering(None)
