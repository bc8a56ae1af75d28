"""How an invocation gets the state of its execution: every page, before any code of the user's runs.

The event brings the first page. The marker on each page asks for the next, so the calls are one after another;
but a page is taken in only when the next one is on its way. What that costs is hidden behind the service's answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from durable_trio._protocol import limits
from durable_trio._protocol.state import ExecutionState
from durable_trio.exceptions import GetStateError

if TYPE_CHECKING:
    from durable_trio._protocol.envelope import InvocationInput
    from durable_trio.clients import ServiceClient, StatePage


async def read_state(client: ServiceClient, given: InvocationInput) -> ExecutionState:
    """Return the state of the execution that *given* invokes, whole.

    Raises:
        ServiceError: a page could not be had, or cannot be read; or the execution's input is missing.
    """
    state = ExecutionState(given.durable_execution_arn, updated_operation_ids=given.updated_operation_ids)
    state.load(given.operations)
    if given.next_marker:
        await _Reader(client, given, state).read(given.next_marker)
    if state.execution is None:
        raise GetStateError(
            f"the state of {given.durable_execution_arn} has no EXECUTION operation: its input is missing"
        )
    return state


class _Reader:
    """Reads the pages after the first."""

    def __init__(self, client: ServiceClient, given: InvocationInput, state: ExecutionState) -> None:
        self._client = client
        self._given = given
        self._state = state
        self._next: StatePage | None = None
        self._error: Exception | None = None  # a value, so that it does not come as a group

    async def read(self, marker: str) -> None:
        await self._fetch(marker)
        while self._next is not None and self._error is None:
            page, self._next = self._next, None
            if page.next_marker:
                await self._take_in_meanwhile(page)
            else:
                self._state.load(page.operations)
        if self._error is not None:
            raise self._error

    async def _take_in_meanwhile(self, page: StatePage) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._fetch, page.next_marker)
            # It is scheduled with this task's next turn, in any order: after two, its call is certainly out.
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            try:
                self._state.load(page.operations)
            except Exception as error:  # noqa: BLE001  # a page that cannot be read; raised by ``read``
                self._error = error
                nursery.cancel_scope.cancel("the state cannot be read")

    async def _fetch(self, marker: str) -> None:
        try:
            self._next = await self._client.get_state(
                durable_execution_arn=self._given.durable_execution_arn,
                checkpoint_token=self._given.checkpoint_token,
                marker=marker,
                max_items=limits.MAX_PAGE_SIZE,
            )
        except Exception as error:  # noqa: BLE001  # raised by ``read``
            self._error = self._error or error
