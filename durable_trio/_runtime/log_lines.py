"""How a log line looks: an object of fields as JSON, as text, or for somebody at a terminal.

``DURABLE_TRIO_LOG_FORMAT`` decides (``JSON`` or ``Text``); where it does not say, lines are JSON, except on a
terminal. Lambda's own ``AWS_LAMBDA_LOG_FORMAT`` is not asked: it says ``Text`` wherever nobody has chosen, and a
log that cannot be searched by execution is not what anybody would choose. Looked up for each line: the command
line redirects standard output while it draws.

Writing a line never raises because of what is in it: what JSON does not know is written as its ``str`` or ``repr``.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

LEVELS: Final[Mapping[str, int]] = {
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "MSG": logging.INFO,
    "WARN": logging.WARNING,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "EXCEPTION": logging.ERROR,
    "FATAL": logging.CRITICAL,
    "CRITICAL": logging.CRITICAL,
}

# What a person who watches does not need to read on every line.
_HIDDEN: Final = frozenset(
    {"timestamp", "level", "message", "executionArn", "requestId", "parentId", "operationId"}
    | {"operationName", "attempt", "errorType", "errorMessage", "stackTrace"}
)
_COLOURS: Final = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


def environment_level() -> int:
    """Return the lowest level that is written, from ``AWS_LAMBDA_LOG_LEVEL``; INFO by default."""
    return LEVELS.get(os.environ.get("AWS_LAMBDA_LOG_LEVEL", "INFO").upper(), logging.INFO)


def rendered(level: int, message: object, fields: Mapping[str, Any]) -> str:
    """Return the line, or the lines where a person is to read a traceback."""
    now = datetime.now(UTC)
    line = {
        "timestamp": f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z",
        "level": logging.getLevelName(level),
        "message": message,
        **fields,
    }
    match os.environ.get("DURABLE_TRIO_LOG_FORMAT", "").upper():
        case "TEXT":
            return _text(line)
        case "JSON":
            return _json(line)
    return _for_terminal(line, now) if sys.stdout.isatty() else _json(line)


def error_fields(exc_info: object) -> dict[str, Any]:
    """Return what is logged of an exception: *exc_info* is one, or True for the one being handled.

    A tuple as of ``sys.exc_info()`` is accepted as well. Without an exception there are no fields.
    """
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1]
    error = exc_info if isinstance(exc_info, BaseException) else sys.exc_info()[1] if exc_info else None
    if error is None:
        return {}
    return {
        "errorType": type(error).__name__,
        "errorMessage": str(error),
        "stackTrace": [line.rstrip("\n") for line in traceback.format_exception(error)],
    }


def _json(line: Mapping[str, Any]) -> str:
    try:
        return json.dumps(line, default=str)
    except Exception:  # noqa: BLE001  # a key that is no text, a cycle, a broken __str__: say what can be said
        return json.dumps({_representation(key): _representation(value) for key, value in line.items()})


def _representation(value: object) -> str:
    try:
        return value if isinstance(value, str) else repr(value)
    except Exception as error:  # noqa: BLE001  # the user's __repr__
        return f"<{type(value).__name__} whose repr fails: {type(error).__name__}>"


def _text(line: Mapping[str, Any]) -> str:
    head = f"{line['timestamp']} {line['level']} {_one_line(_plain(line['message']))}"
    rest = [_pair(key, value) for key, value in line.items() if key not in ("timestamp", "level", "message")]
    return " ".join([head, *rest])


def _for_terminal(line: Mapping[str, Any], now: datetime) -> str:
    def paint(text: str, colour: str) -> str:
        return text if os.environ.get("NO_COLOR") else f"\x1b[{colour}m{text}\x1b[0m"

    level = str(line["level"])
    parts = [
        paint(f"{now.astimezone():%H:%M:%S}", "2"),
        paint(f"{level:<7}", _COLOURS.get(level, "0")),
        _one_line(_plain(line["message"])),
        *(paint(_pair(key, value), "36") for key, value in line.items() if key not in _HIDDEN),
    ]
    if line.get("operationName"):
        again = f" #{line['attempt']}" if line.get("attempt", 1) != 1 else ""
        parts.append(paint(f"[{_one_line(_plain(line['operationName']))}{again}]", "2"))
    stack = [_one_line(part) for text in line.get("stackTrace", ()) for part in str(text).splitlines()]
    return "\n".join([" ".join(parts), *(paint(f"    {part}", "2") for part in stack)])


def _pair(key: object, value: object) -> str:
    text = _plain(value)
    is_word = text != "" and text.isprintable() and not set(text) & {" ", "=", '"'}
    return f"{_one_line(str(key))}={text if is_word else json.dumps(text)}"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else _representation(value)


def _one_line(text: str) -> str:
    """Return *text* without line breaks and control characters, which terminals would obey."""
    return text if text.isprintable() else json.dumps(text, ensure_ascii=False)[1:-1]
