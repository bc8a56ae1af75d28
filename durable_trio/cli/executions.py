"""Looking at executions, and stopping them: ``list``, ``show``, ``history``, ``stop``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from durable_trio._protocol.history import encode_event
from durable_trio._protocol.operation import ErrorObject
from durable_trio._protocol.wire import Dialect, encode_instant, encode_operation
from durable_trio.cli.json_text import document, readable_json
from durable_trio.cli.options import database_option, error_options, in_service, json_option
from durable_trio.cli.outcome import description_document, summary_document
from durable_trio.cli.outline import error_text, outline
from durable_trio.cli.render import instant_text, rows_text, status_text, stdout_console, table_of
from durable_trio.cli.tree import OperationTree
from durable_trio.local import ExecutionStatus

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from durable_trio._protocol.history import HistoryEvent
    from durable_trio._protocol.operation import OperationRecord
    from durable_trio.local import ExecutionDescription, ExecutionSummary, LocalService

_PAGE = 1_000


@click.command("list")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice([status.value for status in ExecutionStatus], case_sensitive=False),
    help="Only executions with this status. May be repeated.",
)
@click.option("--function", "function_name", metavar="NAME", help="Only executions of this function.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@json_option
@database_option
def list_executions(
    statuses: tuple[str, ...], function_name: str | None, limit: int, as_json: bool, db: Path
) -> None:
    """List executions, newest first.

    \b
    Example:
      durable-trio list --status FAILED --status TIMED_OUT --limit 5
    """
    wanted = frozenset(ExecutionStatus(status.upper()) for status in statuses)

    async def read(service: LocalService) -> list[ExecutionSummary]:
        found: list[ExecutionSummary] = []
        marker = ""
        while len(found) < limit:
            page = await service.list_executions(
                function_name=function_name,
                statuses=wanted,
                limit=min(_PAGE, limit - len(found)),
                marker=marker,
            )
            found += page.items
            marker = page.next_marker
            if not marker:
                break
        return found

    executions = in_service(db, read)
    if as_json:
        click.echo(document({"DurableExecutions": [summary_document(each) for each in executions]}))
        return
    rows = [
        (status_text(each.status.value), each.name, each.function_name, instant_text(each.started_at))
        for each in executions
    ]
    stdout_console().print(table_of(("STATUS", "NAME", "FUNCTION", "STARTED"), rows))


@click.command()
@click.argument("execution", metavar="EXECUTION")
@click.option("--full", is_flag=True, help="Every operation, also inside of what is finished.")
@json_option
@database_option
def show(execution: str, full: bool, as_json: bool, db: Path) -> None:
    """Show how an execution stands, and its operations.

    EXECUTION is its name, its id or its ARN.

    \b
    Example:
      durable-trio show demo
    """

    async def read(service: LocalService) -> tuple[ExecutionDescription, list[OperationRecord], int]:
        description = await service.describe(execution)
        return description, await service.operations(description.arn), service.clock.now()

    description, operations, now = in_service(db, read)
    if as_json:
        wire = description_document(description)
        wire["Operations"] = [encode_operation(record, Dialect.API) for record in operations]
        click.echo(document(wire))
        return
    console = stdout_console()
    _print_description(console, description)
    tree = OperationTree()
    for record in operations:
        tree.apply(record)
    if tree.count:
        console.print()
        console.print(rows_text(outline(tree, now, full=full)))


def _print_description(console: Console, description: ExecutionDescription) -> None:
    facts: list[tuple[str, Text]] = [
        ("status", status_text(description.status.value)),
        ("name", Text(description.name)),
        ("arn", Text(description.arn)),
        ("started", Text(instant_text(description.started_at))),
        ("ended", Text(instant_text(description.ended_at))),
        ("invocations", Text(str(description.invocation_count))),
        ("input", Text(_shortened(description.input_payload or ""))),
    ]
    if description.result is not None:
        facts.append(("result", Text(readable_json(description.result))))
    if description.error is not None:
        facts.append(("error", Text(error_text(description.error), style="red")))
    for label, value in facts:
        console.print(Text.assemble((f"{label:<12}", "dim"), value), soft_wrap=True)


def _shortened(text: str, length: int = 200) -> str:
    return text if len(text) <= length else f"{text[:length]}... ({len(text)} characters)"


@click.command()
@click.argument("execution", metavar="EXECUTION")
@click.option("--reverse", is_flag=True, help="Newest first.")
@json_option
@database_option
def history(execution: str, reverse: bool, as_json: bool, db: Path) -> None:
    """Print every event in the life of an execution.

    EXECUTION is its name, its id or its ARN.

    \b
    Example:
      durable-trio history demo --json > demo-history.json
    """

    async def read(service: LocalService) -> list[HistoryEvent]:
        arn = (await service.describe(execution)).arn
        events: list[HistoryEvent] = []
        marker = ""
        while True:
            page = await service.history(arn, newest_first=reverse, limit=_PAGE, marker=marker)
            events += page.items
            marker = page.next_marker
            if not marker:
                return events

    events = [encode_event(event, Dialect.API) for event in in_service(db, read)]
    if as_json:
        click.echo(document({"Events": events}))
        return
    console = stdout_console()
    rows = [_event_row(event) for event in events]
    console.print(table_of(("ID", "TIME", "EVENT", "NAME", "DETAILS"), rows))


def _event_row(event: dict[str, Any]) -> tuple[str, str, str, Text, Text]:
    at = round(event["EventTimestamp"] * 1000)
    details = event.get(f"{event['EventType']}Details", {})
    said = details.get("Error") or details.get("Result") or details.get("Input") or {}
    payload = said.get("Payload") if isinstance(said, dict) else None
    if isinstance(payload, dict):
        payload = ": ".join(payload[key] for key in ("ErrorType", "ErrorMessage") if payload.get(key))
    return (
        str(event["EventId"]),
        instant_text(at),
        event["EventType"],
        Text(event.get("Name") or ""),
        Text(_shortened(payload or "", 60)),
    )


@click.command()
@click.argument("execution", metavar="EXECUTION")
@error_options
@json_option
@database_option
def stop(execution: str, error_type: str | None, error_message: str | None, as_json: bool, db: Path) -> None:
    """Stop an execution for good.

    EXECUTION is its name, its id or its ARN. One that is over already is left as it is.

    \b
    Example:
      durable-trio stop demo --error-message 'wrong input'
    """
    given = error_type is not None or error_message is not None
    error = ErrorObject(type=error_type, message=error_message) if given else None

    async def write(service: LocalService) -> tuple[int, ExecutionDescription]:
        arn = (await service.describe(execution)).arn
        return await service.stop(arn, error), await service.describe(arn)

    stopped_at, description = in_service(db, write)
    if as_json:
        click.echo(document({"StopTimestamp": encode_instant(stopped_at, Dialect.API)}))
    else:
        click.echo(f"execution {description.name} {description.status.value}")
