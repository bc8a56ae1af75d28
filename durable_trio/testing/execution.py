"""One execution in a ``DurableRunner``: to wait for it, to look at it, to answer it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from durable_trio.local import ExecutionStatus
from durable_trio.testing.callbacks import CallbackHandle, error_object
from durable_trio.testing.result import RunResult, build_result

if TYPE_CHECKING:
    from durable_trio._protocol.operation import ErrorObject
    from durable_trio.local import ExecutionDescription, HistoryEvent
    from durable_trio.testing._stage import Stage

__all__ = ["Execution", "ExecutionStuckError"]


class ExecutionStuckError(AssertionError):
    """Nothing can ever happen in the execution any more: it waits for what nobody does.

    Virtual time has gone on until the execution timed out after its 366 days. Give the runner an
    ``execution_timeout`` to test a time-out that is meant.

    Attributes:
        result: how it stands.
    """

    def __init__(self, result: RunResult) -> None:
        self.result = result
        waiting = [operation for operation in result if not operation.children and operation.ended_at is None]
        shown = "\n".join(f"  {operation.path}: {operation.kind} {operation.status}" for operation in waiting)
        unused = "\n".join(f"  {answer}" for answer in result.answers if answer.at is None)
        hint = f"\nanswers that no callback was there for:\n{unused}" if unused else ""
        super().__init__(
            f"the execution did not end in 366 days of virtual time; it waits for:\n{shown or '  (nothing)'}{hint}"
            f"\n\n{result}"
        )


class Execution:
    """An execution that a runner has started. Made by ``DurableRunner.start``.

    Attributes:
        arn: its ARN.
    """

    def __init__(self, stage: Stage, arn: str) -> None:
        self._stage = stage
        self.arn = arn

    def __repr__(self) -> str:
        return f"<Execution {self.arn}>"

    async def result(self) -> RunResult:
        """Return what the execution has left behind once it has ended; virtual time moves on until then.

        Whether it has succeeded is for the caller to ask; ``result().result`` does.

        Raises:
            ExecutionStuckError: it waits for something that never comes.
        """
        stage = self._stage
        with stage.time.driving():
            await stage.service.wait_closed(self.arn)
            await stage.driver.wait_rested(self.arn)
        result = await self.snapshot()
        if result.status is ExecutionStatus.TIMED_OUT and not stage.has_execution_timeout:
            _fail(ExecutionStuckError(result))
        return result

    async def until_suspended(self) -> RunResult:
        """Return how the execution stands once it is suspended, paused or has ended.

        Suspended: its latest invocation has answered PENDING, and there is no other under way. Virtual time moves no
        further than that needs.
        """
        stage = self._stage
        with stage.time.driving(), stage.service.subscribe(self.arn) as changes:
            while not self._is_at_rest(await stage.service.describe(self.arn)):
                await changes.receive()
        await stage.driver.wait_rested(self.arn)
        return await self.snapshot()

    async def snapshot(self) -> RunResult:
        """Return how the execution stands now. No time passes."""
        stage, arn = self._stage, self.arn
        description = await stage.service.describe(arn)
        records = await stage.service.operations(arn)
        recording = stage.driver.recording
        return build_result(
            description,
            records,
            await self._history(),
            serdes=stage.serdes,
            result_serdes=stage.result_serdes,
            invocations=tuple(i for i in recording.invocations if i.execution_arn == arn),
            calls=tuple(call for call in recording.calls if call.execution_arn == arn),
            logs=tuple(line for line in stage.logs.lines if line.execution_arn == arn),
            answers=tuple(a for a in stage.desk.answers if a.execution_arn in (arn, None)),
        )

    def callback(self, name: str | None = None, *, index: int = 0) -> CallbackHandle:
        """Return a handle of a callback of this execution; see ``DurableRunner.callback``."""
        return CallbackHandle(self._stage.desk, name, index, self.arn)

    async def stop(self, error: ErrorObject | BaseException | str | None = None) -> None:
        """End it by force: its status becomes STOPPED. One that has ended stays as it is."""
        await self._stage.service.stop(self.arn, None if error is None else error_object(error))

    def _is_at_rest(self, description: ExecutionDescription) -> bool:
        if description.status.is_closed or description.status is ExecutionStatus.PAUSED:
            return True
        if description.is_invoked:
            return False
        statuses = [i.status for i in self._stage.driver.recording.invocations if i.execution_arn == self.arn]
        return bool(statuses) and statuses[-1] == "PENDING"

    async def _history(self) -> list[HistoryEvent]:
        events: list[HistoryEvent] = []
        marker: Any = ""
        while True:
            page = await self._stage.service.history(self.arn, limit=1000, marker=marker)
            events.extend(page.items)
            marker = page.next_marker
            if not marker:
                return events


def _fail(error: ExecutionStuckError) -> NoReturn:
    __tracebackhide__ = True
    raise error
