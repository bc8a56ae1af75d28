"""The store gives back what was saved, change by change."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from protocol.random_updates import REQUESTS
from protocol.service_side import arn_of

import durable_trio
from durable_trio._protocol.checkpointing import apply_checkpoint
from durable_trio._protocol.envelope import Pending
from durable_trio._protocol.execution_record import ExecutionIdentity, ExecutionRecord, start_record
from durable_trio._protocol.invocation_rules import RetryPolicy, begin_invocation, end_invocation
from durable_trio._protocol.opaque import checkpoint_token
from durable_trio._protocol.pages import PageLimits
from durable_trio._protocol.refusals import RefusedError
from durable_trio._protocol.service_moves import fire_due
from durable_trio.local.schema import open_database
from durable_trio.local.store import Store

if TYPE_CHECKING:
    from durable_trio._protocol.operation import OperationUpdate


def _save(store: Store, record: ExecutionRecord) -> None:
    changes = record.take_changes()
    store.begin()
    store.save(record, changes)
    store.commit()


def _assert_same(stored: ExecutionRecord, record: ExecutionRecord) -> None:
    """Compare two records; what is left in a timer table's heap does not count."""
    assert {timer.key: timer for timer in stored.timers} == {timer.key: timer for timer in record.timers}
    kept, record.timers = record.timers, stored.timers
    try:
        assert stored == record
        assert stored.unseen() == record.unseen()
    finally:
        record.timers = kept


@settings(max_examples=40, deadline=None)
@given(requests=REQUESTS, delays=st.lists(st.integers(0, 10), min_size=25, max_size=25))
def test_writing_only_what_changed_is_enough(
    requests: list[list[OperationUpdate]], delays: list[int]
) -> None:
    """After any sequence of requests, timers and invocations the rows hold the whole record."""
    store = Store(open_database(":memory:", 0))
    now = 1_700_000_000_000
    record = start_record(ExecutionIdentity(arn_of(), now, 86_400, 14), "null")
    store.begin()
    store.create(record, "host")
    store.commit()
    for request, delay in zip(requests, delays, strict=False):
        if record.is_invocation_due:
            begin_invocation(record, f"request-{record.invocation_count}", now, PageLimits())
        with suppress(RefusedError):
            token = checkpoint_token(record.id, record.token_sequence)
            apply_checkpoint(record, token, f"call-{now}", request, now, lambda options: None)
        if delay % 3 == 0 and record.active is not None:
            end_invocation(record, record.active.request_id, Pending(), now, RetryPolicy(), 0.5)
        now += delay * 1000
        fire_due(record, now)
        _save(store, record)

        stored = store.load(record.id)
        assert stored is not None
        _assert_same(stored.record, record)
    store.close()


def test_importing_the_service_is_cheap() -> None:
    """The service needs neither the command line's libraries nor AWS's."""
    heavy = "boto3 botocore click rich pytest hypothesis"
    code = f"import durable_trio.local, sys; print([m for m in {heavy.split()!r} if m in sys.modules])"
    root = Path(durable_trio.__file__).parents[1]

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )

    assert result.stdout.strip() == "[]"
