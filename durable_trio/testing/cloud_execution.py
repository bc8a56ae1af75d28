"""An execution of a deployed function: what ``CloudRunner.start`` gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio

from durable_trio._protocol.execution_status import ExecutionStatus
from durable_trio._protocol.history import EventType, HistoryEvent
from durable_trio._protocol.wire import Dialect, decode_error, decode_instant
from durable_trio.exceptions import InvocationError
from durable_trio.serdes import SerdesContext, plain_json
from durable_trio.testing._recording import InvocationRecord
from durable_trio.testing.callbacks import error_object
from durable_trio.testing.histories_state import inferred_replay_children, operations_after
from durable_trio.testing.recorded import build_tree, callbacks_named
from durable_trio.testing.result import RunResult

if TYPE_CHECKING:
    from collections.abc import Iterable

    from durable_trio._protocol.operation import ErrorObject
    from durable_trio.serdes import SerDes
    from durable_trio.testing._cloud_service import CloudService

__all__ = ["CloudCallback", "CloudExecution", "CloudTimeoutError"]

_FIRST_POLL_SECONDS: Final = 0.2
_LONGEST_POLL_SECONDS: Final = 5.0
_POLL_GROWTH: Final = 1.5


class CloudTimeoutError(AssertionError):
    """The execution did not get there in the time that the test gives it; it has been stopped.

    Attributes:
        result: how it stood.
    """

    def __init__(self, message: str, result: RunResult) -> None:
        self.result = result
        super().__init__(f"{message}\n\n{result}")


class CloudExecution:
    """An execution of a deployed function. Made by ``CloudRunner.start``.

    Attributes:
        arn: its ARN.
    """

    def __init__(
        self, service: CloudService, arn: str, timeout_seconds: float, serdes: SerDes, result_serdes: SerDes
    ) -> None:
        self._service = service
        self.arn = arn
        self._timeout_seconds = timeout_seconds
        self._serdes = serdes
        self._result_serdes = result_serdes

    def __repr__(self) -> str:
        return f"<CloudExecution {self.arn}>"

    async def result(self) -> RunResult:
        """Return what the execution has left behind once it has ended.

        Raises:
            CloudTimeoutError: it did not end in time; it has been stopped.
            botocore.exceptions.ClientError: AWS refused.
        """
        with trio.move_on_after(self._timeout_seconds):
            naps = _Naps()
            while not _status(await self._service.describe(self.arn)).is_closed:
                await naps.take()
            return await self.snapshot()
        raise await self._timed_out("the execution did not end")

    async def snapshot(self) -> RunResult:
        """Return how the execution stands now."""
        described = await self._service.describe(self.arn)
        events = await self._service.history(self.arn)
        status = _status(described)
        records = list(
            operations_after(
                events,
                execution_id=self.arn.rpartition("/")[2],
                replay_children=inferred_replay_children(events),
            ).values()
        )
        ended = described.get("EndTimestamp")
        return RunResult(
            arn=self.arn,
            status=status,
            result_text=described.get("Result"),
            error=decode_error(described.get("Error")),
            started_at=decode_instant(described["StartTimestamp"], Dialect.API, "StartTimestamp"),
            ended_at=None if ended is None else decode_instant(ended, Dialect.API, "EndTimestamp"),
            records=tuple(records),
            tree=build_tree(records, self.arn, self._serdes),
            events=tuple(events),
            invocations=tuple(_invocations(events, self.arn, status)),
            serdes=self._result_serdes,
        )

    def callback(self, name: str | None = None, *, index: int = 0) -> CloudCallback:
        """Return a handle of a callback by its name or path; *index* as in ``DurableRunner.callback``."""
        return CloudCallback(self, name, index)

    async def stop(self, error: ErrorObject | BaseException | str | None = None) -> None:
        """End it by force."""
        await self._service.stop(self.arn, None if error is None else error_object(error))

    async def _created(self, name: str | None, index: int) -> str:
        with trio.move_on_after(self._timeout_seconds):
            naps = _Naps()
            while True:
                run = await self.snapshot()
                found = callbacks_named(run.tree, name)
                if index < len(found) and (callback_id := found[index].callback_id) is not None:
                    return callback_id
                if run.status.is_closed:
                    raise AssertionError(
                        f"no callback {name!r} was created before the execution ended\n\n{run}"
                    )
                await naps.take()
        raise await self._timed_out(f"no callback {name!r} was created")

    async def _timed_out(self, message: str) -> CloudTimeoutError:
        await self.stop(f"{message} in {self._timeout_seconds:g} s")
        return CloudTimeoutError(f"{message} in {self._timeout_seconds:g} s", await self.snapshot())


class CloudCallback:
    """A callback of a deployed function. Its answers wait until it has been created, in real time."""

    def __init__(self, execution: CloudExecution, name: str | None, index: int) -> None:
        self._execution = execution
        self._name = name
        self._index = index

    def __repr__(self) -> str:
        return f"<CloudCallback {self._name!r} of {self._execution!r}>"

    async def created(self) -> str:
        """Return the callback's id once it has been created.

        Raises:
            AssertionError: the execution has ended without it.
            CloudTimeoutError: it was not created in time; the execution has been stopped.
        """
        return await self._execution._created(self._name, self._index)

    async def succeed(self, value: Any = None) -> None:
        """Answer with a result: text as it is, None as no result, anything else as JSON.

        Raises as ``created`` does, and ``botocore.exceptions.ClientError`` if AWS refuses the answer.
        """
        payload = value
        if value is not None and not isinstance(value, str):
            payload = plain_json.serialize(value, SerdesContext("", "", self._name))
        await self._execution._service.callback_succeed(await self.created(), payload)

    async def fail(self, error: ErrorObject | BaseException | str = "the callback failed") -> None:
        """Answer with a failure: an error, or its message. Raises as ``succeed`` does."""
        await self._execution._service.callback_fail(await self.created(), error_object(error))

    async def heartbeat(self) -> None:
        """Start its heartbeat time-out over. Raises as ``succeed`` does."""
        await self._execution._service.callback_heartbeat(await self.created())


class _Naps:
    """Longer and longer naps between one question and the next."""

    def __init__(self) -> None:
        self._seconds = _FIRST_POLL_SECONDS

    async def take(self) -> None:
        await trio.sleep(self._seconds)
        self._seconds = min(self._seconds * _POLL_GROWTH, _LONGEST_POLL_SECONDS)


def _status(described: Any) -> ExecutionStatus:
    return ExecutionStatus(described["Status"])


def _invocations(
    events: Iterable[HistoryEvent], arn: str, status: ExecutionStatus
) -> Iterable[InvocationRecord]:
    """Return the invocations that the history tells of; what each answered follows from how it went on."""
    ended = [event for event in events if event.type is EventType.INVOCATION_COMPLETED]
    for number, event in enumerate(ended, 1):
        told = event.details
        is_last = number == len(ended) and status.is_closed
        error = None
        if told.error is not None:
            error = InvocationError(f"{told.error.type}: {told.error.message}")
        yield InvocationRecord(
            number,
            arn,
            told.request_id or "",
            told.started_at if told.started_at is not None else event.at,
            told.ended_at if told.ended_at is not None else event.at,
            None if error is not None else {"Status": status.value if is_last else "PENDING"},
            error,
        )
