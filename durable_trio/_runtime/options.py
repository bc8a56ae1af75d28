"""What ``durable_execution(...)`` was given, checked and with its defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durable_trio._protocol.value_class import frozen_dataclass as dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio.config import CheckpointingMode, ReplayLogging
    from durable_trio.plugins import PluginFactory
    from durable_trio.serdes import SerDes


@dataclass(frozen=True, slots=True)
class HandlerOptions:
    """The options of one handler."""

    serdes: SerDes
    """For operations without a serializer of their own."""
    handler_serdes: SerDes
    """For the handler's input and result."""
    input_serdes: SerDes | None
    """For the input alone, where its type is known; None: *handler_serdes*."""
    replay_logging: ReplayLogging
    checkpointing: CheckpointingMode
    deadline_margin_seconds: float | None
    """How long before the end of its time an invocation is brought to rest; None: a fifth, at most 5 seconds."""
    inline_wait_seconds: float
    """A timer that is due within this long is waited for in the same invocation."""
    on_error: Callable[[Exception], None] | None
    """Told about the exception that fails the execution."""
    plugins: tuple[PluginFactory, ...] = ()
    """Make the plugins of each invocation, besides those that the environment names."""
    logger: Any = None
    """What ``ctx.logger`` and the runtime log with; None for lines on standard output."""
