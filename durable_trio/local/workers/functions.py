"""What there is to know about a function that runs in worker processes."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from durable_trio.exceptions import ValidationError
from durable_trio.local.workers.bootstrap import RUNTIMES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOG_FORMATS: Final = ("Text", "JSON")

# "Lambda quotas": an initialization may take 10 seconds. A slow machine that starts many workers may need more.
DEFAULT_INIT_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFunction:
    """A Lambda handler, and the process that it runs in.

    Attributes:
        name: the function's name.
        module, attribute: where the handler is: ``attribute`` is a name at the top level of ``module``.
        directory: comes first on the import path; also the process's working directory.
        python: the interpreter, by default this one. It may belong to another environment.
        environment: variables for the process, over all others.
        timeout_seconds: how long an invocation may take: what the process is told. The service enforces it.
        memory_limit_in_mb: what the process is told; nothing enforces it.
        max_workers: how many processes there are at most, 1 or more; the default is 10.
        init_seconds: how long a process may take until it asks for work, more than 0; the default is 60 (10 on
            Lambda).
        runtime: ``awslambdaric``, Lambda's own client; ``builtin``, a small one of ours; or ``auto``, the first
            if it is installed for *python*.
        log_format: ``Text`` or ``JSON``: what Lambda calls a function's log format.

    Raises:
        ValidationError: *max_workers*, *init_seconds*, *runtime* or *log_format* is out of range.
    """

    name: str
    module: str
    attribute: str
    directory: Path
    python: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float = 900.0
    memory_limit_in_mb: int = 128
    max_workers: int = 10
    init_seconds: float = DEFAULT_INIT_SECONDS
    runtime: str = "auto"
    log_format: str = "Text"

    def __post_init__(self) -> None:
        if self.max_workers < 1:
            raise ValidationError(f"max_workers must be at least 1, not {self.max_workers}")
        if not self.init_seconds > 0:
            raise ValidationError(f"init_seconds must be more than 0, not {self.init_seconds}")
        if self.runtime not in RUNTIMES:
            raise ValidationError(f"runtime must be one of {', '.join(RUNTIMES)}, not {self.runtime!r}")
        if self.log_format not in LOG_FORMATS:
            raise ValidationError(
                f"log_format must be one of {', '.join(LOG_FORMATS)}, not {self.log_format!r}"
            )
