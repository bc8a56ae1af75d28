"""Invoke: starting an execution, or calling a function that is not durable.

``RequestResponse`` waits for the end. A client that goes away while it waits stops waiting, and nothing else:
what it has started goes on, as on Lambda. A repeated call starts another execution, unless the executions have
a name.
"""

from __future__ import annotations

import base64
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

from durable_trio.local.http.answers import Answer
from durable_trio.local.http.reading import ApiRequest, refuse
from durable_trio.local.invoking import InvocationType

if TYPE_CHECKING:
    from durable_trio.local.invoking import InvokeResult
    from durable_trio.local.service import LocalService

EnumT = TypeVar("EnumT", bound=StrEnum)

_TENANT_ID: Final = re.compile(r"[a-zA-Z0-9._:/=+\-@ ]{1,256}")
_MAX_CLIENT_CONTEXT: Final = 3_583
_LOG_TAIL_BYTES: Final = 4 * 1024


class LogType(StrEnum):
    """Whether the answer is to hold the end of the log."""

    NONE = "None"
    TAIL = "Tail"


async def invoke(service: LocalService, request: ApiRequest) -> Answer:
    """Invoke a function."""
    function_name, qualifier = request.function()
    how = _one_of(InvocationType, request, "x-amz-invocation-type", InvocationType.REQUEST_RESPONSE)
    log_type = _one_of(LogType, request, "x-amz-log-type", LogType.NONE)
    result = await service.invoke(
        function_name,
        request.body,
        invocation_type=how,
        name=request.headers.get("x-amz-durable-execution-name"),
        tenant_id=_tenant_id(request),
        qualifier=qualifier,
        client_context=_client_context(request),
    )
    headers = _headers(result)
    if log_type is LogType.TAIL and how is InvocationType.REQUEST_RESPONSE:
        headers |= await _log_tail(service, result.durable_execution_arn)
    body = b"" if result.payload is None else result.payload.encode("utf-8")
    return Answer(result.status_code, body, headers=headers)


def _headers(result: InvokeResult) -> dict[str, str]:
    headers = {"x-amz-executed-version": result.executed_version}
    if result.durable_execution_arn is not None:
        headers["x-amz-durable-execution-arn"] = result.durable_execution_arn
    if result.function_error is not None:
        headers["x-amz-function-error"] = result.function_error
    return headers


async def _log_tail(service: LocalService, arn: str | None) -> dict[str, str]:
    """Return the header with the last 4 KiB of an execution's log; none if no log is kept."""
    if arn is None:
        return {}
    tail, marker = b"", ""
    while True:
        page = await service.log_lines(arn, limit=1_000, marker=marker)
        text = "".join(f"{line.text}\n" for line in page.items)
        tail = (tail + text.encode("utf-8", "replace"))[-_LOG_TAIL_BYTES:]
        marker = page.next_marker
        if not marker:
            return {"x-amz-log-result": base64.b64encode(tail).decode("ascii")}


def _one_of(enum: type[EnumT], request: ApiRequest, header: str, default: EnumT) -> EnumT:
    text = request.headers.get(header)
    if text is None:
        return default
    try:
        return enum(text)
    except ValueError:
        refuse(f"{header} must be one of {', '.join(enum)}, not {text!r:.100}")


def _tenant_id(request: ApiRequest) -> str | None:
    tenant_id = request.headers.get("x-amz-tenant-id")
    if tenant_id is not None and _TENANT_ID.fullmatch(tenant_id) is None:
        refuse(f"X-Amz-Tenant-Id must be 1 to 256 of [a-zA-Z0-9._:/=+-@ ], not {tenant_id!r:.300}")
    return tenant_id


def _client_context(request: ApiRequest) -> str | None:
    context = request.headers.get("x-amz-client-context")
    if context is not None and len(context) > _MAX_CLIENT_CONTEXT:
        refuse(f"X-Amz-Client-Context must be at most {_MAX_CLIENT_CONTEXT} bytes, not {len(context)}")
    return context
