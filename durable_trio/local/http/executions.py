"""Executions, for whoever looks after them: Get, History, List, Stop, Pause, Resume, Delete; and their logs.

The logs are an addition of ours: on AWS they are in CloudWatch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from durable_trio._protocol.execution_status import ExecutionStatus
from durable_trio._protocol.history import encode_event
from durable_trio._protocol.wire import Dialect, encode_instant
from durable_trio.local.documents import description_document, log_line_document, summary_document
from durable_trio.local.errors import ResourceNotFound
from durable_trio.local.http.answers import Answer, json_answer
from durable_trio.local.http.reading import ApiRequest, member_text, member_truth, refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable_trio.local.service import LocalService

_MAX_STATUSES: Final = 10
_MAX_REASON: Final = 1_024


async def get(service: LocalService, request: ApiRequest) -> Answer:
    """Describe an execution (GetDurableExecution)."""
    description = await service.describe(request.execution_arn())
    include_data = request.truth("IncludeExecutionData", default=True)
    return json_answer(description_document(description, include_data=include_data))


async def history(service: LocalService, request: ApiRequest) -> Answer:
    """Return a page of an execution's history, oldest event first."""
    page = await service.history(
        request.execution_arn(),
        include_data=request.truth("IncludeExecutionData", default=True),
        newest_first=request.truth("ReverseOrder", default=False),
        limit=request.max_items(),
        marker=request.text("Marker") or "",
    )
    return _page("Events", [encode_event(event, Dialect.API) for event in page.items], page.next_marker)


async def list_by_function(service: LocalService, request: ApiRequest) -> Answer:
    """Return a page of a function's executions, the newest first."""
    function_name, qualifier = request.function()
    page = await service.list_executions(
        function_name=function_name,
        qualifier=qualifier,
        name=request.text("DurableExecutionName"),
        statuses=_statuses(request.texts("Statuses")),
        started_after=request.instant("StartedAfter"),
        started_before=request.instant("StartedBefore"),
        newest_first=not request.truth("ReverseOrder", default=False),
        limit=request.max_items(),
        marker=request.text("Marker") or "",
    )
    if not page.items:
        # An execution outlives its function: what a closed program has left in the file can still be listed.
        await _check_known(service, function_name)
    return _page("DurableExecutions", [summary_document(each) for each in page.items], page.next_marker)


async def stop(service: LocalService, request: ApiRequest) -> Answer:
    """End an execution by force; one that has ended stays as it is."""
    at = await service.stop(request.execution_arn(), request.error_object())
    return json_answer({"StopTimestamp": encode_instant(at, Dialect.API)})


async def pause(service: LocalService, request: ApiRequest) -> Answer:
    """Stop invoking an execution's function until it is resumed."""
    members = request.members()
    await service.pause_execution(
        request.execution_arn(),
        reason=_reason(members),
        pause_timeout=member_truth(members, "ExecutionTimeoutPaused", default=True),
        client_token=_client_token(members),
    )
    return json_answer({}, 202)


async def resume(service: LocalService, request: ApiRequest) -> Answer:
    """Go on with an execution that was paused."""
    members = request.members()
    await service.resume_execution(
        request.execution_arn(), reason=_reason(members), client_token=_client_token(members)
    )
    return json_answer({}, 202)


async def delete(service: LocalService, request: ApiRequest) -> Answer:
    """Delete an execution that has ended, with its history and logs."""
    at = await service.delete_execution(request.execution_arn())
    return json_answer({"DeletionRequestTimestamp": encode_instant(at, Dialect.API)}, 202)


async def logs(service: LocalService, request: ApiRequest) -> Answer:
    """Return a page of what an execution's functions wrote to their logs."""
    page = await service.log_lines(
        request.execution_arn(), limit=request.max_items(), marker=request.text("Marker") or ""
    )
    return _page("Lines", [log_line_document(line) for line in page.items], page.next_marker)


def _page(member: str, items: Sequence[Any], next_marker: str) -> Answer:
    wire: dict[str, Any] = {member: items}
    if next_marker:
        wire["NextMarker"] = next_marker
    return json_answer(wire)


def _statuses(texts: Sequence[str]) -> frozenset[ExecutionStatus]:
    if len(texts) > _MAX_STATUSES:
        refuse(f"Statuses must be 1 to {_MAX_STATUSES}, not {len(texts)}")
    try:
        return frozenset(map(ExecutionStatus, texts))
    except ValueError as problem:
        refuse(f"Statuses must be of {', '.join(ExecutionStatus)}: {problem}")


async def _check_known(service: LocalService, function_name: str) -> None:
    try:
        service.function(function_name)
    except ResourceNotFound:
        if not (await service.list_executions(function_name=function_name, limit=1)).items:
            raise


def _reason(members: dict[str, Any]) -> str | None:
    if members.get("Reason") is None:
        return None
    reason = member_text(members, "Reason")
    if len(reason) > _MAX_REASON:
        refuse(f"Reason must be at most {_MAX_REASON} characters, not {len(reason)}")
    return reason


def _client_token(members: dict[str, Any]) -> str | None:
    return None if members.get("ClientToken") is None else member_text(members, "ClientToken")
