"""The small examples, which the pages of the documentation show, do what the pages say."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from durable_trio import Duration
from durable_trio.testing import DurableRunner

SMALL = Path(__file__).parents[2] / "examples" / "small"


def handler_of(example: str) -> Any:
    """Return the handler of an example, as its file defines it."""
    return runpy.run_path(str(SMALL / example))["handler"]


def test_an_approved_invoice_is_sent_after_the_cool_off() -> None:
    """One invocation up to the approval, one up to the end of the wait, one to the end: as local.md shows."""
    runner = DurableRunner(handler_of("invoice.py"))
    runner.callback("approval").succeed('"ok"', after=Duration.days(1))

    ran = runner.run_sync({"cents": 1250})

    assert ran.result == "sent an invoice of 12.50"
    assert [invocation.status for invocation in ran.invocations] == ["PENDING", "PENDING", "SUCCEEDED"]
    ran.assert_operations(["write", "approval", "cool-off", "send"])


def test_an_invoice_that_nobody_approves_fails_after_two_days() -> None:
    """Without an answer the callback's time-out fails the execution, under the service's name for it."""
    ran = DurableRunner(handler_of("invoice.py")).run_sync({"cents": 1250})

    ran.assert_failed("Callback.Timeout")
    assert ran.duration_seconds == 2 * 86_400
