"""What a checkpoint may ask for: every rule about a list of updates, checked before any is applied.

The rules are those of AWS's service as far as they are known: members within the model's lengths and ranges;
each update a legal move of ``lifecycle.TRANSITIONS``, where an earlier update of the same request counts as
done; at most one update of the EXECUTION, and that one last; one START plus one further update of the same
STEP or CONTEXT, and nothing else twice; a parent that is a CONTEXT and exists, or starts earlier in the request;
type, sub-type, name and parent stated later only as they were stated first.

A parent may have ended: branches that were cut off may still report what they did.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from durable_trio._protocol import limits
from durable_trio._protocol.lifecycle import next_status
from durable_trio._protocol.operation import (
    CallbackOptions,
    ChainedInvokeOptions,
    ContextOptions,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
    StepOptions,
    UpdateOptions,
    WaitOptions,
)
from durable_trio._protocol.quotas import DEFAULT_QUOTAS, Quotas
from durable_trio._protocol.refusals import RefusedError
from durable_trio._protocol.value_class import dataclass
from durable_trio._protocol.wire import encode_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from durable_trio._protocol.execution_record import (
        ExecutionRecord,
    )
    from durable_trio._protocol.operation import ErrorObject

_OPTIONS: Final[Mapping[OperationType, type[UpdateOptions] | None]] = {
    OperationType.EXECUTION: None,
    OperationType.CONTEXT: ContextOptions,
    OperationType.STEP: StepOptions,
    OperationType.WAIT: WaitOptions,
    OperationType.CALLBACK: CallbackOptions,
    OperationType.CHAINED_INVOKE: ChainedInvokeOptions,
}

_TAKES_PAYLOAD: Final = frozenset({OperationAction.SUCCEED, OperationAction.RETRY})
_TAKES_ERROR: Final = frozenset({OperationAction.FAIL, OperationAction.RETRY, OperationAction.CANCEL})


@dataclass(frozen=True, slots=True)
class Identity:
    """What an operation is; it never changes."""

    type: OperationType
    sub_type: str | None
    name: str | None
    parent_id: str | None


@dataclass(frozen=True, slots=True)
class Move:
    """An update that is allowed, and where it leads."""

    update: OperationUpdate
    status: OperationStatus


def plan_updates(
    record: ExecutionRecord, updates: Sequence[OperationUpdate], quotas: Quotas = DEFAULT_QUOTAS
) -> list[Move]:
    """Check *updates* against *record* and say where each leads; changes nothing.

    Raises:
        RefusedError: an update breaks a rule; the message names it.
    """
    planner = _Planner(record)
    for index, update in enumerate(updates):
        check_members(update)
        if update.payload is not None:
            _check_quota(record, update, update.payload, quotas)
        if update.type is _EXECUTION and index != len(updates) - 1:
            raise RefusedError("an EXECUTION update must be the last of its request, and the only one")
        planner.add(update)
    most = quotas.max_operations
    if most is not None and len(record) - 1 + planner.new_count > most:
        raise RefusedError(f"an execution may have at most {most} operations")
    return planner.moves


class _Planner:
    """Walks the updates of one request, with the earlier ones taken as done."""

    def __init__(self, record: ExecutionRecord) -> None:
        self.moves: list[Move] = []
        self._record = record
        self._started: dict[str, Identity] = {}
        self._statuses: dict[str, OperationStatus] = {}
        self._actions: dict[str, list[OperationAction]] = {}

    @property
    def new_count(self) -> int:
        """How many operations the request makes."""
        return len(self._started)

    def add(self, update: OperationUpdate) -> None:
        if update.type is _EXECUTION:
            # Its id is free: there is only one operation it can mean.
            status = next_status(update.type, self._record.execution_operation.status, update.action)
        else:
            self._check_repetition(update)
            self._check_identity(update)
            status = next_status(update.type, self._status(update.id), update.action)
        if status is None:
            standing = self._status(update.id)
            raise RefusedError(
                f"{update.type} operation {update.id!r} cannot {update.action}: "
                + (f"it is {standing}" if standing else "it does not exist, or its type has no such action")
            )
        self.moves.append(Move(update, status))
        self._statuses[update.id] = status

    def _status(self, operation_id: str) -> OperationStatus | None:
        if operation_id in self._statuses:
            return self._statuses[operation_id]
        operation = self._record.operation(operation_id)
        return None if operation is None else operation.status

    def _check_repetition(self, update: OperationUpdate) -> None:
        actions = self._actions.setdefault(update.id, [])
        actions.append(update.action)
        if len(actions) == 1:
            return
        if update.type not in _MAY_REPEAT or len(actions) > 2 or actions[0] is not _START:
            raise RefusedError(
                f"operation {update.id!r} is updated twice in one request ({', '.join(actions)}): "
                "only a STEP or CONTEXT may be, by a START and one further update"
            )

    def _known(self, operation_id: str) -> Identity | None:
        operation = self._record.operation(operation_id)
        if operation is None:
            return self._started.get(operation_id)
        return Identity(operation.type, operation.sub_type, operation.name, operation.parent_id)

    def _check_identity(self, update: OperationUpdate) -> None:
        known = self._known(update.id)
        if known is None:
            self._check_parent(update)
            self._started[update.id] = Identity(update.type, update.sub_type, update.name, update.parent_id)
            return
        if known == Identity(update.type, update.sub_type, update.name, update.parent_id):
            return
        for member, was, is_now in (
            ("Type", known.type, update.type),
            ("SubType", known.sub_type, update.sub_type),
            ("Name", known.name, update.name),
            ("ParentId", known.parent_id, update.parent_id),
        ):
            if is_now is not None and is_now != was:
                raise RefusedError(
                    f"{member} of operation {update.id!r} must not change: it is {was!r}, not {is_now!r}"
                )

    def _check_parent(self, update: OperationUpdate) -> None:
        if update.parent_id is None:
            return
        parent = self._known(update.parent_id)
        if parent is None:
            raise RefusedError(
                f"parent {update.parent_id!r} of operation {update.id!r} does not exist: "
                "it must be started before its children"
            )
        if parent.type is not OperationType.CONTEXT:
            raise RefusedError(
                f"parent {update.parent_id!r} of operation {update.id!r} must be a CONTEXT, not a {parent.type}"
            )


# --- one update by itself --------------------------------------------------------------------------------


def check_members(update: OperationUpdate) -> None:
    """Check the lengths and ranges of one update's members, and that they go with its action.

    Raises:
        RefusedError: a member is out of range; the message names it, its value and the range.
    """
    if limits.OPERATION_ID.fullmatch(update.id) is None:
        raise RefusedError(f"Id must be 1 to 64 of [a-zA-Z0-9-_], not {update.id!r}")
    where = _Where(update.id)
    if update.parent_id is not None and limits.OPERATION_ID.fullmatch(update.parent_id) is None:
        raise RefusedError(f"ParentId {where} must be 1 to 64 of [a-zA-Z0-9-_], not {update.parent_id!r}")
    if update.name is not None and limits.NAME.fullmatch(update.name) is None:
        raise RefusedError(f"Name {where} must be 1 to 256 printable ASCII characters, not {update.name!r}")
    if update.sub_type is not None and limits.SUB_TYPE.fullmatch(update.sub_type) is None:
        raise RefusedError(f"SubType {where} must be 1 to 32 of [a-zA-Z0-9-_], not {update.sub_type!r}")
    if update.payload is not None or update.error is not None or update.action is _RETRY:
        _check_data(update, where)
    if update.options is not None or update.type in _NEEDS_OPTIONS or update.action is _RETRY:
        _check_options(update, where)


# Looking a member up in its class takes ten times as long before Python 3.12.
_EXECUTION, _CHAINED_INVOKE = OperationType.EXECUTION, OperationType.CHAINED_INVOKE
_START, _RETRY = OperationAction.START, OperationAction.RETRY
_MAY_REPEAT: Final = frozenset({OperationType.STEP, OperationType.CONTEXT})
_NEEDS_OPTIONS: Final = frozenset({OperationType.WAIT, OperationType.CHAINED_INVOKE})
"""The types whose START has options."""


class _Where:
    """Which operation a refusal is about; the text is made when there is one."""

    __slots__ = ("_operation_id",)

    def __init__(self, operation_id: str) -> None:
        self._operation_id = operation_id

    def __str__(self) -> str:
        return f"of operation {self._operation_id!r}"


def check_error_size(error: ErrorObject, where: object, most: int = limits.MAX_ERROR_BYTES) -> None:
    """Check that an error, as JSON, has at most *most* bytes.

    Raises:
        RefusedError: it has more.
    """
    size = len(json.dumps(encode_error(error)).encode())
    if size > most:
        raise RefusedError(f"Error {where} must be at most {most} bytes as JSON, not {size}")


def _check_data(update: OperationUpdate, where: _Where) -> None:
    if update.payload is not None:
        is_input = update.type is _CHAINED_INVOKE and update.action is _START
        if not is_input and update.action not in _TAKES_PAYLOAD:
            raise RefusedError(f"Payload {where} does not go with {update.type} {update.action}")
        size = _size_if_over(update.payload, limits.MAX_PAYLOAD_BYTES)
        if size is not None:
            raise RefusedError(
                f"Payload {where} must be at most {limits.MAX_PAYLOAD_BYTES} bytes, not {size}"
            )
    if update.error is not None:
        if update.action not in _TAKES_ERROR:
            raise RefusedError(f"Error {where} does not go with {update.type} {update.action}")
        check_error_size(update.error, where)
    if update.action is _RETRY and (update.error is None) == (update.payload is None):
        raise RefusedError(f"RETRY {where} must have either an Error or a Payload")


def _size_if_over(text: str, most: int) -> int | None:
    """Return how many bytes *text* has if that is more than *most*."""
    # A character has at most 4 bytes: most texts need not be encoded to know that they are small enough.
    if len(text) * 4 <= most:
        return None
    size = len(text.encode("utf-8", "surrogatepass"))
    return size if size > most else None


def _check_quota(record: ExecutionRecord, update: OperationUpdate, payload: str, quotas: Quotas) -> None:
    if update.type is _EXECUTION:
        most = quotas.execution_payload_bytes(is_asynchronous=record.identity.is_asynchronous)
    elif update.type is _CHAINED_INVOKE:
        most = quotas.asynchronous_payload_bytes
    else:
        most = quotas.operation_payload_bytes
    size = _size_if_over(payload, most)
    if size is not None:
        raise RefusedError(
            f"Payload of {update.type} operation {update.id!r} must be at most {most} bytes, not {size}"
        )


def _check_options(update: OperationUpdate, where: _Where) -> None:
    options, expected = update.options, _OPTIONS[update.type]
    if options is not None and (expected is None or not isinstance(options, expected)):
        raise RefusedError(f"{type(options).__name__} {where} does not go with type {update.type}")
    starts = update.action is _START
    match options:
        case None:
            if starts and update.type in _NEEDS_OPTIONS:
                raise RefusedError(f"{update.type} START {where} must have options")
            if update.action is _RETRY:
                raise RefusedError(f"RETRY {where} must have StepOptions.NextAttemptDelaySeconds")
        case StepOptions(seconds):
            if seconds is None and update.action is _RETRY:
                raise RefusedError(f"RETRY {where} must have StepOptions.NextAttemptDelaySeconds")
            if seconds is not None:
                _check_delay("StepOptions.NextAttemptDelaySeconds", seconds, where)
        case WaitOptions(seconds):
            _check_delay("WaitOptions.WaitSeconds", seconds, where)
        case CallbackOptions(timeout, heartbeat):
            most = limits.MAX_CALLBACK_TIMEOUT_SECONDS
            _check_range("CallbackOptions.TimeoutSeconds", timeout, 0, most, where)
            _check_range("CallbackOptions.HeartbeatTimeoutSeconds", heartbeat, 0, most, where)
        case ChainedInvokeOptions(function_name, tenant_id):
            _check_range("length of FunctionName", len(function_name), 1, limits.MAX_NAME_LENGTH, where)
            if tenant_id is not None and limits.TENANT_ID.fullmatch(tenant_id) is None:
                raise RefusedError(
                    f"TenantId {where} must be 1 to 256 of [a-zA-Z0-9._:/=+-@ ], not {tenant_id!r}"
                )
        case ContextOptions():
            pass


def _check_delay(member: str, seconds: int, where: _Where) -> None:
    _check_range(member, seconds, limits.MIN_DELAY_SECONDS, limits.MAX_DELAY_SECONDS, where)


def _check_range(member: str, value: int, least: int, most: int, where: _Where) -> None:
    if not least <= value <= most:
        raise RefusedError(f"{member} {where} must be {least} to {most}, not {value}")
