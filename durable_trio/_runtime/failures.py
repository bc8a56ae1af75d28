"""From exceptions to recorded errors, and back to exceptions.

What is recorded is text: the *original* type name, the message, data and a trimmed stack. What is raised is
built from that text, on the first run as on every replay, so the two cannot differ: code that catches a
``StepError`` sees the same attributes whenever it runs. For the same reason the live exception is not kept as
``__cause__``: on replay it is gone, and a program that looked at it would take another way. The recorded
stack is attached as an exception note, for people.

Classes that are ours and mean something to the catcher (a timed-out step, a callback's error) are recorded in
the error's type or data and rebuilt from a closed table.
"""

from __future__ import annotations

import json
import traceback
from typing import TYPE_CHECKING, Any, Final, TypeVar

from durable_trio._protocol import limits
from durable_trio._protocol.operation import ErrorObject
from durable_trio._protocol.wire import encode_error
from durable_trio.durable_errors import encode_arguments, rebuild
from durable_trio.exceptions import (
    CallbackError,
    CallbackExternalError,
    CallbackSubmitterError,
    CallbackTimeoutError,
    ContextUseError,
    ExecutionError,
    InvocationError,
    NonDeterministicExecutionError,
    OperationError,
    RetryableSerDesError,
    SerDesError,
    ServiceError,
    SizeLimitError,
    StepError,
    StepInterruptedError,
    StepTimeoutError,
)

if TYPE_CHECKING:
    from durable_trio._protocol.replay import Identity

OperationErrorT = TypeVar("OperationErrorT", bound=OperationError)

_MAX_FRAMES: Final = 20
_ELLIPSIS: Final = " ... [cut]"
_AWS_MODULE: Final = "aws_durable_execution_sdk_python.exceptions."

# Recorded by their own names, and raised as themselves.
_OWN_STEP_ERRORS: Final[dict[str, type[StepError]]] = {
    cls.__name__: cls for cls in (StepTimeoutError, StepInterruptedError)
}
_OWN_CALLBACK_ERRORS: Final[dict[str, type[CallbackError]]] = {
    cls.__name__: cls
    for cls in (CallbackError, CallbackExternalError, CallbackTimeoutError, CallbackSubmitterError)
}


NEVER_RETRIED: Final = (SerDesError, SizeLimitError, ContextUseError)
"""Trying again cannot help: the value or the program is at fault."""


def is_fatal(error: BaseException) -> bool:
    """Tell whether *error* ends the invocation or the execution as it is: no context records it as its own."""
    if isinstance(error, SizeLimitError):
        return False
    if isinstance(error, ContextUseError):
        return error.ends_execution
    return isinstance(
        error,
        (
            NonDeterministicExecutionError,
            InvocationError,
            ExecutionError,
            RetryableSerDesError,
            ServiceError,
        ),
    )


# --- recording -------------------------------------------------------------------------------------------


def error_object(error: BaseException) -> ErrorObject:
    """Return what is recorded of *error*, within the service's size limit.

    An operation's error that leaves the context around it is recorded as what caused it: the original type
    and data travel outwards.

    Raises:
        SerDesError: the arguments of a registered error cannot be recorded.
    """
    if isinstance(error, OperationError):
        return fitted(
            ErrorObject(message=error.message, type=error.error_type, data=error.data, stack=error.stack)
        )
    return fitted(
        ErrorObject(
            message=_message(error),
            type=_type_name(error),
            data=_data(error),
            stack=_stack(error),
        )
    )


def _type_name(error: BaseException) -> str:
    # The name under which groups are recorded does not depend on what is in them.
    return "ExceptionGroup" if isinstance(error, BaseExceptionGroup) else type(error).__name__


def _message(error: BaseException) -> str:
    return error.message if isinstance(error, BaseExceptionGroup) else str(error)


def _data(error: BaseException) -> str | None:
    if isinstance(error, BaseExceptionGroup):
        return json.dumps([encode_error(error_object(leaf)) for leaf in _leaves(error)])
    return encode_arguments(error)


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves


def _stack(error: BaseException) -> tuple[str, ...]:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [
        f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames if not _is_ours(frame.filename)
    ]
    return tuple(lines[-_MAX_FRAMES:])


def _is_ours(filename: str) -> bool:
    # The machinery between the handler and the user's function says nothing about the failure.
    return any(part in filename for part in ("/durable_trio/_runtime/", "/trio/_", "/outcome/_", "<frozen"))


def fitted(error: ErrorObject) -> ErrorObject:
    """Cut *error* down to what the service takes: first its stack, then its data, then its message."""
    if _encoded_bytes(error) <= limits.MAX_ERROR_BYTES:
        return error
    error = ErrorObject(message=error.message, type=error.type, data=error.data)
    if _encoded_bytes(error) <= limits.MAX_ERROR_BYTES:
        return error
    error = ErrorObject(message=error.message, type=error.type)
    message = (error.message or "")[: limits.MAX_ERROR_BYTES]  # a character takes at least a byte
    while _encoded_bytes(error) > limits.MAX_ERROR_BYTES:
        message = message[: len(message) * 3 // 4]
        error = ErrorObject(message=message + _ELLIPSIS, type=(error.type or "")[:256])
    return error


def _encoded_bytes(error: ErrorObject) -> int:
    return len(json.dumps(encode_error(error)))


def callback_error_object(error: CallbackError) -> ErrorObject:
    """Return what ``wait_for_callback`` records of a callback's error, to raise the same class on replay."""
    # The type of an external failure is the outside world's, so our class needs a place of its own.
    data = json.dumps({"errorType": error.error_type, "data": error.data})
    return fitted(ErrorObject(message=error.message, type=type(error).__name__, data=data))


def recorded_callback_error(recorded: ErrorObject | None, identity: Identity) -> Exception:
    """Return the exception that a recorded failure of ``wait_for_callback`` raises."""
    callback = _OWN_CALLBACK_ERRORS.get(_own_name(recorded))
    if callback is None or recorded is None:
        return recorded_error(recorded, CallbackError, identity)
    original = _original(recorded)
    return callback.from_recorded(original, operation_id=identity.id, name=identity.name)


def _original(recorded: ErrorObject) -> ErrorObject:
    """Return what ``callback_error_object`` was given; a record that is not its own, as it is."""
    try:
        data = json.loads(recorded.data or "null")
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict) or set(data) != {"errorType", "data"}:
        return recorded
    type_, text = data["errorType"], data["data"]
    if not isinstance(type_, str) or not (text is None or isinstance(text, str)):
        return recorded
    return ErrorObject(recorded.message, type_, text)


def _own_name(recorded: ErrorObject | None) -> str:
    # AWS's Python SDK has the same names, with its module in front.
    return ((recorded.type if recorded else None) or "").removeprefix(_AWS_MODULE)


# --- raising ---------------------------------------------------------------------------------------------


def recorded_error(
    recorded: ErrorObject | None, default: type[OperationErrorT], identity: Identity
) -> Exception:
    """Return the exception that a recorded failure raises.

    It is the user's registered class if it is the record of one, one of ours that has a meaning of its own,
    or else *default*.
    """
    error = _rebuilt(recorded or ErrorObject(), default, identity)
    if isinstance(error, OperationError):
        _annotate(error, default)
    return error


def _rebuilt(recorded: ErrorObject, default: type[OperationErrorT], identity: Identity) -> Exception:
    registered = rebuild(recorded)
    if registered is not None:
        return registered
    cls: type[OperationError] = default
    if issubclass(default, StepError):
        cls = _OWN_STEP_ERRORS.get(_own_name(recorded), default)
    return cls.from_recorded(recorded, operation_id=identity.id, name=identity.name)


def _annotate(error: OperationError, default: type[OperationError]) -> None:
    what = default.__name__.removesuffix("Error")
    where = error.operation_name or error.operation_id
    error.add_note(f"{what} {where!r} failed with {error.error_type}: {error.message}")
    for line in error.stack:
        error.add_note(f"  {line}")
