"""Values that look random but are the same on every replay.

``uuid()`` and ``random()`` are functions of the execution's ARN, the context's namespace and a counter in it.
The hash is keyed, so that no such value can ever equal an operation's id or give one away.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import uuid

    from durable_trio._runtime.context import DurableContext
    from durable_trio._runtime.node import ContextNode


def _digest(node: ContextNode, kind: bytes, size: int) -> bytes:
    place = f"{node.invocation.state.durable_execution_arn}|{node.prefix or ''}|{node.next_safe_value()}"
    return blake2b(place.encode(), digest_size=size, key=b"durable_trio", person=kind).digest()


def safe_uuid(node: ContextNode) -> uuid.UUID:
    """Return the next replay-safe UUID of *node*: version 4 in form."""
    import uuid

    return uuid.UUID(bytes=_digest(node, b"uuid", 16), version=4)


def safe_random(node: ContextNode) -> random.Random:
    """Return the next replay-safe generator of *node*."""
    return random.Random(int.from_bytes(_digest(node, b"random", 32), "big"))  # noqa: S311  # repeatable on purpose


def timestamp_from_execution(ctx: DurableContext) -> datetime:
    """Return when the execution of *ctx* started, by the service's record, in UTC with milliseconds.

    The same on every replay and in every context of the execution; ``ctx.now()`` moves on with its operations.
    """
    execution = ctx._node.invocation.state.execution
    at = execution.started_at if execution is not None else 0
    return datetime.fromtimestamp(at // 1000, UTC) + timedelta(milliseconds=at % 1000)
