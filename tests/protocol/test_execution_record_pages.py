"""Which operations a function is shown, and how they are paged."""

import pytest
from protocol.service_side import CONTEXT, FAIL, START, STEP, SUCCEED, started_service, update

from durable_trio._protocol.envelope import Pending
from durable_trio._protocol.execution_record import ExecutionRecord
from durable_trio._protocol.operation import ContextOptions
from durable_trio._protocol.pages import PageLimits, page_size, state_page, visible
from durable_trio._protocol.refusals import RefusedError


def _ids(record: ExecutionRecord) -> list[str]:
    return [entry.operation.id for entry in visible(record)]


def test_children_of_a_finished_context_are_left_out_at_any_depth() -> None:
    """A finished context answers from its own result; nobody asks for what is inside."""
    service = started_service(
        update(CONTEXT, START, "outer"),
        update(CONTEXT, START, "inner", parent="outer"),
        update(STEP, SUCCEED, "deep", parent="inner"),
        update(STEP, SUCCEED, "beside"),
    )
    assert _ids(service.record)[1:] == ["outer", "inner", "deep", "beside"]

    service.checkpoint(update(CONTEXT, FAIL, "outer"))

    assert _ids(service.record)[1:] == ["outer", "beside"]


def test_children_to_be_replayed_stay() -> None:
    """A context closed with ReplayChildren keeps its children, but not those of finished contexts inside."""
    service = started_service(
        update(CONTEXT, START, "outer"),
        update(CONTEXT, START, "inner", parent="outer"),
        update(STEP, SUCCEED, "deep", parent="inner"),
    )
    service.checkpoint(
        update(CONTEXT, SUCCEED, "inner"),
        update(CONTEXT, SUCCEED, "outer", options=ContextOptions(replay_children=True)),
    )

    assert _ids(service.record)[1:] == ["outer", "inner"]


def test_pages_hold_every_operation_once_in_start_order() -> None:
    """Following the markers gives everything, whatever the size of a page, also while operations are added."""
    service = started_service(*(update(STEP, START, f"step-{number}") for number in range(10)))
    seen, marker = [], ""
    while True:
        page = state_page(service.record, marker, PageLimits(max_items=4))
        seen += [operation.id for operation in page.operations]
        marker = page.next_marker
        if not marker:
            break
        if len(service.record) == 11:
            service.checkpoint(update(STEP, START, "step-10"))

    assert seen == [service.record.id, *(f"step-{number}" for number in range(11))]


def test_the_first_page_of_an_invocation_is_limited_by_bytes_too() -> None:
    """A page ends before it gets too big, but holds at least one operation."""
    service = started_service(
        *(update(STEP, SUCCEED, f"step-{number}", payload="x" * 1000) for number in range(5))
    )
    service.checkpoint(update(STEP, START, "last"))

    page = state_page(service.record, "", PageLimits(100, max_bytes=2500))
    tiny = state_page(service.record, "", PageLimits(100, max_bytes=1))

    assert [operation.id for operation in page.operations] == [service.record.id, "step-0", "step-1"]
    assert page.next_marker
    assert len(tiny.operations) == 1


def test_an_invocation_begins_with_the_first_page() -> None:
    """What does not fit in the event is read page by page."""
    service = started_service(*(update(STEP, START, f"step-{number}") for number in range(5)))
    service.end(Pending())
    service.advance(60)

    invocation = service.begin(PageLimits(2))

    assert len(invocation.operations) == 2
    rest = state_page(service.record, invocation.next_marker, PageLimits(100))
    assert len(rest.operations) == 4
    assert rest.next_marker == ""


@pytest.mark.parametrize("marker", ["nonsense", "c3RhdGU6eA==", "ZXZlbnRzOjE="])
def test_a_marker_that_is_none_of_ours(marker: str) -> None:
    """A marker that the service did not give, or gave for another listing, is refused."""
    service = started_service()

    with pytest.raises(RefusedError, match="Marker is not one that this service gave"):
        state_page(service.record, marker, PageLimits())


def test_page_size() -> None:
    """0 means 100; the most is 1000."""
    assert [page_size(items) for items in (0, 1, 1000)] == [100, 1, 1000]
    for bad in (-1, 1001):
        with pytest.raises(RefusedError, match=f"MaxItems must be 0 to 1000, not {bad}"):
            page_size(bad)
