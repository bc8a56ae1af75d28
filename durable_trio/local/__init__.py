"""A durable execution service on this machine, for development, tests and single-machine use.

``open_local_service`` runs one; see ``LocalService`` for what it can be asked. State lives in one SQLite file: a
``kill -9`` at any moment loses nothing that was acknowledged.
"""

from durable_trio._protocol.execution_status import (
    ExecutionStatus,
)
from durable_trio._protocol.history import EventDetails, EventType, HistoryEvent, encode_event
from durable_trio.local.calls import FunctionCall, FunctionError, PayloadTarget
from durable_trio.local.changes import (
    Change,
    ExecutionClosed,
    InvocationEnded,
    InvocationStarted,
    OperationChanged,
)
from durable_trio.local.client import LocalClient
from durable_trio.local.errors import (
    CallbackTimeout,
    DatabaseTooNew,
    DatabaseUnusable,
    ExecutionAlreadyStarted,
    ExecutionBusy,
    InvalidParameterValue,
    InvalidRequestContent,
    LocalServiceError,
    RequestTooLarge,
    ResourceConflict,
    ResourceNotFound,
    ServiceFailure,
    TooManyRequests,
)
from durable_trio.local.function_config import FunctionConfig, FunctionDescription
from durable_trio.local.functions import FunctionTarget, LocalLambdaContext, PlainTarget
from durable_trio.local.invoking import InvocationType, InvokeResult
from durable_trio.local.logs import LogLine
from durable_trio.local.opening import open_local_service
from durable_trio.local.service import LocalService
from durable_trio.local.settings import LocalSettings, Quotas, RetryPolicy
from durable_trio.local.views import ExecutionDescription, ExecutionSummary, Page, PauseDetails

__all__ = [
    "CallbackTimeout",
    "Change",
    "DatabaseTooNew",
    "DatabaseUnusable",
    "EventDetails",
    "EventType",
    "ExecutionAlreadyStarted",
    "ExecutionBusy",
    "ExecutionClosed",
    "ExecutionDescription",
    "ExecutionStatus",
    "ExecutionSummary",
    "FunctionCall",
    "FunctionConfig",
    "FunctionDescription",
    "FunctionError",
    "FunctionTarget",
    "HistoryEvent",
    "InvalidParameterValue",
    "InvalidRequestContent",
    "InvocationEnded",
    "InvocationStarted",
    "InvocationType",
    "InvokeResult",
    "LocalClient",
    "LocalLambdaContext",
    "LocalService",
    "LocalServiceError",
    "LocalSettings",
    "LogLine",
    "OperationChanged",
    "Page",
    "PauseDetails",
    "PayloadTarget",
    "PlainTarget",
    "Quotas",
    "RequestTooLarge",
    "ResourceConflict",
    "ResourceNotFound",
    "RetryPolicy",
    "ServiceFailure",
    "TooManyRequests",
    "encode_event",
    "open_local_service",
]
