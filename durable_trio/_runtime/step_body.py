"""How the body of a step runs: known to ``current_step()``, limited in time, and cut at the deadline.

Near the end of the invocation's time the body is cut off; that is ``TimeIsUp``, which the step records as an
attempt that failed. So a step that takes longer than an invocation uses up its attempts instead of starting
over for ever.

The testing kit may put something ``around_bodies``, to see them and to stop them half-way; otherwise it is None.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

import trio

from durable_trio._runtime.bodies import call_body
from durable_trio.exceptions import StepInterruptedError, StepTimeoutError
from durable_trio.step_context import StepContext, _current_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._runtime.operation import Operation

AroundBodies: TypeAlias = "Callable[[Operation[Any], int, Callable[..., Any]], Callable[..., Any]]"
"""``around(operation, attempt, call)`` returns what is called in the place of ``call(invocation, fn, *args)``."""

around_bodies: ContextVar[AroundBodies | None] = ContextVar("durable_trio_around_bodies", default=None)


async def run_step_body(
    operation: Operation[Any],
    attempt: int,
    fn: Callable[..., Any],
    *args: Any,
    timeout_seconds: float | None = None,
) -> Any:
    """Run ``fn(*args)`` as the *attempt*-th attempt of *operation*.

    Raises:
        StepTimeoutError: it took longer than *timeout_seconds*.
        StepInterruptedError: the invocation's time is up.
    """
    invocation = operation.invocation
    step = StepContext(
        operation_id=operation.id,
        parent_id=operation.parent_id,
        name=operation.name,
        attempt=attempt,
        execution_arn=invocation.state.durable_execution_arn,
        make_logger=invocation.step_logger,
    )
    around = around_bodies.get()
    call = call_body if around is None else around(operation, attempt, call_body)
    token = _current_step.set(step)
    invocation.supervisor.bodies += 1
    try:
        with operation.observed(attempt):
            with invocation.deadline.watch_body() as body:
                if timeout_seconds is None:
                    return await call(invocation, fn, *args)
                with trio.move_on_after(timeout_seconds):
                    return await call(invocation, fn, *args)
                if body is None or not body.cancel_called:
                    raise StepTimeoutError(f"{operation.title} took longer than {timeout_seconds:g} s")
            raise StepInterruptedError(f"{operation.title} was cut off: the time of this invocation is up")
    finally:
        invocation.supervisor.bodies -= 1
        _current_step.reset(token)
