"""A workflow and the world around it, as a value; and one run of it on a local service.

Everything a run needs is in a ``Scenario``, so that it can be run again from the start: the handler and its input,
the functions it invokes, how its callbacks are answered, the service's settings. What is done to a run (crashes,
faults) is an ``Interference``. The service lives in memory, in the virtual time of ``simulation_host``; its ids and
delays repeat, too.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import trio

from durable_trio._protocol.operation import (
    CallbackDetails,
    ErrorObject,
    OperationRecord,
    OperationStatus,
    OperationType,
)
from durable_trio.clock import Clock
from durable_trio.config import AnyDuration, exact_seconds
from durable_trio.exceptions import ValidationError
from durable_trio.handler import DurableHandler
from durable_trio.local import LocalService, LocalSettings, OperationChanged, open_local_service
from durable_trio.local.errors import LocalServiceError
from durable_trio.testing._driver import FUNCTION, Driver, Recording
from durable_trio.testing.functions import FunctionHandle
from durable_trio.testing.simulation_host import EPOCH_AT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from durable_trio.testing._driver import CallNext, Invocation
    from durable_trio.testing.crashes_effects import EffectLog

__all__ = ["Answer"]

DID_NOT_END: Final = "DID NOT END"
"""The status of a run that was given up because it went on and on."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How the outside world answers a callback: made by ``succeed`` and ``fail``."""

    result: str | None = None
    error: ErrorObject | None = None
    after_seconds: float = 1.0

    @classmethod
    def succeed(cls, value: Any = None, *, after: AnyDuration | None = None) -> Answer:
        """Answer with *value*: text is sent as it is, None as no payload, anything else as JSON.

        *after*: how long after the callback's creation; by default a second.

        Raises:
            ValidationError: *after* is negative.
        """
        text = value if value is None or isinstance(value, str) else json.dumps(value)
        return cls(text, None, _after_seconds(after))

    @classmethod
    def fail(cls, message: str, *, type: str = "Error", after: AnyDuration | None = None) -> Answer:  # noqa: A002  # the wire's word
        """Answer with a failure; *after* as for ``succeed``."""
        return cls(None, ErrorObject(message=message, type=type), _after_seconds(after))


def _after_seconds(after: AnyDuration | None) -> float:
    seconds = 1.0 if after is None else float(exact_seconds("after", after))
    if seconds < 0:
        raise ValidationError(f"after must not be negative, not {after!r}")
    return seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A workflow and the world around it.

    Attributes:
        handler: the durable handler under test.
        event: its input, as JSON can hold it.
        functions: what it may invoke, by name: durable handlers, or plain functions (async or not) of the payload.
        callbacks: how callbacks are answered, by the name of the callback or of the ``wait_for_callback`` around it.
        settings: the service's.
        timeout_seconds: how long one invocation may take.
        effects: cleared before each run.
        reset: called before each run, to put the test's own fakes back to their start.
        world: what the state of the test's own fakes is; see ``explore_crashes``.
        is_quiet: whether log lines are dropped that would go to standard output: hundreds of runs have a lot to say.
    """

    handler: Any
    event: Any = None
    functions: Mapping[str, Any] = field(default_factory=dict)
    callbacks: Mapping[str, Answer] = field(default_factory=dict)
    settings: LocalSettings = field(default_factory=LocalSettings)
    timeout_seconds: float = 900
    effects: EffectLog | None = None
    reset: Callable[[], object] | None = None
    world: Callable[[], object] | None = None
    is_quiet: bool = True


def callback_answers(callbacks: Mapping[str, Any] | None) -> dict[str, Answer]:
    """Return answers by name; what is no ``Answer`` is a value to succeed with after a second."""
    return {
        name: answer if isinstance(answer, Answer) else Answer.succeed(answer)
        for name, answer in (callbacks or {}).items()
    }


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended.

    Attributes:
        status: of the execution, or ``DID_NOT_END``.
        result: the JSON text of its result, if it succeeded.
        error: what it failed with, if it did.
        operations: every operation's record, without the EXECUTION.
        virtual_seconds: how much virtual time has passed.
        arn: the execution's.
    """

    status: str
    result: str | None = None
    error: ErrorObject | None = None
    operations: tuple[OperationRecord, ...] = ()
    virtual_seconds: float = 0.0
    arn: str = ""

    @property
    def value(self) -> Any:
        """The decoded result; None if there is none."""
        return None if self.result is None else json.loads(self.result)

    def __str__(self) -> str:
        if self.error is not None:
            return f"{self.status} ({self.error.type}: {self.error.message})"
        return self.status if self.result is None else f"{self.status} with {_cut(self.result)}"


def _cut(text: str, length: int = 200) -> str:
    return text if len(text) <= length else f"{text[:length]}... ({len(text)} characters)"


class Interference:
    """What is done to a run; this one does nothing. Made for one run."""

    def __init__(self) -> None:
        self.give_up = trio.CancelScope()
        """Cancelled to end a run that goes on and on."""

    def begin(self, service: LocalService, nursery: trio.Nursery) -> None:
        """Be told of the service, before anything is started; tasks in *nursery* are cancelled at the end."""

    async def interpose(self, invocation: Invocation, call_next: CallNext) -> Any:
        """Stand between the service and an invocation; see ``_driver``."""
        return await call_next(invocation)

    def deliveries(self, name: str, answer: Answer) -> Sequence[Answer]:
        """Return what is sent for the answer of one callback, and when."""
        return [answer]

    def settings(self, settings: LocalSettings) -> LocalSettings:
        """Return the settings of the service of this run."""
        return settings


async def play(scenario: Scenario, interference: Interference) -> Ending:
    """Run *scenario* once, from the start to its end; must be the main function of an isolated run."""
    if scenario.reset is not None:
        scenario.reset()
    if scenario.effects is not None:
        scenario.effects.clear()
    # Not the seed's: the execution's ARN has to be the same in each run, since replay-safe values are made from it.
    settings = replace(interference.settings(scenario.settings), random_seed=0)
    began = trio.current_time()
    async with open_local_service(settings=settings, clock=Clock(EPOCH_AT)) as service:
        drivers = _register(service, scenario, interference)
        with interference.give_up:
            async with trio.open_nursery() as nursery:
                interference.begin(service, nursery)
                started = await service.start_execution(FUNCTION, json.dumps(scenario.event), name="run")
                if scenario.callbacks:
                    nursery.start_soon(_answer_callbacks, service, started.arn, scenario, interference)
                await service.wait_closed(started.arn)
                for driver in drivers:
                    await driver.wait_rested()
                nursery.cancel_scope.cancel()
            return await _ending(service, started.arn, trio.current_time() - began)
        return Ending(DID_NOT_END, virtual_seconds=trio.current_time() - began)


def _register(service: LocalService, scenario: Scenario, interference: Interference) -> list[Driver]:
    recording = Recording()
    drivers = []
    handles = [FunctionHandle(name, function) for name, function in scenario.functions.items()]
    durable = {FUNCTION: scenario.handler, **{one.name: one.handler for one in handles if one.handler}}
    for name, handler in durable.items():
        target = _silenced(handler) if scenario.is_quiet else handler
        driver = Driver(service, target, [interference.interpose], recording)
        service.register(name, driver, timeout_seconds=scenario.timeout_seconds)
        drivers.append(driver)
    for handle in handles:
        if handle.handler is None:
            service.register_plain(handle.name, handle.answer, timeout_seconds=scenario.timeout_seconds)
    return drivers


async def _ending(service: LocalService, arn: str, virtual_seconds: float) -> Ending:
    description = await service.describe(arn)
    operations = tuple(o for o in await service.operations(arn) if o.type is not OperationType.EXECUTION)
    return Ending(
        str(description.status), description.result, description.error, operations, virtual_seconds, arn
    )


def _silenced(handler: Any) -> Any:
    """Return *handler* without its log lines, if they would go to standard output."""
    if not isinstance(handler, DurableHandler) or handler._options.logger is not None:
        return handler
    return DurableHandler(
        handler.fn, options=replace(handler._options, logger=_silent_logger()), client=handler._client
    )


@cache
def _silent_logger() -> Any:
    import structlog

    def drop(_logger: Any, _method: str, _event: Any) -> Any:
        raise structlog.DropEvent

    # Everything is on: a line has to be made for the code that makes it to be run.
    return structlog.wrap_logger(
        None, processors=[drop], wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG)
    )


async def _answer_callbacks(
    service: LocalService, arn: str, scenario: Scenario, interference: Interference
) -> None:
    """Answer each callback of the execution that there is an answer for, when its time has come."""
    names: dict[str, str | None] = {}
    answered: set[str] = set()

    def look(operation: OperationRecord) -> None:
        names[operation.id] = operation.name
        if operation.type is not OperationType.CALLBACK or operation.id in answered:
            return
        around = names.get(operation.parent_id or "")
        answer = scenario.callbacks.get(operation.name or "") or scenario.callbacks.get(around or "")
        details = operation.details
        if answer is None or not isinstance(details, CallbackDetails) or details.callback_id is None:
            return
        if operation.status is OperationStatus.STARTED:
            answered.add(operation.id)
            for delivery in interference.deliveries(operation.name or "", answer):
                nursery.start_soon(_deliver, service, details.callback_id, delivery)

    async with trio.open_nursery() as nursery:
        with service.subscribe(arn) as changes:
            # The execution was started before anybody watched it.
            for operation in await service.operations(arn):
                look(operation)
            async for change in changes:
                if isinstance(change, OperationChanged):
                    look(change.operation)


async def _deliver(service: LocalService, callback_id: str, answer: Answer) -> None:
    await trio.sleep(answer.after_seconds)
    try:
        if answer.error is not None:
            await service.callback_fail(callback_id, answer.error)
        else:
            await service.callback_succeed(callback_id, answer.result)
    except LocalServiceError:
        # Late, or the second one: the outside world is told so, and that is all it means to the workflow.
        await trio.lowlevel.checkpoint()
