"""Executions behind an endpoint: AWS Lambda, or one that speaks its routes, called by boto3.

A call blocks this process, as nothing else goes on in it: so Ctrl-C ends it at once.

The API has no call that lists an execution's operations from outside. They are played back from its history,
which tells everything but which contexts were closed with ``ReplayChildren``.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from durable_trio._protocol.arns import parse_arn
from durable_trio._protocol.history import EventType, decode_event
from durable_trio._protocol.operation import OperationStatus, StepDetails
from durable_trio._protocol.wire import Dialect, WireError, encode_error
from durable_trio.cli.errors import NotFoundError, UserError
from durable_trio.cli.service import Inspection, Invoked, InvokeRequest, Members

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from durable_trio._protocol.history import HistoryEvent
    from durable_trio._protocol.operation import ErrorObject, OperationRecord
    from durable_trio.cli.endpoint import Endpoint

_PAGE: Final = 1_000
_KNOWN_EVENTS: Final = frozenset(EventType)


class RemoteService:
    """An ``ExecutionService`` over boto3's client of Lambda."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def list_executions(
        self, *, function_name: str | None, statuses: Collection[str], limit: int
    ) -> list[Members]:
        """Return the newest executions, the newest first: of one function, or of every durable one."""
        functions = [function_name] if function_name is not None else self._durable_functions()
        filters: Members = {"Statuses": sorted(statuses)} if statuses else {}
        found = [each for name in functions for each in self._executions(name, filters, limit)]
        found.sort(key=lambda each: float(each["StartTimestamp"]), reverse=True)
        return found[:limit]

    async def describe(self, execution: str) -> Members:
        """Return what GetDurableExecution answers."""
        return self._endpoint.call("get_durable_execution", DurableExecutionArn=self._find(execution))

    async def inspect(self, execution: str) -> Inspection:
        """Return an execution and its operations."""
        description = await self.describe(execution)
        arn = description["DurableExecutionArn"]
        events = list(_decoded(await self.events(arn)))
        now = time.time_ns() // 1_000_000
        return Inspection(
            description=description,
            operations=_operations(events, arn, now),
            invocation_count=sum(event.type is EventType.INVOCATION_COMPLETED for event in events),
            now=now,
        )

    async def events(self, arn: str, *, newest_first: bool = False) -> list[Members]:
        """Return the whole history."""
        return list(
            self._pages(
                "get_durable_execution_history",
                "Events",
                DurableExecutionArn=arn,
                IncludeExecutionData=True,
                ReverseOrder=newest_first,
                MaxItems=_PAGE,
            )
        )

    async def log_lines(self, arn: str) -> list[Members]:
        """Return all that the execution's functions wrote to their logs."""
        return self._endpoint.log_lines(arn)

    async def stop(self, arn: str, error: ErrorObject | None) -> Members:
        """End an execution by force; return what StopDurableExecution answers."""
        given = {} if error is None else {"Error": encode_error(error)}
        return self._endpoint.call("stop_durable_execution", DurableExecutionArn=arn, **given)

    async def pause(self, arn: str, *, reason: str | None, pause_timeout: bool) -> None:
        """Have an execution not invoked any more until it is resumed."""
        self._endpoint.call(
            "pause_durable_execution",
            DurableExecutionArn=arn,
            ExecutionTimeoutPaused=pause_timeout,
            **_given(Reason=reason),
        )

    async def resume(self, arn: str, *, reason: str | None) -> None:
        """Go on with an execution that was paused."""
        self._endpoint.call("resume_durable_execution", DurableExecutionArn=arn, **_given(Reason=reason))

    async def delete(self, arn: str) -> Members:
        """Delete an execution that has ended; return what DeleteDurableExecution answers."""
        return self._endpoint.call("delete_durable_execution", DurableExecutionArn=arn)

    async def invoke(self, request: InvokeRequest) -> Invoked:
        """Invoke a function."""
        answer = self._endpoint.call(
            "invoke",
            FunctionName=request.function_name,
            InvocationType=request.how,
            Payload=request.payload.encode("utf-8"),
            **_given(
                DurableExecutionName=request.name, TenantId=request.tenant_id, Qualifier=request.qualifier
            ),
        )
        return Invoked(
            status_code=answer["StatusCode"],
            arn=answer.get("DurableExecutionArn"),
            payload=answer["Payload"].read().decode("utf-8", "replace"),
            function_error=answer.get("FunctionError"),
        )

    async def callback_succeed(self, callback_id: str, result: str | None) -> None:
        """Answer a callback with a result."""
        given = {} if result is None else {"Result": result.encode("utf-8")}
        self._endpoint.call("send_durable_execution_callback_success", CallbackId=callback_id, **given)

    async def callback_fail(self, callback_id: str, error: ErrorObject) -> None:
        """Answer a callback with a failure."""
        self._endpoint.call(
            "send_durable_execution_callback_failure", CallbackId=callback_id, Error=encode_error(error)
        )

    async def callback_heartbeat(self, callback_id: str) -> None:
        """Say that a callback's answer is still being worked on."""
        self._endpoint.call("send_durable_execution_callback_heartbeat", CallbackId=callback_id)

    # --- finding -----------------------------------------------------------------------------------------

    def _find(self, execution: str) -> str:
        """Return the ARN of the execution that *execution* names, searched for in every durable function."""
        if parse_arn(execution) is not None:
            return execution
        found = [
            each["DurableExecutionArn"]
            for function_name in self._durable_functions()
            for each in self._executions(function_name, {"DurableExecutionName": execution}, 2)
        ]
        if not found:
            raise NotFoundError(f"there is no execution named {execution!r} at {self._endpoint}")
        if len(found) > 1:
            raise UserError(
                f"several executions are named {execution!r}; name one by its ARN: {', '.join(found)}"
            )
        return str(found[0])

    def _durable_functions(self) -> list[str]:
        functions = self._pages("list_functions", "Functions")
        return sorted({each["FunctionName"] for each in functions if each.get("DurableConfig")})

    def _executions(self, function_name: str, filters: Members, limit: int) -> Iterator[Members]:
        pages = self._pages(
            "list_durable_executions_by_function",
            "DurableExecutions",
            FunctionName=function_name,
            MaxItems=min(_PAGE, limit),
            **filters,
        )
        return (each for each, _ in zip(pages, range(limit), strict=False))

    def _pages(self, method: str, member: str, **members: Any) -> Iterator[Members]:
        marker: Members = {}
        while True:
            page = self._endpoint.call(method, **members, **marker)
            yield from page.get(member, ())
            if not page.get("NextMarker"):
                return
            marker = {"Marker": page["NextMarker"]}


def _given(**members: Any) -> Members:
    return {name: value for name, value in members.items() if value is not None}


def _decoded(events: Iterable[Members]) -> Iterator[HistoryEvent]:
    """Read the events; of a type that is younger than this program, say that it is left out."""
    for event in events:
        if event.get("EventType") not in _KNOWN_EVENTS:
            click.echo(f"Warning: event {event.get('EventId')} is of an unknown type", err=True)
            continue
        try:
            yield decode_event(event, Dialect.API)
        except WireError as problem:
            raise UserError(f"the endpoint's history cannot be read: {problem}") from problem


def _operations(events: list[HistoryEvent], arn: str, now: int) -> list[OperationRecord]:
    from durable_trio.testing.histories_state import inferred_replay_children, operations_after

    records = operations_after(
        events, execution_id=arn.rpartition("/")[2], replay_children=inferred_replay_children(events)
    )
    due_times = {event.id: _due_at(event) for event in events if event.details.next_attempt_delay_seconds}
    return [_timed(record, due_times.get(record.id), now) for record in records.values()]


def _due_at(event: HistoryEvent) -> int:
    return event.at + (event.details.next_attempt_delay_seconds or 0) * 1000


def _timed(record: OperationRecord, due_at: int | None, now: int) -> OperationRecord:
    """Say when a step that waits for its retry goes on. No event tells that it is READY; the time does."""
    if record.status is not OperationStatus.PENDING or not isinstance(record.details, StepDetails):
        return record
    if due_at is None or due_at <= now:
        return replace(record, status=OperationStatus.READY)
    return replace(record, details=replace(record.details, next_attempt_at=due_at))
