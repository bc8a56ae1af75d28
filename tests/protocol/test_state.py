"""The execution as one invocation knows it: merged from pages and answers, never going back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from durable_trio._protocol import lifecycle
from durable_trio._protocol.operation import (
    ContextDetails,
    ContextOptions,
    ErrorObject,
    ExecutionDetails,
    OperationAction,
    OperationRecord,
    OperationStatus,
    OperationType,
    OperationUpdate,
    StepDetails,
    StepOptions,
    WaitDetails,
    WaitOptions,
)
from durable_trio._protocol.state import ExecutionState

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST/durable-execution/run/the-id"


def record(id_: str, status: OperationStatus, type_: OperationType = OperationType.STEP) -> OperationRecord:
    """Return a record."""
    return OperationRecord(id_, type_, status, 1, ended_at=2 if status.is_terminal else None)


def update(id_: str, type_: OperationType, action: OperationAction, **members: object) -> OperationUpdate:
    """Return an update."""
    return OperationUpdate(id_, type_, action, **members)  # type: ignore[arg-type]  # passed through as given


def test_the_execution_operation() -> None:
    """The EXECUTION operation is the one whose id ends the ARN; it carries the input."""
    state = ExecutionState(ARN)
    assert state.execution is None
    assert state.input_payload is None
    # An operation that took the id of the execution would be none.
    state.load([record("the-id", OperationStatus.STARTED)])
    assert state.execution is None
    state.load(
        [
            OperationRecord(
                "the-id", OperationType.EXECUTION, OperationStatus.STARTED, 1, details=ExecutionDetails("7")
            )
        ]
    )
    assert state.input_payload == "7"
    assert len(state) == 1


def test_merging_tells_what_changed() -> None:
    """New and changed operations are told; repetitions are not, and a terminal one never changes again."""
    state = ExecutionState(ARN)
    started, ended = record("a", OperationStatus.STARTED), record("a", OperationStatus.SUCCEEDED)

    assert state.merge([started]) == ["a"]
    assert state.merge([started]) == []
    assert state.merge([ended, record("b", OperationStatus.STARTED)]) == ["a", "b"]
    assert state.merge([started, record("a", OperationStatus.FAILED)]) == []
    assert state.get("a") is ended


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(OperationStatus)), max_size=30))
def test_merging_is_idempotent(stream: list[tuple[str, OperationStatus]]) -> None:
    """Merging the same answers twice, whole, changes nothing once everything is terminal."""
    records = [record(id_, status) for id_, status in stream]
    state = ExecutionState(ARN)
    state.merge(records)
    final = {id_: state.get(id_) for id_ in "abc"}
    changed = state.merge(records)

    for id_, before in final.items():
        if before is not None and before.status.is_terminal:
            assert state.get(id_) == before
            assert id_ not in changed


def test_settled_is_what_the_previous_invocation_had_seen() -> None:
    """Neither what changed between the invocations nor what changed in this one is settled."""
    state = ExecutionState(ARN, updated_operation_ids=frozenset({"woken"}))
    state.load([record(id_, OperationStatus.SUCCEEDED) for id_ in ("old", "woken")])
    state.load([record("running", OperationStatus.STARTED)])
    state.merge([record("new", OperationStatus.SUCCEEDED)])

    assert state.is_settled("old")
    assert not any(state.is_settled(id_) for id_ in ("woken", "running", "new", "unknown"))
    assert state.was_resumed
    assert not ExecutionState(ARN).was_resumed
    assert state.is_terminal("new")
    assert not state.is_terminal("running")


def test_the_life_of_a_step_without_echo() -> None:
    """The effect of an update is known without the service repeating it: attempts, delays, results, errors."""
    state = ExecutionState(ARN)
    step, error = OperationType.STEP, ErrorObject("why", "ValueError")

    state.apply(update("s", step, OperationAction.START, name="charge", parent_id="p"), 1_000)
    options = StepOptions(next_attempt_delay_seconds=5)
    state.apply(update("s", step, OperationAction.RETRY, error=error, options=options), 2_000)
    retried = state.get("s")
    assert retried is not None
    assert retried.status is OperationStatus.PENDING
    assert retried.details == StepDetails(attempt=1, next_attempt_at=7_000, error=error)
    assert (retried.name, retried.parent_id, retried.started_at, retried.ended_at) == (
        "charge",
        "p",
        1_000,
        None,
    )

    state.merge([record("s", OperationStatus.READY)])
    state.apply(update("s", step, OperationAction.SUCCEED, payload="7"), 8_000)
    ended = state.get("s")
    assert ended is not None
    assert ended.status is OperationStatus.SUCCEEDED
    assert ended.ended_at == 8_000
    assert isinstance(ended.details, StepDetails)
    assert ended.details.result == "7"


def test_waits_and_contexts_without_echo() -> None:
    """A wait's end and a context's result are known from the update alone."""
    state = ExecutionState(ARN)
    state.apply(
        update("w", OperationType.WAIT, OperationAction.START, options=WaitOptions(wait_seconds=60)), 1_000
    )
    state.apply(update("c", OperationType.CONTEXT, OperationAction.START), 1_000)
    options = ContextOptions(replay_children=True)
    state.apply(
        update("c", OperationType.CONTEXT, OperationAction.SUCCEED, payload="", options=options), 2_000
    )
    wait, context = state.get("w"), state.get("c")

    assert wait is not None
    assert wait.details == WaitDetails(scheduled_end_at=61_000)
    assert context is not None
    assert context.details == ContextDetails(result="", replay_children=True)


@given(
    st.sampled_from([OperationType.STEP, OperationType.CONTEXT, OperationType.WAIT]),
    st.lists(st.sampled_from(OperationAction), max_size=8),
)
def test_applying_follows_the_table(type_: OperationType, actions: list[OperationAction]) -> None:
    """Whatever is applied, the status is the one that the table of transitions leads to."""
    state, status = ExecutionState(ARN), None
    for action in actions:
        state.apply(update("x", type_, action), 1)
        status = lifecycle.next_status(type_, status, action) or status

    known = state.get("x")
    assert (known.status if known else None) is status


def inside(id_: str, parent_id: str | None, status: OperationStatus, ended_at: int | None) -> OperationRecord:
    """Return the record of something in a context."""
    type_ = OperationType.STEP if status is OperationStatus.PENDING else OperationType.WAIT
    return OperationRecord(id_, type_, status, 1, parent_id=parent_id, ended_at=ended_at)


def test_what_was_abandoned_is_not_pending() -> None:
    """Nobody waits for an abandoned operation, nor for what is inside of it, until it is reclaimed."""
    state = ExecutionState(ARN)
    state.load(
        [
            OperationRecord("loser", OperationType.CONTEXT, OperationStatus.STARTED, 1),
            inside("retry", "loser", OperationStatus.PENDING, None),
        ]
    )
    assert state.is_anything_pending(soon=True)
    state.abandon("loser")
    assert not state.is_anything_pending()
    state.abandon("elsewhere")
    state.reclaim("loser")
    assert state.is_anything_pending(soon=True)
    state.load([inside("wait", None, OperationStatus.STARTED, None)])
    state.abandon("loser")
    assert state.is_anything_pending()
    assert not state.is_anything_pending(soon=True)


def test_the_latest_end_of_a_context() -> None:
    """A context that has ended, ended then; one that has not counts by the latest end inside it, at any depth."""
    state = ExecutionState(ARN)
    assert state.latest_end_at("unknown") is None
    state.load(
        [
            # Pages need not have parents first.
            inside("deep", "inner", OperationStatus.SUCCEEDED, 70),
            OperationRecord("inner", OperationType.CONTEXT, OperationStatus.STARTED, 1, parent_id="outer"),
            OperationRecord("outer", OperationType.CONTEXT, OperationStatus.STARTED, 1),
            inside("flat", "outer", OperationStatus.SUCCEEDED, 50),
            inside("open", "outer", OperationStatus.STARTED, None),
            inside("other", None, OperationStatus.SUCCEEDED, 90),
        ]
    )
    assert state.latest_end_at("outer") == 70
    assert state.latest_end_at("inner") == 70
    assert state.latest_end_at("open") is None
    state.load([OperationRecord("outer", OperationType.CONTEXT, OperationStatus.SUCCEEDED, 1, ended_at=80)])
    assert state.latest_end_at("outer") == 80
