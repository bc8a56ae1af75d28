"""``CloudRunner``: the same result object, of a function that is deployed.

What runs is the deployed code, on AWS or on any endpoint that speaks its routes (``durable-trio serve`` is one); the
runner starts it by name and asks how it is doing, less and less often. So time is real, waits take what they take, and
nothing is known that the service does not tell: a result has operations, events and invocations, rebuilt from the
history, but no checkpoint calls and no log lines.

Use it for a few tests of what only the deployment can show (permissions, packaging, the real payment sandbox), and
``DurableRunner`` for the workflow itself.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import trio
import trio.testing

from durable_trio.config import exact_seconds
from durable_trio.duration import Duration
from durable_trio.exceptions import ConfigurationError, ValidationError
from durable_trio.serdes import SerdesContext
from durable_trio.testing._cloud_service import CloudService, connect
from durable_trio.testing._handlers import operation_serdes, result_serdes
from durable_trio.testing.cloud_execution import CloudExecution

if TYPE_CHECKING:
    from datetime import timedelta

    from durable_trio.testing.result import RunResult

__all__ = ["CloudRunner"]


class CloudRunner:
    """Runs a deployed durable function for a test. It needs no block: it holds nothing open.

    Args:
        function_name: the function's name with a qualifier (``orders:live``), or its qualified ARN.
        handler: the handler that is deployed there, if it is at hand: results and payloads are then read by its
            serializers, and otherwise as JSON.
        timeout: how long a test waits for an execution or a callback, in real time, above 0; by default 15 minutes.
        client: boto3's client of Lambda; by default one is made.
        region_name, endpoint_url: for the client that is made; by default boto3's usual places.

    Raises:
        ConfigurationError: boto3 has no region, or does not know durable executions.
        ValidationError: *timeout* is not above 0, or *client* is given with where it should point.
        TypeError: *timeout* is neither a ``Duration`` nor a ``timedelta``.
    """

    def __init__(
        self,
        function_name: str,
        *,
        handler: Any = None,
        timeout: Duration | timedelta = Duration.minutes(15),  # noqa: B008  # frozen
        client: Any = None,
        region_name: str | None = None,
        endpoint_url: str | None = None,
    ) -> None:
        self.function_name = function_name
        self._timeout_seconds = exact_seconds("timeout", timeout)
        if not self._timeout_seconds > 0:
            raise ValidationError(f"timeout must be above 0, not {timeout!r}")
        if client is not None and (region_name is not None or endpoint_url is not None):
            raise ValidationError(
                "client knows its region and endpoint; give either it, or region_name and endpoint_url"
            )
        self._service = CloudService(client if client is not None else connect(region_name, endpoint_url))
        self._serdes = operation_serdes(handler)
        self._result_serdes = result_serdes(handler)

    def __repr__(self) -> str:
        return f"<CloudRunner of {self.function_name!r} at {self._service!r}>"

    async def start(self, event: Any = None, *, name: str | None = None) -> CloudExecution:
        """Start an execution and return a handle of it.

        Args:
            event: the handler's input; JSON.
            name: the execution's name; by default a new one. Starting again with the same name and event gives the
                same execution.

        Raises:
            ConfigurationError: the function is not durable, or the Trio run has a virtual clock.
            botocore.exceptions.ClientError: AWS refused.
        """
        _refuse_virtual_time()
        text = self._result_serdes.serialize(event, SerdesContext("", "", name))
        arn = await self._service.start(self.function_name, text, name or f"test-{uuid.uuid4()}")
        return CloudExecution(self._service, arn, self._timeout_seconds, self._serdes, self._result_serdes)

    async def run(self, event: Any = None, *, name: str | None = None) -> RunResult:
        """Start an execution and return what it has left behind once it has ended. Raises like both."""
        return await (await self.start(event, name=name)).result()

    def run_sync(self, event: Any = None, *, name: str | None = None) -> RunResult:
        """Do the same in a Trio run of its own."""

        async def main() -> RunResult:
            return await self.run(event, name=name)

        return trio.run(main)


def _refuse_virtual_time() -> None:
    if isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock):
        raise ConfigurationError(
            "a deployed function runs in real time: use CloudRunner in a test without a virtual clock"
        )
