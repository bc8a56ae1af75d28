"""Aligning two executions, on histories written by hand."""

from __future__ import annotations

from durable_trio._protocol.history import EventDetails, EventType, HistoryEvent
from durable_trio.cli.diff_operations import Change, differences
from durable_trio.testing.histories import History

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST/durable-execution/demo/e"


def history(*steps: tuple[str, str, str], parent: str | None = None) -> History:
    """Return a history with steps of these ids, names and results."""
    events = [HistoryEvent(1, EventType.EXECUTION_STARTED, 0, "e", details=EventDetails(input="{}"))]
    if parent is not None:
        events.append(
            HistoryEvent(2, EventType.CONTEXT_STARTED, 0, parent, name="outer", sub_type="RunInChildContext")
        )
    for id_, name, result in steps:
        details = EventDetails(result=result, attempt=1)
        number = len(events) + 1
        events.append(HistoryEvent(number, EventType.STEP_SUCCEEDED, 0, id_, parent, name, "Step", details))
    return History(tuple(events), ARN)


def test_operations_keep_the_order_of_both() -> None:
    """What only the second has comes after what precedes it there."""
    first = history(("a", "A", "1"), ("c", "C", "1"), ("d", "D", "1"))
    second = history(("x", "X", "1"), ("a", "A", "1"), ("b", "B", "1"), ("c", "C", "2"))

    found = differences(first, second)

    assert [(each.id, each.change) for each in found] == [
        (None, Change.SAME),
        ("x", Change.ONLY_SECOND),
        ("a", Change.SAME),
        ("b", Change.ONLY_SECOND),
        ("c", Change.CHANGED),
        ("d", Change.ONLY_FIRST),
    ]
    assert found[-2].members == {"result": ("1", "2")}


def test_equal_json_is_the_same() -> None:
    """White space and the order of members are no difference; instants are never looked at."""
    found = differences(history(("a", "A", '{"x":1,"y":2}')), history(("a", "A", '{"y": 2, "x": 1}')))

    assert [each.change for each in found] == [Change.SAME, Change.SAME]


def test_a_path_names_the_contexts_around() -> None:
    """From the outermost in."""
    found = differences(history(("a", "A", "1"), parent="p"), history(("a", "B", "1"), parent="p"))

    assert found[-1].path == ("outer", "A")
    assert found[-1].members == {"name": ("A", "B")}
