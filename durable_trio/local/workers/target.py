"""Worker processes as a function of the local service."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import trio

from durable_trio.local.calls import FunctionError
from durable_trio.local.workers.conversation import Failed, Invocation

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio.local.calls import FunctionCall
    from durable_trio.local.workers.pool import WorkerPool


class WorkerTarget:
    """Runs the invocations of a function in the workers of *pool*: what ``register_remote`` takes.

    An invocation that is cancelled, because its time is over or the service ends, takes its process with it.
    *on_timeout* is called if it was for the time.
    """

    def __init__(self, pool: WorkerPool, on_timeout: Callable[[Invocation], None]) -> None:
        self._pool = pool
        self._on_timeout = on_timeout

    async def __call__(self, payload: str, call: FunctionCall, /) -> str:
        """Run one invocation and return its answer.

        Raises:
            FunctionError: the function raised or could not be loaded, or its process ended.
        """
        begun: Invocation | None = None

        def begin() -> Invocation:
            nonlocal begun
            begun = _invocation(payload, call)
            return begun

        try:
            outcome = await self._pool.invoke(begin)
        except trio.Cancelled:
            if begun is not None and call.remaining_seconds() <= 0:
                self._on_timeout(begun)
            raise
        if isinstance(outcome, Failed):
            raise FunctionError(outcome.error)
        return outcome.payload


def _invocation(payload: str, call: FunctionCall) -> Invocation:
    call.began()
    # The service's time may be virtual; the worker reads the system's clock.
    deadline_at = round((time.time() + call.remaining_seconds()) * 1000)
    return Invocation(
        request_id=call.request_id,
        payload=payload,
        deadline_at=deadline_at,
        function_arn=call.function.arn,
        tenant_id=call.tenant_id,
        client_context=call.client_context,
        log_arn=call.log_arn,
    )
