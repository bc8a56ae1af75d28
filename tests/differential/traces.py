"""What a run said to the service, put so that two SDKs can be compared.

Per operation: what it is (type, subtype, name, parent) and what was asked for it, in order. The order *between*
operations is not compared: both SDKs batch, and branches run concurrently. Payloads are compared as JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from durable_trio._protocol.wire import encode_update

if TYPE_CHECKING:
    from support.runs import Run

    from durable_trio._protocol.operation import OperationUpdate

_IDENTITY = ("Type", "SubType", "Name", "ParentId")
_OPTIONS = ("StepOptions", "WaitOptions", "CallbackOptions", "ChainedInvokeOptions", "ContextOptions")
_ASPECTS = ("identity", "actions", "options", "error_types", "error_messages", "payloads")


@dataclass
class OperationTrace:
    """One operation, as a run reported it."""

    identity: dict[str, str | None]
    actions: list[str] = field(default_factory=list)
    options: list[dict[str, Any]] = field(default_factory=list)
    error_types: list[str | None] = field(default_factory=list)
    error_messages: list[str | None] = field(default_factory=list)
    payloads: list[Any] = field(default_factory=list)

    @property
    def title(self) -> str:
        """What a table calls it."""
        return self.identity["Name"] or f"unnamed {self.identity['SubType']}"


def operation_traces(run: Run) -> dict[str, OperationTrace]:
    """Return the operations of *run*, by id."""
    found: dict[str, OperationTrace] = {}
    for call in run.calls:
        for update in call.updates:
            _add(found, update)
    return found


def _add(found: dict[str, OperationTrace], update: OperationUpdate) -> None:
    wire = encode_update(update)
    trace = found.setdefault(update.id, OperationTrace({member: wire.get(member) for member in _IDENTITY}))
    # A member may be left out later, but must not change.
    assert all(wire.get(member) in (None, trace.identity[member]) for member in _IDENTITY), update
    trace.actions.append(wire["Action"])
    trace.options.append({member: wire[member] for member in _OPTIONS if member in wire})
    trace.payloads.append(_as_json(wire.get("Payload")))
    if update.error is not None:
        trace.error_types.append(update.error.type)
        trace.error_messages.append(update.error.message)


def _as_json(payload: str | None) -> Any:
    return json.loads(payload) if payload else payload


def differences(aws: Run, ours: Run) -> dict[tuple[str, str], tuple[Any, Any]]:
    """Return where two runs of one workflow differ: (operation, aspect) -> (AWS's, ours)."""
    found: dict[tuple[str, str], tuple[Any, Any]] = {}
    theirs, own = operation_traces(aws), operation_traces(ours)
    for operation_id in {**theirs, **own}:
        pair = theirs.get(operation_id), own.get(operation_id)
        known = pair[0] or pair[1]
        assert known is not None
        if pair[0] is None or pair[1] is None:
            found[known.title, "existence"] = pair
            continue
        for aspect in _ASPECTS:
            values = getattr(pair[0], aspect), getattr(pair[1], aspect)
            if values[0] != values[1]:
                found[known.title, aspect] = values
    found |= _outcome_differences(aws, ours)
    return found


def _outcome_differences(aws: Run, ours: Run) -> dict[tuple[str, str], tuple[Any, Any]]:
    aspects = {
        "status": (aws.status, ours.status),
        "answers": (aws.invocations, ours.invocations),
        "result": (_as_json(aws.description.result), _as_json(ours.description.result)),
        "error type": (_error_type(aws), _error_type(ours)),
    }
    return {("the execution", aspect): values for aspect, values in aspects.items() if values[0] != values[1]}


def _error_type(run: Run) -> str | None:
    error = run.description.error
    return None if error is None else error.type
