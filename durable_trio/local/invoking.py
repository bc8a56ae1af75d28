"""Invoking a function: the request, and what its caller is told.

A durable function is invoked by starting an execution of it. Whoever wants to have the result at once
(``REQUEST_RESPONSE``) waits for the end of that execution; if the caller hangs up, the execution goes on. A function
that is not durable is called, or, if nobody waits for the answer (``EVENT``), its call is recorded and made as soon as
there is room.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NoReturn

from durable_trio._protocol.execution_status import ExecutionStatus
from durable_trio._protocol.invocation_rules import Crashed
from durable_trio._protocol.value_class import frozen_dataclass
from durable_trio.local.errors import InvalidRequestContent, RequestTooLarge

if TYPE_CHECKING:
    from durable_trio._protocol.operation import ErrorObject
    from durable_trio._protocol.plain_calls import PlainOutcome
    from durable_trio._protocol.quotas import Quotas
    from durable_trio.local.views import ExecutionDescription

__all__ = ["InvocationType", "InvokeResult"]


class InvocationType(StrEnum):
    """Whether the caller waits."""

    REQUEST_RESPONSE = "RequestResponse"
    EVENT = "Event"
    DRY_RUN = "DryRun"


@frozen_dataclass(frozen=True, slots=True)
class InvokeResult:
    """What the caller of an invoke is told.

    Attributes:
        status_code: 200 with an answer, 202 if nobody waits for it, 204 for a dry run.
        executed_version: the version of the function.
        durable_execution_arn: the execution, if the function is durable.
        payload: the answer as JSON text; of a function that failed, its error in Lambda's form. None: no answer.
        function_error: ``Unhandled`` if the function has failed.
    """

    status_code: int
    executed_version: str
    durable_execution_arn: str | None = None
    payload: str | None = None
    function_error: str | None = None


def read_payload(payload: str | bytes, invocation_type: InvocationType, quotas: Quotas) -> str:
    """Check the payload of an invoke and return it as text; an empty one is an empty object, as on Lambda.

    Raises:
        RequestTooLarge: it is too big for this type of invocation.
        InvalidRequestContent: it is not JSON in UTF-8.
    """
    data = payload if isinstance(payload, bytes) else payload.encode("utf-8", "surrogatepass")
    most = quotas.execution_payload_bytes(is_asynchronous=invocation_type is InvocationType.EVENT)
    if len(data) > most:
        raise RequestTooLarge(
            f"Request must be smaller than {most} bytes for the {invocation_type} invocation type: "
            f"it has {len(data)}"
        )
    if not data.strip():
        return "{}"
    try:
        text = data.decode("utf-8")
        json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as problem:
        raise InvalidRequestContent(f"Could not parse request body into json: {problem}") from problem
    return text


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def answer_of_call(version: str, outcome: PlainOutcome) -> InvokeResult:
    """Return what the caller of a function that is not durable is told."""
    if isinstance(outcome, Crashed):
        return InvokeResult(200, version, None, error_payload(outcome.error), "Unhandled")
    return InvokeResult(200, version, None, outcome.payload)


def answer_of_execution(ended: ExecutionDescription) -> InvokeResult:
    """Return what the caller of a durable function is told once its execution has ended."""
    if ended.status is ExecutionStatus.SUCCEEDED:
        return InvokeResult(200, ended.version, ended.arn, ended.result or "null")
    payload = error_payload(ended.error, fallback=f"The execution is {ended.status}")
    return InvokeResult(200, ended.version, ended.arn, payload, "Unhandled")


def error_payload(error: ErrorObject | None, fallback: str = "") -> str:
    """Write an error as Lambda writes those of functions."""
    wire: dict[str, Any] = {"errorMessage": (error.message if error else None) or fallback}
    if error is not None:
        if error.type is not None:
            wire["errorType"] = error.type
        if error.data is not None:
            wire["errorData"] = error.data
        if error.stack:
            wire["stackTrace"] = list(error.stack)
    return json.dumps(wire)
