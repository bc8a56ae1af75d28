"""Durable handlers with something added for a test; the handler under test is left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from durable_trio.handler import DurableHandler
from durable_trio.serdes import default_serdes, plain_json
from durable_trio.testing._logs import capturing_logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable_trio.plugins import PluginFactory
    from durable_trio.serdes import SerDes
    from durable_trio.testing._logs import LogSink


def handler_with(handler: Any, *, plugins: Sequence[PluginFactory] = (), logs: LogSink | None = None) -> Any:
    """Return a handler that does what *handler* does, with more *plugins* and its log lines captured in *logs*.

    Anything but a handler made by ``@durable_execution`` is returned as it is: nothing is known about it.
    """
    if not isinstance(handler, DurableHandler):
        return handler
    options = handler._options
    logger = options.logger if logs is None else capturing_logger(options.logger, logs)
    options = replace(options, plugins=(*options.plugins, *plugins), logger=logger)
    return DurableHandler(handler.fn, options=options, client=handler._client)


def operation_serdes(handler: Any) -> SerDes:
    """Return the serializer of operations of *handler* that have none of their own."""
    return handler._options.serdes if isinstance(handler, DurableHandler) else default_serdes()


def result_serdes(handler: Any) -> SerDes:
    """Return the serializer of *handler*'s input and result."""
    return handler._options.handler_serdes if isinstance(handler, DurableHandler) else plain_json
