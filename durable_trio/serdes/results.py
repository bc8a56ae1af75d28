"""How a ``BatchResult`` or an ``Outcome`` is stored where it is a value: a child context or an item may return one.

    {"$batch": {"all": [{"index": 0, "status": "SUCCEEDED", "result": ...}, ...], "completionReason": "ALL_COMPLETED"}}
    {"$outcome": {"status": "SUCCEEDED", "value": ...}}

Results are values like any others, with tags of their own. An error is stored as it was recorded, with the name of its
class beside it: one of the errors of operations, or a class registered with ``@durable_error``. Any other error is
refused, because it could not be made again. Nothing else is made by a name that was stored.

These forms are stored by running executions. Treat them as a file format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from durable_trio import exceptions
from durable_trio._protocol.completion import BatchItemStatus, CompletionReason
from durable_trio._protocol.json_leaves import JsonValueError
from durable_trio._protocol.operation import ErrorObject
from durable_trio._protocol.wire import decode_error, encode_error
from durable_trio.batch import BatchItem, BatchResult
from durable_trio.durable_errors import encode_arguments, rebuild
from durable_trio.exceptions import OperationError
from durable_trio.settled import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCH: Final = "$batch"
OUTCOME: Final = "$outcome"

# Those that hold more than what is recorded (a MapError's errors, a CompensationError's report) are not among them.
_ERRORS: Final[dict[str, type[OperationError]]] = {
    name: cls
    for name in exceptions.__all__
    if issubclass(cls := getattr(exceptions, name), OperationError)
    and cls not in (exceptions.MapError, exceptions.CompensationError)
}


def stored_batch(items: Sequence[BatchItem[Any]], reason: CompletionReason) -> dict[str, Any]:
    """Return what is stored of a batch: plain values, but for the results.

    Raises:
        JsonValueError: the error of an item cannot be stored.
    """
    return {"all": [_stored_item(item) for item in items], "completionReason": reason.value}


def _stored_item(item: BatchItem[Any]) -> dict[str, Any]:
    stored: dict[str, Any] = {"index": item.index, "status": item.status.value}
    if item.status is BatchItemStatus.SUCCEEDED:
        stored["result"] = item.result
    if item.error is not None:
        stored["error"] = _stored_error(item.error)
    if item.name is not None:
        stored["name"] = item.name
    return stored


def _stored_error(error: Exception) -> dict[str, Any]:
    name = type(error).__name__
    if isinstance(error, OperationError) and _ERRORS.get(name) is type(error):
        recorded = ErrorObject(error.message, error.error_type, error.data, error.stack)
        operation = {"operationId": error.operation_id, "operationName": error.operation_name}
        return {"class": name, **encode_error(recorded), **operation}
    arguments = encode_arguments(error)
    if arguments is None:
        raise JsonValueError(f"the error {error!r} cannot be stored: register its class with @durable_error")
    return encode_error(ErrorObject(str(error), name, arguments))


def read_batch(stored: Any) -> BatchResult[Any]:
    """Read what ``stored_batch`` made.

    Raises:
        JsonValueError: it is something else.
        ConfigurationError: a registered error does not take the arguments that are recorded.
    """
    try:
        items = [_read_item(item) for item in stored["all"]]
        return BatchResult(items, CompletionReason(stored["completionReason"]))
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # WireError is a ValueError
        raise JsonValueError(f"{BATCH} holds what is no batch: {error!r}") from error


def stored_outcome(outcome: Outcome[Any]) -> dict[str, Any]:
    """Return what is stored of an outcome; raises as ``stored_batch`` does."""
    if outcome.error is None:
        return {"status": BatchItemStatus.SUCCEEDED.value, "value": outcome.value}
    return {"status": BatchItemStatus.FAILED.value, "error": _stored_error(outcome.error)}


def read_outcome(stored: Any) -> Outcome[Any]:
    """Read what ``stored_outcome`` made; raises as ``read_batch`` does."""
    try:
        if BatchItemStatus(stored["status"]) is BatchItemStatus.SUCCEEDED:
            return Outcome(stored["value"])
        return Outcome(error=_read_error(stored["error"]))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise JsonValueError(f"{OUTCOME} holds what is no outcome: {error!r}") from error


def _read_item(stored: dict[str, Any]) -> BatchItem[Any]:
    index, name = stored["index"], stored.get("name")
    if type(index) is not int or not (name is None or type(name) is str):
        raise ValueError(f"an item has the index {index!r:.40} and the name {name!r:.40}")
    error = None if stored.get("error") is None else _read_error(stored["error"])
    return BatchItem(index, BatchItemStatus(stored["status"]), stored.get("result"), error, name)


def _read_error(stored: dict[str, Any]) -> Exception:
    recorded = decode_error(stored) or ErrorObject()
    if "class" in stored:
        cls = _ERRORS[stored["class"]]
        return cls.from_recorded(recorded, operation_id=stored["operationId"], name=stored["operationName"])
    # A class that is not registered any more: what an item's error is otherwise.
    return rebuild(recorded) or exceptions.ChildContextError(
        recorded.message or "", error_type=recorded.type, data=recorded.data
    )
