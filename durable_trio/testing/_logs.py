"""The log lines of a run, captured on their way out.

Nothing is taken away: a handler without a logger of its own still writes its lines to standard output, where pytest
shows them if the test fails, and one with its own still writes to that. What is captured is what got through: a line
that a replay repeats has been dropped before.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from durable_trio._runtime.log_lines import LEVELS, environment_level, error_fields, rendered

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from durable_trio.clock import Clock

_RECORD_ATTRIBUTES: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


@dataclass(frozen=True, slots=True)
class CapturedLog:
    """One line that a handler or a step logged with the logger of its context.

    Attributes:
        level: ``DEBUG``, ``INFO``, ``WARNING``, ``ERROR`` or ``CRITICAL``.
        message: what was logged.
        fields: what was bound or passed along, and AWS's fields (``executionArn``, ``operationName``, ...).
        at: when (epoch milliseconds, service time).
    """

    level: str
    message: str
    fields: Mapping[str, Any]
    at: int

    @property
    def execution_arn(self) -> str | None:
        """The execution that it belongs to."""
        arn = self.fields.get("executionArn")
        return None if arn is None else str(arn)

    def __str__(self) -> str:
        return f"{self.level} {self.message}"


@dataclass(slots=True)
class LogSink:
    """Where captured lines go, in order."""

    clock: Clock
    lines: list[CapturedLog] = field(default_factory=list)

    def take(self, level: int, message: object, fields: Mapping[str, Any]) -> None:
        """Note a line."""
        self.lines.append(
            CapturedLog(logging.getLevelName(level), str(message), dict(fields), self.clock.now())
        )


def capturing_logger(base: Any, sink: LogSink) -> Any:
    """Return what to give a handler as its logger in the place of *base*, to see its lines in *sink*.

    *base* is None (lines on standard output), a structlog logger, a ``logging.Logger``, or what looks like one.
    """
    if base is None:
        return _printing_logger(sink)
    if isinstance(base, logging.Logger):
        return _TeeLogger(base, sink)
    import structlog

    bound = base.bind()
    if isinstance(bound, structlog.BoundLoggerBase):
        # In front of the user's processors, and behind the level that the logger filters by.
        return type(bound)(bound._logger, [_noting(sink), *bound._processors], bound._context)
    return _Tee(base, {}, sink)


def _printing_logger(sink: LogSink) -> Any:
    import structlog

    def line(_logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        level = LEVELS.get(method.upper(), logging.INFO)
        message = event.pop("event", "")
        error = error_fields(event.pop("exc_info", None))
        fields = {**event, **error}
        sink.take(level, message, fields)
        return rendered(level, message, fields)

    return structlog.wrap_logger(
        _Stdout(),
        processors=[line],
        wrapper_class=structlog.make_filtering_bound_logger(environment_level()),
        context_class=dict,
    )


class _Stdout:
    """Writes to whatever standard output is at the time: pytest replaces it."""

    def _write(self, line: str) -> None:
        print(line, file=sys.stdout, flush=True)

    debug = info = warning = error = critical = msg = _write


def _noting(sink: LogSink) -> Any:
    def note(_logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        fields = {key: value for key, value in event.items() if key != "event"}
        sink.take(LEVELS.get(method.upper(), logging.INFO), event.get("event", ""), fields)
        return event

    return note


class _TeeLogger(logging.Logger):
    """A ``logging.Logger`` of the user's: who calls, the levels and the handlers are its own."""

    def __init__(self, base: logging.Logger, sink: LogSink) -> None:
        super().__init__(base.name)
        self._base = base
        self._sink = sink

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # its name in logging
        return self._base.isEnabledFor(level)

    def handle(self, record: logging.LogRecord) -> None:
        fields = {key: value for key, value in vars(record).items() if key not in _RECORD_ATTRIBUTES}
        self._sink.take(record.levelno, record.getMessage(), fields)
        self._base.handle(record)


class _Tee:
    """Something of the user's that logs as structlog's loggers do."""

    __slots__ = ("_fields", "_logger", "_sink")

    def __init__(self, logger: Any, fields: Mapping[str, Any], sink: LogSink) -> None:
        self._logger = logger
        self._fields = fields
        self._sink = sink

    def __repr__(self) -> str:
        return f"<captured {self._logger!r}>"

    def bind(self, **fields: Any) -> _Tee:
        return _Tee(self._logger.bind(**fields), {**self._fields, **fields}, self._sink)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._logger, name)
        level = LEVELS.get(name.upper())
        if level is None:
            return attribute

        def log(message: object = "", *args: Any, **fields: Any) -> Any:
            self._sink.take(level, str(message) % args if args else message, {**self._fields, **fields})
            return attribute(message, *args, **fields)

        return log
