"""``ctx.saga()``: operations and what undoes them, as one.

In the block operations are registered with what compensates them. When an exception or a cut leaves the block, the
compensations of what had succeeded run in reverse order, shielded from any further cut; then the exception goes on.
A suspension is no reason: the execution resumes, and the block with it.

*Cut by a deadline or a nursery of the same context*: that has recorded where, before anything is undone (``scope``).
So the next invocation comes to the same place, and goes on undoing where it was.

*In an actor that is thrown away* nothing else is recorded of the cut, so the saga records it itself. The next
invocation cuts its body at the first operation that is not recorded as through: everything that was registered and
had succeeded is registered again. That it gets that far is ``unwinding``'s business.

The report is the saga's verdict: which compensations ran, and what the failed ones failed with. It is committed
before the exception goes on. If compensations failed, what goes on is ``CompensationError``, raised from the
original exception; in an actor that is thrown away, whose error would be nobody's, a line in the log.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, TypeVarTuple, overload

import trio

from durable_trio._protocol.verdicts import decode_report, encode_report
from durable_trio._protocol.wire import WireError
from durable_trio._runtime.bodies import refuse_generator
from durable_trio._runtime.cancelling import is_cancellation, is_plain, plain_cancellation_error
from durable_trio._runtime.compensations import Registered, report_of, undo
from durable_trio._runtime.failures import is_fatal
from durable_trio._runtime.operation import Operation
from durable_trio._runtime.saga_report import CompensationReport
from durable_trio._runtime.scope import Construct
from durable_trio._runtime.scope_node import ConstructOperation, is_through
from durable_trio._runtime.shield import Shield
from durable_trio.config import check_callable
from durable_trio.exceptions import CompensationError, ContextUseError, ExecutionError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio._protocol.replay import Identity
    from durable_trio._protocol.verdicts import CompensationRecord
    from durable_trio._runtime.context import DurableContext
    from durable_trio._runtime.context_base import ContextBase
    from durable_trio.config import AnyDuration, StepConfig, StepSemantics
    from durable_trio.retries import RetryStrategy
    from durable_trio.serdes import SerDes

T = TypeVar("T")
Args = TypeVarTuple("Args")


class Saga(Construct):
    """A block whose operations are undone if it fails; see the module's theory. Made by ``ctx.saga()``.

    Attributes:
        report: what was undone; None if nothing had to be, or the block has not been left.
    """

    kind: ClassVar[str] = "saga"
    starts_lazily: ClassVar[bool] = True
    _ctx: DurableContext

    def __init__(self, ctx: ContextBase, identity: Identity) -> None:
        super().__init__(ctx, ConstructOperation(ctx._node, identity, self.kind))
        self.report: CompensationReport | None = None
        self._registered: list[Registered] = []
        self._undone: list[CompensationRecord] | None = None
        self._is_closed = False
        self._was_thrown_away = False
        self._is_adrift = False

    # --- what the body does -------------------------------------------------------------------------------

    @overload
    def step(
        self,
        fn: Callable[[*Args], Awaitable[T]],
        *args: *Args,
        compensate: Callable[[DurableContext, T], Awaitable[object]],
        name: str | None = ...,
        retry: RetryStrategy | None = ...,
        semantics: StepSemantics | None = ...,
        timeout: AnyDuration | None = ...,
        serdes: SerDes | None = ...,
        result_type: Any = ...,
        config: StepConfig | None = ...,
    ) -> Operation[T]: ...

    @overload
    def step(
        self,
        fn: Callable[[*Args], Awaitable[T] | T],
        *args: *Args,
        compensate: Callable[[DurableContext, T], Awaitable[object]],
        name: str | None = ...,
        retry: RetryStrategy | None = ...,
        semantics: StepSemantics | None = ...,
        timeout: AnyDuration | None = ...,
        serdes: SerDes | None = ...,
        result_type: Any = ...,
        config: StepConfig | None = ...,
    ) -> Operation[T]: ...

    def step(
        self,
        fn: Callable[[*Args], Any],
        *args: *Args,
        compensate: Callable[[DurableContext, Any], Awaitable[object]],
        **options: Any,
    ) -> Operation[Any]:
        """Run a step, as ``ctx.step`` does, and have ``compensate(child_ctx, result)`` undo it if the saga fails.

        Raises (at once):
            ContextUseError: the caller is not the saga's own block.
            ValidationError: an argument is out of range.
        """
        self._check_registration(compensate)
        return self._add(self._ctx.step(fn, *args, **options), compensate)

    def add(
        self, operation: Operation[T], *, compensate: Callable[[DurableContext, T], Awaitable[object]]
    ) -> Operation[T]:
        """Have ``compensate(child_ctx, result)`` undo *operation* (an invoke, a child context ...); return it.

        Raises:
            ContextUseError: the caller is not the saga's own block.
            ValidationError: it is no operation of the saga's block, or one without a record of its own.
        """
        self._check_registration(compensate)
        if not isinstance(operation, Operation) or not operation.belongs_to(self.node):
            raise ValidationError(
                f"operation must be one that was created in the saga's block, not {operation!r}"
            )
        if operation.is_unrecorded or hasattr(operation, "_operations"):
            operation.refused()
            raise ValidationError(
                f"{operation.title} has no record of its own, so whether to undo it could not be told: register the"
                " operations in it"
            )
        return self._add(operation, compensate)

    def _check_registration(self, compensate: object) -> None:
        if self._node is None or self._ctx._node is not self._node:
            raise ContextUseError(
                f"cannot register a compensation with {self._operation.title} from here: only code directly in its"
                " block may. Open a saga in the inner block or child context."
            )
        check_callable("compensate", compensate)
        refuse_generator("compensate", compensate)

    def _add(
        self, operation: Operation[T], compensate: Callable[[Any, Any], Awaitable[object]]
    ) -> Operation[T]:
        self._registered.append(Registered(len(self._registered) + 1, operation, compensate))
        return operation

    # --- opening and closing ------------------------------------------------------------------------------

    async def _open(self) -> None:
        self._is_closed, text = self._recorded_payload()
        if self._is_closed:
            try:
                self._undone = decode_report(text)
            except WireError as problem:
                self._fail_unlike_record(problem)
        # Only an actor that is thrown away makes a saga record its cut by itself.
        self._was_thrown_away = self._is_adrift = self.invocation.state.get(self._cut_id) is not None
        await trio.lowlevel.checkpoint()
        self._push(prefix=self.id, parent_id=self.id, is_past=self._is_closed)

    @property
    def _is_decided(self) -> bool:
        # It is asked about every operation: where it was cut is not recorded, only that it was.
        return False

    def _wants_to_cut(self, operation: Operation[Any]) -> bool:
        if is_through(operation) or self._got_past(operation):
            return False
        self._note_caught_up()
        return self._was_thrown_away

    def _got_past(self, operation: Operation[Any]) -> bool:
        """Tell whether the body got past *operation* in an earlier invocation, as ``went_on`` does.

        A saga that is closed has a past only, this one or one inside it. If it was undone, that says nothing about
        how far its body got.
        """
        node = operation.awaiting_node
        if self.invocation.state.get(node.upcoming_id) is not None:
            return True
        while node.is_past and node is not self._outer:
            inside = node.construct
            if inside is None:
                return True
            was_undone = isinstance(inside, Saga) and inside._undone is not None
            if not inside._outer.is_past and not was_undone:
                return True
            node = inside._outer
        return node.is_past

    def _note_caught_up(self) -> None:
        unwinding = self.invocation.unwinding
        if unwinding is not None and unwinding.caught_up(self.id):
            for deadline in self._outer.deadlines:
                deadline.look_again()

    async def _close(self, error: BaseException | None) -> None:
        if self._is_ending:
            return
        self._note_caught_up()
        if error is None and not self._was_thrown_away:
            await self._close_whole()
            return
        if not self._is_to_be_undone(error):
            return
        if self._is_closed and self._undone is None and isinstance(error, Exception):
            self._fail_unlike_record(f"it is recorded as successful, but its body raised {error!r}")
        if not self._is_closed and self._is_started and not self._outer.is_past:
            await self._unwind_all(error)
        self.report = report_of(self._undone or ())
        if self._was_thrown_away:
            await self._leave_thrown_away()
        if self.report.failed and not self._is_adrift:
            raise self._compensation_error() from (error if isinstance(error, Exception) else None)

    def _is_to_be_undone(self, error: BaseException | None) -> bool:
        if error is None:
            return True  # its own cut, on the way to undo what an earlier invocation began to undo
        if isinstance(error, Exception):
            # Else the invocation is to be repeated, or the program is broken.
            return not is_fatal(error) or isinstance(error, ExecutionError)
        if is_plain(error):
            self.invocation.fail(plain_cancellation_error(self._operation.title))
        return is_cancellation(error)

    async def _close_whole(self) -> None:
        if self._is_closed and self._undone is not None:
            self._fail_unlike_record("it is recorded as undone")
        if self._is_started and not self._is_closed and not self._outer.is_past:
            await self.invocation.writer.record(self._closing_update(encode_report(None)))

    async def _unwind_all(self, error: BaseException | None) -> None:
        # Asked before the shield is up: inside it, nothing is cancelled.
        is_cancelled = not isinstance(error, Exception) and trio.current_effective_deadline() == -math.inf
        self._is_adrift = self._was_thrown_away or (is_cancelled and not self.is_cut)
        with self.invocation.supervisor.shielded():
            outer = self._outer.construct
            if outer is not None:
                for construct in outer._chain():
                    await construct.record_cut()
            if self._is_adrift and not self._is_marked:
                await self._commit_marker('{"thrown_away":true}')
            async with _Undoing(self):
                self._undone = await undo(self._ctx._node, self.id, self._registered)
            await self.invocation.writer.commit(self._closing_update(encode_report(self._undone)))
        if self._is_adrift and any(one.error is not None for one in self._undone):
            # Its error would be an outcome of an actor that has none any more.
            self.invocation.log.error(
                "compensations failed, in a context that was cancelled",
                saga=self.id,
                undone=len(self._undone),
            )

    async def _leave_thrown_away(self) -> None:
        """Wait to be cancelled again, by the same decision as before."""
        outer = self._outer.construct
        for construct in [] if outer is None else outer._chain():
            if isinstance(construct, Saga):
                construct._note_caught_up()
        for deadline in self._outer.deadlines:
            deadline.look_again()
        await self.invocation.supervisor.rest(f"{self.id}-left")

    def _compensation_error(self) -> CompensationError:
        report = self.report or CompensationReport()
        failed = report.failed
        first = failed[0].error
        return CompensationError(
            f"{len(failed)} of {len(report.compensations)} compensations failed; the first: {first}",
            report=report,
            operation_id=self.id,
            operation_name=self._operation.name,
        )


class _Undoing(Shield):
    """The block in which a saga's compensations run: in the saga's own namespace, by ids of their own."""

    def __init__(self, saga: Saga) -> None:
        super().__init__(saga._ctx, saga._operation.identity)
        self._saga = saga

    async def _settle_cuts(self) -> None:
        await trio.lowlevel.checkpoint()

    @property
    def _prefix(self) -> str:
        return self._saga.id

    @property
    def _parent_id(self) -> str | None:
        return self._saga.id
