"""``durable-trio record``, and how commands read a recorded history."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from durable_trio.cli.errors import UserError
from durable_trio.cli.json_text import document
from durable_trio.cli.loading import HandlerReference, load_object
from durable_trio.cli.options import json_option
from durable_trio.cli.place import place_option

if TYPE_CHECKING:
    from durable_trio.cli.place import Place
    from durable_trio.cli.service import ExecutionService
    from durable_trio.testing.histories import History


def read_history(file: Path, arn: str | None = None) -> History:
    """Read the history in *file*.

    Raises:
        UserError: there is no such file, or it is no history.
    """
    from durable_trio.testing.histories import History, HistoryFormatError

    try:
        return History.load(file, execution_arn=arn)
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror or error}") from error
    except HistoryFormatError as error:
        raise UserError(str(error)) from error


def history_at(place: Place, execution: str) -> History:
    """Return the history of an execution, as far as it has come.

    Raises:
        UserError: it cannot be had, or was read without its data.
    """
    from durable_trio.testing.histories import History, HistoryFormatError

    async def read(service: ExecutionService) -> dict[str, Any]:
        found = await service.inspect(execution)
        arn = found.description["DurableExecutionArn"]
        document: dict[str, Any] = {"DurableExecutionArn": arn, "Events": await service.events(arn)}
        if (
            place.endpoint is None
        ):  # an endpoint's operations are played back from the events, which do not tell
            document["ReplayChildren"] = [
                record.id for record in found.operations if getattr(record.details, "replay_children", False)
            ]
        return document

    try:
        return History.from_document(place.ask(read))
    except HistoryFormatError as error:
        raise UserError(str(error)) from error


@click.command()
@click.argument("execution", metavar="EXECUTION")
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--redact",
    metavar="MODULE:FUNCTION",
    help="Called with every payload's text and its place; returns what to keep.",
)
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@json_option
@place_option
def record(execution: str, file: Path, redact: str | None, force: bool, as_json: bool, place: Place) -> None:
    """Write the history of an execution to a file, to be replayed over later code.

    EXECUTION is its name, its id or its ARN; at AWS its data is read along.

    \b
    Example:
      durable-trio record demo tests/histories/demo.json --redact tests/redaction.py:redact
    """
    if file.exists() and not force:
        raise UserError(f"{file} exists; replace it with --force")
    redactor: Any = None if redact is None else load_object(HandlerReference.parse(redact))

    history = history_at(place, execution)
    if redactor is not None:
        history = _redacted(history, redactor)
    try:
        history.save(file)
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror or error}") from error
    if as_json:
        told = {"File": str(file), "DurableExecutionArn": history.execution_arn, "Status": history.status}
        click.echo(document({**told, "Events": len(history.events), "Redacted": history.is_redacted}))
    else:
        click.echo(f"{file}: {history.status}, {len(history.events)} events")


def _redacted(history: History, redactor: Any) -> History:
    from durable_trio.testing.redaction import redact_history

    if not callable(redactor):
        raise UserError(f"--redact must name a function (payload, place), not {redactor!r}")
    function: Any = redactor
    return redact_history(history, function)
