"""durable_trio: durable functions in async Python, built on Trio.

An SDK and runtime for AWS Lambda durable functions. Start with ``durable_execution`` and ``DurableContext``.
"""

from typing import TYPE_CHECKING, Any

from durable_trio._protocol.operation import ErrorObject, OperationStatus, OperationType
from durable_trio._runtime.callback import Callback
from durable_trio._runtime.context import DurableContext
from durable_trio._runtime.operation import Operation
from durable_trio._runtime.safe_values import timestamp_from_execution
from durable_trio.batch import BatchItem, BatchItemStatus, BatchResult, CompletionReason
from durable_trio.clients import CheckpointResponse, ServiceClient, StatePage
from durable_trio.conditions import WaitDecision, WaitStrategy, exponential_polling
from durable_trio.config import (
    Branch,
    CallbackConfig,
    CheckpointingMode,
    ChildConfig,
    CompletionConfig,
    InvokeConfig,
    ItemBatcher,
    MapConfig,
    NestingType,
    ParallelConfig,
    ReplayLogging,
    StepConfig,
    StepSemantics,
    WaitForCallbackConfig,
    WaitForConditionConfig,
)
from durable_trio.durable_errors import durable_error
from durable_trio.duration import Duration
from durable_trio.exceptions import (
    CallbackError,
    CallbackExternalError,
    CallbackSubmitterError,
    CallbackTimeoutError,
    CheckpointError,
    ChildContextError,
    CompensationError,
    ConfigurationError,
    ContextUseError,
    DurableError,
    DurableTimeoutError,
    ExecutionError,
    GetStateError,
    InvalidTokenError,
    InvocationError,
    InvokeError,
    MapError,
    NonDeterministicExecutionError,
    OperationCancelledError,
    OperationError,
    RetryableSerDesError,
    SerDesError,
    ServiceError,
    SizeLimitError,
    StepError,
    StepInterruptedError,
    StepTimeoutError,
    ThrottlingError,
    ValidationError,
    WaitForConditionError,
)
from durable_trio.handler import DurableHandler, durable_execution
from durable_trio.identifiers import CallbackId, ExecutionArn, OperationId, uuid_from_operation
from durable_trio.restarts import RestartIntensity
from durable_trio.retries import (
    Jitter,
    RetryPresets,
    RetryStrategy,
    exponential_backoff,
    fixed_delay,
    linear_backoff,
    no_retry,
)
from durable_trio.serdes import (
    SerDes,
    SerdesContext,
    Stage,
    aws_python_serdes,
    cbor_serdes,
    compression_stage,
    custom_serdes,
    encryption_stage,
    json_serdes,
    overflow_to_files,
    pass_through,
    set_default_serdes,
    staged,
)
from durable_trio.settled import Outcome
from durable_trio.step_context import StepContext, current_step

if TYPE_CHECKING:
    from durable_trio._runtime.durable_deadline import DurableDeadline
    from durable_trio._runtime.nursery import DurableNursery
    from durable_trio._runtime.nursery_handle import NurseryHandle
    from durable_trio._runtime.saga import Saga
    from durable_trio._runtime.saga_report import Compensation, CompensationReport
    from durable_trio._runtime.shield import Shield

__all__ = [
    "BatchItem",
    "BatchItemStatus",
    "BatchResult",
    "Branch",
    "Callback",
    "CallbackConfig",
    "CallbackError",
    "CallbackExternalError",
    "CallbackId",
    "CallbackSubmitterError",
    "CallbackTimeoutError",
    "CheckpointError",
    "CheckpointResponse",
    "CheckpointingMode",
    "ChildConfig",
    "ChildContextError",
    "Compensation",
    "CompensationError",
    "CompensationReport",
    "CompletionConfig",
    "CompletionReason",
    "ConfigurationError",
    "ContextUseError",
    "DurableContext",
    "DurableDeadline",
    "DurableError",
    "DurableHandler",
    "DurableNursery",
    "DurableTimeoutError",
    "Duration",
    "ErrorObject",
    "ExecutionArn",
    "ExecutionError",
    "GetStateError",
    "InvalidTokenError",
    "InvocationError",
    "InvokeConfig",
    "InvokeError",
    "ItemBatcher",
    "Jitter",
    "MapConfig",
    "MapError",
    "NestingType",
    "NonDeterministicExecutionError",
    "NurseryHandle",
    "Operation",
    "OperationCancelledError",
    "OperationError",
    "OperationId",
    "OperationStatus",
    "OperationType",
    "Outcome",
    "ParallelConfig",
    "ReplayLogging",
    "RestartIntensity",
    "RetryPresets",
    "RetryStrategy",
    "RetryableSerDesError",
    "Saga",
    "SerDes",
    "SerDesError",
    "SerdesContext",
    "ServiceClient",
    "ServiceError",
    "Shield",
    "SizeLimitError",
    "Stage",
    "StatePage",
    "StepConfig",
    "StepContext",
    "StepError",
    "StepInterruptedError",
    "StepSemantics",
    "StepTimeoutError",
    "ThrottlingError",
    "ValidationError",
    "WaitDecision",
    "WaitForCallbackConfig",
    "WaitForConditionConfig",
    "WaitForConditionError",
    "WaitStrategy",
    "aws_python_serdes",
    "cbor_serdes",
    "compression_stage",
    "current_step",
    "custom_serdes",
    "durable_error",
    "durable_execution",
    "encryption_stage",
    "exponential_backoff",
    "exponential_polling",
    "fixed_delay",
    "json_serdes",
    "linear_backoff",
    "no_retry",
    "overflow_to_files",
    "pass_through",
    "set_default_serdes",
    "staged",
    "timestamp_from_execution",
    "uuid_from_operation",
]

# What ``ctx`` gives to ``async with``: loaded with its first use, since importing the SDK is part of a cold start.
_ON_DEMAND = {
    "Compensation": "saga_report",
    "CompensationReport": "saga_report",
    "DurableDeadline": "durable_deadline",
    "DurableNursery": "nursery",
    "NurseryHandle": "nursery_handle",
    "Saga": "saga",
    "Shield": "shield",
}


def __getattr__(name: str) -> Any:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"durable_trio._runtime.{_ON_DEMAND[name]}"), name)
