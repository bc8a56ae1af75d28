"""Executions in a database file, opened in this process for the time of one command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from durable_trio._protocol.execution_status import ExecutionStatus
from durable_trio._protocol.history import encode_event
from durable_trio._protocol.wire import Dialect, encode_instant
from durable_trio.cli.errors import UserError
from durable_trio.cli.service import Inspection, Invoked, InvokeRequest, Members
from durable_trio.local.documents import description_document, log_line_document, summary_document

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection

    from durable_trio._protocol.operation import ErrorObject
    from durable_trio.local import LocalService, Page

T = TypeVar("T")

_PAGE: Final = 1_000


class FileService:
    """An ``ExecutionService`` over an open database."""

    def __init__(self, service: LocalService) -> None:
        self._service = service

    async def list_executions(
        self, *, function_name: str | None, statuses: Collection[str], limit: int
    ) -> list[Members]:
        """Return the newest executions, the newest first."""
        wanted = frozenset(map(ExecutionStatus, statuses))
        found: list[Members] = []
        marker = ""
        while len(found) < limit:
            page = await self._service.list_executions(
                function_name=function_name,
                statuses=wanted,
                limit=min(_PAGE, limit - len(found)),
                marker=marker,
            )
            found += map(summary_document, page.items)
            marker = page.next_marker
            if not marker:
                break
        return found

    async def describe(self, execution: str) -> Members:
        """Return what GetDurableExecution answers."""
        return description_document(await self._service.describe(execution))

    async def inspect(self, execution: str) -> Inspection:
        """Return an execution and its operations."""
        description = await self._service.describe(execution)
        return Inspection(
            description=description_document(description),
            operations=await self._service.operations(description.arn),
            invocation_count=description.invocation_count,
            now=self._service.clock.now(),
        )

    async def events(self, arn: str, *, newest_first: bool = False) -> list[Members]:
        """Return the whole history."""
        return [
            encode_event(event, Dialect.API)
            async for event in _all(
                lambda marker: self._service.history(
                    arn, newest_first=newest_first, limit=_PAGE, marker=marker
                )
            )
        ]

    async def log_lines(self, arn: str) -> list[Members]:
        """Return all that the execution's functions wrote to their logs."""
        return [
            log_line_document(line)
            async for line in _all(lambda marker: self._service.log_lines(arn, limit=_PAGE, marker=marker))
        ]

    async def stop(self, arn: str, error: ErrorObject | None) -> Members:
        """End an execution by force; return what StopDurableExecution answers."""
        return {"StopTimestamp": encode_instant(await self._service.stop(arn, error), Dialect.API)}

    async def pause(self, arn: str, *, reason: str | None, pause_timeout: bool) -> None:
        """Have an execution not invoked any more until it is resumed."""
        await self._service.pause_execution(arn, reason=reason, pause_timeout=pause_timeout)

    async def resume(self, arn: str, *, reason: str | None) -> None:
        """Go on with an execution that was paused."""
        await self._service.resume_execution(arn, reason=reason)

    async def delete(self, arn: str) -> Members:
        """Delete an execution that has ended; return what DeleteDurableExecution answers."""
        at = await self._service.delete_execution(arn)
        return {"DeletionRequestTimestamp": encode_instant(at, Dialect.API)}

    async def invoke(self, request: InvokeRequest) -> Invoked:
        """Refuse: a file holds executions, not functions.

        Raises:
            UserError: always.
        """
        raise UserError(
            f"a database has no functions to invoke: name an endpoint that serves {request.function_name} with "
            "--endpoint-url or --aws, or run a handler with durable-trio run"
        )

    async def callback_succeed(self, callback_id: str, result: str | None) -> None:
        """Answer a callback with a result."""
        await self._service.callback_succeed(callback_id, result)

    async def callback_fail(self, callback_id: str, error: ErrorObject) -> None:
        """Answer a callback with a failure."""
        await self._service.callback_fail(callback_id, error)

    async def callback_heartbeat(self, callback_id: str) -> None:
        """Say that a callback's answer is still being worked on."""
        await self._service.callback_heartbeat(callback_id)


async def _all(read: Callable[[str], Awaitable[Page[T]]]) -> AsyncIterator[T]:
    """Give the items of all pages."""
    marker = ""
    while True:
        page = await read(marker)
        for item in page.items:
            yield item
        marker = page.next_marker
        if not marker:
            return
