"""Differential tests: AWS's SDK and durable_trio tell the service the same about the same workflow.

Executions started by one can therefore be read by whatever knows the other: history, console, plugins. What
differs is in one table, with the reason; an entry that is no longer needed fails, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import durable_trio

aws_sdk = pytest.importorskip(
    "aws_durable_execution_sdk_python", reason="AWS's SDK is not installed (it is in the extra 'test')"
)

from differential import batch_pairs, context_pairs, step_pairs, wait_pairs  # noqa: E402
from differential.aws_bridge import AwsHandler  # noqa: E402
from differential.pair import PAIRS  # noqa: E402
from differential.running import run_recorded  # noqa: E402
from differential.traces import differences  # noqa: E402

if TYPE_CHECKING:
    from differential.pair import Pair
    from trio.testing import MockClock

# --- the allowed differences -----------------------------------------------------------------------------

READABLE_BATCH = "AWS tags every value of a batch's record; ours is plain JSON that other languages can read"
READABLE_VALUE = (
    "AWS tags every value that is not primitive; ours is plain JSON that other languages can read"
)
ANSWER_AS_IT_IS = "AWS encodes the text of the answer again; ours keeps it, and decodes it once"
CAUSE = "AWS names its wrapper; ours names the type of the error that the user's code raised"
SHORT_NAME = "AWS qualifies its own classes; ours have the same names without the module"
OWN_WORDS = "the message is the SDK's own"
SUBMITTER = "AWS records the step's error; ours says that it was the submitter's, so that replay can tell"

ALLOWED: dict[str, dict[tuple[str, str], str]] = {
    "StepWithARecord": {("load", "payloads"): READABLE_VALUE},
    "AtMostOnceInterrupted": {
        ("charge", "error_types"): SHORT_NAME,
        ("charge", "error_messages"): OWN_WORDS,
    },
    "HandlerFails": {("the execution", "error type"): CAUSE},
    "WaitsForCallback": {("approval", "payloads"): ANSWER_AS_IT_IS},
    "SubmitterFails": {("approval", "error_types"): SUBMITTER},
    "Map": {("doubles", "payloads"): READABLE_BATCH},
    "EmptyMap": {("doubles", "payloads"): READABLE_BATCH},
    "MapOneByOne": {("slow", "payloads"): READABLE_BATCH},
    "MapThatTolerates": {("some", "payloads"): READABLE_BATCH, ("map-item-1", "error_types"): CAUSE},
    "MapThatGivesUp": {("few", "payloads"): READABLE_BATCH},
    "FlatMap": {("doubles", "payloads"): READABLE_BATCH},
    "Parallel": {("both", "payloads"): READABLE_BATCH},
    "FlatParallel": {("flat", "payloads"): READABLE_BATCH},
    "FirstOfParallel": {("race", "payloads"): READABLE_BATCH},
}


FAMILIES = (step_pairs, wait_pairs, context_pairs, batch_pairs)
"""Where the pairs are; importing a module registers its pairs."""


# --- the test --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.__name__)
async def test_both_sdks_tell_the_service_the_same(pair: type[Pair], autojump_clock: MockClock) -> None:
    """Same ids, types, subtypes, names, parents, actions in order, options, errors and payloads; same answers."""
    theirs = await run_recorded(
        AwsHandler(pair().aws, aws_sdk.durable_execution), answers=pair.answers, fails_at=pair.fails_at
    )
    ours = await run_recorded(
        durable_trio.durable_execution(pair().ours), answers=pair.answers, fails_at=pair.fails_at
    )

    found = differences(theirs, ours)
    assert set(found) == set(ALLOWED.get(pair.__name__, {})), found


def test_the_table_speaks_of_workflows_that_exist() -> None:
    """Every entry of the table of allowed differences belongs to a pair, and every family has pairs."""
    assert set(ALLOWED) <= {pair.__name__ for pair in PAIRS}
    assert {pair.__module__ for pair in PAIRS} == {family.__name__ for family in FAMILIES}
