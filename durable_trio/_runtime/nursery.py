"""``ctx.open_nursery()``: child contexts that are started one by one, while the body goes on.

Trio's rules: the block ends when the body and every child have ended; the first failure cancels the other children
and cuts the body; what is raised is an ``ExceptionGroup`` of the children's errors, and of the body's own.

*Ids by start order.* A child is an operation of the nursery's namespace, which counts the body's operations and the
children in program order. So only the body itself may start children; a child that wants more opens a nursery of
its own, and so does a block inside the body: where that is cut must not matter to ids outside of it.

*The verdict.* When all went well, the end is computed from the children's records and only queued. A failure
depends on who came first: what failed, where the body was cut and which children had ended by then is committed
before anybody sees it. On replay the children that had ended replay, the others do not run, and the body is cut
at the same place. The START is queued with the first operation or child: a nursery that is not used writes nothing.

*Values.* ``handle.value`` is for after the block. In the body ``await handle`` waits for that child alone. How far a
child has got is nobody's business before: it depends on timing.

A nursery that is left because something further out was cut records nothing. Its handles have no values then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, TypeVarTuple, overload

import trio

from durable_trio._protocol.verdicts import BODY, NurseryVerdict, Point, decode_nursery, encode_nursery
from durable_trio._protocol.wire import WireError
from durable_trio._runtime.actor import run_counted
from durable_trio._runtime.cancelling import RuntimeReason
from durable_trio._runtime.catching_up import caught_up
from durable_trio._runtime.child import ContextOperation
from durable_trio._runtime.failures import is_fatal
from durable_trio._runtime.nursery_exit import NurseryExit
from durable_trio._runtime.nursery_handle import NurseryHandle
from durable_trio._runtime.operation import Operation
from durable_trio._runtime.scope import Construct
from durable_trio._runtime.scope_node import ConstructOperation, is_unfinished
from durable_trio._runtime.supervisor import Join
from durable_trio.config import check_callable
from durable_trio.exceptions import ContextUseError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from durable_trio._protocol.replay import Identity
    from durable_trio._runtime.context import DurableContext
    from durable_trio._runtime.context_base import ContextBase

T = TypeVar("T")
Args = TypeVarTuple("Args")


class DurableNursery(Construct):
    """A block that runs children; see the module's theory. Made by ``ctx.open_nursery()``."""

    kind: ClassVar[str] = "nursery"
    starts_lazily: ClassVar[bool] = True
    _ctx: DurableContext

    def __init__(self, ctx: ContextBase, identity: Identity) -> None:
        super().__init__(ctx, ConstructOperation(ctx._node, identity, self.kind))
        self._handles: list[NurseryHandle[Any]] = []
        self._failed: int | str | None = None
        self._verdict: NurseryVerdict | None = None
        self._is_closed = False
        self._join = Join(self.invocation.supervisor)
        self._manager: AbstractAsyncContextManager[trio.Nursery] | None = None
        self._nursery: trio.Nursery | None = None

    # --- what the body does -------------------------------------------------------------------------------

    @overload
    def start_soon(self, fn: Operation[T], /) -> NurseryHandle[T]: ...

    @overload
    def start_soon(
        self,
        fn: Callable[[DurableContext, *Args], Awaitable[T]],
        /,
        *args: *Args,
        name: str | None = ...,
    ) -> NurseryHandle[T]: ...

    def start_soon(
        self,
        fn: Callable[[DurableContext, *Args], Awaitable[Any]] | Operation[Any],
        /,
        *args: *Args,
        name: str | None = None,
    ) -> NurseryHandle[Any]:
        """Start ``fn(child_ctx, *args)`` as a child context, or an operation of the nursery's body.

        Args:
            fn: an async function that takes a context of its own, or an operation that was created in the body.
            name: of the child context, 1 to 256 printable ASCII characters; the default is the function's name.

        Raises:
            ContextUseError: the caller is not the body of the nursery (a child opens its own), or it is closed.
            ValidationError: an argument is out of range, or an operation came with arguments.
        """
        self._check_start()
        if isinstance(fn, Operation):
            if args or name is not None:
                raise ValidationError("an operation is started as it is: args and name belong to a function")
            operation: Operation[Any] = fn
        else:
            check_callable("fn", fn)
            operation = self._ctx.run_in_child_context(fn, *args, name=name)
        operation.claim("nursery.start_soon", self.node)
        self.before_first_operation()
        handle = NurseryHandle(self, operation, len(self._handles))
        self._handles.append(handle)
        if not self._may_run(handle):
            operation.lose()
        elif self._verdict is not None or operation.is_ending or not self._is_replay_only:
            self._launch(handle)
        return handle

    def _check_start(self) -> None:
        if self._node is None:
            raise ContextUseError(
                f"cannot start a child: {self._operation.title} is not open. Call start_soon in its block."
            )
        if self._ctx._node is not self._node:
            raise ContextUseError(
                f"cannot start a child of {self._operation.title} from a block inside its body: where that block is cut"
                " would change the ids after it. Start it outside of the block, or open a nursery in it."
            )
        try:
            self._node.check_use("start a child")
        except ContextUseError as error:
            raise ContextUseError(
                f"cannot start a child of {self._operation.title} from here: only the body of the nursery may, so that"
                " ids do not depend on scheduling. Open another nursery with ctx.open_nursery()."
            ) from error

    def _may_run(self, handle: NurseryHandle[Any]) -> bool:
        if self._verdict is None:
            return self._failed is None and not self.is_cut
        return self._verdict.failed is None or handle.index in self._verdict.ended

    @property
    def _is_replay_only(self) -> bool:
        """Whether a construct further out is recorded as over: then children that had not ended do not run."""
        outer = self._outer.construct
        return self.node.is_past or (outer is not None and outer.is_bound_for_cut)

    def _launch(self, handle: NurseryHandle[Any]) -> None:
        if handle.is_launched or self._nursery is None:
            return
        handle.is_launched = True
        if isinstance(handle.operation, ContextOperation):
            handle.operation.announce()
        self._join.child_started()
        self._nursery.start_soon(run_counted, self._join, lambda: self._run_child(handle))

    # --- children -----------------------------------------------------------------------------------------

    async def _run_child(self, handle: NurseryHandle[Any]) -> None:
        try:
            with handle.scope:
                await handle.operation.run()
            if handle.operation.error is not None:
                await self._decide()
        finally:
            handle.is_gone = True
            self.invocation.supervisor.wake([handle.key, self._gone_key])

    async def _decide(self, what: int | str | None = None) -> None:
        """Let the failure of *what*, or of the child that failed first by the record, decide the nursery."""
        if self._verdict is None and self._failed is None:
            await caught_up(self.invocation)
        failed = [handle for handle in self._handles if handle.operation.error is not None]
        first = min(failed, key=lambda handle: (handle.operation.ended_at(), handle.index), default=None)
        self._fail(first.index if first is not None else BODY if what is None else what)

    def _fail(self, what: int | str) -> None:
        """Note the first failure: cancel the children, and cut the body where it is."""
        if self._failed is not None:
            return
        self._failed = what
        self._cancel_children(f"something in {self._operation.title} failed")
        is_decided_now = self._verdict is None and what != BODY
        if is_decided_now and self._in_flight is not None and is_unfinished(self._in_flight[0]):
            self.cut_in_flight()

    def _cancel_children(self, reason: str) -> None:
        # On replay the record says who had ended: those are let through.
        for handle in self._handles:
            if self._verdict is None or handle.index not in self._verdict.ended:
                handle.scope.cancel(RuntimeReason(reason))

    def _wants_to_cut(self, operation: Operation[Any]) -> bool:
        return self._failed is not None and is_unfinished(operation)

    def _recorded_cut(self) -> Point | None:
        return None if self._verdict is None else self._verdict.at

    @property
    def _gone_key(self) -> str:
        return f"{self.id}-gone"

    async def wait_for(self, handle: NurseryHandle[T]) -> T:
        """Return the value of a child, when it has ended; its failure cuts the body first."""
        self._launch(handle)
        while not handle.is_gone:
            await self.invocation.supervisor.rest(handle.key)
        await trio.lowlevel.checkpoint()
        return handle.operation.value

    # --- opening and closing ------------------------------------------------------------------------------

    async def _open(self) -> None:
        self._is_closed, text = self._recorded_payload()
        if self._is_marked:
            try:
                self._verdict = decode_nursery(text)
            except WireError as problem:
                self._fail_unlike_record(problem)
        await trio.lowlevel.checkpoint()
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        self._push(prefix=self.id, parent_id=self.id, is_past=self._is_closed)

    async def _close(self, error: BaseException | None) -> None:
        try:
            if self._is_thrown_away(error):
                self._cancel_children(f"{self._operation.title} is left")
            elif error is not None:
                await self._decide(BODY)
        except BaseException:
            self._abort()
            raise
        finally:
            await self._join_children()
        if self._is_thrown_away(error):
            self._abort()
            return
        await self._conclude(error)

    async def _join_children(self) -> None:
        """Wait for the children; a construct further out may cut here."""
        manager = self._manager
        if manager is None:
            raise AssertionError("a nursery is left that was not entered")
        is_through = False

        async def trio_exit() -> None:
            nonlocal is_through
            is_through = True
            await manager.__aexit__(None, None, None)

        operation = NurseryExit(self._operation, self._join, trio_exit)
        self.node.busy_with = operation
        outer = self._outer.construct
        try:
            if outer is None:
                await operation.run()
            else:
                await outer.run_cuttable(operation)
        except BaseException:
            self._abort()
            raise
        finally:
            self.node.busy_with = None
            if not is_through:  # it was cut before it began to wait
                self._cancel_children(f"{self._operation.title} is left")
                with self._join:
                    await trio_exit()

    async def _conclude(self, error: BaseException | None) -> None:
        ended = frozenset(handle.index for handle in self._handles if handle.operation.has_ended)
        failed = self._failed
        if self._verdict is not None:
            self._check_verdict(error)
            failed, ended = self._verdict.failed, self._verdict.ended
        errors = [
            handle.operation.error
            for handle in self._handles
            if handle.index in ended and handle.operation.error is not None
        ]
        if isinstance(error, Exception):
            errors.append(error)
        for one in errors:
            if is_fatal(one):
                self.invocation.fail(one)
        verdict = NurseryVerdict(failed, self.cut, ended) if failed is not None else NurseryVerdict(None)
        await self._record(verdict)
        for handle in self._handles:
            handle.conclude(has_ended=failed is None or handle.index in ended)
        if errors:
            raise ExceptionGroup("errors in a durable nursery", errors) from None

    async def _record(self, verdict: NurseryVerdict) -> None:
        if self._is_closed or self._outer.is_past or not self._is_started:
            return
        update = self._closing_update(encode_nursery(verdict))
        await trio.lowlevel.checkpoint_if_cancelled()
        if verdict.failed is None:
            await self.invocation.writer.record(update)
        else:
            await self.invocation.writer.commit(update)

    def _check_verdict(self, error: BaseException | None) -> None:
        verdict = self._verdict
        if verdict is None:
            return
        if verdict.at != self.cut:
            where = (
                "its body was not cut"
                if verdict.at is None
                else f"its body was cut at operation {verdict.at.id}"
            )
            self._fail_unlike_record(f"it is recorded that {where}")
        if verdict.failed is None and error is not None:
            self._fail_unlike_record(f"it is recorded as successful, but its body raised {error!r}")
        if verdict.failed == BODY and error is None:
            self._fail_unlike_record("it is recorded that its body raised an error")
        if isinstance(verdict.failed, int) and verdict.failed >= len(self._handles):
            self._fail_unlike_record(f"child {verdict.failed} failed, and there are {len(self._handles)}")

    def _abort(self) -> None:
        for handle in self._handles:
            handle.conclude(has_ended=False)

    async def _verdict_so_far(self) -> str:
        # What is recorded has to be final, so the children end first: their sagas may have to wait for days.
        while not all(handle.is_gone or not handle.is_launched for handle in self._handles):
            await self.invocation.supervisor.rest(self._gone_key)
        ended = frozenset(handle.index for handle in self._handles if handle.operation.has_ended)
        return encode_nursery(NurseryVerdict(self._failed, self.cut, ended))
