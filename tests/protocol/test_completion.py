"""When a batch is decided: AWS's rules in AWS's order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_trio._protocol.completion import CUSTOM_REASONS, CompletionReason, CompletionRules

ALL, ENOUGH, EXCEEDED = (
    CompletionReason.ALL_COMPLETED,
    CompletionReason.MIN_SUCCESSFUL_REACHED,
    CompletionReason.FAILURE_TOLERANCE_EXCEEDED,
)
CUSTOM = CompletionReason.CUSTOM_COMPLETION_FAILED

FAIL_FAST = CompletionRules()
FIRST = CompletionRules(min_successful=1)
TWO = CompletionRules(min_successful=2)
COUNT = CompletionRules(tolerated_failure_count=2)
HALF = CompletionRules(tolerated_failure_percentage=50)
BOTH = CompletionRules(tolerated_failure_count=3, tolerated_failure_percentage=20)
PREDICATE = CompletionRules(tolerated_failure_count=0, has_predicate=True)


@pytest.mark.parametrize(
    ("rules", "succeeded", "failed", "total", "reason"),
    [
        (FAIL_FAST, 0, 0, 0, ALL),
        (FAIL_FAST, 3, 0, 4, None),
        (FAIL_FAST, 4, 0, 4, ALL),
        (FAIL_FAST, 0, 1, 4, EXCEEDED),
        (FAIL_FAST, 3, 1, 4, EXCEEDED),  # tolerance is looked at before completion
        (FIRST, 0, 3, 4, None),  # with only min_successful failures never stop it
        (FIRST, 1, 2, 4, ENOUGH),
        (FIRST, 1, 0, 1, ALL),  # completion is looked at before enough successes
        (FIRST, 0, 4, 4, ALL),
        (TWO, 1, 3, 4, ALL),
        (COUNT, 0, 2, 4, None),  # strictly more
        (COUNT, 0, 3, 4, EXCEEDED),
        (COUNT, 2, 2, 4, ALL),
        (HALF, 0, 2, 4, None),
        (HALF, 0, 3, 4, EXCEEDED),
        (HALF, 1, 2, 3, EXCEEDED),
        (BOTH, 0, 2, 10, None),
        (BOTH, 0, 3, 10, EXCEEDED),  # by percentage, though not by count
        (PREDICATE, 0, 3, 4, None),  # with a predicate tolerance is not looked at
        (PREDICATE, 0, 4, 4, ALL),
    ],
)
def test_the_rules(
    rules: CompletionRules, succeeded: int, failed: int, total: int, reason: CompletionReason | None
) -> None:
    """Each row is one of AWS's rules, or one of the places where two of them meet."""
    assert rules.decide(succeeded=succeeded, failed=failed, total=total) is reason


def test_the_predicates_word_counts() -> None:
    """What the predicate says is the reason, before completion and enough successes."""
    for succeeded in (0, 4):
        assert PREDICATE.decide(succeeded=succeeded, failed=0, total=4, custom=CUSTOM) is CUSTOM
    assert CompletionReason.ALL_COMPLETED not in CUSTOM_REASONS


rules = st.builds(
    CompletionRules,
    st.none() | st.integers(1, 10),
    st.none() | st.integers(0, 10),
    st.none() | st.floats(0, 100),
    st.booleans(),
)


@given(rules, st.integers(0, 10), st.integers(0, 10), st.integers(0, 10))
def test_a_batch_ends_when_its_items_have(
    rules: CompletionRules, succeeded: int, failed: int, running: int
) -> None:
    """A batch is decided when every item has ended, at the latest; and a decision is never taken back."""
    total = succeeded + failed + running
    reason = rules.decide(succeeded=succeeded, failed=failed, total=total)

    if running == 0:
        assert reason is not None
    elif reason is not None:
        assert rules.decide(succeeded=succeeded + 1, failed=failed, total=total) is not None
        assert rules.decide(succeeded=succeeded, failed=failed + 1, total=total) is not None
