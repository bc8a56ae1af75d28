from __future__ import annotations

from cli.records import EPOCH, FAILED, PENDING, STARTED, SUCCEEDED, callback, context, step, wait

from durable_trio._protocol.operation import ErrorObject, OperationRecord, OperationStatus
from durable_trio.cli.plain import PlainView
from durable_trio.cli.tree import OperationTree

NO_ANSWER = ErrorObject(type="GatewayUnavailable", message='no "answer"')


def lines_of(*records: OperationRecord) -> list[str]:
    """Return what is printed when these records come in, one after the other."""
    lines: list[str] = []
    view = PlainView(lines.append)
    tree = OperationTree()
    for each in records:
        moved = tree.apply(each)
        if moved is not None:
            view.moved(moved)
    return lines


def test_a_step_is_news_when_it_has_ended() -> None:
    """The START of a step is not worth a line, its end is."""
    assert lines_of(step("check"), step("check", SUCCEEDED, attempt=1)) == ["step check SUCCEEDED"]


def test_a_retry_is_news() -> None:
    """A failed attempt says when the next one is due and what went wrong."""
    retrying = step("charge", PENDING, attempt=1, due_at=EPOCH + 2_000, error=NO_ANSWER)
    lines = lines_of(step("charge"), retrying, step("charge", OperationStatus.READY, attempt=1))

    assert lines == [
        "step charge PENDING attempt=1 due_at=2026-11-20T12:25:41Z "
        'error="GatewayUnavailable: no \\"answer\\""'
    ]


def test_waits_and_callbacks_are_news_when_they_start() -> None:
    """Somebody may look at them for days."""
    assert lines_of(wait("nap", seconds=90), wait("nap", SUCCEEDED, seconds=90)) == [
        "wait nap STARTED seconds=90",
        "wait nap SUCCEEDED",
    ]
    assert lines_of(callback("ask me", callback_id="Y2I=")) == ['callback "ask me" STARTED id=Y2I=']


def test_nested_operations_are_named_by_their_path() -> None:
    """An operation inside a context carries the context's name."""
    assert lines_of(context("shipping", "RunInChildContext"), step("book", SUCCEEDED, parent="shipping")) == [
        "run-in-child-context shipping STARTED",
        "step shipping/book SUCCEEDED",
    ]


def test_a_map_is_counted_not_listed() -> None:
    """Items make a line per fifty; only what fails or is tried again inside of them is told."""
    items = [
        context(f"item-{n}", "MapIteration", status, parent="pack")
        for n in range(120)
        for status in (STARTED, SUCCEEDED)
    ]
    trouble = [
        context("item-x", "MapIteration", parent="pack"),
        step("seal", PENDING, parent="item-x", attempt=1),
        step("seal", FAILED, parent="item-x", attempt=2, error=NO_ANSWER),
    ]

    assert lines_of(context("pack", "Map"), *items, *trouble, context("pack", "Map", SUCCEEDED)) == [
        "map pack STARTED",
        "map pack 50 finished",
        "map pack 100 finished",
        "step pack/item-x/seal PENDING attempt=1",
        'step pack/item-x/seal FAILED attempt=2 error="GatewayUnavailable: no \\"answer\\""',
        "map pack SUCCEEDED items=121",
    ]
