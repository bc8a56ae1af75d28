"""Functions in worker processes, driven by Lambda's Runtime API; or elsewhere, by Lambda's Invoke API.

Needs the extra ``local``, and a POSIX system: worker processes are killed by their process group. ``open_workers``
is where to begin.
"""

from durable_trio.local.workers.endpoint import EndpointTarget
from durable_trio.local.workers.functions import WorkerFunction
from durable_trio.local.workers.registering import PrintedLine, Workers, open_workers

__all__ = ["EndpointTarget", "PrintedLine", "WorkerFunction", "Workers", "open_workers"]
