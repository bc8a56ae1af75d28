"""durable_trio: durable functions in async Python, built on Trio.

An SDK and runtime for AWS Lambda durable functions. Start with ``durable_execution`` and ``DurableContext``.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from durable_trio._protocol.operation import ErrorObject, OperationStatus, OperationType
    from durable_trio._runtime.callback import Callback
    from durable_trio._runtime.context import DurableContext
    from durable_trio._runtime.durable_deadline import DurableDeadline
    from durable_trio._runtime.nursery import DurableNursery
    from durable_trio._runtime.nursery_handle import NurseryHandle
    from durable_trio._runtime.operation import Operation
    from durable_trio._runtime.safe_values import timestamp_from_execution
    from durable_trio._runtime.saga import Saga
    from durable_trio._runtime.saga_report import Compensation, CompensationReport
    from durable_trio._runtime.shield import Shield
    from durable_trio.batch import (
        BatchItem,
        BatchItemStatus,
        BatchProgress,
        BatchResult,
        CompletionReason,
        map_summary,
        parallel_summary,
    )
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

__all__ = [
    "BatchItem",
    "BatchItemStatus",
    "BatchProgress",
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
    "map_summary",
    "no_retry",
    "overflow_to_files",
    "parallel_summary",
    "pass_through",
    "set_default_serdes",
    "staged",
    "timestamp_from_execution",
    "uuid_from_operation",
]

# A name is loaded with its first use: a cold start pays for what the function needs, and pytest, which loads our
# plugin wherever it is installed, for nothing.
_HOMES = {
    "_protocol.operation": "ErrorObject OperationStatus OperationType",
    "_runtime.callback": "Callback",
    "_runtime.context": "DurableContext",
    "_runtime.durable_deadline": "DurableDeadline",
    "_runtime.nursery": "DurableNursery",
    "_runtime.nursery_handle": "NurseryHandle",
    "_runtime.operation": "Operation",
    "_runtime.safe_values": "timestamp_from_execution",
    "_runtime.saga": "Saga",
    "_runtime.saga_report": "Compensation CompensationReport",
    "_runtime.shield": "Shield",
    "batch": "BatchItem BatchItemStatus BatchProgress BatchResult CompletionReason map_summary parallel_summary",
    "clients": "CheckpointResponse ServiceClient StatePage",
    "conditions": "WaitDecision WaitStrategy exponential_polling",
    "config": "Branch CallbackConfig CheckpointingMode ChildConfig CompletionConfig InvokeConfig ItemBatcher MapConfig NestingType ParallelConfig ReplayLogging StepConfig StepSemantics WaitForCallbackConfig WaitForConditionConfig",
    "durable_errors": "durable_error",
    "duration": "Duration",
    "exceptions": "CallbackError CallbackExternalError CallbackSubmitterError CallbackTimeoutError CheckpointError ChildContextError CompensationError ConfigurationError ContextUseError DurableError DurableTimeoutError ExecutionError GetStateError InvalidTokenError InvocationError InvokeError MapError NonDeterministicExecutionError OperationCancelledError OperationError RetryableSerDesError SerDesError ServiceError SizeLimitError StepError StepInterruptedError StepTimeoutError ThrottlingError ValidationError WaitForConditionError",
    "handler": "DurableHandler durable_execution",
    "identifiers": "CallbackId ExecutionArn OperationId uuid_from_operation",
    "restarts": "RestartIntensity",
    "retries": "Jitter RetryPresets RetryStrategy exponential_backoff fixed_delay linear_backoff no_retry",
    "serdes": "SerDes SerdesContext Stage aws_python_serdes cbor_serdes compression_stage custom_serdes encryption_stage json_serdes overflow_to_files pass_through set_default_serdes staged",
    "settled": "Outcome",
    "step_context": "StepContext current_step",
}


if not TYPE_CHECKING:  # type checkers would take any name for one that exists

    def __getattr__(name: str) -> object:
        from importlib import import_module

        for home, names in _HOMES.items():
            if name in names.split():
                value = globals()[name] = getattr(import_module(f"durable_trio.{home}"), name)
                return value
        if name in _HOMES:
            return import_module(f"durable_trio.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
