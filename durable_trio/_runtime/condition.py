"""``ctx.wait_for_condition``: look, and look again later, at the service's expense.

One STEP of subtype WaitForCondition, a reducer: each look takes the state the last one left and returns the
next. RETRY with the new state as payload keeps on; the service keeps the state and wakes the execution when
the delay is over. A look that fails fails the operation: what to retry is for the check to say. A look that
was cut off is repeated with the state it started from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from durable_trio._protocol.operation import OperationAction, StepDetails, StepOptions
from durable_trio._runtime.attempts import AGAIN, AttemptsOperation
from durable_trio._runtime.failures import error_object, is_fatal, recorded_error
from durable_trio._runtime.step_body import run_step_body
from durable_trio.conditions import decided
from durable_trio.exceptions import WaitForConditionError
from durable_trio.retries import delay_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._protocol.operation import OperationRecord
    from durable_trio._protocol.replay import Identity
    from durable_trio._runtime.node import ContextNode
    from durable_trio.conditions import WaitStrategy
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
        try:
            state = await run_step_body(self, attempt, self._check, self._state(record), *self._args)
            payload = self.encode(self._serdes, state)
            decision = decided(self._strategy(self._decoded(payload), attempt))
            if decision is None:
                raise WaitForConditionError(
                    f"the condition of {self.name or self.id!r} was not met in {attempt} attempts"
                )
            succeed = writer.sized(self.update(OperationAction.SUCCEED, payload=payload))
            delay = None if decision.delay is None else delay_seconds(decision.delay)
        except Exception as error:  # noqa: BLE001  # the operation's failure, whatever it is
            await self._fail(error)
        if delay is None:
            await writer.hand_on(succeed)
            return self._decoded(payload)
        options = StepOptions(next_attempt_delay_seconds=delay)
        await writer.commit(self.update(OperationAction.RETRY, payload=payload, options=options))
        return AGAIN

    def _state(self, record: OperationRecord | None) -> Any:
        """Return the state to look from: the last look's, or the initial one, as it comes back from storage."""
        details = record.details if record is not None else None
        if isinstance(details, StepDetails) and details.result is not None:
            return self._decoded(details.result)
        if self._initial_state is None:
            return None
        return self._decoded(self.encode(self._serdes, self._initial_state))

    async def _fail(self, error: Exception) -> NoReturn:
        if is_fatal(error):
            self.invocation.fail(error)
        recorded = error_object(error)
        await self.invocation.writer.commit(self.update(OperationAction.FAIL, error=recorded))
        raise recorded_error(recorded, WaitForConditionError, self._identity) from None
