"""What a local durable execution service can be asked.

Every call is a request to the owner task (``owner``), which is the only one to touch the database. Functions are
called by tasks of the service's own nursery, one per invocation (``invoker``); how a call ended comes back to the
owner as a request like any other. Whatever is to be decided is decided by the pure rules in ``_protocol``.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Final

from durable_trio._protocol import limits
from durable_trio._protocol.arns import ExecutionArn, parse_arn
from durable_trio._protocol.checkpointing import apply_checkpoint, check_token
from durable_trio._protocol.history import HistoryEvent, truncate
from durable_trio._protocol.opaque import callback_target
from durable_trio._protocol.pages import PageLimits, page_size, state_page
from durable_trio._protocol.service_moves import beat_callback, fail_callback, stop, succeed_callback
from durable_trio.clients import CheckpointResponse, StatePage
from durable_trio.exceptions import ValidationError
from durable_trio.local.chained import target_name
from durable_trio.local.changes import ExecutionClosed, Feeds
from durable_trio.local.client import LocalClient
from durable_trio.local.errors import (
    InvalidParameterValue,
    ResourceNotFound,
    ServiceFailure,
)
from durable_trio.local.functions import FunctionTarget, RegisteredFunction
from durable_trio.local.invoker import Invoker
from durable_trio.local.ledger import Ledger
from durable_trio.local.listing import list_events, list_executions
from durable_trio.local.owner import Owner
from durable_trio.local.starting import DEFAULT_RETENTION_DAYS, StartRequest
from durable_trio.local.views import ExecutionDescription, ExecutionSummary, Page, describe, summarize

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection, Sequence
    from contextlib import AbstractContextManager

    import trio

    from durable_trio._protocol.execution_record import (
        ExecutionRecord,
    )
    from durable_trio._protocol.execution_status import (
        ExecutionStatus,
    )
    from durable_trio._protocol.operation import (
        ChainedInvokeOptions,
        ErrorObject,
        OperationRecord,
        OperationUpdate,
    )
    from durable_trio.clock import Clock
    from durable_trio.local.changes import Change
    from durable_trio.local.hosts import Host
    from durable_trio.local.ledger import Deeds
    from durable_trio.local.settings import LocalSettings
    from durable_trio.local.store import Store

_FUNCTION_NAME: Final = re.compile(r"[a-zA-Z0-9\-_]{1,64}")


class LocalService:
    """A durable execution service in this process. Made by ``open_local_service``.

    Every method that is ``async`` may raise ``ServiceFailure`` when the database cannot be written, beside what
    its own documentation says. Where an *arn* is asked for, an execution's id or name will do as well.

    Attributes:
        clock: the time by which the service keeps its timers.
    """

    def __init__(
        self,
        store: Store,
        host: Host,
        settings: LocalSettings,
        clock: Clock,
        chance: random.Random,
        watch_seconds: float | None,
        nursery: trio.Nursery,
    ) -> None:
        self.clock = clock
        self._settings = settings
        self._chance = chance
        self._functions: dict[str, RegisteredFunction] = {}
        self._feeds = Feeds()
        self._ledger = Ledger(
            store, host, clock, settings, self._feeds, self._make_id, self._check_registered
        )
        self._owner = Owner(self._ledger, clock, self._perform, watch_seconds)
        self._client = LocalClient(self)
        self._invoker = Invoker(nursery, self._owner, self._client, clock, settings, chance)
        nursery.start_soon(self._owner.run, name="local service owner")

    def __repr__(self) -> str:
        return f"<LocalService {len(self._functions)} functions, {self._ledger!r}>"

    def client(self) -> LocalClient:
        """Return the client by which a durable function reaches this service."""
        return self._client

    def hang_up(self) -> None:
        """End the channels of all who watch an execution: nothing more will come."""
        self._feeds.close()

    # --- functions and executions ------------------------------------------------------------------------

    def register(self, function_name: str, target: FunctionTarget, *, timeout_seconds: float = 900) -> None:
        """Make a function known, so that executions of it can be started.

        Args:
            function_name: 1 to 64 of ``[a-zA-Z0-9-_]``.
            target: called as ``await target(event, lambda_context, client=...)``; the bound method ``invoke``
                of a durable handler is one.
            timeout_seconds: how long one invocation may take before it is cut off, more than 0.

        Raises:
            ValidationError: the name or the time-out is out of range, or the name is taken.
        """
        if _FUNCTION_NAME.fullmatch(function_name) is None:
            raise ValidationError(f"function_name must be 1 to 64 of [a-zA-Z0-9-_], not {function_name!r}")
        if not timeout_seconds > 0:
            raise ValidationError(f"timeout_seconds must be more than 0, not {timeout_seconds!r}")
        if function_name in self._functions:
            raise ValidationError(f"function_name {function_name!r} is registered already")
        self._functions[function_name] = RegisteredFunction(function_name, target, timeout_seconds)

    async def start_execution(
        self,
        function_name: str,
        input_payload: str,
        *,
        name: str | None = None,
        execution_timeout_seconds: int = limits.MAX_EXECUTION_TIMEOUT_SECONDS,
        retention_days: int = DEFAULT_RETENTION_DAYS,
    ) -> ExecutionSummary:
        """Start an execution of a registered function.

        Asking again with the same *name* and payload returns the execution that exists, whatever became of it;
        it is not driven by this process then unless it was before (see ``resume_execution``).

        Args:
            function_name: a registered function.
            input_payload: the input, normally JSON text; at most 6 MiB.
            name: 1 to 64 of ``[a-zA-Z0-9-_]``, unique for the function; None makes one up.
            execution_timeout_seconds: 1 to 31622400 (366 days), the default.
            retention_days: 1 to 90, by default 14.

        Raises:
            ResourceNotFound: the function is not registered.
            ExecutionAlreadyStarted: the name is in use with another payload.
            InvalidParameterValue: an argument is out of range.
        """
        self._check_registered(function_name)
        arn = self._new_arn(function_name, name)
        request = StartRequest(arn, input_payload, execution_timeout_seconds, retention_days)
        return await self._owner.ask(lambda ledger: summarize(request.apply(ledger)))

    async def resume_execution(self, arn: str) -> ExecutionSummary:
        """Drive an unfinished execution that is in the file, and the executions it started by chained invokes.

        Its timers go on, and it is invoked when that is due: at once, if an invocation was cut off. For an
        execution that has ended, or that this process drives already, nothing changes.

        Raises:
            ResourceNotFound: there is no such execution, or its function (or one that it has called) is not
                registered.
            ExecutionBusy: another live process drives it.
        """

        def resume(ledger: Ledger) -> ExecutionSummary:
            record = ledger.open(ledger.find(arn))
            ledger.take_over(record.id)
            return summarize(record)

        return await self._owner.ask(resume)

    async def stop(self, arn: str, error: ErrorObject | None = None) -> int:
        """End an execution by force and return the instant it ended at (epoch milliseconds).

        Its function may still be running; every checkpoint it tries from now on is refused. An execution that has
        ended stays as it is.

        Raises:
            ResourceNotFound: there is no such execution.
            InvalidParameterValue: *error* is larger than 1 MiB.
        """

        def end(ledger: Ledger) -> int:
            record = ledger.open(ledger.find(arn))
            at = stop(record, error, self.clock.now())
            ledger.save(record)
            return at

        return await self._owner.ask(end)

    # --- looking -----------------------------------------------------------------------------------------

    async def describe(self, arn_or_name: str) -> ExecutionDescription:
        """Describe an execution, given by ARN, id or name.

        Raises:
            ResourceNotFound: there is no such execution.
            InvalidParameterValue: several functions have one of this name.
        """

        def look(ledger: Ledger) -> ExecutionDescription:
            execution_id = ledger.find(arn_or_name)
            stored = ledger.store.load_standing(execution_id)
            assert stored is not None  # noqa: S101  # found a moment ago, in the same transaction
            return describe(stored.record, ledger.store.input_payload(execution_id))

        return await self._owner.ask(look)

    async def wait_closed(self, arn: str) -> ExecutionDescription:
        """Return the description of an execution once it has ended.

        If another process drives it, its end is only seen by a service opened with ``watch_seconds``.

        Raises:
            ResourceNotFound: there is no such execution.
        """
        execution_id = await self._owner.ask(lambda ledger: ledger.find(arn))
        with self._feeds.subscribe(execution_id) as changes:
            if not (await self._owner.ask(lambda ledger: _recorded(ledger, execution_id))).status.is_closed:
                async for change in changes:
                    if isinstance(change, ExecutionClosed):
                        break
                else:
                    raise ServiceFailure("the local service was closed")
        return await self.describe(execution_id)

    async def list_executions(
        self,
        *,
        function_name: str | None = None,
        name: str | None = None,
        statuses: Collection[ExecutionStatus] = (),
        started_after: int | None = None,
        started_before: int | None = None,
        newest_first: bool = True,
        limit: int = 100,
        marker: str = "",
    ) -> Page[ExecutionSummary]:
        """List executions by the time they were started; each filter that is given has to match.

        Instants are epoch milliseconds, exclusive. *limit* is 0 to 1000; 0 means 100. *marker* is the
        ``next_marker`` of the page before.

        Raises:
            InvalidParameterValue: *limit* or *marker* is wrong.
        """
        return await self._owner.ask(
            lambda ledger: list_executions(
                ledger.store,
                function_name=function_name,
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
        return await self._owner.ask(
            lambda ledger: [entry.operation for entry in _recorded(ledger, ledger.find(arn)).entries()]
        )

    def subscribe(self, arn: str) -> AbstractContextManager[trio.MemoryReceiveChannel[Change]]:
        """Watch an execution: ``with`` gives a channel that receives every change from now on, in order.

        Ask for ``operations`` inside the block for what was before. The channel ends when the service is closed.

        Raises:
            InvalidParameterValue: this is not the ARN of an execution.
        """
        return self._feeds.subscribe(_parsed(arn).id)

    # --- callbacks ---------------------------------------------------------------------------------------

    async def callback_succeed(self, callback_id: str, result: str | None) -> None:
        """Answer a callback with a result (text, at most 1 MiB; None: none).

        Raises:
            ResourceNotFound: there is no such callback.
            CallbackTimeout: it is closed already, or its execution is.
            InvalidParameterValue: the result is too big.
        """
        await self._answer_callback(
            callback_id,
            lambda record, operation_id: succeed_callback(record, operation_id, result, self.clock.now()),
        )

    async def callback_fail(self, callback_id: str, error: ErrorObject) -> None:
        """Answer a callback with a failure (at most 1 MiB).

        Raises:
            ResourceNotFound: there is no such callback.
            CallbackTimeout: it is closed already, or its execution is.
            InvalidParameterValue: the error is too big.
        """
        await self._answer_callback(
            callback_id,
            lambda record, operation_id: fail_callback(record, operation_id, error, self.clock.now()),
        )

    async def callback_heartbeat(self, callback_id: str) -> None:
        """Start a callback's heartbeat time-out over.

        Raises:
            ResourceNotFound: there is no such callback.
            CallbackTimeout: it is closed already, or its execution is.
        """
        await self._answer_callback(
            callback_id, lambda record, operation_id: beat_callback(record, operation_id, self.clock.now())
        )

    async def _answer_callback(
        self, callback_id: str, answer: Callable[[ExecutionRecord, str], None]
    ) -> None:
        target = callback_target(callback_id)
        if target is None:
            raise ResourceNotFound(f"there is no callback with id {callback_id!r}")
        execution_id, operation_id = target

        def apply(ledger: Ledger) -> None:
            if ledger.record(execution_id) is None:
                raise ResourceNotFound(f"there is no callback with id {callback_id!r}")
            record = ledger.open(execution_id)
            answer(record, operation_id)
            ledger.save(record)

        await self._owner.ask(apply)

    # --- what functions ask for --------------------------------------------------------------------------

    async def checkpoint(
        self,
        *,
        durable_execution_arn: str,
        checkpoint_token: str,
        updates: Sequence[OperationUpdate],
        client_token: str,
    ) -> CheckpointResponse:
        """Record updates, as ``ServiceClient.checkpoint``, but with the service's own errors.

        Raises:
            InvalidParameterValue: an argument is wrong; the message begins with ``Invalid checkpoint token`` if it
                is the token.
        """

        def apply(ledger: Ledger) -> CheckpointResponse:
            record = _open(ledger, durable_execution_arn)
            answer = apply_checkpoint(
                record, checkpoint_token, client_token, updates, self.clock.now(), self._chain_target
            )
            ledger.save(record)
            return CheckpointResponse(answer.token, answer.operations)

        return await self._owner.ask(apply)

    async def get_state(
        self, *, durable_execution_arn: str, checkpoint_token: str, marker: str, max_items: int
    ) -> StatePage:
        """Return a page of the state, as ``ServiceClient.get_state``, but with the service's own errors.

        Raises:
            InvalidParameterValue: an argument is wrong; the message begins with ``Invalid checkpoint token`` if it
                is the token.
        """

        def look(ledger: Ledger) -> StatePage:
            record = _open(ledger, durable_execution_arn)
            check_token(record, checkpoint_token)
            page = state_page(record, marker, PageLimits(page_size(max_items)))
            return StatePage(page.operations, page.next_marker)

        return await self._owner.ask(look)

    # --- inside ------------------------------------------------------------------------------------------

    def _make_id(self) -> str:
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))

    def _new_arn(self, function_name: str, name: str | None) -> ExecutionArn:
        return ExecutionArn(
            region=self._settings.region,
            account=self._settings.account,
            function_name=function_name,
            name=self._make_id() if name is None else name,
            id=self._make_id(),
        )

    def _chain_target(self, options: ChainedInvokeOptions) -> ExecutionArn | None:
        function_name = target_name(options.function_name)
        return self._new_arn(function_name, None) if function_name in self._functions else None

    def _check_registered(self, function_name: str) -> None:
        if function_name not in self._functions:
            raise ResourceNotFound(f"function {function_name!r} is not registered with this service")

    def _perform(self, deeds: Deeds) -> None:
        """Do what a committed transaction asks for."""
        for execution_id, record in deeds.touched.items():
            self._feeds.publish(record, deeds.effects.get(execution_id, ()))
        for due in deeds.invocations:
            self._invoker.start(self._functions[due.function_name], due)


def _parsed(arn: str) -> ExecutionArn:
    parsed = parse_arn(arn)
    if parsed is None:
        raise InvalidParameterValue(f"this is not the ARN of a durable execution: {arn!r}")
    return parsed


def _open(ledger: Ledger, arn: str) -> ExecutionRecord:
    """Return the record that a function's call is about. Such calls do not know ResourceNotFound."""
    parsed = _parsed(arn)
    record = ledger.record(parsed.id)
    if record is None or record.identity.arn != parsed:
        raise InvalidParameterValue(f"there is no execution {arn!r}")
    return ledger.open(parsed.id)


def _recorded(ledger: Ledger, execution_id: str) -> ExecutionRecord:
    record = ledger.record(execution_id)
    assert record is not None  # noqa: S101  # executions are never removed
    return record
