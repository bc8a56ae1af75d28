from __future__ import annotations

from cli.records import FAILED, PENDING, STARTED, SUCCEEDED, callback, context, record, step
from hypothesis import given
from hypothesis import strategies as st

from durable_trio._protocol.operation import OperationRecord, OperationStatus, OperationType
from durable_trio.cli.tree import Moved, OperationTree, callback_name, newly_asked


def tree_of(*records: OperationRecord) -> OperationTree:
    """Make a tree of these records."""
    tree = OperationTree()
    for each in records:
        tree.apply(each)
    return tree


def moved(tree: OperationTree, new: OperationRecord) -> Moved:
    """Apply a record that is news."""
    change = tree.apply(new)
    assert change is not None
    return change


def test_operations_stand_under_their_parent_in_start_order() -> None:
    """An operation is inside the context that its parent id names; siblings keep start order."""
    tree = tree_of(step("a"), context("c", "RunInChildContext"), step("d", parent="c"), step("b"))

    assert [node.name for node in tree.top.nodes] == ["a", "c", "b"]
    assert [node.name for node in tree.top.nodes[1].inside.nodes] == ["d"]
    assert tree.count == 4


def test_a_record_that_comes_twice_moves_nothing() -> None:
    """A snapshot may be followed by changes it already has; they are no news."""
    tree = tree_of(step("a", SUCCEEDED))

    assert tree.apply(step("a", SUCCEEDED)) is None
    assert tree.count == 1


def test_a_record_that_is_out_of_date_moves_nothing() -> None:
    """Changes that were on their way before the snapshot was made tell of the past."""
    stages = [
        step("a"),
        step("a", PENDING, attempt=1),
        step("a", OperationStatus.READY, attempt=1),
        step("a", attempt=1),
        step("a", PENDING, attempt=2),
        step("a", FAILED, attempt=3),
    ]
    for position, latest in enumerate(stages):
        tree = tree_of(*stages[: position + 1])
        assert [tree.apply(older) for older in stages[:position]] == [None] * position
        assert tree.top.nodes[0].record == latest


def test_a_change_tells_where_the_operation_stood_before() -> None:
    """A new operation comes from nowhere, a known one from its last status."""
    tree = OperationTree()

    assert moved(tree, step("a")).before is None
    assert moved(tree, step("a", PENDING, attempt=1)).before is STARTED


def test_the_execution_is_not_one_of_its_operations() -> None:
    """The EXECUTION operation is kept apart."""
    execution = record("e", OperationType.EXECUTION)
    tree = tree_of(execution)

    assert tree.execution == execution
    assert tree.count == 0


def test_an_operation_of_a_hidden_parent_is_shown_at_the_top() -> None:
    """Where the parent is not known, the operation is not lost."""
    tree = tree_of(step("a", parent="gone"))

    assert [node.name for node in tree.top.nodes] == ["a"]


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([STARTED, PENDING, SUCCEEDED, FAILED]))))
def test_counters_agree_with_the_records(changes: list[tuple[int, OperationStatus]]) -> None:
    """After any changes, the counters of a context are what counting its children gives."""
    tree = tree_of(context("map", "Map"))
    latest: dict[int, OperationStatus] = {}
    for number, status in changes:
        if tree.apply(step(f"item-{number}", status, parent="map")) is not None:
            latest[number] = status
    inside = tree.top.nodes[0].inside

    assert len(inside.nodes) == len(latest)
    assert inside.finished_count == sum(status.is_terminal for status in latest.values())
    assert inside.failed_count == sum(status is FAILED for status in latest.values())
    assert set(inside.unfinished) == {f"item-{n}" for n, status in latest.items() if not status.is_terminal}


def test_a_callback_is_open_until_it_is_answered() -> None:
    """``open_callbacks`` holds the callbacks that wait."""
    tree = tree_of(callback("cb"))
    assert list(tree.open_callbacks) == ["cb"]

    tree.apply(callback("cb", SUCCEEDED))
    assert not tree.open_callbacks


def test_a_created_callback_is_asked_at_once() -> None:
    """The handler of ``create_callback`` has its id: somebody may answer."""
    change = moved(OperationTree(), callback("cb"))

    assert newly_asked(change) is change.node
    assert callback_name(change.node) == "cb"


def test_a_waited_for_callback_is_asked_when_its_submitter_is_through() -> None:
    """The callback of ``wait_for_callback`` is known to nobody before; humans call it by the whole's name."""
    tree = tree_of(context("approval", "WaitForCallback"))

    assert newly_asked(moved(tree, callback("cb", parent="approval"))) is None
    assert newly_asked(moved(tree, step("submitter", parent="approval"))) is None
    asked = newly_asked(moved(tree, step("submitter", SUCCEEDED, parent="approval")))
    assert asked is not None
    assert asked.record.id == "cb"
    assert callback_name(asked) == "approval"


def test_an_answered_callback_is_not_asked_again() -> None:
    """A submitter that is through after the answer asks nobody."""
    tree = tree_of(context("approval", "WaitForCallback"), callback("cb", SUCCEEDED, parent="approval"))

    assert newly_asked(moved(tree, step("submitter", SUCCEEDED, parent="approval"))) is None
