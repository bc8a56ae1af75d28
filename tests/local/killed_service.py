"""A service under load, to be killed: ``python -m local.killed_service FILE``; run with ``tests`` on the path.

It takes over what it finds in the file, starts executions without end, and prints the name of each as soon as it is
acknowledged.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import trio
from local.functions import (
    CHAINED,
    PENDING,
    START,
    Call,
    Function,
    start_step,
    start_wait,
    succeed_step,
    succeeded,
)

from durable_trio._protocol.operation import ChainedInvokeOptions, OperationStatus, OperationUpdate
from durable_trio.local import FunctionConfig, open_local_service

if TYPE_CHECKING:
    from durable_trio.local import LocalService


async def body(call: Call) -> Any:
    """Do five steps, wait for a second, call a function that is not durable and one that is, and do a last step."""
    for number in range(5):
        if call.status(f"step-{number}") is None:
            await call.checkpoint(start_step(f"step-{number}"), succeed_step(f"step-{number}"))
    if call.status("wait") is None:
        await call.checkpoint(
            start_wait(1),
            *(
                OperationUpdate(name, CHAINED, START, payload="1", options=ChainedInvokeOptions(name))
                for name in ("plain", "child")
            ),
        )
    if any(call.status(id_) is OperationStatus.STARTED for id_ in ("wait", "plain", "child")):
        return PENDING
    assert {call.status(id_) for id_ in ("wait", "plain", "child")} == {OperationStatus.SUCCEEDED}
    if call.status("last") is None:
        await call.checkpoint(start_step("last"), succeed_step("last"))
    return succeeded()


async def child(call: Call) -> Any:
    """Wait, durably."""
    if call.status("wait") is None:
        await call.checkpoint(start_wait(1))
    return succeeded() if call.status("wait") is OperationStatus.SUCCEEDED else PENDING


async def plain(event: Any, lambda_context: Any) -> Any:
    """Take a moment."""
    await trio.sleep(0.01)
    return event


def register_all(service: LocalService) -> None:
    """Register the functions."""
    service.register("parent", Function(body), config=FunctionConfig(concurrency=20))
    service.register("child", Function(child))
    service.register_plain("plain", plain)


async def main(file: str) -> None:
    """Serve until killed."""
    async with open_local_service(file) as service:
        register_all(service)
        await service.take_over_all()
        number = len((await service.list_executions(function_name="parent", limit=1000)).items)
        while True:
            started = await service.start_execution("parent", "null", name=f"run-{number}")
            print(started.name, flush=True)
            number += 1


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
