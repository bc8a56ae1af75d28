"""What ``durable_execution(...)`` was given, checked and with its defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from durable_trio.config import ReplayLogging
    from durable_trio.serdes import SerDes


@dataclass(frozen=True, slots=True)
class HandlerOptions:
    """The options of one handler."""

    serdes: SerDes
    """For operations without a serializer of their own."""
    handler_serdes: SerDes
    """For the handler's input and result."""
    replay_logging: ReplayLogging
