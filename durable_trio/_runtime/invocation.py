"""One invocation of a durable function, from its event to its answer.

    invocation nursery
     ├─ CheckpointWriter    the only holder of the checkpoint token
     ├─ Waker               due timers
     └─ handler scope       cancelled to suspend
         └─ root context    the user's handler, in this task
             └─ actors      child contexts, items, branches

The handler's outcome is a value, not an exception that races with others: an error of the user's never goes
through a nursery of ours. What ends the nursery early is the writer's failure alone.

How it ends, by what reached the top:

- the invocation was suspended: PENDING, whatever the handler made of the cancellation;
- a return value: SUCCEEDED, after everything queued is durable; a response over Lambda's limit is
  checkpointed as an update of the EXECUTION operation, and the answer then is empty;
- an error that a new invocation may cure (``InvocationError``, ``RetryableSerDesError``, a retryable
  ``ServiceError``): raised, so that Lambda invokes again;
- any other ``Exception``: FAILED, with the type of the original cause and the operation in ErrorData;
- the service withheld the token: PENDING, checked again after everything else.

``fail`` is for what must not be swallowed: it makes the error the invocation's outcome and raises it.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NoReturn

import trio

from durable_trio._protocol.envelope import (
    Failed,
    NotDurableError,
    Outcome,
    Pending,
    Succeeded,
    decode_invocation,
    encode_outcome,
    response_fits,
)
from durable_trio._protocol.operation import ErrorObject, OperationAction, OperationType, OperationUpdate
from durable_trio._protocol.wire import WireError
from durable_trio._runtime.actor import BodyOf
from durable_trio._runtime.bodies import call_context_body
from durable_trio._runtime.context import DurableContext
from durable_trio._runtime.deadline import Deadline
from durable_trio._runtime.failures import error_object, fitted
from durable_trio._runtime.node import ContextNode
from durable_trio._runtime.replay_logger import make_logger
from durable_trio._runtime.stall_watch import StallWatch
from durable_trio._runtime.state_reading import read_state
from durable_trio._runtime.supervisor import Supervisor
from durable_trio._runtime.waker import Waker
from durable_trio._runtime.writer import CheckpointWriter
from durable_trio.clock import Clock
from durable_trio.exceptions import (
    ConfigurationError,
    ContextUseError,
    InvocationError,
    OperationError,
    RetryableSerDesError,
    ServiceError,
)
from durable_trio.serdes import SerdesContext

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._protocol.state import ExecutionState
    from durable_trio._runtime.operation import Operation
    from durable_trio._runtime.options import HandlerOptions
    from durable_trio._runtime.plugin_host import PluginHost
    from durable_trio._runtime.unwinding import Unwinding
    from durable_trio.clients import ServiceClient
    from durable_trio.step_context import StepContext


async def run_invocation(
    fn: Callable[..., Any], event: Any, lambda_context: Any, *, options: HandlerOptions, client: ServiceClient
) -> dict[str, Any]:
    """Run one invocation of the durable function *fn* and return its answer.

    Raises:
        ConfigurationError: the event is not a durable invocation.
        DurableError: a new invocation may succeed; Lambda is to invoke again.
    """
    try:
        given = decode_invocation(event)
    except NotDurableError as error:
        raise ConfigurationError(str(error)) from None
    except WireError as error:
        raise ConfigurationError(f"the invocation event is malformed: {error}") from error
    try:
        state = await read_state(client, given)
    except ServiceError as error:
        return encode_outcome(_outcome_of(error))
    invocation = Invocation(state, client, options, lambda_context)
    if not options.plugins and not os.environ.get("DURABLE_TRIO_PLUGINS"):
        return encode_outcome(await invocation.run(fn, given.checkpoint_token))

    from durable_trio._runtime.plugin_host import run_observed  # costs cold start, and most have no plugins

    outcome = await run_observed(invocation, lambda: invocation.run(fn, given.checkpoint_token))
    return encode_outcome(outcome)


def _outcome_of(error: Exception) -> Outcome:
    """Turn the error that reached the top into an answer, or raise it for Lambda to invoke again."""
    if isinstance(error, (InvocationError, RetryableSerDesError)):
        raise error
    if isinstance(error, ServiceError) and error.is_retryable:
        raise error
    error = _misuse_in(error) or error
    recorded = error_object(error)
    if isinstance(error, OperationError):
        where = {"operationId": error.operation_id, "operationName": error.operation_name, "data": error.data}
        data = json.dumps({key: value for key, value in where.items() if value is not None})
        recorded = fitted(ErrorObject(recorded.message, recorded.type, data, recorded.stack))
    return Failed(recorded)


def _misuse_in(error: Exception) -> ContextUseError | None:
    """Return what a group is about if it is only about durable code in the tasks of a plain nursery."""
    if not isinstance(error, ExceptionGroup):
        return None
    misuses = [leaf for leaf in _leaves(error) if isinstance(leaf, ContextUseError)]
    return misuses[0] if len(misuses) == len(_leaves(error)) else None


class Invocation:
    """The parts of one invocation, for the operations that run in it."""

    def __init__(
        self, state: ExecutionState, client: ServiceClient, options: HandlerOptions, lambda_context: Any
    ) -> None:
        self.state = state
        self.options = options
        self.lambda_context = lambda_context
        self.clock: Clock = getattr(client, "clock", None) or Clock()
        self._handler_scope = trio.CancelScope(shield=True)  # see ``cancelling``
        self.supervisor = Supervisor(self._handler_scope)
        self.writer = CheckpointWriter(client, state, self.supervisor, self.clock, options.checkpointing)
        self.deadline = Deadline(
            self.remaining_seconds(), options.deadline_margin_seconds, self.supervisor, self.writer
        )
        self._stalls = StallWatch(self._is_held, self._report_stall)
        self.waker = Waker(
            self.supervisor,
            self.writer,
            self.clock,
            self._stalls,
            options.inline_wait_seconds,
            self.deadline.at,
        )
        self.supervisor.attach(self.writer, self.waker)
        self._fatal: Exception | None = None
        self._completed: Outcome | None = None
        self._log: Any = None
        self.plugins: PluginHost | None = None
        """Told what happens; None if there are no plugins."""
        self.unwinding: Unwinding | None = _unwinding_in(self) if state.open_sagas else None
        """The ways to the sagas that earlier invocations have left open; None if there are none."""
        self.on_created: Callable[[Operation[Any]], None] | None = None
        """Told of each operation as the program creates it; the testing kit's."""

    def __repr__(self) -> str:
        return f"<Invocation {self.state.execution_id} {self.supervisor!r} {self.writer!r}>"

    # --- running ------------------------------------------------------------------------------------------

    async def run(self, fn: Callable[..., Any], checkpoint_token: str) -> Outcome:
        """Run the handler and return the answer; raise what Lambda is to retry."""
        outcome: list[Outcome] = []
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.writer.run, checkpoint_token, name="durable checkpoint writer")
                nursery.start_soon(self.waker.run, name="durable waker")
                nursery.start_soon(self._pass_on_cancellation, name="durable cancellation")
                if self.deadline.at is not None:
                    nursery.start_soon(self.deadline.run, name="durable deadline")
                try:
                    handled = await self._run_handler(fn)
                    outcome.append(await self._conclude(handled))
                finally:
                    nursery.cancel_scope.cancel("the invocation is over")
        except BaseExceptionGroup as group:
            return self._unwrapped(group)
        return outcome[0]

    async def _pass_on_cancellation(self) -> None:
        """Cancel the handler, which is shielded, when the invocation is cancelled from outside."""
        try:
            await trio.sleep_forever()
        finally:
            self.supervisor.cancel_handler("the invocation was cancelled")

    async def _run_handler(self, fn: Callable[..., Any]) -> Any:
        """Run the user's handler: return its value or the ``Exception`` it raised, wrapped either way."""
        root = ContextNode(self, prefix=None, parent_id=None)
        handled: list[_Returned | _Raised] = []
        self._stalls.watch(trio.lowlevel.current_task())
        try:
            with self._handler_scope:
                event = self.decoded_input()
                context = self.context_for(root)
                with BodyOf(root):
                    value = await call_context_body(fn, event, context)
                handled.append(_Returned(value))
        except Exception as error:  # noqa: BLE001  # the execution's failure, whatever it is
            handled.append(_Raised(error))
        self.supervisor.end()
        return handled[0] if handled else None

    async def _conclude(self, handled: _Returned | _Raised | None) -> Outcome:
        if self._completed is not None:
            return self._completed
        # Without a token nothing can be said but PENDING; the next invocation will fail in the same way.
        if self.supervisor.is_suspended and (self._fatal is None or self.writer.is_closed):
            if isinstance(handled, _Raised):
                self.report_lost(handled.error)
            self._check_pending()
            return Pending()
        try:
            return await self._answer(handled)
        except ServiceError as error:
            if self.supervisor.is_suspended:  # the token was withheld while the last updates were sent
                return Pending()
            return _outcome_of(error)

    async def _answer(self, handled: _Returned | _Raised | None) -> Outcome:
        if self._fatal is not None:
            handled = _Raised(self._fatal)
        match handled:
            case _Returned(value):
                try:
                    outcome: Outcome = Succeeded(self.encoded_result(value))
                except Exception as error:  # noqa: BLE001  # a result that cannot be serialized fails the execution
                    outcome = self._failure(error)
            case _Raised(error):
                outcome = self._failure(error)
            case None:
                # Cancelled, but not by a suspension: the writer has failed, and its error says the rest.
                await trio.sleep_forever()
        await self.writer.flush()
        if isinstance(outcome, Succeeded) and not response_fits(outcome):
            await self.writer.commit(self._execution_update(outcome))
            return Succeeded("")
        return outcome

    def _failure(self, error: Exception) -> Outcome:
        outcome = _outcome_of(error)
        if self.options.on_error is not None:
            try:
                self.options.on_error(error)
            except Exception as problem:  # noqa: BLE001  # the hook's own failure must not change the outcome
                self.log.error("on_error failed", error=repr(problem))
        return outcome

    def _execution_update(self, outcome: Succeeded | Failed) -> OperationUpdate:
        succeeded = isinstance(outcome, Succeeded)
        return OperationUpdate(
            id=f"execution-result-{self.clock.now()}",
            type=OperationType.EXECUTION,
            action=OperationAction.SUCCEED if succeeded else OperationAction.FAIL,
            payload=outcome.result if isinstance(outcome, Succeeded) else None,
            error=outcome.error if isinstance(outcome, Failed) else None,
        )

    def _check_pending(self) -> None:
        """Make sure that something will wake the execution, where the deadline has cut it short.

        Raises:
            InvocationError: work was left undone, and no timer would bring it back soon.
        """
        if not self.deadline.has_passed:
            return
        work_is_left = self.supervisor.held > 0 or self.supervisor.running > 0
        if not self.state.is_anything_pending(soon=work_is_left):
            raise InvocationError(
                "the time of this invocation is up, with work left that no timer would resume: invoke again"
            )

    async def complete_early(self, outcome: Succeeded | Failed) -> NoReturn:
        """End the execution now, from wherever the caller is; never returns."""
        await self.writer.commit(self._execution_update(outcome))
        self._completed = Succeeded("") if isinstance(outcome, Succeeded) else Failed()
        self.supervisor.cancel_handler("the execution is complete")
        await trio.lowlevel.checkpoint()
        # Shielded: there is nothing left to do but to wait for the shield's end in vain.
        await self.supervisor.refuse()

    def cancellation_in(self, group: BaseExceptionGroup[BaseException]) -> BaseExceptionGroup[BaseException]:
        """Return what is left of a group when the errors of code that was being cancelled are dropped.

        A plain nursery of the user's mixes them with ``Cancelled``; ours would let them out as a group, as if
        they were the outcome.
        """
        if all(type(error) is trio.Cancelled for error in group.exceptions):
            return group
        cancelled = group.subgroup(trio.Cancelled)
        stronger = group.subgroup(lambda error: not isinstance(error, (Exception, BaseExceptionGroup)))
        if cancelled is None or stronger is None:
            return group
        for error in _leaves(group):
            if isinstance(error, Exception):
                self.report_lost(error)
        return stronger

    def report_lost(self, error: Exception) -> None:
        """Log an exception of clean-up code that ran because of a cancellation; it is nobody's outcome."""
        self.log.warning(
            "an exception was raised by code that was being cancelled; it is no outcome",
            error=repr(error),
        )

    def _unwrapped(self, group: BaseExceptionGroup[BaseException]) -> Outcome:
        """Answer for what ended the nursery: the writer's error, or something that is no ``Exception``."""
        leaves = list(_leaves(group))
        for leaf in leaves:
            if not isinstance(leaf, Exception):
                raise leaf
        for leaf in leaves:
            if isinstance(leaf, ServiceError):
                return _outcome_of(leaf)
        raise leaves[0] if len(leaves) == 1 else group

    # --- standing still -----------------------------------------------------------------------------------

    def _is_held(self) -> bool:
        """Tell whether nothing but actors blocked on plain Trio things keeps the invocation from suspending."""
        busy = self.supervisor.running - self.writer.waiting_actors
        return busy > 0 and self.supervisor.bodies == 0 and self.writer.is_idle

    def _report_stall(self, places: list[str]) -> None:
        self.log.warning(
            "operations are waiting for the service, but the invocation cannot suspend: a task is blocked on"
            " something that is not durable. Use ctx.wait for time; let operations depend on operations only.",
            blocked=places,
        )

    # --- failing for good ---------------------------------------------------------------------------------

    def fail(self, error: Exception) -> NoReturn:
        """Make *error* the outcome of this invocation, even if the user's code swallows it, and raise it."""
        if self._fatal is None:
            self._fatal = error
        raise error

    @property
    def is_closing(self) -> bool:
        """Tell whether durable operations are refused."""
        return self.supervisor.is_closing or self._fatal is not None or self._completed is not None

    async def refuse(self) -> NoReturn:
        """Refuse a durable operation, with the reason."""
        if self._fatal is not None and not self.supervisor.is_closing:
            await trio.lowlevel.checkpoint()
            raise self._fatal
        await self.supervisor.refuse()

    # --- the handler's input, result, context -------------------------------------------------------------

    def decoded_input(self) -> Any:
        """Return the handler's input; an absent or empty one is ``{}``."""
        text, typed = self.state.input_payload, self.options.input_serdes
        if typed is not None:
            return typed.deserialize(text or "{}", self._handler_serdes_context)
        if not text:
            return {}
        return self.options.handler_serdes.deserialize(text, self._handler_serdes_context)

    def encoded_result(self, value: Any) -> str:
        """Return the text of the handler's result."""
        return self.options.handler_serdes.serialize(value, self._handler_serdes_context)

    @property
    def _handler_serdes_context(self) -> SerdesContext:
        return SerdesContext(self.state.execution_id, self.state.durable_execution_arn)

    def context_for(self, node: ContextNode) -> DurableContext:
        """Return the user's view of *node*."""
        return DurableContext(node)

    def remaining_seconds(self) -> float | None:
        """Return how long Lambda lets this invocation go on; None if it does not say."""
        ask = getattr(self.lambda_context, "get_remaining_time_in_millis", None)
        return None if ask is None else max(0.0, ask() / 1000)

    # --- logging ------------------------------------------------------------------------------------------

    @property
    def log_fields(self) -> dict[str, Any]:
        """What every line says about where it comes from."""
        request_id = getattr(self.lambda_context, "aws_request_id", None)
        fields = {"executionArn": self.state.durable_execution_arn, "requestId": request_id}
        return {key: value for key, value in fields.items() if value is not None}

    @property
    def log(self) -> Any:
        """The runtime's own logger."""
        if self._log is None:
            self._log = self._make_logger(self.log_fields)
        return self._log

    def node_fields(self, node: ContextNode) -> dict[str, Any]:
        """What a line of a context says about where it comes from."""
        fields = self.log_fields
        if node.parent_id is not None:
            fields["parentId"] = node.parent_id
        return fields

    def step_fields(self, step: StepContext) -> dict[str, Any]:
        """What a line of a step's body says about where it comes from."""
        fields = {
            **self.log_fields,
            "parentId": step.parent_id,
            "operationId": step.operation_id,
            "operationName": step.name,
            "attempt": step.attempt,
        }
        return {key: value for key, value in fields.items() if value is not None}

    def node_logger(self, node: ContextNode) -> Any:
        """Return the logger of a context: silent while it replays."""
        return self._make_logger(self.node_fields(node), lambda: node.is_replaying)

    def step_logger(self, step: StepContext) -> Any:
        """Return the logger of a step's body, which only runs when it does not replay."""
        return self._make_logger(self.step_fields(step))

    def _make_logger(self, fields: dict[str, Any], is_replaying: Callable[[], bool] | None = None) -> Any:
        options = self.options
        return make_logger(
            fields, mode=options.replay_logging, is_replaying=is_replaying, base=options.logger
        )


def _unwinding_in(invocation: Invocation) -> Unwinding | None:
    from durable_trio._runtime.unwinding import unwinding_in  # costs cold start, and most have no sagas

    return unwinding_in(invocation)


class _Returned:
    __match_args__ = ("value",)
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class _Raised:
    __match_args__ = ("error",)
    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves
