"""AWS's SDK as a function of the local service.

The seam is the public one: ``durable_execution(boto3_client=...)`` takes anything with boto3's two methods. Here
they go to the ``ServiceClient`` of the invocation, as the wire has them: keyword arguments in, members out, with
datetimes for instants as boto3 returns them. Updates come out of it in our own types, so one recorder serves both
SDKs.

AWS's handler is synchronous and uses threads of its own. It runs in a worker thread, and virtual time stands still
meanwhile: its waits are over as soon as its invocation is.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import trio
from botocore.exceptions import ClientError

from durable_trio._protocol.wire import Dialect, decode_update, encode_operation
from durable_trio.clock import Clock
from durable_trio.exceptions import ServiceError

if TYPE_CHECKING:
    from durable_trio.clients import ServiceClient

AwsFunction = Callable[..., Any]
"""A handler written for AWS's SDK: ``fn(event, context)``."""

_INSTANTS = frozenset({"StartTimestamp", "EndTimestamp", "NextAttemptTimestamp", "ScheduledEndTimestamp"})


class AwsHandler:
    """A handler of AWS's SDK with the invocation interface of ours."""

    def __init__(self, function: AwsFunction, decorate: Callable[..., Any]) -> None:
        self._function = function
        self._decorate = decorate

    async def invoke(self, event: Any, lambda_context: Any, *, client: ServiceClient) -> Any:
        """Run one invocation in a worker thread."""
        clock = getattr(client, "clock", None)
        assert isinstance(clock, Clock)
        handler = self._decorate(
            self._function, boto3_client=_Boto3(client, trio.lowlevel.current_trio_token())
        )
        with clock.held():
            return await trio.to_thread.run_sync(handler, event, lambda_context)


class _Boto3:
    """The two methods that AWS's SDK calls on boto3's client, from any thread."""

    def __init__(self, client: ServiceClient, token: trio.lowlevel.TrioToken) -> None:
        self._client = client
        self._token = token

    def checkpoint_durable_execution(self, **request: Any) -> dict[str, Any]:
        """Record updates."""

        async def call() -> dict[str, Any]:
            answer = await self._client.checkpoint(
                durable_execution_arn=request["DurableExecutionArn"],
                checkpoint_token=request["CheckpointToken"],
                updates=[decode_update(update) for update in request["Updates"]],
                client_token=request.get("ClientToken") or str(uuid.uuid4()),
            )
            state = {"Operations": _as_boto3(answer.operations), "NextMarker": answer.next_marker}
            return _without_none({"CheckpointToken": answer.checkpoint_token, "NewExecutionState": state})

        return self._run("CheckpointDurableExecution", call)

    def get_durable_execution_state(self, **request: Any) -> dict[str, Any]:
        """Return a page of the state."""

        async def call() -> dict[str, Any]:
            page = await self._client.get_state(
                durable_execution_arn=request["DurableExecutionArn"],
                checkpoint_token=request["CheckpointToken"],
                marker=request.get("Marker", ""),
                max_items=request.get("MaxItems", 0),
            )
            return {"Operations": _as_boto3(page.operations), "NextMarker": page.next_marker}

        return self._run("GetDurableExecutionState", call)

    def _run(self, name: str, call: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        try:
            return trio.from_thread.run(call, trio_token=self._token)
        except ServiceError as refusal:
            code = refusal.code or "ServiceException"
            status = 500 if refusal.is_retryable else 400
            answer: Any = {
                "Error": {"Code": code, "Message": str(refusal)},
                "ResponseMetadata": {"HTTPStatusCode": status},
            }
            raise ClientError(answer, name) from refusal


def _as_boto3(operations: Any) -> list[Any]:
    return [_with_datetimes(encode_operation(operation, Dialect.API)) for operation in operations]


def _with_datetimes(members: dict[str, Any]) -> dict[str, Any]:
    return {
        name: datetime.fromtimestamp(value, UTC)
        if name in _INSTANTS
        else _with_datetimes(value)
        if isinstance(value, dict)
        else value
        for name, value in members.items()
    }


def _without_none(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
