"""Rules about the record that hold whatever a function sends, and whenever timers end."""

import copy
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st
from protocol.random_updates import REQUESTS
from protocol.service_side import Service

from durable_trio._protocol.envelope import Pending
from durable_trio._protocol.execution_record import ExecutionRecord
from durable_trio._protocol.execution_status import ExecutionStatus
from durable_trio._protocol.lifecycle import next_status
from durable_trio._protocol.operation import (
    OperationStatus,
    OperationType,
    OperationUpdate,
)
from durable_trio._protocol.refusals import RefusedError


def _check_sound(record: ExecutionRecord) -> None:
    """What must hold for every record at any time."""
    entries = record.entries()
    assert [entry.position for entry in entries] == list(range(len(entries)))
    assert max(entry.change for entry in entries) == record.change_number
    assert [e.operation.id for e in record.unseen()] == [
        e.operation.id for e in record.changed_after(record.shown_change)
    ]
    places = {entry.operation.id: entry.position for entry in entries}
    for entry in entries:
        operation = entry.operation
        assert operation.status.is_terminal == (operation.ended_at is not None)
        if operation.parent_id is not None:
            assert places[operation.parent_id] < entry.position
            parent = record.operation(operation.parent_id)
            assert parent is not None
            assert parent.type is OperationType.CONTEXT
    timed = {timer.key.operation_id for timer in record.timers} - {""}
    for id_ in timed:
        timed_operation = record.operation(id_)
        assert timed_operation is not None
        assert timed_operation.status in (OperationStatus.STARTED, OperationStatus.PENDING)


@settings(max_examples=150, deadline=None)
@given(requests=REQUESTS, delays=st.lists(st.integers(0, 10), min_size=25, max_size=25))
def test_refused_leaves_the_record_alone_and_accepted_follows_the_table(
    requests: list[list[OperationUpdate]], delays: list[int]
) -> None:
    """Whatever is sent: refused is unchanged, accepted is what the transition table says, and all stays sound."""
    service = Service(functions=("known",))
    service.begin()
    for request, delay in zip(requests, delays, strict=False):
        before = copy.deepcopy(service.record)
        try:
            service.checkpoint(*request)
        except RefusedError:
            assert service.record == before
        else:
            _check_against_table(before, service.record, request)
        _check_sound(service.record)
        service.advance(delay)
        _check_sound(service.record)


def _check_against_table(
    before: ExecutionRecord, after: ExecutionRecord, request: list[OperationUpdate]
) -> None:
    statuses = {entry.operation.id: entry.operation.status for entry in before.entries()}
    for update in request:
        expected = next_status(update.type, statuses.get(update.id), update.action)
        assert expected is not None
        statuses[update.id] = expected
    for update in request:
        operation = after.operation(update.id)
        assert operation is not None
        if operation.type is OperationType.CHAINED_INVOKE and operation.status is OperationStatus.FAILED:
            continue  # of an unknown function: the service has ended it at once
        assert operation.status is statuses[update.id]


@settings(max_examples=100, deadline=None)
@given(requests=REQUESTS, delays=st.lists(st.integers(1, 30), min_size=25, max_size=25))
def test_an_execution_that_sleeps_will_be_woken(
    requests: list[list[OperationUpdate]], delays: list[int]
) -> None:
    """After any PENDING, the execution is closed, due, or something is there that can wake it."""
    service = Service(functions=("known",))
    for request, delay in zip(requests, delays, strict=False):
        if not service.record.is_invocation_due:
            service.advance(delay)
            continue
        service.begin()
        with suppress(RefusedError):
            service.checkpoint(*request)
        service.end(Pending())
        _check_can_wake(service.record)
        service.advance(delay)
        _check_can_wake(service.record)


def _check_can_wake(record: ExecutionRecord) -> None:
    if record.status is not ExecutionStatus.RUNNING or record.is_invocation_due:
        return
    kinds = {(entry.operation.type, entry.operation.status) for entry in record.entries()}
    waits_for_others = {
        (OperationType.CALLBACK, OperationStatus.STARTED),
        (OperationType.CHAINED_INVOKE, OperationStatus.STARTED),
    }
    timers = [timer for timer in record.timers if timer.key.kind != "6-execution-timeout"]
    assert timers or kinds & waits_for_others
