"""How queued updates are packed into checkpoint requests.

A request holds at most 250 updates and 768,000 bytes, counted as they are encoded: characters say nothing
about size, since JSON escapes quotes, control characters and everything that is not ASCII. Order is the
order of queueing and is never changed: a parent's START precedes its children, a verdict precedes what
depends on it. An update that fits no request at all is refused before it is queued.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from durable_trio._protocol import limits
from durable_trio._protocol.operation import (
    CallbackOptions,
    ContextOptions,
    OperationAction,
    OperationType,
    OperationUpdate,
    StepOptions,
    WaitOptions,
)
from durable_trio._protocol.wire import encode_update

if TYPE_CHECKING:
    from collections import deque

# {"CheckpointToken": "...", "Updates": [], "ClientToken": "..."} with the longest token and client token.
_REQUEST_OVERHEAD: Final = (
    len(json.dumps({"CheckpointToken": "", "Updates": [], "ClientToken": ""})) + limits.MAX_TOKEN_LENGTH + 64
)
_SEPARATOR: Final = len(", ")

MAX_UPDATE_BYTES: Final = limits.MAX_CHECKPOINT_BYTES - _REQUEST_OVERHEAD - _SEPARATOR
"""The largest encoded update that still fits a request."""

# Everything of a context's closing update but its payload: ids, a name of quotes, subtype, options, keys.
_LONGEST_IDENTITY: Final = 1_024
_MOST_BYTES_FOR_ONE: Final = len(json.dumps("\0")) - len('""')


class Sized(Protocol):
    """Anything that knows how many bytes it takes in a request."""

    @property
    def encoded_bytes(self) -> int:
        """Size in the encoded request, separator included."""
        ...


SizedT = TypeVar("SizedT", bound=Sized)


def encoded_bytes(update: OperationUpdate) -> int:
    """Return how many bytes *update* takes in an encoded request, its separator included.

    Of a small update some bytes too many are counted: its texts are measured as JSON writes them, and for what
    surrounds them the longest possible is taken. That is a tenth of the work of encoding it, and this is done
    for every update.
    """
    options = update.options
    if update.error is None and (options is None or type(options) in _SHORT_OPTIONS):
        size = _upper_bound(update)
        if size <= _SMALL:
            return size
    return len(json.dumps(encode_update(update))) + _SEPARATOR


def _upper_bound(update: OperationUpdate) -> int:
    size = _LONGEST_FRAME + len(update.id)
    if update.parent_id is not None:
        size += len(update.parent_id)
    if update.name is not None:
        size += len(_quoted(update.name))
    if update.sub_type is not None:
        size += len(_quoted(update.sub_type))
    if update.payload is not None:
        size += len(_quoted(update.payload))
    return size


_SMALL: Final = 10_000
"""Up to this size an update is worth measuring roughly: a request holds dozens of them."""

# Options that hold numbers only.
_SHORT_OPTIONS: Final = frozenset({ContextOptions, StepOptions, WaitOptions, CallbackOptions})
_quoted: Final = json.encoder.encode_basestring_ascii

_LONGEST_FRAME: Final = _SEPARATOR + max(
    len(
        json.dumps(
            encode_update(
                OperationUpdate(
                    "",
                    max(OperationType, key=len),
                    max(OperationAction, key=len),
                    "",
                    "",
                    "",
                    "",
                    None,
                    options,
                )
            )
        )
    )
    for options in (
        ContextOptions(replay_children=False),
        StepOptions(limits.MAX_DELAY_SECONDS),
        WaitOptions(limits.MAX_DELAY_SECONDS),
        CallbackOptions(limits.MAX_CALLBACK_TIMEOUT_SECONDS, limits.MAX_CALLBACK_TIMEOUT_SECONDS),
    )
)
"""The most that an update takes besides its texts."""


def is_result_stored(payload: str) -> bool:
    """Tell whether a context's result is stored as it is, or its children are replayed instead.

    It has at most 262,144 bytes and fits a request: JSON takes up to six bytes for one, so text of accents or
    control characters may be too big to send long before it is too big to store.
    """
    size = len(payload.encode())
    room = MAX_UPDATE_BYTES - _LONGEST_IDENTITY
    return size <= limits.MAX_CONTEXT_RESULT_BYTES and (
        size * _MOST_BYTES_FOR_ONE <= room or len(json.dumps(payload)) <= room
    )


def take_batch(queue: deque[SizedT], max_updates: int = limits.MAX_UPDATES_PER_CHECKPOINT) -> list[SizedT]:
    """Take from the left of *queue* what fits one request; at least one element, if there is any."""
    batch: list[SizedT] = []
    room = limits.MAX_CHECKPOINT_BYTES - _REQUEST_OVERHEAD
    while queue and len(batch) < max_updates:
        room -= queue[0].encoded_bytes
        if room < 0 and batch:
            break
        batch.append(queue.popleft())
    return batch
