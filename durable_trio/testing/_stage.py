"""What a runner has while it is open: the service, the functions, the clock, and who watches."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from durable_trio.local import ExecutionClosed, LocalService, open_local_service
from durable_trio.testing._driver import FUNCTION, Driver, Recording
from durable_trio.testing._handlers import handler_with, operation_serdes, result_serdes
from durable_trio.testing._logs import LogSink
from durable_trio.testing._nurseries import background_nursery
from durable_trio.testing._virtual_time import HostTime, host_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    import trio

    from durable_trio.local import LocalSettings
    from durable_trio.serdes import SerDes
    from durable_trio.testing._callback_desk import CallbackDesk
    from durable_trio.testing._driver import Interposer
    from durable_trio.testing.functions import FunctionHandle


@dataclass(slots=True)
class Stage:
    """An open local service with a handler under test and the functions that it may call."""

    service: LocalService
    driver: Driver
    time: HostTime
    logs: LogSink
    desk: CallbackDesk
    nursery: trio.Nursery
    serdes: SerDes
    result_serdes: SerDes
    has_execution_timeout: bool
    open_executions: set[str]
    is_used: bool = False

    def add_function(self, function: FunctionHandle) -> None:
        """Register a function that the handler may call."""
        if function.handler is None:
            self.service.register_plain(function.name, function.answer)
            return
        handler = handler_with(function.handler, logs=self.logs)
        driver = Driver(self.service, handler, [function.note], self.driver.recording)
        self.service.register(function.name, driver)

    async def watch(self, arn: str) -> None:
        """Have those who wait for a callback look again when the execution has ended."""
        with self.service.subscribe(arn) as changes:
            if not (await self.service.describe(arn)).status.is_closed:
                async for change in changes:
                    if isinstance(change, ExecutionClosed):
                        break
        self.open_executions.discard(arn)
        self.desk.wake()


@asynccontextmanager
async def open_stage(
    handler: Any,
    *,
    functions: Iterable[FunctionHandle],
    interposers: Sequence[Interposer],
    settings: LocalSettings,
    start_at: int | None,
    invocation_timeout_seconds: float,
    has_execution_timeout: bool,
    desk: CallbackDesk,
) -> AsyncIterator[Stage]:
    """Open a local service in memory with everything a test needs around it."""
    time = host_time()
    clock = time.make_clock(start_at)
    logs = LogSink(clock)
    recording = Recording(listeners=[desk.note])
    async with (
        time.adopted(),
        open_local_service(settings=settings, clock=clock, virtual_time=time.is_service_virtual) as service,
        background_nursery() as nursery,
    ):
        driver = Driver(service, handler_with(handler, logs=logs), interposers, recording)
        service.register(FUNCTION, driver, timeout_seconds=invocation_timeout_seconds)
        stage = Stage(
            service,
            driver,
            time,
            logs,
            desk,
            nursery,
            operation_serdes(handler),
            result_serdes(handler),
            has_execution_timeout,
            set(),
        )
        with time.running(service, nursery):
            for function in functions:
                stage.add_function(function)
            desk.open(service, nursery)
            yield stage
