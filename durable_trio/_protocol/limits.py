"""The service's limits, each stated once.

Sources: botocore's Lambda service model (``lambda/2015-03-31``) for member lengths and ranges;
AWS's SDKs for the size of a checkpoint request and the size from which a context's children are replayed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

# One checkpoint request (SDK side: the service model gives no count).
MAX_UPDATES_PER_CHECKPOINT: Final = 250
MAX_CHECKPOINT_BYTES: Final = 768_000

# One update.
MAX_PAYLOAD_BYTES: Final = 6_291_456
MAX_ERROR_BYTES: Final = 32_768
MAX_CALLBACK_RESULT_BYTES: Final = 1_048_576

# A function's response: 6 MiB minus headroom for the envelope.
MAX_RESPONSE_BYTES: Final = 6 * 1024 * 1024 - 50

# A context's result above this is not stored; its children are replayed instead.
MAX_CONTEXT_RESULT_BYTES: Final = 262_144

MIN_DELAY_SECONDS: Final = 1
MAX_DELAY_SECONDS: Final = 31_622_400
MAX_CALLBACK_TIMEOUT_SECONDS: Final = 99_999_999
MIN_EXECUTION_TIMEOUT_SECONDS: Final = 1
MAX_EXECUTION_TIMEOUT_SECONDS: Final = 31_622_400

DEFAULT_PAGE_SIZE: Final = 100
MAX_PAGE_SIZE: Final = 1_000

CLIENT_TOKEN_WINDOW_SECONDS: Final = 15 * 60

MAX_NAME_LENGTH: Final = 256
MAX_TENANT_ID_LENGTH: Final = 256
MAX_PAUSE_REASON_LENGTH: Final = 1_024
MAX_TOKEN_LENGTH: Final = 2_048

# Each becomes a pattern of that name with its first use: compiling all of them would be a millisecond of a cold start.
_PATTERNS: Final = {
    "OPERATION_ID": r"[a-zA-Z0-9\-_]{1,64}",
    "NAME": r"[\x20-\x7E]{1,256}",
    "SUB_TYPE": r"[a-zA-Z0-9\-_]{1,32}",
    "EXECUTION_NAME": r"[a-zA-Z0-9\-_]{1,64}",
    "TENANT_ID": r"[a-zA-Z0-9._:/=+\-@ ]{1,256}",
    "CLIENT_TOKEN": r"[\x21-\x7E]{1,64}",
    "CALLBACK_ID": r"[A-Za-z0-9+/]+={0,2}",
    "CHECKPOINT_TOKEN": r"[A-Za-z0-9+/]+={0,2}",
    "EXECUTION_ARN": (
        r"arn:[a-z0-9-]+:lambda:(?P<region>[a-z0-9-]+):(?P<account>\d{12})"
        r":function:(?P<function>[a-zA-Z0-9\-_]+):(?P<version>\$LATEST(?:\.PUBLISHED)?|\d+)"
        r"/durable-execution/(?P<name>[a-zA-Z0-9\-_]{1,64})/(?P<id>[a-zA-Z0-9\-_]+)"
    ),
}

if TYPE_CHECKING:
    OPERATION_ID: re.Pattern[str]
    NAME: re.Pattern[str]
    SUB_TYPE: re.Pattern[str]
    EXECUTION_NAME: re.Pattern[str]
    TENANT_ID: re.Pattern[str]
    CLIENT_TOKEN: re.Pattern[str]
    CALLBACK_ID: re.Pattern[str]
    CHECKPOINT_TOKEN: re.Pattern[str]
    EXECUTION_ARN: re.Pattern[str]
else:

    def __getattr__(name: str) -> re.Pattern[str]:
        if name not in _PATTERNS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        pattern = globals()[name] = re.compile(_PATTERNS[name])
        return pattern


def is_operation_name(text: str) -> bool:
    """Tell whether *text* may name an operation: 1 to 256 printable ASCII characters."""
    return 0 < len(text) <= MAX_NAME_LENGTH and text.isascii() and text.isprintable()
