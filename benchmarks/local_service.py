"""How fast the local service is by itself: ``python -m benchmarks.local_service``.

Functions written by hand speak the envelope and nothing else, so what is measured is the service: its rules, its SQLite
file (made beside the system's other temporary files), and its clock. Two numbers:

- checkpoints per second, each with the START and the SUCCEED of one step, by one execution after another's answer,
  and by five side by side, whose checkpoints share commits;
- how late a wait ends, from its due time to the first line of the function that it wakes, by the system's clock.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from durable_trio._protocol.envelope import decode_invocation
from durable_trio._protocol.operation import (
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
    WaitDetails,
    WaitOptions,
)
from durable_trio.local import open_local_service

if TYPE_CHECKING:
    from durable_trio.clients import ServiceClient

_CHECKPOINTS: Final = 1_000
_WAITS: Final = 30


async def steps(event: dict[str, Any], context: Any, /, *, client: ServiceClient) -> dict[str, str]:
    """Checkpoint many single steps, one after another."""
    given = decode_invocation(event)
    token: str | None = given.checkpoint_token
    for number in range(_CHECKPOINTS):
        assert token is not None
        id_ = f"step-{number}"
        response = await client.checkpoint(
            durable_execution_arn=given.durable_execution_arn,
            checkpoint_token=token,
            updates=[
                OperationUpdate(id_, OperationType.STEP, OperationAction.START, name=id_),
                OperationUpdate(id_, OperationType.STEP, OperationAction.SUCCEED, payload="1"),
            ],
            client_token=id_,
        )
        token = response.checkpoint_token
    return {"Status": "SUCCEEDED", "Result": "1"}


async def checkpoints_per_second(file: Path, executions: int) -> float:
    """Return how many checkpoints a second so many executions get through together."""
    async with open_local_service(file) as service:
        service.register("steps", steps)
        began = time.perf_counter()
        arns = [(await service.start_execution("steps", "null")).arn for _ in range(executions)]
        for arn in arns:
            await service.wait_closed(arn)
        return executions * _CHECKPOINTS / (time.perf_counter() - began)


async def lateness_ms(file: Path) -> list[int]:
    """Return by how many milliseconds each of some waits ended late; they are due 50 ms apart."""
    late: list[int] = []

    async def waits(event: dict[str, Any], context: Any, /, *, client: ServiceClient) -> dict[str, str]:
        given = decode_invocation(event)
        for operation in given.operations:
            if operation.status is OperationStatus.SUCCEEDED and isinstance(operation.details, WaitDetails):
                assert operation.details.scheduled_end_at is not None
                late.append(service.clock.now() - operation.details.scheduled_end_at)
                return {"Status": "SUCCEEDED", "Result": "1"}
        await client.checkpoint(
            durable_execution_arn=given.durable_execution_arn,
            checkpoint_token=given.checkpoint_token,
            updates=[
                OperationUpdate("wait", OperationType.WAIT, OperationAction.START, options=WaitOptions(2))
            ],
            client_token="wait",  # noqa: S106  # no password
        )
        return {"Status": "PENDING"}

    async with open_local_service(file) as service:
        service.register("waits", waits)
        arns = []
        for _ in range(_WAITS):
            arns.append((await service.start_execution("waits", "null")).arn)
            await trio.sleep(0.05)
        for arn in arns:
            await service.wait_closed(arn)
    return late


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        files = (Path(folder, f"{number}.sqlite") for number in itertools.count())
        for executions in (1, 5):
            rate = trio.run(checkpoints_per_second, next(files), executions)
            print(f"{executions} at a time: {rate:,.0f} checkpoints/s")
        late = trio.run(lateness_ms, next(files))
    print(f"a wait that is due: {statistics.median(late):.0f} ms late at the median, {max(late)} ms at most")


if __name__ == "__main__":
    main()
