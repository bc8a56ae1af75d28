"""How the body of a step runs: known to ``current_step()``, limited in time, and cut at the deadline.

Near the end of the invocation's time the body is cut off; that is ``TimeIsUp``, which the step records as an
attempt that failed. So a step that takes longer than an invocation uses up its attempts instead of starting
over for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from durable_trio._runtime.bodies import call_body
from durable_trio.exceptions import StepInterruptedError, StepTimeoutError
from durable_trio.step_context import StepContext, _current_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._runtime.operation import Operation


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
    token = _current_step.set(step)
    invocation.supervisor.bodies += 1
    try:
        with operation.observed(attempt):
            with invocation.deadline.watch_body() as body:
                if timeout_seconds is None:
                    return await call_body(invocation, fn, *args)
                with trio.move_on_after(timeout_seconds):
                    return await call_body(invocation, fn, *args)
                if body is None or not body.cancel_called:
                    raise StepTimeoutError(f"{operation.title} took longer than {timeout_seconds:g} s")
            raise StepInterruptedError(f"{operation.title} was cut off: the time of this invocation is up")
    finally:
        invocation.supervisor.bodies -= 1
        _current_step.reset(token)
