from __future__ import annotations

import io
import time

import pytest
from cli.records import EPOCH, FAILED, PENDING, SUCCEEDED, callback, context, step, wait
from rich.console import Console

from durable_trio._protocol.operation import ErrorObject, OperationRecord
from durable_trio.cli.outline import Mark, Row, outline, span_text
from durable_trio.cli.render import rows_text
from durable_trio.cli.tree import OperationTree


def rows_of(
    *records: OperationRecord, now: int = EPOCH, full: bool = False, max_rows: int | None = None
) -> list[Row]:
    """Outline a tree of these records."""
    tree = OperationTree()
    for each in records:
        tree.apply(each)
    return outline(tree, now, full=full, max_rows=max_rows)


def test_a_finished_step_says_how_long_it_took() -> None:
    """One line: mark, name, kind, duration; attempts if there were several."""
    assert rows_of(step("check", SUCCEEDED, attempt=1), step("charge", SUCCEEDED, attempt=3)) == [
        Row(0, Mark.SUCCEEDED, "check", "Step", "1.0 s"),
        Row(0, Mark.SUCCEEDED, "charge", "Step", "1.0 s, 3 attempts"),
    ]


def test_a_failed_step_says_why() -> None:
    """The error's type and the first line of its message."""
    error = ErrorObject(type="ValueError", message="no such order\nat all")

    assert rows_of(step("check", FAILED, error=error)) == [
        Row(0, Mark.FAILED, "check", "Step", "failed: ValueError: no such order")
    ]


def test_a_retry_counts_down() -> None:
    """A step between attempts says which comes next, when, and after what."""
    error = ErrorObject(type="GatewayUnavailable", message="no answer")
    waiting = step("charge", PENDING, attempt=1, due_at=EPOCH + 2_000, error=error)

    (row,) = rows_of(waiting, now=EPOCH + 500)

    assert row.mark is Mark.WAITING
    assert row.detail == "attempt 2 in 1.5 s, after GatewayUnavailable: no answer"


def test_a_wait_counts_down() -> None:
    """A wait says how long it still lasts, and never less than nothing."""
    assert rows_of(wait("nap", seconds=60), now=EPOCH + 48_000)[0].detail == "12 s left"
    assert rows_of(wait("nap", seconds=60), now=EPOCH + 99_000)[0].detail == "0.0 s left"


def test_wait_for_callback_is_one_line() -> None:
    """Its callback and submitter are parts, not news."""
    assert rows_of(
        context("approval", "WaitForCallback"),
        callback("cb", parent="approval"),
        step("submitter", SUCCEEDED, parent="approval"),
    ) == [Row(0, Mark.WAITING, "approval", "WaitForCallback", "waits for an answer")]


def test_a_finished_context_is_one_line_and_an_unfinished_one_is_open() -> None:
    """What is over is collapsed."""
    inside = step("a", SUCCEEDED, parent="shipping")

    assert [row.label for row in rows_of(context("shipping", "RunInChildContext"), inside)] == [
        "shipping",
        "a",
    ]
    done = context("shipping", "RunInChildContext", SUCCEEDED)
    assert [row.label for row in rows_of(done, inside)] == ["shipping"]
    assert [row.label for row in rows_of(done, inside, full=True)] == ["shipping", "a"]


def test_a_map_shows_progress_and_its_first_unfinished_items() -> None:
    """A crowd is counters and a few items, each with what it is doing, in one line."""
    items = [context(f"item-{n}", "MapIteration", SUCCEEDED, parent="pack") for n in range(30)]
    busy = [context(f"item-{n}", "MapIteration", parent="pack") for n in range(30, 40)]
    inner = [step(f"seal-{n}", parent=f"item-{n}") for n in range(30, 40)]

    rows = rows_of(context("pack", "Map"), *items, *busy, *inner)

    assert rows[0] == Row(0, Mark.RUNNING, "pack", "Map", "30 done, 10 under way", progress=(30, 10))
    assert [row.label for row in rows[1:]] == [
        "item-30 > seal-30",
        "item-31 > seal-31",
        "item-32 > seal-32",
        "item-33 > seal-33",
        "6 more unfinished",
    ]


def test_only_the_latest_of_many_siblings_are_shown() -> None:
    """Older ones are counted, but one that is still going on stays visible."""
    rows = rows_of(wait("long"), *[step(f"s{n}", SUCCEEDED) for n in range(40)])

    assert rows[0].label == "29 earlier operations"
    assert rows[1].label == "long"
    assert [row.label for row in rows[2:]] == [f"s{n}" for n in range(28, 40)]


def test_an_outline_fits_the_terminal() -> None:
    """With ``max_rows`` the top is cut, and says so."""
    rows = rows_of(*[step(f"s{n}", SUCCEEDED) for n in range(10)], max_rows=5)

    assert [row.label for row in rows] == ["6 lines above are not shown", "s6", "s7", "s8", "s9"]


def test_a_frame_costs_the_same_however_much_has_happened() -> None:
    """Outlining a map of 20,000 items visits only what it shows."""
    tree = OperationTree()
    tree.apply(context("pack", "Map"))
    for number in range(20_000):
        tree.apply(context(f"item-{number}", "MapIteration", SUCCEEDED, parent="pack"))
    started = time.perf_counter()
    for _ in range(100):
        outline(tree, EPOCH)

    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (-5, "0.0 s"),
        (1_240, "1.2 s"),
        (9_960, "10 s"),
        (59_600, "1 min"),
        (200_000, "3 min 20 s"),
        (7_500_000, "2 h 5 min"),
        (2 * 86_400_000, "2 d"),
    ],
)
def test_spans_are_told_in_two_units(milliseconds: int, text: str) -> None:
    """Tenths below ten seconds, then the two biggest units."""
    assert span_text(milliseconds) == text


def test_names_are_never_markup() -> None:
    """A step called like a colour keeps its name."""
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(rows_text(rows_of(step("[red]hot[/red]", SUCCEEDED))))

    assert "✓ [red]hot[/red]  Step  1.0 s" in console.export_text()
