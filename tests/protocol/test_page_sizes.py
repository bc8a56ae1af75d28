"""How many operations fit into a page of so many bytes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from protocol.service_side import SUCCEED, started_service, update

from durable_trio._protocol.operation import (
    CallbackDetails,
    ChainedInvokeDetails,
    ContextDetails,
    ErrorObject,
    ExecutionDetails,
    OperationRecord,
    OperationStatus,
    OperationType,
    StepDetails,
    WaitDetails,
)
from durable_trio._protocol.pages import PageLimits, fits, most_bytes, state_page
from durable_trio._protocol.wire import Dialect, encode_operation

STEP = OperationType.STEP
# The characters whose JSON is longest, for their length: a control, a quote, and one beyond the first plane.
texts = st.none() | st.text(alphabet='\x00"\\aé\U0001f600', max_size=40)
ids = st.text(alphabet="aZ-_9", min_size=64, max_size=64)
instants = st.integers(0, 9_999_999_999_999)
errors = st.none() | st.builds(
    ErrorObject,
    message=texts,
    type=texts,
    data=texts,
    stack=st.lists(texts.filter(bool), max_size=4).map(tuple),
)
DETAILS: dict[OperationType, st.SearchStrategy[Any]] = {
    OperationType.EXECUTION: st.builds(ExecutionDetails, texts),
    OperationType.CONTEXT: st.builds(ContextDetails, texts, errors, st.booleans()),
    OperationType.STEP: st.builds(StepDetails, st.integers(0, 2**31), instants, texts, errors),
    OperationType.WAIT: st.builds(WaitDetails, instants),
    OperationType.CALLBACK: st.builds(CallbackDetails, st.just("x" * 200), texts, errors),
    OperationType.CHAINED_INVOKE: st.builds(ChainedInvokeDetails, texts, errors),
}


def _size(operation: OperationRecord) -> int:
    return len(json.dumps(encode_operation(operation, Dialect.EVENT)))


@st.composite
def operations(draw: st.DrawFn) -> OperationRecord:
    """Generate operations as big as the rules of a checkpoint allow."""
    type_ = draw(st.sampled_from(OperationType))
    return OperationRecord(
        draw(ids),
        type_,
        draw(st.sampled_from(OperationStatus)),
        draw(instants),
        draw(ids),
        draw(st.text(alphabet='"a', min_size=200, max_size=256)),
        "x" * 32,
        draw(instants),
        draw(DETAILS[type_]),
    )


@given(operation=operations())
def test_the_bound_holds(operation: OperationRecord) -> None:
    """No operation's JSON is longer than what is taken for the most it can have."""
    assert _size(operation) <= most_bytes(operation)


@given(
    payloads=st.lists(st.sampled_from(["1", '"' + "x" * 3_000 + '"', '"' + '"' * 500 + '"']), max_size=12),
    most=st.integers(1, 12_000),
)
def test_a_page_is_full_to_the_byte(payloads: list[str], most: int) -> None:
    """A page takes operations as long as their JSON, written out, is not too long; at least one."""
    service = started_service(
        *(update(STEP, SUCCEED, f"step-{number}", payload=payload) for number, payload in enumerate(payloads))
    )
    left = [entry.operation for entry in service.record.entries()]

    marker, is_first = "", True
    while marker or is_first:
        page = state_page(service.record, marker, PageLimits(1_000, most))
        sizes = [_size(operation) for operation in left]
        count = max(1, sum(sum(sizes[: end + 1]) <= most for end in range(len(sizes))))
        assert list(page.operations) == left[:count]
        assert fits(left, PageLimits(1_000, most)) <= (count == len(left))
        left, marker, is_first = left[count:], page.next_marker, False
    assert not left
