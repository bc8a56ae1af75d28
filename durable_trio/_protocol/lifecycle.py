"""The life of an operation, as one table.

An operation is born by its first update and moves from status to status until it is terminal. Two parties
move it: the SDK by *actions* (``TRANSITIONS``), and the service on its own, when a timer ends or the outside
world answers (``SERVICE_TRANSITIONS``). The SDK reads the tables to know what it may ask, the local service
reads the same tables to decide what it accepts: the two cannot disagree.

``None`` stands for an operation that does not exist yet. A step or a context may be closed without a START
of its own (AWS's service accepts that); the SDK always sends one. A context is never started twice: a parent
that runs again goes on under its first START. A wait, a callback and a chained invoke are closed by the
service, never by the SDK, except that a wait may be cancelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from durable_trio._protocol.operation import OperationAction, OperationStatus, OperationType

# Shorter to read, and looking a member up in its class takes ten times as long before Python 3.12.
START, SUCCEED, FAIL, RETRY, CANCEL = (
    OperationAction.START,
    OperationAction.SUCCEED,
    OperationAction.FAIL,
    OperationAction.RETRY,
    OperationAction.CANCEL,
)
STARTED, PENDING, READY, SUCCEEDED, FAILED, CANCELLED, TIMED_OUT, STOPPED = (
    OperationStatus.STARTED,
    OperationStatus.PENDING,
    OperationStatus.READY,
    OperationStatus.SUCCEEDED,
    OperationStatus.FAILED,
    OperationStatus.CANCELLED,
    OperationStatus.TIMED_OUT,
    OperationStatus.STOPPED,
)

Transitions: TypeAlias = Mapping[OperationStatus | None, Mapping[OperationAction, OperationStatus]]

TRANSITIONS: Final[Mapping[OperationType, Transitions]] = {
    OperationType.EXECUTION: {
        # The service starts it; the SDK may close it by an update when the result is too big to answer with.
        STARTED: {SUCCEED: SUCCEEDED, FAIL: FAILED},
    },
    OperationType.CONTEXT: {
        None: {START: STARTED, SUCCEED: SUCCEEDED, FAIL: FAILED},
        STARTED: {SUCCEED: SUCCEEDED, FAIL: FAILED},
    },
    OperationType.STEP: {
        None: {START: STARTED, SUCCEED: SUCCEEDED, FAIL: FAILED},
        STARTED: {SUCCEED: SUCCEEDED, FAIL: FAILED, RETRY: PENDING},
        PENDING: {},  # only the service's timer moves it on, to READY
        READY: {START: STARTED, SUCCEED: SUCCEEDED, FAIL: FAILED, RETRY: PENDING},
    },
    OperationType.WAIT: {
        None: {START: STARTED},
        STARTED: {CANCEL: CANCELLED},
    },
    OperationType.CALLBACK: {
        None: {START: STARTED},
        STARTED: {},
    },
    OperationType.CHAINED_INVOKE: {
        None: {START: STARTED},
        STARTED: {},
    },
}

SERVICE_TRANSITIONS: Final[Mapping[OperationType, Mapping[OperationStatus, frozenset[OperationStatus]]]] = {
    OperationType.EXECUTION: {STARTED: frozenset({SUCCEEDED, FAILED, TIMED_OUT, STOPPED})},
    OperationType.CONTEXT: {},
    OperationType.STEP: {PENDING: frozenset({READY})},
    OperationType.WAIT: {STARTED: frozenset({SUCCEEDED})},
    OperationType.CALLBACK: {STARTED: frozenset({SUCCEEDED, FAILED, TIMED_OUT})},
    OperationType.CHAINED_INVOKE: {STARTED: frozenset({SUCCEEDED, FAILED, TIMED_OUT, STOPPED})},
}


def next_status(
    type_: OperationType, status: OperationStatus | None, action: OperationAction
) -> OperationStatus | None:
    """Say where *action* leads an operation of *type_* that stands at *status*; None if it is not allowed."""
    return TRANSITIONS[type_].get(status, {}).get(action)


def is_waiting_for_service(type_: OperationType, status: OperationStatus) -> bool:
    """Tell whether the service will move this operation on by itself.

    An invocation may answer PENDING only while such an operation exists: it is what wakes the execution.
    """
    return type_ is not OperationType.EXECUTION and bool(SERVICE_TRANSITIONS[type_].get(status))
