"""Histories of executions that AWS's own SDK ran, replayed over our spelling of the same workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

aws_sdk = pytest.importorskip(
    "aws_durable_execution_sdk_python", reason="AWS's SDK is not installed (it is in the extra 'test')"
)

from cross_sdk.relay import AWS, relayed  # noqa: E402
from cross_sdk.workflows import WORKFLOWS  # noqa: E402

import durable_trio  # noqa: E402
from durable_trio import aws_python_serdes  # noqa: E402
from durable_trio.testing import History, replay_history  # noqa: E402
from durable_trio.testing.histories_recording import history_of  # noqa: E402

if TYPE_CHECKING:
    from differential.pair import Pair
    from trio.testing import MockClock


@pytest.mark.parametrize("pair", WORKFLOWS, ids=lambda pair: pair.__name__)
async def test_a_migration_can_be_tested(pair: type[Pair], autojump_clock: MockClock) -> None:
    """Whether a workflow that moves to this SDK agrees with the executions that are under way can be told beforehand."""
    run = await relayed(pair, aws_sdk.durable_execution, (AWS,))
    recorded = history_of(run.events, run.operations, run.description.arn).to_document()
    answer: dict[str, Any] = {"Events": recorded["Events"]}  # what AWS tells
    history = History.from_document(answer, execution_arn=run.description.arn)
    ours: Any = durable_trio.durable_execution(pair().ours, serdes=aws_python_serdes())

    report = await replay_history(ours, history)

    assert len(report.points) > 1
