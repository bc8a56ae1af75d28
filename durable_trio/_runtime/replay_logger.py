"""Loggers that are silent while their context replays.

A line of a context's logger has been written by the invocation that ran the code first; on replay it is
dropped before anything is rendered. Lines are JSON objects, one a line, on standard output, where Lambda
collects them, with AWS's names for the keys. The level comes from ``AWS_LAMBDA_LOG_LEVEL`` (default INFO).

structlog is imported by the first logger that is asked for: it costs cold start.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from durable_trio.config import ReplayLogging

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

_LEVELS: Final[Mapping[str, int]] = {
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
    "CRITICAL": logging.CRITICAL,
}

# The lowest level that is written while a context replays.
_REPLAY_LEVELS: Final[Mapping[ReplayLogging, int]] = {
    ReplayLogging.ALLOW_ALL: logging.NOTSET,
    ReplayLogging.WARNINGS_AND_ERRORS: logging.WARNING,
    ReplayLogging.ERRORS_ONLY: logging.ERROR,
    ReplayLogging.SUPPRESS_ALL: logging.CRITICAL + 1,
}


class _Stdout:
    """Writes to whatever standard output is at the time: tests and live displays replace it."""

    def _write(self, line: str) -> None:
        print(line, file=sys.stdout, flush=True)

    debug = info = warning = error = critical = msg = _write


def make_logger(
    fields: Mapping[str, Any], *, mode: ReplayLogging, is_replaying: Callable[[], bool] | None
) -> Any:
    """Return a structlog logger with *fields* on every line.

    With *is_replaying*, lines below what *mode* lets through are dropped while it says True.
    """
    import structlog  # costs cold start, and many handlers log nothing

    def drop_replayed(_logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if is_replaying is not None and is_replaying():
            level = logging.ERROR if method == "exception" else _LEVELS.get(method.upper(), logging.INFO)
            if level < _REPLAY_LEVELS[mode]:
                raise structlog.DropEvent
        return event

    return structlog.wrap_logger(
        _Stdout(),
        processors=[
            drop_replayed,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_level()),
        context_class=dict,
        cache_logger_on_first_use=True,
    ).bind(**fields)


def _level() -> int:
    return _LEVELS.get(os.environ.get("AWS_LAMBDA_LOG_LEVEL", "INFO").upper(), logging.INFO)
