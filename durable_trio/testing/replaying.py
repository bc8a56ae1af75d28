"""Replay tests: does today's code still agree with an execution of the past?

``replay_history(handler, history)`` runs the handler over what was recorded, from every point at which an
invocation began and from the moment before each context was closed (``replaying_points``), and fails at the first
difference: another type, subtype, name or parent at some place; an operation that the recorded run never asked for;
one that it did ask for and the program does not; a context or the handler itself coming to another end. No body of a
step runs, nothing is sent anywhere, and what had not ended by that point stays so.

What a replay cannot tell: what happens in the bodies of steps, and whether something that was not recorded (the
handler's own calls of the outside world) has changed.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio

from durable_trio._protocol.envelope import Failed, Outcome, Succeeded
from durable_trio.config import ReplayLogging
from durable_trio.exceptions import ConfigurationError, NonDeterministicExecutionError, ValidationError
from durable_trio.handler import DurableHandler
from durable_trio.testing.histories import History
from durable_trio.testing.replaying_findings import Finding, Findings
from durable_trio.testing.replaying_points import ReplayPoint, default_max_points, replay_points
from durable_trio.testing.replaying_recorded import Recorded
from durable_trio.testing.replaying_run import HistoryClient, ReplayInvocation
from durable_trio.testing.sentinel_frames import count_as_users

if TYPE_CHECKING:
    import os

    from durable_trio._protocol.operation import ErrorObject
    from durable_trio.testing.sentinel_frames import SourceLine

__all__ = ["ReplayDivergenceError", "ReplayReport", "replay_history", "replay_history_sync"]

PATIENCE_SECONDS: Final = 60.0
"""How long, by Trio's clock, a replay may take before it counts as stuck: nothing in it waits for time."""


class ReplayDivergenceError(AssertionError):
    """The handler does not replay a history.

    Attributes:
        difference: what differs, in words.
        operation_id, operation_name: of which operation; None if it is the handler's own end.
        line: where the program asked for the operation; None where that cannot be told.
        point: from where the history was replayed.
        others: further differences of the same replay, as text.
    """

    def __init__(
        self, history: History, point: ReplayPoint, finding: Finding, others: tuple[str, ...] = ()
    ) -> None:
        self.difference = finding.text
        self.operation_id = finding.operation_id
        self.operation_name = finding.operation_name
        self.line: SourceLine | None = finding.line
        self.point = point
        self.others = others
        lines = [f"the handler does not replay {history.name!r} from {point}:", finding.text]
        if finding.line is not None:
            lines.append(f"asked for at {finding.line}")
        lines += [f"and: {other}" for other in others]
        super().__init__("\n".join(lines))


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What was replayed, all of it without a difference.

    Attributes:
        points: from where, in the order of time.
        left_out: how many points were not tried, because of ``max_points``.
        operations: how many operations the history has.
    """

    points: tuple[ReplayPoint, ...]
    left_out: int
    operations: int

    def __str__(self) -> str:
        text = f"{self.operations} operations, replayed from {len(self.points)} points"
        return text if self.left_out == 0 else f"{text} ({self.left_out} points left out)"


async def replay_history(
    handler: DurableHandler[Any, Any],
    history: History | str | os.PathLike[str],
    *,
    seed: int | None = None,
    max_points: int | None = None,
    lambda_context: Any = None,
) -> ReplayReport:
    """Run *handler* over *history* from every point, and fail at the first difference.

    Args:
        handler: made by ``@durable_execution``; its plugins and its ``on_error`` are not called.
        history: a history, or the file that has one.
        seed: makes Trio's order of tasks a function of it; None leaves it to chance.
        max_points: from how many points at most, at least 1; the end is always one. By default 200, and fewer (down to
            20) for a history of more than 500 operations, so that about 100,000 operations are replayed in all.
        lambda_context: what ``ctx.lambda_context`` is; by default None.

    Returns:
        What was replayed.

    Raises:
        ReplayDivergenceError: the handler differs.
        HistoryFormatError: the file is no history.
        ConfigurationError: *handler* was not made by ``@durable_execution``.
        ValidationError: *max_points* is less than 1.

    If cancelled, the replay ends; there is nothing to undo.
    """
    durable = _durable(handler)
    if max_points is not None and max_points < 1:
        raise ValidationError(f"max_points must be at least 1, not {max_points!r}")
    if not isinstance(history, History):
        history = History.load(history)
    if max_points is None:
        max_points = default_max_points(history)
    recorded = Recorded(history)
    count_as_users(durable)
    points, left_out = replay_points(history, max_points)
    with _scheduling(seed):
        for point in points:
            found = await _replay(durable, recorded, point, lambda_context)
            if found:
                raise ReplayDivergenceError(history, point, found[0], tuple(each.text for each in found[1:]))
    return ReplayReport(tuple(points), left_out, len(recorded.operations) - 1)


def replay_history_sync(
    handler: DurableHandler[Any, Any],
    history: History | str | os.PathLike[str],
    *,
    seed: int | None = None,
    max_points: int | None = None,
    lambda_context: Any = None,
) -> ReplayReport:
    """Do as ``replay_history``, in a Trio run of its own on virtual time; for tests without pytest-trio.

    Raises:
        RuntimeError: called inside a Trio run.
        ReplayDivergenceError, HistoryFormatError, ConfigurationError, ValidationError: as ``replay_history``.
    """
    from trio.testing import MockClock

    run = partial(
        replay_history, handler, history, seed=seed, max_points=max_points, lambda_context=lambda_context
    )
    return trio.run(run, clock=MockClock(autojump_threshold=0))


def _durable(handler: Any) -> DurableHandler[Any, Any]:
    owner = getattr(handler, "__self__", handler)  # the command line has its ``invoke``
    if not isinstance(owner, DurableHandler):
        raise ConfigurationError(f"handler must be made by @durable_execution, not {handler!r}")
    return owner


def _scheduling(seed: int | None) -> Any:
    if seed is None:
        return nullcontext()
    from durable_trio.testing.simulation_host import seeded_scheduling

    return seeded_scheduling(seed)


async def _replay(
    handler: DurableHandler[Any, Any], recorded: Recorded, point: ReplayPoint, lambda_context: Any
) -> list[Finding]:
    """Replay from one point; return what differs."""
    findings = Findings(recorded, point)
    client = HistoryClient(findings)
    options = replace(
        handler._options,  # of the same package
        plugins=(),
        on_error=None,
        replay_logging=ReplayLogging.SUPPRESS_ALL,
    )
    invocation = ReplayInvocation(findings, client, options, lambda_context)
    outcome: Outcome | Exception | None = None
    with trio.move_on_after(PATIENCE_SECONDS):
        try:
            outcome = await invocation.run(handler.fn, "replay-0")
        except Exception as error:  # noqa: BLE001  # what Lambda would see as a crash: judged below
            outcome = error
    if any(isinstance(error, NonDeterministicExecutionError) for error in _errors(outcome, invocation)):
        return findings.found
    if outcome is None:
        findings.add(f"it did not come to rest within {PATIENCE_SECONDS:g} seconds", None)
    _judge(findings, point, outcome, client)
    return findings.found


def _errors(outcome: Outcome | Exception | None, invocation: ReplayInvocation) -> list[Any]:
    return [outcome, invocation._fatal]  # set even where the program has swallowed it


def _judge(
    findings: Findings, point: ReplayPoint, outcome: Outcome | Exception | None, client: HistoryClient
) -> None:
    recorded, history = findings.recorded, findings.recorded.history
    match outcome:
        case Succeeded(result):
            result = (client.ending.payload or "") if client.ending is not None else result
            findings.conclude(f"the handler returned {result}", has_ended=True)
            if not findings.looks_ahead or not recorded.is_finished:
                return
            if history.status != "SUCCEEDED":
                findings.add(
                    f"the handler returned {result}, but the recorded execution {_end(history)}", None
                )
            elif (differs := recorded.payload_difference(history.result, result)) is not None:
                findings.add(f"the handler returned another result:\n{differs}", None)
        case Failed(error):
            error = client.ending.error if client.ending is not None else error
            findings.conclude(f"the handler failed with {_error_text(error)}", has_ended=True)
            if not findings.looks_ahead or not recorded.is_finished:
                return
            if history.status != "FAILED":
                findings.add(
                    f"the handler failed with {_error_text(error)}, but the recorded execution {_end(history)}",
                    None,
                )
            elif (differs := recorded.error_difference(history.error, error)) is not None:
                findings.add(f"the handler failed with another error:\n{differs}", None)
        case Exception():
            if point.is_end and recorded.is_finished:
                findings.add(
                    f"the invocation raised {outcome!r}, but the recorded execution {_end(history)}", None
                )
        case _:
            findings.conclude("the handler waits for something else", has_ended=False)
            if point.is_end and recorded.is_finished:
                findings.add(f"the handler does not end, but the recorded execution {_end(history)}", None)


def _end(history: History) -> str:
    return "succeeded" if history.status == "SUCCEEDED" else f"failed with {_error_text(history.error)}"


def _error_text(error: ErrorObject | None) -> str:
    return "no error" if error is None else f"{error.type}: {error.message}"
