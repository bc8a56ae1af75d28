"""What a function asks for while it runs: CheckpointDurableExecution and GetDurableExecutionState."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from durable_trio._protocol import limits
from durable_trio._protocol.wire import Dialect, WireError, decode_update, encode_operation
from durable_trio.local.http.answers import Answer, json_answer
from durable_trio.local.http.reading import ApiRequest, member_text, refuse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from durable_trio._protocol.operation import OperationRecord, OperationUpdate
    from durable_trio.local.service import LocalService


async def checkpoint(service: LocalService, request: ApiRequest) -> Answer:
    """Record updates. The answer has no token if this invocation may not checkpoint any more."""
    arn = request.execution_arn()
    members = request.members()
    answer = await service.checkpoint(
        durable_execution_arn=arn,
        checkpoint_token=_token(member_text(members, "CheckpointToken")),
        updates=_updates(members.get("Updates")),
        # Without one there is no repetition to recognise.
        client_token=member_text(members, "ClientToken", default=str(uuid.uuid4())),
    )
    wire: dict[str, Any] = {"NewExecutionState": _state(answer.operations, answer.next_marker)}
    if answer.checkpoint_token is not None:
        wire["CheckpointToken"] = answer.checkpoint_token
    return json_answer(wire)


async def get_state(service: LocalService, request: ApiRequest) -> Answer:
    """Return a page of the execution's operations, in start order."""
    page = await service.get_state(
        durable_execution_arn=request.execution_arn(),
        checkpoint_token=_token(request.text("CheckpointToken") or ""),
        marker=request.text("Marker") or "",
        max_items=request.max_items(),
    )
    return json_answer(_state(page.operations, page.next_marker))


def _token(token: str) -> str:
    if len(token) > limits.MAX_TOKEN_LENGTH or limits.CHECKPOINT_TOKEN.fullmatch(token) is None:
        # Not in the words of a spent token: by those, an SDK would have the invocation repeated, in vain.
        refuse(f"CheckpointToken must be 1 to {limits.MAX_TOKEN_LENGTH} characters of base64")
    return token


def _updates(wire: object) -> list[OperationUpdate]:
    if wire is None:
        return []
    if not isinstance(wire, list):
        refuse(f"Updates must be a list, not {type(wire).__name__}")
    try:
        return [decode_update(update) for update in wire]
    except WireError as problem:
        refuse(f"Updates: {problem}")


def _state(operations: Iterable[OperationRecord], next_marker: str) -> dict[str, Any]:
    wire: dict[str, Any] = {"Operations": [encode_operation(each, Dialect.API) for each in operations]}
    if next_marker:
        wire["NextMarker"] = next_marker
    return wire
