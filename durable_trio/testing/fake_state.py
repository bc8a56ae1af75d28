"""The operations of one execution in memory, as a test says they are and as a handler has changed them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from durable_trio._protocol import lifecycle
from durable_trio._protocol.ids import operation_id
from durable_trio._protocol.operation import (
    DETAILS,
    CallbackDetails,
    ChainedInvokeDetails,
    ContextDetails,
    OperationAction,
    OperationRecord,
    OperationStatus,
    OperationType,
    OperationUpdate,
    StepDetails,
    StepOptions,
    SubType,
    WaitDetails,
    WaitOptions,
)
from durable_trio.exceptions import CheckpointError, ValidationError
from durable_trio.serdes import SerdesContext, default_serdes, plain_json
from durable_trio.testing.callbacks import error_object

if TYPE_CHECKING:
    from durable_trio._protocol.operation import ErrorObject, OperationDetails

ARN: Final = (
    "arn:aws:lambda:us-east-1:123456789012:function:fake:$LATEST/durable-execution/unit-test/"
    "00000000-0000-4000-8000-000000000000"
)
"""The only execution that there is."""


class FakeState:
    """What has been recorded. The operations of the handler itself are given in program order, or by position."""

    def __init__(self) -> None:
        self._operations: dict[str, OperationRecord] = {}
        self._positions = 0

    @property
    def operations(self) -> list[OperationRecord]:
        """The state as it is now, without the EXECUTION, in start order."""
        return list(self._operations.values())

    def given(self, record: OperationRecord) -> None:
        """Have this operation in the state that the next invocation begins with."""
        self._operations[record.id] = record

    def given_step(
        self,
        name: str | None = None,
        *,
        result: Any = None,
        error: ErrorObject | BaseException | str | None = None,
        status: OperationStatus | None = None,
        attempt: int = 1,
        position: int | None = None,
    ) -> str:
        """Have a step of the handler's that has ended, and return its id.

        Args:
            name: its name.
            result: its value, written by the default serializer; ignored if there is an *error*.
            error: what it FAILED with.
            status: where it stands otherwise: PENDING or READY for a retry, STARTED for one that was cut off.
            attempt: how many attempts have ended.
            position: its place in the program, from 1; by default the one after the last that was given.
        """
        text = default_serdes().serialize(result, SerdesContext("", ARN, name))
        failure = None if error is None else error_object(error)
        ended = OperationStatus.SUCCEEDED if failure is None else OperationStatus.FAILED
        details = StepDetails(attempt, result=text if failure is None else None, error=failure)
        return self._given(
            OperationType.STEP, SubType.STEP, name, status or ended, details, position=position
        )

    def given_wait(
        self, name: str | None = None, *, is_over: bool = True, position: int | None = None
    ) -> str:
        """Have a wait of the handler's that is over, or still runs; return its id. *position* as in ``given_step``."""
        status = OperationStatus.SUCCEEDED if is_over else OperationStatus.STARTED
        details = WaitDetails(scheduled_end_at=0 if is_over else _FAR_AWAY)
        return self._given(OperationType.WAIT, SubType.WAIT, name, status, details, position=position)

    def given_callback(
        self,
        name: str | None = None,
        *,
        payload: str | None = None,
        error: ErrorObject | BaseException | str | None = None,
        status: OperationStatus | None = None,
        position: int | None = None,
    ) -> str:
        """Have a callback of the handler's, answered with the text *payload* or with *error*; return its id.

        *status* is where it stands otherwise: STARTED for one that nobody has answered, or TIMED_OUT.
        *position* as in ``given_step``.
        """
        failure = None if error is None else error_object(error)
        ended = OperationStatus.SUCCEEDED if failure is None else OperationStatus.FAILED
        details = CallbackDetails(f"callback-{name or self._positions + 1}", payload, failure)
        return self._given(
            OperationType.CALLBACK, SubType.CALLBACK, name, status or ended, details, position=position
        )

    def given_invoke(
        self, name: str | None = None, *, result: Any = None, position: int | None = None
    ) -> str:
        """Have a chained invoke of the handler's that has answered *result*; return its id."""
        details = ChainedInvokeDetails(result=plain_json.serialize(result, SerdesContext("", ARN, name)))
        return self._given(
            OperationType.CHAINED_INVOKE,
            SubType.CHAINED_INVOKE,
            name,
            OperationStatus.SUCCEEDED,
            details,
            position=position,
        )

    def _given(
        self,
        type_: OperationType,
        sub_type: SubType,
        name: str | None,
        status: OperationStatus,
        details: OperationDetails,
        *,
        position: int | None,
    ) -> str:
        self._positions = self._positions + 1 if position is None else position
        if self._positions < 1:
            raise ValidationError(f"position must be a place in the program, from 1, not {position!r}")
        if status not in set(OperationStatus):
            raise ValidationError(f"status must be one of {', '.join(OperationStatus)}, not {status!r}")
        id_ = operation_id(None, self._positions)
        status = OperationStatus(status)
        ended_at = 0 if status.is_terminal else None
        self.given(
            OperationRecord(
                id_, type_, status, 0, name=name, sub_type=sub_type, ended_at=ended_at, details=details
            )
        )
        return id_

    def apply(self, update: OperationUpdate, now: int) -> OperationRecord:
        """Change an operation as *update* asks, and return it.

        Raises:
            CheckpointError: the action is not allowed where the operation stands.
        """
        known = self._operations.get(update.id)
        status = lifecycle.next_status(update.type, known.status if known else None, update.action)
        if status is None:
            where = "new" if known is None else known.status.value
            raise CheckpointError(
                f"{update.type} {update.action} is not allowed for {update.name or update.id!r}: it is {where}",
                code="InvalidParameterValueException",
            )
        begun = known or OperationRecord(
            update.id,
            update.type,
            status,
            now,
            update.parent_id,
            update.name,
            update.sub_type,
            details=DETAILS[update.type](),
        )
        record = replace(
            begun,
            status=status,
            ended_at=now if status.is_terminal else None,
            details=_details(begun, update, now),
        )
        self._operations[update.id] = record
        return record


_FAR_AWAY: Final = 4_102_444_800_000  # the year 2100


def _details(known: OperationRecord, update: OperationUpdate, now: int) -> OperationDetails | None:
    """Return what the service keeps of an operation after *update*."""
    details = known.details
    match details:
        case StepDetails(attempt=attempt) if update.action is not OperationAction.START:
            options = update.options
            delay = options.next_attempt_delay_seconds if isinstance(options, StepOptions) else None
            next_at = None if delay is None else now + delay * 1000
            return StepDetails(attempt + 1, next_at, update.payload, update.error)
        case WaitDetails() if isinstance(update.options, WaitOptions):
            return WaitDetails(now + update.options.wait_seconds * 1000)
        case CallbackDetails(callback_id=None):
            return CallbackDetails(f"callback-{update.name or update.id}")
        case ContextDetails() if update.action is not OperationAction.START:
            return ContextDetails(
                update.payload, update.error, getattr(update.options, "replay_children", False)
            )
        case _:
            return details
