"""An execution that one SDK began is finished by the other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

aws_sdk = pytest.importorskip(
    "aws_durable_execution_sdk_python", reason="AWS's SDK is not installed (it is in the extra 'test')"
)

from cross_sdk.relay import AWS, OURS, relayed  # noqa: E402
from cross_sdk.workflows import WORKFLOWS  # noqa: E402

if TYPE_CHECKING:
    from differential.pair import Pair
    from support.runs import Run
    from trio.testing import MockClock

TURNS = {
    "AWS alone": (AWS,),
    "ours alone": (OURS,),
    "AWS begins, ours finishes": (AWS, OURS),
    "ours begins, AWS finishes": (OURS, AWS),
    "in turns": (AWS, OURS, AWS, OURS, AWS, OURS, AWS),
    "in turns, ours first": (OURS, AWS, OURS, AWS, OURS, AWS, OURS),
}


@pytest.mark.parametrize("pair", WORKFLOWS, ids=lambda pair: pair.__name__)
async def test_whoever_runs_an_invocation_the_execution_ends_the_same(
    pair: type[Pair], autojump_clock: MockClock
) -> None:
    """The result, and what every operation recorded, does not depend on which SDK ran which invocation."""
    ends = {name: await relayed(pair, aws_sdk.durable_execution, turns) for name, turns in TURNS.items()}

    results = {name: run.result for name, run in ends.items()}
    assert all(result == results["AWS alone"] for result in results.values()), results
    recorded = {name: outcomes(run) for name, run in ends.items()}
    for name, found in recorded.items():
        assert found == recorded["AWS alone"], name


def outcomes(run: Run) -> dict[str, tuple[Any, ...]]:
    """Return what each operation was, how it ended, and its payload; only ours records stacks."""
    return {
        operation.id: (
            operation.type,
            operation.sub_type,
            operation.name,
            operation.status,
            _without_stacks(json.loads(getattr(operation.details, "result", None) or "null"))
            if operation.type != "CALLBACK"
            else getattr(operation.details, "result", None),
        )
        for operation in run.operations
        if operation.type != "EXECUTION"
    }


def _without_stacks(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _without_stacks(member) for key, member in tree.items() if key != "StackTrace"}
    return [_without_stacks(member) for member in tree] if isinstance(tree, list) else tree
