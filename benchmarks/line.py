"""The line between a subject and the recording service: what boto3's client would be, with a latency."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.stub import Members, Service


class Line:
    """Where the calls of a subject go: another service for each execution, and how long a call takes."""

    def __init__(self, latency_seconds: float) -> None:
        self.latency_seconds = latency_seconds
        self.service = Service()


class BlockingClient:
    """boto3's Lambda client as far as an SDK that blocks a thread needs it."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def checkpoint_durable_execution(self, **request: Any) -> Members:
        """Make one checkpoint."""
        service = self._line.service
        service.receive(request)
        if self._line.latency_seconds:
            time.sleep(self._line.latency_seconds)
        return service.answer(request)

    def get_durable_execution_state(self, **request: Any) -> Members:
        """Read one page of the state."""
        if self._line.latency_seconds:
            time.sleep(self._line.latency_seconds)
        return self._line.service.page(request.get("Marker", ""), request.get("MaxItems", 1000))


class LambdaContext:
    """What Lambda passes to a handler beside the event."""

    aws_request_id = "00000000-0000-0000-0000-000000000000"
    function_name = "bench"
    function_version = "$LATEST"
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:bench:$LATEST"
    memory_limit_in_mb = "1024"
    log_group_name = "bench"
    log_stream_name = "bench"
    tenant_id = None
    client_context = None
    identity = None

    def get_remaining_time_in_millis(self) -> int:
        """Return the time that is left: a quarter of an hour, always."""
        return 900_000
