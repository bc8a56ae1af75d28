"""Looking at executions: ``list``, ``show``, ``history``, ``logs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.text import Text

from durable_trio._protocol.wire import Dialect, decode_error, decode_instant, encode_operation
from durable_trio.cli.json_text import document, readable_json
from durable_trio.cli.options import json_option
from durable_trio.cli.outline import error_text, outline
from durable_trio.cli.place import place_option
from durable_trio.cli.render import instant_text, rows_text, status_text, stdout_console, table_of
from durable_trio.cli.tree import OperationTree
from durable_trio.local import ExecutionStatus

if TYPE_CHECKING:
    from rich.console import Console

    from durable_trio.cli.place import Place
    from durable_trio.cli.service import ExecutionService, Inspection, Members


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
@place_option
def list_executions(
    statuses: tuple[str, ...], function_name: str | None, limit: int, as_json: bool, place: Place
) -> None:
    """List executions, newest first.

    At an endpoint, those of all durable functions are looked for, or of the one that is named with --function.

    \b
    Examples:
      durable-trio list --status FAILED --status TIMED_OUT --limit 5
      durable-trio list --aws --function orders
    """
    wanted = [ExecutionStatus(status.upper()).value for status in statuses]
    executions = place.ask(
        lambda service: service.list_executions(function_name=function_name, statuses=wanted, limit=limit)
    )
    if as_json:
        click.echo(document({"DurableExecutions": executions}))
        return
    rows = [
        (
            status_text(each["Status"]),
            each["DurableExecutionName"],
            _function_name(each),
            instant_text(_instant(each, "StartTimestamp")),
        )
        for each in executions
    ]
    stdout_console().print(table_of(("STATUS", "NAME", "FUNCTION", "STARTED"), rows))


@click.command()
@click.argument("execution", metavar="EXECUTION")
@click.option("--full", is_flag=True, help="Every operation, also inside of what is finished.")
@json_option
@place_option
def show(execution: str, full: bool, as_json: bool, place: Place) -> None:
    """Show how an execution stands, and its operations.

    EXECUTION is its name or its ARN; in a file its id will do as well.

    \b
    Example:
      durable-trio show demo
    """
    found = place.ask(lambda service: service.inspect(execution))
    if as_json:
        operations = [encode_operation(record, Dialect.API) for record in found.operations]
        click.echo(document({**found.description, "Operations": operations}))
        return
    console = stdout_console()
    _print_description(console, found)
    tree = OperationTree()
    for record in found.operations:
        tree.apply(record)
    if tree.count:
        console.print()
        console.print(rows_text(outline(tree, found.now, full=full)))


def _print_description(console: Console, found: Inspection) -> None:
    description = found.description
    facts: list[tuple[str, Text]] = [
        ("status", status_text(description["Status"])),
        ("name", Text(description["DurableExecutionName"])),
        ("arn", Text(description["DurableExecutionArn"])),
        ("started", Text(instant_text(_instant(description, "StartTimestamp")))),
        ("ended", Text(instant_text(_instant(description, "EndTimestamp")))),
        ("invocations", Text(str(found.invocation_count))),
        ("input", Text(_shortened(description.get("InputPayload") or ""))),
    ]
    reason = description.get("PauseDetails", {}).get("Reason")
    if reason:
        facts.append(("paused for", Text(reason)))
    if description.get("Result") is not None:
        facts.append(("result", Text(readable_json(description["Result"]))))
    error = decode_error(description.get("Error"))
    if error is not None:
        facts.append(("error", Text(error_text(error), style="red")))
    for label, value in facts:
        console.print(Text.assemble((f"{label:<12}", "dim"), value), soft_wrap=True)


def _instant(members: Members, member: str) -> int | None:
    value = members.get(member)
    return None if value is None else decode_instant(value, Dialect.API, member)


def _function_name(execution: Members) -> str:
    # arn:aws:lambda:<region>:<account>:function:<name>[:<version>]
    return str(execution["FunctionArn"]).split(":")[6]


def _shortened(text: str, length: int = 200) -> str:
    return text if len(text) <= length else f"{text[:length]}... ({len(text)} characters)"


@click.command()
@click.argument("execution", metavar="EXECUTION")
@click.option("--reverse", is_flag=True, help="Newest first.")
@json_option
@place_option
def history(execution: str, reverse: bool, as_json: bool, place: Place) -> None:
    """Print every event in the life of an execution.

    EXECUTION is its name or its ARN; in a file its id will do as well.

    \b
    Example:
      durable-trio history demo --json > demo-history.json
    """

    async def read(service: ExecutionService) -> list[Members]:
        arn = (await service.describe(execution))["DurableExecutionArn"]
        return await service.events(arn, newest_first=reverse)

    events = place.ask(read)
    if as_json:
        click.echo(document({"Events": events}))
        return
    console = stdout_console()
    rows = [_event_row(event) for event in events]
    console.print(table_of(("ID", "TIME", "EVENT", "NAME", "DETAILS"), rows))


def _event_row(event: Members) -> tuple[str, str, str, Text, Text]:
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
@json_option
@place_option
def logs(execution: str, as_json: bool, place: Place) -> None:
    """Print what an execution's functions wrote to their logs, as far as the local service has kept it.

    EXECUTION is its name or its ARN; in a file its id will do as well. It is kept of functions that
    durable-trio serve has run. On AWS, logs are in CloudWatch.

    \b
    Example:
      durable-trio logs demo
    """

    async def read(service: ExecutionService) -> list[Members]:
        return await service.log_lines((await service.describe(execution))["DurableExecutionArn"])

    lines = place.ask(read)
    if as_json:
        click.echo(document({"Lines": lines}))
        return
    for line in lines:
        click.echo(_log_line(line))


def _log_line(line: Members) -> str:
    at = instant_text(_instant(line, "Timestamp"))
    return " ".join(part for part in (at, line.get("FunctionName"), line["Text"]) if part)
