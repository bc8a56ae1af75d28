"""The few calls of AWS's API that a cloud test makes, by boto3 in worker threads.

boto3 itself repeats what fails in passing (throttling, the network). A call that is cancelled is abandoned: its thread
ends by itself. What comes back is read into the values that the rest of the kit works with.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio

from durable_trio._protocol.history import HistoryEvent, decode_event
from durable_trio._protocol.wire import Dialect, encode_error
from durable_trio.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from durable_trio._protocol.operation import ErrorObject

_PAGE: Final = 1000


class CloudService:
    """Durable executions by way of *lambda_client*, boto3's client of Lambda."""

    def __init__(self, lambda_client: Any) -> None:
        self._lambda = lambda_client

    def __repr__(self) -> str:
        return f"<CloudService {self._lambda.meta.endpoint_url}>"

    async def start(self, function_name: str, payload: str, name: str) -> str:
        """Start an execution and return its ARN.

        Raises:
            ConfigurationError: the function is not durable.
        """
        answer = await self._call(
            "invoke",
            FunctionName=function_name,
            InvocationType="Event",
            Payload=payload.encode(),
            DurableExecutionName=name,
        )
        arn = answer.get("DurableExecutionArn")
        if not arn:
            raise ConfigurationError(
                f"function {function_name!r} did not start a durable execution: it needs a DurableConfig, and a"
                " qualifier (a version, an alias or $LATEST) in its name"
            )
        return str(arn)

    async def describe(self, arn: str) -> Mapping[str, Any]:
        """Return what GetDurableExecution tells."""
        return await self._call("get_durable_execution", DurableExecutionArn=arn)

    async def history(self, arn: str) -> list[HistoryEvent]:
        """Return the whole history, with its data."""
        events: list[HistoryEvent] = []
        marker: dict[str, str] = {}
        while True:
            page = await self._call(
                "get_durable_execution_history",
                DurableExecutionArn=arn,
                IncludeExecutionData=True,
                MaxItems=_PAGE,
                **marker,
            )
            events.extend(decode_event(event, Dialect.API) for event in page["Events"])
            if not page.get("NextMarker"):
                return events
            marker = {"Marker": page["NextMarker"]}

    async def callback_succeed(self, callback_id: str, payload: str | None) -> None:
        """Answer a callback with a result."""
        result = {} if payload is None else {"Result": payload.encode()}
        await self._call("send_durable_execution_callback_success", CallbackId=callback_id, **result)

    async def callback_fail(self, callback_id: str, error: ErrorObject) -> None:
        """Answer a callback with a failure."""
        await self._call(
            "send_durable_execution_callback_failure", CallbackId=callback_id, Error=encode_error(error)
        )

    async def callback_heartbeat(self, callback_id: str) -> None:
        """Start a callback's heartbeat time-out over."""
        await self._call("send_durable_execution_callback_heartbeat", CallbackId=callback_id)

    async def stop(self, arn: str, error: ErrorObject | None) -> None:
        """End an execution by force."""
        reason = {} if error is None else {"Error": encode_error(error)}
        await self._call("stop_durable_execution", DurableExecutionArn=arn, **reason)

    async def _call(self, method: str, **members: Any) -> Mapping[str, Any]:
        call = partial(getattr(self._lambda, method), **members)
        answer: Mapping[str, Any] = await trio.to_thread.run_sync(call, abandon_on_cancel=True)
        return answer


def connect(region_name: str | None, endpoint_url: str | None) -> Any:
    """Return boto3's client of Lambda, with credentials and the rest from boto3's usual places.

    Raises:
        ConfigurationError: boto3 does not know durable executions, or has no region.
    """
    import boto3.session
    from botocore.config import Config
    from botocore.exceptions import NoRegionError

    config = Config(retries={"mode": "standard", "total_max_attempts": 6})
    try:
        client = boto3.session.Session().client(
            "lambda", region_name=region_name, endpoint_url=endpoint_url, config=config
        )
    except NoRegionError as error:
        raise ConfigurationError("no AWS region: set AWS_DEFAULT_REGION, or pass region_name=") from error
    if not hasattr(client, "get_durable_execution_history"):
        raise ConfigurationError(
            f"boto3 {boto3.__version__} does not know durable executions: take a newer one"
        )
    return client
