"""How a failed attempt of a retried block is written: its error, and what was decided about it.

An attempt is a child context. Whether there is to be another one, and after which delay, is decided once, when it
fails, and recorded with its failure, in the ErrorData:

    {"retryAfterSeconds": 5, "data": <the error's own data, if it has any>}

``null`` for the delay means that the retry strategy (or the budget of restarts) gave up. So there is no moment in
which a crash could separate the failure from the decision, and a replay never asks a strategy again. The decision
must survive when an error is too big to record: then the stack goes first, then the error's own data, then the end
of the message.

Running executions store this form. Treat it as a file format.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from durable_trio._protocol import limits
from durable_trio._protocol.value_class import replace
from durable_trio._protocol.wire import encode_error

if TYPE_CHECKING:
    from durable_trio._protocol.operation import ErrorObject

_ELLIPSIS: Final = " ... [cut]"
# A character takes at most 12 bytes as escaped JSON, so this much of a message fits, whatever is in it.
_SHORT_MESSAGE: Final = limits.MAX_ERROR_BYTES // 16
_SHORT_TYPE: Final = 256


def encode_failed_attempt(error: ErrorObject, retry_after_seconds: int | None) -> ErrorObject:
    """Return what is recorded of an attempt that failed with *error*; None for the delay gives up."""

    def decided(error: ErrorObject) -> ErrorObject:
        decision: dict[str, object] = {"retryAfterSeconds": retry_after_seconds}
        if error.data is not None:
            decision["data"] = error.data
        return replace(error, data=json.dumps(decision))

    bare = replace(error, stack=(), data=None)
    for candidate in (error, replace(error, stack=()), bare):
        recorded = decided(candidate)
        if len(json.dumps(encode_error(recorded))) <= limits.MAX_ERROR_BYTES:
            return recorded
    message = (error.message or "")[:_SHORT_MESSAGE] + _ELLIPSIS
    return decided(replace(bare, message=message, type=(error.type or "")[:_SHORT_TYPE]))


def decode_failed_attempt(recorded: ErrorObject | None) -> tuple[ErrorObject | None, int | None]:
    """Return the error of an attempt, and after how many seconds there is another one; None: there is none.

    A record that does not say so gives up.
    """
    try:
        decision = json.loads((recorded.data if recorded else None) or "")
        delay, data = decision["retryAfterSeconds"], decision.get("data")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return recorded, None
    if recorded is None or not (data is None or isinstance(data, str)):
        return recorded, None
    error = replace(recorded, data=data)
    if type(delay) is not int or not limits.MIN_DELAY_SECONDS <= delay <= limits.MAX_DELAY_SECONDS:
        return error, None
    return error, delay
