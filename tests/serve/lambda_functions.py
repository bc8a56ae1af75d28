"""Handlers for worker processes. Nothing here but the standard library: workers of any interpreter run it."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

CALLS = 0


def answer(event: Any, context: Any) -> dict[str, Any]:
    """Tell what a handler can know."""
    global CALLS
    CALLS += 1
    return {
        "event": event,
        "calls": CALLS,
        "pid": os.getpid(),
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "name": context.function_name,
        "version": context.function_version,
        "memory": context.memory_limit_in_mb,
        "tenant": context.tenant_id,
        "custom": context.client_context.custom if context.client_context else None,
        "remaining": context.get_remaining_time_in_millis(),
        "client": "awslambdaric" if "awslambdaric" in sys.modules else "builtin",
        "stdin": sys.stdin.read(),
        "environment": {
            name: os.environ.get(name) for name in ("AWS_ENDPOINT_URL_LAMBDA", "STAGE", "AWS_EXECUTION_ENV")
        },
    }


def misbehave(event: Any, _context: Any) -> Any:
    """Do what the event says."""
    match event:
        case {"raise": message}:
            raise ValueError(message)
        case {"raise big": size}:
            raise ValueError("x" * size)
        case {"exit": code}:
            sys.exit(code)
        case {"die": code}:
            os._exit(code)
        case {"big": size}:
            return "x" * size
        case "not JSON":
            return object()
        case {"sleep": seconds, "touch": file}:
            Path(file).touch()
            time.sleep(seconds)
    return "well"


def talk(event: Any, context: Any) -> str:
    """Write to everything that a function may write to."""
    print("printed", event)
    print("to stderr", file=sys.stderr)
    logging.getLogger("app").warning("warned", extra={"order": event})
    os.write(1, b"one\ntwo, without an end")
    return "told"


def talk_later(_event: Any, _context: Any) -> str:
    """Go on printing after the answer."""

    def chatter() -> None:
        while True:
            print("still here")
            time.sleep(0.001)

    threading.Thread(target=chatter, daemon=True).start()
    return "told"
