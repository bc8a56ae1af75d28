"""``ctx.wait_for_condition``: look, and look again later, at the service's expense.

One STEP of subtype WaitForCondition, a reducer: each look takes the state the last one left and returns the
next. RETRY with the new state as payload keeps on; the service keeps the state and wakes the execution when
the delay is over. A look that fails fails the operation: what to retry is for the check to say. A look that
was cut off is repeated with the state it started from. If it was cut off because the invocation's time was up, it
has used up an attempt: the strategy is asked with that state, and it is what RETRY carries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from durable_trio._protocol import limits
from durable_trio._protocol.operation import OperationAction, StepDetails, StepOptions
from durable_trio._runtime.attempts import AGAIN, AttemptsOperation
from durable_trio._runtime.failures import error_object, is_fatal, recorded_error
from durable_trio._runtime.step_body import run_step_body
from durable_trio.conditions import decided
from durable_trio.exceptions import StepInterruptedError, WaitForConditionError
from durable_trio.retries import delay_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._protocol.operation import OperationRecord, OperationUpdate
    from durable_trio._protocol.replay import Identity
    from durable_trio._runtime.node import ContextNode
    from durable_trio.conditions import WaitDecision, WaitStrategy
    from durable_trio.serdes import SerDes

T_co = TypeVar("T_co", covariant=True)


class ConditionOperation(AttemptsOperation[T_co]):
    """A polled condition; see the module's theory."""

    __slots__ = ("_args", "_check", "_initial_state", "_strategy")

    kind: ClassVar[str] = "wait for condition"
    _error_class = WaitForConditionError

    def __init__(
        self,
        node: ContextNode,
        identity: Identity,
        check: Callable[..., Any],
        args: tuple[Any, ...],
        *,
        initial_state: Any,
        strategy: WaitStrategy,
        serdes: SerDes,
    ) -> None:
        super().__init__(node, identity, serdes)
        self._check = check
        self._args = args
        self._initial_state = initial_state
        self._strategy = strategy

    async def _interrupted(self, attempt: int) -> None:
        raise AssertionError("a condition is at-least-once")

    async def _attempt(self, record: OperationRecord | None, attempt: int, *, must_start: bool) -> Any:
        writer = self.invocation.writer
        if must_start:
            await writer.record(self.update(OperationAction.START))
        retry: OperationUpdate | None
        payload: str | None = None
        try:
            previous = self._state(record)
            try:
                state = await run_step_body(self, attempt, self._check, previous, *self._args)
            except StepInterruptedError as cut:
                if not self.invocation.deadline.has_passed:
                    raise  # the check's own
                retry = self._look_again(record, previous, attempt, cut)
            else:
                payload = self.encode(self._serdes, state)
                retry = self._retry(self._decide(self._decoded(payload), attempt), payload)
            end = writer.sized(retry or self.update(OperationAction.SUCCEED, payload=payload))
        except Exception as error:  # noqa: BLE001  # the operation's failure, whatever it is
            await self._fail(error)
        if retry is not None:
            await writer.commit(end)
            return AGAIN
        await writer.hand_on(end)
        return self._decoded(payload)

    def _retry(self, decision: WaitDecision, payload: str) -> OperationUpdate | None:
        """Return the RETRY that looks again; None if the condition is met."""
        if decision.delay is None:
            return None
        options = StepOptions(next_attempt_delay_seconds=delay_seconds(decision.delay))
        return self.update(OperationAction.RETRY, payload=payload, options=options)

    def _decide(self, state: Any, attempt: int) -> WaitDecision:
        decision = decided(self._strategy(state, attempt))
        if decision is None:
            raise WaitForConditionError(
                f"the condition of {self.name or self.id!r} was not met in {attempt} attempts"
            )
        return decision

    def _look_again(
        self, record: OperationRecord | None, previous: Any, attempt: int, cut: StepInterruptedError
    ) -> OperationUpdate:
        """Return the RETRY of a look that the invocation's time was too short for."""
        decision = self._decide(previous, attempt)
        # Nobody has looked, so nothing is met: what would stop here looks again soon.
        delay = limits.MIN_DELAY_SECONDS if decision.delay is None else delay_seconds(decision.delay)
        options = StepOptions(next_attempt_delay_seconds=delay)
        payload = self._stored_state(record)
        if payload is None and self._initial_state is not None:
            payload = self.encode(self._serdes, self._initial_state)
        # Without any state there is nothing to carry but why.
        error = error_object(cut) if payload is None else None
        return self.update(OperationAction.RETRY, payload=payload, error=error, options=options)

    def _stored_state(self, record: OperationRecord | None) -> str | None:
        details = record.details if record is not None else None
        return details.result if isinstance(details, StepDetails) else None

    def _state(self, record: OperationRecord | None) -> Any:
        """Return the state to look from: the last look's, or the initial one, as it comes back from storage."""
        stored = self._stored_state(record)
        if stored is not None:
            return self._decoded(stored)
        if self._initial_state is None:
            return None
        return self._decoded(self.encode(self._serdes, self._initial_state))

    async def _fail(self, error: Exception) -> NoReturn:
        if is_fatal(error):
            self.invocation.fail(error)
        recorded = error_object(error)
        await self.invocation.writer.commit(self.update(OperationAction.FAIL, error=recorded))
        raise recorded_error(recorded, WaitForConditionError, self._identity) from None
