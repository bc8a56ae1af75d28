"""What a run left behind, and what a test may say about it.

A ``RunResult`` is a value: it never changes, whatever happens afterwards. ``print(result)`` shows a table. Two results
are equal if the executions came to the same: status, result, error, and every operation with its identity and its
outcome; when things happened, and in how many invocations, is no part of that.

The assertions fail with the table in their message, since what one wants to know then is what happened instead.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from durable_trio._protocol.ids import operation_id
from durable_trio.local import ExecutionStatus
from durable_trio.serdes import SerDes, SerdesContext, plain_json
from durable_trio.testing.outcomes import outcome_of
from durable_trio.testing.recorded import RecordedOperation, build_tree
from durable_trio.testing.tables import headline, table

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from durable_trio._protocol.operation import ErrorObject, OperationRecord, OperationStatus
    from durable_trio.local import ExecutionDescription, HistoryEvent
    from durable_trio.testing._driver import CheckpointCall, InvocationRecord
    from durable_trio.testing._logs import CapturedLog
    from durable_trio.testing.callbacks import CallbackAnswer
    from durable_trio.testing.histories import History
    from durable_trio.testing.redaction import Redactor

_MAX_SUGGESTIONS: Final = 20


@dataclass(frozen=True, slots=True, eq=False)
class RunResult:
    """An execution as it stood at one moment, normally after its end.

    Attributes:
        arn: the execution's ARN.
        status: how it ended, or ``RUNNING``.
        result_text: the text of its result; None unless it has SUCCEEDED.
        error: why it FAILED, TIMED_OUT or was STOPPED; None otherwise.
        started_at, ended_at: epoch milliseconds of virtual time; *ended_at* is None while it runs.
        records: every operation as the service keeps it, the EXECUTION first, in start order.
        tree: the operations of the handler itself; those of contexts are their ``children``.
        events: the history.
        invocations: each call of the handler: when, how it ended, what it answered.
        calls: the checkpoint calls, as they reached the service.
        logs: what the handler and its steps logged with the loggers of their contexts.
        answers: the answers that callback handles gave; a refused one tells the service's refusal.
    """

    arn: str
    status: ExecutionStatus
    result_text: str | None
    error: ErrorObject | None
    started_at: int
    ended_at: int | None
    records: tuple[OperationRecord, ...]
    tree: tuple[RecordedOperation, ...]
    events: tuple[HistoryEvent, ...]
    invocations: tuple[InvocationRecord, ...] = ()
    calls: tuple[CheckpointCall, ...] = ()
    logs: tuple[CapturedLog, ...] = ()
    answers: tuple[CallbackAnswer, ...] = ()
    serdes: SerDes = plain_json

    def __str__(self) -> str:
        return table(self)

    def __repr__(self) -> str:
        return f"<RunResult {headline(self)}, {len(self.operations)} operations>"

    # --- the outcome -------------------------------------------------------------------------------------

    @property
    def result(self) -> Any:
        """The handler's result, read by its ``handler_serdes`` (plain JSON by default).

        Raises:
            AssertionError: the execution has not SUCCEEDED; the message shows the run.
        """
        return self.assert_succeeded()

    @property
    def duration_seconds(self) -> float | None:
        """How long it took, in virtual seconds; None while it runs."""
        return None if self.ended_at is None else (self.ended_at - self.started_at) / 1000

    def outcome(self) -> tuple[Any, ...]:
        """Return what an execution comes to, whatever happened on the way: what equality compares."""
        return outcome_of(self)

    def __eq__(self, other: object) -> bool:
        return self.outcome() == other.outcome() if isinstance(other, RunResult) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.status, self.result_text, len(self.records)))

    # --- operations --------------------------------------------------------------------------------------

    @property
    def operations(self) -> tuple[RecordedOperation, ...]:
        """Every operation, each before those inside it, in start order."""
        return tuple(self._walk())

    def __iter__(self) -> Iterator[RecordedOperation]:
        return self._walk()

    def __getitem__(self, key: str | int) -> RecordedOperation:
        return self.operation(key)

    def operation(self, key: str | int) -> RecordedOperation:
        """Return the one operation that *key* names: a path, an id, a name that is used once, or an index.

        An index counts the operations of the handler itself from 0, as the program started them; negative ones count
        from the end.

        Raises:
            LookupError: there is none, or several have this name; the message says what there is.
        """
        if isinstance(key, int):
            return self._at(key)
        found = [o for o in self._walk() if key in (o.path, o.id)] or self.named(key)
        if len(found) == 1:
            return found[0]
        if found:
            paths = ", ".join(repr(o.path) for o in found[:_MAX_SUGGESTIONS])
            raise LookupError(f"{len(found)} operations are named {key!r}; give a path: {paths}")
        raise LookupError(f"there is no operation {key!r}; there are: {self._known(key)}")

    def named(self, name: str) -> list[RecordedOperation]:
        """Return every operation of this name, at any depth, in start order; maybe none."""
        return [operation for operation in self._walk() if operation.name == name]

    def at_position(self, *positions: int) -> RecordedOperation:
        """Return the operation at a place in the program: its position from 1, inside contexts at theirs.

        Items of a map and branches of a parallel are at their 0-based index.

        Raises:
            LookupError: there is none.
        """
        id_: str | None = None
        for position in positions:
            id_ = operation_id(id_, position)
        for operation in self._walk():
            if operation.id == id_:
                return operation
        raise LookupError(f"there is no operation at {positions}; there are: {self._known('')}")

    def _walk(self) -> Iterator[RecordedOperation]:
        for operation in self.tree:
            yield from operation.walk()

    def _at(self, index: int) -> RecordedOperation:
        try:
            return self.tree[index]
        except IndexError:
            raise LookupError(f"there is no operation [{index}]: the handler has {len(self.tree)}") from None

    def _known(self, key: str) -> str:
        paths = [operation.path for operation in self._walk()]
        close = difflib.get_close_matches(key, paths, n=3, cutoff=0.5)
        shown = [*close, *(path for path in paths if path not in close)][:_MAX_SUGGESTIONS]
        more = f" and {len(paths) - len(shown)} more" if len(paths) > len(shown) else ""
        return (", ".join(map(repr, shown)) or "none") + more

    # --- for later ---------------------------------------------------------------------------------------

    def record(
        self, path: str | os.PathLike[str] | None = None, *, redact: Redactor | None = None
    ) -> History:
        """Return the run's history, for replay tests, and write it to a file if *path* is given.

        *redact* is called for every text of the program's; see ``redact_history``. Raises ``OSError``.
        """
        from durable_trio.testing.histories_recording import record

        return record(self, path, redact=redact)

    # --- assertions --------------------------------------------------------------------------------------

    def assert_succeeded(self) -> Any:
        """Return the handler's result.

        Raises:
            AssertionError: the execution has not SUCCEEDED.
            SerDesError: its result cannot be read.
        """
        if self.status is not ExecutionStatus.SUCCEEDED:
            self._fail(f"the execution has not succeeded: {self.status}")
        if not self.result_text:
            return None
        return self.serdes.deserialize(self.result_text, SerdesContext(self.arn.rpartition("/")[2], self.arn))

    def assert_failed(
        self, error: str | type[BaseException] | None = None, *, match: str | None = None
    ) -> ErrorObject:
        """Return the error that the execution FAILED with.

        Args:
            error: the recorded type that it must have, as a name or an exception class.
            match: a regular expression that must be found in the message.

        Raises:
            AssertionError: it has not failed, or not with that.
        """
        if self.status is not ExecutionStatus.FAILED or self.error is None:
            self._fail(f"the execution has not failed: {self.status}")
        name = error.__name__ if isinstance(error, type) else error
        if name is not None and self.error.type != name:
            self._fail(f"the execution failed with {self.error.type}, not with {name}")
        if match is not None and re.search(match, self.error.message or "") is None:
            self._fail(f"the error's message {self.error.message!r} does not match {match!r}")
        return self.error

    def assert_operations(self, expected: Sequence[str]) -> None:
        """Check which operations there are, in start order.

        *expected* are names of the handler's own operations (subtypes for those without a name); if any of them
        has a ``/`` in it, they are the paths of all operations at every depth.

        Raises:
            AssertionError: there are others; the message holds the difference.
        """
        is_deep = any("/" in path for path in expected)
        found = [operation.path for operation in (self._walk() if is_deep else self.tree)]
        if found != list(expected):
            difference = "\n".join(difflib.ndiff(list(expected), found))
            self._fail(f"other operations than expected (-: missing, +: not expected):\n{difference}")

    def assert_called_once(self, key: str) -> RecordedOperation:
        """Return the one operation *key*; it has to have SUCCEEDED in its first attempt.

        Raises:
            AssertionError: there is none, there are several, or it took more attempts.
        """
        operation = self._asserted(key)
        if operation.status.value != "SUCCEEDED" or operation.attempts != 1:
            self._fail(f"{operation!r} was not done at once: {operation.attempts} attempts")
        return operation

    def assert_attempts(self, key: str, attempts: int) -> RecordedOperation:
        """Return the one operation *key*; it has to have made so many attempts.

        Raises:
            AssertionError: there is none, there are several, or it made another number of attempts.
        """
        operation = self._asserted(key)
        if operation.attempts != attempts:
            self._fail(f"{operation!r} made {operation.attempts} attempts, not {attempts}")
        return operation

    def assert_status(self, key: str, status: OperationStatus | str) -> RecordedOperation:
        """Return the one operation *key*; it has to stand like this.

        Raises:
            AssertionError: there is none, there are several, or it stands otherwise.
        """
        operation = self._asserted(key)
        if operation.status != status:
            self._fail(f"{operation!r} is not {status}")
        return operation

    def assert_not_called(self, key: str) -> None:
        """Check that no operation has this name or path.

        Raises:
            AssertionError: there is one.
        """
        found = [operation for operation in self._walk() if key in (operation.path, operation.name)]
        if found:
            self._fail(f"{found[0]!r} was started")

    def _asserted(self, key: str) -> RecordedOperation:
        try:
            return self.operation(key)
        except LookupError as problem:
            self._fail(str(problem))

    def _fail(self, message: str) -> NoReturn:
        __tracebackhide__ = True
        raise AssertionError(f"{message}\n\n{self}")


def build_result(
    description: ExecutionDescription,
    records: Sequence[OperationRecord],
    events: Sequence[HistoryEvent],
    *,
    serdes: SerDes,
    result_serdes: SerDes,
    **seen: Any,
) -> RunResult:
    """Return what the service tells about an execution, with what was *seen* of it on the way as a result."""
    return RunResult(
        arn=description.arn,
        status=description.status,
        result_text=description.result,
        error=description.error,
        started_at=description.started_at,
        ended_at=description.ended_at,
        records=tuple(records),
        tree=build_tree(records, description.arn, serdes),
        events=tuple(events),
        serdes=result_serdes,
        **seen,
    )
