"""A durable execution service on this machine, for development, tests and single-machine use.

``open_local_service`` runs one; see ``LocalService`` for what it can be asked. State lives in one SQLite file: a
``kill -9`` at any moment loses nothing that was acknowledged.
"""

from durable_trio._protocol.execution_status import (
    ExecutionStatus,
)
from durable_trio._protocol.history import EventDetails, EventType, HistoryEvent, encode_event
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
    LocalServiceError,
    ResourceConflict,
    ResourceNotFound,
    ServiceFailure,
)
from durable_trio.local.functions import FunctionTarget, LocalLambdaContext
from durable_trio.local.opening import open_local_service
from durable_trio.local.service import LocalService
from durable_trio.local.settings import LocalSettings, RetryPolicy
from durable_trio.local.views import ExecutionDescription, ExecutionSummary, Page

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
    "FunctionTarget",
    "HistoryEvent",
    "InvalidParameterValue",
    "InvocationEnded",
    "InvocationStarted",
    "LocalClient",
    "LocalLambdaContext",
    "LocalService",
    "LocalServiceError",
    "LocalSettings",
    "OperationChanged",
    "Page",
    "ResourceConflict",
    "ResourceNotFound",
    "RetryPolicy",
    "ServiceFailure",
    "encode_event",
    "open_local_service",
]
