from __future__ import annotations

import pytest

from durable_trio._protocol.lifecycle import (
    SERVICE_TRANSITIONS,
    TRANSITIONS,
    is_waiting_for_service,
    next_status,
)
from durable_trio._protocol.operation import OperationAction, OperationStatus, OperationType

TYPES = list(OperationType)
STATUSES: list[OperationStatus | None] = [None, *OperationStatus]

ACTIONS_OF = {
    OperationType.EXECUTION: {OperationAction.SUCCEED, OperationAction.FAIL},
    OperationType.CONTEXT: {OperationAction.START, OperationAction.SUCCEED, OperationAction.FAIL},
    OperationType.STEP: {
        OperationAction.START,
        OperationAction.SUCCEED,
        OperationAction.FAIL,
        OperationAction.RETRY,
    },
    OperationType.WAIT: {OperationAction.START, OperationAction.CANCEL},
    OperationType.CALLBACK: {OperationAction.START},
    OperationType.CHAINED_INVOKE: {OperationAction.START},
}


def ways_out(type_: OperationType, status: OperationStatus | None) -> set[OperationStatus]:
    """Return every status that either side can move an operation to from *status*."""
    ways = set(TRANSITIONS[type_].get(status, {}).values())
    return ways if status is None else ways | SERVICE_TRANSITIONS[type_].get(status, frozenset())


def reachable(type_: OperationType, start: OperationStatus | None) -> set[OperationStatus]:
    """Return every status that an operation can come to from *start*."""
    found: set[OperationStatus] = set()
    edge = ways_out(type_, start)
    while edge:
        found |= edge
        edge = {way for status in edge for way in ways_out(type_, status)} - found
    return found


@pytest.mark.parametrize("type_", TYPES)
def test_both_tables_know_every_type(type_: OperationType) -> None:
    """No type of operation is forgotten in either table."""
    assert type_ in TRANSITIONS
    assert type_ in SERVICE_TRANSITIONS


@pytest.mark.parametrize("type_", TYPES)
def test_terminal_statuses_have_no_way_out(type_: OperationType) -> None:
    """What has ended never changes again, by neither side."""
    for status in OperationStatus:
        if status.is_terminal:
            assert not ways_out(type_, status)


@pytest.mark.parametrize("type_", TYPES)
def test_every_reachable_status_ends(type_: OperationType) -> None:
    """From wherever an operation can be, an end can be reached: nothing gets stuck."""
    start = OperationStatus.STARTED if type_ is OperationType.EXECUTION else None
    for status in reachable(type_, start):
        assert status.is_terminal or any(end.is_terminal for end in reachable(type_, status)), status


@pytest.mark.parametrize("type_", TYPES)
def test_the_tables_have_no_rows_that_nothing_reaches(type_: OperationType) -> None:
    """Every status with a row can be reached by the rows before it."""
    known = reachable(type_, None) | {OperationStatus.STARTED}

    assert {status for status in TRANSITIONS[type_] if status is not None} <= known
    assert set(SERVICE_TRANSITIONS[type_]) <= known


@pytest.mark.parametrize("type_", TYPES)
def test_actions_are_those_that_the_service_takes(type_: OperationType) -> None:
    """A type takes the actions that AWS's service takes for it, and no others."""
    allowed = {action for row in TRANSITIONS[type_].values() for action in row}

    assert allowed == ACTIONS_OF[type_]


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("action", list(OperationAction))
def test_an_action_means_one_status(type_: OperationType, action: OperationAction) -> None:
    """START always leads to STARTED, SUCCEED to SUCCEEDED, and so on: the verb says what becomes of it."""
    meaning = {
        OperationAction.START: OperationStatus.STARTED,
        OperationAction.SUCCEED: OperationStatus.SUCCEEDED,
        OperationAction.FAIL: OperationStatus.FAILED,
        OperationAction.RETRY: OperationStatus.PENDING,
        OperationAction.CANCEL: OperationStatus.CANCELLED,
    }

    assert {next_status(type_, status, action) for status in STATUSES} <= {None, meaning[action]}


def test_the_service_starts_an_execution_and_nothing_else() -> None:
    """Only the EXECUTION operation cannot be started by an update."""
    for type_ in TYPES:
        is_startable = next_status(type_, None, OperationAction.START) is OperationStatus.STARTED
        assert is_startable is (type_ is not OperationType.EXECUTION)


def test_the_life_of_a_retried_step() -> None:
    """RETRY parks a step; only the service's timer makes it READY, and then it may START again."""
    step = OperationType.STEP

    assert next_status(step, OperationStatus.STARTED, OperationAction.RETRY) is OperationStatus.PENDING
    assert all(next_status(step, OperationStatus.PENDING, action) is None for action in OperationAction)
    assert SERVICE_TRANSITIONS[step][OperationStatus.PENDING] == {OperationStatus.READY}
    assert next_status(step, OperationStatus.READY, OperationAction.START) is OperationStatus.STARTED
    assert next_status(step, None, OperationAction.RETRY) is None


@pytest.mark.parametrize("type_", [OperationType.STEP, OperationType.CONTEXT])
def test_what_runs_in_the_function_may_be_closed_without_a_start(type_: OperationType) -> None:
    """A step or a context that is new may be closed at once."""
    assert next_status(type_, None, OperationAction.SUCCEED) is OperationStatus.SUCCEEDED
    assert next_status(type_, None, OperationAction.FAIL) is OperationStatus.FAILED


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("action", list(OperationAction))
def test_nothing_is_started_twice_unless_it_is_ready(type_: OperationType, action: OperationAction) -> None:
    """A running operation refuses another START."""
    assert next_status(type_, OperationStatus.STARTED, OperationAction.START) is None
    assert next_status(type_, OperationStatus.SUCCEEDED, action) is None


@pytest.mark.parametrize(
    ("type_", "status", "is_waiting"),
    [
        (OperationType.WAIT, OperationStatus.STARTED, True),
        (OperationType.WAIT, OperationStatus.SUCCEEDED, False),
        (OperationType.CALLBACK, OperationStatus.STARTED, True),
        (OperationType.CALLBACK, OperationStatus.TIMED_OUT, False),
        (OperationType.CHAINED_INVOKE, OperationStatus.STARTED, True),
        (OperationType.CHAINED_INVOKE, OperationStatus.STOPPED, False),
        (OperationType.STEP, OperationStatus.STARTED, False),
        (OperationType.STEP, OperationStatus.PENDING, True),
        (OperationType.CONTEXT, OperationStatus.STARTED, False),
        (OperationType.EXECUTION, OperationStatus.STARTED, False),
    ],
)
def test_what_may_wake_an_execution(type_: OperationType, status: OperationStatus, is_waiting: bool) -> None:
    """An execution is woken by timers, callbacks and invokes, and not by what runs in the function."""
    assert is_waiting_for_service(type_, status) is is_waiting
