"""DBOS, whose workflows keep their state in SQLite.

It opens the file with SQLite's defaults, a rollback journal and ``synchronous=FULL``: as durable when a step is done as the
local service, which has a write-ahead log and ``FULL``.
"""

from __future__ import annotations

import asyncio
import tempfile
from typing import Any

from dbos import DBOS

from benchmarks.measuring import Measurement
from benchmarks.stub import Void
from benchmarks.work import Workload

IMPORT = "import dbos"


@DBOS.step()
async def give(value: Any) -> Any:
    """Be the body of a step."""
    return value


@DBOS.workflow()
async def steps(count: int) -> int:
    """Run steps in a row."""
    for number in range(count):
        await give(number)
    return count


@DBOS.workflow()
async def fan_out(count: int) -> int:
    """Run steps at once."""
    return len(await asyncio.gather(*[give(number) for number in range(count)]))


def local(workload: Workload) -> Measurement:
    """Run the workload on a fresh file."""
    program = {"local_steps": steps, "local_map": fan_out}[workload.kind]
    measurement = Measurement()
    with tempfile.TemporaryDirectory() as folder:
        DBOS(
            config={
                "name": "bench",
                "system_database_url": f"sqlite:///{folder}/bench.sqlite",
                "run_admin_server": False,
                "log_level": "ERROR",
            }
        )
        DBOS.launch()
        with measurement.stretch():
            done = asyncio.run(program(workload.count))
        DBOS.destroy()
    if done != workload.count:
        raise Void(f"{done} steps, not {workload.count}")
    return measurement
