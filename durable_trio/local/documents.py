"""Executions as the JSON shapes of AWS's API, for the HTTP endpoint and for the command line alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durable_trio._protocol.wire import Dialect, encode_error, encode_instant

if TYPE_CHECKING:
    from durable_trio.local.logs import LogLine
    from durable_trio.local.views import ExecutionDescription, ExecutionSummary, PauseDetails


def summary_document(execution: ExecutionSummary) -> dict[str, Any]:
    """Return an execution as an item of ListDurableExecutionsByFunction."""
    wire: dict[str, Any] = {
        "DurableExecutionArn": execution.arn,
        "DurableExecutionName": execution.name,
        # The model lets it be with or without the version; which one is meant is in the execution's own ARN.
        "FunctionArn": execution.function_arn.removesuffix(f":{execution.version}"),
        "Status": execution.status.value,
        "StartTimestamp": encode_instant(execution.started_at, Dialect.API),
    }
    if execution.ended_at is not None:
        wire["EndTimestamp"] = encode_instant(execution.ended_at, Dialect.API)
    return wire


def description_document(execution: ExecutionDescription, *, include_data: bool = True) -> dict[str, Any]:
    """Return an execution as GetDurableExecution answers it."""
    wire = summary_document(execution)
    wire["Version"] = execution.version
    wire["ExecutionDataIncluded"] = include_data
    if include_data:
        wire["InputPayload"] = execution.input_payload
        if execution.result is not None:
            wire["Result"] = execution.result
        if execution.error is not None:
            wire["Error"] = encode_error(execution.error)
    wire["DurableConfig"] = {
        "ExecutionTimeout": execution.execution_timeout_seconds,
        "RetentionPeriodInDays": execution.retention_days,
    }
    if execution.pause is not None:
        wire["PauseDetails"] = _pause_document(execution.pause)
    if execution.expected_timeout_at is not None:
        wire["ExpectedExecutionTimeoutTimestamp"] = encode_instant(execution.expected_timeout_at, Dialect.API)
    return wire


def _pause_document(pause: PauseDetails) -> dict[str, Any]:
    wire: dict[str, Any] = {
        "PauseRequestTimestamp": encode_instant(pause.requested_at, Dialect.API),
        "ExecutionTimeoutPaused": pause.is_timeout_paused,
    }
    if pause.reason is not None:
        wire["Reason"] = pause.reason
    return wire


def log_line_document(line: LogLine) -> dict[str, Any]:
    """Return a line of an execution's log. AWS has no such shape; this one is ours."""
    wire: dict[str, Any] = {"Timestamp": encode_instant(line.at, Dialect.API), "Text": line.text}
    if line.request_id is not None:
        wire["RequestId"] = line.request_id
    if line.function_name is not None:
        wire["FunctionName"] = line.function_name
    return wire
