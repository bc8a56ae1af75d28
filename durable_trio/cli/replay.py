"""``durable-trio replay``: does the code of today still agree with an execution of the past?

With ``--hash-seeds`` the history is also replayed in processes of their own, each with another ``PYTHONHASHSEED``.
The order in which a set of strings is iterated depends on that seed and on nothing else, it is fixed for the life
of a process, and Lambda starts new processes all the time: so that is the way to see an order that comes from a set.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from durable_trio.cli.errors import EXIT_FAILED, UserError
from durable_trio.cli.json_text import document
from durable_trio.cli.loading import HandlerReference, load_target
from durable_trio.cli.options import json_option
from durable_trio.cli.replay_histories import read_history

if TYPE_CHECKING:
    from durable_trio.testing.histories import History
    from durable_trio.testing.replaying import ReplayDivergenceError, ReplayReport

_MAX_HASH_SEEDS: Final = 100


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("handler", metavar="HANDLER")
@click.option("--arn", help="The execution's ARN, if FILE does not tell.")
@click.option("--seed", type=int, help="Make Trio's order of tasks a function of this number.")
@click.option(
    "--hash-seeds",
    type=click.IntRange(min=1, max=_MAX_HASH_SEEDS),
    help="Replay in so many further processes, each with another order of sets.",
)
@click.option(
    "--max-points",
    type=click.IntRange(min=1),
    help="From how many points; by default 200, fewer if it is long.",
)
@json_option
def replay(
    file: Path,
    handler: str,
    arn: str | None,
    seed: int | None,
    hash_seeds: int | None,
    max_points: int | None,
    as_json: bool,
) -> None:
    """Replay a recorded history over a handler; exit code 1 if they differ.

    FILE is what durable-trio record wrote, or the JSON of GetDurableExecutionHistory, with its execution data.
    HANDLER is file.py:handler or package.module:handler. No step runs, and nothing is recorded.

    \b
    Example:
      durable-trio replay tests/histories/order.json examples/order_fulfilment.py:handler
    """
    history = read_history(file, arn)
    # What the handler prints and logs is not the answer.
    with contextlib.redirect_stdout(sys.stderr):
        report, divergence = _replayed(handler, history, seed, max_points)
    if divergence is None and hash_seeds is not None:
        options = [] if seed is None else ["--seed", str(seed)]
        options += [] if arn is None else ["--arn", arn]
        options += [] if max_points is None else ["--max-points", str(max_points)]
        _replay_with_hash_seeds([str(file), handler, *options], hash_seeds, as_json=as_json)
    if as_json:
        click.echo(document(_document(history, report, divergence)))
    elif report is not None:
        click.echo(f"{file} replays: {report}")
    if divergence is not None:
        if not as_json:
            click.echo(str(divergence), err=True)
        sys.exit(EXIT_FAILED)


def _replayed(
    handler: str, history: History, seed: int | None, max_points: int | None
) -> tuple[ReplayReport | None, ReplayDivergenceError | None]:
    from durable_trio.exceptions import ConfigurationError
    from durable_trio.testing.replaying import ReplayDivergenceError, replay_history_sync

    target: Any = load_target(HandlerReference.parse(handler))
    try:
        return replay_history_sync(target, history, seed=seed, max_points=max_points), None
    except ReplayDivergenceError as divergence:
        return None, divergence
    except ConfigurationError as error:
        raise UserError(str(error)) from error


def _document(
    history: History, report: ReplayReport | None, divergence: ReplayDivergenceError | None
) -> dict[str, Any]:
    found: dict[str, Any] = {"DurableExecutionArn": history.execution_arn, "Replays": divergence is None}
    if report is not None:
        found["Points"] = len(report.points)
        found["PointsLeftOut"] = report.left_out
        found["Operations"] = report.operations
    if divergence is not None:
        found["Difference"] = divergence.difference
        found["Point"] = str(divergence.point)
        found["OperationId"] = divergence.operation_id
        found["OperationName"] = divergence.operation_name
        if divergence.line is not None:
            found["File"] = divergence.line.filename
            found["Line"] = divergence.line.number
    return found


def _replay_with_hash_seeds(arguments: list[str], count: int, *, as_json: bool) -> None:
    for seed in range(1, count + 1):
        command = [sys.executable, "-m", "durable_trio", "replay", *arguments, "--json"]
        ran = subprocess.run(  # noqa: S603  # this program, with the user's own arguments
            command,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode == 0:
            continue
        if ran.returncode != EXIT_FAILED:
            raise UserError(f"the replay with PYTHONHASHSEED={seed} did not run: {ran.stderr.strip()}")
        found = json.loads(ran.stdout)
        hint = (
            f"It replays in this process, but not with PYTHONHASHSEED={seed}: something depends on the order of a"
            " set. Sort it."
        )
        if as_json:
            click.echo(document({**found, "HashSeed": seed, "Hint": hint}))
        else:
            where = f"\nasked for at {found['File']}:{found['Line']}" if "File" in found else ""
            click.echo(f"from {found['Point']}:\n{found['Difference']}{where}\n{hint}", err=True)
        sys.exit(EXIT_FAILED)
