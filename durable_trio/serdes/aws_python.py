"""The serializer of executions that are shared with AWS's Python SDK; the form is in ``_protocol/aws_values.py``.

Given to a handler (``durable_execution(serdes=aws_python_serdes())``) it also decides how batches and the answers of
``wait_for_callback`` are stored, so that an execution begun by either SDK can be finished by the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from durable_trio._protocol import aws_values
from durable_trio._protocol.completion import BatchItemStatus, CompletionReason
from durable_trio._protocol.json_leaves import JsonValueError
from durable_trio._protocol.operation import ErrorObject
from durable_trio._protocol.wire import WireError, decode_error, encode_error
from durable_trio.batch import BatchItem, BatchResult
from durable_trio.durable_errors import encode_arguments, rebuild
from durable_trio.exceptions import ChildContextError, OperationError, SerDesError

if TYPE_CHECKING:
    from durable_trio.serdes.base import SerdesContext


class _Writer(aws_values.AwsWriter):
    __slots__ = ()

    def other(self, value: Any) -> dict[str, Any]:
        if type(value) is not BatchResult:
            return super().other(value)
        self.enter(value)
        items = [self._item(item) for item in value.items]
        members = {
            "all": {"t": "l", "v": items},
            "completionReason": {"t": "s", "v": value.completion_reason.value},
        }
        self.leave(value)
        return {"t": aws_values.BATCH_TAG, "v": members}

    def _item(self, item: BatchItem[Any]) -> dict[str, Any]:
        error = None if item.error is None else encode_error(_recorded(item.error))
        members = {
            "index": {"t": "i", "v": item.index},
            "status": {"t": "s", "v": item.status.value},
            "result": self.within(f"[{item.index}].result", self.value, item.result),
            "error": self.value(error),
        }
        return {"t": "m", "v": members}


def _recorded(error: Exception) -> ErrorObject:
    if isinstance(error, OperationError):
        return ErrorObject(error.message, error.error_type, error.data, error.stack)
    return ErrorObject(str(error), type(error).__name__, encode_arguments(error))


def _read_batch(members: dict[str, Any]) -> BatchResult[Any]:
    try:
        items = [_read_item(item) for item in members["all"]]
        return BatchResult(items, CompletionReason(members["completionReason"]))
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # WireError is a ValueError
        raise JsonValueError(f"this is not the result of a batch: {error!r}") from error


def _read_item(members: dict[str, Any]) -> BatchItem[Any]:
    index, status = members["index"], BatchItemStatus(members["status"])
    if type(index) is not int:
        raise WireError(f"index must be an int, not {index!r:.40}")
    recorded = decode_error(members.get("error"))
    if status is BatchItemStatus.FAILED:
        return BatchItem(index, status, error=_error_of(recorded or ErrorObject()))
    return BatchItem(index, status, result=members.get("result"))


def _error_of(recorded: ErrorObject) -> Exception:
    # Whose operation it was is not in there.
    return rebuild(recorded) or ChildContextError(
        recorded.message or "", error_type=recorded.type, data=recorded.data, stack=recorded.stack
    )


class _AwsPython:
    __slots__ = ()

    writes_like_aws = True

    def serialize(self, value: Any, ctx: SerdesContext) -> str:
        try:
            return aws_values.encode(value, _Writer())
        except JsonValueError as error:
            raise SerDesError(f"cannot serialize {error}") from error

    def deserialize(self, text: str, ctx: SerdesContext) -> Any:
        try:
            return aws_values.decode(text, _read_batch)
        except JsonValueError as error:
            raise SerDesError(
                f"cannot deserialize: this is not what AWS's Python SDK writes: {error}. Use aws_python_serdes() only"
                " for executions that were begun with it, or by AWS's SDK"
            ) from error

    def __repr__(self) -> str:
        return "aws_python_serdes()"


AWS_PYTHON: Final = _AwsPython()
"""What ``aws_python_serdes()`` returns."""
