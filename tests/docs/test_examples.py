"""The small examples, which the pages of the documentation show, do what the pages say."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING

from support.runs import Handler, run

if TYPE_CHECKING:
    import trio.testing

SMALL = Path(__file__).parents[2] / "examples" / "small"


def handler_of(example: str) -> Handler:
    """Return the handler of an example, as its file defines it."""
    return runpy.run_path(str(SMALL / example))["handler"]


async def test_an_approved_invoice_is_sent_after_the_cool_off(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """One invocation up to the approval, one up to the end of the wait, one to the end: as local.md shows."""
    ran = await run(
        handler_of("invoice.py"), {"cents": 1250}, answers={"approval create callback id": '"ok"'}
    )

    assert ran.result == "sent an invoice of 12.50"
    assert ran.invocations == ["PENDING", "PENDING", "SUCCEEDED"]
    assert [operation.name for operation in ran.operations if operation.parent_id is None][1:] == [
        "write",
        "approval",
        "cool-off",
        "send",
    ]


async def test_an_invoice_that_nobody_approves_fails_after_two_days(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Without an answer the callback's time-out fails the execution, under the service's name for it."""
    ran = await run(handler_of("invoice.py"), {"cents": 1250})

    assert ran.error.type == "Callback.Timeout"
    assert ran.description.ended_at is not None
    assert ran.description.ended_at - ran.description.started_at >= 2 * 86_400_000
