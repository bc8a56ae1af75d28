"""What to do with an operation that the program reaches: a value for every record there can be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from durable_trio._protocol.operation import (
    CallbackDetails,
    ChainedInvokeDetails,
    ContextDetails,
    ErrorObject,
    OperationDetails,
    OperationRecord,
    OperationStatus,
    OperationType,
    StepDetails,
    WaitDetails,
)
from durable_trio._protocol.replay import (
    Begin,
    Identity,
    Interrupted,
    Park,
    RaiseRecorded,
    Replay,
    ReplayChildren,
    RunAttempt,
    decide_answer,
    decide_context,
    decide_step,
    decide_wait,
    difference,
)

ERROR = ErrorObject("why", "ValueError")
S = OperationStatus


def record(
    status: OperationStatus, details: OperationDetails | None, type_: OperationType
) -> OperationRecord:
    """Return a record."""
    return OperationRecord("id", type_, status, 1, details=details)


def step(status: OperationStatus, **details: object) -> OperationRecord:
    """Return the record of a step."""
    return record(status, StepDetails(**details), OperationType.STEP)  # type: ignore[arg-type]  # passed through


@pytest.mark.parametrize(
    ("known", "at_least_once", "at_most_once"),
    [
        (None, RunAttempt(1, must_start=True), RunAttempt(1, must_start=True)),
        (step(S.STARTED), RunAttempt(1, must_start=False), Interrupted(1)),
        (step(S.STARTED, attempt=2), RunAttempt(3, must_start=False), Interrupted(3)),
        (step(S.READY, attempt=2), RunAttempt(3, must_start=True), RunAttempt(3, must_start=True)),
        (step(S.PENDING, attempt=1, next_attempt_at=9), Park(9), Park(9)),
        (step(S.PENDING, attempt=1), Park(None), Park(None)),
        (step(S.SUCCEEDED, attempt=1, result="7"), Replay("7"), Replay("7")),
        (step(S.SUCCEEDED), Replay(None), Replay(None)),
        (step(S.FAILED, error=ERROR), RaiseRecorded(S.FAILED, ERROR), RaiseRecorded(S.FAILED, ERROR)),
        (record(S.STARTED, None, OperationType.STEP), RunAttempt(1, must_start=False), Interrupted(1)),
        (step(S.STOPPED), RaiseRecorded(S.STOPPED, None), RaiseRecorded(S.STOPPED, None)),
    ],
)
def test_steps(known: OperationRecord | None, at_least_once: object, at_most_once: object) -> None:
    """Recorded attempts count finished ones; a started at-most-once step was cut off and must not run again."""
    assert decide_step(known, at_most_once=False) == at_least_once
    assert decide_step(known, at_most_once=True) == at_most_once


@pytest.mark.parametrize(
    ("known", "decision"),
    [
        (None, Begin(must_start=True)),
        (record(S.STARTED, WaitDetails(5), OperationType.WAIT), Park(5)),
        (record(S.STARTED, None, OperationType.WAIT), Park(None)),
        (record(S.SUCCEEDED, WaitDetails(5), OperationType.WAIT), Replay(None)),
        (record(S.CANCELLED, WaitDetails(5), OperationType.WAIT), Replay(None)),
        (record(S.STOPPED, None, OperationType.WAIT), RaiseRecorded(S.STOPPED, None)),
    ],
)
def test_waits(known: OperationRecord | None, decision: object) -> None:
    """A started wait parks without a second START; a cancelled one is over like any other."""
    assert decide_wait(known) == decision


@pytest.mark.parametrize("details", [CallbackDetails, ChainedInvokeDetails])
@pytest.mark.parametrize("status", [S.FAILED, S.TIMED_OUT, S.STOPPED, S.CANCELLED])
def test_answers(details: type[CallbackDetails | ChainedInvokeDetails], status: OperationStatus) -> None:
    """Every terminal status ends the waiting; without a payload the answer is None."""
    type_ = OperationType.CALLBACK if details is CallbackDetails else OperationType.CHAINED_INVOKE
    assert decide_answer(None) == Begin(must_start=True)
    assert decide_answer(record(S.STARTED, details(), type_)) == Park(None)
    assert decide_answer(record(S.SUCCEEDED, details(result="7"), type_)) == Replay("7")
    assert decide_answer(record(S.SUCCEEDED, details(), type_)) == Replay(None)
    assert decide_answer(record(S.SUCCEEDED, None, type_)) == Replay(None)
    assert decide_answer(record(status, details(error=ERROR), type_)) == RaiseRecorded(status, ERROR)


@pytest.mark.parametrize(
    ("known", "decision"),
    [
        (None, Begin(must_start=True)),
        (record(S.STARTED, None, OperationType.CONTEXT), Begin(must_start=False)),
        (record(S.SUCCEEDED, ContextDetails("7"), OperationType.CONTEXT), Replay("7")),
        (record(S.SUCCEEDED, ContextDetails("s", None, True), OperationType.CONTEXT), ReplayChildren("s")),
        (
            record(S.FAILED, ContextDetails(None, ERROR), OperationType.CONTEXT),
            RaiseRecorded(S.FAILED, ERROR),
        ),
        (record(S.STOPPED, None, OperationType.CONTEXT), RaiseRecorded(S.STOPPED, None)),
    ],
)
def test_contexts(known: OperationRecord | None, decision: object) -> None:
    """A started context goes on under its START; one whose result was too big replays its children."""
    assert decide_context(known) == decision


IDENTITY = Identity("id", OperationType.STEP, "Step", "charge", "parent")
MATCHING = OperationRecord(
    "id", OperationType.STEP, S.SUCCEEDED, 1, parent_id="parent", name="charge", sub_type="Step"
)


def test_matching_records() -> None:
    """A record of the same thing does not differ; what other SDKs leave out is not compared."""
    assert difference(MATCHING, IDENTITY) is None
    assert difference(replace(MATCHING, sub_type=None), IDENTITY) is None
    assert difference(replace(MATCHING, name=None), replace(IDENTITY, is_default_name=True)) is None
    assert difference(replace(MATCHING, name=None), replace(IDENTITY, name=None)) is None


@pytest.mark.parametrize(
    ("members", "line"),
    [
        ({"type": OperationType.WAIT}, "type: recorded WAIT, now STEP"),
        ({"sub_type": "WaitForCondition"}, "subtype: recorded WaitForCondition, now Step"),
        ({"parent_id": None}, "parent: recorded none, now parent"),
        ({"name": "refund"}, "name: recorded 'refund', now 'charge'"),
        ({"name": None}, "name: recorded None, now 'charge'"),
    ],
)
def test_differences_are_readable(members: dict[str, object], line: str) -> None:
    """Each member that differs is one line with what was recorded and what is asked for now."""
    found = difference(replace(MATCHING, **members), IDENTITY)  # type: ignore[arg-type]  # passed through

    assert found is not None
    assert found.text == line
    assert not found.only_default_name


def test_several_differences() -> None:
    """All differences are told, not only the first."""
    found = difference(replace(MATCHING, type=OperationType.WAIT, sub_type="Wait", name="cool-off"), IDENTITY)

    assert found is not None
    assert [line.partition(":")[0] for line in found.text.splitlines()] == ["type", "subtype", "name"]


def test_a_default_name_is_another_matter() -> None:
    """If nothing but a name that was derived from a function differs, that is said."""
    by_default = replace(IDENTITY, is_default_name=True)
    only_name = difference(replace(MATCHING, name="refund"), by_default)
    more = difference(replace(MATCHING, name="refund", parent_id="other"), by_default)

    assert only_name is not None
    assert only_name.only_default_name
    assert more is not None
    assert not more.only_default_name
