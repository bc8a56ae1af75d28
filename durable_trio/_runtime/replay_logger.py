"""Loggers that are silent while their context replays.

A line of a context's logger has been written by the invocation that ran the code first; on replay it is
dropped before anything is rendered. Where lines go is the user's choice, in three ways:

- by default a structlog logger writes them to standard output, where Lambda collects them (``log_lines`` says
  how they look); the level comes from ``AWS_LAMBDA_LOG_LEVEL``;
- a structlog logger of the user's keeps its processors, its level and its destination: what is made from it
  is bound to the context's fields and passes through a gate;
- a ``logging.Logger`` likewise, by an adapter. It takes keywords as structlog does; they become attributes
  of the record.

Every logger is made anew for its context or step: binding more to one leaves the others alone. structlog is
imported by the first logger that needs it: it costs cold start.
"""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from durable_trio._runtime.log_lines import LEVELS, environment_level, error_fields, rendered
from durable_trio.config import ReplayLogging
from durable_trio.exceptions import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

extra_log_fields: ContextVar[Callable[[], Mapping[str, Any]] | None] = ContextVar(
    "durable_trio_extra_log_fields", default=None
)
"""Asked for more fields by every line; for plugins that relate lines to something else."""

# The lowest level that is written while a context replays.
_REPLAY_LEVELS: Final[Mapping[ReplayLogging, int]] = {
    ReplayLogging.ALLOW_ALL: logging.NOTSET,
    ReplayLogging.WARNINGS_AND_ERRORS: logging.WARNING,
    ReplayLogging.ERRORS_ONLY: logging.ERROR,
    ReplayLogging.SUPPRESS_ALL: logging.CRITICAL + 1,
}

_BINDERS: Final = frozenset({"bind", "unbind", "try_unbind", "new"})
_RECORD_ATTRIBUTES: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_LOGGING_KEYWORDS: Final = frozenset({"exc_info", "stack_info", "stacklevel", "extra"})


def is_dropped_on_replay(level: int, mode: ReplayLogging) -> bool:
    """Tell whether a line of *level* is dropped while its context replays."""
    return level < _REPLAY_LEVELS[mode]


def checked_logger(logger: object) -> Any:
    """Return *logger* if ``durable_execution(logger=...)`` can take it.

    Raises:
        ValidationError: it is neither a structlog logger nor a ``logging.Logger``.
    """
    if logger is None or isinstance(logger, logging.Logger):
        return logger
    if not isinstance(logger, type) and all(
        callable(getattr(logger, name, None)) for name in ("bind", "info", "error")
    ):
        return logger
    raise ValidationError(f"logger must be a structlog logger or a logging.Logger, not {logger!r}")


def make_logger(
    fields: Mapping[str, Any],
    *,
    mode: ReplayLogging,
    is_replaying: Callable[[], bool] | None,
    base: Any = None,
) -> Any:
    """Return a logger with *fields* on every line, made from the user's logger *base* or a new one.

    With *is_replaying*, lines below what *mode* lets through are dropped while it says True.
    """

    def is_silent(level: int) -> bool:
        return is_replaying is not None and is_replaying() and is_dropped_on_replay(level, mode)

    if base is None:
        return _line_logger(is_silent).bind(**fields)
    if isinstance(base, logging.Logger):
        return ReplayAdapter(base, fields, is_silent)
    return GatedLogger(base.bind(**fields), is_silent)


def _more_fields() -> Mapping[str, Any]:
    ask = extra_log_fields.get()
    return {} if ask is None else ask()


class _Stdout:
    """Writes to whatever standard output is at the time: tests and live displays replace it."""

    def _write(self, line: str) -> None:
        print(line, file=sys.stdout, flush=True)

    debug = info = warning = error = critical = msg = _write


def _line_logger(is_silent: Callable[[int], bool]) -> Any:
    import structlog  # costs cold start, and many handlers log nothing

    def line(_logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        level = LEVELS.get(method.upper(), logging.INFO)
        if is_silent(level):
            raise structlog.DropEvent
        message = event.pop("event", "")
        error = error_fields(event.pop("exc_info", None))
        return rendered(level, message, {**_more_fields(), **event, **error})

    return structlog.wrap_logger(
        _Stdout(),
        processors=[line],
        wrapper_class=structlog.make_filtering_bound_logger(environment_level()),
        context_class=dict,
        cache_logger_on_first_use=True,
    )


class GatedLogger:
    """A structlog logger of the user's, behind the gate. (structlog's ``ainfo`` and the like need asyncio.)"""

    __slots__ = ("_is_silent", "_logger")

    def __init__(self, logger: Any, is_silent: Callable[[int], bool]) -> None:
        self._logger = logger
        self._is_silent = is_silent

    def __repr__(self) -> str:
        return f"<GatedLogger {self._logger!r}>"

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._logger, name)
        if name in _BINDERS:
            return lambda *args, **fields: GatedLogger(attribute(*args, **fields), self._is_silent)
        level = LEVELS.get(name.upper())
        if level is not None:
            return lambda *args, **fields: self._log(level, attribute, args, fields)
        return attribute

    def log(self, level: int, *args: Any, **fields: Any) -> Any:
        """Log at *level*, a number as of ``logging``."""
        return self._log(level, self._logger.log, (level, *args), fields)

    def _log(self, level: int, method: Any, args: tuple[Any, ...], fields: dict[str, Any]) -> Any:
        if self._is_silent(level):
            return None
        return method(*args, **{**_more_fields(), **fields})


class ReplayAdapter(logging.LoggerAdapter[logging.Logger]):
    """A ``logging.Logger`` of the user's, behind the gate."""

    def __init__(
        self, logger: logging.Logger, fields: Mapping[str, Any], is_silent: Callable[[int], bool]
    ) -> None:
        super().__init__(logger, fields)
        self._fields = dict(fields)
        self._is_silent = is_silent

    def bind(self, **fields: Any) -> ReplayAdapter:
        """Return another adapter with *fields* on every record besides those of this one."""
        return ReplayAdapter(self.logger, {**self._fields, **fields}, self._is_silent)

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # its name in logging
        """Tell whether a record of *level* would be made now."""
        return not self._is_silent(level) and super().isEnabledFor(level)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Turn the fields, and keywords that logging does not know, into attributes of the record."""
        fields = {**self._fields, **_more_fields(), **(kwargs.pop("extra", None) or {})}
        for key in [key for key in kwargs if key not in _LOGGING_KEYWORDS]:
            fields[key] = kwargs.pop(key)
        # Logging refuses to overwrite what records have of their own.
        kwargs["extra"] = {f"{key}_" if key in _RECORD_ATTRIBUTES else key: v for key, v in fields.items()}
        return msg, kwargs
