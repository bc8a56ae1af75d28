"""What a local durable execution service can be asked.

Every call is a request to the owner task (``owner``), which is the only one to touch the database. Functions are
called by tasks of the service's own nursery, one per invocation (``invoker``); how a call ended comes back to the
owner as a request like any other. Whatever is to be decided is decided by the pure rules in ``_protocol``.

This module and ``service_base``, ``service_functions`` and ``service_looking``, with the other groups of methods, are the
counter where requests are handed in. What they do is in ``changing``, ``looking``, ``listing``,
``starting`` and ``driving``, as functions of a ledger; what is known about functions in ``registry``; about time in
``time_control``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio._protocol.service_moves import beat_callback, fail_callback, succeed_callback
from durable_trio.local import changing
from durable_trio.local.driving import take_over, take_over_all
from durable_trio.local.errors import (
    ExecutionBusy,
    InvalidParameterValue,
    TooManyRequests,
)
from durable_trio.local.invoking import (
    InvocationType,
    InvokeResult,
    answer_of_call,
    answer_of_execution,
    read_payload,
)
from durable_trio.local.service_functions import FunctionMethods
from durable_trio.local.service_looking import LookingMethods
from durable_trio.local.starting import StartRequest
from durable_trio.local.views import ExecutionSummary, summarize

if TYPE_CHECKING:
    from durable_trio._protocol.operation import (
        ErrorObject,
    )
    from durable_trio.local.ledger import Ledger


class LocalService(FunctionMethods, LookingMethods):
    """A durable execution service in this process. Made by ``open_local_service``.

    Every method that is ``async`` may raise ``ServiceFailure`` when the database cannot be written, beside what
    its own documentation says. If cancelled, what it asks for may be done all the same. Where an *arn* is asked for,
    an execution's id or name will do as well.

    Attributes:
        clock: the time by which the service keeps its timers.
        settings: what was set about it.
    """

    async def invoke(
        self,
        function_name: str,
        payload: str | bytes = "{}",
        *,
        invocation_type: InvocationType = InvocationType.REQUEST_RESPONSE,
        name: str | None = None,
        tenant_id: str | None = None,
        qualifier: str | None = None,
        client_context: str | None = None,
    ) -> InvokeResult:
        """Invoke a function as Lambda's ``Invoke`` does.

        A durable function is invoked by an execution. Where the caller waits for its end, it may take at most
        ``Quotas.max_synchronous_seconds``. If cancelled while waiting, the function or execution goes on.

        Args:
            function_name: a name or an ARN, with or without a qualifier.
            payload: JSON text; at most 6 MiB, for an ``EVENT`` 1 MiB.
            invocation_type: whether to wait.
            name: the name of the execution, see ``start_execution``; only a durable function has one.
            tenant_id: on whose behalf; the function's Lambda context tells it.
            qualifier: a version or an alias.
            client_context: text for the Lambda context of a function that is not durable.

        Raises:
            ResourceNotFound: there is no such function, version or alias.
            InvalidRequestContent: the payload is not JSON.
            RequestTooLarge: the payload is too big.
            TooManyRequests: the function's limit of invocations at a time is reached, and the caller waits.
            ExecutionAlreadyStarted: the name is in use with another payload.
            InvalidParameterValue: another argument is out of range.
        """
        function = self._registry.resolve(function_name, qualifier)
        if name is not None and not function.description.is_durable:
            raise InvalidParameterValue(
                f"function {function.name!r} is not durable: name must be None, not {name!r}"
            )
        text = read_payload(payload, invocation_type, self.settings.quotas)
        version, waits = function.description.version, invocation_type is InvocationType.REQUEST_RESPONSE
        longest = self.settings.quotas.max_synchronous_seconds
        identity = self._naming.identity(
            function,
            name,
            tenant_id,
            execution_timeout_seconds=min(function.config.execution_timeout_seconds, longest)
            if waits
            else None,
            is_asynchronous=not waits,
        )
        request = StartRequest(identity, text, self.settings.quotas)
        if invocation_type is InvocationType.DRY_RUN:
            return InvokeResult(204, version)
        if waits and not self._registry.has_room(function):
            raise TooManyRequests(
                f"function {function.name!r} has as many invocations in flight as it may "
                f"({function.config.concurrency})"
            )
        if waits and not function.description.is_durable:
            call = self._naming.plain_call(function, tenant_id, client_context)
            return answer_of_call(version, await self._invoker.call(function, call, text))
        started = await self._owner.ask(lambda ledger: _start_and_drive(ledger, request))
        if not function.description.is_durable:
            return InvokeResult(202, version)
        if not waits:
            return InvokeResult(202, started.version, started.arn)
        return answer_of_execution(await self.wait_closed(started.arn))

    # --- executions --------------------------------------------------------------------------------------

    async def start_execution(
        self,
        function_name: str,
        input_payload: str,
        *,
        name: str | None = None,
        execution_timeout_seconds: int | None = None,
        retention_days: int | None = None,
        qualifier: str | None = None,
        tenant_id: str | None = None,
    ) -> ExecutionSummary:
        """Start an execution of a registered durable function.

        Asking again with the same *name* and payload returns the execution that exists, whatever became of it;
        it is not driven by this process then unless it was before (see ``take_over``).

        Args:
            function_name: a registered function, by name or ARN.
            input_payload: the input, normally JSON text; at most 6 MiB.
            name: 1 to 64 of ``[a-zA-Z0-9-_]``, unique for the function; None makes one up.
            execution_timeout_seconds: 1 to 31622400 (366 days); None: what the function's ``FunctionConfig`` says.
            retention_days: 1 to 90; None: what the function's ``FunctionConfig`` says.
            qualifier: a version or an alias.
            tenant_id: on whose behalf, 1 to 256 of ``[a-zA-Z0-9._:/=+-@ ]``.

        Raises:
            ResourceNotFound: the function is not registered.
            ExecutionAlreadyStarted: the name is in use with another payload.
            InvalidParameterValue: an argument is out of range, or the function is not durable.
        """
        function = self._registry.resolve(function_name, qualifier)
        if not function.description.is_durable:
            raise InvalidParameterValue(f"function {function.name!r} is not durable; it has no executions")
        identity = self._naming.identity(
            function,
            name,
            tenant_id,
            execution_timeout_seconds=execution_timeout_seconds,
            retention_days=retention_days,
        )
        request = StartRequest(identity, input_payload, self.settings.quotas)
        return await self._owner.ask(lambda ledger: summarize(request.apply(ledger)))

    async def take_over(self, arn: str) -> ExecutionSummary:
        """Drive an unfinished execution that is in the file, and the executions it started by chained invokes.

        Its timers go on, and it is invoked when that is due: at once, if an invocation was cut off. For an
        execution that has ended, or that this process drives already, nothing changes.

        Raises:
            ResourceNotFound: there is no such execution, or its function (or one that it has called) is not
                registered.
            ExecutionBusy: another live process drives it.
        """
        return await self._owner.ask(lambda ledger: summarize(take_over(ledger, ledger.find(arn))))

    async def take_over_all(self) -> list[ExecutionSummary]:
        """Drive every unfinished execution in the file whose function is registered, and return those taken over.

        Executions that another live process drives are left to it.
        """
        return await self._owner.ask(lambda ledger: [summarize(record) for record in take_over_all(ledger)])

    async def stop(self, arn: str, error: ErrorObject | None = None) -> int:
        """End an execution by force and return the instant it ended at (epoch milliseconds).

        Its function may still be running; every checkpoint it tries from now on is refused. An execution that has
        ended stays as it is.

        Raises:
            ResourceNotFound: there is no such execution.
            InvalidParameterValue: *error* is larger than 1 MiB.
        """
        return await self._owner.ask(lambda ledger: changing.stop(ledger, arn, error))

    async def pause_execution(
        self,
        arn: str,
        *,
        reason: str | None = None,
        pause_timeout: bool = True,
        client_token: str | None = None,
    ) -> ExecutionSummary:
        """Have an execution's function not called any more until it is resumed; see ``_protocol.pausing``.

        What it waits for goes on. While an invocation is in flight, the execution is PAUSING.

        Args:
            arn: the execution.
            reason: at most 1,024 characters, for the history.
            pause_timeout: whether the execution's time-out is extended by the pause.
            client_token: a repetition with the same one within 15 minutes changes nothing, and is no mistake.

        Raises:
            ResourceNotFound: there is no such execution.
            ResourceConflict: it is not RUNNING.
            InvalidParameterValue: *reason* or *client_token* is out of range.
        """
        return await self._owner.ask(
            lambda ledger: changing.pause(ledger, arn, reason, pause_timeout, client_token)
        )

    async def resume_execution(
        self, arn: str, *, reason: str | None = None, client_token: str | None = None
    ) -> ExecutionSummary:
        """Let a paused execution go on. Its function is called if something has completed in the meantime.

        To drive an execution that is in the file after a restart, use ``take_over``.

        Raises:
            ResourceNotFound: there is no such execution.
            ResourceConflict: it is neither PAUSED nor PAUSING.
            InvalidParameterValue: *reason* or *client_token* is out of range.
        """
        return await self._owner.ask(lambda ledger: changing.resume(ledger, arn, reason, client_token))

    async def delete_execution(self, arn: str) -> int:
        """Delete an execution that has ended, with its history and log, and return when that was asked for.

        Raises:
            ResourceNotFound: there is no such execution.
            ResourceConflict: it has not ended.
        """
        return await self._owner.ask(lambda ledger: changing.delete(ledger, arn))

    # --- callbacks ---------------------------------------------------------------------------------------

    async def callback_succeed(self, callback_id: str, result: str | None) -> None:
        """Answer a callback with a result (text, at most 1 MiB; None: none).

        Raises:
            ResourceNotFound: there is no such callback.
            CallbackTimeout: it is closed already, or its execution is.
            InvalidParameterValue: the result is too big.
        """
        await self._owner.ask(
            lambda ledger: changing.answer_callback(
                ledger, callback_id, lambda record, id_, now: succeed_callback(record, id_, result, now)
            )
        )

    async def callback_fail(self, callback_id: str, error: ErrorObject) -> None:
        """Answer a callback with a failure (at most 1 MiB).

        Raises:
            ResourceNotFound: there is no such callback.
            CallbackTimeout: it is closed already, or its execution is.
            InvalidParameterValue: the error is too big.
        """
        await self._owner.ask(
            lambda ledger: changing.answer_callback(
                ledger, callback_id, lambda record, id_, now: fail_callback(record, id_, error, now)
            )
        )

    async def callback_heartbeat(self, callback_id: str) -> None:
        """Start a callback's heartbeat time-out over.

        Raises:
            ResourceNotFound: there is no such callback.
            CallbackTimeout: it is closed already, or its execution is.
        """
        await self._owner.ask(lambda ledger: changing.answer_callback(ledger, callback_id, beat_callback))


def _start_and_drive(ledger: Ledger, request: StartRequest) -> ExecutionSummary:
    """Start an execution, or see to it that somebody drives the one that exists."""
    record = request.apply(ledger)
    try:
        return summarize(take_over(ledger, record.id))
    except ExecutionBusy:
        return summarize(record)
