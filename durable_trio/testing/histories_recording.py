"""Recording a history: from a run of the testing kit, or from an execution of a local service.

What a finished run left behind has everything a history needs. The events say what happened; how each context was
closed is read off the operations, because the events do not tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from durable_trio.testing.histories import History
from durable_trio.testing.histories_state import closes_context
from durable_trio.testing.redaction import redact_history

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from durable_trio._protocol.history import HistoryEvent
    from durable_trio._protocol.operation import OperationRecord
    from durable_trio.local import LocalService
    from durable_trio.testing.redaction import Redactor

__all__ = ["record", "record_execution"]

_PAGE: Final = 1_000


class FinishedRun(Protocol):
    """What a history is made from: a ``RunResult`` has it."""

    @property
    def arn(self) -> str:
        """The execution's ARN."""
        ...

    @property
    def events(self) -> Sequence[HistoryEvent]:
        """Its history."""
        ...

    @property
    def records(self) -> Sequence[OperationRecord]:
        """Its operations, as they stand after it."""
        ...


def record(
    run: FinishedRun, path: str | os.PathLike[str] | None = None, *, redact: Redactor | None = None
) -> History:
    """Return the history of a run, and write it to a file if *path* is given.

    Args:
        run: what ``DurableRunner.run`` returned.
        path: where to; what is there is replaced.
        redact: called for every text of the program's; see ``PayloadPlace``.

    Raises:
        OSError: the file cannot be written.
    """
    history = history_of(run.events, run.records, run.arn)
    if redact is not None:
        history = redact_history(history, redact)
    if path is not None:
        history.save(path)
    return history


async def record_execution(service: LocalService, execution: str) -> History:
    """Return the history of an execution of a local service, as far as it has come.

    Args:
        service: where it runs, or ran.
        execution: its name, id or ARN.

    Raises:
        ResourceNotFound: there is no such execution.
    """
    arn = (await service.describe(execution)).arn
    events: list[HistoryEvent] = []
    marker = ""
    while True:
        page = await service.history(arn, limit=_PAGE, marker=marker)
        events += page.items
        marker = page.next_marker
        if not marker:
            break
    return history_of(events, await service.operations(arn), arn)


def history_of(events: Iterable[HistoryEvent], operations: Iterable[OperationRecord], arn: str) -> History:
    """Return the history of *events*; how contexts were closed is read off *operations*, as they stand after it."""
    kept = tuple(events)
    closed = {event.id for event in kept if closes_context(event)}
    replayed = frozenset(
        record.id
        for record in operations
        if record.id in closed and getattr(record.details, "replay_children", False)
    )
    return History(kept, arn, replayed)
