"""``DurableRunner``: run a handler on the strict local service, in virtual time.

The service is the real one, in memory: tokens that are good once, legal transitions, size limits, timers, invocation
retries. What is different is time. It moves only when nothing can run, and then straight to the next timer; so a wait of
thirty days, a callback's time-out or the backoff of a retry takes no time at all, and happens in the order in which it
would in the real world. ``_virtual_time`` has the rule and its limits.

A runner may be told what is to happen before it is opened (``callback``, ``function``), and is good for one use::

    async with DurableRunner(handler) as runner:
        runner.callback("approval").succeed("yes", after=Duration.days(2))
        result = await runner.run({"order": "o-1"})

Without a Trio run of one's own, ``DurableRunner(handler).run_sync(event)`` makes one.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

import trio

from durable_trio.config import exact_seconds
from durable_trio.duration import Duration
from durable_trio.exceptions import ConfigurationError, ValidationError
from durable_trio.local import LocalSettings
from durable_trio.serdes import SerdesContext
from durable_trio.testing._callback_desk import CallbackDesk
from durable_trio.testing._driver import FUNCTION, target_of
from durable_trio.testing._handlers import result_serdes
from durable_trio.testing._stage import Stage, open_stage
from durable_trio.testing.callbacks import CallbackHandle
from durable_trio.testing.execution import Execution
from durable_trio.testing.functions import FunctionHandle
from durable_trio.testing.sentinel import DeterminismSentinel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from durable_trio.local import LocalService
    from durable_trio.testing._driver import Interposer
    from durable_trio.testing.result import RunResult

__all__ = ["DurableRunner"]

_LONGEST_INVOCATION: Final = Duration.minutes(15)
_EXECUTION_TIMEOUT_SECONDS: Final = range(1, 31_622_401)  # 366 days


class DurableRunner:
    """Runs a durable handler for a test. An async context manager, or see ``run_sync``.

    Args:
        handler: made by ``@durable_execution``, or anything with an async method
            ``invoke(event, lambda_context, *, client)``.
        functions: what the handler may call by chained invokes, by name: durable handlers, or functions
            ``fn(event)`` or ``fn(event, lambda_context)``, plain or async; see also ``function``.
        invocation_timeout: Lambda's time limit of one invocation, above 0 and up to 15 minutes, which is the
            default. The Lambda context tells what is left of it, and the invocation is cut off when it is over.
        execution_timeout: how long the execution may take, 1 second to 366 days, in whole seconds. By default 366
            days, and taking so long is an ``ExecutionStuckError``.
        settings: the local service's; by default ids and ARNs are the same in every run.
        start_at: what time it is at first, an aware datetime; by default the system's time.
        interposers: what every invocation passes through, outermost first: async functions
            ``(invocation, call_next)``; for tools that make things go wrong.
        check_determinism: watch for calls that give another value on every replay, and issue a
            ``DeterminismWarning`` for each when the runner is closed; a ``DeterminismSentinel`` of one's own watches
            without warnings. False saves the time it takes.

    Raises:
        ConfigurationError: *handler* is no durable handler.
        ValidationError: an argument is out of range, or *start_at* has no time zone.
        TypeError: a duration is neither a ``Duration`` nor a ``timedelta``.
    """

    def __init__(
        self,
        handler: Any,
        *,
        functions: Mapping[str, Any] | None = None,
        invocation_timeout: Duration | timedelta = _LONGEST_INVOCATION,
        execution_timeout: Duration | timedelta | None = None,
        settings: LocalSettings | None = None,
        start_at: datetime | None = None,
        interposers: Sequence[Interposer] = (),
        check_determinism: bool | DeterminismSentinel = True,
    ) -> None:
        target_of(handler)
        self.handler = handler
        self._invocation_seconds = _checked_invocation_timeout(invocation_timeout)
        self._execution_seconds = _checked_execution_timeout(execution_timeout)
        self._settings = settings if settings is not None else LocalSettings(random_seed=0)
        self._start_at = _checked_start(start_at)
        self._interposers = tuple(interposers)
        self._sentinel = DeterminismSentinel() if check_determinism is True else check_determinism or None
        self._warns = check_determinism is True
        if self._sentinel is not None:
            self._sentinel.know(handler)
        self._functions = {name: FunctionHandle(name, given) for name, given in (functions or {}).items()}
        self._desk = CallbackDesk(self._driving, self._has_ended)
        self._stage: Stage | None = None
        self._exits = AsyncExitStack()
        self._is_used = False
        self.executions: list[Execution] = []

    def __repr__(self) -> str:
        how = "open" if self._stage is not None else "used" if self._is_used else "not open yet"
        return f"<DurableRunner of {self.handler!r}, {how}>"

    # --- open and closed ---------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._is_used:
            raise ConfigurationError("a DurableRunner is good for one use: make another one")
        if not trio.lowlevel.in_trio_task():
            raise ConfigurationError(
                "a DurableRunner runs on Trio (anyio: backend='trio'); from elsewhere use run_sync, in a thread"
            )
        self._is_used = True
        self._stage = await self._exits.enter_async_context(
            open_stage(
                self.handler,
                functions=list(self._functions.values()),
                interposers=(*self._interposers, *([self._sentinel.interpose] if self._sentinel else ())),
                settings=self._settings,
                start_at=self._start_at,
                invocation_timeout_seconds=self._invocation_seconds,
                has_execution_timeout=self._execution_seconds is not None,
                desk=self._desk,
            )
        )
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        try:
            swallows = await self._exits.__aexit__(error_type, error, traceback)
        finally:
            self._stage = None
        if self._sentinel is not None and self._warns and error_type is None:
            self._sentinel.warn()
        return swallows

    @property
    def service(self) -> LocalService:
        """The local service, for what the runner has no word for. Only while the runner is open."""
        return self._open.service

    # --- running -----------------------------------------------------------------------------------------

    async def start(self, event: Any = None, *, name: str | None = None) -> Execution:
        """Start an execution and return a handle of it; it runs on in the background.

        Args:
            event: the handler's input; JSON, as it would come from outside.
            name: the execution's name, 1 to 64 of ``[a-zA-Z0-9-_]``; by default one is made up. Starting again
                with the same name and event gives the same execution.

        Raises:
            SerDesError: *event* is no JSON.
            LocalServiceError: the service refuses the name.
        """
        stage = self._open
        text = result_serdes(self.handler).serialize(event, SerdesContext("", "", name))
        started = await stage.service.start_execution(
            FUNCTION, text, name=name, execution_timeout_seconds=self._execution_seconds
        )
        execution = Execution(stage, started.arn)
        if started.arn not in {known.arn for known in self.executions}:
            self.executions.append(execution)
            stage.open_executions.add(started.arn)
            stage.nursery.start_soon(stage.watch, started.arn, name="runner's watch of an execution")
        return execution

    async def run(self, event: Any = None, *, name: str | None = None) -> RunResult:
        """Start an execution and return what it has left behind once it has ended.

        A failed execution is a result as well: ask ``result.status``, or use ``result.result`` or an assertion.
        Arguments and errors are those of ``start``.

        Raises:
            ExecutionStuckError: it waits for something that never comes.
        """
        return await (await self.start(event, name=name)).result()

    def run_sync(self, event: Any = None, *, name: str | None = None) -> RunResult:
        """Do what ``run`` does, in a Trio run of its own on virtual time. The runner must not be open.

        Raises:
            ConfigurationError: called inside a Trio run, or the runner has been used.
            ExecutionStuckError: it waits for something that never comes.
        """
        if trio.lowlevel.in_trio_run():
            raise ConfigurationError(
                "run_sync makes a Trio run of its own: inside one, use 'async with' and run"
            )

        async def main() -> RunResult:
            async with self:
                return await self.run(event, name=name)

        from trio.testing import MockClock

        return trio.run(main, clock=MockClock(autojump_threshold=0))

    # --- time --------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Return the virtual time, in UTC."""
        return datetime.fromtimestamp(self._open.service.clock.now() / 1000, UTC)

    async def advance_time(self, duration: Duration | timedelta) -> None:
        """Let exactly so much virtual time pass, with everything that is due in it, and come to rest.

        Raises:
            TypeError: *duration* is neither a ``Duration`` nor a ``timedelta``.
            ValidationError: *duration* is negative.
        """
        seconds = exact_seconds("duration", duration)
        if seconds < 0:
            raise ValidationError(f"duration must not be negative, not {duration!r}")
        stage = self._open
        await stage.time.advance(stage.service, seconds)

    async def until_suspended(self) -> None:
        """Return when every execution that was started is suspended, paused or has ended."""
        self._open  # noqa: B018  # refuses if the runner is not open
        for execution in self.executions:
            await execution.until_suspended()

    def hold_time(self) -> AbstractContextManager[None]:
        """Keep virtual time still in the block, for work that cannot be seen from here: a real server, a process."""
        return self._open.service.clock.held()

    # --- the world outside -------------------------------------------------------------------------------

    def callback(self, name: str | None = None, *, index: int = 0) -> CallbackHandle:
        """Return a handle of a callback, which need not exist yet.

        Args:
            name: the name of the ``create_callback`` or ``wait_for_callback``, or its path (``pack/approval``); None:
                any callback.
            index: which of several with this name, from 0, in the order in which they are created; for those of items
                that run at once that is chance, so use the path. Those of every execution count;
                ``Execution.callback`` has those of one.

        Raises:
            ValidationError: *index* is not a whole number from 0.
        """
        return CallbackHandle(self._desk, name, index, None)

    def function(self, name: str) -> FunctionHandle:
        """Return the handle of a function that the handler may call: to script it, and to see its payloads.

        A name that was not given to the constructor becomes known by this.

        Raises:
            ValidationError: *name* is no function name.
        """
        known = self._functions.get(name)
        if known is not None:
            return known
        function = FunctionHandle(name)
        if self._stage is not None:
            self._stage.add_function(function)
        self._functions[name] = function
        return function

    # --- inside ------------------------------------------------------------------------------------------

    @property
    def _open(self) -> Stage:
        if self._stage is None:
            raise ConfigurationError("enter the runner first: async with DurableRunner(...) as runner")
        return self._stage

    def _driving(self) -> AbstractContextManager[None]:
        return self._open.time.driving()

    def _has_ended(self) -> bool:
        return bool(self.executions) and not self._open.open_executions


def _checked_invocation_timeout(timeout: Duration | timedelta) -> float:
    seconds = exact_seconds("invocation_timeout", timeout)
    if not 0 < seconds <= _LONGEST_INVOCATION.to_seconds():
        raise ValidationError(
            f"invocation_timeout must be above 0 and at most 15 minutes, as on Lambda, not {timeout!r}"
        )
    return seconds


def _checked_execution_timeout(timeout: Duration | timedelta | None) -> int | None:
    if timeout is None:
        return None
    seconds = exact_seconds("execution_timeout", timeout)
    if seconds not in _EXECUTION_TIMEOUT_SECONDS:
        raise ValidationError(
            f"execution_timeout must be 1 second to 366 days, in whole seconds, not {timeout!r}"
        )
    return int(seconds)


def _checked_start(start_at: datetime | None) -> int | None:
    if start_at is None:
        return None
    if not isinstance(start_at, datetime) or start_at.tzinfo is None:
        raise ValidationError(f"start_at must be a datetime with a time zone, not {start_at!r}")
    return round(start_at.timestamp() * 1000)
