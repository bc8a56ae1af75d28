"""The invocation envelope: what a durable function is called with, and what it may answer.

The service calls a function with the execution's ARN, a checkpoint token and the first page of the
execution's state. The function answers one of three: SUCCEEDED with a result, FAILED with an error, PENDING.
Raising is not an answer: the service takes it for a crash and invokes again.

A response larger than Lambda allows is not returned: the result is checkpointed as an update of the
EXECUTION operation first, and the response is then SUCCEEDED with an empty result. What is measured is the
encoded response, since quotes and non-ASCII characters take more room in it than in the text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from durable_trio._protocol import limits
from durable_trio._protocol.value_class import frozen_dataclass as dataclass
from durable_trio._protocol.wire import (
    Dialect,
    WireError,
    decode_error,
    decode_operation,
    encode_error,
    encode_operation,
)

if TYPE_CHECKING:
    from durable_trio._protocol.operation import ErrorObject, OperationRecord


class NotDurableError(ValueError):
    """The event is not a durable invocation."""


@dataclass(frozen=True, slots=True)
class InvocationInput:
    """What a durable function is called with."""

    durable_execution_arn: str
    checkpoint_token: str
    operations: tuple[OperationRecord, ...]
    next_marker: str = ""
    updated_operation_ids: frozenset[str] = frozenset()

    @property
    def execution_id(self) -> str:
        """The id of the EXECUTION operation: the last segment of the ARN."""
        return self.durable_execution_arn.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The execution is over; *result* is the text of its value (empty: it was checkpointed before)."""

    result: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The execution is over; no *error* means that it was checkpointed before."""

    error: ErrorObject | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """The execution is suspended; something the service watches will wake it."""


Outcome: TypeAlias = Succeeded | Failed | Pending

_ENVELOPE_KEYS: Final = ("DurableExecutionArn", "CheckpointToken", "InitialExecutionState")


def decode_invocation(event: object) -> InvocationInput:
    """Read the event of a durable invocation.

    Raises:
        NotDurableError: the event is not an envelope; the function was invoked without a DurableConfig.
        WireError: it is one, but a member is malformed.
    """
    if not isinstance(event, Mapping) or any(key not in event for key in _ENVELOPE_KEYS):
        missing = (
            f"it lacks {', '.join(key for key in _ENVELOPE_KEYS if key not in event)}"
            if isinstance(event, Mapping)
            else f"it is a {type(event).__name__}"
        )
        raise NotDurableError(
            f"this is not a durable invocation: {missing}. The function was invoked without a DurableConfig; "
            "create the function with one, and invoke a published version, an alias or $LATEST by qualifier."
        )
    state = event["InitialExecutionState"]
    if not isinstance(state, Mapping):
        raise WireError("InitialExecutionState must be an object")
    for key in ("DurableExecutionArn", "CheckpointToken"):
        if not isinstance(event[key], str) or not event[key]:
            raise WireError(f"{key} must be a string that is not empty")
    operations, updated = state.get("Operations"), event.get("UpdatedOperationIds")
    if operations is not None and not isinstance(operations, list):
        raise WireError("InitialExecutionState.Operations must be a list")
    marker = state.get("NextMarker")
    if marker is not None and not isinstance(marker, str):
        raise WireError("InitialExecutionState.NextMarker must be a string")
    if updated is not None and not (
        isinstance(updated, list) and all(isinstance(id_, str) for id_ in updated)
    ):
        raise WireError("UpdatedOperationIds must be a list of strings")
    return InvocationInput(
        durable_execution_arn=event["DurableExecutionArn"],
        checkpoint_token=event["CheckpointToken"],
        operations=tuple(decode_operation(operation, Dialect.EVENT) for operation in operations or ()),
        next_marker=marker or "",
        updated_operation_ids=frozenset(updated or ()),
    )


def encode_invocation(invocation: InvocationInput) -> dict[str, Any]:
    """Write the event of a durable invocation."""
    return {
        "DurableExecutionArn": invocation.durable_execution_arn,
        "CheckpointToken": invocation.checkpoint_token,
        "InitialExecutionState": {
            "Operations": [encode_operation(record, Dialect.EVENT) for record in invocation.operations],
            "NextMarker": invocation.next_marker,
        },
        "UpdatedOperationIds": sorted(invocation.updated_operation_ids),
    }


def encode_outcome(outcome: Outcome) -> dict[str, Any]:
    """Write a function's answer."""
    match outcome:
        case Succeeded(result):
            return {"Status": "SUCCEEDED", "Result": result}
        case Failed(error):
            return (
                {"Status": "FAILED"} if error is None else {"Status": "FAILED", "Error": encode_error(error)}
            )
        case Pending():
            return {"Status": "PENDING"}


def decode_outcome(response: object) -> Outcome:
    """Read a function's answer as strictly as the service does.

    Raises:
        WireError: it is none of the three answers, or has members that do not go with its status.
    """
    if not isinstance(response, Mapping):
        raise WireError(f"a durable function answers an object, not {type(response).__name__}")
    match response.get("Status"):
        case "SUCCEEDED":
            if response.get("Error") is not None:
                raise WireError("an answer with Status SUCCEEDED must not have an Error")
            result = response.get("Result")
            if result is not None and not isinstance(result, str):
                raise WireError(f"Result must be a string, not {type(result).__name__}")
            return Succeeded(result or "")
        case "FAILED":
            if response.get("Result") is not None:
                raise WireError("an answer with Status FAILED must not have a Result")
            return Failed(decode_error(response.get("Error")))
        case "PENDING":
            return Pending()
        case other:
            raise WireError(f"Status must be SUCCEEDED, FAILED or PENDING, not {other!r}")


def response_fits(outcome: Outcome) -> bool:
    """Tell whether the encoded response is within what Lambda lets a function return."""
    return len(json.dumps(encode_outcome(outcome)).encode()) <= limits.MAX_RESPONSE_BYTES
