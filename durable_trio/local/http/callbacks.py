"""Answers to callbacks, from whoever was given their ids: SendDurableExecutionCallback{Success,Failure,Heartbeat}."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio._protocol.operation import ErrorObject
from durable_trio.local.http.answers import Answer, json_answer
from durable_trio.local.http.reading import ApiRequest, refuse

if TYPE_CHECKING:
    from durable_trio.local.service import LocalService


async def succeed(service: LocalService, request: ApiRequest) -> Answer:
    """Answer a callback with the body as it is: text in UTF-8, normally JSON; an empty body is no result."""
    try:
        result = request.body.decode("utf-8") if request.body else None
    except UnicodeDecodeError as problem:
        refuse(f"Result must be text in UTF-8: {problem}")
    await service.callback_succeed(request.callback_id(), result)
    return json_answer({})


async def fail(service: LocalService, request: ApiRequest) -> Answer:
    """Answer a callback with a failure: the body is the error object."""
    await service.callback_fail(request.callback_id(), request.error_object() or ErrorObject())
    return json_answer({})


async def heartbeat(service: LocalService, request: ApiRequest) -> Answer:
    """Start a callback's heartbeat time-out over."""
    await service.callback_heartbeat(request.callback_id())
    return json_answer({})
