"""Values that look random but are the same on every replay.

``uuid()`` and ``random()`` are functions of the execution's ARN, the context's namespace and a counter in it.
The hash is keyed, so that no such value can ever equal an operation's id or give one away.
"""

from __future__ import annotations

import random
import uuid
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from durable_trio._runtime.node import ContextNode


def _digest(node: ContextNode, kind: bytes, size: int) -> bytes:
    place = f"{node.invocation.state.durable_execution_arn}|{node.prefix or ''}|{node.next_safe_value()}"
    return blake2b(place.encode(), digest_size=size, key=b"durable_trio", person=kind).digest()


def safe_uuid(node: ContextNode) -> uuid.UUID:
    """Return the next replay-safe UUID of *node*: version 4 in form."""
    return uuid.UUID(bytes=_digest(node, b"uuid", 16), version=4)


def safe_random(node: ContextNode) -> random.Random:
    """Return the next replay-safe generator of *node*."""
    return random.Random(int.from_bytes(_digest(node, b"random", 32), "big"))  # noqa: S311  # repeatable on purpose
