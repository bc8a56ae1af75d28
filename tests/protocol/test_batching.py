"""How updates are packed into requests: in order, within both limits, measured as they are encoded."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_trio._protocol import limits
from durable_trio._protocol.batching import MAX_UPDATE_BYTES, encoded_bytes, take_batch
from durable_trio._protocol.operation import (
    ErrorObject,
    OperationAction,
    OperationType,
    OperationUpdate,
    StepOptions,
    WaitOptions,
)
from durable_trio._protocol.wire import encode_update


@dataclass(frozen=True)
class Sized:
    """Something that takes room."""

    number: int
    encoded_bytes: int


def update(payload: str) -> OperationUpdate:
    """Return an update with *payload*."""
    return OperationUpdate(
        "x" * 64,
        OperationType.STEP,
        OperationAction.RETRY,
        parent_id="p" * 64,
        name="n" * 256,
        sub_type="Step",
        payload=payload,
        error=ErrorObject(payload, "ValueError", None, ("line",)),
        options=StepOptions(next_attempt_delay_seconds=31_622_400),
    )


def request_bytes(updates: list[OperationUpdate]) -> int:
    """Return the size of the largest request that these updates may be in."""
    body = {
        "CheckpointToken": "t" * limits.MAX_TOKEN_LENGTH,
        "Updates": [encode_update(one) for one in updates],
        "ClientToken": "c" * 64,
    }
    return len(json.dumps(body).encode())


@given(st.lists(st.integers(1, 400_000), max_size=60))
def test_order_and_limits(sizes: list[int]) -> None:
    """Nothing is lost, doubled or reordered; a batch holds as much as fits, and never nothing."""
    queue = deque(Sized(number, size) for number, size in enumerate(sizes))
    batches = []
    while queue:
        batches.append(take_batch(queue))

    assert [entry.number for batch in batches for entry in batch] == list(range(len(sizes)))
    assert all(batches)
    for batch, following in pairwise(batches):
        total = sum(entry.encoded_bytes for entry in batch)
        assert total + following[0].encoded_bytes > MAX_UPDATE_BYTES
        assert total <= MAX_UPDATE_BYTES + len(", ") or len(batch) == 1


@pytest.mark.parametrize(("count", "taken"), [(0, 0), (1, 1), (249, 249), (250, 250), (251, 250)])
def test_at_most_250(count: int, taken: int) -> None:
    """A request holds at most 250 updates."""
    assert len(take_batch(deque(Sized(n, 1) for n in range(count)))) == taken


@given(st.text(max_size=200), st.integers(1, 20))
def test_sizes_are_those_of_the_encoded_request(text: str, count: int) -> None:
    """The sum of the sizes bounds the real request from above, closely, whatever has to be escaped."""
    updates = [update(text)] * count
    estimate = sum(encoded_bytes(one) for one in updates)
    overhead = limits.MAX_CHECKPOINT_BYTES - MAX_UPDATE_BYTES - len(", ")

    assert request_bytes(updates) <= estimate + overhead
    assert request_bytes(updates) >= estimate + overhead - 8


@given(st.text(max_size=300), st.sampled_from(list(OperationType)), st.sampled_from(list(OperationAction)))
def test_small_updates_are_measured_roughly_but_never_too_short(
    text: str, type_: OperationType, action: OperationAction
) -> None:
    """The size of a small update is an upper bound of its encoded size, by less than 200 bytes."""
    one = OperationUpdate(
        "x" * 64, type_, action, "p" * 64, text, "Step", text, None, WaitOptions(31_622_400)
    )
    exact = len(json.dumps(encode_update(one))) + len(", ")

    assert exact <= encoded_bytes(one) < exact + 200


def test_the_largest_update_fits_a_request() -> None:
    """An update of the largest size makes a request within the limit, even with the longest token."""
    rest = MAX_UPDATE_BYTES - encoded_bytes(update(""))
    largest = update("x" * (rest // 2))  # the payload is in the error, too

    assert MAX_UPDATE_BYTES - 2 < encoded_bytes(largest) <= MAX_UPDATE_BYTES
    assert request_bytes([largest]) <= limits.MAX_CHECKPOINT_BYTES
