"""``ctx.step``: a body whose result is recorded, with retries.

At-least-once: START is queued and rides along with the end; a body that was cut off runs again as the same
attempt. At-most-once: START is durable before the body runs; if it is found started later, the body may have
had its effect, so it does not run again as this attempt: ``StepInterruptedError`` goes to the retry strategy
like any other failure.

A failed attempt is recorded with the delay its strategy chose (the strategy is never asked again on replay),
and the step parks until the service says that the delay is over.

What comes back is the decoded copy of what was stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from durable_trio._protocol.lifecycle import START, SUCCEED
from durable_trio._protocol.operation import ErrorObject, OperationAction, StepOptions
from durable_trio._runtime.attempts import AGAIN, AttemptsOperation
from durable_trio._runtime.failures import NEVER_RETRIED, error_object, is_fatal, recorded_error
from durable_trio._runtime.step_body import run_step_body
from durable_trio.exceptions import StepError, StepInterruptedError
from durable_trio.retries import delay_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._protocol.operation import OperationRecord
    from durable_trio._protocol.replay import Identity
    from durable_trio._runtime.node import ContextNode
    from durable_trio.retries import RetryStrategy
    from durable_trio.serdes import SerDes

T_co = TypeVar("T_co", covariant=True)


class StepOperation(AttemptsOperation[T_co]):
    """A step; see the module's theory."""

    __slots__ = ("_args", "_fn", "_retry", "_timeout_seconds")

    kind: ClassVar[str] = "step"
    _error_class = StepError

    def __init__(
        self,
        node: ContextNode,
        identity: Identity,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        *,
        retry: RetryStrategy,
        at_most_once: bool,
        timeout_seconds: float | None,
        serdes: SerDes,
    ) -> None:
        super().__init__(node, identity, serdes, at_most_once=at_most_once)
        self._fn = fn
        self._args = args
        self._retry = retry
        self._timeout_seconds = timeout_seconds

    async def _attempt(self, record: OperationRecord | None, attempt: int, *, must_start: bool) -> Any:
        writer = self.invocation.writer
        if must_start:
            start = self.update(START)
            if self._at_most_once:
                await writer.commit(start)
            else:
                await writer.record(start)
        try:
            value = await run_step_body(
                self, attempt, self._fn, *self._args, timeout_seconds=self._timeout_seconds
            )
            payload = self.encode(self._serdes, value)
            succeed = writer.sized(self.update(SUCCEED, payload=payload))
        except Exception as error:  # noqa: BLE001  # the attempt's failure, whatever it is
            await self._fail_attempt(error, attempt)
            return AGAIN
        await writer.hand_on(succeed)
        return self._decoded(payload)

    async def _fail_attempt(self, error: Exception, attempt: int) -> None:
        """Record a failed attempt: return if there is to be another one, else raise the step's error."""
        if is_fatal(error):
            self.invocation.fail(error)
        error, recorded, delay = self._verdict(error, attempt)
        writer = self.invocation.writer
        if delay is not None:
            options = StepOptions(next_attempt_delay_seconds=delay)
            await writer.commit(self.update(OperationAction.RETRY, error=recorded, options=options))
            return
        await writer.commit(self.update(OperationAction.FAIL, error=recorded))
        raise recorded_error(recorded, StepError, self._identity) from None

    def _verdict(self, error: Exception, attempt: int) -> tuple[Exception, ErrorObject, int | None]:
        """Return the error, what is recorded of it, and the delay to the next attempt (None: there is none)."""
        try:
            recorded = error_object(error)
            answer = None if isinstance(error, NEVER_RETRIED) else self._retry(error, attempt)
            return error, recorded, None if answer is None else delay_seconds(answer)
        except Exception as broken:  # noqa: BLE001  # a strategy or an error that cannot be recorded fails the step
            broken.__context__ = error
            return broken, error_object(broken), None

    async def _interrupted(self, attempt: int) -> None:
        error = StepInterruptedError(
            f"attempt {attempt} of at-most-once step {self.name or self.id!r} was interrupted before its end was"
            " recorded; it may have had its effect",
            operation_id=self.id,
            operation_name=self.name,
        )
        await self._fail_attempt(error, attempt)
