"""Standard ``logging`` in durable functions: the same fields as ``ctx.logger``, and silence on replay.

Libraries log with ``logging``, and so may you. A record that is made inside durable code gets the fields of
where it was made (``executionArn``, ``requestId``, ``parentId``, and in a step ``operationId``, ``operationName``,
``attempt``) as attributes, and is dropped if the context around it replays. Both are told from context
variables, so it works in tasks and worker threads that the code has started. A record made outside of durable
code passes as it is.

::

    import logging
    from durable_trio.log import enrich_logging

    logging.basicConfig(level="INFO")
    enrich_logging()
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

from durable_trio._runtime.log_lines import environment_level, error_fields, rendered
from durable_trio._runtime.node import current_node
from durable_trio._runtime.replay_logger import extra_log_fields, is_dropped_on_replay
from durable_trio.step_context import _current_step

__all__ = ["DurableFilter", "LineFormatter", "enrich_logging", "extra_log_fields"]

_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class DurableFilter(logging.Filter):
    """Adds the fields of durable code to records, and drops those that a replay repeats.

    To be added to a *handler*: filters of a logger do not see the records of the loggers below it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Complete *record*; False if it repeats what an earlier invocation has logged."""
        node = current_node.get()
        if node is None or hasattr(record, "executionArn"):  # the second: by ctx.logger, or seen already
            return True
        invocation = node.invocation
        step = _current_step.get()
        if step is not None and step.execution_arn != invocation.state.durable_execution_arn:
            step = None  # of an execution whose step runs this one
        if (
            step is None
            and node.is_replaying
            and is_dropped_on_replay(record.levelno, invocation.options.replay_logging)
        ):
            return False
        fields = invocation.node_fields(node) if step is None else invocation.step_fields(step)
        ask = extra_log_fields.get()
        for key, value in {**fields, **(ask() if ask is not None else {})}.items():
            if not hasattr(record, key):
                setattr(record, key, value)
        return True


class LineFormatter(logging.Formatter):
    """Writes records as ``ctx.logger`` writes its lines; ``DURABLE_TRIO_LOG_FORMAT`` applies.

    Attributes that a record has been given (``extra=``, the fields of durable code) become fields of the line,
    besides ``logger``, the name of the logger.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of *record*."""
        given: dict[str, Any] = {key: value for key, value in vars(record).items() if key not in _OWN}
        return rendered(
            record.levelno,
            record.getMessage(),
            {"logger": record.name, **given, **error_fields(record.exc_info)},
        )


class _StdoutHandler(logging.StreamHandler[Any]):
    """Writes to whatever standard output is at the time."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stdout
        super().emit(record)


def enrich_logging(logger: logging.Logger | None = None) -> None:
    """Let the handlers of *logger* (by default the root) know durable code; call it once logging is set up.

    Each of its handlers gets a ``DurableFilter``. If there are none, one is added that writes lines like those of
    ``ctx.logger`` to standard output, from the level that ``AWS_LAMBDA_LOG_LEVEL`` says (default INFO). Calling it
    again changes nothing.
    """
    target = logging.getLogger() if logger is None else logger
    if not target.handlers:
        handler = _StdoutHandler()
        handler.setFormatter(LineFormatter())
        target.addHandler(handler)
        target.setLevel(environment_level())
    for handler_ in target.handlers:
        if not any(isinstance(known, DurableFilter) for known in handler_.filters):
            handler_.addFilter(DurableFilter())
