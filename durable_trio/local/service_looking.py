"""The methods of a local service by which one looks at executions; none of them changes what becomes of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio._protocol.arns import parse_arn
from durable_trio._protocol.history import HistoryEvent, truncate
from durable_trio.local.errors import (
    InvalidParameterValue,
    ServiceFailure,
)
from durable_trio.local.function_config import LATEST, split_name
from durable_trio.local.listing import list_events, list_executions
from durable_trio.local.logs import LogLine, list_log
from durable_trio.local.looking import description_of, operations_of, parsed_arn, recorded
from durable_trio.local.service_base import ServiceBase
from durable_trio.local.views import ExecutionDescription, ExecutionSummary, Page

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from contextlib import AbstractContextManager

    import trio

    from durable_trio._protocol.execution_status import ExecutionStatus
    from durable_trio._protocol.operation import (
        OperationRecord,
    )
    from durable_trio.local.changes import Change


class LookingMethods(ServiceBase):
    """Describing, listing and watching executions, and keeping their logs."""

    async def describe(self, arn: str) -> ExecutionDescription:
        """Describe an execution.

        Raises:
            ResourceNotFound: there is no such execution.
            InvalidParameterValue: several functions have one of this name.
        """
        return await self._owner.ask(lambda ledger: description_of(ledger, arn))

    async def wait_closed(self, arn: str) -> ExecutionDescription:
        """Return the description of an execution once it has ended.

        If another process drives it, its end is only seen by a service opened with ``watch_seconds``.

        Raises:
            ResourceNotFound: there is no such execution.
        """
        parsed = parse_arn(arn)
        execution_id = parsed.id if parsed else await self._owner.ask(lambda ledger: ledger.find(arn))
        with self._feeds.until_closed(execution_id) as ended:
            if not (
                await self._owner.ask(lambda ledger: recorded(ledger, ledger.find(arn)))
            ).status.is_closed:
                await ended.wait()
                if self._feeds.is_closed:
                    raise ServiceFailure("the local service was closed")
        return await self.describe(execution_id)

    async def list_executions(
        self,
        *,
        function_name: str | None = None,
        qualifier: str | None = None,
        name: str | None = None,
        statuses: Collection[ExecutionStatus] = (),
        started_after: int | None = None,
        started_before: int | None = None,
        newest_first: bool = True,
        limit: int = 100,
        marker: str = "",
    ) -> Page[ExecutionSummary]:
        """List executions by the time they were started; each filter that is given has to match.

        *function_name* may be an ARN; *qualifier* is a version, or an alias that is registered. Instants are epoch
        milliseconds, exclusive. *limit* is 0 to 1000; 0 means 100. *marker* is the ``next_marker`` of the page before.

        Raises:
            ResourceNotFound: *qualifier* is an alias of nothing.
            InvalidParameterValue: *limit* or *marker* is wrong, or *function_name* names no function.
        """
        version = None
        if function_name is not None:
            function_name, qualifier = split_name(function_name, qualifier)
        if qualifier is not None:
            version = self._version(function_name, qualifier)
        return await self._owner.ask(
            lambda ledger: list_executions(
                ledger.store,
                function_name=function_name,
                version=version,
                name=name,
                statuses=statuses,
                started_after=started_after,
                started_before=started_before,
                newest_first=newest_first,
                limit=limit,
                marker=marker,
            )
        )

    async def history(
        self,
        arn: str,
        *,
        include_data: bool = True,
        newest_first: bool = False,
        limit: int = 100,
        marker: str = "",
    ) -> Page[HistoryEvent]:
        """Return one page of an execution's history.

        Without *include_data*, inputs, results and errors are empty, and marked as truncated.

        Raises:
            ResourceNotFound: there is no such execution.
            InvalidParameterValue: *limit* is not 0 to 1000, or *marker* is wrong.
        """
        page = await self._owner.ask(
            lambda ledger: list_events(
                ledger.store, ledger.find(arn), newest_first=newest_first, limit=limit, marker=marker
            )
        )
        return page if include_data else Page(tuple(map(truncate, page.items)), page.next_marker)

    async def operations(self, arn: str) -> list[OperationRecord]:
        """Return every operation of an execution in start order, the EXECUTION first.

        Raises:
            ResourceNotFound: there is no such execution.
        """
        return await self._owner.ask(lambda ledger: operations_of(ledger, arn))

    def subscribe(self, arn: str) -> AbstractContextManager[trio.MemoryReceiveChannel[Change]]:
        """Watch an execution: ``with`` gives a channel that receives every change from now on, in order.

        Ask for ``operations`` inside the block for what was before. The channel ends when the service is closed.

        Raises:
            InvalidParameterValue: this is not the ARN of an execution.
        """
        return self._feeds.subscribe(parsed_arn(arn).id)

    # --- logs --------------------------------------------------------------------------------------------

    async def append_log_lines(self, arn: str, lines: Sequence[LogLine]) -> None:
        """Add lines to an execution's log, in this order.

        Raises:
            ResourceNotFound: there is no such execution (any more).
        """
        await self._owner.ask(lambda ledger: ledger.store.append_log(ledger.find(arn), lines))

    async def log_lines(self, arn: str, *, limit: int = 100, marker: str = "") -> Page[LogLine]:
        """Return one page of an execution's log, in order of arrival.

        Raises:
            ResourceNotFound: there is no such execution.
            InvalidParameterValue: *limit* is not 0 to 1000, or *marker* is wrong.
        """
        return await self._owner.ask(
            lambda ledger: list_log(ledger.store, ledger.find(arn), limit=limit, marker=marker)
        )

    def _version(self, function_name: str | None, qualifier: str) -> str:
        if qualifier == LATEST or qualifier.isdecimal():
            return qualifier
        if function_name is None:
            raise InvalidParameterValue(f"an alias needs a function_name: {qualifier!r}")
        return self._registry.resolve(function_name, qualifier).description.version
